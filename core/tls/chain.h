/* SPDX-License-Identifier: MIT */
/* tls/chain.h - a certificate chain as a handshake uses it: parsed once, shared by all sessions.
 *
 * The private key in it is a stand-in that asks the oracle for each signature. GnuTLS borrows chain and
 * key for as long as a session lives, so whoever gives them to a session holds a count until after
 * gnutls_deinit. */
#ifndef TLS_CHAIN_H
#define TLS_CHAIN_H

#include <gnutls/abstract.h>

#include "tls/oracle.h"

struct tls_chain {
	struct tls_chain *next; /* in its table */
	unsigned refs;
	uint64_t version; /* names the key to the oracle; follows from the certificates */
	gnutls_pk_algorithm_t pk;
	unsigned bits;
	gnutls_pcert_st *certs;
	unsigned cert_count;
	gnutls_privkey_t key;
	const struct tls_oracle *oracle; /* borrowed */
	/* What was asked last when this was the answer: asking it again makes an oracle that has
	 * forgotten the key load it again. */
	char *name;
	uint8_t type;
};

/* A chain with one count, which is the caller's. The oracle must outlive it. -1: PST_E_PERM, the reply
 * makes no sense. */
struct tls_chain *tls_chain_create(const struct tls_oracle *oracle, struct pst_str name,
                                   uint8_t type, const struct wire_chain_reply *reply,
                                   struct pst_err *err);

/* Remembers that this was the answer for a name just now. */
void tls_chain_asked(struct tls_chain *c, struct pst_str name, uint8_t type);

/* Frees it, whatever its count is. Accepts NULL. */
void tls_chain_destroy(struct tls_chain *c);

#endif
