/* SPDX-License-Identifier: MIT */
/* PBKDF2 with HMAC-SHA1 in Dovecot's form: $1$SALT$ROUNDS$HEX. The salt's text is the salt. */
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/hex.h"
#include "credentials/kinds.h"

#define ROUNDS_MAX 5000000
#define ROUNDS_MADE 1300000 /* what OWASP asks of this one */
#define SALT_MADE 12        /* octets, in base64 */
#define SALT_MAX 256
#define HASH_OCTETS 20

struct pbkdf2_hash {
	struct pst_str salt;
	uint32_t rounds;
	uint8_t hash[HASH_OCTETS];
};

/* What stands before the next '$' of *s, which is left after it. */
static bool
take_field(struct pst_str *s, struct pst_str *out)
{
	const char *end = s->n == 0 ? NULL : memchr(s->p, '$', s->n);

	if (end == NULL)
		return false;
	*out = (struct pst_str){ s->p, (size_t)(end - s->p) };
	*s = (struct pst_str){ end + 1, s->n - out->n - 1 };
	return true;
}

static bool
parse(struct pst_str s, struct pbkdf2_hash *h, uint64_t *rounds_out)
{
	struct pst_str field;
	size_t n;

	return take_field(&s, &field) && field.n == 0 && take_field(&s, &field) &&
	       pst_str_eq(field, PST_LIT("1")) && take_field(&s, &h->salt) && h->salt.n > 0 &&
	       h->salt.n <= SALT_MAX && take_field(&s, &field) && pst_str_u64(field, rounds_out) &&
	       hex_decode(s, h->hash, sizeof(h->hash), &n) && n == HASH_OCTETS;
}

SCHEME_VERIFY(pbkdf2_match)
{
	struct pbkdf2_hash h = { .rounds = 0 };
	uint8_t made[HASH_OCTETS];
	enum scheme_match match;
	uint64_t rounds;

	if (!parse(in->data, &h, &rounds))
		return scheme_bad(err, "%s: not of the form $1$…$…$…", row->names[0]);
	if (rounds == 0 || rounds > ROUNDS_MAX)
		return scheme_bad(err, "%s: %llu rounds, 1 to %d are taken", row->names[0],
		                  (unsigned long long)rounds, ROUNDS_MAX);
	pst_pbkdf2(PST_SHA1, in->password, h.salt, (uint32_t)rounds, made);
	match = scheme_compare(h.hash, made, sizeof(made));
	pst_wipe(made, sizeof(made));
	pst_wipe(&h, sizeof(h));
	return match;
}

SCHEME_OUTDATED(pbkdf2_outdated)
{
	struct pbkdf2_hash h = { .rounds = 0 };
	uint64_t rounds;
	bool is_less;

	(void)row, (void)cost;
	is_less = parse(data, &h, &rounds) && rounds < ROUNDS_MADE;
	pst_wipe(&h, sizeof(h));
	return is_less;
}

SCHEME_MAKE(pbkdf2_make)
{
	uint8_t raw[SALT_MADE], made[HASH_OCTETS];
	char salt[BASE64_ROOM(SALT_MADE)], hex[2 * HASH_OCTETS];
	size_t salt_n, hex_n;

	(void)row, (void)cost, (void)err;
	pst_random(raw, sizeof(raw));
	salt_n = base64_encode(raw, sizeof(raw), BASE64_BARE, salt);
	pst_pbkdf2(PST_SHA1, password, (struct pst_str){ salt, salt_n }, ROUNDS_MADE, made);
	hex_n = hex_encode(made, sizeof(made), hex);
	*data_out = pst_str_c(pst_arena_printf(arena, "$1$%.*s$%d$%.*s", (int)salt_n, salt,
	                                       ROUNDS_MADE, (int)hex_n, hex));
	pst_wipe(hex, sizeof(hex));
	pst_wipe(made, sizeof(made));
	return 0;
}
