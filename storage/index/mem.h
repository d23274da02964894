/* SPDX-License-Identifier: MIT */
/* storage/index/mem.h - memory for a maildrop's listing, which may be a hundred octets or a hundred
 * megabytes.
 *
 * Large blocks come from the kernel and go straight back to it, so that a worker which once opened
 * a huge maildrop is small again afterwards, whatever the allocator does with its heaps. */
#ifndef STORAGE_INDEX_MEM_H
#define STORAGE_INDEX_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/attr.h>

struct mem {
	void *p;       /* NULL where it holds nothing */
	size_t octets; /* what was asked for, or more */
};

/* A zeroed block in place of what m holds, which must be nothing. -1: there is no memory. */
int mem_get(struct mem *m, size_t octets) PST_MUST_USE;

/* Makes m at least so large; what it held stays, what is new is zeroed. Grows by doubling, so that
 * it may be called for each small step. -1: no memory, or more than max; m is unchanged. */
int mem_grow(struct mem *m, size_t octets, size_t max) PST_MUST_USE;

void mem_drop(struct mem *m); /* m holds nothing then */

/* A small zeroed object; no memory ends the worker, as everywhere in the server. */
void *mem_new(size_t octets);

#endif
