/* SPDX-License-Identifier: MIT */
/* Stored passwords, which come from databases that anybody may have filled: parsing and bounds.
 *
 * The first line is the password, the rest what is stored. Costs that the server takes and a fuzzer
 * cannot wait for are left out. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "credentials/base64.h"
#include "credentials/opaque.h"
#include "credentials/scheme.h"
#include "credentials/views.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether a number of more than max digits follows key. */
static bool
is_dear(struct pst_str s, const char *key, size_t max)
{
	const size_t n = strlen(key);
	size_t i;

	for (i = 0; i + n <= s.n; i++) {
		size_t k = i + n;

		if (memcmp(s.p + i, key, n) != 0)
			continue;
		while (k < s.n && pst_is_digit(s.p[k]))
			k++;
		if (k - i - n > max)
			return true;
	}
	return false;
}

/* The rounds of PBKDF2 and SCRAM; hexadecimal digits seldom are so many decimal ones. */
static bool
has_run_of_digits(struct pst_str s, size_t max)
{
	size_t run = 0;
	size_t i;

	for (i = 0; i < s.n; i++) {
		run = pst_is_digit(s.p[i]) ? run + 1 : 0;
		if (run > max && (i + 1 == s.n || s.p[i + 1] == ',' || s.p[i + 1] == '$'))
			return true;
	}
	return false;
}

/* What takes long to check must not hide behind its digits. */
static bool
is_coded_hash(struct pst_str stored)
{
	const char *dot =
		stored.n == 0 ? NULL : memchr(stored.p, '.', stored.n < 20 ? stored.n : 20);

	return dot != NULL && memchr(stored.p, '}', stored.n) > (const void *)dot &&
	       scheme_is_slow(stored, "SSHA");
}

static bool
is_slow(struct pst_str stored)
{
	size_t i;

	if (stored.n == 0)
		return false;
	for (i = 0; i + 5 < stored.n; i++)
		if (memcmp(stored.p + i, "$2", 2) == 0 &&
		    (stored.p[i + 4] != '0' || stored.p[i + 5] > '6'))
			return true;
	return memchr(stored.p, '_', stored.n) != NULL || has_run_of_digits(stored, 5) ||
	       is_dear(stored, "rounds=", 4) || is_dear(stored, "$sha1$", 4) ||
	       is_dear(stored, "t=", 1);
}

static void
try_base64(struct pst_str text)
{
	uint8_t out[64];
	char again[BASE64_ROOM(sizeof(out))];
	size_t n, len;

	if (!base64_decode(text, BASE64_PADDED, out, sizeof(out), &n))
		return;
	len = base64_encode(out, n, BASE64_PADDED, again);
	if (!pst_str_eq(text, (struct pst_str){ again, len }))
		abort();
}

/* What is said without the password; a weak name has to be one of the table. */
static void
try_views(struct pst_str stored, const struct scheme_cost *cost)
{
	const char *name = scheme_weak_name(stored, "SSHA");
	struct pst_secret plain = { 0 };
	struct scram_keys keys = { 0 };
	uint8_t state[CRAM_STATE_OCTETS];
	struct pst_err err;

	if (name != NULL && name[0] == '\0')
		abort();
	(void)scheme_is_slow(stored, "SSHA");
	(void)scheme_is_outdated(stored, "ARGON2ID", cost);
	(void)scheme_is_outdated(stored, "CRYPT", cost);
	if (scheme_plain(stored, "SSHA", &plain, &err) == SCHEME_HAS && plain.n == 0)
		abort();
	if (scheme_scram(stored, "SSHA", PST_SHA256, &keys, &err) == SCHEME_HAS &&
	    (keys.key_n != 32 || keys.salt_n > SCRAM_SALT_MAX))
		abort();
	(void)scheme_cram(stored, "SSHA", cost, state, &err);
	pst_secret_clear(&plain);
}

/* A spelling is its own spelling. */
static void
try_spelling(struct pst_str password)
{
	struct opaque a, b;
	struct pst_str once = opaque_open(password, &a);

	if (!pst_str_eq(opaque_open(once, &b), once))
		abort();
	opaque_clear(&b);
	opaque_clear(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct scheme_cost cost = {
		.argon2_memory = 64 * 1024,
		.argon2_passes = 1,
		.max_memory = 256 * 1024,
		.allow_weak = true,
	};
	const char *p = (const char *)data;
	const char *end = size == 0 ? NULL : memchr(p, '\n', size);
	struct pst_str password = { p, end == NULL ? 0 : (size_t)(end - p) };
	struct pst_str stored = { end == NULL ? p : end + 1, size };
	struct pst_err err = { 0, "" };
	enum scheme_match match;

	if (end != NULL)
		stored.n = size - password.n - 1;
	try_base64(stored);
	try_views(stored, &cost);
	try_spelling(password);
	if (is_slow(stored) || is_coded_hash(stored))
		return 0;
	match = scheme_verify_user(stored, PST_LIT("a@b.test"), password, "SSHA", &cost, &err);
	if (match != SCHEME_MATCH && match != SCHEME_DIFFERS &&
	    (match != SCHEME_ERROR || err.text[0] == '\0'))
		abort();
	return 0;
}
