/* SPDX-License-Identifier: MIT */
/* The rules of the wire said once more, line by line and octet by octet, to hold pop3/body.c
 * against. Slow and plain on purpose. */
#ifndef TESTS_NAIVE_BODY_H
#define TESTS_NAIVE_BODY_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAIVE_RETR UINT64_MAX

struct naive_reply {
	char *p; /* to be freed */
	size_t n;
	uint64_t octets; /* without stuffed dots and the ending dot */
};

/* lines: of the body, or NAIVE_RETR. */
static inline struct naive_reply
naive_body(const char *in, size_t n, uint64_t lines)
{
	struct naive_reply r = { .p = malloc(2 * n + 16) };
	int in_header = lines != NAIVE_RETR;
	size_t at = 0;

	if (r.p == NULL)
		abort();
	while (at < n) {
		size_t text_end = at, next, i;

		if (!in_header && lines != NAIVE_RETR && lines-- == 0)
			break;
		while (text_end < n && in[text_end] != '\n')
			text_end++;
		next = text_end < n ? text_end + 1 : n;
		if (text_end < n && text_end > at && in[text_end - 1] == '\r')
			text_end--;
		if (text_end > at && in[at] == '.')
			r.p[r.n++] = '.';
		for (i = at; i < text_end; i++, r.octets++)
			r.p[r.n++] = in[i];
		r.p[r.n++] = '\r';
		r.p[r.n++] = '\n';
		r.octets += 2;
		if (text_end == at)
			in_header = 0;
		at = next;
	}
	memcpy(r.p + r.n, ".\r\n", 3);
	r.n += 3;
	return r;
}

#endif
