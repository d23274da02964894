/* SPDX-License-Identifier: MIT */
/* credentials/chain.h - the auth backends in their order: who knows the user, is the password right?
 *
 * One question walks the backends: unknown → the next one; temporary failure, disabled or a wrong
 * password → stop. A user that nobody knows costs the time of a wrong password. The auth worker and
 * `posternctl auth test` ask in the same way. */
#ifndef CREDENTIALS_CHAIN_H
#define CREDENTIALS_CHAIN_H

#include <postern/auth.h>

#include "config/settings.h"
#include "credentials/scheme.h"
#include "credentials/username.h"
#include "plugin/registry.h"

#define CHAIN_MAX 16 /* backends */

struct chain;

/* The backends that settings->auth.backends names, loaded in r (both borrowed) and started before the
 * first question. NULL with err: a backend that cannot serve, or a mail.location that no user could
 * have. */
struct chain *chain_create(const struct settings *settings, const struct registry *r,
                           struct pst_err *err);
void chain_destroy(struct chain *c); /* accepts NULL */

size_t chain_count(const struct chain *c);
const char *chain_name(const struct chain *c, size_t idx); /* the instance's */

enum chain_verdict {
	CHAIN_OK = 1,
	CHAIN_WRONG,    /* the password is not right */
	CHAIN_UNKNOWN,  /* no backend knows the user */
	CHAIN_DISABLED, /* whatever the password; password_right tells */
	CHAIN_ERROR,    /* err is filled: PST_E_TEMP or PST_E_PERM */
};

struct chain_answer {
	enum chain_verdict verdict;
	size_t backend; /* its place in the chain; chain_count where none decided */
	bool password_right;
	struct pst_auth_record record; /* strings in the arena; the credential is taken out */
	struct username user;          /* the name that the session goes by */
	struct pst_str location;       /* filled in; with CHAIN_OK */
	struct pst_err err;
};

/* Told of each step; either may be NULL. */
struct chain_watch {
	void (*asking)(void *arg, size_t backend);
	void (*answered)(void *arg, size_t backend, enum pst_auth_result result,
	                 const struct pst_err *err);
	void *arg;
};

/* password may be NULL: then nothing is checked, and OK means that the user is known (or, from a
 * backend that checks passwords itself, CHAIN_ERROR). */
void chain_ask(struct chain *c, const struct pst_auth_query *query, const struct pst_str *password,
               struct pst_arena *arena, const struct chain_watch *watch, struct chain_answer *out);

/* Spends what a question with a wrong password does: for a name that cannot be a user's. */
void chain_burn(struct chain *c, struct pst_str password);

/* What config check must ask about: a default scheme that is none is a problem. */
void chain_check_settings(const struct settings *settings, const struct conf_texts *t,
                          struct conf_problems *problems);

/* What scheme_make and scheme_verify are told, from the settings. */
struct scheme_cost chain_cost(const struct settings *settings);

#endif
