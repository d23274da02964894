/* SPDX-License-Identifier: MIT */
/* Cryptography by GnuTLS; see crypto.h. */
#include "base/crypto.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TAG_OCTETS 16
#define NONCE_OCTETS 8 /* on the wire; the AEAD's 12 are four zeros and these */

struct pst_sealer {
	gnutls_aead_cipher_hd_t aead;
};

void
pst_random(void *out, size_t n)
{
	pst_assert(gnutls_rnd(GNUTLS_RND_KEY, out, n) == 0);
}

void
pst_sha256(const void *data, size_t n, uint8_t out[32])
{
	pst_assert(gnutls_hash_fast(GNUTLS_DIG_SHA256, data, n, out) == 0);
}

static gnutls_digest_algorithm_t
digest_algorithm(enum pst_digest d)
{
	switch (d) {
	case PST_SHA1:
		return GNUTLS_DIG_SHA1;
	case PST_SHA256:
		return GNUTLS_DIG_SHA256;
	case PST_MD5:
		return GNUTLS_DIG_MD5;
	case PST_SHA512:
		break;
	}
	return GNUTLS_DIG_SHA512;
}

size_t
pst_digest_octets(enum pst_digest d)
{
	return gnutls_hash_get_len(digest_algorithm(d));
}

void
pst_digest(enum pst_digest d, struct pst_str a, struct pst_str b, uint8_t *out)
{
	static const uint8_t zeros[127];
	gnutls_hash_hd_t hash;

	pst_assert(gnutls_hash_init(&hash, digest_algorithm(d)) == 0);
	pst_assert(a.n == 0 || gnutls_hash(hash, a.p, a.n) == 0);
	pst_assert(b.n == 0 || gnutls_hash(hash, b.p, b.n) == 0);
	gnutls_hash_output(hash, out);
	/* The library frees its state with the last block of the data in it, a password perhaps. One
	 * octet less than two blocks of 64, or than one of 128, takes that block's place. */
	pst_assert(gnutls_hash(hash, zeros, sizeof(zeros)) == 0);
	gnutls_hash_deinit(hash, NULL);
	pst_wipe_stack();
}

/* GnuTLS's handle is a pointer to its own, and has no name for what it points to. */
struct pst_sum {
	gnutls_hash_hd_t hash;
};

struct pst_sum *
pst_sum_create(void)
{
	struct pst_sum *s = pst_new(struct pst_sum);

	pst_assert(gnutls_hash_init(&s->hash, GNUTLS_DIG_SHA256) == 0);
	return s;
}

void
pst_sum_add(struct pst_sum *s, const void *data, size_t n)
{
	pst_assert(n == 0 || gnutls_hash(s->hash, data, n) == 0);
}

void
pst_sum_end(struct pst_sum *s, uint8_t out[32])
{
	gnutls_hash_deinit(s->hash, out);
	free(s);
}

void
pst_hmac_sha256(struct pst_str key, struct pst_str data, uint8_t out[32])
{
	pst_assert(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.p, key.n, data.p, data.n, out) == 0);
}

/* The library's numbers of the two are the same where both are. */
static gnutls_mac_algorithm_t
mac_algorithm(enum pst_digest d)
{
	return (gnutls_mac_algorithm_t)digest_algorithm(d);
}

void
pst_hmac(enum pst_digest d, struct pst_str key, struct pst_str data, uint8_t *out)
{
	pst_assert(gnutls_hmac_fast(mac_algorithm(d), key.p, key.n, data.p, data.n, out) == 0);
	pst_wipe_stack();
}

void
pst_pbkdf2(enum pst_digest d, struct pst_str password, struct pst_str salt, uint32_t iterations,
           uint8_t *out)
{
	const gnutls_datum_t key = { (unsigned char *)(uintptr_t)password.p, (unsigned)password.n };
	const gnutls_datum_t data = { (unsigned char *)(uintptr_t)salt.p, (unsigned)salt.n };

	pst_assert(gnutls_pbkdf2(mac_algorithm(d), &key, &data, iterations, out,
	                         pst_digest_octets(d)) == 0);
	pst_wipe_stack();
}

struct pst_sealer *
pst_sealer_create(const uint8_t key[PST_SEAL_KEY])
{
	struct pst_sealer *s = pst_new(struct pst_sealer);
	uint8_t copy[PST_SEAL_KEY];
	gnutls_datum_t datum = { copy, sizeof(copy) };

	memcpy(copy, key, sizeof(copy));
	pst_assert(gnutls_aead_cipher_init(&s->aead, GNUTLS_CIPHER_AES_256_GCM, &datum) == 0);
	pst_wipe(copy, sizeof(copy));
	return s;
}

void
pst_sealer_destroy(struct pst_sealer *s)
{
	if (s == NULL)
		return;
	gnutls_aead_cipher_deinit(s->aead);
	free(s);
}

static void
make_nonce(uint64_t nonce, uint8_t out[12])
{
	size_t i;

	memset(out, 0, 12);
	for (i = 0; i < NONCE_OCTETS; i++)
		out[4 + i] = (uint8_t)(nonce >> (8 * (NONCE_OCTETS - 1 - i)));
}

void
pst_seal(struct pst_sealer *s, uint64_t nonce, struct pst_str plain, uint8_t *out)
{
	uint8_t iv[12];
	size_t n = plain.n + TAG_OCTETS;

	make_nonce(nonce, iv);
	memcpy(out, iv + 4, NONCE_OCTETS);
	pst_assert(gnutls_aead_cipher_encrypt(s->aead, iv, sizeof(iv), NULL, 0, TAG_OCTETS, plain.p,
	                                      plain.n, out + NONCE_OCTETS, &n) == 0);
	pst_assert(n == plain.n + TAG_OCTETS);
}

int
pst_unseal(struct pst_sealer *s, struct pst_str box, uint8_t *out, size_t *n_out,
           uint64_t *nonce_out, struct pst_err *err)
{
	uint8_t iv[12] = { 0 };
	size_t n;

	if (box.n < PST_SEAL_OVERHEAD)
		return pst_err_set(err, PST_E_PERM, "sealed box too short: %zu octets", box.n);
	memcpy(iv + 4, box.p, NONCE_OCTETS);
	n = box.n - PST_SEAL_OVERHEAD;
	if (gnutls_aead_cipher_decrypt(s->aead, iv, sizeof(iv), NULL, 0, TAG_OCTETS,
	                               box.p + NONCE_OCTETS, box.n - NONCE_OCTETS, out, &n) != 0)
		return pst_err_set(err, PST_E_PERM, "sealed box is not ours");
	if (nonce_out != NULL) {
		size_t i;

		*nonce_out = 0;
		for (i = 0; i < NONCE_OCTETS; i++)
			*nonce_out = *nonce_out << 8 | iv[4 + i];
	}
	*n_out = n;
	return 0;
}
