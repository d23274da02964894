/* SPDX-License-Identifier: MIT */
/* Content-Type and Content-Disposition in ASCII: parameters with UTF-8 as RFC 2231 has them. */
#include <stdlib.h>

#include "base/mem.h"
#include "pop3/rewrite.h"

#define NAME_MAX_OCTETS 60
#define PIECE_MAX 200 /* octets of a value that is a piece already, and cannot be cut again */
#define CHARSET "UTF-8''"

static bool
is_attribute_char(unsigned char c)
{
	return c > 0x20 && c < 0x7f && strchr("*'%()<>@,;:\\\"/[]?=", c) == NULL;
}

/* The value in percent encoding, malloc'ed. is_encoded: it says that it is so already. */
static char *
encode(struct pst_str value, bool is_encoded)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = pst_alloc(3 * value.n + 1);
	size_t i, n = 0;

	for (i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (is_attribute_char(c) || (is_encoded && (c == '%' || c == '\''))) {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '%';
		to[n++] = hex[c >> 4];
		to[n++] = hex[c & 15];
	}
	return to;
}

/* One piece of a value: "name*2*=text", with its ";" where more follow. */
static void
write_piece(struct rewriter *w, struct pst_str name, const char *number, struct pst_str text,
            bool has_more)
{
	struct pst_buf b;
	struct pst_err err;

	pst_buf_init(&b, SIZE_MAX / 4);
	if (pst_buf_addf(&b, &err, "%.*s%s*=%.*s%s", PST_ARG(name), number, PST_ARG(text),
	                 has_more ? ";" : "") != 0)
		w->is_full = true;
	rewrite_word(w, pst_buf_view(&b));
	pst_buf_clear(&b);
}

/* In pieces that fit on a line, none cut inside a "%C3". */
static void
write_pieces(struct rewriter *w, struct pst_str name, struct pst_str text)
{
	const size_t room = REWRITE_LINE - NAME_MAX_OCTETS / 2;
	char number[16];
	unsigned i;

	for (i = 0; text.n > 0; i++) {
		size_t n = text.n < room ? text.n : room;

		if (n < text.n && text.p[n - 1] == '%')
			n -= 1;
		else if (n < text.n && text.p[n - 2] == '%')
			n -= 2;
		(void)snprintf(number, sizeof(number), "*%u", i);
		write_piece(w, name, number, (struct pst_str){ text.p, n }, n < text.n);
		text = (struct pst_str){ text.p + n, text.n - n };
	}
}

static void
write_value(struct rewriter *w, struct pst_str name, struct pst_str value)
{
	const bool is_encoded = name.p[name.n - 1] == '*';
	const bool is_piece = memchr(name.p, '*', name.n - is_encoded) != NULL;
	const bool is_begin =
		!is_piece || (name.n > 2 && memcmp(name.p + name.n - 2, "*0", 2) == 0);
	struct pst_buf text;
	struct pst_err err;
	char *encoded = encode(value, is_encoded);

	pst_buf_init(&text, SIZE_MAX / 4);
	name.n -= is_encoded;
	if (pst_buf_addf(&text, &err, "%s", is_begin && !is_encoded ? CHARSET : "") != 0 ||
	    pst_buf_add(&text, pst_str_c(encoded), &err) != 0)
		w->is_full = true;
	if (is_piece || name.n + 3 + text.len <= REWRITE_LINE - 2)
		write_piece(w, name, "", pst_buf_view(&text), false);
	else
		write_pieces(w, name, pst_buf_view(&text));
	pst_buf_clear(&text);
	free(encoded);
}

/* The value between its quotes, into to, which is as long as s. */
static struct pst_str
unquote(struct pst_str s, char *to)
{
	size_t end = s.n > 0 ? rewrite_item(s) : 0, i, n = 0;

	if (end == 0 || s.p[0] != '"')
		return s;
	for (i = 1; i < end && (s.p[i] != '"' || i + 1 < end); i++) {
		if (s.p[i] == '\\' && i + 1 < end)
			i++;
		to[n++] = s.p[i];
	}
	return (struct pst_str){ to, n };
}

/* Nothing is left of one whose name makes no sense. */
static void
write_parameter(struct rewriter *w, struct pst_str s)
{
	const char *equals = memchr(s.p, '=', s.n);
	struct pst_str name, value;
	char *text;

	if (equals == NULL)
		return;
	name = rewrite_trim((struct pst_str){ s.p, (size_t)(equals - s.p) });
	value = rewrite_trim((struct pst_str){ equals + 1, s.n - (size_t)(equals + 1 - s.p) });
	if (name.n == 0 || name.n > NAME_MAX_OCTETS || rewrite_is_needed(name) ||
	    memchr(name.p, ' ', name.n) != NULL || value.n > REWRITE_WORD)
		return;
	text = pst_alloc(value.n + 1);
	value = unquote(value, text);
	if (value.n > PIECE_MAX && memchr(name.p, '*', name.n) != NULL)
		for (value.n = PIECE_MAX; ((unsigned char)value.p[value.n] & 0xc0) == 0x80;
		     value.n--)
			;
	rewrite_glue(w, PST_LIT(";"));
	write_value(w, name, value);
	free(text);
}

/* The type itself cannot be anything but ASCII. */
static void
write_type(struct rewriter *w, struct pst_str s)
{
	char *text;
	size_t i;

	if (s.n > REWRITE_WORD)
		s.n = REWRITE_WORD;
	if (s.n == 0)
		return;
	text = pst_realloc(NULL, s.n);
	for (i = 0; i < s.n; i++)
		text[i] = rewrite_is_needed((struct pst_str){ s.p + i, 1 }) ? '?' : s.p[i];
	rewrite_words(w, (struct pst_str){ text, s.n });
	free(text);
}

void
rewrite_parameters(struct rewriter *w, struct pst_str value)
{
	bool is_type = true;

	while (is_type || value.n > 0) {
		struct pst_str part;
		size_t i = 0;

		while (i < value.n && value.p[i] != ';')
			i += rewrite_item((struct pst_str){ value.p + i, value.n - i });
		part = rewrite_trim((struct pst_str){ value.p, i });
		i += i < value.n;
		value = (struct pst_str){ value.p + i, value.n - i };
		if (is_type) {
			write_type(w, part);
		} else if (rewrite_is_needed(part)) {
			write_parameter(w, part);
		} else if (part.n > 0) {
			rewrite_glue(w, PST_LIT(";"));
			rewrite_words(w, part);
		}
		is_type = false;
	}
}
