/* SPDX-License-Identifier: MIT */
/* The body transform: cut at places that the input chooses, it must give what it gives in one call,
 * what the naive reference gives, and as many octets as the size counter says.
 *
 * The first octet chooses TOP's lines or RETR, the second is the seed of the cuts. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pop3/body.h"
#include "tests/unit/pop3/naive_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
next_cut(uint32_t *seed, size_t most)
{
	*seed = *seed * 1664525u + 1013904223u;
	return 1 + (*seed >> 8) % most;
}

static void
start(struct pop3_body *b, uint64_t lines)
{
	if (lines == NAIVE_RETR)
		pop3_body_retr(b);
	else
		pop3_body_top(b, lines);
}

/* Every piece lies in memory of its own size. */
static size_t
feed_piece(struct pop3_body *b, const uint8_t *p, size_t n, uint32_t *seed, char *out)
{
	char *copy = pst_alloc(n);
	struct pst_str in = { copy, n };
	size_t total = 0;

	memcpy(copy, p, n);
	while (in.n > 0 && !b->done) {
		size_t cap = 3 + next_cut(seed, 40), before = in.n, got;
		char *piece = pst_alloc(cap);

		got = pop3_body_feed(b, &in, piece, cap);
		pst_assert(got <= cap && (got > 0 || in.n < before));
		memcpy(out + total, piece, got);
		total += got;
		free(piece);
	}
	free(copy);
	return total;
}

static void
check_cut(const uint8_t *p, size_t n, uint64_t lines, uint32_t seed, const struct naive_reply *want)
{
	char *out = pst_alloc(2 * n + 16);
	struct pop3_body b;
	size_t at = 0, total = 0;

	start(&b, lines);
	while (at < n && !b.done) {
		size_t len = next_cut(&seed, 60);

		if (len > n - at)
			len = n - at;
		total += feed_piece(&b, p + at, len, &seed, out + total);
		at += len;
	}
	total += pop3_body_end(&b, out + total);
	pst_assert(total == want->n && memcmp(out, want->p, total) == 0);
	pst_assert(b.octets == want->octets);
	free(out);
}

static void
check_whole(const uint8_t *p, size_t n, uint64_t lines, const struct naive_reply *want)
{
	size_t cap = 2 * n + 16;
	char *out = pst_alloc(cap);
	struct pst_str in = { (const char *)p, n };
	struct pop3_body b;
	size_t total;

	start(&b, lines);
	total = pop3_body_feed(&b, &in, out, cap);
	pst_assert(in.n == 0 || b.done);
	total += pop3_body_end(&b, out + total);
	pst_assert(total == want->n && memcmp(out, want->p, total) == 0);
	pst_assert(b.octets == want->octets);
	free(out);
}

static void
check_size(const uint8_t *p, size_t n, uint32_t seed, uint64_t octets)
{
	struct pop3_size s;
	size_t at = 0;

	pop3_size_init(&s);
	while (at < n) {
		size_t len = next_cut(&seed, 60);

		if (len > n - at)
			len = n - at;
		pop3_size_feed(&s, (struct pst_str){ (const char *)p + at, len });
		at += len;
	}
	pst_assert(pop3_size_end(&s) == octets);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naive_reply want;
	uint64_t lines;

	if (size < 2)
		return 0;
	lines = data[0] % 2 == 0 ? NAIVE_RETR : data[0] / 2;
	want = naive_body((const char *)data + 2, size - 2, lines);
	check_whole(data + 2, size - 2, lines, &want);
	check_cut(data + 2, size - 2, lines, data[1], &want);
	if (lines == NAIVE_RETR)
		check_size(data + 2, size - 2, data[1], want.octets);
	free(want.p);
	return 0;
}
