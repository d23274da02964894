/* SPDX-License-Identifier: MIT */
/* An index file of any octets, as it is and with its sums put right: refused, or every message of it
 * lies within it, has a UIDL that may be shown, and comes out the same when it is written again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storage/index/hash.h"
#include "storage/index/index.h"

/* As in the description of the format in index.c. */
enum { HEAD = 360, AT_HEAD_OCTETS = 12, AT_FILE_OCTETS = 16, AT_BODY_SUM = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_message(const struct index *ix, const struct index_message *m)
{
	const char *begin = ix->mem.p, *end = begin + ix->octets;
	size_t i;

	pst_assert(m->name.p >= begin && m->name.p <= end &&
	           m->name.n <= (size_t)(end - m->name.p));
	pst_assert(m->uidl.p >= begin && m->uidl.p <= end &&
	           m->uidl.n <= (size_t)(end - m->uidl.p));
	pst_assert(m->name.n <= INDEX_NAME_MAX);
	pst_assert(m->identity.p == m->name.p && m->identity.n <= m->name.n);
	pst_assert(m->uidl.n >= 1 && m->uidl.n <= INDEX_UIDL_MAX);
	for (i = 0; i < m->uidl.n; i++)
		pst_assert(m->uidl.p[i] >= 0x21 && m->uidl.p[i] <= 0x7e);
}

static void
check_all(const struct index *ix, struct index *copy)
{
	struct index_builder b;
	struct index_message m, again;
	struct pst_err err;
	size_t strings = 0;
	uint32_t i;

	for (i = 0; i < ix->listed + ix->kept; i++) {
		index_at(ix, i, &m);
		check_message(ix, &m);
		strings += index_message_strings(&m);
	}
	pst_assert(index_build(&b, copy, ix->listed, ix->kept, strings, &err) == 0);
	for (i = 0; i < ix->listed + ix->kept; i++) {
		index_at(ix, i, &m);
		index_add(&b, &m, i < ix->listed ? 0 : index_missed_ns(ix, i - ix->listed));
	}
	copy->head = ix->head;
	for (i = 0; i < ix->listed + ix->kept; i++) {
		index_at(ix, i, &m);
		index_at(copy, i, &again);
		pst_assert(pst_str_eq(m.name, again.name) && pst_str_eq(m.uidl, again.uidl));
		pst_assert(m.identity.n == again.identity.n && m.flags == again.flags);
		pst_assert(m.wire_octets == again.wire_octets);
		pst_assert(m.stored_octets == again.stored_octets);
		pst_assert(m.surrogate_octets == again.surrogate_octets);
		pst_assert(m.surrogate_rules == again.surrogate_rules);
		if (i >= ix->listed)
			pst_assert(index_missed_ns(ix, i - ix->listed) ==
			           index_missed_ns(copy, i - ix->listed));
	}
}

static bool
parse(struct index *ix, const uint8_t *data, size_t size)
{
	struct mem mem = { NULL, 0 };

	*ix = (struct index){ .octets = 0 };
	pst_assert(mem_get(&mem, size) == 0);
	if (size > 0)
		memcpy(mem.p, data, size);
	return index_parse(ix, &mem, size) == NULL;
}

static void
try_file(const uint8_t *data, size_t size)
{
	struct index ix, copy = { .octets = 0 }, again;

	if (!parse(&ix, data, size))
		return;
	check_all(&ix, &copy);
	index_seal(&copy);
	pst_assert(parse(&again, (const uint8_t *)index_octets(&copy).p, index_octets(&copy).n));
	pst_assert(again.listed == ix.listed && again.kept == ix.kept);
	pst_assert(again.head.generation == ix.head.generation);
	index_clear(&again);
	index_clear(&copy);
	index_clear(&ix);
}

static void
put(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *fixed = pst_alloc(size + 1);
	uint32_t version = htole32(INDEX_VERSION), head = HEAD;

	try_file(data, size);
	if (size >= HEAD) {
		memcpy(fixed, data, size);
		memcpy(fixed, "PSTINDEX", 8);
		memcpy(fixed + 8, &version, sizeof(version));
		memcpy(&head, fixed + AT_HEAD_OCTETS, sizeof(head));
		head = le32toh(head);
		if (head < HEAD || head > size) {
			head = HEAD;
			version = htole32(HEAD);
			memcpy(fixed + AT_HEAD_OCTETS, &version, sizeof(version));
		}
		put(fixed + AT_FILE_OCTETS, size);
		put(fixed + AT_BODY_SUM, index_hash(fixed + head, size - head, 2));
		put(fixed + head - 8, index_hash(fixed, head - 8, 1));
		try_file(fixed, size);
	}
	free(fixed);
	return 0;
}
