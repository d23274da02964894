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
#include "credentials/scheme.h"

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

static bool
is_slow(struct pst_str stored)
{
	size_t i;

	for (i = 0; i + 5 < stored.n; i++)
		if (memcmp(stored.p + i, "$2", 2) == 0 &&
		    (stored.p[i + 4] != '0' || stored.p[i + 5] > '6'))
			return true;
	return is_dear(stored, "rounds=", 4) || is_dear(stored, "$sha1$", 4) ||
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct scheme_cost cost = {
		.argon2_memory = 64 * 1024,
		.argon2_passes = 1,
		.max_memory = 256 * 1024,
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
	if (is_slow(stored))
		return 0;
	match = scheme_verify(stored, password, "SSHA", &cost, &err);
	if (match != SCHEME_MATCH && match != SCHEME_DIFFERS &&
	    (match != SCHEME_ERROR || err.text[0] == '\0'))
		abort();
	return 0;
}
