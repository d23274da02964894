/* SPDX-License-Identifier: MIT */
/* login/exchange.h - an attempt that takes more than one message: what an auth worker wants the client
 * to be asked, and what it says of the attempt when the client has seen the last challenge. */
#ifndef LOGIN_EXCHANGE_H
#define LOGIN_EXCHANGE_H

#include "ipc/wire.h"

struct client;

struct exchange {
	bool is_final; /* the reply is the verdict: what the client says to the challenge is no matter */
	bool is_asked; /* the challenge was sent */
	uint32_t auth_slot;
	uint64_t id;
	struct wire_auth_reply reply; /* its strings are owned */
};

/* A reply with a challenge: it is sent at once, or where it goes with a refusal after its delay. */
void exchange_begin(struct client *c, const struct wire_auth_reply *reply);

/* Sends the challenge of c->exchange. */
void exchange_ask(struct client *c);

/* The client has answered: c->dialog.response. */
void exchange_answered(struct client *c);

/* Ends it without a word to the client; the auth worker is told. c->exchange may be NULL. */
void exchange_drop(struct client *c);

#endif
