/* SPDX-License-Identifier: MIT */
/* The arena: a chain of blocks; see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_OCTETS 2048

struct block {
	struct block *next;
	size_t used, cap; /* used <= cap */
	alignas(max_align_t) char data[];
};

struct pst_arena {
	struct block *first;
};

struct pst_arena *
pst_arena_create(void)
{
	return pst_new(struct pst_arena);
}

void
pst_arena_reset(struct pst_arena *a)
{
	while (a->first != NULL) {
		struct block *b = a->first;

		a->first = b->next;
		explicit_bzero(b->data, b->used);
		free(b);
	}
}

void
pst_arena_destroy(struct pst_arena *a)
{
	if (a == NULL)
		return;
	pst_arena_reset(a);
	free(a);
}

void *
pst_arena_alloc(struct pst_arena *a, size_t octets)
{
	const size_t align = alignof(max_align_t);
	struct block *b = a->first;
	void *p;

	pst_assert(octets <= SIZE_MAX / 4);
	octets = (octets + align - 1) / align * align;
	if (b == NULL || octets > b->cap - b->used) {
		size_t cap = octets > BLOCK_OCTETS ? octets : BLOCK_OCTETS;

		b = pst_alloc(sizeof(*b) + cap);
		b->cap = cap;
		b->next = a->first;
		a->first = b;
	}
	p = b->data + b->used;
	b->used += octets;
	return p;
}

char *
pst_arena_copy(struct pst_arena *a, struct pst_str s)
{
	char *p = pst_arena_alloc(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

char *
pst_arena_printf(struct pst_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	pst_assert(n >= 0);
	p = pst_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
