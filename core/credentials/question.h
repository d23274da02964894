/* SPDX-License-Identifier: MIT */
/* credentials/question.h - inside this folder: a chain, and one question on its way through it. */
#ifndef CREDENTIALS_QUESTION_H
#define CREDENTIALS_QUESTION_H

#include "credentials/chain.h"
#include "credentials/complaint.h"

struct backend {
	const char *name;
	struct plugin *plugin; /* NULL: it is left out */
	const struct pst_auth *auth;
	struct backend_rules rules;
	bool was_passed_over; /* and the log said so */
};

struct chain {
	const struct settings *settings;
	struct scheme_cost cost;
	struct verified *verified; /* or NULL */
	int64_t verified_age_ms;
	struct backend v[CHAIN_MAX];
	size_t n;
	struct complaints weak; /* users whose passwords are stored in weak schemes */
	bool needs_no_mail;
	unsigned checks; /* that a refused password takes time for, whoever asks for whom */
};

/* What a question has met, in all the backends that it was put to. */
struct way_state {
	unsigned checks; /* whose time was spent */
	bool is_settled; /* by backends that were asked for another name: ours have no say any more */
	size_t wrong; /* 1 + the first backend whose rules let a wrong password pass on; else 0 */
	size_t temp;  /* likewise, that cannot tell now */
	struct pst_err temp_err;
};

struct question {
	struct chain *chain;
	const struct pst_auth_query *query;
	const struct chain_proof *proof;
	struct pst_arena *arena;
	const struct chain_watch *watch; /* or NULL */
	struct chain_answer *out;
	size_t token_from; /* 1 + the backend that named the user whom this looks up; else 0 */
	unsigned aliases;  /* that led to this name */
	bool spent;        /* the time of a check, with the backend at hand */
	struct way_state state;
};

/* ---- rules.c: what follows an answer ---- */

/* The most checks of passwords that one question can come to. */
unsigned rules_checks(const struct chain *c);

/* After the answer of backend idx: whether the next one is to be asked. */
bool rules_go_on(struct question *q, size_t idx);

/* The verdict of all of them together. */
void rules_conclude(struct question *q);

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

/* Spends the time of so many checks; false, in haste: somebody else must, as it takes long. */
bool proof_burn(const struct chain *c, struct pst_str password, unsigned checks, bool in_haste);

/* Whether new passwords, and so the check for a user that nobody knows, are slow. */
bool proof_default_is_slow(const struct chain *c);

#endif
