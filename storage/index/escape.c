/* SPDX-License-Identifier: MIT */
/* Words of a line; see escape.h. */
#include "storage/index/escape.h"

#include <string.h>

size_t
escape_word(struct pst_str s, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, n = 0;

	if (s.n == 0)
		out[n++] = '%';
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c > 0x20 && c < 0x7f && c != '%') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return n;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
escape_undo(char *p, struct pst_str *s)
{
	size_t i, n = 0;

	if (s->n == 1 && p[0] == '%') {
		*s = (struct pst_str){ p, 0 };
		return true;
	}
	for (i = 0; i < s->n; i++) {
		if (p[i] != '%') {
			p[n++] = p[i];
			continue;
		}
		if (i + 2 >= s->n || digit(p[i + 1]) < 0 || digit(p[i + 2]) < 0)
			return false;
		p[n++] = (char)(digit(p[i + 1]) << 4 | digit(p[i + 2]));
		i += 2;
	}
	*s = (struct pst_str){ p, n };
	return n > 0;
}

struct pst_str
escape_next(struct pst_str *line)
{
	const char *space = line->n == 0 ? NULL : memchr(line->p, ' ', line->n);
	struct pst_str word = { line->p, space == NULL ? line->n : (size_t)(space - line->p) };
	size_t taken = word.n + (space != NULL);

	*line = (struct pst_str){ line->p + taken, line->n - taken };
	return word;
}
