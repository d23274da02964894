/* SPDX-License-Identifier: MIT */
/* credentials/views.h - what a mechanism that never sees the password needs of a stored one. */
#ifndef CREDENTIALS_VIEWS_H
#define CREDENTIALS_VIEWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "credentials/scheme.h"

enum scheme_view {
	SCHEME_HAS = 1,
	SCHEME_HAS_NOT, /* stored in a scheme that does not tell */
	SCHEME_BROKEN,  /* err is filled (PST_E_PERM): what scheme_verify would refuse */
};

/* The password itself: PLAIN and its other names. Clear *out after use. */
enum scheme_view scheme_plain(struct pst_str stored, const char *default_scheme,
                              struct pst_secret *out, struct pst_err *err);

/* ---- SCRAM (RFC 5802, RFC 7677) ---- */

#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 5000000 /* some three seconds of the server's, if it checks PLAIN */
#define SCRAM_ITERATIONS 100000      /* of what we make */
#define SCRAM_SALT_MADE 16
#define SCRAM_SALT_MAX 64
#define SCRAM_KEY_MAX 32

struct scram_keys {
	uint32_t iterations;
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_n;
	uint8_t stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
	size_t key_n; /* 20 or 32 */
};

/* What is stored as SCRAM-SHA-1 or SCRAM-SHA-256: digest says which is wanted. Of a plain password
 * the keys can be made: scheme_plain, then scram_make. */
enum scheme_view scheme_scram(struct pst_str stored, const char *default_scheme,
                              enum pst_digest digest, struct scram_keys *out, struct pst_err *err);

/* Fills in the keys of password from out->salt, salt_n and iterations, which are set (an iteration
 * takes some half microsecond). The password is taken as it is, or in its one spelling. */
void scram_make(enum pst_digest digest, struct pst_str password, struct scram_keys *out);
void scram_make_opaque(enum pst_digest digest, struct pst_str password, struct scram_keys *out);

/* ---- CRAM-MD5 (RFC 2195) ---- */

#define CRAM_STATE_OCTETS 32 /* MD5's after the block of the outer key, and of the inner one */
#define CRAM_DIGEST_OCTETS 16

/* From a stored CRAM-MD5 state (SCHEME_BROKEN where weak schemes are not allowed), or from a plain
 * password. Wipe out after use: who has it can log in. */
enum scheme_view scheme_cram(struct pst_str stored, const char *default_scheme,
                             const struct scheme_cost *cost, uint8_t out[CRAM_STATE_OCTETS],
                             struct pst_err *err);

/* HMAC-MD5: of a password, and of a challenge under it. */
void cram_make(struct pst_str password, uint8_t out[CRAM_STATE_OCTETS]);
void cram_answer(const uint8_t state[CRAM_STATE_OCTETS], struct pst_str challenge,
                 uint8_t out[CRAM_DIGEST_OCTETS]);

#endif
