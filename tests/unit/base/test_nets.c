/* SPDX-License-Identifier: MIT */
/* Lists of networks: who is inside, and that nothing half-read lets anybody in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/nets.h"

static enum pst_nets
match(const char *list, const char *address)
{
	struct pst_str bad;
	struct pst_ip ip;

	if (!pst_ip_parse(pst_str_c(address), &ip))
		fail_msg("%s is not an address", address);
	return pst_nets_match(pst_str_c(list), &ip, &bad);
}

static void
test_an_address_is_inside_or_outside(void **state)
{
	static const struct {
		const char *list, *address;
		enum pst_nets wanted;
	} rows[] = {
		{ "192.0.2.7", "192.0.2.7", PST_NETS_INSIDE },
		{ "192.0.2.7", "192.0.2.8", PST_NETS_OUTSIDE },
		{ "192.0.2.7/32", "192.0.2.7", PST_NETS_INSIDE },
		{ "192.0.2.7/32", "192.0.2.6", PST_NETS_OUTSIDE },
		{ "192.0.2.0/24", "192.0.2.255", PST_NETS_INSIDE },
		{ "192.0.2.0/24", "192.0.3.0", PST_NETS_OUTSIDE },
		{ "192.0.2.99/24", "192.0.2.1", PST_NETS_INSIDE }, /* the rest does not matter */
		{ "192.0.2.128/25", "192.0.2.128", PST_NETS_INSIDE },
		{ "192.0.2.128/25", "192.0.2.127", PST_NETS_OUTSIDE },
		{ "192.0.2.0/31", "192.0.2.1", PST_NETS_INSIDE },
		{ "192.0.2.0/31", "192.0.2.2", PST_NETS_OUTSIDE },
		{ "128.0.0.0/1", "255.255.255.255", PST_NETS_INSIDE },
		{ "128.0.0.0/1", "127.255.255.255", PST_NETS_OUTSIDE },
		{ "0.0.0.0/0", "203.0.113.9", PST_NETS_INSIDE },
		{ "0.0.0.0/0", "2001:db8::1", PST_NETS_OUTSIDE },
		{ "::/0", "2001:db8::1", PST_NETS_INSIDE },
		{ "::/0", "192.0.2.1", PST_NETS_OUTSIDE },
		{ "2001:db8::/32", "2001:db8:ffff::1", PST_NETS_INSIDE },
		{ "2001:db8::/32", "2001:db9::1", PST_NETS_OUTSIDE },
		{ "2001:db8::1", "2001:0db8:0:0::0001", PST_NETS_INSIDE },
		{ "2001:db8::/33", "2001:db8:7fff::1", PST_NETS_INSIDE },
		{ "2001:db8::/33", "2001:db8:8000::1", PST_NETS_OUTSIDE },
		{ "::ffff:192.0.2.0/120", "192.0.2.9", PST_NETS_INSIDE },
		{ "192.0.2.0/24", "::ffff:192.0.2.9", PST_NETS_INSIDE },
		{ "::ffff:0:0/96", "192.0.2.9", PST_NETS_INSIDE },
		{ "local", "local", PST_NETS_INSIDE },
		{ "local", "127.0.0.1", PST_NETS_OUTSIDE },
		{ "0.0.0.0/0, ::/0", "local", PST_NETS_OUTSIDE },
		{ "local,127.0.0.0/8", "127.0.0.1", PST_NETS_INSIDE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (match(rows[i].list, rows[i].address) != rows[i].wanted)
			fail_msg("%s in \"%s\"", rows[i].address, rows[i].list);
}

static void
test_entries_are_separated_by_commas_and_white_space(void **state)
{
	static const char *const lists[] = {
		"10.0.0.1,192.0.2.0/24",     "10.0.0.1 192.0.2.0/24", " 10.0.0.1 , 192.0.2.0/24 ",
		"10.0.0.1,,\t192.0.2.0/24,", ",192.0.2.0/24",         "10.0.0.1\r\n192.0.2.0/24\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(match(lists[i], "192.0.2.9"), PST_NETS_INSIDE);
		assert_int_equal(match(lists[i], "192.0.3.9"), PST_NETS_OUTSIDE);
	}
}

static void
test_a_bad_entry_spoils_the_list_wherever_it_stands(void **state)
{
	static const char *const bad[] = {
		"192.0.2",
		"192.0.2.256",
		"192.0.2.0/33",
		"192.0.2.0/",
		"192.0.2.0/-1",
		"192.0.2.0/ 24",
		"192.0.2.0/24/24",
		"192.0.2.0/255.255.255.0",
		"/24",
		"example.test",
		"2001:db8::/129",
		"2001:db8:::/32",
		"[2001:db8::1",
		"fe80::1%lo",
		"LOCAL",
		"local/0",
		"*",
		"192.0.2.0/2 4",
		"::ffff:192.0.2.0/129",
		"192.0.2.0/0000024",
		"192.0.2.0/18446744073709551640",
		"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:2001:db8:aaaa:bbbb",
	};
	struct pst_ip ip;
	struct pst_str at;
	char list[200];
	size_t i;

	(void)state;
	assert_true(pst_ip_parse(PST_LIT("192.0.2.9"), &ip));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const size_t n = strcspn(bad[i], " ");

		(void)snprintf(list, sizeof(list), "192.0.2.0/24,%s", bad[i]);
		if (pst_nets_match(pst_str_c(list), &ip, &at) != PST_NETS_BAD)
			fail_msg("\"%s\" was taken", list);
		if (strchr(bad[i], ' ') == NULL)
			assert_int_equal(at.n, n);
		(void)snprintf(list, sizeof(list), "%s,192.0.2.0/24", bad[i]);
		if (pst_nets_match(pst_str_c(list), &ip, &at) != PST_NETS_BAD)
			fail_msg("\"%s\" was taken", list);
	}
}

static void
test_a_list_without_an_entry_is_bad(void **state)
{
	static const char *const lists[] = { "", " ", ",", " , ,\t" };
	struct pst_str at;
	struct pst_ip ip;
	size_t i;

	(void)state;
	assert_true(pst_ip_parse(PST_LIT("local"), &ip));
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(pst_nets_match(pst_str_c(lists[i]), &ip, &at), PST_NETS_BAD);
		assert_int_equal(at.n, 0);
	}
}

static void
test_a_nul_is_no_end(void **state)
{
	struct pst_str at;
	struct pst_ip ip;

	(void)state;
	assert_true(pst_ip_parse(PST_LIT("192.0.2.9"), &ip));
	assert_int_equal(pst_nets_match(PST_LIT("192.0.2.9\0x"), &ip, &at), PST_NETS_BAD);
	assert_int_equal(at.n, 11);
	assert_false(pst_ip_parse(PST_LIT("192.0.2.9\0"), &ip));
	assert_false(pst_ip_parse(PST_LIT(""), &ip));
	assert_false(pst_ip_parse(PST_LIT("192.0.2.0/24"), &ip));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_is_inside_or_outside),
		cmocka_unit_test(test_entries_are_separated_by_commas_and_white_space),
		cmocka_unit_test(test_a_bad_entry_spoils_the_list_wherever_it_stands),
		cmocka_unit_test(test_a_list_without_an_entry_is_bad),
		cmocka_unit_test(test_a_nul_is_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
