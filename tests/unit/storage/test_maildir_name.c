/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "storage/maildir/name.h"

static const struct pst_host host = { .size = sizeof(host), .sha256 = pst_sha256 };

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void
test_base_is_all_before_the_first_colon(void **state)
{
	static const struct {
		struct pst_str name, base;
	} cases[] = {
		{ PST_LIT("1.M2P3.mx,S=4:2,FS"), PST_LIT("1.M2P3.mx,S=4") },
		{ PST_LIT("1.M2P3.mx"), PST_LIT("1.M2P3.mx") },
		{ PST_LIT("a:1,x:2,S"), PST_LIT("a") },
		{ PST_LIT("a:"), PST_LIT("a") },
		{ PST_LIT(":2,S"), PST_LIT("") },
		{ PST_LIT("\xff\n \x01:2,"), PST_LIT("\xff\n \x01") },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_true(pst_str_eq(maildir_base(cases[i].name), cases[i].base));
}

static void
test_name_that_is_no_message_is_told_from_one(void **state)
{
	static const struct {
		struct pst_str name;
		bool is_message;
	} cases[] = {
		{ PST_LIT("x"), true },     { PST_LIT("x.y:2,S"), true },
		{ PST_LIT(":2,S"), true },  { PST_LIT("\n"), true },
		{ PST_LIT(""), false },     { PST_LIT("."), false },
		{ PST_LIT(".."), false },   { PST_LIT(".hidden"), false },
		{ PST_LIT("a/b"), false },  { PST_LIT("../x"), false },
		{ PST_LIT("a\0b"), false }, { PST_LIT("a."), true },
	};
	char longest[1001];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++)
		assert_int_equal(maildir_is_message(cases[i].name), cases[i].is_message);
	memset(longest, 'x', sizeof(longest));
	assert_true(maildir_is_message((struct pst_str){ longest, 1000 }));
	assert_false(maildir_is_message((struct pst_str){ longest, 1001 }));
}

static void
test_field_counts_only_where_it_is_whole(void **state)
{
	static const struct {
		struct pst_str base;
		char letter;
		bool found;
		uint64_t num;
	} cases[] = {
		{ PST_LIT("1.M2.mx,S=123"), 'S', true, 123 },
		{ PST_LIT("1.M2.mx,S=123,W=130"), 'S', true, 123 },
		{ PST_LIT("1.M2.mx,S=123,W=130"), 'W', true, 130 },
		{ PST_LIT("1.M2.mx,S=0"), 'S', true, 0 },
		{ PST_LIT("1.M2.mx,S=18446744073709551615"), 'S', true, UINT64_MAX },
		{ PST_LIT("1.M2.mx,S=18446744073709551616"), 'S', false, 0 },
		{ PST_LIT("1.M2.mx,S=12x"), 'S', false, 0 },
		{ PST_LIT("1.M2.mx,S=12x,S=7"), 'S', false, 0 }, /* the first match counts */
		{ PST_LIT("1.M2.mx,S="), 'S', false, 0 },
		{ PST_LIT("1.M2.mx,S=,W=5"), 'S', false, 0 },
		{ PST_LIT("1.M2.mx,S=-1"), 'S', false, 0 },
		{ PST_LIT("1.M2.mxS=12"), 'S', false, 0 },
		{ PST_LIT(",S=9"), 'S', true, 9 },
		{ PST_LIT(",S"), 'S', false, 0 },
		{ PST_LIT(""), 'S', false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uint64_t num = 0;

		assert_int_equal(maildir_field(cases[i].base, cases[i].letter, &num),
		                 cases[i].found);
		if (cases[i].found)
			assert_true(num == cases[i].num);
	}
}

/* As they must be listed. */
static const struct pst_str in_order[] = {
	PST_LIT(""), /* of ":2,S" */
	PST_LIT("!"),
	PST_LIT("A"),
	PST_LIT("no.number"),
	PST_LIT("x.9"),
	PST_LIT("x.M5"), /* no number at the front is 0; microseconds count all the same */
	PST_LIT("1"),
	PST_LIT("00002.z"),
	PST_LIT("2.a"),
	PST_LIT("10.zzz"),
	PST_LIT("1699999999.M999999P1.h"),
	PST_LIT("1700000000"),
	PST_LIT("1700000000.12.h"),
	PST_LIT("1700000000.M.h"),     /* M without digits is 0 */
	PST_LIT("1700000000.P5.M9.h"), /* only the second part counts */
	PST_LIT("1700000000.~"),
	PST_LIT("1700000000.\xc3\xbc"), /* octets, not signed ones */
	PST_LIT("1700000000.M5P1.h"),
	PST_LIT("1700000000.xM5.h"), /* M anywhere in the part */
	PST_LIT("1700000000.V801I5f3M12.h"),
	PST_LIT("1700000000.M99P1"),
	PST_LIT("1700000000.M99P1.h"),
	PST_LIT("1700000000.M99P2.h"),
	PST_LIT("1700000001.M1P1.h"),
	PST_LIT("99999999999999999999.M1.h"), /* beyond 64 bits is the largest */
	PST_LIT("99999999999999999999.M99999999999999999999.h"),
};

static void
test_order_is_seconds_then_microseconds_then_octets(void **state)
{
	struct maildir_key a, b;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(in_order); i++)
		for (j = 0; j < COUNT(in_order); j++) {
			int order;

			maildir_key(in_order[i], &a);
			maildir_key(in_order[j], &b);
			order = maildir_key_compare(&a, &b);
			if ((order < 0) != (i < j) || (order == 0) != (i == j))
				fail_msg("%.*s and %.*s", PST_ARG(in_order[i]),
				         PST_ARG(in_order[j]));
		}
}

static void
test_uidl_is_the_base_name_where_pop3_allows_it(void **state)
{
	char buf[MAILDIR_UIDL_ROOM], name[72];
	struct pst_str base;

	(void)state;
	base = PST_LIT("1700000000.M2P3.mx,S=4,W=5");
	assert_true(pst_str_eq(maildir_uidl(&host, base, buf), base));
	base = PST_LIT("!~");
	assert_true(pst_str_eq(maildir_uidl(&host, base, buf), base));
	memset(name, 'x', sizeof(name));
	base = (struct pst_str){ name, 70 };
	assert_true(pst_str_eq(maildir_uidl(&host, base, buf), base));
}

static void
test_uidl_is_a_digest_where_the_base_name_cannot_be_shown(void **state)
{
	/* sha256sum of the base name, 40 digits of it */
	static const struct {
		struct pst_str base;
		const char *uidl;
	} cases[] = {
		{ PST_LIT(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4" },
		{ PST_LIT("a b"), "sha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc342" },
		{ PST_LIT("\x7f"), "sha256:620bfdaa346b088fb49998d92f19a7eaf6bfc2fb" },
		{ PST_LIT("\xc3\xbc"), "sha256:607474ca475a9724d7360aba71a56d5df77e6135" },
	};
	char buf[MAILDIR_UIDL_ROOM], name[71];
	struct pst_str uidl;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		uidl = maildir_uidl(&host, cases[i].base, buf);
		if (!pst_str_eq(uidl, pst_str_c(cases[i].uidl)))
			fail_msg("%zu: %.*s", i, PST_ARG(uidl));
	}
	memset(name, 'x', sizeof(name));
	uidl = maildir_uidl(&host, (struct pst_str){ name, 71 }, buf);
	assert_int_equal(uidl.n, 47);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_is_all_before_the_first_colon),
		cmocka_unit_test(test_name_that_is_no_message_is_told_from_one),
		cmocka_unit_test(test_field_counts_only_where_it_is_whole),
		cmocka_unit_test(test_order_is_seconds_then_microseconds_then_octets),
		cmocka_unit_test(test_uidl_is_the_base_name_where_pop3_allows_it),
		cmocka_unit_test(test_uidl_is_a_digest_where_the_base_name_cannot_be_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
