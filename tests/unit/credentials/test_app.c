/* SPDX-License-Identifier: MIT */
/* The form of an app password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "credentials/app.h"

static const struct {
	const char *password, *prefix; /* "": it has not the form */
} rows[] = {
	{ "k7mw-abcd-efgh-ijkl", "k7mw" },
	{ "k7mw2345-abcdefgh-12345678-a2b3c4d5", "k7mw2345" },
	{ "0000-0000-0000-0000", "0000" },
	{ "", "" },
	{ "secret", "" },
	{ "abcd", "" },
	{ "abcd-", "" },
	{ "abcd-abcd-abcd", "" },
	{ "abcd-abcd-abcd-", "" },
	{ "abcd-abcd-abcd-abc", "" },
	{ "abc-abcd-abcd-abcd", "" },
	{ "abcd-abcd-abcd-abcd-", "" },
	{ "abcd-abcd-abcd-abcd-abcd", "" },
	{ "abcd--abcd-abcd-abcd", "" },
	{ "-abcd-abcd-abcd", "" },
	{ "abcdefghi-abcd-abcd-abcd", "" },
	{ "abcd-abcd-abcd-abcdefghi", "" },
	{ "Abcd-abcd-abcd-abcd", "" },
	{ "abcd-abcd-abcd-abcD", "" },
	{ "ab_d-abcd-abcd-abcd", "" },
	{ "abcd abcd abcd abcd", "" },
	{ " abcd-abcd-abcd-abcd", "" },
	{ "abcd-abcd-abcd-abcd ", "" },
	{ "abc\xc3\xa4-abcd-abcd-abcd", "" },
};

static void
test_only_the_whole_form_has_a_prefix(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pst_str prefix = app_prefix(pst_str_c(rows[i].password));

		if (!pst_str_eq(prefix, pst_str_c(rows[i].prefix)))
			fail_msg("\"%s\": \"%.*s\"", rows[i].password, PST_ARG(prefix));
	}
}

static void
test_a_nul_belongs_to_no_form(void **state)
{
	(void)state;
	assert_int_equal(app_prefix((struct pst_str){ "abcd-abcd-abcd-abcd\0", 20 }).n, 0);
	assert_int_equal(app_prefix((struct pst_str){ "abc\0-abcd-abcd-abcd", 19 }).n, 0);
	assert_int_equal(app_prefix((struct pst_str){ NULL, 0 }).n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_whole_form_has_a_prefix),
		cmocka_unit_test(test_a_nul_belongs_to_no_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
