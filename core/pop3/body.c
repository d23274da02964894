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

/* A line of TOP is complete; has_text: it was not the empty line. */
static void
count_line(struct pop3_body *b, bool has_text)
{
	if (b->in_header)
		b->in_header = has_text;
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

size_t
pop3_body_feed(struct pop3_body *b, struct pst_str *in, char *out, size_t cap)
{
	const char *p = in->p;
	const char *end = p + in->n;
	char *o = out;
	char *o_end = out + cap;
	size_t stuffed = 0;

	while (p < end && o < o_end && !b->done) {
		size_t room = (size_t)(o_end - o);
		struct piece piece;

		if (b->state == AT_LINE_START && *p == '.') {
			if (room < 2)
				break;
			*o++ = '.';
			*o++ = *p++;
			stuffed++;
			note_text(b, ".", 1);
			continue;
		}
		piece = next_piece(b, p, (size_t)(end - p) < room ? (size_t)(end - p) : room);
		memcpy(o, p, piece.n);
		o += piece.n;
		p += piece.n;
		/* Without a CR the LF takes two octets, and the line's text may have taken all but
		 * one. */
		if (!piece.has_lf || (!piece.has_cr && o_end - o < 2)) {
			if (piece.n == 0)
				break;
			note_text(b, p - piece.n, piece.n);
			continue;
		}
		if (!piece.has_cr)
			*o++ = '\r';
		*o++ = *p++;
		if (b->in_header || b->lines_left != UINT64_MAX)
			count_line(b, b->line_has_text || piece.n > (piece.has_cr ? 1u : 0u) ||
			                      (piece.n == 1 && b->state == AFTER_CR));
		b->line_has_text = false;
		b->state = AT_LINE_START;
	}
	*in = (struct pst_str){ p, (size_t)(end - p) };
	b->octets += (uint64_t)(o - out) - stuffed;
	return (size_t)(o - out);
}

size_t
pop3_body_end(struct pop3_body *b, char out[5])
{
	size_t n = 0;

	if (b->state != AT_LINE_START) {
		memcpy(out, "\r\n", 2);
		n = 2;
		b->octets += 2;
		b->state = AT_LINE_START;
	}
	memcpy(out + n, ".\r\n", 3);
	return n + 3;
}

void
pop3_size_init(struct pop3_size *s)
{
	*s = (struct pop3_size){ .octets = 0, .last = '\n' };
}

void
pop3_size_feed(struct pop3_size *s, struct pst_str in)
{
	const char *p = in.p;
	const char *end = p + in.n;
	uint64_t bare = 0;

	if (in.n == 0)
		return;
	if (p[0] == '\n') { /* the octet before it is the last one of the piece before */
		bare += s->last != '\r';
		p++;
	}
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if (lf == NULL)
			break;
		bare += lf[-1] != '\r';
		p = lf + 1;
	}
	s->octets += in.n + bare;
	s->last = end[-1];
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
