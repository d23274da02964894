/* SPDX-License-Identifier: MIT */
/* The octets of an index: reading them with every offset checked, making them; see index.h. */
#include "storage/index/index.h"

#include <stdlib.h>
#include <string.h>

#include "storage/index/hash.h"

/* The head. Its last eight octets are its sum; a longer one may come from a later program. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_HEAD_OCTETS = 12,
	AT_FILE_OCTETS = 16,
	AT_BODY_SUM = 24,
	AT_GENERATION = 32,
	AT_WRITTEN = 40,
	AT_DRIVER = 48,
	AT_SECTIONS_USED = 52,
	AT_LISTED = 56,
	AT_KEPT = 60,
	AT_PLACES = 64,
	PLACE_OCTETS = 48,
	AT_SECTIONS = AT_PLACES + INDEX_PLACES * PLACE_OCTETS,
	SECTION_OCTETS = 24,
	SECTIONS = 8,
	AT_UIDL_POLICY = AT_SECTIONS + SECTIONS * SECTION_OCTETS,
	OLD_HEAD_OCTETS = AT_UIDL_POLICY + 8, /* with its sum here: there are such files */
	AT_UID_VALIDITY = AT_UIDL_POLICY + 4,
	AT_NEXT_UID = AT_UIDL_POLICY + 8,
	AT_HEAD_SUM = AT_UIDL_POLICY + 16,
	HEAD_OCTETS = AT_HEAD_SUM + 8,
};

/* A place: device, inode, times, octets, then bits. */
enum { PLACE_THERE = 1, PLACE_TRUSTED = 2 };

/* A section: id, octets of one entry (of records: longer ones may come), offset, octets. */
enum section_id { SECTION_RECORDS = 1, SECTION_MISSED, SECTION_STRINGS, KNOWN_SECTIONS };

/* A record. */
enum {
	AT_WIRE = 0,
	AT_STORED = 8,
	AT_NAME = 16,
	AT_UIDL = 20,
	AT_NAME_OCTETS = 24,
	AT_IDENTITY_OCTETS = 26,
	AT_UIDL_OCTETS = 28,
	AT_FLAGS = 29,
	AT_SURROGATE_RULES = 30,
	AT_MORE_FLAGS = 31, /* those from 256 on */
	RECORD_OCTETS = 32,
};

#define SURROGATE_OCTETS 8 /* behind the name, where there is one */

#define MAGIC "PSTINDEX"
#define SUM_SEED_HEAD 1
#define SUM_SEED_BODY 2

const char index_other_version[] = "written by another version";

struct section {
	const uint8_t *p;
	uint64_t octets;
	uint32_t entry_octets;
};

/* ---- Decoding ---- */

void
index_at(const struct index *ix, uint32_t i, struct index_message *out)
{
	const uint8_t *r = ix->records + i * ix->record_octets;

	out->wire_octets = index_get64(r + AT_WIRE);
	out->stored_octets = index_get64(r + AT_STORED);
	out->name = (struct pst_str){ ix->strings + index_get32(r + AT_NAME),
		                      index_get16(r + AT_NAME_OCTETS) };
	out->identity = (struct pst_str){ out->name.p, index_get16(r + AT_IDENTITY_OCTETS) };
	out->uidl = (struct pst_str){ ix->strings + index_get32(r + AT_UIDL), r[AT_UIDL_OCTETS] };
	out->flags = r[AT_FLAGS] | (unsigned)r[AT_MORE_FLAGS] << 8;
	out->print = ix->prints.p == NULL
	                     ? 0
	                     : index_get64((const uint8_t *)ix->prints.p + (size_t)i * 8);
	out->surrogate_rules = r[AT_SURROGATE_RULES];
	out->surrogate_octets = 0;
	if ((out->flags & INDEX_SURROGATE) != 0)
		out->surrogate_octets = index_get64(out->name.p + out->name.n);
	if (out->surrogate_octets == 0)
		out->flags &= ~INDEX_SURROGATE;
}

void
index_show(const struct index *ix, uint32_t i, uint32_t surrogate_rules, struct pst_message *out)
{
	struct index_message m;

	index_at(ix, i, &m);
	out->size_octets = m.wire_octets;
	out->uidl = m.uidl;
	if (m.surrogate_rules != surrogate_rules)
		return;
	out->surrogate_octets = m.surrogate_octets;
	out->has_no_header_end = (m.flags & INDEX_NO_HEADER_END) != 0;
}

int64_t
index_missed_ns(const struct index *ix, uint32_t i)
{
	return (int64_t)index_get64(ix->missed + (size_t)i * 8);
}

void
index_clear(struct index *ix)
{
	mem_drop(&ix->mem);
	mem_drop(&ix->prints);
	*ix = (struct index){ .octets = 0 };
}

/* ---- Parsing ---- */

/* All of 0x21 to 0x7E: eight octets at a time, each in the seven bits of its own. */
static bool
is_uidl(const char *p, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;

	if (n == 0 || n > INDEX_UIDL_MAX)
		return false;
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v = index_get64(p);
		uint64_t below = (v | high) - ones * 0x21; /* high bit stays where v >= 0x21 */
		uint64_t above = (v & ~high) + ones;       /* high bit comes where v >= 0x7f */

		if (((v | ~below | above) & high) != 0)
			return false;
	}
	for (; n > 0; p++, n--)
		if (*p < 0x21 || *p > 0x7e)
			return false;
	return true;
}

static bool
is_record_good(const uint8_t *r, const char *strings, uint64_t strings_octets)
{
	uint64_t name = index_get32(r + AT_NAME), uidl = index_get32(r + AT_UIDL);
	size_t name_octets = index_get16(r + AT_NAME_OCTETS);
	size_t uidl_octets = r[AT_UIDL_OCTETS];
	size_t behind = (r[AT_FLAGS] & INDEX_SURROGATE) != 0 ? SURROGATE_OCTETS : 0;

	if (name_octets > INDEX_NAME_MAX || name + name_octets + behind > strings_octets)
		return false;
	if (index_get16(r + AT_IDENTITY_OCTETS) > name_octets)
		return false;
	if (uidl + uidl_octets > strings_octets)
		return false;
	return is_uidl(strings + uidl, uidl_octets);
}

static void
parse_head(struct index_head *head, const uint8_t *p, size_t octets)
{
	unsigned i;

	if (octets >= HEAD_OCTETS) {
		head->uidl_policy = index_get32(p + AT_UIDL_POLICY);
		head->uid_validity = index_get32(p + AT_UID_VALIDITY);
		head->next_uid = index_get32(p + AT_NEXT_UID);
	}
	head->driver = (enum index_driver)index_get32(p + AT_DRIVER);
	head->generation = index_get64(p + AT_GENERATION);
	head->written_ns = (int64_t)index_get64(p + AT_WRITTEN);
	for (i = 0; i < INDEX_PLACES; i++) {
		const uint8_t *at = p + AT_PLACES + i * PLACE_OCTETS;
		struct index_place *place = &head->places[i];

		place->dev = index_get64(at);
		place->ino = index_get64(at + 8);
		place->mtime_ns = (int64_t)index_get64(at + 16);
		place->ctime_ns = (int64_t)index_get64(at + 24);
		place->octets = index_get64(at + 32);
		place->is_there = (index_get32(at + 40) & PLACE_THERE) != 0;
		place->is_trusted = (index_get32(at + 40) & PLACE_TRUSTED) != 0;
	}
}

/* The first section with each known id; a missing one has p NULL. */
static const char *
find_sections(const uint8_t *p, size_t n, size_t head_octets, struct section out[KNOWN_SECTIONS])
{
	uint32_t used = index_get32(p + AT_SECTIONS_USED);
	uint32_t i;

	if (used > SECTIONS)
		return "too many sections";
	for (i = 0; i < used; i++) {
		const uint8_t *at = p + AT_SECTIONS + i * SECTION_OCTETS;
		uint32_t id = index_get32(at);
		uint64_t offset = index_get64(at + 8), octets = index_get64(at + 16);

		if (offset < head_octets || offset > n || octets > n - offset)
			return "a section outside the file";
		if (id > 0 && id < KNOWN_SECTIONS && out[id].p == NULL)
			out[id] = (struct section){ p + offset, octets, index_get32(at + 4) };
	}
	for (i = SECTION_RECORDS; i < KNOWN_SECTIONS; i++)
		if (out[i].p == NULL)
			return "a section is missing";
	return NULL;
}

static const char *
parse_records(struct index *ix, const struct section s[KNOWN_SECTIONS])
{
	const struct section *records = &s[SECTION_RECORDS];
	uint64_t total = (uint64_t)ix->listed + ix->kept;
	uint64_t i;

	if (records->entry_octets < RECORD_OCTETS || total > UINT32_MAX ||
	    records->octets != total * records->entry_octets)
		return "wrong number of records";
	if (s[SECTION_MISSED].octets != (uint64_t)ix->kept * 8)
		return "wrong number of times";
	ix->records = records->p;
	ix->record_octets = records->entry_octets;
	ix->missed = s[SECTION_MISSED].p;
	ix->strings = (const char *)s[SECTION_STRINGS].p;
	for (i = 0; i < total; i++)
		if (!is_record_good(ix->records + i * ix->record_octets, ix->strings,
		                    s[SECTION_STRINGS].octets))
			return "a bad record";
	return NULL;
}

static const char *
parse(struct index *ix)
{
	const uint8_t *p = ix->mem.p;
	size_t n = ix->octets, head_octets;
	struct section sections[KNOWN_SECTIONS] = { { NULL, 0, 0 } };
	const char *why;

	if (n < OLD_HEAD_OCTETS || memcmp(p + AT_MAGIC, MAGIC, 8) != 0)
		return "not an index file";
	if (index_get32(p + AT_VERSION) != INDEX_VERSION)
		return index_other_version;
	head_octets = index_get32(p + AT_HEAD_OCTETS);
	if (head_octets < OLD_HEAD_OCTETS || head_octets > n)
		return "bad length of the head";
	if (index_get64(p + AT_FILE_OCTETS) > n || index_get64(p + AT_FILE_OCTETS) < head_octets)
		return "cut";
	n = index_get64(p + AT_FILE_OCTETS);
	ix->octets = n;
	if (index_get64(p + head_octets - 8) != index_hash(p, head_octets - 8, SUM_SEED_HEAD))
		return "damaged head";
	if (index_get64(p + AT_BODY_SUM) !=
	    index_hash(p + head_octets, n - head_octets, SUM_SEED_BODY))
		return "damaged";
	parse_head(&ix->head, p, head_octets);
	ix->head_octets = head_octets;
	ix->listed = index_get32(p + AT_LISTED);
	ix->kept = index_get32(p + AT_KEPT);
	why = find_sections(p, n, head_octets, sections);
	return why != NULL ? why : parse_records(ix, sections);
}

const char *
index_parse(struct index *ix, struct mem *mem, size_t n)
{
	const char *why;

	ix->mem = *mem;
	ix->octets = n;
	*mem = (struct mem){ NULL, 0 };
	why = parse(ix);
	if (why != NULL)
		index_clear(ix);
	return why;
}

uint64_t
index_file_octets(const void *first, size_t n)
{
	const uint8_t *p = first;

	if (n < OLD_HEAD_OCTETS || memcmp(p + AT_MAGIC, MAGIC, 8) != 0)
		return 0;
	return index_get64(p + AT_FILE_OCTETS);
}

/* ---- Building ---- */

static bool
is_identity_uidl(const struct index_message *m)
{
	return m->uidl.n == m->identity.n && /* mostly the same octets */
	       (m->uidl.p == m->identity.p || pst_str_eq(m->uidl, m->identity));
}

size_t
index_message_strings(const struct index_message *m)
{
	return m->name.n + (is_identity_uidl(m) ? 0 : m->uidl.n) +
	       (m->surrogate_octets != 0 ? SURROGATE_OCTETS : 0);
}

static void
put_section(uint8_t *head, enum section_id id, size_t entry_octets, size_t offset, size_t octets)
{
	uint8_t *at = head + AT_SECTIONS + (id - 1) * SECTION_OCTETS;

	index_put32(at, id);
	index_put32(at + 4, (uint32_t)entry_octets);
	index_put64(at + 8, offset);
	index_put64(at + 16, octets);
}

int
index_build(struct index_builder *b, struct index *ix, uint32_t listed, uint32_t kept,
            size_t strings_octets, struct pst_err *err)
{
	uint64_t total = (uint64_t)listed + kept;
	size_t missed, strings;
	uint8_t *p;

	if (total > UINT32_MAX || strings_octets > UINT32_MAX)
		return pst_err_set(err, PST_E_PERM, "more messages than an index holds");
	missed = HEAD_OCTETS + (size_t)total * RECORD_OCTETS;
	strings = missed + (size_t)kept * 8;
	if (mem_get(&ix->mem, strings + strings_octets) != 0 ||
	    mem_get(&ix->prints, (size_t)total * 8) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for %llu messages",
		                   (unsigned long long)total);
	p = ix->mem.p;
	ix->octets = strings + strings_octets;
	ix->head_octets = HEAD_OCTETS;
	ix->listed = listed;
	ix->kept = kept;
	ix->records = p + HEAD_OCTETS;
	ix->record_octets = RECORD_OCTETS;
	ix->missed = p + missed;
	ix->strings = (const char *)(p + strings);
	memcpy(p + AT_MAGIC, MAGIC, 8);
	index_put32(p + AT_VERSION, INDEX_VERSION);
	index_put32(p + AT_HEAD_OCTETS, HEAD_OCTETS);
	index_put64(p + AT_FILE_OCTETS, ix->octets);
	index_put32(p + AT_LISTED, listed);
	index_put32(p + AT_KEPT, kept);
	index_put32(p + AT_SECTIONS_USED, KNOWN_SECTIONS - 1);
	put_section(p, SECTION_RECORDS, RECORD_OCTETS, HEAD_OCTETS, missed - HEAD_OCTETS);
	put_section(p, SECTION_MISSED, 8, missed, strings - missed);
	put_section(p, SECTION_STRINGS, 1, strings, strings_octets);
	*b = (struct index_builder){ ix, 0, 0, strings_octets };
	return 0;
}

static uint32_t
add_string(struct index_builder *b, struct pst_str s)
{
	size_t at = b->strings_used;
	uint8_t *base = b->ix->mem.p;

	if (s.n > b->strings_octets - at)
		abort(); /* the caller counted wrong: never past the block */
	if (s.n > 0)
		memcpy(base + (b->ix->octets - b->strings_octets) + at, s.p, s.n);
	b->strings_used += s.n;
	return (uint32_t)at; /* strings_octets <= UINT32_MAX */
}

void
index_add(struct index_builder *b, const struct index_message *m, int64_t missed_ns)
{
	struct index *ix = b->ix;
	uint8_t *base = ix->mem.p;
	uint8_t *r = base + HEAD_OCTETS + (size_t)b->added * RECORD_OCTETS;
	uint32_t name = add_string(b, m->name);
	unsigned flags = m->flags & ~INDEX_SURROGATE;

	if (m->surrogate_octets != 0) {
		uint8_t octets[SURROGATE_OCTETS];

		index_put64(octets, m->surrogate_octets);
		(void)add_string(b, (struct pst_str){ (const char *)octets, sizeof(octets) });
		flags |= INDEX_SURROGATE;
	}
	index_put64(r + AT_WIRE, m->wire_octets);
	index_put64(r + AT_STORED, m->stored_octets);
	index_put32(r + AT_NAME, name);
	index_put32(r + AT_UIDL, is_identity_uidl(m) ? name : add_string(b, m->uidl));
	index_put16(r + AT_NAME_OCTETS, (uint16_t)m->name.n);
	index_put16(r + AT_IDENTITY_OCTETS, (uint16_t)m->identity.n); /* <= INDEX_NAME_MAX */
	r[AT_UIDL_OCTETS] = (uint8_t)m->uidl.n;                       /* <= INDEX_UIDL_MAX */
	r[AT_FLAGS] = (uint8_t)flags; /* those of index.h, no more */
	r[AT_MORE_FLAGS] = (uint8_t)(flags >> 8);
	r[AT_SURROGATE_RULES] = m->surrogate_rules;
	if (b->added >= ix->listed)
		index_put64(base + (ix->missed - base) + (size_t)(b->added - ix->listed) * 8,
		            (uint64_t)missed_ns);
	if (m->print != 0)
		index_put64((uint8_t *)ix->prints.p + (size_t)b->added * 8, m->print);
	ix->has_prints |= m->print != 0;
	b->added++;
}

void
index_seal(struct index *ix)
{
	const struct index_head *head = &ix->head;
	size_t n = ix->head_octets;
	uint8_t *p = ix->mem.p;
	unsigned i;

	index_put64(p + AT_GENERATION, head->generation);
	index_put64(p + AT_WRITTEN, (uint64_t)head->written_ns);
	index_put32(p + AT_DRIVER, head->driver);
	if (n >= HEAD_OCTETS) {
		index_put32(p + AT_UIDL_POLICY, head->uidl_policy);
		index_put32(p + AT_UID_VALIDITY, head->uid_validity);
		index_put32(p + AT_NEXT_UID, head->next_uid);
	}
	for (i = 0; i < INDEX_PLACES; i++) {
		const struct index_place *place = &head->places[i];
		uint8_t *at = p + AT_PLACES + i * PLACE_OCTETS;

		index_put64(at, place->dev);
		index_put64(at + 8, place->ino);
		index_put64(at + 16, (uint64_t)place->mtime_ns);
		index_put64(at + 24, (uint64_t)place->ctime_ns);
		index_put64(at + 32, place->octets);
		index_put32(at + 40, (place->is_there ? PLACE_THERE : 0u) |
		                             (place->is_trusted ? PLACE_TRUSTED : 0u));
	}
	index_put64(p + AT_BODY_SUM, index_hash(p + n, ix->octets - n, SUM_SEED_BODY));
	index_put64(p + n - 8, index_hash(p, n - 8, SUM_SEED_HEAD));
}

struct pst_str
index_octets(const struct index *ix)
{
	return (struct pst_str){ ix->mem.p, ix->octets };
}

struct pst_str
index_head_octets(const struct index *ix)
{
	return (struct pst_str){ ix->mem.p, ix->head_octets };
}

uint64_t
index_body_sum(const struct index *ix)
{
	return index_get64((const uint8_t *)ix->mem.p + AT_BODY_SUM);
}
