/* SPDX-License-Identifier: MIT */
/* A ledger of any octets, as it is and with its sums put right: refused, or every entry of it lies
 * within it, has a UIDL that may be shown and is found by its key and its UIDL. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storage/index/hash.h"
#include "storage/index/ledger_octets.h"
#include "storage/index/uidl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_entry(const struct ledger *l, const struct ledger_entry *e, const char *begin, size_t n)
{
	const struct ledger_entry *found;

	pst_assert(e->key.p >= begin && e->key.p + e->key.n <= e->uidl.p);
	pst_assert(e->uidl.p + e->uidl.n + 8 <= begin + n);
	pst_assert(e->key.n <= LEDGER_KEY_MAX && uidl_is_valid(e->uidl));
	pst_assert(ledger_of_uidl(l, e->uidl) == e);
	for (found = ledger_find(l, e->key, NULL); found != NULL && found != e;)
		found = ledger_find(l, e->key, found);
	pst_assert((found == e) == !e->is_gone);
	if (e->validity == l->validity && e->uid < UINT32_MAX - 1 && e->validity != 0)
		pst_assert(l->next_uid > e->uid);
}

static void
try_file(const char *p, size_t n)
{
	struct ledger l = { .count = 0 };
	bool is_bad;
	uint32_t i, uid, before;

	if (ledger_parse(&l, p, n, 5, &is_bad) == 0) {
		pst_assert(l.octets >= HEAD_OCTETS && l.octets <= n);
		for (i = 0; i < l.count && i < 100; i++)
			check_entry(&l, &l.entries[i], p, n);
		before = l.validity;
		ledger_numbers(&l, 7, 7, 1000, false);
		pst_assert(l.validity >= before || before >= UINT32_MAX - 1);
		(void)ledger_next(&l, &uid);
	}
	ledger_clear(&l);
}

/* Puts sums on all that looks like a record. */
static void
mend(char *p, size_t n)
{
	const struct ledger_head h = { .file = 5, .seed = 1, .validity = 3, .next_uid = 9 };
	size_t at = HEAD_OCTETS, octets;

	ledger_put_head(p, &h);
	while (at + RECORD_FIXED + 8 <= n) {
		size_t key = (uint8_t)p[at + 2] | (size_t)(uint8_t)p[at + 3] << 8;
		uint64_t sum;

		p[at] = 'U';
		p[at + 1] = 'L';
		octets = (RECORD_FIXED + key + (uint8_t)p[at + 4] + 8 + 7) & ~(size_t)7;
		if (octets > n - at)
			break;
		sum = htole64(index_hash(p + at, octets - 8, h.seed ^ at * HASH_C));
		memcpy(p + at + octets - 8, &sum, 8);
		at += octets;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = pst_alloc(size + 1);

	if (size > 0)
		memcpy(copy, data, size);
	try_file(copy, size);
	if (size >= HEAD_OCTETS) {
		mend(copy, size);
		try_file(copy, size);
	}
	free(copy);
	return 0;
}
