/* SPDX-License-Identifier: MIT */
/* authn/exchange.h - attempts to log in that take several messages, between two of them: SCRAM.
 *
 * Of an exchange the worker keeps the request as it came and what the library knows; no key of a user,
 * who is looked up anew at the end. There are so many at a time and no more; one goes when its client has
 * no time left to answer, when a newer one needs its place, or when login says that the client is gone. */
#ifndef AUTHN_EXCHANGE_H
#define AUTHN_EXCHANGE_H

#include "authn/answer.h"

#define EXCHANGES_MAX 1024 /* a power of two */

/* NULL with err where the library cannot be had. */
struct exchanges *exchanges_create(struct pst_err *err);
void exchanges_destroy(struct exchanges *e); /* accepts NULL */

/* The first message, in r->wire: r->reply is the challenge, or a refusal. */
void exchanges_begin(struct request *r);

/* A wire_auth_step out of the worker's inbox. The caller wipes data. */
void exchanges_step(struct authn *a, struct pst_str data);

/* Forgets those whose time is over; how long until this should be called again, or -1. */
int exchanges_sweep(struct authn *a);

#endif
