/* SPDX-License-Identifier: MIT */
/* config/settings.h - every setting of the core, typed; settings.c holds their tables.
 *
 * Times are milliseconds, sizes octets. Strings are borrowed from the arena of the load. A file:
 *
 *	server: { plugin_dir = "/usr/lib/postern"; };
 *	listener: { pop3: { port = 110; tls = "stls"; }; pop3s: { port = 995; tls = "implicit"; }; };
 *	auth: { backends = [ "sqlite" ]; sqlite: { database = "/var/lib/postern/users.db"; }; };
 *	mail: { location = "maildir:/srv/mail/%{domain}/%{local}/Maildir"; };
 *	storage: { maildir: { }; };
 *	policy: { order = [ ]; };
 *
 * Under auth, storage and policy, a group is the section of the plugin instance of that name; its
 * key "plugin" names the plugin where that differs. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/conf.h>
#include <postern/plugin.h>

#include "config/texts.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON };
enum tls_mode { TLS_NONE, TLS_STLS, TLS_IMPLICIT };
enum run_as { RUN_AS_VMAIL, RUN_AS_USER };
enum mail_history { HISTORY_OFF, HISTORY_CHANGES, HISTORY_ALL };
enum locks { LOCKS_KERNEL, LOCKS_LEASE };

struct server_settings {
	const char *plugin_dir;
	/* Control socket, pid file, the empty folder that login sees as /. */
	const char *runtime_dir;
	const char *login_user, *keys_user, *auth_user, *mail_user; /* system users; only as root */
	int64_t drain_timeout;
	int64_t sandbox; /* enum sandbox_mode */
	int64_t max_generations;
	int64_t language; /* enum pop3_language */
};

struct log_settings {
	const char *destination;
	int64_t level; /* enum pst_log_level */
};

struct login_settings {
	int64_t workers; /* 0: one a core */
	int64_t max_connections;
	int64_t timeout; /* without a command, before login */
	int64_t handshake_timeout;
	int64_t max_bad_commands;
	int64_t max_auth_failures; /* in one connection */
	const char *greeting;
};

struct tls_settings {
	/* Holds NAME/{fullchain,privkey}.pem, and NAME/{fullchain,privkey}-rsa.pem. */
	const char *directory;
	const char *default_name;
	int64_t cache;          /* names kept in memory */
	int64_t check_interval; /* age of a loaded certificate at which its files are looked at */
	const char *priority;   /* GnuTLS priority string */
	int64_t ticket_lifetime;
	const char *client_ca; /* file of the CAs of clients' certificates; "": none is asked for */
	int64_t client_name;   /* enum client_name */
};

/* Which name of a client's certificate is the user's. */
enum client_name { CLIENT_NAME_EMAIL, CLIENT_NAME_CN, CLIENT_NAME_DNS };

enum rehash { REHASH_OFF, REHASH_REPORT, REHASH_ON };

struct auth_settings {
	int64_t workers;
	int64_t hash_workers; /* 0: one a core */
	int64_t timeout;
	int64_t failure_delay;
	const char *backends;       /* instance names, separated by spaces */
	const char *default_domain; /* for a user name without '@'; "": none is added */
	const char *default_scheme;
	int64_t argon2_memory; /* octets */
	int64_t argon2_passes;
	int64_t max_hash_memory; /* octets that one check may take */
	bool allow_weak_schemes;
	int64_t rehash;        /* enum rehash */
	int64_t verified_size; /* octets; 0: passwords are not remembered */
	int64_t verified_age;
	const char *mechanisms;       /* names, separated by spaces (credentials/mechanism.h) */
	int64_t scram_iterations;     /* of users who are not there; 0: as of new passwords */
	const char *anonymous;        /* user names, separated by spaces */
	const char *master_backends;  /* as backends; "": nobody logs in for another */
	const char *master_separator; /* between the user and the master; "": none */
	bool master_read_only;
};

struct mail_settings {
	int64_t workers;      /* 0: one a core */
	int64_t run_as;       /* enum run_as */
	const char *location; /* template: %{user} %{local} %{domain} */
	/* Folders that hold maildrops, separated by spaces; "": location up to its first %. */
	const char *roots;
	int64_t timeout;        /* RFC 1939 section 3: at least 10 minutes */
	bool takeover;          /* of a maildrop whose session has gone silent */
	int64_t takeover_after; /* so long */
	int64_t max_sessions;
	int64_t max_bad_commands;
	bool surrogates;
	int64_t spare_processes; /* run_as = "user": forked ahead */
	int64_t max_processes;
	int64_t first_uid, first_gid; /* run_as = "user": lower ids are refused */
	int64_t expire_days;          /* 0: what is there stays */
	int64_t expire_least;         /* no record counts for less; 0: no bound */
	int64_t max_listed;           /* 0: all */
	bool hide_nuls;               /* NUL octets are sent as 0x80 */
	bool end_headers;             /* a header alone is sent with an empty line behind it */
	bool last;                    /* the command LAST */
	int64_t hold_days;            /* 0: what is removed is removed for good */
	bool mark_seen;
	int64_t history; /* enum mail_history */
	int64_t history_size;
	int64_t locks; /* enum locks */
	bool prefetch;
	int64_t lease_time;
	const char *lease_holder; /* "": the host's name */
};

struct listener_settings {
	const char *name; /* the group's name */
	const char *address;
	int64_t port;
	int64_t tls;          /* enum tls_mode */
	bool plaintext_login; /* USER, PASS and AUTH before TLS */
	int64_t backlog;
	/* In place of auth.default_domain; "": that. "%{sni}" and "%{sni_domain}" stand for themselves. */
	const char *default_domain;
};

#define SETTINGS_MAX_LISTENERS 32
#define SETTINGS_MAX_SECTIONS 64

/* What the chain of backends does after an answer of this one. */
enum backend_step { BACKEND_STOP, BACKEND_NEXT };

struct backend_rules {
	int64_t on_wrong, on_temp; /* enum backend_step */
};

/* A plugin instance: where its texts are ("auth.sqlite."), and which .so it is. */
struct plugin_section {
	enum pst_kind kind;
	const char *instance;
	const char *plugin;
	const char *prefix;         /* "auth.sqlite" */
	struct backend_rules rules; /* PST_AUTH */
};

struct settings {
	struct server_settings server;
	struct log_settings log;
	struct login_settings login;
	struct tls_settings tls;
	struct auth_settings auth;
	struct mail_settings mail;
	const char *policy_order; /* instance names, separated by spaces */
	struct listener_settings listeners[SETTINGS_MAX_LISTENERS];
	size_t listener_count;
	struct plugin_section sections[SETTINGS_MAX_SECTIONS];
	size_t section_count;
};

/* One group of the core: its name in the file, its rows and where its struct lies. */
struct settings_group {
	const char *name;
	const struct pst_conf_key *keys;
	size_t offset; /* in struct settings; of listeners[0] for "listener" */
	const char *doc;
};

/* Ended by a row with name NULL. */
extern const struct settings_group settings_groups[];

/* The rows of one listener, which are also those of the group "listener". */
extern const struct pst_conf_key settings_listener_keys[];

/* The rows that every section of an auth plugin has, beside the plugin's own: of struct backend_rules. */
extern const struct pst_conf_key settings_backend_keys[];

/* The server's own rows of a section ("auth.sqlite"), or NULL where it has none. */
const struct pst_conf_key *settings_section_keys(const char *section);

/* The listeners of a file that has none, as texts. Ended by a row with path NULL. */
struct settings_builtin {
	const char *path;
	const char *value;
};

extern const struct settings_builtin settings_builtins[];

/* All of the core's settings from t. Unknown names (with the nearest known one), bad values and
 * settings that do not go together are problems; the keys of plugin sections are not looked at. */
void settings_load(const struct conf_texts *t, struct settings *out, struct conf_problems *p);

/* What is allowed but deserves a word: not errors. */
void settings_notes(const struct conf_texts *t, const struct settings *s,
                    struct conf_problems *notes);

/* The section of an instance, or NULL. */
const struct plugin_section *settings_section(const struct settings *s, enum pst_kind kind,
                                              struct pst_str instance);

/* Takes the next word of a list setting off *list; false at its end. */
bool settings_next_word(const char **list, struct pst_str *word_out);

/* A name that an admin or a plugin's author may choose: [a-z][a-z0-9_]*, at most 63 octets. */
#define SETTINGS_NAME_MAX 63
bool settings_is_name(struct pst_str name);

/* "auth", "storage" or "policy": the group that holds the sections of the kind. */
const char *settings_kind_group(enum pst_kind kind);

#endif
