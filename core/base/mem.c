/* SPDX-License-Identifier: MIT */
/* Allocation, asserts and secrets; see mem.h. */
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void die_without_memory(size_t octets) PST_NORETURN;

static void
die_without_memory(size_t octets)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "postern: no memory for %zu octets\n", octets);

	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(71);
	abort();
}

void *
pst_alloc(size_t octets)
{
	void *p = calloc(1, octets == 0 ? 1 : octets);

	if (p == NULL)
		die_without_memory(octets);
	return p;
}

void *
pst_realloc(void *p, size_t octets)
{
	void *q = realloc(p, octets == 0 ? 1 : octets);

	if (q == NULL)
		die_without_memory(octets);
	return q;
}

void *
pst_alloc_array(size_t n, size_t octets)
{
	size_t all;

	if (__builtin_mul_overflow(n, octets, &all))
		die_without_memory(SIZE_MAX);
	return pst_alloc(all);
}

void *
pst_realloc_array(void *p, size_t n, size_t octets)
{
	size_t all;

	if (__builtin_mul_overflow(n, octets, &all))
		die_without_memory(SIZE_MAX);
	return pst_realloc(p, all);
}

char *
pst_strdup(const char *c)
{
	return pst_str_dup(pst_str_c(c));
}

char *
pst_str_dup(struct pst_str s)
{
	char *p = pst_alloc(s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

void
pst_assert_failed(const char *what, const char *file, int line)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "postern: %s:%d: assertion failed: %s\n", file, line,
	                 what);

	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(70);
	abort();
}

bool
pst_secret_set(struct pst_secret *s, struct pst_str from)
{
	pst_secret_clear(s);
	if (from.n > sizeof(s->p))
		return false;
	if (from.n > 0)
		memcpy(s->p, from.p, from.n);
	s->n = from.n;
	return true;
}

void
pst_secret_clear(struct pst_secret *s)
{
	explicit_bzero(s->p, s->n);
	s->n = 0;
}

struct pst_str
pst_secret_view(const struct pst_secret *s)
{
	return (struct pst_str){ s->p, s->n };
}

bool
pst_secret_equal(struct pst_str a, struct pst_str b)
{
	volatile unsigned char diff = 0;
	size_t i;

	if (a.n != b.n)
		return false;
	for (i = 0; i < a.n; i++)
		diff = (unsigned char)(diff | (unsigned char)(a.p[i] ^ b.p[i]));
	return diff == 0;
}

void
pst_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

/* Not inlined: its frame has to lie where the others' were. */
PST_NOINLINE void
pst_wipe_stack(void)
{
	char room[8192];

	explicit_bzero(room, sizeof(room));
}
