/* SPDX-License-Identifier: MIT */
/* tls/names.h - server names to certificate chains: what the oracle said, kept for a while.
 *
 * An answer is believed for check_interval; then the oracle is asked whether it is still right, which is
 * cheap when it is. Names without a certificate of their own (a scanner can make them up by the
 * million) have a table apart, so that they push no real name out. */
#ifndef TLS_NAMES_H
#define TLS_NAMES_H

#include "tls/chain.h"

struct tls_names;

/* max: names kept. The oracle is borrowed. */
struct tls_names *tls_names_create(const struct tls_oracle *oracle, size_t max,
                                   int64_t check_interval_ms);
void tls_names_destroy(struct tls_names *n); /* after all sessions; accepts NULL */

/* The chain for a name (lower case; "" for none), with a count that the caller gives back by
 * tls_chain_release; or NULL with err. While the oracle is away, what was known last is used. */
struct tls_chain *tls_names_get(struct tls_names *n, struct pst_str name, uint8_t type,
                                int64_t now_ms, struct pst_err *err);

void tls_names_release(struct tls_names *n, struct tls_chain *c); /* accepts NULL */

#endif
