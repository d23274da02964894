/* SPDX-License-Identifier: MIT */
/* Stored octets into a multi-line reply; see body.h. */
#include "pop3/body.h"

#include <string.h>

/* Where the last octet left us. */
enum body_state {
	AT_LINE_START, /* of the message too */
	IN_LINE,
	AFTER_CR, /* in a line; a LF that comes now needs no CR of ours */
};

static size_t
min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

void
pop3_body_retr(struct pop3_body *b)
{
	*b = (struct pop3_body){ .lines_left = UINT64_MAX, .state = AT_LINE_START };
}

void
pop3_body_top(struct pop3_body *b, uint64_t lines)
{
	*b = (struct pop3_body){ .lines_left = lines, .state = AT_LINE_START, .in_header = true };
}

/* n > 0 octets of a line, none of them its LF. */
static void
note_text(struct pop3_body *b, const char *p, size_t n)
{
	/* A lone CR may be half of an empty line's end; with anything on either side it is text. */
	if (n > 1 || p[0] != '\r' || b->state == AFTER_CR)
		b->line_has_text = true;
	b->state = p[n - 1] == '\r' ? AFTER_CR : IN_LINE;
}

static bool
is_top(const struct pop3_body *b)
{
	return b->in_header || b->lines_left != UINT64_MAX;
}

/* A line of TOP is complete. */
static void
count_line(struct pop3_body *b)
{
	if (b->in_header)
		b->in_header = b->line_has_text;
	else if (b->lines_left != UINT64_MAX)
		b->lines_left--;
	b->done = !b->in_header && b->lines_left == 0;
}

/* One line, or the part of it that is there or fits: n octets before the LF at p[n], if has_lf. */
struct piece {
	size_t n;
	bool has_lf;
	bool has_cr; /* right before the LF */
};

static struct piece
next_piece(const struct pop3_body *b, const char *p, size_t span)
{
	const char *lf = memchr(p, '\n', span);
	struct piece piece = { .n = span };

	if (lf == NULL)
		return piece;
	piece.n = (size_t)(lf - p);
	piece.has_lf = true;
	piece.has_cr = piece.n > 0 ? lf[-1] == '\r' : b->state == AFTER_CR;
	return piece;
}

/* The octets from *run_at up to to, as they are. */
static char *
flush_run(char *o, const char **run_at, const char *to)
{
	memcpy(o, *run_at, (size_t)(to - *run_at));
	o += to - *run_at;
	*run_at = to;
	return o;
}

/* RETR's whole lines of the n octets at *p_at, while out takes them even if each octet becomes two:
 * so nothing here looks at the room. What needs no change goes out in one run, however many lines
 * it is. Starts and ends at the start of a line. */
static char *
copy_lines(const char **p_at, size_t n, char *o, size_t *stuffed)
{
	const char *end = *p_at + n;
	const char *line = *p_at;
	const char *run = line;

	while (line < end) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));

		if (lf == NULL)
			break;
		if (*line == '.') {
			o = flush_run(o, &run, line);
			*o++ = '.';
			++*stuffed;
		}
		if (lf == line || lf[-1] != '\r') {
			o = flush_run(o, &run, lf);
			*o++ = '\r';
		}
		line = lf + 1;
	}
	*p_at = line;
	return flush_run(o, &run, line);
}

/* One line, or the part of it that is there and fits. *p_at moves past what was used: where that is
 * nothing, out is full. Returns the new end of out. */
static char *
copy_piece(struct pop3_body *b, const char **p_at, const char *end, char *o, size_t room,
           size_t *stuffed)
{
	const char *p = *p_at;
	struct piece piece;

	if (b->state == AT_LINE_START && *p == '.') {
		if (room < 2)
			return o;
		memcpy(o, "..", 2);
		++*stuffed;
		note_text(b, p, 1);
		*p_at = p + 1;
		return o + 2;
	}
	piece = next_piece(b, p, min_size((size_t)(end - p), room));
	memcpy(o, p, piece.n);
	o += piece.n;
	*p_at = p + piece.n;
	/* Without a CR the LF takes two octets, and the text may have taken all but one. */
	if (!piece.has_lf || (!piece.has_cr && room - piece.n < 2)) {
		if (piece.n > 0)
			note_text(b, p, piece.n);
		return o;
	}
	if (!piece.has_cr)
		*o++ = '\r';
	*o++ = '\n';
	++*p_at;
	if (piece.n > (piece.has_cr ? 1u : 0u) || (piece.n == 1 && b->state == AFTER_CR))
		b->line_has_text = true;
	if (is_top(b))
		count_line(b);
	b->line_has_text = false;
	b->state = AT_LINE_START;
	return o;
}

size_t
pop3_body_feed(struct pop3_body *b, struct pst_str *in, char *out, size_t cap)
{
	const char *p = in->p;
	const char *end = p + in->n;
	char *o = out;
	size_t stuffed = 0;

	while (p < end && !b->done) {
		size_t room = cap - (size_t)(o - out);
		const char *before = p;

		if (b->state == AT_LINE_START && !is_top(b))
			o = copy_lines(&p, min_size((size_t)(end - p), room / 2), o, &stuffed);
		if (p == before)
			o = copy_piece(b, &p, end, o, room, &stuffed);
		if (p == before)
			break;
	}
	*in = (struct pst_str){ p, (size_t)(end - p) };
	b->octets += (uint64_t)(o - out) - stuffed;
	return (size_t)(o - out);
}

size_t
pop3_body_end(struct pop3_body *b, char out[POP3_BODY_END])
{
	size_t n = 0;

	if (b->state != AT_LINE_START) {
		memcpy(out, "\r\n", 2);
		n = 2;
		b->state = AT_LINE_START;
	}
	if (b->adds_line) {
		memcpy(out + n, "\r\n", 2);
		n += 2;
	}
	b->octets += n;
	memcpy(out + n, ".\r\n", 3);
	return n + 3;
}

void
pop3_size_init(struct pop3_size *s)
{
	*s = (struct pop3_size){ .octets = 0, .last = '\n' };
}

#define STRIDE 128u /* a whole number of vectors; no count of it overflows an octet */

/* LFs among the n octets at p that do not follow a CR. p[-1] can be read. Lines are short, so looking
 * for the next LF costs more than to compare every octet: the inner loop is one for vectors. */
static uint64_t
count_bare(const char *p, size_t n)
{
	uint64_t bare = 0;
	size_t i;

	for (; n >= STRIDE; p += STRIDE, n -= STRIDE) {
		const char *before = p - 1;
		uint8_t found = 0;

		for (i = 0; i < STRIDE; i++)
			found = (uint8_t)(found + ((p[i] == '\n') & (before[i] != '\r')));
		bare += found;
	}
	for (i = 0; i < n; i++)
		bare += p[i] == '\n' && p[(ptrdiff_t)i - 1] != '\r';
	return bare;
}

void
pop3_size_feed(struct pop3_size *s, struct pst_str in)
{
	if (in.n == 0)
		return;
	/* What is before the first octet is the last one of the piece before. */
	s->octets += in.n + (in.p[0] == '\n' && s->last != '\r') + count_bare(in.p + 1, in.n - 1);
	s->last = in.p[in.n - 1];
}

uint64_t
pop3_size_end(struct pop3_size *s)
{
	if (s->last != '\n') {
		s->octets += 2;
		s->last = '\n';
	}
	return s->octets;
}
