/* SPDX-License-Identifier: MIT */
/* Digests of messages; see octets.h. */
#include "ctl/octets.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

struct octets {
	struct pst_sum *exact, *plain;
	uint64_t count;
	uint64_t held_crs; /* before what comes next; not in plain yet */
	bool has_text;     /* after the last LF */
};

struct octets *
octets_begin(void)
{
	struct octets *o = pst_new(struct octets);

	o->exact = pst_sum_create();
	o->plain = pst_sum_create();
	return o;
}

static void
add_held(struct octets *o)
{
	for (; o->held_crs > 0; o->held_crs--)
		pst_sum_add(o->plain, "\r", 1);
}

/* A line without its LF, or a part of one. */
static void
add_text(struct octets *o, struct pst_str s)
{
	size_t n = s.n;

	while (n > 0 && s.p[n - 1] == '\r')
		n--;
	if (n > 0) {
		add_held(o);
		pst_sum_add(o->plain, s.p, n);
	}
	o->held_crs += s.n - n;
	o->has_text = o->has_text || s.n > 0;
}

void
octets_feed(struct octets *o, struct pst_str piece)
{
	pst_sum_add(o->exact, piece.p, piece.n);
	o->count += piece.n;
	while (piece.n > 0) {
		const char *end = memchr(piece.p, '\n', piece.n);
		size_t n = end == NULL ? piece.n : (size_t)(end - piece.p);

		add_text(o, (struct pst_str){ piece.p, n });
		if (end != NULL) {
			pst_sum_add(o->plain, "\n", 1);
			o->held_crs = 0;
			o->has_text = false;
			n++;
		}
		piece = (struct pst_str){ piece.p + n, piece.n - n };
	}
}

void
octets_end(struct octets *o, struct octets_digest *out)
{
	if (o->has_text)
		pst_sum_add(o->plain, "\n", 1);
	out->count = o->count;
	pst_sum_end(o->exact, out->exact);
	pst_sum_end(o->plain, out->plain);
	free(o);
}
