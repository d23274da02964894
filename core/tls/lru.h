/* SPDX-License-Identifier: MIT */
/* tls/lru.h - things found by a name, of which the longest unused go when there are too many.
 *
 * The item lives inside its owner's struct. Names come from clients, so the hash is seeded and
 * the table is bounded. Finding is O(1). */
#ifndef TLS_LRU_H
#define TLS_LRU_H

#include <stddef.h>
#include <stdint.h>

#include <postern/str.h>

struct lru_item {
	struct lru_item *chained; /* in its bucket */
	struct lru_item *newer, *older;
	char *name; /* the table's copy */
	uint32_t name_n;
	uint32_t hash;
};

struct lru {
	struct lru_item **buckets;
	size_t bucket_count; /* a power of two, or 0 before the first item */
	struct lru_item *newest, *oldest;
	size_t n, max;
	uint32_t seed;
	/* Called with an item that has just left the table: the owner frees it. */
	void (*drop)(void *arg, struct lru_item *item);
	void *arg;
};

void lru_init(struct lru *l, size_t max, void (*drop)(void *arg, struct lru_item *item), void *arg);
void lru_clear(struct lru *l); /* drops all; may be used again */

/* The item, now the newest; or NULL. */
struct lru_item *lru_find(struct lru *l, struct pst_str name);

/* Adds an item whose name is not there yet. Where that is one too many, the oldest is dropped:
 * never the new one. */
void lru_add(struct lru *l, struct lru_item *item, struct pst_str name);

/* Takes an item out and drops it. */
void lru_remove(struct lru *l, struct lru_item *item);

#endif
