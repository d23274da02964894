/* SPDX-License-Identifier: MIT */
/* postern/str.h - a borrowed run of octets, and what may be asked of it.
 *
 * From a socket, a disk or a database comes a struct pst_str. It is not
 * NUL-terminated, NUL is an ordinary octet in it, and it never owns. Nothing
 * here obeys the locale. */
#ifndef POSTERN_STR_H
#define POSTERN_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pst_str {
	const char *p;
	size_t n;
};

/* For "%.*s". */
#define PST_ARG(s) ((int)((s).n > 4096 ? 4096 : (s).n)), (s).p
/* From a string literal. */
#define PST_LIT(lit) ((struct pst_str){ (lit), sizeof(lit) - 1 })

static inline struct pst_str
pst_str_c(const char *c) /* NULL gives the empty string */
{
	return (struct pst_str){ c == NULL ? "" : c, c == NULL ? 0 : strlen(c) };
}

static inline bool
pst_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char
pst_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool
pst_str_eq(struct pst_str a, struct pst_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII letters compare without case. */
static inline bool
pst_str_ieq(struct pst_str a, struct pst_str b)
{
	size_t i;

	if (a.n != b.n)
		return false;
	for (i = 0; i < a.n; i++)
		if (pst_lower(a.p[i]) != pst_lower(b.p[i]))
			return false;
	return true;
}

static inline bool
pst_str_has_nul(struct pst_str s)
{
	return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

/* A decimal number that fills s: digits only, at least one, at most 20, not above UINT64_MAX. */
static inline bool
pst_str_u64(struct pst_str s, uint64_t *num_out)
{
	uint64_t num = 0;
	size_t i;

	if (s.n == 0 || s.n > 20)
		return false;
	for (i = 0; i < s.n; i++) {
		uint64_t digit;

		if (!pst_is_digit(s.p[i]))
			return false;
		digit = (uint64_t)(s.p[i] - '0');
		if (num > (UINT64_MAX - digit) / 10)
			return false;
		num = num * 10 + digit;
	}
	*num_out = num;
	return true;
}

#endif
