/* SPDX-License-Identifier: MIT */
/* postern/auth.h - what an auth plugin does: find a user, or check a password.
 *
 * It runs in an auth worker: one request at a time in each process, and it may
 * block (other workers go on). A request that takes longer than auth.timeout
 * has its worker killed and replaced, and the client is told [SYS/TEMP].
 *
 * Give one of the three:
 *   lookup  finds the user's record, with the stored credential in it; the server
 *           does the hashing, the mechanisms and the cache. SQL and files do this.
 *   verify  is given the password and checks it itself: PAM, an LDAP bind.
 *   token   is given an access token and says whose it is: OAuth 2.0.
 *
 * An unknown user and a wrong password must cost the client the same time: with
 * lookup the server sees to that, with verify the plugin does. */
#ifndef POSTERN_AUTH_H
#define POSTERN_AUTH_H

#include <postern/plugin.h>

enum pst_auth_result {
	PST_AUTH_OK = 1,
	PST_AUTH_UNKNOWN,  /* no such user here; the next backend of the chain is asked */
	PST_AUTH_WRONG,    /* verify and token: it is not right */
	PST_AUTH_DISABLED, /* known, but may not log in; record->reason says why, for the log */
	PST_AUTH_TEMP,     /* cannot tell now, err is filled: -ERR [SYS/TEMP], never [AUTH] */
};

/* Who asks. Everything is borrowed until the call returns; no string holds a NUL octet. Members are
 * only appended, here and to the records below. */
struct pst_auth_query {
	struct pst_str user;       /* as folded by the server, whole: "local@domain" or "local" */
	struct pst_str local_part; /* before the last '@', or all of it */
	struct pst_str domain;     /* after the last '@', or empty */
	struct pst_str remote_ip;  /* as text; IPv4-mapped addresses are given as IPv4 */
	struct pst_str local_ip;
	struct pst_str sni;       /* server name of the TLS handshake, or empty */
	struct pst_str mechanism; /* "USER", "PLAIN", "SCRAM-SHA-256-PLUS", … */
	bool tls;

	uint32_t tls_version; /* 12, 13; 0: no TLS */
	/* What an app password begins with (up to its '-'), where the password looks like one: a
	 * handle to find its row with, no secret. Else empty. */
	struct pst_str app_prefix;
};

/* What a backend knows of a user. Zeroed by the server; every string must be a copy made with
 * host->copy(record->arena, …). Empty or 0 means "not said": the server's setting counts. */
struct pst_auth_record {
	struct pst_arena *arena;
	struct pst_str user;       /* the name the session goes by; empty: as asked */
	struct pst_str credential; /* "{SCHEME}data", or data in the default scheme; lookup only */
	struct pst_str location;   /* "maildir:/path"; empty: from mail.location */
	struct pst_str reason;     /* with PST_AUTH_DISABLED */
	uint32_t uid, gid;         /* for mail.run_as = "user"; 0 is refused there */

	struct pst_str home;       /* absolute; what %{home} in a location stands for */
	struct pst_str allow_nets; /* networks that may log in: "192.0.2.0/24, 2001:db8::/32" */
	uint32_t min_tls;          /* 10: any TLS, 12, 13: that version or later */
	uint32_t max_sessions;     /* of this user at the same time */
	uint32_t max_listed;       /* messages in a session, the oldest ones */
	int64_t min_poll_ms;       /* between two logins (LOGIN-DELAY, RFC 2449 section 6.5) */
	bool read_only;            /* DELE is refused */
	struct pst_str rehash;     /* "off", "report", "on"; empty: auth.rehash */

	/* lookup, asked with an app_prefix: the app password's stored form, which is tried before
	 * credential, and its label for the log. */
	struct pst_str app_credential;
	struct pst_str app_label;

	/* token, with PST_AUTH_WRONG: a JSON object for the client (RFC 7628 section 3.2.2); empty:
	 * the server's own. */
	struct pst_str token_error;

	/* lookup, with PST_AUTH_OK: the name that was asked for only stands for this one, whose own
	 * record counts. All backends are asked for it in their order; nothing else is read here. */
	struct pst_str alias;

	/* The user is to be served by another server: "host" or "host:port". The login is refused
	 * with that reason, as this server passes nobody on. */
	struct pst_str proxy;

	/* For `posternctl auth explain`: the key of the plugin's section that gave this answer, a
	 * query's for one. Looked at whatever the result. */
	struct pst_str source;

	/* verify and token, with PST_AUTH_DISABLED: the credentials were right, so that the client may
	 * be told that it is not another password that is wanted. */
	bool password_right;

	/* Networks from which app_credential may be used; empty: from all. allow_nets counts as well. */
	struct pst_str app_nets;

	/* Days that a message may stay in the maildrop (RFC 2449 section 6.7), and that a deleted one is
	 * kept for an admin; 0: not said, PST_AUTH_NO_DAYS: none, whatever the server's settings. */
	uint32_t expire_days, hold_days;
};

#define PST_AUTH_NO_DAYS UINT32_MAX

/* What happened, told to the backend that knew the user: in batches, in a process of its own, after
 * the client has its answer. */
enum pst_auth_event { PST_AUTH_LOGIN = 1, PST_AUTH_SESSION };

struct pst_auth_note {
	enum pst_auth_event event;
	struct pst_str user, local_part, domain;
	struct pst_str remote_ip;
	struct pst_str mechanism;
	struct pst_str app_prefix; /* PST_AUTH_LOGIN: of the app password that was used, or empty */
	int64_t at;                /* seconds since 1970 */
	/* PST_AUTH_SESSION: of the session that ended then */
	uint32_t retrieved, deleted;
	uint64_t octets;
	uint32_t seconds;
};

/* What changed behind the server's back. */
struct pst_auth_change {
	struct pst_str user;   /* that user; or empty, and */
	struct pst_str domain; /* anybody of that domain; or empty: anybody */
};

/* What can be said of an account, and taken back. */
enum pst_auth_field {
	PST_AUTH_FIELD_LOCATION = 1 << 0,
	PST_AUTH_FIELD_HOME = 1 << 1,
	PST_AUTH_FIELD_UID = 1 << 2,
	PST_AUTH_FIELD_GID = 1 << 3,
	PST_AUTH_FIELD_POP3_ENABLED = 1 << 4,
	PST_AUTH_FIELD_ALLOW_NETS = 1 << 5,
	PST_AUTH_FIELD_MAX_SESSIONS = 1 << 6,
	PST_AUTH_FIELD_MIN_POLL = 1 << 7,
	PST_AUTH_FIELD_MAX_LISTED = 1 << 8,
	PST_AUTH_FIELD_MIN_TLS = 1 << 9,
	PST_AUTH_FIELD_REHASH = 1 << 10,
	PST_AUTH_FIELD_READ_ONLY = 1 << 11,
	PST_AUTH_FIELD_EXPIRE_DAYS = 1 << 12,
	PST_AUTH_FIELD_HOLD_DAYS = 1 << 13,
};

enum pst_auth_choice { PST_AUTH_UNSAID, PST_AUTH_YES, PST_AUTH_NO };

/* A user as the administration sees it. */
struct pst_auth_user {
	struct pst_str name;
	struct pst_str credential; /* in: what to store; out: empty, but for user_show */
	struct pst_str location;
	struct pst_str reason;
	uint32_t uid, gid;
	bool enabled;

	/* As in the record; in, and out for user_show. */
	struct pst_str home;
	struct pst_str allow_nets;
	struct pst_str rehash;
	uint32_t min_tls;
	uint32_t max_sessions;
	uint32_t max_listed;
	int64_t min_poll_ms;
	enum pst_auth_choice pop3_enabled, read_only;
	uint32_t expire_days, hold_days;
};

/* mail.locks = "lease": which of several servers with the same mail may open a maildrop. */
struct pst_auth_lease {
	struct pst_str maildrop; /* its location */
	struct pst_str holder;   /* this server, among those with the same mail */
	struct pst_str taker; /* the session that takes it; empty: it is ours already, for longer */
	int64_t seconds;      /* that it is to hold, from now */
	bool is_ours;         /* out */
};

struct pst_auth {
	/* sizeof(struct pst_auth) that the plugin was built with; members are only appended. */
	uint32_t size;

	/* PST_AUTH_TEMP comes with err filled, the others do not. */
	enum pst_auth_result (*lookup)(void *self, const struct pst_auth_query *query,
	                               struct pst_auth_record *record, struct pst_err *err);
	enum pst_auth_result (*verify)(void *self, const struct pst_auth_query *query,
	                               struct pst_str password, struct pst_auth_record *record,
	                               struct pst_err *err);

	/* For `posternctl user …`, which loads the plugin in its own process; each may be NULL.
	 * add fails with PST_E_CLIENT where the user is there, the others where it is not. */
	int (*user_add)(void *self, const struct pst_auth_user *user, struct pst_err *err);
	int (*user_passwd)(void *self, struct pst_str name, struct pst_str credential,
	                   struct pst_err *err);
	int (*user_enable)(void *self, struct pst_str name, bool enabled, struct pst_str reason,
	                   struct pst_err *err);
	int (*user_delete)(void *self, struct pst_str name, struct pst_err *err);
	/* Calls each for every user of the domain (empty: of all), in order of their names. */
	int (*user_list)(void *self, struct pst_str domain,
	                 void (*each)(void *arg, const struct pst_auth_user *user), void *arg,
	                 struct pst_err *err);

	/* Tries everything that the settings name against the real thing (are the tables there, do
	 * the queries prepare?). `posternctl config check --connect`. May be NULL. */
	int (*probe)(void *self, struct pst_err *err);

	/* Makes what is missing so that users can be added (an empty database with its schema).
	 * `posternctl user add` calls it where a file of a WRITE_PATH setting is missing. May be NULL. */
	int (*create)(void *self, struct pst_err *err);

	/* OAUTHBEARER and XOAUTH2: whose token is it? record->user is the name; it is the server that
	 * compares it with the name that the client gave. query->user is the client's, or empty. The
	 * user's record comes from the other backends then, unless there are none. */
	enum pst_auth_result (*token)(void *self, const struct pst_auth_query *query,
	                              struct pst_str token, struct pst_auth_record *record,
	                              struct pst_err *err);

	/* Stores new_credential in place of old_credential, and only of that (compare and swap).
	 * PST_AUTH_UNKNOWN: another one is stored by now. In the clerk's process. May be NULL. */
	enum pst_auth_result (*rehash)(void *self, struct pst_str name,
	                               struct pst_str old_credential, struct pst_str new_credential,
	                               struct pst_err *err);

	/* n notes, oldest first. -1 (PST_E_TEMP): none of them is stored; they are given again later,
	 * with more. In the clerk's process. May be NULL. */
	int (*notes)(void *self, const struct pst_auth_note *notes, size_t n, struct pst_err *err);

	/* Changes as they happen, in the clerk's process. watch_fd begins to listen where it does not
	 * yet; it gives a descriptor that becomes readable when there is something to read, or -1:
	 * it is called again after a while, and whatever may have changed until then is looked at.
	 * It may block for a second at most. Both may be NULL. */
	int (*watch_fd)(void *self, struct pst_err *err);
	/* Reads without waiting; calls changed for each. -1: it no longer listens. */
	int (*watch_read)(void *self,
	                  void (*changed)(void *arg, const struct pst_auth_change *change),
	                  void *arg, struct pst_err *err);

	/* `posternctl user show`: calls each for what is stored of the user, with the credential, and
	 * (is_domain) for what counts for those of its domain who do not say otherwise, where such a
	 * thing is stored. Only what stands there, nothing joined. PST_E_CLIENT: there is no such user.
	 * May be NULL. */
	int (*user_show)(void *self, struct pst_str name,
	                 void (*each)(void *arg, const struct pst_auth_user *stored,
	                              bool is_domain),
	                 void *arg, struct pst_err *err);

	/* `posternctl user set`: stores what the user says, as in user_add, and takes back the fields of
	 * unset (bits of enum pst_auth_field); all others stay, as do credential, enabled and reason.
	 * PST_E_CLIENT: there is no such user. May be NULL. */
	int (*user_set)(void *self, const struct pst_auth_user *user, uint32_t unset,
	                struct pst_err *err);

	/* Gives the holder each of the n leases that nobody else has now, and tells which. By the
	 * database's clock. -1 (PST_E_TEMP): it is not known. When a session begins, in an auth worker,
	 * and in the clerk's process. May be NULL, both. */
	int (*lease)(void *self, struct pst_auth_lease *leases, size_t n, struct pst_err *err);
	/* Gives those back that no other taker has taken since. */
	int (*lease_end)(void *self, const struct pst_auth_lease *leases, size_t n,
	                 struct pst_err *err);
};

#endif
