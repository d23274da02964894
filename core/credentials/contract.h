/* SPDX-License-Identifier: MIT */
/* credentials/contract.h - what a user's record says of who may come in with the right password.
 *
 * It is judged where the credentials were good, in the same way for every mechanism, and for a user
 * that is disabled too: where the networks keep a client out, it learns neither that the password was
 * right nor anything else about the user. */
#ifndef CREDENTIALS_CONTRACT_H
#define CREDENTIALS_CONTRACT_H

#include <postern/auth.h>

struct contract_verdict {
	/* What the client is told: PST_E_AUTH, just as for a wrong password and at the same time; or
	 * PST_E_PERM, and text. */
	enum pst_err_kind kind;
	const char *text; /* for the client; "": the kind's own */
	bool is_broken;   /* the record can be kept by nobody: an admin must act */
	char why[200];    /* for the log, as key=value pairs */
};

struct contract_term {
	const char *name; /* as in the record: "allow_nets" */

	/* Whether the record says anything of it. */
	bool (*is_said)(const struct pst_auth_record *record);

	/* False, with *out filled, where it keeps this client out. */
	bool (*is_met)(const struct pst_auth_record *record, const struct pst_auth_query *query,
	               struct contract_verdict *out);
};

/* In the order in which they are judged: the one that must tell nothing comes first. Ended by a row
 * with name NULL. */
extern const struct contract_term contract_terms[];

/* The first term that is not met, with *out filled; NULL: the user may come in. */
const struct contract_term *contract_judge(const struct pst_auth_record *record,
                                           const struct pst_auth_query *query,
                                           struct contract_verdict *out);

/* The one term, by name. */
const struct contract_term *contract_find(const char *name);

#endif
