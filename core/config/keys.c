/* SPDX-License-Identifier: MIT */
/* The core's settings: one row each, with its default and its documentation; see settings.h.
 *
 * The rows are in the order of the manual page. A bound of INT64_MAX is none. */
#include "config/settings.h"

/* ECDHE with an AEAD only, so that no old key ever opens a recorded session; the fastest cipher and
 * curve first. Clients that cannot do TLS 1.2 are not served (RFC 8996). */
#define TLS_PRIORITY                                                                               \
	"SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"           \
	"-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:"                 \
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:"             \
	"%SERVER_PRECEDENCE"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MEBI ((int64_t)1 << 20)
#define GIBI ((int64_t)1 << 30)

static const struct pst_conf_key server_keys[] = {
	{ "plugin_dir", PST_CONF_READ_PATH(struct server_settings, plugin_dir), PST_PLUGIN_DIR, 1,
	  4000, NULL,
	  "The folder of the plugins: NAME.so is the plugin NAME. Whoever can write to it is the "
	  "server's master." },
	{ "runtime_dir", PST_CONF_WRITE_PATH(struct server_settings, runtime_dir), PST_RUN_DIR, 1,
	  80, NULL,
	  "The folder for the control socket, the process id, and the empty folder that login "
	  "workers have for their root. It is made at start if it is not there." },
	{ "login_user", PST_CONF_TEXT(struct server_settings, login_user), "postern-login", 1, 32,
	  NULL,
	  "The system user of login workers, which clients can reach before they are known. It "
	  "should own nothing. The four users count only where the server is started by root; else "
	  "all processes run as the user who started it." },
	{ "keys_user", PST_CONF_TEXT(struct server_settings, keys_user), "postern-keys", 1, 32,
	  NULL,
	  "The system user of keys workers: the only one, besides root, that must be able to read "
	  "the private keys under tls.directory." },
	{ "auth_user", PST_CONF_TEXT(struct server_settings, auth_user), "postern-auth", 1, 32,
	  NULL,
	  "The system user of auth workers, which see passwords and the users' database; "
	  "USER:GROUP where they need another's group, as \"postern-auth:shadow\" for the plugin "
	  "pam. Only with that plugin it may be root." },
	{ "mail_user", PST_CONF_TEXT(struct server_settings, mail_user), "vmail", 1, 32, NULL,
	  "The system user of mail workers, which owns the mail of virtual users; UID:GID "
	  "where they have no name. See "
	  "mail.run_as." },
	{ "drain_timeout", PST_CONF_TIME(struct server_settings, drain_timeout), "5m", 0, DAY, NULL,
	  "How long sessions may go on after a reload or after the server was told to stop. Those "
	  "that are left are then ended; a session that is ended deletes nothing." },
	{ "sandbox", PST_CONF_CHOICE(struct server_settings, sandbox), "on", 0, 0, "off|on",
	  "Whether workers take from themselves every right that they do not need (system calls, "
	  "files). What holds is shown by posternctl status." },
	{ "max_generations", PST_CONF_INT(struct server_settings, max_generations), "4", 2, 64,
	  "generations",
	  "How many sets of workers may run at the same time: each reload begins one, and the "
	  "earlier ones serve their sessions to the end. A further reload ends the oldest at "
	  "once." },
	{ "language", PST_CONF_CHOICE(struct server_settings, language), "i-default", 0, 0,
	  "i-default|en|de",
	  "The language of replies for clients that leave the choice to the server (LANG *, RFC "
	  "6856). i-default: English in ASCII, which is also what a client gets that asks for "
	  "none." },
	{ .key = NULL },
};

static const struct pst_conf_key log_keys[] = {
	{ "destination", PST_CONF_TEXT(struct log_settings, destination), "stderr", 1, 4000, NULL,
	  "Where log lines go: \"stderr\" (systemd's journal takes it from there), \"syslog\", or "
	  "the absolute path of a file, which is opened again at each reload." },
	{ "level", PST_CONF_CHOICE(struct log_settings, level), "info", 0, 0,
	  "error|warn|info|debug",
	  "The least important lines that are written: error: someone must act; warn: served, but "
	  "not as well as it should be; info: at most three lines a session; debug: every step." },
	{ .key = NULL },
};

static const struct pst_conf_key login_keys[] = {
	{ "workers", PST_CONF_INT(struct login_settings, workers), "0", 0, 256, "processes",
	  "Login workers. They accept connections, do TLS, and serve clients until they are known; "
	  "the TLS of a session stays with them to its end. 0: one for each processor core." },
	{ "max_connections", PST_CONF_INT(struct login_settings, max_connections), "16384", 1,
	  1000000, "connections",
	  "Clients at the same time over all login workers, whether they have logged in or not. "
	  "Further ones are told to try later." },
	{ "timeout", PST_CONF_TIME(struct login_settings, timeout), "60s", SECOND, HOUR, NULL,
	  "How long a client may say nothing before it has logged in." },
	{ "handshake_timeout", PST_CONF_TIME(struct login_settings, handshake_timeout), "10s",
	  SECOND, 5 * MINUTE, NULL, "How long a TLS handshake may take." },
	{ "max_bad_commands", PST_CONF_INT(struct login_settings, max_bad_commands), "10", 1, 10000,
	  "commands",
	  "After so many commands that are none, before login, the connection is closed." },
	{ "max_auth_failures", PST_CONF_INT(struct login_settings, max_auth_failures), "3", 1, 1000,
	  "failures", "After so many wrong passwords in one connection it is closed." },
	{ "greeting", PST_CONF_TEXT(struct login_settings, greeting), "ready", 0, 400, NULL,
	  "What the client is greeted with, after \"+OK \"." },
	{ .key = NULL },
};

static const struct pst_conf_key tls_keys[] = {
	{ "directory", PST_CONF_READ_PATH(struct tls_settings, directory), PST_SYSCONF_DIR "/tls",
	  0, 4000, NULL,
	  "The folder of the certificates. A folder in it for each host name, NAME, holds "
	  "fullchain.pem and privkey.pem (ECDSA, or what there is) and, beside it for old clients, "
	  "fullchain-rsa.pem and privkey-rsa.pem. They are read when a client first asks for the "
	  "name, so that it does not matter how many there are." },
	{ "default_name", PST_CONF_TEXT(struct tls_settings, default_name), "default", 1, 253, NULL,
	  "The name whose certificate is shown to clients that ask for no name, or for one that "
	  "has no folder." },
	{ "cache", PST_CONF_INT(struct tls_settings, cache), "1024", 1, 1000000, "names",
	  "How many names' certificates and keys each keys worker keeps in memory." },
	{ "check_interval", PST_CONF_TIME(struct tls_settings, check_interval), "5s", 100, DAY,
	  NULL,
	  "How old a certificate in memory may be before its files are looked at again; a changed "
	  "one is taken up without a reload." },
	{ "priority", PST_CONF_TEXT(struct tls_settings, priority), TLS_PRIORITY, 1, 1000, NULL,
	  "Protocol versions, ciphers and curves, as a GnuTLS priority string. Key exchanges other "
	  "than ECDHE do not work: the private keys only sign." },
	{ "ticket_lifetime", PST_CONF_TIME(struct tls_settings, ticket_lifetime), "6h", MINUTE, DAY,
	  NULL, "How long a client may take up an earlier TLS session without a full handshake." },
	{ "client_ca", PST_CONF_READ_PATH(struct tls_settings, client_ca), "", 0, 4000, NULL,
	  "A file with the certificates (PEM) of the authorities whose clients may log in by "
	  "certificate: AUTH EXTERNAL, which auth.mechanisms must name. Only where it is set are "
	  "clients asked for a certificate; one without goes on as ever. It is read at start and at "
	  "each reload." },
	{ "client_name", PST_CONF_CHOICE(struct tls_settings, client_name), "email", 0, 0,
	  "email|cn|dns",
	  "Which name in a client's certificate is the user's: the first e-mail address or the "
	  "first DNS name of its alternative names, or its subject's common name." },
	{ .key = NULL },
};

static const struct pst_conf_key auth_keys[] = {
	{ "workers", PST_CONF_INT(struct auth_settings, workers), "4", 1, 256, "processes",
	  "Auth workers. Each checks one login at a time; what waits for a database or a hash "
	  "makes others wait only where all workers are busy." },
	{ "hash_workers", PST_CONF_INT(struct auth_settings, hash_workers), "0", 0, 256,
	  "processes",
	  "Auth workers that check slow hashes, and backends that check passwords themselves. So "
	  "many at a time and no more: a storm of wrong passwords takes at most so often the memory "
	  "of one check, and those whose password is known to be right pass by it. 0: one for each "
	  "processor core." },
	{ "timeout", PST_CONF_TIME(struct auth_settings, timeout), "10s", SECOND, 10 * MINUTE, NULL,
	  "How long one check may take. A worker that takes longer is ended and replaced, and the "
	  "client is told to try later." },
	{ "failure_delay", PST_CONF_TIME(struct auth_settings, failure_delay), "2s", 0, MINUTE,
	  NULL,
	  "How long a client waits for the answer that its password is wrong. This costs no "
	  "worker." },
	{ "backends", PST_CONF_TEXT(struct auth_settings, backends), "sqlite", 0, 1000, NULL,
	  "The auth plugins that are asked, in this order, until one knows the user: a list of the "
	  "sections below, or of plugins that need no section." },
	{ "default_domain", PST_CONF_TEXT(struct auth_settings, default_domain), "", 0, 253, NULL,
	  "What is added, after an \"@\", to a user name without a domain. Empty: nothing is." },
	{ "default_scheme", PST_CONF_TEXT(struct auth_settings, default_scheme), "ARGON2ID", 1, 32,
	  NULL,
	  "The scheme of stored passwords that do not name theirs with {SCHEME}, and of new "
	  "ones." },
	{ "argon2_memory", PST_CONF_SIZE(struct auth_settings, argon2_memory), "19M", MEBI, GIBI,
	  NULL, "Memory that the check of a new argon2 password takes." },
	{ "argon2_passes", PST_CONF_INT(struct auth_settings, argon2_passes), "2", 1, 100, "passes",
	  "Passes over that memory for a new argon2 password." },
	{ "max_hash_memory", PST_CONF_SIZE(struct auth_settings, max_hash_memory), "256M", MEBI,
	  8 * GIBI, NULL,
	  "The most memory that the check of one stored password may take; a password stored with "
	  "higher costs is refused, and the log says so." },
	{ "allow_weak_schemes", PST_CONF_BOOL(struct auth_settings, allow_weak_schemes), "false", 0,
	  0, NULL,
	  "Whether passwords stored in schemes that are fast to guess (the MD5 family, SHA without "
	  "a salt, DES) are checked. The log complains of each." },
	{ "rehash", PST_CONF_CHOICE(struct auth_settings, rehash), "off", 0, 0, "off|report|on",
	  "What happens at a login whose password is stored in another scheme, or with lower costs, "
	  "than new ones. report: the log says so. on: it is stored anew, unless it was changed "
	  "meanwhile." },
	{ "verified_size", PST_CONF_SIZE(struct auth_settings, verified_size), "4M", 0, GIBI, NULL,
	  "Memory in which auth workers remember that a password was right, so that the next poll "
	  "costs a look-up and no hash. What is remembered tells nothing about the password and "
	  "counts only as long as the same hash is stored. 0: nothing is remembered." },
	{ "verified_age", PST_CONF_TIME(struct auth_settings, verified_age), "24h", SECOND,
	  14 * DAY, NULL, "How long that is remembered." },
	{ "mechanisms", PST_CONF_TEXT(struct auth_settings, mechanisms), "USER PLAIN LOGIN", 0, 400,
	  NULL,
	  "The ways to log in that are offered, where the connection allows them: a list of USER, "
	  "PLAIN, LOGIN (a password, checked against any scheme); APOP, CRAM-MD5 (old, and only for "
	  "passwords that are stored as they are); SCRAM-SHA-1, SCRAM-SHA-256, and over TLS "
	  "SCRAM-SHA-1-PLUS, SCRAM-SHA-256-PLUS (for passwords stored in that scheme, or as they "
	  "are); and over TLS EXTERNAL (by certificate, see tls.client_ca), OAUTHBEARER, XOAUTH2 (a "
	  "token, which a backend must be able to check); ANONYMOUS (see anonymous). postern(8) "
	  "says what each protects. Without TLS none is offered, unless the listener's "
	  "plaintext_login is on." },
	{ "scram_iterations", PST_CONF_INT(struct auth_settings, scram_iterations), "0", 0, 5000000,
	  "iterations",
	  "What SCRAM shows to a client whose user does not exist, or has the password stored as "
	  "it is. Where it is the count that most stored passwords have, nobody can tell who is "
	  "there. 0: what new passwords get if default_scheme is one of SCRAM, else 4096." },
	{ "anonymous", PST_CONF_TEXT(struct auth_settings, anonymous), "", 0, 1000, NULL,
	  "Whose maildrop anonymous clients read (AUTH ANONYMOUS, which mechanisms must name): a "
	  "list of users, at most one of a domain. A client gets that one whose domain is the "
	  "server name that it asked for in TLS, or the end of it; else the one of default_domain. "
	  "It cannot delete." },
	{ "master_backends", PST_CONF_TEXT(struct auth_settings, master_backends), "", 0, 1000,
	  NULL,
	  "The auth plugins that know master users, who log in for others with a password of their "
	  "own: a list as in backends. Its users are known by their whole name, to which no domain "
	  "is added. Empty: nobody may log in for another. A client can always do so with PLAIN's "
	  "authorization identity; see master_separator for the others." },
	{ "master_separator", PST_CONF_TEXT(struct auth_settings, master_separator), "", 0, 1, NULL,
	  "With \"*\", the user name \"alice@example.org*support\" and the password of support open "
	  "the mail of alice@example.org. What stands behind the last one is the master. Empty: no "
	  "user name is taken apart." },
	{ "master_read_only", PST_CONF_BOOL(struct auth_settings, master_read_only), "true", 0, 0,
	  NULL,
	  "Whether all sessions of master users may read only. If not, the master's own record "
	  "decides." },
	{ .key = NULL },
};

#define STEPS "stop|next"

const struct pst_conf_key settings_backend_keys[] = {
	{ "on_wrong", PST_CONF_CHOICE(struct backend_rules, on_wrong), "stop", 0, 0, STEPS,
	  "What follows where this backend knows the user and the password is wrong. stop: the login "
	  "is refused. next: the backends behind it in the list are asked as well, for a user that "
	  "several know; every refused login takes the time of as many checks then." },
	{ "on_temp", PST_CONF_CHOICE(struct backend_rules, on_temp), "stop", 0, 0, STEPS,
	  "What follows where this backend cannot tell now. stop: the client is told to try later. "
	  "next: the backends behind it are asked, and only if none of them lets the client in is it "
	  "told to try later." },
	{ .key = NULL },
};

static const struct pst_conf_key mail_keys[] = {
	{ "workers", PST_CONF_INT(struct mail_settings, workers), "0", 0, 256, "processes",
	  "Mail workers, with run_as = \"vmail\"; each serves many sessions. 0: one for each "
	  "processor core." },
	{ "run_as", PST_CONF_CHOICE(struct mail_settings, run_as), "vmail", 0, 0, "vmail|user",
	  "vmail: all maildrops belong to server.mail_user. user: each belongs to a system user of "
	  "its own, and a process with just that user's rights serves each session; the server "
	  "must be started by root." },
	{ "location", PST_CONF_TEXT(struct mail_settings, location),
	  "maildir:/srv/mail/%{domain}/%{local}/Maildir", 1, 2000, NULL,
	  "Where a user's mail is, unless the user's record says otherwise: the name of a storage "
	  "plugin, a colon, and a path, in which %{user} stands for the whole user name, %{local} "
	  "for what is before its last \"@\" and %{domain} for what is after. Where the backends give "
	  "homes, it may begin with %{home}." },
	{ "roots", PST_CONF_TEXT(struct mail_settings, roots), "", 0, 4000, NULL,
	  "The folders that hold all maildrops: a list of absolute paths. The sandbox opens them "
	  "to mail workers, and nothing else. Empty: the folder in location before its first "
	  "placeholder." },
	{ "timeout", PST_CONF_TIME(struct mail_settings, timeout), "10m", SECOND, DAY, NULL,
	  "How long a client may say nothing after it has logged in. RFC 1939 asks for 10 minutes "
	  "at least." },
	{ "takeover", PST_CONF_BOOL(struct mail_settings, takeover), "true", 0, 0, NULL,
	  "Whether a session that has its maildrop open, and whose client has said nothing for "
	  "takeover_after or is gone, is ended when the user logs in again. What it has marked is not "
	  "deleted. false: the user is told [IN-USE] until the old session ends by itself." },
	{ "takeover_after", PST_CONF_TIME(struct mail_settings, takeover_after), "60s", 5 * SECOND,
	  DAY, NULL,
	  "How long a session's client must have said and taken nothing, for takeover. A client that "
	  "is still there would be told [IN-USE] when it comes back." },
	{ "max_sessions", PST_CONF_INT(struct mail_settings, max_sessions), "8192", 1, 1000000,
	  "sessions", "Sessions with an open maildrop at the same time, over all mail workers." },
	{ "max_bad_commands", PST_CONF_INT(struct mail_settings, max_bad_commands), "20", 1, 10000,
	  "commands", "After so many commands that are none, after login, the session is ended." },
	{ "surrogates", PST_CONF_BOOL(struct mail_settings, surrogates), "true", 0, 0, NULL,
	  "Whether clients that did not say UTF8 (RFC 6856) are sent the header of a message in "
	  "ASCII where it holds UTF-8 as it is: subject and names stay readable, and LIST says the "
	  "octets of what is sent. Without it they are sent what is stored, as other servers do; "
	  "then the sizes of such messages, too, are those that these showed." },
	{ "spare_processes", PST_CONF_INT(struct mail_settings, spare_processes), "8", 1, 256,
	  "processes",
	  "With run_as = \"user\": processes that are kept ready for the next sessions." },
	{ "max_processes", PST_CONF_INT(struct mail_settings, max_processes), "512", 1, 4096,
	  "processes", "With run_as = \"user\": mail processes at the same time." },
	{ "first_uid", PST_CONF_INT(struct mail_settings, first_uid), "500", 1, UINT32_MAX - 1,
	  "uid", "With run_as = \"user\": users with a lower id are refused." },
	{ "first_gid", PST_CONF_INT(struct mail_settings, first_gid), "1", 1, UINT32_MAX - 1, NULL,
	  "With run_as = \"user\": users whose group has a lower id are refused." },
	{ "max_listed", PST_CONF_INT(struct mail_settings, max_listed), "0", 0, INT32_MAX,
	  "messages",
	  "How many messages a session shows at most, the oldest ones; the others show up as these "
	  "are deleted, with the identifiers that they have. The user's record may say fewer. 0: all." },
	{ "last", PST_CONF_BOOL(struct mail_settings, last), "false", 0, 0, NULL,
	  "Whether there is the command LAST (RFC 1460), for very old clients: the highest number of a "
	  "message that this session retrieved or deleted." },
	{ "hide_nuls", PST_CONF_BOOL(struct mail_settings, hide_nuls), "false", 0, 0, NULL,
	  "Whether NUL octets in messages are sent as octets 0x80: Outlook hangs on them. Sizes stay "
	  "what they are, and so does the stored message." },
	{ "end_headers", PST_CONF_BOOL(struct mail_settings, end_headers), "false", 0, 0, NULL,
	  "Whether a message that is a header alone, without the empty line that ends it, is sent with "
	  "one more empty line: old Outlook Express and Netscape hang without it. The sizes that "
	  "clients are told count its two octets; the stored message stays what it is." },
	{ "expire_days", PST_CONF_INT(struct mail_settings, expire_days), "0", 0, 36500, "days",
	  "How long mail may stay, unless the user's record says otherwise. What is older is removed "
	  "before a session sees it, once a day at most, and with posternctl maildrop expire; where "
	  "hold_days is set, it can be brought back. CAPA says so (RFC 2449 section 6.7). 0: mail "
	  "stays until the user deletes it." },
	{ "expire_least", PST_CONF_INT(struct mail_settings, expire_least), "0", 0, 36500, "days",
	  "Where users' records have expire_days: no record counts for less, and CAPA says before login, "
	  "when nobody knows whose mail it is, that mail stays so long at least. 0: a record may say "
	  "what it likes, and CAPA before login tells of expire_days alone." },
	{ "hold_days", PST_CONF_INT(struct mail_settings, hold_days), "0", 0, 36500, "days",
	  "How long what POP3 removes can be brought back with posternctl undelete, unless the "
	  "user's record says otherwise: until then it lies where no client sees it and no quota "
	  "counts it. What is older goes at the end of a session, and with posternctl maildrop "
	  "expire. What cannot be kept is not removed, and QUIT says so. 0: it is removed for "
	  "good." },
	{ "mark_seen", PST_CONF_BOOL(struct mail_settings, mark_seen), "false", 0, 0, NULL,
	  "Whether messages that were retrieved whole are marked as seen for other programs, when "
	  "the session ends: in a Maildir by their flag S. If not, nothing is ever renamed. An mbox "
	  "is left as it is." },
	{ "history", PST_CONF_CHOICE(struct mail_settings, history), "changes", 0, 0,
	  "off|changes|all",
	  "Which sessions posternctl history tells of. changes: those that retrieved or removed "
	  "messages; all: every one, which costs each empty poll a write; off: none, and no file is "
	  "written." },
	{ "history_size", PST_CONF_SIZE(struct mail_settings, history_size), "256K", 16384, GIBI,
	  NULL, "How much of that is kept with each maildrop; the oldest goes first." },
	{ "prefetch", PST_CONF_BOOL(struct mail_settings, prefetch), "false", 0, 0, NULL,
	  "Whether the next message is opened and read while the client has the one before in hand: "
	  "for mail on a network file system, where each takes the way there and back. It costs "
	  "64 KiB for a session that retrieves, and reads in vain what the client does not ask for." },
	{ "locks", PST_CONF_CHOICE(struct mail_settings, locks), "kernel", 0, 0, "kernel|lease",
	  "What keeps two sessions out of one maildrop. kernel: locks of the kernel, which hold on "
	  "one host, and on several where the network file system passes them on. lease: besides "
	  "that, a row in the database that knows the user (auth.pgsql.lease_query), for several "
	  "servers with the same mail. A server that dies keeps others out for lease_time; one that "
	  "cannot reach the database ends its sessions before their leases do, and deletes nothing." },
	{ "lease_time", PST_CONF_TIME(struct mail_settings, lease_time), "60s", 15 * SECOND,
	  3600 * SECOND, NULL,
	  "How long a lease holds; it is renewed when a third of that has gone by." },
	{ "lease_holder", PST_CONF_TEXT(struct mail_settings, lease_holder), "", 0, 255, NULL,
	  "This server's name among those with the same mail. Empty: the name of the host." },
	{ .key = NULL },
};

const struct pst_conf_key settings_listener_keys[] = {
	{ "address", PST_CONF_TEXT(struct listener_settings, address), "0.0.0.0", 1, 60, NULL,
	  "The address to listen on, in numbers. \"0.0.0.0\" is every IPv4 address; for IPv6 add a "
	  "second listener with \"::\", which takes IPv6 alone." },
	{ "port", PST_CONF_INT(struct listener_settings, port), NULL, 1, 65535, NULL,
	  "The TCP port; 110 is POP3's, 995 that of POP3 over TLS." },
	{ "tls", PST_CONF_CHOICE(struct listener_settings, tls), "stls", 0, 0, "none|stls|implicit",
	  "none: no TLS; stls: plain until the client asks for TLS with STLS; implicit: TLS from "
	  "the first octet, as RFC 8314 prefers." },
	{ "plaintext_login", PST_CONF_BOOL(struct listener_settings, plaintext_login), "false", 0,
	  0, NULL,
	  "Whether passwords are taken without TLS. Only for networks where nobody can listen." },
	{ "backlog", PST_CONF_INT(struct listener_settings, backlog), "1024", 1, 65535,
	  "connections",
	  "Connections that may wait to be accepted; the kernel has a bound of its own, "
	  "net.core.somaxconn." },
	{ "default_domain", PST_CONF_TEXT(struct listener_settings, default_domain), "", 0, 253,
	  NULL,
	  "What is added here, after an \"@\", to a user name without a domain. %{sni} stands for the "
	  "name that the client asked for in its TLS handshake, %{sni_domain} for what is behind the "
	  "first dot of that, example.org of pop.example.org. Empty, or where the client asked for "
	  "no name: auth.default_domain." },
	{ .key = NULL },
};

static const struct pst_conf_key storage_keys[] = {
	{ .key = NULL },
};

static const struct pst_conf_key policy_keys[] = {
	{ "order", PST_CONF_TEXT(struct settings, policy_order), "", 0, 1000, NULL,
	  "The policy plugins that are asked, in this order: a list of the sections below, or of "
	  "plugins that need no section. The first refusal counts." },
	{ .key = NULL },
};

#define GROUP(name, keys, doc)                                                                     \
	{                                                                                          \
#name, keys, offsetof(struct settings, name), doc                                  \
	}

const struct settings_group settings_groups[] = {
	GROUP(server, server_keys, "The server as a whole."),
	GROUP(log, log_keys,
	      "One event is one line: time, level, the event's name, key=value pairs."),
	{ "listener", settings_listener_keys, offsetof(struct settings, listeners),
	  "Each group in this one is a listener; its name is for the log and for plugins. Without "
	  "any, there are two: pop3, on port 110 with tls = \"stls\", and pop3s, on port 995 with "
	  "tls = \"implicit\"." },
	GROUP(login, login_keys, "Connections before login."),
	GROUP(tls, tls_keys, "Certificates and the TLS protocol."),
	GROUP(auth, auth_keys,
	      "Users and passwords. Each group in this one is the section of an auth plugin: the "
	      "name is the plugin's, or any other where its setting \"plugin\" names the plugin. "
	      "There are settings that every such section can have beside the plugin's own; they "
	      "are below as those of auth.NAME."),
	GROUP(mail, mail_keys, "Sessions after login, and where the mail is."),
	{ "storage", storage_keys, 0,
	  "Each group in this one is the section of a storage plugin." },
	{ "policy", policy_keys, 0, "Each group in this one is the section of a policy plugin." },
	{ .name = NULL },
};
