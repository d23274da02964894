/* SPDX-License-Identifier: MIT */
/* Runs of octets and errors: what the public inline functions say. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <postern/err.h>
#include <postern/str.h>

static void
test_equality_looks_at_every_octet_and_the_length(void **state)
{
	(void)state;
	assert_true(pst_str_eq(PST_LIT("a\0b"), PST_LIT("a\0b")));
	assert_false(pst_str_eq(PST_LIT("a\0b"), PST_LIT("a\0c")));
	assert_false(pst_str_eq(PST_LIT("ab"), PST_LIT("abc")));
	assert_true(pst_str_eq(PST_LIT(""), (struct pst_str){ NULL, 0 }));
	assert_false(pst_str_eq(PST_LIT("A"), PST_LIT("a")));
}

static void
test_case_is_folded_for_ascii_letters_only(void **state)
{
	static const char special[] = "@[`{\xc0\xe0";
	size_t i;

	(void)state;
	(void)setlocale(LC_ALL, "tr_TR.ISO8859-9"); /* must make no difference */
	assert_true(pst_str_ieq(PST_LIT("AbZ09i"), PST_LIT("aBz09I")));
	assert_false(pst_str_ieq(PST_LIT("ab"), PST_LIT("abc")));
	for (i = 0; i < sizeof(special) - 1; i++)
		assert_int_equal(pst_lower(special[i]), special[i]);
	assert_false(pst_str_ieq(PST_LIT("\xc0"), PST_LIT("\xe0")));
	assert_false(pst_str_ieq(PST_LIT("@"), PST_LIT("`")));
	assert_false(pst_str_ieq(PST_LIT("["), PST_LIT("{")));
	(void)setlocale(LC_ALL, "C");
}

static void
test_nul_is_found_anywhere(void **state)
{
	(void)state;
	assert_false(pst_str_has_nul(PST_LIT("abc")));
	assert_false(pst_str_has_nul((struct pst_str){ NULL, 0 }));
	assert_true(pst_str_has_nul(PST_LIT("\0abc")));
	assert_true(pst_str_has_nul(PST_LIT("abc\0")));
}

static void
test_numbers_are_digits_alone_and_never_wrap(void **state)
{
	static const struct {
		struct pst_str text;
		bool good;
		uint64_t num;
	} rows[] = {
		{ PST_LIT("0"), true, 0 },
		{ PST_LIT("007"), true, 7 },
		{ PST_LIT("18446744073709551615"), true, UINT64_MAX },
		{ PST_LIT("18446744073709551616"), false, 0 },
		{ PST_LIT("99999999999999999999"), false, 0 },
		{ PST_LIT("100000000000000000000"), false, 0 },
		{ PST_LIT("000000000000000000001"), false, 0 }, /* 21 digits */
		{ PST_LIT(""), false, 0 },
		{ PST_LIT("-1"), false, 0 },
		{ PST_LIT("+1"), false, 0 },
		{ PST_LIT(" 1"), false, 0 },
		{ PST_LIT("1 "), false, 0 },
		{ PST_LIT("1\0"), false, 0 },
		{ PST_LIT("0x1"), false, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t num = 4711;

		assert_int_equal(pst_str_u64(rows[i].text, &num), rows[i].good);
		assert_true(num == (rows[i].good ? rows[i].num : 4711));
	}
}

static void
test_string_of_c_text_and_its_print_form(void **state)
{
	static char longer[5000];
	struct pst_str s = { longer, sizeof(longer) };

	(void)state;
	assert_int_equal(pst_str_c(NULL).n, 0);
	assert_non_null(pst_str_c(NULL).p);
	assert_int_equal(pst_str_c("abc").n, 3);
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(snprintf(NULL, 0, "%.*s", PST_ARG(s)), 4096);
}

static void
test_error_has_kind_text_and_minus_one(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(pst_err_set(&err, PST_E_IN_USE, "drop %d", 5), -1);
	assert_int_equal(err.kind, PST_E_IN_USE);
	assert_string_equal(err.text, "drop 5");
	errno = ENOENT;
	assert_int_equal(pst_err_sys(&err, PST_E_TEMP, "open %s", "/x"), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_string_equal(err.text, "open /x: No such file or directory");
}

static void
test_long_error_is_cut_and_ended(void **state)
{
	char longer[1000];
	struct pst_err err;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	errno = EIO;
	assert_int_equal(pst_err_sys(&err, PST_E_TEMP, "%s", longer), -1);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	pst_err_set(&err, PST_E_TEMP, "%s%s", "a", longer);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equality_looks_at_every_octet_and_the_length),
		cmocka_unit_test(test_case_is_folded_for_ascii_letters_only),
		cmocka_unit_test(test_nul_is_found_anywhere),
		cmocka_unit_test(test_numbers_are_digits_alone_and_never_wrap),
		cmocka_unit_test(test_string_of_c_text_and_its_print_form),
		cmocka_unit_test(test_error_has_kind_text_and_minus_one),
		cmocka_unit_test(test_long_error_is_cut_and_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
