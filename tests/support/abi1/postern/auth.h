/* SPDX-License-Identifier: MIT */
/* postern/auth.h - what an auth plugin does: find a user, or check a password.
 *
 * It runs in an auth worker: one request at a time in each process, and it may
 * block (other workers go on). A request that takes longer than auth.timeout
 * has its worker killed and replaced, and the client is told [SYS/TEMP].
 *
 * Give one of the two:
 *   lookup  finds the user's record, with the stored credential in it; the server
 *           does the hashing, the mechanisms and the cache. SQL and files do this.
 *   verify  is given the password and checks it itself: PAM, an LDAP bind.
 *
 * An unknown user and a wrong password must cost the client the same time: with
 * lookup the server sees to that, with verify the plugin does. */
#ifndef POSTERN_AUTH_H
#define POSTERN_AUTH_H

#include <postern/plugin.h>

enum pst_auth_result {
	PST_AUTH_OK = 1,
	PST_AUTH_UNKNOWN,  /* no such user here; the next backend of the chain is asked */
	PST_AUTH_WRONG,    /* verify only: the password is not right */
	PST_AUTH_DISABLED, /* known, but may not log in; record->reason says why, for the log */
	PST_AUTH_TEMP,     /* cannot tell now, err is filled: -ERR [SYS/TEMP], never [AUTH] */
};

/* Who asks. Everything is borrowed until the call returns; no string holds a NUL octet. */
struct pst_auth_query {
	struct pst_str user;       /* as folded by the server, whole: "local@domain" or "local" */
	struct pst_str local_part; /* before the last '@', or all of it */
	struct pst_str domain;     /* after the last '@', or empty */
	struct pst_str remote_ip;  /* as text; IPv4-mapped addresses are given as IPv4 */
	struct pst_str local_ip;
	struct pst_str sni;       /* server name of the TLS handshake, or empty */
	struct pst_str mechanism; /* "USER", "PLAIN", "LOGIN" */
	bool tls;
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
};

/* A user as the administration sees it. */
struct pst_auth_user {
	struct pst_str name;
	struct pst_str credential; /* in: what to store; out: always empty */
	struct pst_str location;
	struct pst_str reason;
	uint32_t uid, gid;
	bool enabled;
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
};

#endif
