/* SPDX-License-Identifier: MIT */
/* login/sasl.h - the exchanges of AUTH that login leads itself: PLAIN (RFC 4616) and LOGIN.
 *
 * An exchange gathers a user name and a password from base64 lines. It neither judges them nor keeps
 * them: they go to an auth worker and are wiped. */
#ifndef LOGIN_SASL_H
#define LOGIN_SASL_H

#include <postern/err.h>
#include <postern/str.h>

#include "ipc/wire.h"

/* What a client wants to log in with. */
struct attempt {
	const char *mechanism; /* "USER", "PLAIN" or "LOGIN" */
	size_t user_n, password_n;
	char user[WIRE_USER];
	char password[WIRE_PASSWORD];
	/* One of them is empty, too long or holds a NUL, or it wants to act for another: no such user
	 * can be, and the client is told what it would be told for a wrong password. */
	bool is_hopeless;
};

void attempt_set(struct attempt *a, const char *mechanism, struct pst_str user,
                 struct pst_str password);
void attempt_destroy(struct attempt *a); /* wipes; accepts NULL */

#define SASL_MECHANISMS "PLAIN LOGIN"

struct sasl;

enum sasl_step {
	SASL_CHALLENGE = 1, /* send "+ " and sasl_challenge, then give the next line */
	SASL_DONE,          /* the attempt is filled */
	SASL_BAD,           /* err (PST_E_CLIENT): the exchange is over */
};

/* NULL where the mechanism is none of ours. */
struct sasl *sasl_create(struct pst_str mechanism);
void sasl_destroy(struct sasl *s); /* wipes; accepts NULL */

/* The first step: with the initial response of the AUTH line, or initial.p NULL where there is none. */
enum sasl_step sasl_begin(struct sasl *s, struct pst_str initial, struct attempt *a,
                          struct pst_err *err);

/* Every further line of the client. */
enum sasl_step sasl_line(struct sasl *s, struct pst_str line, struct attempt *a,
                         struct pst_err *err);

/* In base64: what comes after "+ ". */
const char *sasl_challenge(const struct sasl *s);

#endif
