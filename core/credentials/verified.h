/* SPDX-License-Identifier: MIT */
/* credentials/verified.h - passwords that were right a while ago.
 *
 * Checking a strong hash costs a hundred times what all the rest of a login does, and a client asks
 * for mail every few minutes. So after a success a mark is kept: an HMAC over the user, the stored
 * credential and the password, under a key of this boot. It is of no use without the password, and
 * counts only while the very same credential is stored, so that a changed password, or an app
 * password that was removed, counts at once.
 *
 * The marks lie in shared memory of fixed size that only auth workers map. Only successes write into
 * it, and the oldest mark of its row gives way: guesses push nothing out. */
#ifndef CREDENTIALS_VERIFIED_H
#define CREDENTIALS_VERIFIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

struct verified;

/* Shared memory for about so many octets of marks; at least one row. */
size_t verified_octets(int64_t octets);
void verified_init(struct verified *v, size_t octets); /* the master's: a new key, no marks */
void verified_wipe(struct verified *v);                /* accepts NULL */

/* Whether this was right at most age_ms ago. v may be NULL: nothing is remembered. */
bool verified_is(struct verified *v, struct pst_str user, struct pst_str credential,
                 struct pst_str password, int64_t age_ms);
void verified_add(struct verified *v, struct pst_str user, struct pst_str credential,
                  struct pst_str password);

#endif
