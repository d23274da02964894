/* SPDX-License-Identifier: MIT */
/* The growable buffer; see buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void
pst_buf_init(struct pst_buf *b, size_t max)
{
	*b = (struct pst_buf){ .max = max };
}

void
pst_buf_clear(struct pst_buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	free(b->data);
	*b = (struct pst_buf){ .max = b->max, .language = b->language };
}

void
pst_buf_reset(struct pst_buf *b)
{
	b->len = 0;
}

/* A new block rather than realloc, so that the old one can be wiped. */
static void
grow(struct pst_buf *b, size_t cap)
{
	char *data = pst_alloc(cap);

	if (b->data != NULL) {
		memcpy(data, b->data, b->len);
		explicit_bzero(b->data, b->cap);
	}
	free(b->data);
	b->data = data;
	b->cap = cap;
}

char *
pst_buf_reserve(struct pst_buf *b, size_t n, struct pst_err *err)
{
	if (n > b->max - b->len) {
		pst_err_set(err, PST_E_LIMIT, "buffer full: %zu octets", b->max);
		return NULL;
	}
	if (n > b->cap - b->len || b->data == NULL) {
		size_t cap = b->cap < 128 ? 128 : b->cap;

		while (cap < b->len + n)
			cap *= 2;
		grow(b, cap > b->max && b->max >= b->len + n && b->max > 0 ? b->max : cap);
	}
	return b->data + b->len;
}

void
pst_buf_added(struct pst_buf *b, size_t n)
{
	pst_assert(n <= b->cap - b->len);
	b->len += n;
}

int
pst_buf_add(struct pst_buf *b, struct pst_str s, struct pst_err *err)
{
	char *at = pst_buf_reserve(b, s.n, err);

	if (at == NULL)
		return -1;
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	b->len += s.n;
	return 0;
}

int
pst_buf_vaddf(struct pst_buf *b, struct pst_err *err, const char *fmt, va_list ap)
{
	va_list again;
	char *at;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return pst_err_set(err, PST_E_LIMIT, "bad format");
	if ((size_t)n > b->max - b->len)
		return pst_err_set(err, PST_E_LIMIT, "buffer full: %zu octets", b->max);
	/* vsnprintf writes a NUL after the text: room for it is taken beyond max if need be. */
	if ((size_t)n + 1 > b->cap - b->len || b->data == NULL) {
		size_t cap = b->cap < 128 ? 128 : b->cap;

		while (cap < b->len + (size_t)n + 1)
			cap *= 2;
		grow(b, cap);
	}
	at = b->data + b->len;
	(void)vsnprintf(at, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int
pst_buf_addf(struct pst_buf *b, struct pst_err *err, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = pst_buf_vaddf(b, err, fmt, ap);
	va_end(ap);
	return rc;
}

void
pst_buf_take(struct pst_buf *b, size_t n)
{
	pst_assert(n <= b->len);
	b->len -= n;
	if (b->len == 0) {
		pst_buf_clear(b);
		return;
	}
	memmove(b->data, b->data + n, b->len);
}

struct pst_str
pst_buf_view(const struct pst_buf *b)
{
	return (struct pst_str){ b->data == NULL ? "" : b->data, b->len };
}
