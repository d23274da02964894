/* SPDX-License-Identifier: MIT */
/* base/mem.h - allocation that never returns NULL, asserts, and wiped secrets.
 *
 * No memory ends the process: the master replaces the worker, and a session that ends before QUIT
 * removes no mail. All that a peer can grow has a ceiling elsewhere. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <postern/attr.h>
#include <postern/str.h>

void *pst_alloc(size_t octets); /* zeroed */
void *pst_realloc(void *p, size_t octets);
void *pst_alloc_array(size_t n, size_t octets); /* zeroed; the product is checked */
void *pst_realloc_array(void *p, size_t n, size_t octets);
char *pst_strdup(const char *c);
char *pst_str_dup(struct pst_str s); /* with a NUL after it */

#define pst_new(T) ((T *)pst_alloc(sizeof(T)))
#define pst_new_array(T, n) ((T *)pst_alloc_array((n), sizeof(T)))

/* A programmer's mistake: on in release builds too; aborts the worker. */
#define pst_assert(x) ((x) ? (void)0 : pst_assert_failed(#x, __FILE__, __LINE__))
void pst_assert_failed(const char *what, const char *file, int line) PST_NORETURN;

/* A secret of at most PST_SECRET_MAX octets, kept outside core dumps as far as the system allows,
 * and wiped on clear. */
#define PST_SECRET_MAX 1024
struct pst_secret {
	size_t n;
	char p[PST_SECRET_MAX];
};

bool pst_secret_set(struct pst_secret *s, struct pst_str from) PST_MUST_USE; /* false: too long */
void pst_secret_clear(struct pst_secret *s);
struct pst_str pst_secret_view(const struct pst_secret *s);

/* Constant time for equal lengths. */
bool pst_secret_equal(struct pst_str a, struct pst_str b);

/* explicit_bzero by its other name, so that a reader sees what it is for. */
void pst_wipe(void *p, size_t n);

/* Wipes the stack below the caller's frame, where functions that it called had a secret in their
 * variables: libraries seldom clean up there. */
void pst_wipe_stack(void);

#endif
