/* SPDX-License-Identifier: MIT */
/* What another POP3 server answers: status lines, listings, capabilities, bodies in pieces. The first octet
 * says how large the pieces are. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/likeness.h"
#include "ctl/octets.h"
#include "ctl/pop3reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_lines(struct pst_str s)
{
	struct pop3capa capa = { .is_known = true };
	struct pop3reply reply;
	struct pst_str uidl;
	uint64_t a, b;

	while (s.n > 0) {
		const char *end = memchr(s.p, '\n', s.n);
		size_t n = end == NULL ? s.n : (size_t)(end - s.p);
		char *exact = pst_alloc(n + 1); /* a step beyond it is seen */
		struct pst_str line = { exact, n };

		memcpy(exact, s.p, n);
		exact = pst_realloc(exact, n > 0 ? n : 1);
		line.p = exact;
		if (pop3reply_parse(line, &reply) && reply.is_ok)
			(void)pop3reply_stat(reply.text, &a, &b);
		(void)pop3reply_list(line, &a, &b);
		if (pop3reply_uidl(line, &a, &uidl) && pop3reply_is_uidl(uidl) && uidl.n > 70)
			abort();
		pop3capa_line(&capa, line);
		free(exact);
		s = (struct pst_str){ s.p + n + (end != NULL), s.n - n - (end != NULL) };
	}
}

/* The same text, whatever the pieces are. */
static size_t
undot(struct pst_str s, size_t piece, char *out)
{
	struct pop3undot u = { .is_done = false };
	size_t n = 0;

	while (s.n > 0 && !u.is_done) {
		size_t some = s.n < piece ? s.n : piece;
		struct pst_str in = { s.p, some };
		char *room = pst_alloc(some + 2);
		size_t got = pop3undot_feed(&u, &in, room);

		if (got > some + 2 || (in.n > 0 && !u.is_done))
			abort();
		memcpy(out + n, room, got);
		free(room);
		n += got;
		s = (struct pst_str){ s.p + some - in.n, s.n - some + in.n };
	}
	return n;
}

static void
look_at(struct pst_str body, size_t piece)
{
	struct octets_digest whole, cut;
	struct octets *a = octets_begin(), *b = octets_begin();
	struct likeness_maker x, y;
	struct likeness one, two;
	size_t at;

	likeness_begin(&x);
	likeness_begin(&y);
	octets_feed(a, body);
	likeness_feed(&x, body);
	for (at = 0; at < body.n; at += piece) {
		struct pst_str s = { body.p + at, body.n - at < piece ? body.n - at : piece };

		octets_feed(b, s);
		likeness_feed(&y, s);
	}
	octets_end(a, &whole);
	octets_end(b, &cut);
	likeness_end(&x, &one);
	likeness_end(&y, &two);
	if (memcmp(whole.exact, cut.exact, 32) != 0 || memcmp(whole.plain, cut.plain, 32) != 0 ||
	    memcmp(one.header, two.header, 32) != 0 || memcmp(one.letter, two.letter, 32) != 0 ||
	    one.own_octets != two.own_octets || one.own_octets > 2 * body.n + 2)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_str s;
	char *a, *b;
	size_t n;

	if (size < 1)
		return 0;
	s = (struct pst_str){ (const char *)data + 1, size - 1 };
	a = pst_alloc(2 * size + 4);
	b = pst_alloc(2 * size + 4);
	read_lines(s);
	n = undot(s, s.n, a);
	if (undot(s, (size_t)data[0] % 61 + 1, b) != n || memcmp(a, b, n) != 0)
		abort();
	look_at((struct pst_str){ a, n }, (size_t)data[0] % 61 + 1);
	free(a);
	free(b);
	return 0;
}
