/* SPDX-License-Identifier: MIT */
/* UIDLs from elsewhere, for the messages of an mbox. Their order is that of the file, which is not
 * rewritten for it: another one is refused. */
#include "storage/index/names.h"
#include "storage/index/places.h"
#include "storage/mbox/uidls.h"

struct rearrangement {
	struct pst_maildrop *d;
	const struct pst_place *places;
	uint32_t n;
	struct ledger ledger;    /* as it was */
	struct names identities; /* of the messages that there are */
	struct names uidls;      /* that they are to have */
	struct ledger_entry *entries;
	uint32_t count;
	struct mem mem;
};

static int
check(const struct rearrangement *r, struct pst_err *err)
{
	uint32_t i;

	if (places_check(r->places, r->n, r->d->index.listed, err) != 0)
		return -1;
	for (i = 0; i < r->n; i++)
		if (r->places[i].idx != i)
			return pst_err_set(err, PST_E_CLIENT,
			                   "%s: an mbox lists its messages as they lie in it",
			                   r->d->path);
	return 0;
}

/* Entries of a message that is there would come before the new ones: its former UIDLs are nobody's. */
static void
add_former(struct rearrangement *r)
{
	struct index_message im;
	uint32_t i;

	for (i = 0; i < r->ledger.count; i++) {
		struct ledger_entry e = r->ledger.entries[i];

		if (names_find(&r->uidls, e.uidl) != NAMES_NONE)
			continue; /* else the new one would stand in its place, before its equals */
		if (names_find(&r->identities, e.key) != NAMES_NONE)
			e.is_gone = true;
		r->entries[r->count++] = e;
	}
	for (i = 0; i < r->n; i++) {
		index_at(&r->d->index, i, &im);
		if (names_find(&r->uidls, im.uidl) == NAMES_NONE)
			r->entries[r->count++] = (struct ledger_entry){ .key = im.identity,
				                                        .uidl = im.uidl,
				                                        .is_gone = true };
	}
}

static int
make_entries(struct rearrangement *r, struct pst_err *err)
{
	uint64_t most = (uint64_t)r->ledger.count + (uint64_t)r->n * 2 + 1;
	struct index_message im;
	uint32_t i;

	if (most > UINT32_MAX || mem_get(&r->mem, (size_t)most * sizeof(*r->entries)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for UIDLs");
	if (names_init(&r->identities, r->n, err) != 0 || names_init(&r->uidls, r->n, err) != 0)
		return -1;
	r->entries = r->mem.p;
	for (i = 0; i < r->n; i++) {
		index_at(&r->d->index, i, &im);
		(void)names_add(&r->identities, im.identity, i);
		(void)names_add(&r->uidls, r->places[i].uidl, i);
	}
	add_former(r);
	for (i = 0; i < r->n; i++) { /* equal messages find theirs in this order */
		index_at(&r->d->index, i, &im);
		r->entries[r->count++] =
			(struct ledger_entry){ .key = im.identity, .uidl = r->places[i].uidl };
	}
	return 0;
}

int
mbox_rearrange(struct pst_maildrop *d, const struct pst_place *places, uint32_t n,
               struct pst_err *err)
{
	struct rearrangement r = { .d = d, .places = places, .n = n };
	int rc = -1;

	if (check(&r, err) != 0)
		return -1;
	if (n == 0)
		return 0;
	if (mbox_uidls_load(d, &r.ledger, err) == 0 && make_entries(&r, err) == 0 &&
	    index_forget(&d->file, err) == 0) {
		d->is_doubtful = false; /* this listing is not to be written any more */
		rc = ledger_rewrite(&r.ledger, r.entries, r.count, err);
	}
	names_clear(&r.identities);
	names_clear(&r.uidls);
	ledger_clear(&r.ledger);
	mem_drop(&r.mem);
	return rc;
}
