/* SPDX-License-Identifier: MIT */
/* A hash table, at most half full; see names.h. */
#include "storage/index/names.h"

#include <string.h>

#include "storage/index/hash.h"

struct names_slot {
	const char *p; /* NULL: free */
	uint32_t n, number;
};

int
names_init(struct names *t, uint64_t room, struct pst_err *err)
{
	size_t slots = 16;

	*t = (struct names){ .mask = 0 };
	while (slots < room * 2)
		slots *= 2;
	if (mem_get(&t->mem, slots * sizeof(*t->slots)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for a table of names");
	t->slots = t->mem.p;
	t->mask = slots - 1;
	return 0;
}

void
names_clear(struct names *t)
{
	mem_drop(&t->mem);
	*t = (struct names){ .mask = 0 };
}

static struct names_slot *
find_slot(const struct names *t, struct pst_str s)
{
	size_t i = (size_t)index_hash(s.p, s.n, 1) & t->mask;

	while (t->slots[i].p != NULL &&
	       (t->slots[i].n != s.n || memcmp(t->slots[i].p, s.p, s.n) != 0))
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

uint32_t
names_find(const struct names *t, struct pst_str s)
{
	const struct names_slot *slot = find_slot(t, s);

	return slot->p == NULL ? NAMES_NONE : slot->number;
}

bool
names_add(struct names *t, struct pst_str s, uint32_t number)
{
	struct names_slot *slot = find_slot(t, s);

	if (slot->p != NULL)
		return false;
	*slot = (struct names_slot){ s.p == NULL ? "" : s.p, (uint32_t)s.n, number };
	return true;
}
