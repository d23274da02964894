/* SPDX-License-Identifier: MIT */
/* The octets of an index: what goes in comes out, and nothing damaged is believed. The places of
 * things are written here as numbers on purpose: files of this version must stay readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/index/hash.h"
#include "storage/index/index.h"

enum {
	AT_VERSION = 8,
	AT_HEAD_OCTETS = 12,
	AT_FILE_OCTETS = 16,
	AT_BODY_SUM = 24,
	AT_SECTIONS_USED = 52,
	AT_LISTED = 56,
	AT_KEPT = 60,
	AT_SECTIONS = 160,
	HEAD = 376,
	RECORD = 32,
};

static const struct index_message samples[] = {
	{ 102, 100, PST_LIT("1700000000.M1P1.mx:2,S"), { NULL, 22 - 3 }, { NULL, 0 }, 1, 0, 0, 0 },
	{ UINT64_C(12000000000),
	  UINT64_C(11999999999),
	  PST_LIT("1700000001.M2P2.mx"),
	  { NULL, 18 },
	  { NULL, 0 },
	  INDEX_CRLF,
	  5,
	  0,
	  1 },
	{ 2,
	  0,
	  PST_LIT("\x01 odd\xff:2,"),
	  { NULL, 6 },
	  PST_LIT("sha256:0011223344"),
	  1 | INDEX_TWIN | INDEX_SURROGATE,
	  UINT64_MAX,
	  UINT64_C(12000000099),
	  255 },
	{ 7,
	  7,
	  PST_LIT("x"),
	  { NULL, 1 },
	  { NULL, 0 },
	  INDEX_UNMEASURED | INDEX_NO_HEADER_END,
	  0,
	  0,
	  1 },
};
#define SAMPLES 4

static struct index_message
sample(uint32_t i)
{
	struct index_message m = samples[i % SAMPLES];

	m.identity.p = m.name.p;
	if (m.uidl.n == 0)
		m.uidl = m.identity;
	return m;
}

static void
make(struct index *ix, uint32_t listed, uint32_t kept)
{
	struct index_builder b;
	struct index_message m;
	struct pst_err err;
	size_t strings = 0;
	uint32_t i;

	*ix = (struct index){ .octets = 0 };
	for (i = 0; i < listed + kept; i++) {
		m = sample(i);
		strings += index_message_strings(&m);
	}
	assert_int_equal(index_build(&b, ix, listed, kept, strings, &err), 0);
	for (i = 0; i < listed + kept; i++) {
		m = sample(i);
		index_add(&b, &m, 1000 + i);
	}
	ix->head = (struct index_head){
		.driver = INDEX_MAILDIR,
		.generation = 77,
		.written_ns = 123456789,
		.places = { { 1, 2, -3, 4, 5, true, true }, { 6, 7, 8, -9, 10, true, false } },
	};
	index_seal(ix);
}

static const char *
parse(struct index *ix, const void *p, size_t n)
{
	struct mem mem = { NULL, 0 };

	*ix = (struct index){ .octets = 0 };
	assert_int_equal(mem_get(&mem, n), 0);
	if (n > 0)
		memcpy(mem.p, p, n);
	return index_parse(ix, &mem, n);
}

static void
assert_sample(const struct index *ix, uint32_t i)
{
	struct index_message want = sample(i), got;

	index_at(ix, i, &got);
	assert_true(pst_str_eq(got.name, want.name));
	assert_true(pst_str_eq(got.identity, want.identity));
	assert_true(pst_str_eq(got.uidl, want.uidl));
	assert_true(got.wire_octets == want.wire_octets);
	assert_true(got.stored_octets == want.stored_octets);
	assert_int_equal(got.flags, want.flags);
	assert_true(got.surrogate_octets == want.surrogate_octets);
	assert_int_equal(got.surrogate_rules, want.surrogate_rules);
}

static void
test_index_gives_back_what_was_put_in(void **state)
{
	struct index made, got;
	uint32_t i;

	(void)state;
	make(&made, 3, 2);
	assert_null(parse(&got, index_octets(&made).p, index_octets(&made).n));
	assert_int_equal(got.listed, 3);
	assert_int_equal(got.kept, 2);
	for (i = 0; i < 5; i++) {
		assert_sample(&made, i);
		assert_sample(&got, i);
	}
	assert_int_equal(index_missed_ns(&got, 0), 1003);
	assert_int_equal(index_missed_ns(&got, 1), 1004);
	assert_int_equal(got.head.driver, INDEX_MAILDIR);
	assert_int_equal(got.head.generation, 77);
	assert_int_equal(got.head.written_ns, 123456789);
	assert_true(index_place_same(&got.head.places[0], &made.head.places[0]));
	assert_true(index_place_same(&got.head.places[1], &made.head.places[1]));
	assert_true(got.head.places[0].is_trusted && !got.head.places[1].is_trusted);
	index_clear(&made);
	index_clear(&got);
}

static void
test_index_stores_an_identity_uidl_once(void **state)
{
	struct index_message m = sample(1);

	(void)state;
	assert_int_equal(index_message_strings(&m), m.name.n);
	m = sample(2);
	assert_int_equal(index_message_strings(&m), m.name.n + 8 + m.uidl.n);
}

static void
test_index_without_messages_is_an_index(void **state)
{
	struct index made, got;

	(void)state;
	make(&made, 0, 0);
	assert_int_equal(index_octets(&made).n, HEAD);
	assert_null(parse(&got, index_octets(&made).p, HEAD));
	assert_int_equal(got.listed + got.kept, 0);
	index_clear(&made);
	index_clear(&got);
}

static void
test_index_with_any_octet_changed_is_refused(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff, 0x20, 0x10 };
	struct index made, got;
	size_t n, i, k;
	char *copy;

	(void)state;
	make(&made, 3, 1);
	n = index_octets(&made).n;
	copy = malloc(n);
	for (i = 0; i < n; i++)
		for (k = 0; k < sizeof(changes); k++) {
			memcpy(copy, index_octets(&made).p, n);
			copy[i] = (char)(copy[i] ^ changes[k]);
			assert_non_null(parse(&got, copy, n));
		}
	free(copy);
	index_clear(&made);
}

static void
test_index_cut_anywhere_is_refused(void **state)
{
	struct index made, got;
	size_t i;

	(void)state;
	make(&made, 3, 1);
	for (i = 0; i < index_octets(&made).n; i++)
		assert_non_null(parse(&got, index_octets(&made).p, i));
	index_clear(&made);
}

static void
test_index_with_an_older_one_behind_it_is_read(void **state)
{
	struct index made, got;
	size_t n;
	char *copy;

	(void)state;
	make(&made, 2, 0);
	n = index_octets(&made).n;
	copy = calloc(1, n + 100);
	memcpy(copy, index_octets(&made).p, n);
	memset(copy + n, 'x', 100);
	assert_int_equal(index_file_octets(copy, n + 100), n);
	assert_null(parse(&got, copy, n + 100));
	assert_int_equal(got.octets, n);
	assert_sample(&got, 1);
	index_clear(&got);
	free(copy);
	index_clear(&made);
}

/* ---- Wrong contents under right sums ---- */

struct patch {
	const char *what;
	size_t at, octets; /* little-endian, of value */
	uint64_t value;
	bool is_good;
};

static void
put(uint8_t *p, size_t octets, uint64_t v)
{
	for (; octets > 0; octets--, v >>= 8)
		*p++ = (uint8_t)v;
}

static void
seal(uint8_t *p, size_t n)
{
	put(p + AT_BODY_SUM, 8, index_hash(p + HEAD, n - HEAD, 2));
	put(p + HEAD - 8, 8, index_hash(p, HEAD - 8, 1));
}

static void
test_index_with_right_sums_and_wrong_contents_is_refused(void **state)
{
	/* The records of three messages begin at HEAD; sections are 24 octets: id, octets of an
	 * entry, offset, octets. */
	static const struct patch patches[] = {
		{ "as it was", AT_FILE_OCTETS, 0, 0, true },
		{ "another version", AT_VERSION, 4, 2, false },
		{ "version 0", AT_VERSION, 4, 0, false },
		{ "head too short", AT_HEAD_OCTETS, 4, HEAD - 8, false },
		{ "head beyond the file", AT_HEAD_OCTETS, 4, 1u << 30, false },
		{ "longer than the file", AT_FILE_OCTETS, 8, 1u << 20, false },
		{ "shorter than the head", AT_FILE_OCTETS, 8, 100, false },
		{ "too many sections", AT_SECTIONS_USED, 4, 9, false },
		{ "too few sections", AT_SECTIONS_USED, 4, 2, false },
		{ "one listed more", AT_LISTED, 4, 4, false },
		{ "one listed less", AT_LISTED, 4, 2, false },
		{ "listed and kept overflow", AT_LISTED, 4, UINT32_MAX, false },
		{ "kept without a time", AT_KEPT, 4, 1, false },
		{ "records of another id", AT_SECTIONS, 4, 99, false },
		{ "records too short", AT_SECTIONS + 4, 4, RECORD - 1, false },
		{ "records of no octets", AT_SECTIONS + 4, 4, 0, false },
		{ "records beyond the file", AT_SECTIONS + 8, 8, UINT64_C(1) << 40, false },
		{ "records in the head", AT_SECTIONS + 8, 8, 16, false },
		{ "records past the end", AT_SECTIONS + 16, 8, UINT64_MAX, false },
		{ "strings past the end", AT_SECTIONS + 48 + 16, 8, UINT64_MAX - 100, false },
		{ "strings too short", AT_SECTIONS + 48 + 16, 8, 10, false },
		{ "name beyond the strings", HEAD + 16, 4, 0xfffffff0, false },
		{ "UIDL beyond the strings", HEAD + 20, 4, 0xfffffff0, false },
		{ "name too long for the strings", HEAD + 2 * RECORD + 24, 2, 900, false },
		{ "name at the very end", HEAD + RECORD + 16, 4, 74 - 18, true },
		{ "no octets of a surrogate behind it", HEAD + 2 * RECORD + 16, 4, 74 - 9, false },
		{ "name longer than a name", HEAD + 24, 2, INDEX_NAME_MAX + 1, false },
		{ "identity longer than the name", HEAD + RECORD + 26, 2, 19, false },
		{ "identity empty", HEAD + RECORD + 26, 2, 0, true },
		{ "UIDL empty", HEAD + 28, 1, 0, false },
		{ "UIDL of 71 octets", HEAD + 28, 1, 71, false },
		{ "UIDL with a control character", HEAD + RECORD + 20, 4, 40, false },
		{ "UIDL shorter", HEAD + 28, 1, 5, true },
	};
	struct index made, got;
	size_t n, i;
	uint8_t *copy;

	(void)state;
	make(&made, 3, 0);
	n = index_octets(&made).n;
	copy = malloc(n);
	for (i = 0; i < sizeof(patches) / sizeof(*patches); i++) {
		const struct patch *p = &patches[i];

		memcpy(copy, index_octets(&made).p, n);
		put(copy + p->at, p->octets, p->value);
		seal(copy, n);
		if ((parse(&got, copy, n) == NULL) != p->is_good)
			fail_msg("%s: %s", p->what, p->is_good ? "refused" : "taken");
		index_clear(&got);
	}
	free(copy);
	index_clear(&made);
}

static void
test_index_uidl_takes_each_octet_of_0x21_to_0x7e_and_no_other(void **state)
{
	struct index made, got;
	unsigned octet, at;
	uint8_t *copy;
	size_t n;

	(void)state;
	make(&made, 2, 0);
	n = index_octets(&made).n;
	copy = malloc(n);
	for (octet = 0; octet < 256; octet++)
		for (at = 0; at < 18; at++) { /* in words of eight and in the rest */
			bool good = octet >= 0x21 && octet <= 0x7e;

			memcpy(copy, index_octets(&made).p, n);
			copy[n - 18 + at] = (uint8_t)octet; /* the second message's name */
			seal(copy, n);
			assert_int_equal(parse(&got, copy, n) == NULL, good);
			index_clear(&got);
		}
	free(copy);
	index_clear(&made);
}

/* As a later program of this version may write it: longer records, a section more. */
static void
test_index_of_a_later_program_is_read(void **state)
{
	struct index made, got;
	size_t n, strings, longer = RECORD + 16, i;
	uint8_t *copy;
	const uint8_t *p;

	(void)state;
	make(&made, 3, 0);
	p = (const uint8_t *)index_octets(&made).p;
	n = index_octets(&made).n;
	strings = n - HEAD - 3 * RECORD;
	copy = calloc(1, n + 3 * 16 + 40);
	memcpy(copy, p, HEAD);
	for (i = 0; i < 3; i++)
		memcpy(copy + HEAD + i * longer, p + HEAD + i * RECORD, RECORD);
	memcpy(copy + HEAD + 3 * longer, p + HEAD + 3 * RECORD, strings);
	memset(copy + n + 48, 0xa5, 40);
	put(copy + AT_FILE_OCTETS, 8, n + 48 + 40);
	put(copy + AT_SECTIONS + 4, 4, longer);
	put(copy + AT_SECTIONS + 16, 8, 3 * longer);
	put(copy + AT_SECTIONS + 24 + 8, 8, HEAD + 3 * longer); /* times: none */
	put(copy + AT_SECTIONS + 48 + 8, 8, HEAD + 3 * longer);
	put(copy + AT_SECTIONS_USED, 4, 4);
	put(copy + AT_SECTIONS + 72, 4, 1234);
	put(copy + AT_SECTIONS + 72 + 8, 8, n + 48);
	put(copy + AT_SECTIONS + 72 + 16, 8, 40);
	n += 48 + 40;
	seal(copy, n);
	assert_null(parse(&got, copy, n));
	for (i = 0; i < 3; i++)
		assert_sample(&got, (uint32_t)i);

	got.head.generation++; /* written again with nothing but another head */
	index_seal(&got);
	index_clear(&made);
	assert_null(parse(&made, index_octets(&got).p, index_octets(&got).n));
	assert_int_equal(made.head.generation, 78);
	assert_sample(&made, 2);
	index_clear(&made);
	index_clear(&got);
	free(copy);
}

static void
test_index_hash_notices_each_changed_octet_and_length(void **state)
{
	uint8_t text[200], other[200];
	size_t n, i;
	unsigned bit;

	(void)state;
	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 37);
	for (n = 0; n < sizeof(text); n++) {
		uint64_t h = index_hash(text, n, 9);

		assert_true(h == index_hash(text, n, 9));
		assert_true(h != index_hash(text, n, 10));
		assert_true(h != index_hash(text, n + 1, 9));
		for (i = 0; i < n; i++)
			for (bit = 0; bit < 8; bit++) {
				memcpy(other, text, n);
				other[i] ^= (uint8_t)(1u << bit);
				assert_true(h != index_hash(other, n, 9));
			}
	}
	memset(text, 0, sizeof(text)); /* runs of zeros differ by their length */
	for (n = 1; n < sizeof(text); n++)
		assert_true(index_hash(text, n, 0) != index_hash(text, n - 1, 0));
}

static void
test_index_place_is_settled_only_past_the_margin(void **state)
{
	static const struct {
		int64_t mtime, ctime, now, margin;
		bool settled;
	} cases[] = {
		{ 100, 100, 101, 2, false }, { 100, 100, 102, 2, true },
		{ 100, 102, 103, 2, false }, { 102, 100, 103, 2, false },
		{ 100, 102, 104, 2, true },  { 500, 100, 104, 2, false },
		{ 100, 100, 100, 0, true },  { 101, 100, 100, 0, false },
		{ -5, -6, 0, 2, true },      { 100, 100, 99, -2, true },
		{ 100, 100, 97, -2, false },
	};
	struct index_place p = { .is_there = true };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		p.mtime_ns = cases[i].mtime;
		p.ctime_ns = cases[i].ctime;
		assert_int_equal(index_place_is_settled(&p, cases[i].now, cases[i].margin),
		                 cases[i].settled);
	}
	p.is_there = false; /* it cannot change without coming to be */
	assert_true(index_place_is_settled(&p, 0, 2));
}

static void
test_index_places_differ_by_each_of_their_marks(void **state)
{
	const struct index_place base = { 1, 2, 3, 4, 5, true, true };
	struct index_place p = base;

	(void)state;
	p.is_trusted = false;
	assert_true(index_place_same(&base, &p));
	p = base, p.dev++;
	assert_false(index_place_same(&base, &p));
	p = base, p.ino++;
	assert_false(index_place_same(&base, &p));
	p = base, p.mtime_ns++;
	assert_false(index_place_same(&base, &p));
	p = base, p.ctime_ns++;
	assert_false(index_place_same(&base, &p));
	p = base, p.octets++;
	assert_false(index_place_same(&base, &p));
	p = base, p.is_there = false;
	assert_false(index_place_same(&base, &p));
}

static void
test_mem_grows_and_keeps_what_it_held(void **state)
{
	struct mem m = { NULL, 0 };
	size_t n, i;

	(void)state;
	for (n = 1; n < 1000000; n = n * 3 + 1) {
		size_t before = m.octets;

		assert_int_equal(mem_grow(&m, n, 4000000), 0);
		assert_true(m.octets >= n);
		for (i = 0; i < before; i += 997)
			assert_int_equal(((uint8_t *)m.p)[i], 7);
		for (i = before; i < m.octets; i++)
			assert_int_equal(((uint8_t *)m.p)[i], 0);
		memset(m.p, 7, m.octets);
	}
	n = m.octets;
	assert_int_equal(mem_grow(&m, 4000001, 4000000), -1);
	assert_int_equal(m.octets, n);
	mem_drop(&m);
	assert_null(m.p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_gives_back_what_was_put_in),
		cmocka_unit_test(test_index_stores_an_identity_uidl_once),
		cmocka_unit_test(test_index_without_messages_is_an_index),
		cmocka_unit_test(test_index_with_any_octet_changed_is_refused),
		cmocka_unit_test(test_index_cut_anywhere_is_refused),
		cmocka_unit_test(test_index_with_an_older_one_behind_it_is_read),
		cmocka_unit_test(test_index_with_right_sums_and_wrong_contents_is_refused),
		cmocka_unit_test(test_index_uidl_takes_each_octet_of_0x21_to_0x7e_and_no_other),
		cmocka_unit_test(test_index_of_a_later_program_is_read),
		cmocka_unit_test(test_index_hash_notices_each_changed_octet_and_length),
		cmocka_unit_test(test_index_place_is_settled_only_past_the_margin),
		cmocka_unit_test(test_index_places_differ_by_each_of_their_marks),
		cmocka_unit_test(test_mem_grows_and_keeps_what_it_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
