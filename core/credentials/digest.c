/* SPDX-License-Identifier: MIT */
/* Digests with a salt, base64( H(password, salt), salt ), digests without one, and the password itself,
 * whole or cut. */
#include <postern/str.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/hex.h"
#include "credentials/kinds.h"

#define SALT_MAX 64
#define SALT_MADE 16

/* Leaves in out the octets that data stands for. */
static bool
take_salted(const struct scheme_input *in, uint8_t *out, size_t cap, size_t *n_out)
{
	if (!in->is_octets)
		return base64_decode(in->data, BASE64_EITHER, out, cap, n_out);
	if (in->data.n > cap)
		return false;
	memcpy(out, in->data.p, in->data.n);
	*n_out = in->data.n;
	return true;
}

SCHEME_VERIFY(salted_match)
{
	const size_t octets = pst_digest_octets(row->digest);
	uint8_t stored[PST_DIGEST_MAX + SALT_MAX];
	uint8_t made[PST_DIGEST_MAX];
	enum scheme_match match;
	struct pst_str salt;
	size_t n;

	if (!take_salted(in, stored, octets + SALT_MAX, &n))
		return scheme_bad(err, "%s: not base64 of at most %zu octets", row->names[0],
		                  octets + SALT_MAX);
	if (n <= octets)
		return scheme_bad(err, "%s: %zu octets, too few for a digest and a salt",
		                  row->names[0], n);
	salt = (struct pst_str){ (const char *)stored + octets, n - octets };
	pst_digest(row->digest, in->password, salt, made);
	match = scheme_compare(stored, made, octets);
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return match;
}

SCHEME_MAKE(salted_make)
{
	const size_t octets = pst_digest_octets(row->digest);
	uint8_t raw[PST_DIGEST_MAX + SALT_MADE];
	struct pst_str salt = { (const char *)raw + octets, SALT_MADE };
	char *text = pst_arena_alloc(arena, BASE64_ROOM(sizeof(raw)));

	(void)cost, (void)err;
	pst_random(raw + octets, SALT_MADE);
	pst_digest(row->digest, password, salt, raw);
	*data_out = (struct pst_str){ text,
		                      base64_encode(raw, octets + SALT_MADE, BASE64_PADDED, text) };
	pst_wipe(raw, sizeof(raw));
	return 0;
}

SCHEME_VERIFY(digest_match)
{
	const size_t octets = pst_digest_octets(row->digest);
	uint8_t stored[PST_DIGEST_MAX], made[PST_DIGEST_MAX];
	enum scheme_match match;

	if (!scheme_take_octets(in, octets, stored))
		return scheme_bad(err, "%s: not %zu octets in hex or base64", row->names[0],
		                  octets);
	pst_digest(row->digest, in->password, PST_LIT(""), made);
	match = scheme_compare(stored, made, octets);
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return match;
}

SCHEME_MAKE(digest_make)
{
	const size_t octets = pst_digest_octets(row->digest);
	char *text = pst_arena_alloc(arena, 2 * PST_DIGEST_MAX);
	uint8_t made[PST_DIGEST_MAX];

	(void)cost, (void)err;
	pst_digest(row->digest, password, PST_LIT(""), made);
	data_out->p = text;
	data_out->n = row->is_hex ? hex_encode(made, octets, text)
	                          : base64_encode(made, octets, BASE64_PADDED, text);
	pst_wipe(made, sizeof(made));
	return 0;
}

/* Digests are compared, so that the time does not tell where the texts differ. */
static enum scheme_match
compare_texts(struct pst_str data, struct pst_str password)
{
	uint8_t a[32], b[32];
	enum scheme_match match;

	pst_digest(PST_SHA256, data, PST_LIT(""), a);
	pst_digest(PST_SHA256, password, PST_LIT(""), b);
	match = scheme_compare(a, b, sizeof(a));
	pst_wipe(a, sizeof(a));
	pst_wipe(b, sizeof(b));
	return match;
}

SCHEME_VERIFY(plain_match)
{
	(void)row, (void)err;
	return compare_texts(in->data, in->password);
}

SCHEME_MAKE(plain_make)
{
	(void)row, (void)cost, (void)err;
	*data_out = (struct pst_str){ pst_arena_copy(arena, password), password.n };
	return 0;
}

/* "8-correct ": what an old system kept of a password, and how much that was. A text shorter than the
 * number is all of the password. */
SCHEME_VERIFY(truncated_match)
{
	const char *dash = memchr(in->data.p, '-', in->data.n);
	struct pst_str number, text;
	struct pst_str password = in->password;
	uint64_t kept;

	if (dash == NULL)
		return scheme_bad(err, "%s: not of the form NUMBER-TEXT", row->names[0]);
	number = (struct pst_str){ in->data.p, (size_t)(dash - in->data.p) };
	text = (struct pst_str){ dash + 1, in->data.n - number.n - 1 };
	if (!pst_str_u64(number, &kept) || kept == 0 || text.n == 0 || text.n > kept)
		return scheme_bad(err, "%s: not of the form NUMBER-TEXT", row->names[0]);
	if (text.n == kept && password.n > kept)
		password.n = (size_t)kept;
	return compare_texts(text, password);
}
