/* SPDX-License-Identifier: MIT */
/* credentials/chain.h - the auth backends in their order: who knows the user, is the password right?
 *
 * One question walks the backends: unknown → the next one; disabled → stop; temporary failure or a
 * wrong password → stop, but where the backend's section says on_temp or on_wrong = "next". A name
 * that only stands for another is asked for again by that one. Whatever the refusal, it costs the
 * time of as many checks as the rules can come to. The auth worker and `posternctl auth test` ask in
 * the same way.
 *
 * What takes long (a slow hash, a backend that checks passwords itself) can be left out: then the
 * verdict is CHAIN_SLOW, and the same question is for a process that may take the time. */
#ifndef CREDENTIALS_CHAIN_H
#define CREDENTIALS_CHAIN_H

#include <postern/auth.h>

#include "config/settings.h"
#include "credentials/scheme.h"
#include "credentials/username.h"
#include "plugin/registry.h"

#define CHAIN_MAX 16 /* backends */

struct chain;
struct verified;

/* The backends that settings->auth.backends names, loaded in r (both borrowed) and started before the
 * first question. NULL with err: a backend that cannot serve, or a mail.location that no user could
 * have. */
struct chain *chain_create(const struct settings *settings, const struct registry *r,
                           struct pst_err *err);

/* The same of settings->auth.master_backends, whose users need no mail of their own: their answers
 * have no location. */
struct chain *chain_create_masters(const struct settings *settings, const struct registry *r,
                                   struct pst_err *err);
void chain_destroy(struct chain *c); /* accepts NULL */

/* Slow passwords that were right are remembered in v for so long. v: shared; NULL: none are. */
void chain_remember(struct chain *c, struct verified *v, int64_t age_ms);

size_t chain_count(const struct chain *c);
const char *chain_name(const struct chain *c, size_t idx); /* the instance's */
const struct pst_auth *chain_auth(const struct chain *c, size_t idx);
void *chain_self(const struct chain *c, size_t idx); /* for its functions */

enum chain_verdict {
	CHAIN_OK = 1,
	CHAIN_WRONG,    /* the password is not right */
	CHAIN_UNKNOWN,  /* no backend knows the user */
	CHAIN_DISABLED, /* whatever the password; password_right tells */
	CHAIN_ERROR,    /* err is filled: PST_E_TEMP or PST_E_PERM */
	CHAIN_SLOW,     /* asked in haste: whoever may take the time is to be asked the same */
};

/* What the client has to show. */
enum proof_kind {
	PROOF_NONE,     /* nothing: is the user known? */
	PROOF_KEEP,     /* likewise, and the mechanism does the checking: see record.credential */
	PROOF_PASSWORD, /* secret is a password */
	PROOF_TOKEN,    /* secret is an access token; query->user may be empty */
};

struct chain_proof {
	enum proof_kind kind;
	struct pst_str secret;
	bool in_haste; /* CHAIN_SLOW rather than what takes long */
};

struct chain_answer {
	enum chain_verdict verdict;
	size_t backend; /* its place in the chain; chain_count where none decided */
	bool password_right;
	bool is_remembered; /* that it is right was known: no hash was computed */
	bool is_app;        /* it was the app password that record.app_label names */
	size_t wrong_at;    /* 1 + a backend before it that found the password wrong; 0: none did */
	/* Strings in the arena. The credentials are taken out, but with PROOF_KEEP, where they are
	 * the caller's to wipe; credential may be empty there. */
	struct pst_auth_record record;
	struct username user;    /* the name that the session goes by */
	struct pst_str location; /* filled in; with CHAIN_OK */
	/* PROOF_PASSWORD, CHAIN_OK: what is stored, where it is not what one would store today; the
	 * caller's to wipe. */
	struct pst_str outdated;
	struct pst_err err;
};

/* Told of each step; each may be NULL. */
struct chain_watch {
	void (*asking)(void *arg, size_t backend);
	void (*answered)(void *arg, size_t backend, enum pst_auth_result result,
	                 const struct pst_err *err);
	void *arg;

	/* What it gave, as it gave it, credentials and all, after answered; and that the user asked
	 * for from here on is another one. */
	void (*gave)(void *arg, size_t backend, enum pst_auth_result result,
	             const struct pst_auth_record *record);
	void (*renamed)(void *arg, struct pst_str user);
};

/* Without a password to check, OK means that the user is known. A backend that only checks passwords
 * itself cannot say so: PROOF_NONE ends in CHAIN_ERROR there, PROOF_KEEP and what PROOF_TOKEN looks
 * up pass it over. PROOF_TOKEN asks the backends that know tokens; the user whom one names is looked
 * up in the others, unless none of them looks users up. */
void chain_ask(struct chain *c, const struct pst_auth_query *query, const struct chain_proof *proof,
               struct pst_arena *arena, const struct chain_watch *watch, struct chain_answer *out);

/* Spends what a question with a wrong password does: for a name that cannot be a user's. In haste it
 * spends nothing where that takes long, and says so: the others spend it. */
bool chain_burn(struct chain *c, struct pst_str password, bool in_haste);

/* What config check must ask about: a default scheme that is none is a problem. */
void chain_check_settings(const struct settings *settings, const struct conf_texts *t,
                          struct conf_problems *problems);

/* What scheme_make and scheme_verify are told, from the settings. */
struct scheme_cost chain_cost(const struct settings *settings);

#endif
