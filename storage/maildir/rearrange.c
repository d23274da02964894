/* SPDX-License-Identifier: MIT */
/* An order and UIDLs from elsewhere: all of it goes into the ledger, which tells a listing that begins
 * without an index. So the index goes first: a crash between the two costs it and nothing else. */
#include <string.h>

#include "storage/index/places.h"
#include "storage/maildir/drop.h"
#include "storage/maildir/record.h"

struct rearrangement {
	struct pst_maildrop *d;
	const struct pst_place *places;
	uint32_t n;
	struct ledger ledger; /* as it was */
	struct ledger_entry *entries;
	uint32_t count;
	struct mem mem;
};

/* Of equal UIDLs in a ledger the last counts. So what was comes first. */
static void
add_former(struct rearrangement *r)
{
	const struct index *ix = &r->d->index;
	struct index_message m;
	uint32_t i;

	for (i = 0; i < r->ledger.count; i++) {
		r->entries[r->count] = r->ledger.entries[i];
		r->entries[r->count++].order = 0;
	}
	for (i = 0; i < r->n; i++) {
		index_at(ix, r->places[i].idx, &m);
		if (!pst_str_eq(m.uidl, r->places[i].uidl)) /* it was shown, and is nobody's now */
			r->entries[r->count++] = (struct ledger_entry){ .key = m.identity,
				                                        .uidl = m.uidl,
				                                        .is_gone = true };
	}
	for (i = ix->listed; i < ix->listed + ix->kept; i++) { /* they may come back */
		index_at(ix, i, &m);
		r->entries[r->count++] = (struct ledger_entry){ .key = m.identity,
			                                        .uidl = m.uidl,
			                                        .print = m.print };
	}
}

static void
add_places(struct rearrangement *r)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < r->n; i++) {
		const struct ledger_entry *was = ledger_of_uidl(&r->ledger, r->places[i].uidl);
		struct ledger_entry *e = &r->entries[r->count++];

		index_at(&r->d->index, r->places[i].idx, &m);
		*e = (struct ledger_entry){
			.key = m.identity,
			.uidl = r->places[i].uidl,
			.print = m.print,
			.order = i + 1,
		};
		if (was != NULL && !was->is_gone && pst_str_eq(was->key, m.identity)) {
			e->uid = was->uid;
			e->validity = was->validity;
		}
	}
}

/* The entries of a ledger that takes the place of the present one. */
static int
make_entries(struct rearrangement *r, struct pst_err *err)
{
	const struct index *ix = &r->d->index;
	uint64_t most = (uint64_t)r->ledger.count + (uint64_t)r->n * 2 + ix->kept + 1;

	if (most > UINT32_MAX || mem_get(&r->mem, (size_t)most * sizeof(*r->entries)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for a new order");
	r->entries = r->mem.p;
	add_former(r);
	add_places(r);
	return 0;
}

int
drop_rearrange(struct pst_maildrop *d, const struct pst_place *places, uint32_t n,
               struct pst_err *err)
{
	struct rearrangement r = { .d = d, .places = places, .n = n };
	int rc = -1;

	if (places_check(places, n, d->index.listed, err) != 0)
		return -1;
	if (d->root < 0)
		return 0; /* there is no mail, and no place for a ledger */
	index_load_prints(&d->index, &d->file);
	if (record_load(d, &r.ledger, err) == 0 && make_entries(&r, err) == 0 &&
	    index_forget(&d->file, err) == 0) {
		d->is_rewritten = true; /* this listing is not to be written any more */
		rc = ledger_rewrite(&r.ledger, r.entries, r.count, err);
	}
	ledger_clear(&r.ledger);
	mem_drop(&r.mem);
	return rc;
}
