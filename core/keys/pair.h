/* SPDX-License-Identifier: MIT */
/* keys/pair.h - a certificate chain and its private key, checked to belong together. */
#ifndef KEYS_PAIR_H
#define KEYS_PAIR_H

#include <gnutls/abstract.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

struct pair {
	struct pair *next; /* in the store's table of versions */
	/* From the chain's digest: the same files give the same, in any process. */
	uint64_t version;
	gnutls_pk_algorithm_t pk;
	uint8_t type; /* TLS_TYPE_EC or TLS_TYPE_RSA */
	uint32_t bits;
	int64_t expires; /* of the first certificate, seconds since 1970 */
	gnutls_privkey_t key;
	char *chain; /* DER, as in wire_chain_reply */
	size_t chain_n;
};

/* From the texts of two PEM files. host: the name that the certificate should be good for, or "":
 * *fits_out says whether it is. -1 (PST_E_PERM) with the reason. */
int pair_create(struct pst_str certs, struct pst_str key, const char *host, struct pair **pair_out,
                bool *fits_out, struct pst_err *err);

/* Wipes the key. Accepts NULL. */
void pair_destroy(struct pair *p);

/* A signature by algorithm (gnutls_sign_algorithm_t) into out; octets written to *n_out. */
int pair_sign(const struct pair *p, uint32_t algorithm, bool is_hash, struct pst_str data,
              char *out, size_t cap, size_t *n_out, struct pst_err *err);

#endif
