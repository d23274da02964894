/* SPDX-License-Identifier: MIT */
/* Headers; see parse.h. */
#include "storage/mbox/parse.h"

#include <string.h>

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

size_t
mbox_empty_line(struct pst_str s)
{
	if (s.n >= 1 && s.p[0] == '\n')
		return 1;
	return s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n' ? 2 : 0;
}

/* ---- Headers ---- */

enum field {
	FIELD_SHOWN,
	FIELD_HIDDEN,
	FIELD_LENGTH,
	FIELD_IMAP,
	FIELD_IMAPBASE,
	FIELD_UID,
	FIELD_UIDL, /* shown: other servers show it too */
	FIELD_MARK, /* hidden where it is one */
	FIELD_STATUS,
	FIELD_SUBJECT,
};

static const struct {
	struct pst_str name;
	enum field field;
	bool is_hidden;
} fields[] = {
	{ { "Content-Length", 14 }, FIELD_LENGTH, true },
	{ { "Status", 6 }, FIELD_STATUS, true },
	{ { "X-IMAP", 6 }, FIELD_IMAP, true },
	{ { "X-IMAPbase", 10 }, FIELD_IMAPBASE, true },
	{ { "X-Keywords", 10 }, FIELD_HIDDEN, true },
	{ { MBOX_MARK, sizeof(MBOX_MARK) - 1 }, FIELD_MARK, false },
	{ { "X-Status", 8 }, FIELD_HIDDEN, true },
	{ { "X-UID", 5 }, FIELD_UID, true },
	{ { "X-UIDL", 6 }, FIELD_UIDL, false },
	{ { "Subject", 7 }, FIELD_SUBJECT, false },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static struct pst_str
trim(struct pst_str s)
{
	while (s.n > 0 && (is_space(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n'))
		s.p++, s.n--;
	while (s.n > 0 && (is_space(s.p[s.n - 1]) || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

/* Octets of the line at the front of s, with its end if that is there. */
static size_t
line_octets(struct pst_str s)
{
	const char *end = s.n == 0 ? NULL : memchr(s.p, '\n', s.n);

	return end == NULL ? s.n : (size_t)(end - s.p) + 1;
}

/* Of the field whose first line has n octets, with the lines that continue it. */
static size_t
field_octets(struct pst_str s, size_t n)
{
	while (n < s.n && is_space(s.p[n]))
		n += line_octets((struct pst_str){ s.p + n, s.n - n });
	return n;
}

/* By its first letter: most fields are none of ours, and looked at no further. */
static bool
may_be_field(char first)
{
	char c = pst_lower(first);

	return c == 'c' || c == 's' || c == 'x';
}

/* The row of the field that s begins with, or FIELDS; its value. */
static size_t
find_field(struct pst_str s, struct pst_str *value_out)
{
	size_t row, end;

	if (s.n == 0 || !may_be_field(s.p[0]))
		return FIELDS;
	for (row = 0; row < FIELDS; row++) {
		struct pst_str name = fields[row].name;

		if (s.n <= name.n || !pst_str_ieq((struct pst_str){ s.p, name.n }, name))
			continue;
		for (end = name.n; end < s.n && is_space(s.p[end]); end++)
			;
		if (end == s.n || s.p[end] != ':')
			continue;
		*value_out = trim((struct pst_str){ s.p + end + 1, s.n - end - 1 });
		return row;
	}
	return FIELDS;
}

static void
hide(struct mbox_header *h, size_t at, size_t n)
{
	struct pst_gap *last = h->gap_count == 0 ? NULL : &h->gaps[h->gap_count - 1];

	if (last != NULL && last->at + last->length == at)
		last->length += n;
	else if (h->gap_count < MBOX_GAPS)
		h->gaps[h->gap_count++] = (struct pst_gap){ at, n };
	else
		return;
	h->hidden_octets += n;
}

static bool
begins_internal_subject(struct pst_str subject)
{
	static const struct pst_str said = { "DON'T DELETE THIS MESSAGE", 25 };

	return subject.n >= said.n && memcmp(subject.p, said.p, said.n) == 0;
}

struct seen {
	bool has_imap, has_subject;
};

static void
take_field(struct mbox_header *h, struct seen *seen, struct pst_str field, size_t at)
{
	struct pst_str value;
	size_t row = find_field(field, &value);

	if (row == FIELDS)
		return;
	if (fields[row].is_hidden)
		hide(h, at, field.n);
	switch (fields[row].field) {
	case FIELD_LENGTH:
		h->has_length = pst_str_u64(value, &h->content_length);
		break;
	case FIELD_IMAP: /* of the notes about the folder: says the same */
		seen->has_imap = true;
		if (h->x_imapbase.n == 0)
			h->x_imapbase = value;
		break;
	case FIELD_IMAPBASE:
		h->x_imapbase = value;
		break;
	case FIELD_UID:
		h->x_uid = value;
		break;
	case FIELD_UIDL:
		h->x_uidl = value;
		break;
	case FIELD_SUBJECT:
		seen->has_subject = begins_internal_subject(value);
		break;
	case FIELD_STATUS:
		h->status = value;
		break;
	case FIELD_SHOWN:
	case FIELD_HIDDEN:
	case FIELD_MARK:
		break;
	}
}

static bool
is_uidl(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n <= PST_UIDL_MAX;
}

/* A mark in the line at the front of s, which lies at at: it is hidden then. */
static bool
take_mark(struct mbox_header *h, struct pst_str line, size_t at)
{
	struct pst_str value, number;
	size_t row;

	if (h->hidden_octets != at || h->has_mark || line.p[line.n - 1] != '\n')
		return false;
	row = find_field(line, &value);
	if (row == FIELDS || fields[row].field != FIELD_MARK)
		return false;
	for (number = value, number.n = 0; number.n < value.n && !is_space(value.p[number.n]);)
		number.n++;
	if (!pst_str_u64(number, &h->marked_octets) || h->marked_octets > INT64_MAX)
		return false;
	h->marked_uidl = trim((struct pst_str){ value.p + number.n, value.n - number.n });
	if (!is_uidl(h->marked_uidl))
		return false;
	h->has_mark = true;
	h->marked_status = h->status;
	h->mark_end = at + line.n;
	hide(h, at, line.n);
	return true;
}

bool
mbox_header_settle(struct mbox_header *h, uint64_t content)
{
	static const struct pst_str none = { "", 0 };

	if (!h->has_mark || h->mark_end > content || h->marked_octets != content - h->mark_end)
		return false;
	h->gap_count = 1;
	h->gaps[0] = (struct pst_gap){ 0, h->mark_end };
	h->hidden_octets = h->mark_end;
	if (h->header_octets > content) { /* its empty line is the one after the message */
		h->header_octets = (size_t)content;
		h->is_complete = false;
	}
	h->is_internal = false;
	h->status = h->marked_status;
	h->x_uid = h->x_uidl = h->x_imapbase = none;
	return true;
}

void
mbox_header_after(struct pst_str s, size_t from_octets, bool is_first, struct mbox_header *out)
{
	struct seen seen = { false, false };
	size_t at = 0, n;

	memset(out, 0, offsetof(struct mbox_header, gaps));
	out->from_octets = from_octets;
	s.p += out->from_octets;
	s.n -= out->from_octets;
	if (s.n > MBOX_HEADER_MAX)
		s.n = MBOX_HEADER_MAX;
	while (at < s.n) {
		struct pst_str rest = { s.p + at, s.n - at };

		n = mbox_empty_line(rest);
		if (n > 0) {
			out->is_complete = true;
			at += n;
			break;
		}
		n = line_octets(rest); /* what follows a mark continues nothing */
		if (!take_mark(out, (struct pst_str){ rest.p, n }, at)) {
			n = field_octets(rest, n);
			take_field(out, &seen, (struct pst_str){ rest.p, n }, at);
		}
		at += n;
	}
	out->header_octets = at;
	/* c-client writes both; anybody can write one of them. */
	out->is_internal = is_first && seen.has_subject &&
	                   (seen.has_imap || out->x_imapbase.n > 0) && out->is_complete;
}

void
mbox_header(struct pst_str s, bool is_first, struct mbox_header *out)
{
	mbox_header_after(s, mbox_from_line(s), is_first, out);
}

/* Appends s without the CRs before its LFs. */
static size_t
add_lines(struct pst_str s, char *out)
{
	size_t i, n = 0;

	if (s.n == 0 || memchr(s.p, '\r', s.n) == NULL) {
		if (s.n > 0)
			memcpy(out, s.p, s.n);
		return s.n;
	}
	for (i = 0; i < s.n;) {
		struct pst_str rest = { s.p + i, s.n - i };
		size_t line = line_octets(rest), text = line;

		if (rest.p[line - 1] == '\n') {
			text--;
			if (text > 0 && rest.p[text - 1] == '\r')
				text--;
		}
		memcpy(out + n, rest.p, text);
		n += text;
		if (rest.p[line - 1] == '\n')
			out[n++] = '\n';
		i += line;
	}
	return n;
}

size_t
mbox_essence(const struct mbox_header *h, struct pst_str content, char *out)
{
	size_t header = h->header_octets < content.n ? h->header_octets : content.n;
	size_t sample = content.n - header < MBOX_SAMPLE ? content.n - header : MBOX_SAMPLE;
	size_t n = 0, at = 0;
	uint32_t i;

	for (i = 0; i < h->gap_count && h->gaps[i].at < header; i++) {
		n += add_lines((struct pst_str){ content.p + at, (size_t)h->gaps[i].at - at },
		               out + n);
		at = (size_t)(h->gaps[i].at + h->gaps[i].length);
	}
	if (at < header)
		n += add_lines((struct pst_str){ content.p + at, header - at }, out + n);
	return n + add_lines((struct pst_str){ content.p + header, sample }, out + n);
}
