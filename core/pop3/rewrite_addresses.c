/* SPDX-License-Identifier: MIT */
/* Address lists in ASCII; see surrogate.h for what becomes of an address. */
#include <idn2.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pop3/rewrite.h"

#define DOMAIN_MAX 1000 /* octets; idn2 knows the real bound */

static struct pst_str
from(struct pst_str s, size_t n)
{
	return (struct pst_str){ s.p + n, s.n - n };
}

/* The octet that closes what s begins with; 0: it opens nothing. */
static char
closing(char c)
{
	switch (c) {
	case '"':
		return '"';
	case '(':
		return ')';
	case '<':
		return '>';
	case '[':
		return ']';
	default:
		return '\0';
	}
}

size_t
rewrite_item(struct pst_str s)
{
	const char open = s.p[0], close = closing(open);
	size_t i = 1, depth = 1;

	if (open == '\\' && s.n > 1)
		return 2;
	if (close == '\0')
		return 1;
	while (i < s.n && depth > 0) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (s.p[i] == close)
			depth--;
		else if (s.p[i] == '(' && open == '(')
			depth++;
		else if (s.p[i] == '"' && open == '<')
			i += rewrite_item(from(s, i)) - 1;
		i++;
	}
	return i;
}

/* Where c stands in s, outside of what is quoted; s.n: nowhere. */
static size_t
find(struct pst_str s, char c)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != c)
		i += rewrite_item(from(s, i));
	return i;
}

/* ---- One mailbox ---- */

struct mailbox {
	struct pst_str name;    /* of the display, as it stands; or empty */
	struct pst_str address; /* without <> */
	struct pst_str behind;  /* what follows the > */
	bool has_angle;
};

static void
split(struct pst_str s, struct mailbox *m)
{
	const size_t angle = find(s, '<');
	size_t n;

	*m = (struct mailbox){ .name = { s.p, 0 }, .behind = { s.p, 0 } };
	if (angle == s.n) { /* an address, comments before and behind it */
		m->address = rewrite_trim((struct pst_str){ s.p, find(s, '(') });
		m->behind = rewrite_trim(from(s, find(s, '(')));
		return;
	}
	m->has_angle = true;
	m->name = rewrite_trim((struct pst_str){ s.p, angle });
	n = rewrite_item(from(s, angle));
	m->behind = rewrite_trim(from(s, angle + n));
	n -= n > 1 && s.p[angle + n - 1] == '>' ? 2 : 1;
	m->address = rewrite_trim((struct pst_str){ s.p + angle + 1, n });
}

/* libidn2 leaves out what no name may have, spaces and all: mail would go elsewhere. */
static bool
is_domain(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		const char c = pst_lower(s.p[i]);

		if ((c & 0x80) == 0 && !(c >= 'a' && c <= 'z') && !pst_is_digit(c) && c != '-' &&
		    c != '.')
			return false;
	}
	return s.n > 0 && s.n <= DOMAIN_MAX;
}

/* The domain's A-labels, malloc'ed; NULL: it has none. */
static char *
to_ascii(struct pst_str domain)
{
	char *text = NULL;
	uint8_t *ascii = NULL;

	if (!is_domain(domain))
		return NULL;
	text = pst_str_dup(domain);
	if (idn2_lookup_u8((const uint8_t *)text, &ascii,
	                   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES) !=
	    IDN2_OK)
		ascii = NULL;
	free(text);
	return (char *)ascii;
}

/* The address in ASCII, malloc'ed; NULL: it has no such form. */
static char *
ascii_address(struct pst_str s)
{
	const char *at = NULL;
	struct pst_str local, domain;
	char *ascii, *address;
	size_t i;

	for (i = 0; i < s.n; i += rewrite_item(from(s, i)))
		if (s.p[i] == '@')
			at = s.p + i;
	if (at == NULL)
		return NULL;
	local = (struct pst_str){ s.p, (size_t)(at - s.p) };
	domain = from(s, local.n + 1);
	if (local.n == 0 || rewrite_is_needed(local))
		return NULL;
	ascii = to_ascii(domain);
	if (ascii == NULL || rewrite_is_needed(pst_str_c(ascii))) {
		free(ascii);
		return NULL;
	}
	i = local.n + 1 + strlen(ascii);
	address = pst_alloc(i + 1);
	memcpy(address, s.p, local.n + 1);
	memcpy(address + local.n + 1, ascii, strlen(ascii));
	free(ascii);
	return address;
}

/* What quotes and backslashes stand for, into to, which is as long as s. */
static struct pst_str
unquote(struct pst_str s, char *to)
{
	bool is_quoted = false;
	size_t i, n = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"') {
			is_quoted = !is_quoted;
			continue;
		}
		if (s.p[i] == '\\' && is_quoted && i + 1 < s.n)
			i++;
		to[n++] = s.p[i];
	}
	return rewrite_trim((struct pst_str){ to, n });
}

/* A display name: all of it is encoded where some of it must be. */
static void
write_name(struct rewriter *w, struct pst_str name)
{
	char *text;

	if (!rewrite_is_needed(name)) {
		rewrite_words(w, name);
		return;
	}
	text = pst_realloc(NULL, name.n);
	rewrite_encoded(w, "", unquote(name, text), "");
	free(text);
}

/* The comments at the front of s. Returns what follows them. */
static struct pst_str
write_comments(struct rewriter *w, struct pst_str s)
{
	while (s.n > 0 && s.p[0] == '(') {
		size_t n = rewrite_item(s);

		rewrite_comment(w, (struct pst_str){ s.p, n });
		s = rewrite_trim(from(s, n));
	}
	return s;
}

/* Comments, or what stands where they should be. */
static void
write_behind(struct rewriter *w, struct pst_str s)
{
	s = write_comments(w, s);
	if (rewrite_is_needed(s))
		rewrite_encoded(w, "(", s, ")");
	else
		rewrite_words(w, s);
}

/* An address that nobody without UTF-8 can write to. */
static void
write_unreachable(struct rewriter *w, struct pst_str s, bool in_group)
{
	char *text;

	if (in_group) { /* a group has no groups in it */
		rewrite_encoded(w, "(", s, ")");
		return;
	}
	text = pst_realloc(NULL, s.n);
	rewrite_encoded(w, "", unquote(s, text), "");
	rewrite_word(w, PST_LIT(":;"));
	free(text);
}

static void
write_address(struct rewriter *w, const struct mailbox *m, struct pst_str ascii)
{
	struct pst_str word = ascii;
	char *text;

	if (!m->has_angle) {
		rewrite_word(w, ascii);
		return;
	}
	text = pst_alloc(ascii.n + 2);
	text[0] = '<';
	memcpy(text + 1, ascii.p, ascii.n);
	text[ascii.n + 1] = '>';
	word = (struct pst_str){ text, ascii.n + 2 };
	if (memchr(ascii.p, ' ', ascii.n) == NULL)
		rewrite_word(w, word);
	else
		rewrite_words(w, word);
	free(text);
}

static void
write_mailbox(struct rewriter *w, struct pst_str s, bool in_group)
{
	struct mailbox m;
	char *ascii;

	s = rewrite_trim(s);
	if (!rewrite_is_needed(s)) {
		rewrite_words(w, s);
		return;
	}
	s = write_comments(w, s);
	if (s.n == 0)
		return;
	split(s, &m);
	ascii = rewrite_is_needed(m.address) ? ascii_address(m.address) : pst_str_dup(m.address);
	if (ascii == NULL || (!m.has_angle && strchr(ascii, '@') == NULL)) {
		write_unreachable(w, s, in_group);
	} else {
		write_name(w, m.name);
		write_address(w, &m, pst_str_c(ascii));
		write_behind(w, m.behind);
	}
	free(ascii);
}

/* ---- The list ---- */

void
rewrite_addresses(struct rewriter *w, struct pst_str value)
{
	bool in_group = false;
	size_t i = 0;

	while (i < value.n) {
		const char c = value.p[i];
		const bool begins_group = c == ':' && !in_group;
		const struct pst_str before = { value.p, i };

		if (c != ',' && c != ';' && !begins_group) {
			i += rewrite_item(from(value, i));
			continue;
		}
		if (begins_group)
			write_name(w, rewrite_trim(before));
		else
			write_mailbox(w, before, in_group);
		rewrite_glue(w, (struct pst_str){ &c, 1 });
		in_group = begins_group || (in_group && c != ';');
		value = from(value, i + 1);
		i = 0;
	}
	write_mailbox(w, value, in_group);
}
