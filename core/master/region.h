/* SPDX-License-Identifier: MIT */
/* master/region.h - the master's shared mappings, in one list.
 *
 * A child of the fork inherits all of them; it drops those that its kind must not see before the
 * first line of its worker runs. */
#ifndef MASTER_REGION_H
#define MASTER_REGION_H

#include <stddef.h>

#define REGION_MAX 256

struct region_list {
	struct {
		void *p;
		size_t octets;
	} v[REGION_MAX];
	size_t n;
};

/* Zeroed shared memory, in the list. */
void *region_create(struct region_list *list, size_t octets);
void region_destroy(struct region_list *list, void *p); /* accepts NULL */

/* Unmaps every region that is not among the n of keep (which may hold NULLs). */
void region_keep(struct region_list *list, void *const *keep, size_t n);

#endif
