/* SPDX-License-Identifier: MIT */
/* From a header with UTF-8 to one in ASCII, field by field; see surrogate.h. */
#include "pop3/surrogate.h"

#include <stdlib.h>
#include <unistr.h>

#include "base/mem.h"
#include "pop3/rewrite.h"

#define FIELD_NAME_MAX 70 /* octets; a longer one is no field's name */

enum kind { KIND_TEXT, KIND_ADDRESSES, KIND_PARAMETERS, KIND_STRUCTURED };

static const struct {
	const char *name;
	enum kind kind;
} kinds[] = {
	{ "From", KIND_ADDRESSES },
	{ "Sender", KIND_ADDRESSES },
	{ "Reply-To", KIND_ADDRESSES },
	{ "To", KIND_ADDRESSES },
	{ "Cc", KIND_ADDRESSES },
	{ "Bcc", KIND_ADDRESSES },
	{ "Resent-From", KIND_ADDRESSES },
	{ "Resent-Sender", KIND_ADDRESSES },
	{ "Resent-Reply-To", KIND_ADDRESSES },
	{ "Resent-To", KIND_ADDRESSES },
	{ "Resent-Cc", KIND_ADDRESSES },
	{ "Resent-Bcc", KIND_ADDRESSES },
	{ "Apparently-To", KIND_ADDRESSES },
	{ "Delivered-To", KIND_ADDRESSES },
	{ "Disposition-Notification-To", KIND_ADDRESSES },
	{ "Envelope-To", KIND_ADDRESSES },
	{ "Errors-To", KIND_ADDRESSES },
	{ "Mail-Followup-To", KIND_ADDRESSES },
	{ "Mail-Reply-To", KIND_ADDRESSES },
	{ "Return-Receipt-To", KIND_ADDRESSES },
	{ "X-Original-To", KIND_ADDRESSES },
	{ "Content-Disposition", KIND_PARAMETERS },
	{ "Content-Type", KIND_PARAMETERS },
	{ "Authentication-Results", KIND_STRUCTURED },
	{ "Content-ID", KIND_STRUCTURED },
	{ "Content-Transfer-Encoding", KIND_STRUCTURED },
	{ "Date", KIND_STRUCTURED },
	{ "DKIM-Signature", KIND_STRUCTURED },
	{ "Final-Recipient", KIND_STRUCTURED },
	{ "In-Reply-To", KIND_STRUCTURED },
	{ "Message-ID", KIND_STRUCTURED },
	{ "MIME-Version", KIND_STRUCTURED },
	{ "Original-Recipient", KIND_STRUCTURED },
	{ "Received", KIND_STRUCTURED },
	{ "References", KIND_STRUCTURED },
	{ "Resent-Date", KIND_STRUCTURED },
	{ "Resent-Message-ID", KIND_STRUCTURED },
	{ "Return-Path", KIND_STRUCTURED },
};

static enum kind
kind_of(struct pst_str name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (pst_str_ieq(name, pst_str_c(kinds[i].name)))
			return kinds[i].kind;
	return KIND_TEXT;
}

bool
pop3_has_8bit(struct pst_str s)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t v, any = 0;
	size_t i;

	for (i = 0; i + 8 <= s.n; i += 8) {
		memcpy(&v, s.p + i, 8);
		any |= v;
	}
	for (; i < s.n; i++)
		any |= (unsigned char)s.p[i];
	return (any & high) != 0;
}

/* Octets of the line at the front of s, with its LF; s.n where it has none. */
static size_t
line_octets(struct pst_str s)
{
	const char *lf = s.n == 0 ? NULL : memchr(s.p, '\n', s.n);

	return lf == NULL ? s.n : (size_t)(lf - s.p) + 1;
}

static bool
is_empty_line(struct pst_str line)
{
	return pst_str_eq(line, PST_LIT("\n")) || pst_str_eq(line, PST_LIT("\r\n"));
}

size_t
pop3_header_octets(struct pst_str s)
{
	size_t at = 0;

	while (at < s.n) {
		struct pst_str line = { s.p + at,
			                line_octets((struct pst_str){ s.p + at, s.n - at }) };

		at += line.n;
		if (is_empty_line(line))
			return at;
	}
	return 0;
}

/* ---- Fields ---- */

static bool
is_continued(struct pst_str s, size_t at)
{
	return at < s.n && at > 0 && s.p[at - 1] == '\n' && (s.p[at] == ' ' || s.p[at] == '\t');
}

/* The field at the front of s, with the lines that continue it. */
static struct pst_str
next_field(struct pst_str s)
{
	size_t n = line_octets(s);

	while (is_continued(s, n))
		n += line_octets((struct pst_str){ s.p + n, s.n - n });
	return (struct pst_str){ s.p, n };
}

static struct pst_str
line_end(struct pst_str s)
{
	if (s.n > 1 && memcmp(s.p + s.n - 2, "\r\n", 2) == 0)
		return PST_LIT("\r\n");
	return s.n > 0 && s.p[s.n - 1] == '\n' ? PST_LIT("\n") : PST_LIT("");
}

/* The field's value without line ends, into to, which is as long as s. */
static struct pst_str
unfold(struct pst_str s, char *to)
{
	size_t n = 0;

	while (s.n > 0) {
		struct pst_str line = { s.p, line_octets(s) };

		s = (struct pst_str){ s.p + line.n, s.n - line.n };
		line.n -= line_end(line).n;
		if (line.n > 0)
			memcpy(to + n, line.p, line.n);
		n += line.n;
	}
	return rewrite_trim((struct pst_str){ to, n });
}

/* Takes the name and the ':' from the front of *s. Empty: that is no field. */
static struct pst_str
take_name(struct pst_str *s)
{
	struct pst_str name = { s->p, 0 };
	size_t at;

	while (name.n < s->n && s->p[name.n] > ' ' && s->p[name.n] < 0x7f && s->p[name.n] != ':')
		name.n++;
	for (at = name.n; at < s->n && (s->p[at] == ' ' || s->p[at] == '\t'); at++)
		;
	if (name.n > FIELD_NAME_MAX || at == s->n || s->p[at] != ':')
		name.n = 0;
	if (name.n > 0)
		*s = (struct pst_str){ s->p + at + 1, s->n - at - 1 };
	return name;
}

static size_t
before_comment(struct pst_str s)
{
	const char *comment = s.n == 0 ? NULL : memchr(s.p, '(', s.n);

	return comment == NULL ? s.n : (size_t)(comment - s.p);
}

/* Whether only comments must be encoded. */
static bool
is_ascii_but_comments(struct pst_str s)
{
	while (s.n > 0) {
		size_t n = before_comment(s);

		if (rewrite_is_needed((struct pst_str){ s.p, n }))
			return false;
		if (n < s.n)
			n += rewrite_item((struct pst_str){ s.p + n, s.n - n });
		s = (struct pst_str){ s.p + n, s.n - n };
	}
	return true;
}

static void
write_with_comments(struct rewriter *w, struct pst_str s)
{
	while (s.n > 0) {
		size_t n = before_comment(s);

		rewrite_words(w, (struct pst_str){ s.p, n });
		s = (struct pst_str){ s.p + n, s.n - n };
		if (s.n == 0)
			break;
		n = rewrite_item(s);
		rewrite_comment(w, (struct pst_str){ s.p, n });
		s = (struct pst_str){ s.p + n, s.n - n };
	}
}

static void
write_field(struct rewriter *w, struct pst_str name, struct pst_str value)
{
	const enum kind kind = kind_of(name);

	if (kind == KIND_STRUCTURED && !is_ascii_but_comments(value)) {
		rewrite_name(w, "Downgraded-", name);
		rewrite_encoded(w, "", value, "");
		return;
	}
	rewrite_name(w, "", name);
	switch (kind) {
	case KIND_TEXT:
		rewrite_text(w, value);
		break;
	case KIND_ADDRESSES:
		rewrite_addresses(w, value);
		break;
	case KIND_PARAMETERS:
		rewrite_parameters(w, value);
		break;
	case KIND_STRUCTURED:
		write_with_comments(w, value);
		break;
	}
}

/* One that has a surrogate. A line that is no field becomes one. */
static void
rewrite_field(struct rewriter *w, struct pst_str field)
{
	char *text = pst_realloc(NULL, field.n);
	const struct pst_str end = line_end(field), name = take_name(&field);

	w->eol = end.n > 0 ? end : PST_LIT("\n");
	if (name.n > 0) {
		write_field(w, name, unfold(field, text));
	} else {
		rewrite_name(w, "", PST_LIT("Downgraded-Line"));
		rewrite_encoded(w, "", unfold(field, text), "");
	}
	rewrite_glue(w, end);
	free(text);
}

bool
pop3_surrogate(struct pst_str header, struct pst_buf *out)
{
	struct rewriter w = { .out = out };
	bool has_any = false;

	if (!pop3_has_8bit(header))
		return false;
	while (header.n > 0 && !w.is_full) {
		struct pst_str field = next_field(header);

		header = (struct pst_str){ header.p + field.n, header.n - field.n };
		if (pop3_has_8bit(field) && u8_check((const uint8_t *)field.p, field.n) == NULL) {
			rewrite_field(&w, field);
			has_any = true;
		} else {
			rewrite_glue(&w, field);
		}
	}
	if (w.is_full || !has_any)
		pst_buf_clear(out);
	return has_any && !w.is_full;
}
