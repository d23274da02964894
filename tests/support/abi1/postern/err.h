/* SPDX-License-Identifier: MIT */
/* postern/err.h - why a call failed: a kind for the caller, a text for the log.
 *
 * The struct lives on the caller's stack, is never NULL and is read only after
 * a failure. The functions are inline so that a plugin links to nothing. */
#ifndef POSTERN_ERR_H
#define POSTERN_ERR_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <postern/attr.h>

/* What the caller does next; the reply the client gets (RFC 2449 section 8, RFC 3206). */
enum pst_err_kind {
	PST_E_TEMP = 1, /* -ERR [SYS/TEMP]  database away, disk full */
	PST_E_PERM,     /* -ERR [SYS/PERM]  an admin must act: mailbox unreadable */
	PST_E_AUTH,     /* -ERR [AUTH]      bad credentials */
	PST_E_IN_USE,   /* -ERR [IN-USE]    maildrop locked by another session */
	PST_E_CLIENT,   /* -ERR             the client asked for nonsense */
	PST_E_LIMIT,    /* -ERR, close      a ceiling was passed */
	PST_E_CLOSED,   /* no reply         the peer is gone */
};

struct pst_err {
	enum pst_err_kind kind;
	char text[256]; /* for the log, never for the client (but PST_E_CLIENT); no secrets */
};

static inline int pst_err_vset(struct pst_err *err, enum pst_err_kind kind, const char *fmt,
                               va_list ap) PST_PRINTF(3, 0);
static inline int pst_err_set(struct pst_err *err, enum pst_err_kind kind, const char *fmt, ...)
	PST_PRINTF(3, 4);
static inline int pst_err_sys(struct pst_err *err, enum pst_err_kind kind, const char *fmt, ...)
	PST_PRINTF(3, 4);

static inline int
pst_err_vset(struct pst_err *err, enum pst_err_kind kind, const char *fmt, va_list ap)
{
	err->kind = kind;
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap); /* a long text may be cut */
	return -1;
}

/* Fills err and returns -1, so that a failing line can be one line. */
static inline int
pst_err_set(struct pst_err *err, enum pst_err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)pst_err_vset(err, kind, fmt, ap);
	va_end(ap);
	return -1;
}

/* The same, with ": " and the text of errno, which it reads first. */
static inline int
pst_err_sys(struct pst_err *err, enum pst_err_kind kind, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	(void)pst_err_vset(err, kind, fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	if (n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - n, ": %s", strerror(saved));
	return -1;
}

#endif
