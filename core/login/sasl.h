/* SPDX-License-Identifier: MIT */
/* login/sasl.h - the exchanges of AUTH, as far as login leads them itself.
 *
 * An exchange gathers what the client has to say from base64 lines: for PLAIN (RFC 4616) and LOGIN a
 * user and a password, for the others the response to give to an auth worker. It neither judges nor
 * keeps them. */
#ifndef LOGIN_SASL_H
#define LOGIN_SASL_H

#include <postern/err.h>
#include <postern/str.h>

#include "login/attempt.h"

struct sasl;

enum sasl_step {
	SASL_CHALLENGE = 1, /* send "+ " and sasl_challenge, then give the next line */
	SASL_DONE,          /* the attempt is filled */
	SASL_BAD,           /* err (PST_E_CLIENT): the exchange is over */
};

/* id: one that AUTH begins. */
struct sasl *sasl_create(enum mechanism_id id);
void sasl_destroy(struct sasl *s); /* wipes; accepts NULL */

/* The first step: with the initial response of the AUTH line, or initial.p NULL where there is none. */
enum sasl_step sasl_begin(struct sasl *s, struct pst_str initial, struct attempt *a,
                          struct pst_err *err);

/* Every further line of the client. */
enum sasl_step sasl_line(struct sasl *s, struct pst_str line, struct attempt *a,
                         struct pst_err *err);

/* In base64: what comes after "+ ". */
const char *sasl_challenge(const struct sasl *s);

/* What a line of an exchange holds that an auth worker leads: owned by the caller, to be wiped. -1
 * (PST_E_CLIENT): it is no base64, or "*". */
int sasl_decode(struct pst_str line, struct pst_str *response_out, struct pst_err *err);

#endif
