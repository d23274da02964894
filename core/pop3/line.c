/* SPDX-License-Identifier: MIT */
/* The line reader; see command.h. */
#include "pop3/command.h"

#include <string.h>

enum pop3_line
pop3_line_next(struct pst_str *in, size_t max, struct pst_str *line_out)
{
	size_t span = in->n < max ? in->n : max;
	const char *lf = span == 0 ? NULL : memchr(in->p, '\n', span);
	size_t n;

	if (lf == NULL)
		return in->n < max ? POP3_LINE_MORE : POP3_LINE_TOO_LONG;
	n = (size_t)(lf - in->p);
	*line_out = (struct pst_str){ in->p, n > 0 && lf[-1] == '\r' ? n - 1 : n };
	*in = (struct pst_str){ lf + 1, in->n - n - 1 };
	return POP3_LINE_READY;
}
