/* SPDX-License-Identifier: MIT */
/* The ledger in memory: what its octets mean, finding entries, numbers; see ledger.h. Files are
 * ledger_file.c's. */
#include "storage/index/ledger.h"

#include <string.h>

#include "storage/index/hash.h"
#include "storage/index/ledger_octets.h"

#define NONE UINT32_MAX
#define UID_END (UINT32_MAX - 1) /* no message has this one or a higher one */
#define DEAD_MIN 4096u           /* records of no use, before they are worth a new file */

size_t
ledger_record_octets(const struct ledger_entry *e)
{
	return (RECORD_FIXED + e->key.n + e->uidl.n + 8 + 7) & ~(size_t)7;
}

void
ledger_put_record(char *p, const struct ledger_entry *e, uint64_t seed, uint64_t at)
{
	size_t n = ledger_record_octets(e);

	memset(p, 0, n);
	index_put16(p + RECORD_MAGIC_AT, RECORD_MAGIC);
	index_put16(p + RECORD_KEY_OCTETS, (uint16_t)e->key.n); /* <= LEDGER_KEY_MAX */
	p[RECORD_UIDL_OCTETS] = (char)e->uidl.n;                /* <= LEDGER_UIDL_MAX */
	p[RECORD_FLAGS] = e->is_gone ? FLAG_GONE : 0;
	index_put32(p + RECORD_UID, e->uid);
	index_put32(p + RECORD_VALIDITY, e->validity);
	index_put32(p + RECORD_ORDER, e->order);
	index_put64(p + RECORD_PRINT, e->print);
	if (e->key.n > 0)
		memcpy(p + RECORD_FIXED, e->key.p, e->key.n);
	memcpy(p + RECORD_FIXED + e->key.n, e->uidl.p, e->uidl.n);
	index_put64(p + n - 8, index_hash(p, n - 8, seed ^ at * HASH_C));
}

static bool
is_uidl(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n >= 1 && s.n <= LEDGER_UIDL_MAX;
}

/* The record at octet at of the n at p: its octets, or 0. */
static size_t
get_record(const char *p, uint64_t n, uint64_t seed, uint64_t at, struct ledger_entry *e)
{
	const char *r = p + at;
	size_t octets;

	if (n - at < RECORD_FIXED + 8 || index_get16(r + RECORD_MAGIC_AT) != RECORD_MAGIC)
		return 0;
	e->key = (struct pst_str){ r + RECORD_FIXED, index_get16(r + RECORD_KEY_OCTETS) };
	e->uidl = (struct pst_str){ e->key.p + e->key.n, (unsigned char)r[RECORD_UIDL_OCTETS] };
	octets = ledger_record_octets(e);
	if (e->key.n > LEDGER_KEY_MAX || octets > n - at)
		return 0;
	if (index_get64(r + octets - 8) != index_hash(r, octets - 8, seed ^ at * HASH_C))
		return 0;
	e->uid = index_get32(r + RECORD_UID);
	e->validity = index_get32(r + RECORD_VALIDITY);
	e->order = index_get32(r + RECORD_ORDER);
	e->print = index_get64(r + RECORD_PRINT);
	e->is_gone = (r[RECORD_FLAGS] & FLAG_GONE) != 0;
	return is_uidl(e->uidl) ? octets : 0;
}

void
ledger_put_head(char p[HEAD_OCTETS], const struct ledger_head *h)
{
	memset(p, 0, HEAD_OCTETS);
	memcpy(p, HEAD_MAGIC, 8);
	index_put32(p + HEAD_VERSION, LEDGER_VERSION);
	index_put32(p + HEAD_SIZE, HEAD_OCTETS);
	index_put64(p + HEAD_FILE, h->file);
	index_put64(p + HEAD_SEED, h->seed);
	index_put32(p + HEAD_VALIDITY, h->validity);
	index_put32(p + HEAD_NEXT_UID, h->next_uid);
	index_put64(p + HEAD_OCTETS - 8, index_hash(p, HEAD_OCTETS - 8, HEAD_SUM_SEED));
}

static bool
get_head(const char *p, uint64_t n, struct ledger_head *h)
{
	if (n < HEAD_OCTETS || memcmp(p, HEAD_MAGIC, 8) != 0 ||
	    index_get32(p + HEAD_VERSION) != LEDGER_VERSION ||
	    index_get32(p + HEAD_SIZE) != HEAD_OCTETS)
		return false;
	if (index_get64(p + HEAD_OCTETS - 8) != index_hash(p, HEAD_OCTETS - 8, HEAD_SUM_SEED))
		return false;
	h->file = index_get64(p + HEAD_FILE);
	h->seed = index_get64(p + HEAD_SEED);
	h->validity = index_get32(p + HEAD_VALIDITY);
	h->next_uid = index_get32(p + HEAD_NEXT_UID);
	return true;
}

/* ---- Finding ---- */

static size_t
slot_of(const struct ledger *l, struct pst_str s)
{
	return (size_t)index_hash(s.p, s.n, l->table_seed) & l->mask;
}

static size_t
slot_of_uidl(const struct ledger *l, struct pst_str uidl)
{
	size_t at = slot_of(l, uidl);

	while (l->slots[1][at] != NONE && !pst_str_eq(l->entries[l->slots[1][at]].uidl, uidl))
		at = (at + 1) & l->mask;
	return at;
}

static int
make_tables(struct ledger *l, uint32_t entries)
{
	size_t slots = 16;

	while (slots < (size_t)entries * 2)
		slots *= 2;
	if (mem_get(&l->mem_slots, slots * 2 * sizeof(uint32_t)) != 0 ||
	    mem_get(&l->mem_older, ((size_t)entries + 1) * sizeof(uint32_t)) != 0 ||
	    mem_get(&l->mem_entries, ((size_t)entries + 1) * sizeof(*l->entries)) != 0)
		return -1;
	l->slots[0] = l->mem_slots.p;
	l->slots[1] = l->slots[0] + slots;
	memset(l->slots[0], 0xff, slots * 2 * sizeof(uint32_t));
	l->older = l->mem_older.p;
	l->entries = l->mem_entries.p;
	l->mask = slots - 1;
	return 0;
}

/* By key: chains of entries whose hashes fall together, the newest in front. */
static void
chain_keys(struct ledger *l)
{
	uint32_t i;

	for (i = 0; i < l->count; i++) {
		uint32_t *slot = &l->slots[0][slot_of(l, l->entries[i].key)];

		l->older[i] = *slot;
		*slot = i;
		l->has_order |= l->entries[i].order > 0 && !l->entries[i].is_gone;
	}
}

const struct ledger_entry *
ledger_find(const struct ledger *l, struct pst_str key, const struct ledger_entry *e)
{
	uint32_t i;

	if (l->count == 0)
		return NULL;
	i = e == NULL ? l->slots[0][slot_of(l, key)] : l->older[e - l->entries];
	while (i != NONE && (l->entries[i].is_gone || !pst_str_eq(l->entries[i].key, key)))
		i = l->older[i];
	return i == NONE ? NULL : &l->entries[i];
}

const struct ledger_entry *
ledger_of_uidl(const struct ledger *l, struct pst_str uidl)
{
	uint32_t i;

	if (l->count == 0)
		return NULL;
	i = l->slots[1][slot_of_uidl(l, uidl)];
	return i == NONE ? NULL : &l->entries[i];
}

/* ---- Parsing ---- */

static uint32_t
most_records(uint64_t octets)
{
	return (uint32_t)(octets / (RECORD_FIXED + 8)); /* ledger_file.c bounds octets */
}

static uint32_t
larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void
note_numbers(struct ledger *l, const struct ledger_entry *e)
{
	uint32_t next = e->uid < UID_END ? e->uid + 1 : UID_END;

	if (e->validity == 0)
		return; /* not of ours */
	if (e->validity == l->validity)
		l->next_uid = larger(l->next_uid, next);
	if (e->validity > l->validity) {
		l->validity = e->validity;
		l->next_uid = next;
	}
}

static void
add_entry(struct ledger *l, const struct ledger_entry *e)
{
	size_t at = slot_of_uidl(l, e->uidl);

	note_numbers(l, e);
	if (l->slots[1][at] != NONE) {
		l->entries[l->slots[1][at]] = *e;
		l->dropped++;
		return;
	}
	l->slots[1][at] = l->count;
	l->entries[l->count++] = *e;
}

int
ledger_parse(struct ledger *l, const char *p, uint64_t n, uint64_t file, bool *is_bad_out)
{
	struct ledger_head h;
	struct ledger_entry e;
	uint64_t at = HEAD_OCTETS, good = HEAD_OCTETS;
	bool in_damage = false;

	*is_bad_out = !get_head(p, n, &h);
	if (*is_bad_out || make_tables(l, most_records(n)) != 0)
		return -1;
	l->seed = h.seed;
	l->table_seed = h.seed;
	l->validity = h.validity;
	l->next_uid = h.next_uid;
	l->is_doubtful = h.file != file;
	while (n - at >= RECORD_FIXED + 8) {
		size_t octets = get_record(p, n, l->seed, at, &e);

		if (octets == 0) {
			in_damage = true;
			at += 8;
			continue;
		}
		l->damaged += in_damage;
		in_damage = false;
		add_entry(l, &e);
		at += octets;
		good = at;
	}
	l->is_doubtful |= l->damaged > 0;
	l->wants_head = l->is_doubtful;
	l->octets = good;
	chain_keys(l);
	return 0;
}

void
ledger_clear(struct ledger *l)
{
	mem_drop(&l->mem_text);
	mem_drop(&l->mem_entries);
	mem_drop(&l->mem_slots);
	mem_drop(&l->mem_older);
	*l = (struct ledger){ .count = 0 };
}

/* ---- Numbers ---- */

void
ledger_numbers(struct ledger *l, uint32_t known_validity, uint32_t known_next, int64_t now_s,
               bool is_bare)
{
	uint32_t now = now_s > 0 && now_s < UINT32_MAX ? (uint32_t)now_s : 1;

	/* The index knows of numbers that are not on record here: this is an old ledger, or none. */
	if (known_validity > l->validity ||
	    (known_validity == l->validity && known_next > l->next_uid))
		l->is_doubtful = true;
	if (l->validity != 0 && !l->is_doubtful && l->next_uid < UID_END)
		return;
	l->validity = larger(now, larger(l->validity, known_validity) + 1);
	l->next_uid = is_bare ? larger(now, larger(l->next_uid, known_next)) : 1;
	l->is_doubtful = false;
	l->wants_head = l->is_there;
}

bool
ledger_next(struct ledger *l, uint32_t *uid_out)
{
	if (l->next_uid == 0 || l->next_uid >= UID_END)
		return false;
	*uid_out = l->next_uid++;
	return true;
}

bool
ledger_wants_rewrite(const struct ledger *l, uint32_t live)
{
	uint64_t records = (uint64_t)l->count + l->dropped;

	return records > (uint64_t)live * 2 + DEAD_MIN;
}
