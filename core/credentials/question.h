/* SPDX-License-Identifier: MIT */
/* credentials/question.h - inside this folder: a chain, and one question on its way through it. */
#ifndef CREDENTIALS_QUESTION_H
#define CREDENTIALS_QUESTION_H

#include "credentials/chain.h"

struct backend {
	const char *name;
	struct plugin *plugin;
	const struct pst_auth *auth;
	bool was_passed_over; /* and the log said so */
};

struct chain {
	const struct settings *settings;
	struct scheme_cost cost;
	struct verified *verified; /* or NULL */
	int64_t verified_age_ms;
	struct backend v[CHAIN_MAX];
	size_t n;
	bool has_lookup; /* then an unknown user is ours to make as slow as a wrong password */
};

struct question {
	struct chain *chain;
	const struct pst_auth_query *query;
	const struct chain_proof *proof;
	struct pst_arena *arena;
	const struct chain_watch *watch; /* or NULL */
	struct chain_answer *out;
	size_t token_from; /* 1 + the backend that named the user whom this looks up; else 0 */
	bool spent;        /* the time of a check */
};

/* ---- record.c: a plugin may be anybody's: what it gave is looked at before it is believed ---- */

int record_check(const struct backend *b, const struct pst_auth_record *r, struct pst_err *err);

/* The answer's user and location: as its record says, else as asked and as set. */
int record_settle(const struct question *q, struct pst_err *err);

/* ---- proof.c: is the password right? ---- */

enum check_state {
	CHECK_RIGHT = 1,
	CHECK_WRONG,
	CHECK_BROKEN, /* err is filled: what is stored can match nothing */
	CHECK_SLOW,   /* asked in haste, and not known to be right */
};

/* Against the record's app_credential and credential, one of which must be there. */
enum check_state proof_check(struct question *q, struct pst_err *err);

/* Whether new passwords, and so the check for a user that nobody knows, are slow. */
bool proof_default_is_slow(const struct chain *c);

#endif
