/* SPDX-License-Identifier: MIT */
/* base/crypto.h - hashes, random numbers and one sealed box; GnuTLS does the work. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#define PST_SEAL_KEY 32      /* octets of an AES-256-GCM key */
#define PST_SEAL_OVERHEAD 24 /* 8 octets of nonce before, 16 of tag after */

void pst_random(void *out, size_t n); /* aborts where the system gives none */
void pst_sha256(const void *data, size_t n, uint8_t out[32]);

/* Digest of a followed by b; neither stays in memory. For what others stored long ago: SHA-1 and MD5
 * are here too. */
enum pst_digest { PST_SHA1 = 1, PST_SHA256, PST_SHA512, PST_MD5 };
#define PST_DIGEST_MAX 64
size_t pst_digest_octets(enum pst_digest d);
void pst_digest(enum pst_digest d, struct pst_str a, struct pst_str b, uint8_t *out);

/* SHA-256 of octets that come in pieces; not for secrets. end frees it. */
struct pst_sum;
struct pst_sum *pst_sum_create(void);
void pst_sum_add(struct pst_sum *s, const void *data, size_t n);
void pst_sum_end(struct pst_sum *s, uint8_t out[32]);

void pst_hmac_sha256(struct pst_str key, struct pst_str data, uint8_t out[32]);
void pst_hmac(enum pst_digest d, struct pst_str key, struct pst_str data, uint8_t *out);

/* PBKDF2 (RFC 8018) with HMAC; one block of the digest's octets. The password does not stay in memory. */
void pst_pbkdf2(enum pst_digest d, struct pst_str password, struct pst_str salt,
                uint32_t iterations, uint8_t *out);

/* Seals plain under key. nonce must never repeat for a key. out has room for plain.n +
 * PST_SEAL_OVERHEAD octets. Aborts on a library failure. */
struct pst_sealer;
struct pst_sealer *pst_sealer_create(const uint8_t key[PST_SEAL_KEY]);
void pst_sealer_destroy(struct pst_sealer *s);
void pst_seal(struct pst_sealer *s, uint64_t nonce, struct pst_str plain, uint8_t *out);

/* Opens box (nonce, ciphertext, tag) into out, which has room for box.n octets; *n_out octets are
 * good. -1 (PST_E_PERM) where it was not sealed under this key. *nonce_out may be NULL. */
int pst_unseal(struct pst_sealer *s, struct pst_str box, uint8_t *out, size_t *n_out,
               uint64_t *nonce_out, struct pst_err *err);

#endif
