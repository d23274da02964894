/* SPDX-License-Identifier: MIT */
/* login/attempt.h - what a client wants to log in with, as it goes to an auth worker. */
#ifndef LOGIN_ATTEMPT_H
#define LOGIN_ATTEMPT_H

#include "credentials/mechanism.h"
#include "ipc/wire.h"

#define ATTEMPT_CHALLENGE 80 /* octets of a challenge that login makes, with the NUL */

struct attempt {
	enum mechanism_id mechanism;
	size_t user_n, password_n, authzid_n;
	char user[WIRE_USER];
	char password[WIRE_PASSWORD];
	char authzid[WIRE_USER]; /* PLAIN: for whom to act, where that is another */

	/* Mechanisms without a password: the client's only response, or its first; owned. */
	struct pst_str response;
	char challenge[ATTEMPT_CHALLENGE]; /* what it answers, or "" */

	/* Something in it is empty, too long or holds a NUL: no such user can be, and the client is
	 * told what it would be told for a wrong password. */
	bool is_hopeless;
};

void attempt_set(struct attempt *a, enum mechanism_id mechanism, struct pst_str user,
                 struct pst_str password);

/* Of a mechanism without a password. user may be empty: then auth finds it in the response. */
void attempt_set_response(struct attempt *a, enum mechanism_id mechanism, struct pst_str user,
                          struct pst_str response);

void attempt_destroy(struct attempt *a); /* wipes; accepts NULL */

/* "<...@postern>": a challenge that was never given before and cannot be guessed (RFC 1939 section 7,
 * RFC 2195). */
void attempt_make_challenge(char out[ATTEMPT_CHALLENGE]);

/* Wipes and frees a string that is owned. */
void attempt_wipe_str(struct pst_str *s);

#endif
