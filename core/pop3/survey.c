/* SPDX-License-Identifier: MIT */
/* Surveying messages; see survey.h. Most have no octet beyond ASCII where they begin: these cost no
 * more than to be counted. */
#include "pop3/survey.h"

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

/* Whether the message's first octets say that its header must be looked at. */
static bool
is_suspicious(struct pst_str begin, bool is_all)
{
	struct pst_str head = { begin.p, pop3_header_octets(begin) };

	if (head.n == 0)
		return !is_all || pop3_has_8bit(begin);
	return pop3_has_8bit(head);
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
	bool is_looked_at = false;
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
		if (at == 0)
			is_looked_at = is_suspicious(piece, piece.n == body->length);
		pop3_size_feed(&size, piece);
		at += piece.n;
	}
	out->size_octets = pop3_size_end(&size);
	/* Any line end that is not CRLF, and a missing last one, adds octets on the wire. */
	out->crlf = body->length > 0 && out->size_octets == body->length;
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
