/* SPDX-License-Identifier: MIT */
/* What only old databases hold: MD4 and MD5, alone, with the user's name, and as the two half-done
 * states of HMAC-MD5 that CRAM-MD5 needs. By nettle, which lets its states be seen. */
#include <nettle/md4.h>
#include <nettle/md5.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/hex.h"
#include "credentials/kinds.h"
#include "credentials/views.h"

#define MD_OCTETS 16
#define STATE_WORDS 4

/* MD4 is for nobody else, so the digests of base/crypto.h leave it out. */
static void
digest_md4(struct pst_str password, uint8_t out[MD_OCTETS])
{
	struct md4_ctx ctx;

	md4_init(&ctx);
	md4_update(&ctx, password.n, (const uint8_t *)password.p);
	md4_digest(&ctx, MD_OCTETS, out);
	pst_wipe(&ctx, sizeof(ctx));
	pst_wipe_stack();
}

SCHEME_VERIFY(md4_match)
{
	uint8_t stored[MD_OCTETS], made[MD_OCTETS];
	enum scheme_match match;

	if (!scheme_take_octets(in, MD_OCTETS, stored))
		return scheme_bad(err, "%s: not %d octets in hex or base64", row->names[0],
		                  MD_OCTETS);
	digest_md4(in->password, made);
	match = scheme_compare(stored, made, MD_OCTETS);
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return match;
}

static struct pst_str
write_hex(const uint8_t *octets, size_t n, struct pst_arena *arena)
{
	char *text = pst_arena_alloc(arena, 2 * n);

	return (struct pst_str){ text, hex_encode(octets, n, text) };
}

SCHEME_MAKE(md4_make)
{
	uint8_t made[MD_OCTETS];

	(void)row, (void)cost, (void)err;
	digest_md4(password, made);
	*data_out = write_hex(made, sizeof(made), arena);
	pst_wipe(made, sizeof(made));
	return 0;
}

SCHEME_VERIFY(md5_match)
{
	if (in->data.n >= 3 && memcmp(in->data.p, "$1$", 3) == 0)
		return crypt_match(row, in, err);
	return digest_match(row, in, err);
}

/* ---- DIGEST-MD5's A1: MD5( user:realm:password ) ---- */

/* The user is what stands before the last '@' of the name, the realm what stands behind it. */
static void
digest_user(struct pst_str user, struct pst_str password, uint8_t out[MD_OCTETS])
{
	const char *at = user.n == 0 ? NULL : memrchr(user.p, '@', user.n);
	const struct pst_str whole = { user.p, user.n };
	struct pst_str realm = { "", 0 };
	struct md5_ctx ctx;

	if (at != NULL) {
		user.n = (size_t)(at - user.p);
		realm = (struct pst_str){ at + 1, whole.n - user.n - 1 };
	}
	md5_init(&ctx);
	md5_update(&ctx, user.n, (const uint8_t *)user.p);
	md5_update(&ctx, 1, (const uint8_t *)":");
	md5_update(&ctx, realm.n, (const uint8_t *)realm.p);
	md5_update(&ctx, 1, (const uint8_t *)":");
	md5_update(&ctx, password.n, (const uint8_t *)password.p);
	md5_digest(&ctx, MD_OCTETS, out);
	pst_wipe(&ctx, sizeof(ctx));
	pst_wipe_stack();
}

SCHEME_VERIFY(digest_md5_match)
{
	uint8_t stored[MD_OCTETS], made[MD_OCTETS];
	enum scheme_match match;

	if (!scheme_take_octets(in, MD_OCTETS, stored))
		return scheme_bad(err, "%s: not %d octets in hex or base64", row->names[0],
		                  MD_OCTETS);
	digest_user(in->user, in->password, made);
	match = scheme_compare(stored, made, MD_OCTETS);
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return match;
}

/* ---- HMAC-MD5: what MD5 knows after the block of the outer key, and of the inner one ---- */

static void
write_state(const uint8_t *key, uint8_t pad, uint8_t out[MD_OCTETS])
{
	uint8_t block[MD5_BLOCK_SIZE];
	struct md5_ctx ctx;
	size_t i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	md5_init(&ctx);
	md5_update(&ctx, sizeof(block), block);
	for (i = 0; i < MD_OCTETS; i++)
		out[i] = (uint8_t)(ctx.state[i / 4] >> (8 * (i % 4)));
	pst_wipe(&ctx, sizeof(ctx));
	pst_wipe(block, sizeof(block));
}

/* A state as if one block had gone in. */
static void
read_state(const uint8_t in[MD_OCTETS], struct md5_ctx *ctx)
{
	size_t i;

	md5_init(ctx);
	for (i = 0; i < STATE_WORDS; i++)
		ctx->state[i] = (uint32_t)in[4 * i] | (uint32_t)in[4 * i + 1] << 8 |
		                (uint32_t)in[4 * i + 2] << 16 | (uint32_t)in[4 * i + 3] << 24;
	ctx->count = 1;
	ctx->index = 0;
}

void
cram_make(struct pst_str password, uint8_t out[CRAM_STATE_OCTETS])
{
	uint8_t key[MD5_BLOCK_SIZE] = { 0 };

	if (password.n > sizeof(key))
		pst_digest(PST_MD5, password, PST_LIT(""), key);
	else if (password.n > 0)
		memcpy(key, password.p, password.n);
	write_state(key, 0x5c, out);
	write_state(key, 0x36, out + MD_OCTETS);
	pst_wipe(key, sizeof(key));
	pst_wipe_stack();
}

void
cram_answer(const uint8_t state[CRAM_STATE_OCTETS], struct pst_str challenge,
            uint8_t out[CRAM_DIGEST_OCTETS])
{
	struct md5_ctx ctx;

	read_state(state + MD_OCTETS, &ctx);
	md5_update(&ctx, challenge.n, (const uint8_t *)challenge.p);
	md5_digest(&ctx, CRAM_DIGEST_OCTETS, out);
	read_state(state, &ctx);
	md5_update(&ctx, CRAM_DIGEST_OCTETS, out);
	md5_digest(&ctx, CRAM_DIGEST_OCTETS, out);
	pst_wipe(&ctx, sizeof(ctx));
	pst_wipe_stack();
}

bool
cram_take_state(const struct scheme_input *in, uint8_t *out)
{
	return scheme_take_octets(in, CRAM_STATE_OCTETS, out);
}

SCHEME_VERIFY(cram_match)
{
	uint8_t stored[CRAM_STATE_OCTETS], made[CRAM_STATE_OCTETS];
	enum scheme_match match;

	if (!cram_take_state(in, stored))
		return scheme_bad(err, "%s: not %d octets in hex or base64", row->names[0],
		                  CRAM_STATE_OCTETS);
	cram_make(in->password, made);
	match = scheme_compare(stored, made, sizeof(stored));
	pst_wipe(made, sizeof(made));
	pst_wipe(stored, sizeof(stored));
	return match;
}

SCHEME_MAKE(cram_make_row)
{
	uint8_t made[CRAM_STATE_OCTETS];

	(void)row, (void)cost, (void)err;
	cram_make(password, made);
	*data_out = write_hex(made, sizeof(made), arena);
	pst_wipe(made, sizeof(made));
	return 0;
}
