/* SPDX-License-Identifier: MIT */
/* The bounded table of names; see lru.h. */
#include "tls/lru.h"

#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

#define FIRST_BUCKETS 64

void
lru_init(struct lru *l, size_t max, void (*drop)(void *arg, struct lru_item *item), void *arg)
{
	*l = (struct lru){ .max = max == 0 ? 1 : max, .drop = drop, .arg = arg };
	pst_random(&l->seed, sizeof(l->seed));
}

/* FNV-1a from a seed that no client knows. */
static uint32_t
hash_of(const struct lru *l, struct pst_str name)
{
	uint32_t h = 2166136261u ^ l->seed;
	size_t i;

	for (i = 0; i < name.n; i++)
		h = (h ^ (uint8_t)name.p[i]) * 16777619u;
	return h ^ h >> 15;
}

static struct lru_item **
bucket_of(struct lru *l, uint32_t hash)
{
	return &l->buckets[hash & (l->bucket_count - 1)];
}

static void
grow(struct lru *l)
{
	struct lru_item **old = l->buckets;
	size_t count = l->bucket_count == 0 ? FIRST_BUCKETS : l->bucket_count * 2;
	struct lru_item *item;

	l->buckets = pst_new_array(struct lru_item *, count);
	l->bucket_count = count;
	for (item = l->newest; item != NULL; item = item->older) {
		struct lru_item **b = bucket_of(l, item->hash);

		item->chained = *b;
		*b = item;
	}
	free(old);
}

static void
put_newest(struct lru *l, struct lru_item *item)
{
	item->newer = NULL;
	item->older = l->newest;
	if (l->newest != NULL)
		l->newest->newer = item;
	else
		l->oldest = item;
	l->newest = item;
}

static void
take_from_list(struct lru *l, struct lru_item *item)
{
	if (item->newer != NULL)
		item->newer->older = item->older;
	else
		l->newest = item->older;
	if (item->older != NULL)
		item->older->newer = item->newer;
	else
		l->oldest = item->newer;
}

struct lru_item *
lru_find(struct lru *l, struct pst_str name)
{
	struct lru_item *item;
	uint32_t hash;

	if (l->n == 0)
		return NULL;
	hash = hash_of(l, name);
	for (item = *bucket_of(l, hash); item != NULL; item = item->chained)
		if (item->hash == hash &&
		    pst_str_eq((struct pst_str){ item->name, item->name_n }, name))
			break;
	if (item != NULL && item != l->newest) {
		take_from_list(l, item);
		put_newest(l, item);
	}
	return item;
}

void
lru_remove(struct lru *l, struct lru_item *item)
{
	struct lru_item **at = bucket_of(l, item->hash);

	while (*at != item)
		at = &(*at)->chained;
	*at = item->chained;
	take_from_list(l, item);
	l->n--;
	free(item->name);
	item->name = NULL;
	l->drop(l->arg, item);
}

void
lru_add(struct lru *l, struct lru_item *item, struct pst_str name)
{
	struct lru_item **b;

	while (l->n >= l->max)
		lru_remove(l, l->oldest);
	if (l->n >= l->bucket_count)
		grow(l);
	item->name = pst_str_dup(name);
	item->name_n = (uint32_t)name.n;
	item->hash = hash_of(l, name);
	b = bucket_of(l, item->hash);
	item->chained = *b;
	*b = item;
	put_newest(l, item);
	l->n++;
}

void
lru_clear(struct lru *l)
{
	while (l->oldest != NULL)
		lru_remove(l, l->oldest);
	free(l->buckets);
	l->buckets = NULL;
	l->bucket_count = 0;
}
