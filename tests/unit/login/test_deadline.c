/* SPDX-License-Identifier: MIT */
/* Deadlines: what is due comes off in order, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "login/deadline.h"

static void
test_equal_waits_are_due_in_the_order_of_setting(void **state)
{
	struct deadline d[3] = { { .list = NULL } };
	struct deadline_list l;

	(void)state;
	deadline_list_init(&l, 100);
	deadline_set(&l, &d[0], 0);
	deadline_set(&l, &d[1], 10);
	deadline_set(&l, &d[2], 10);
	deadline_set(&l, &d[0], 20); /* put off: behind the others now */
	assert_null(deadline_take_due(&l, 109));
	assert_ptr_equal(deadline_take_due(&l, 110), &d[1]);
	assert_null(d[1].list);
	deadline_clear(&d[1]); /* not set any more: nothing happens */
	deadline_clear(&d[2]);
	assert_null(deadline_take_due(&l, 119));
	assert_ptr_equal(deadline_take_due(&l, 120), &d[0]);
	assert_null(deadline_take_due(&l, INT64_MAX));
	assert_null(l.first);
	assert_null(l.last);
}

static void
test_waits_that_differ_find_their_place(void **state)
{
	static const int64_t due[] = { 50, 10, 90, 10, 70, 30 };
	struct deadline d[6] = { { .list = NULL } };
	struct deadline_list l, other;
	int64_t last = 0;
	size_t i;

	(void)state;
	deadline_list_init(&l, 0);
	deadline_list_init(&other, 5);
	for (i = 0; i < 6; i++)
		deadline_set_at(&l, &d[i], due[i]);
	deadline_set(&other, &d[4], 0); /* in one list at most */
	for (i = 0; i < 5; i++) {
		struct deadline *taken = deadline_take_due(&l, 100);

		assert_non_null(taken);
		assert_true(taken->due_ms >= last && taken != &d[4]);
		last = taken->due_ms;
	}
	assert_null(deadline_take_due(&l, 100));
	assert_ptr_equal(deadline_take_due(&other, 5), &d[4]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_waits_are_due_in_the_order_of_setting),
		cmocka_unit_test(test_waits_that_differ_find_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
