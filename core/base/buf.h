/* SPDX-License-Identifier: MIT */
/* base/buf.h - a growable octet buffer with a hard ceiling.
 *
 * Holds binary data: NUL is an ordinary octet and there is no terminator. Passing the ceiling is
 * an ordinary error, because a peer can cause it. The struct is published so that it can live
 * inside its owner: an empty buffer holds no memory. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/attr.h>
#include <postern/err.h>
#include <postern/str.h>

struct pst_buf {
	char *data;
	size_t len, cap, max; /* len <= cap <= max */
	/* Of the replies that pop3/reply.h adds; set by whose turn it is, the buffer does not look. */
	uint8_t language;
};

/* An empty buffer that will never hold more than max octets. */
void pst_buf_init(struct pst_buf *b, size_t max);

/* Wipes and frees what it holds (it may have been a password); it is empty then. */
void pst_buf_clear(struct pst_buf *b);

/* Forgets what it holds but keeps the memory for the next use. Not wiped. */
void pst_buf_reset(struct pst_buf *b);

/* Room for n more octets: returns where they go, or NULL with PST_E_LIMIT. Then pst_buf_added. */
char *pst_buf_reserve(struct pst_buf *b, size_t n, struct pst_err *err);
void pst_buf_added(struct pst_buf *b, size_t n);

/* Append a copy. On -1 (PST_E_LIMIT: would pass max) b is unchanged. */
int pst_buf_add(struct pst_buf *b, struct pst_str s, struct pst_err *err) PST_MUST_USE;
int pst_buf_addf(struct pst_buf *b, struct pst_err *err, const char *fmt, ...)
	PST_PRINTF(3, 4) PST_MUST_USE;
int pst_buf_vaddf(struct pst_buf *b, struct pst_err *err, const char *fmt, va_list ap)
	PST_PRINTF(3, 0) PST_MUST_USE;

/* Drops the first n octets; frees the memory when none is left. */
void pst_buf_take(struct pst_buf *b, size_t n);

/* Everything held. Borrowed: valid until the next call that changes b. */
struct pst_str pst_buf_view(const struct pst_buf *b);

#endif
