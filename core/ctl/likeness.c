/* SPDX-License-Identifier: MIT */
/* What a header is known by; see likeness.h. */
#include "ctl/likeness.h"

#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

#define HEADER_MAX ((size_t)512 * 1024) /* of it all, and of one line: the same on both servers */

void
likeness_begin(struct likeness_maker *m)
{
	*m = (struct likeness_maker){ .is_done = false };
	pst_buf_init(&m->text, HEADER_MAX);
	pst_buf_init(&m->line, HEADER_MAX);
}

static void
end_line(struct likeness_maker *m)
{
	struct pst_str line = pst_buf_view(&m->line);
	struct pst_err err;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0 || pst_buf_add(&m->text, line, &err) != 0 ||
	    pst_buf_add(&m->text, PST_LIT("\n"), &err) != 0)
		m->is_done = true;
	pst_buf_reset(&m->line);
}

void
likeness_feed(struct likeness_maker *m, struct pst_str piece)
{
	struct pst_err err;

	while (piece.n > 0 && !m->is_done) {
		const char *end = memchr(piece.p, '\n', piece.n);
		size_t n = end == NULL ? piece.n : (size_t)(end - piece.p);

		if (pst_buf_add(&m->line, (struct pst_str){ piece.p, n }, &err) != 0)
			m->is_done = true;
		else if (end != NULL)
			end_line(m);
		n += end != NULL;
		piece = (struct pst_str){ piece.p + n, piece.n - n };
	}
}

/* ---- Fields ---- */

static bool
is_field(struct pst_str line, struct pst_str name)
{
	return line.n > name.n && line.p[name.n] == ':' &&
	       pst_str_ieq((struct pst_str){ line.p, name.n }, name);
}

static bool
is_private(struct pst_str line)
{
	static const struct pst_str names[] = {
		{ "Status", 6 },      { "X-Status", 8 },        { "X-UID", 5 },
		{ "X-UIDL", 6 },      { "X-IMAP", 6 },          { "X-IMAPbase", 10 },
		{ "X-Keywords", 10 }, { "Content-Length", 14 },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_field(line, names[i]))
			return true;
	return false;
}

/* The first field, with the lines that continue it; *rest begins behind it. Without the last LF. */
static struct pst_str
next_field(struct pst_str *rest)
{
	const char *from = rest->p;
	size_t n = 0;

	do {
		const char *end = memchr(from + n, '\n', rest->n - n);

		n = end == NULL ? rest->n : (size_t)(end - from) + 1;
	} while (n < rest->n && (from[n] == ' ' || from[n] == '\t'));
	*rest = (struct pst_str){ from + n, rest->n - n };
	return (struct pst_str){ from, n - (n > 0 && from[n - 1] == '\n') };
}

static uint64_t
count_wire(struct pst_str field)
{
	uint64_t octets = field.n + 2; /* CRLF for the last line */
	size_t i;

	for (i = 0; i < field.n; i++)
		octets += field.p[i] == '\n';
	return octets;
}

void
likeness_end(struct likeness_maker *m, struct likeness *out)
{
	struct pst_sum *header = pst_sum_create(), *letter = pst_sum_create();
	bool has_id = false, has_date = false;
	struct pst_str rest;

	if (!m->is_done && m->line.len > 0)
		end_line(m); /* the header is all there is, and has no line end */
	*out = (struct likeness){ .own_octets = 0 };
	rest = pst_buf_view(&m->text);
	while (rest.n > 0) {
		struct pst_str field = next_field(&rest);
		const bool is_id = is_field(field, PST_LIT("Message-ID"));
		const bool is_date = is_field(field, PST_LIT("Date"));

		if (is_private(field)) {
			out->own_octets += count_wire(field);
			continue;
		}
		out->has_header = true;
		pst_sum_add(header, field.p, field.n);
		pst_sum_add(header, "\n", 1);
		if (is_id || is_date) {
			pst_sum_add(letter, field.p, field.n);
			pst_sum_add(letter, "\n", 1);
		}
		has_id = has_id || is_id;
		has_date = has_date || is_date;
	}
	out->has_letter = has_id && has_date;
	pst_sum_end(header, out->header);
	pst_sum_end(letter, out->letter);
	pst_buf_clear(&m->text);
	pst_buf_clear(&m->line);
}
