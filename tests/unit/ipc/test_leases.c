/* SPDX-License-Identifier: MIT */
/* What the clerk confirms reaches the session that asked, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/leases.h"

static struct lease_board board;

static void
nothing_is_said_at_first(void **state)
{
	int64_t at = 7;

	(void)state;
	assert_int_equal(leases_read(&board, 1, PST_LIT("a"), &at), LEASE_NOTHING);
	assert_int_equal(at, 7);
}

static void
a_time_comes_back_and_is_never_later(void **state)
{
	int64_t at;

	(void)state;
	leases_confirm(&board, 2, PST_LIT("a"), 123456789);
	assert_int_equal(leases_read(&board, 2, PST_LIT("a"), &at), LEASE_CONFIRMED);
	assert_int_equal(at, 123456700);
	leases_confirm(&board, 2, PST_LIT("a"), 123499999);
	assert_int_equal(leases_read(&board, 2, PST_LIT("a"), &at), LEASE_CONFIRMED);
	assert_int_equal(at, 123499900);
}

static void
another_taker_is_told_nothing(void **state)
{
	int64_t at;

	(void)state;
	leases_confirm(&board, 3, PST_LIT("a"), 1000);
	assert_int_equal(leases_read(&board, 3, PST_LIT("b"), &at), LEASE_NOTHING);
	leases_confirm(&board, 3, PST_LIT("b"), 2000);
	assert_int_equal(leases_read(&board, 3, PST_LIT("a"), &at), LEASE_NOTHING);
}

static void
a_refusal_is_no_time(void **state)
{
	int64_t at;

	(void)state;
	leases_deny(&board, 4, PST_LIT("a"));
	assert_int_equal(leases_read(&board, 4, PST_LIT("a"), &at), LEASE_DENIED);
	assert_int_equal(leases_read(&board, 4, PST_LIT("b"), &at), LEASE_NOTHING);
	/* A time beyond what fits is not taken for one. */
	leases_confirm(&board, 5, PST_LIT("a"), INT64_MAX);
	assert_int_equal(leases_read(&board, 5, PST_LIT("a"), &at), LEASE_NOTHING);
	leases_confirm(&board, 5, PST_LIT("a"), -1);
	assert_int_equal(leases_read(&board, 5, PST_LIT("a"), &at), LEASE_NOTHING);
}

static void
any_place_will_do(void **state)
{
	int64_t at;

	(void)state;
	leases_confirm(&board, UINT32_MAX, PST_LIT(""), 5000);
	assert_int_equal(leases_read(&board, UINT32_MAX, PST_LIT(""), &at), LEASE_CONFIRMED);
	assert_int_equal(leases_read(&board, LEASE_PLACES - 1, PST_LIT(""), &at), LEASE_CONFIRMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_said_at_first),
		cmocka_unit_test(a_time_comes_back_and_is_never_later),
		cmocka_unit_test(another_taker_is_told_nothing),
		cmocka_unit_test(a_refusal_is_no_time),
		cmocka_unit_test(any_place_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
