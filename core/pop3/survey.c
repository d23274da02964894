/* SPDX-License-Identifier: MIT */
/* Surveying messages; see survey.h. Most have no octet beyond ASCII where they begin: these cost no
 * more than to be counted. */
#include "pop3/survey.h"

#include <string.h>

#include "base/mem.h"
#include "pop3/body.h"
#include "pop3/stored.h"
#include "pop3/surrogate.h"

#define PIECE 65536u

static int
read_all(const struct pst_body *body, uint64_t at, char *to, size_t n, struct pst_err *err)
{
	size_t got;

	if (pop3_stored_read(body, at, to, n, &got, err) != 0)
		return -1;
	if (got < n)
		return pst_err_set(err, PST_E_TEMP, "the file ends before the message does");
	return 0;
}

static uint64_t
wire_octets(struct pst_str text)
{
	struct pop3_size size;

	pop3_size_init(&size);
	pop3_size_feed(&size, text);
	return pop3_size_end(&size);
}

/* false: the header does not end in begin. */
static bool
make(struct pop3_head *h, struct pst_str begin, bool is_all)
{
	struct pst_str head = { begin.p, pop3_header_octets(begin) };

	if (head.n == 0 && !is_all)
		return false;
	if (head.n == 0)
		head.n = begin.n;
	h->stored = head.n;
	if (pop3_surrogate(head, &h->text))
		h->growth = wire_octets(pst_buf_view(&h->text)) - wire_octets(head);
	return true;
}

int
pop3_head_read(const struct pst_body *body, struct pop3_head *out, struct pst_err *err)
{
	size_t n = 0, want = PIECE;
	char *room = NULL;
	bool is_last;
	int rc;

	*out = (struct pop3_head){ .stored = 0 };
	pst_buf_init(&out->text, POP3_SURROGATE_MAX);
	do {
		is_last = body->length <= want;
		if (is_last)
			want = (size_t)body->length;
		room = pst_realloc(room, want + 1);
		rc = read_all(body, n, room + n, want - n, err);
		n = want;
		want *= 4;
	} while (rc == 0 && !make(out, (struct pst_str){ room, n }, is_last) && n < POP3_HEAD_MAX);
	free(room);
	return rc;
}

void
pop3_head_clear(struct pop3_head *h)
{
	pst_buf_clear(&h->text);
	h->stored = 0;
}

/* Whether the message's first octets say that its header must be looked at. header: pop3_header_octets of
 * them. */
static bool
is_suspicious(struct pst_str begin, size_t header, bool is_all)
{
	if (header == 0)
		return !is_all || pop3_has_8bit(begin);
	return pop3_has_8bit((struct pst_str){ begin.p, header });
}

/* Where a search for the empty line is: the line so far. The same rule as pop3_header_octets, for a message
 * of any size in pieces of any size. */
enum line_so_far { LINE_EMPTY, LINE_CR, LINE_TEXT };

/* Whether one of the lines that end in s is empty. */
static bool
has_empty_line(enum line_so_far *line, struct pst_str s)
{
	const char *p = s.p, *const end = s.p + s.n;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const size_t n = (size_t)((lf != NULL ? lf : end) - p);

		if (n == 1 && *p == '\r' && *line == LINE_EMPTY)
			*line = LINE_CR;
		else if (n > 0)
			*line = LINE_TEXT;
		if (lf == NULL)
			return false;
		if (*line != LINE_TEXT)
			return true;
		*line = LINE_EMPTY;
		p = lf + 1;
	}
	return false;
}

static int
add_surrogate(const struct pst_body *body, struct pst_measured *out, struct pst_err *err)
{
	struct pop3_head head;
	int rc = pop3_head_read(body, &head, err);

	if (rc == 0 && head.text.len > 0)
		out->surrogate_octets = out->size_octets + head.growth;
	pop3_head_clear(&head);
	return rc;
}

int
pop3_survey_in(const struct pst_body *body, char *room, size_t octets, struct pst_measured *out,
               struct pst_err *err)
{
	bool is_looked_at = false, has_header_end = false;
	enum line_so_far line = LINE_EMPTY;
	struct pop3_size size;
	uint64_t at = 0;
	int rc = 0;

	*out = (struct pst_measured){ .size_octets = 0 };
	pop3_size_init(&size);
	if (body->offset > INT64_MAX || body->length > INT64_MAX - body->offset)
		rc = pst_err_set(err, PST_E_PERM, "a message beyond the end of any file");
	while (rc == 0 && at < body->length) {
		struct pst_str piece = { room, octets };

		if (body->length - at < octets)
			piece.n = (size_t)(body->length - at);
		rc = read_all(body, at, room, piece.n, err);
		if (rc != 0)
			break;
		if (at == 0) {
			size_t header = pop3_header_octets(piece);

			has_header_end = header > 0;
			is_looked_at = is_suspicious(piece, header, piece.n == body->length);
		}
		if (!has_header_end)
			has_header_end = has_empty_line(&line, piece);
		pop3_size_feed(&size, piece);
		at += piece.n;
	}
	out->size_octets = pop3_size_end(&size);
	/* Any line end that is not CRLF, and a missing last one, adds octets on the wire. */
	out->crlf = body->length > 0 && out->size_octets == body->length;
	out->has_no_header_end = !has_header_end;
	if (rc == 0 && is_looked_at)
		rc = add_surrogate(body, out, err);
	return rc;
}

int
pop3_survey(const struct pst_body *body, struct pst_measured *out, struct pst_err *err)
{
	/* Not zeroed: that would cost as much as the reading of a small message. */
	size_t octets = body->length < PIECE ? (size_t)body->length + 1 : PIECE;
	char *room = pst_realloc(NULL, octets);
	int rc = pop3_survey_in(body, room, octets, out, err);

	free(room);
	return rc;
}
