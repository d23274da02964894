/* SPDX-License-Identifier: MIT */
/* The master's shared mappings; see region.h. */
#include "master/region.h"

#include <stdbool.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "ipc/shm.h"

void *
region_create(struct region_list *list, size_t octets)
{
	void *p = shm_create(octets);

	pst_assert(list->n < REGION_MAX);
	(void)madvise(p, octets, MADV_DONTDUMP); /* keys, tickets and passwords lie in some */
	list->v[list->n].p = p;
	list->v[list->n].octets = octets;
	list->n++;
	return p;
}

void
region_destroy(struct region_list *list, void *p)
{
	size_t i;

	for (i = 0; p != NULL && i < list->n; i++)
		if (list->v[i].p == p) {
			shm_destroy(p, list->v[i].octets);
			list->v[i] = list->v[--list->n];
			return;
		}
	pst_assert(p == NULL);
}

static bool
is_among(const void *p, void *const *keep, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (keep[i] == p)
			return true;
	return false;
}

void
region_keep(struct region_list *list, void *const *keep, size_t n)
{
	size_t i = 0;

	while (i < list->n) {
		if (is_among(list->v[i].p, keep, n))
			i++;
		else
			region_destroy(list, list->v[i].p);
	}
}
