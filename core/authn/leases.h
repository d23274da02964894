/* SPDX-License-Identifier: MIT */
/* authn/leases.h - leases of maildrops for servers that share the mail (mail.locks = "lease"): taken
 * before a ticket is made, renewed and given back by the clerk for the mail workers' notes. */
#ifndef AUTHN_LEASES_H
#define AUTHN_LEASES_H

#include <stdbool.h>
#include <stdint.h>

#include "authn/answer.h"

/* In an auth worker: takes the lease of the maildrop that the answer names, if leases are asked for.
 * 0: *leased_ms_out as in the ticket. -1: err says what the client is told; the reason is logged. */
int leases_take(struct request *r, int64_t *leased_ms_out, struct pst_err *err);

/* In the clerk. */
struct leases;

/* env and chain are borrowed. */
struct leases *leases_create(const struct worker_env *env, struct chain *chain);
void leases_destroy(struct leases *l); /* accepts NULL */

/* Keeps a copy of a NOTE_LEASE or NOTE_LEASE_END. false: it cannot be right. */
bool leases_add(struct leases *l, const struct wire_note *note);

/* When leases_work has something to do; INT64_MAX: never. */
int64_t leases_due(const struct leases *l);

/* One call of a backend; false: nothing was due. */
bool leases_work(struct leases *l, int64_t now_ms);

/* At the end: gives back what it can until then. */
void leases_close(struct leases *l, int64_t until_ms);

#endif
