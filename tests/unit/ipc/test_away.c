/* SPDX-License-Identifier: MIT */
/* Backends that are away are news once, whoever notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/away.h"

static void
test_each_change_is_news_once(void **state)
{
	struct away_board b = { 0 };

	(void)state;
	assert_false(away_note(&b, 3, false, 1000));
	assert_true(away_note(&b, 3, true, 2000));
	assert_true(away_is(&b, 3));
	assert_false(away_note(&b, 3, true, 2001));
	assert_true(away_note(&b, 3, false, 3000));
	assert_false(away_is(&b, 3));
	assert_false(away_note(&b, 3, false, 3001));
}

/* Workers that have not noticed yet that it is back. */
static void
test_it_goes_again_only_a_while_after_it_came(void **state)
{
	struct away_board b = { 0 };

	(void)state;
	assert_true(away_note(&b, 0, true, 1000));
	assert_true(away_note(&b, 0, false, 2000));
	assert_false(away_note(&b, 0, true, 2001));
	assert_false(away_note(&b, 0, true, 11999));
	assert_false(away_is(&b, 0));
	assert_true(away_note(&b, 0, true, 12000));
}

static void
test_places_are_apart_and_others_are_none(void **state)
{
	struct away_board b = { 0 };

	(void)state;
	assert_true(away_note(&b, 31, true, 1000));
	assert_false(away_is(&b, 0));
	assert_true(away_note(&b, 0, true, 1000));
	assert_true(away_is(&b, 31));
	assert_false(away_note(&b, 32, true, 1000));
	assert_false(away_is(&b, 32));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_change_is_news_once),
		cmocka_unit_test(test_it_goes_again_only_a_while_after_it_came),
		cmocka_unit_test(test_places_are_apart_and_others_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
