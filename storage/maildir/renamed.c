/* SPDX-License-Identifier: MIT */
/* Finding messages again under another name; see renamed.h. */
#include "storage/maildir/renamed.h"

#include "storage/index/hash.h"

/* A message that is missing: a known one, or one that only the ledger knows. */
struct lost {
	uint64_t print;
	uint32_t next; /* with the same slot, plus one; 0: none */
	uint32_t id;   /* known one, or that of the ledger plus their number */
	bool is_found;
};

struct search {
	struct uidls *u;
	struct lost *lost;
	uint32_t count;
	uint32_t *slots;
	size_t mask;
	uint64_t bits; /* of the prints that count */
	struct mem mem_lost, mem_slots, mem_seen;
};

static bool
is_searched(const struct uidls *u, uint32_t fresh)
{
	const struct scan_fresh *f = &u->s->fresh[fresh];

	return f->known == SCAN_NONE && f->state == FRESH_MEASURED && f->print != 0 &&
	       u->chosen[fresh].uidl.n == 0;
}

static uint32_t
count_searched(const struct uidls *u)
{
	uint32_t i, n = 0;

	for (i = 0; i < u->s->fresh_count; i++)
		n += is_searched(u, i);
	return n;
}

uint32_t
renamed_missing(const struct scan *s)
{
	uint32_t i, n = 0;

	for (i = 0; i < s->known->listed; i++)
		n += s->marks[i].round == 0 && !s->marks[i].is_renamed;
	return n;
}

static size_t
slot_of(const struct search *q, uint64_t print)
{
	print &= q->bits;
	return (size_t)index_hash(&print, sizeof(print), 0) & q->mask;
}

static void
add(struct search *q, uint64_t print, uint32_t id)
{
	struct lost *l = &q->lost[q->count++];

	*l = (struct lost){ .print = print, .id = id };
}

/* In the order of the listing, and found in it. */
static void
chain(struct search *q)
{
	uint32_t i;

	for (i = 0; i <= q->mask; i++)
		q->slots[i] = 0;
	for (i = q->count; i > 0; i--) {
		uint32_t *slot = &q->slots[slot_of(q, q->lost[i - 1].print)];

		q->lost[i - 1].next = *slot;
		*slot = i;
	}
}

/* Entries of the ledger whose message is nowhere. */
static int
add_recorded(struct search *q, struct pst_err *err)
{
	const struct uidls *u = q->u;
	const struct ledger *ledger = u->ledger;
	const struct ledger_entry *e;
	struct index_message m;
	uint8_t *seen;
	uint32_t i;

	if (mem_get(&q->mem_seen, (size_t)ledger->count + 1) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	seen = q->mem_seen.p;
	for (i = 0; i < u->s->known_count; i++) {
		index_at(u->s->known, i, &m);
		e = ledger_of_uidl(ledger, m.uidl);
		if (e != NULL)
			seen[e - ledger->entries] = 1;
	}
	for (i = 0; i < u->s->fresh_count; i++) {
		e = u->chosen[i].uidl.n == 0 ? NULL : ledger_of_uidl(ledger, u->chosen[i].uidl);
		if (e != NULL)
			seen[e - ledger->entries] = 1;
	}
	for (i = 0; i < ledger->count; i++)
		if (!seen[i] && !ledger->entries[i].is_gone && ledger->entries[i].print != 0)
			add(q, ledger->entries[i].print, u->s->known_count + i);
	return 0;
}

static int
gather(struct search *q, struct pst_err *err)
{
	const struct uidls *u = q->u;
	const struct scan *s = u->s;
	uint64_t most = (uint64_t)s->known_count + u->ledger->count;
	struct index_message m;
	size_t slots = 16;
	uint32_t i;

	while (slots < most)
		slots *= 2;
	if (mem_get(&q->mem_lost, (size_t)most * sizeof(*q->lost)) != 0 ||
	    mem_get(&q->mem_slots, slots * sizeof(*q->slots)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	q->lost = q->mem_lost.p;
	q->slots = q->mem_slots.p;
	q->mask = slots - 1;
	for (i = 0; i < s->known_count; i++) {
		index_at(s->known, i, &m);
		if (s->marks[i].round == 0 && m.print != 0)
			add(q, m.print, i);
	}
	return u->ledger->count == 0 ? 0 : add_recorded(q, err);
}

static void
take_over(struct search *q, struct lost *l, uint32_t fresh)
{
	struct uidls *u = q->u;
	struct uidl_choice *c = &u->chosen[fresh];
	struct index_message m;

	l->is_found = true;
	u->renamed++;
	c->origin = UIDL_RENAMED;
	if (l->id < u->s->known_count) {
		const struct ledger_entry *e;

		index_at(u->s->known, l->id, &m);
		c->uidl = m.uidl;
		c->renamed = l->id;
		u->s->marks[l->id].is_renamed = true;
		e = ledger_of_uidl(u->ledger, m.uidl);
		c->uid = e == NULL ? 0 : e->uid;
		c->validity = e == NULL ? 0 : e->validity;
	} else {
		const struct ledger_entry *e = &u->ledger->entries[l->id - u->s->known_count];

		c->uidl = e->uidl;
		c->uid = e->uid;
		c->validity = e->validity;
	}
}

static void
match(struct search *q, uint64_t bits)
{
	struct uidls *u = q->u;
	uint32_t i, at;

	q->bits = bits;
	chain(q);
	for (i = 0; i < u->s->fresh_count; i++) {
		uint64_t print = u->s->fresh[i].print;

		if (!is_searched(u, i))
			continue;
		for (at = q->slots[slot_of(q, print)]; at != 0; at = q->lost[at - 1].next) {
			struct lost *l = &q->lost[at - 1];

			if (!l->is_found && ((l->print ^ print) & bits) == 0) {
				take_over(q, l, i);
				break;
			}
		}
	}
}

static bool
is_mass(const struct uidls *u)
{
	const struct maildir_conf *conf = u->self->conf;
	uint32_t missing = renamed_missing(u->s), fresh = count_searched(u);
	int64_t changed = missing < fresh ? missing : fresh;

	return changed >= conf->guard_min &&
	       changed * 100 > conf->guard_share * (int64_t)u->s->known->listed;
}

int
renamed_find(struct uidls *u, struct pst_err *err)
{
	struct search q = { .u = u };
	int rc = 0;

	if (count_searched(u) == 0)
		return 0;
	rc = gather(&q, err);
	if (rc == 0 && q.count > 0) {
		match(&q, UINT64_MAX);
		if (is_mass(u))
			match(&q, ~INDEX_PRINT_TIME);
	}
	mem_drop(&q.mem_lost);
	mem_drop(&q.mem_slots);
	mem_drop(&q.mem_seen);
	return rc;
}
