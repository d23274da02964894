/* SPDX-License-Identifier: MIT */
/* Pairing two listings; see pairs.h. */
#include "ctl/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct named {
	struct pst_str uidl;
	uint32_t i;
};

static int
compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	size_t n = x->uidl.n < y->uidl.n ? x->uidl.n : y->uidl.n;
	int rc = n == 0 ? 0 : memcmp(x->uidl.p, y->uidl.p, n);

	if (rc != 0)
		return rc;
	if (x->uidl.n != y->uidl.n)
		return x->uidl.n < y->uidl.n ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* The valid UIDLs, sorted; of equal ones the first message is in front. */
static struct named *
sort_named(const struct pop3listing *l, uint32_t *n_out)
{
	struct named *all = pst_new_array(struct named, l->count + (size_t)1);
	uint32_t i, n = 0;

	for (i = 0; i < l->count; i++)
		if (l->all[i].is_valid)
			all[n++] = (struct named){ pop3listing_uidl(l, i), i };
	qsort(all, n, sizeof(*all), compare_named);
	*n_out = n;
	return all;
}

static uint32_t
drop_repeated(struct named *all, uint32_t n, struct pair *of)
{
	uint32_t i, kept = 0;

	for (i = 0; i < n; i++) {
		if (kept > 0 && pst_str_eq(all[kept - 1].uidl, all[i].uidl))
			of[all[i].i].is_repeated = true;
		else
			all[kept++] = all[i];
	}
	return kept;
}

static void
pair_by_uidl(struct pairs *p, const struct pop3listing *old, const struct pop3listing *new)
{
	uint32_t old_n, new_n, i = 0, k = 0;
	struct named *a = sort_named(old, &old_n), *b = sort_named(new, &new_n);

	old_n = drop_repeated(a, old_n, p->of_old);
	new_n = drop_repeated(b, new_n, p->of_new);
	while (i < old_n && k < new_n) {
		struct named x = { a[i].uidl, 0 }, y = { b[k].uidl, 0 };
		int rc = compare_named(&x, &y);

		if (rc == 0) {
			p->of_old[a[i].i].with = b[k].i;
			p->of_new[b[k].i].with = a[i].i;
			p->of_old[a[i].i].by_uidl = p->of_new[b[k].i].by_uidl = true;
		}
		i += rc <= 0;
		k += rc >= 0;
	}
	free(a);
	free(b);
}

static void
pair_by_place(struct pairs *p, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (p->of_old[i].with == PAIRS_NONE && p->of_new[i].with == PAIRS_NONE)
			p->of_old[i].with = p->of_new[i].with = i;
}

/* Those that do not belong to a longest rising row of places: the fewest that could have moved. */
static void
find_moved(struct pairs *p, uint32_t n)
{
	uint32_t *ends = pst_new_array(
		uint32_t, n + (size_t)1); /* old index a row of each length ends with */
	uint32_t *before = pst_new_array(uint32_t, n + (size_t)1);
	uint32_t i, rows = 0, at;

	for (i = 0; i < n; i++) {
		uint32_t low = 0, high = rows;

		if (!p->of_old[i].by_uidl)
			continue;
		while (low < high) {
			uint32_t mid = low + (high - low) / 2;

			if (p->of_old[ends[mid]].with < p->of_old[i].with)
				low = mid + 1;
			else
				high = mid;
		}
		before[i] = low == 0 ? PAIRS_NONE : ends[low - 1];
		ends[low] = i;
		rows += low == rows;
		p->of_old[i].is_moved = true;
	}
	for (at = rows == 0 ? PAIRS_NONE : ends[rows - 1]; at != PAIRS_NONE; at = before[at])
		p->of_old[at].is_moved = false;
	free(ends);
	free(before);
}

void
pairs_make(struct pairs *p, const struct pop3listing *old, const struct pop3listing *new)
{
	uint32_t i;

	p->of_old = pst_new_array(struct pair, old->count + (size_t)1);
	p->of_new = pst_new_array(struct pair, new->count + (size_t)1);
	for (i = 0; i < old->count; i++)
		p->of_old[i].with = PAIRS_NONE;
	for (i = 0; i < new->count; i++)
		p->of_new[i].with = PAIRS_NONE;
	pair_by_uidl(p, old, new);
	pair_by_place(p, old->count < new->count ? old->count : new->count);
	find_moved(p, old->count);
}

void
pairs_clear(struct pairs *p)
{
	free(p->of_old);
	free(p->of_new);
	*p = (struct pairs){ NULL, NULL };
}
