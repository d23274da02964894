/* SPDX-License-Identifier: MIT */
/* Salted digests, base64( H(password, salt), salt ), and the password itself. */
#include <postern/str.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/kinds.h"

#define SALT_MAX 64
#define SALT_MADE 16

enum scheme_match
salted_match(const struct scheme_row *row, struct pst_str data, struct pst_str password,
             const struct scheme_cost *cost, struct pst_err *err)
{
	const size_t octets = pst_digest_octets(row->digest);
	uint8_t stored[PST_DIGEST_MAX + SALT_MAX];
	uint8_t made[PST_DIGEST_MAX];
	struct pst_str salt;
	bool same;
	size_t n;

	(void)cost;
	if (!base64_decode(data, BASE64_EITHER, stored, octets + SALT_MAX, &n))
		return scheme_bad(err, "%s: not base64 of at most %zu octets", row->names[0],
		                  octets + SALT_MAX);
	if (n <= octets)
		return scheme_bad(err, "%s: %zu octets, too few for a digest and a salt",
		                  row->names[0], n);
	salt = (struct pst_str){ (const char *)stored + octets, n - octets };
	pst_digest(row->digest, password, salt, made);
	same = pst_secret_equal((struct pst_str){ (const char *)stored, octets },
	                        (struct pst_str){ (const char *)made, octets });
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return same ? SCHEME_MATCH : SCHEME_DIFFERS;
}

int
salted_make(const struct scheme_row *row, struct pst_str password, const struct scheme_cost *cost,
            struct pst_arena *arena, struct pst_str *data_out, struct pst_err *err)
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

/* Digests are compared, so that the time does not tell where the texts differ. */
enum scheme_match
plain_match(const struct scheme_row *row, struct pst_str data, struct pst_str password,
            const struct scheme_cost *cost, struct pst_err *err)
{
	uint8_t a[32], b[32];
	bool same;

	(void)row, (void)cost, (void)err;
	pst_digest(PST_SHA256, data, PST_LIT(""), a);
	pst_digest(PST_SHA256, password, PST_LIT(""), b);
	same = pst_secret_equal((struct pst_str){ (const char *)a, sizeof(a) },
	                        (struct pst_str){ (const char *)b, sizeof(b) });
	pst_wipe(a, sizeof(a));
	pst_wipe(b, sizeof(b));
	return same ? SCHEME_MATCH : SCHEME_DIFFERS;
}

int
plain_make(const struct scheme_row *row, struct pst_str password, const struct scheme_cost *cost,
           struct pst_arena *arena, struct pst_str *data_out, struct pst_err *err)
{
	(void)row, (void)cost, (void)err;
	*data_out = (struct pst_str){ pst_arena_copy(arena, password), password.n };
	return 0;
}
