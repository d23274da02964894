/* SPDX-License-Identifier: MIT */
/* base/arena.h - memory with one lifetime: many allocations, one release.
 *
 * Everything given is wiped when the arena is reset or destroyed. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include <postern/attr.h>
#include <postern/str.h>

struct pst_arena;

struct pst_arena *pst_arena_create(void);    /* takes no block until something is asked of it */
void pst_arena_destroy(struct pst_arena *a); /* accepts NULL */
void pst_arena_reset(struct pst_arena *a);

void *pst_arena_alloc(struct pst_arena *a, size_t octets);   /* zeroed, aligned for anything */
char *pst_arena_copy(struct pst_arena *a, struct pst_str s); /* with a NUL after it */
char *pst_arena_printf(struct pst_arena *a, const char *fmt, ...) PST_PRINTF(2, 3);

#endif
