/* SPDX-License-Identifier: MIT */
/* Sessions and logins per user: no limit is passed, and nothing of a dead worker stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/shm.h"
#include "ipc/usage.h"

static struct usage *usage;
static uint64_t ann, eve, one, two;

static int
set_up(void **state)
{
	(void)state;
	usage = shm_create(sizeof(*usage));
	usage_init(usage);
	ann = usage_user(usage, PST_LIT("ann@example.test"));
	eve = usage_user(usage, PST_LIT("eve@example.test"));
	one = usage_owner(1, 0);
	two = usage_owner(1, 1);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	shm_destroy(usage, sizeof(*usage));
	return 0;
}

static uint32_t
enter(uint64_t user, uint64_t owner, uint32_t max, enum usage_verdict verdict)
{
	uint32_t place = USAGE_NOWHERE;

	assert_int_equal(usage_enter(usage, user, owner, max, &place), verdict);
	assert_int_equal(place != USAGE_NOWHERE, verdict == USAGE_IN);
	return place;
}

static void
test_a_user_is_the_whole_name(void **state)
{
	char a[256], b[256];

	(void)state;
	memset(a, 'a', sizeof(a));
	memcpy(b, a, sizeof(a));
	b[254] = 'b';
	assert_true(usage_user(usage, (struct pst_str){ a, 255 }) !=
	            usage_user(usage, (struct pst_str){ b, 255 }));
	assert_true(usage_user(usage, PST_LIT("ann@example.test")) == ann);
	assert_true(usage_owner(0, 0) != 0);
	assert_true(usage_owner(1, 2) != usage_owner(2, 1));
}

static void
test_a_user_has_so_many_sessions_and_no_more(void **state)
{
	uint32_t first, other;

	(void)state;
	first = enter(ann, one, 2, USAGE_IN);
	(void)enter(ann, two, 2, USAGE_IN);
	(void)enter(ann, one, 2, USAGE_MANY);
	(void)enter(ann, two, 2, USAGE_MANY);
	other = enter(eve, one, 1, USAGE_IN); /* nobody else's */
	(void)enter(eve, one, 1, USAGE_MANY);
	usage_leave(usage, first);
	(void)enter(ann, one, 2, USAGE_IN);
	(void)enter(ann, one, 2, USAGE_MANY);
	usage_leave(usage, other);
	(void)enter(eve, two, 1, USAGE_IN);
}

static void
test_the_sessions_of_a_dead_worker_do_not_count(void **state)
{
	(void)state;
	(void)enter(ann, one, 3, USAGE_IN);
	(void)enter(ann, one, 3, USAGE_IN);
	(void)enter(ann, two, 3, USAGE_IN);
	assert_int_equal(usage_sweep(usage, usage_owner(2, 0)), 0); /* of another generation */
	(void)enter(ann, two, 3, USAGE_MANY);
	assert_int_equal(usage_sweep(usage, one), 2);
	assert_int_equal(usage_sweep(usage, one), 0);
	(void)enter(ann, two, 3, USAGE_IN);
	(void)enter(ann, two, 3, USAGE_IN);
	(void)enter(ann, two, 3, USAGE_MANY);
}

/* Killed between taking a place and counting in it. */
static void
test_a_place_without_a_user_is_swept_too(void **state)
{
	(void)state;
	(void)enter(ann, one, 9, USAGE_IN);
	atomic_store(&usage->session[0].user, 0);
	assert_int_equal(usage_sweep(usage, one), 1);
	assert_int_equal(enter(ann, one, 9, USAGE_IN), 0);
}

static void
test_a_full_table_lets_nobody_in(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < USAGE_SESSIONS; i++)
		atomic_store(&usage->session[i].owner, two);
	(void)enter(ann, one, 5, USAGE_FULL);
	usage_leave(usage, 4711);
	assert_int_equal(enter(ann, one, 5, USAGE_IN), 4711);
}

static void
test_nonsense_stays_inside(void **state)
{
	(void)state;
	atomic_store(&usage->hint, UINT32_MAX);
	atomic_store(&usage->used, UINT32_MAX);
	usage_leave(usage, enter(ann, one, 5, USAGE_IN));
	usage_leave(usage, USAGE_NOWHERE);
	usage_leave(usage, USAGE_SESSIONS);
	assert_int_equal(usage_sweep(usage, one), 0);
	memset(usage->login, 0xff, sizeof(usage->login));
	assert_true(usage_wait_ms(usage, ann, 1000, 5) == 0);
	assert_true(usage_wait_ms(usage, UINT64_MAX, 1000, 5) == 0);
	usage_logged_in(usage, ann, 5);
	assert_true(usage_wait_ms(usage, ann, 1000, 5) == 1000);
}

#define PROCESSES 4
#define ROUNDS 20000
#define MOST 2

struct tally {
	_Atomic int inside, most, entered;
};

static void
come_and_go(struct tally *t, uint64_t owner)
{
	uint32_t place;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int n, most;

		if (usage_enter(usage, ann, owner, MOST, &place) != USAGE_IN)
			continue;
		n = atomic_fetch_add(&t->inside, 1) + 1;
		most = atomic_load(&t->most);
		while (n > most && !atomic_compare_exchange_weak(&t->most, &most, n))
			;
		atomic_fetch_add(&t->entered, 1);
		atomic_fetch_sub(&t->inside, 1);
		usage_leave(usage, place);
	}
	_exit(0);
}

static void
test_processes_at_once_never_pass_the_limit(void **state)
{
	struct tally *t = shm_create(sizeof(*t));
	unsigned i;

	(void)state;
	for (i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			come_and_go(t, usage_owner(1, i));
	for (i = 0; i < PROCESSES; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_true(atomic_load(&t->most) <= MOST);
	assert_true(atomic_load(&t->entered) > 0);
	for (i = 0; i < PROCESSES; i++) /* all have left */
		assert_int_equal(usage_sweep(usage, usage_owner(1, i)), 0);
	shm_destroy(t, sizeof(*t));
}

static void
test_a_login_that_is_too_early_is_told_how_long_to_wait(void **state)
{
	(void)state;
	assert_true(usage_wait_ms(usage, ann, 60000, 1000) == 0); /* has never been here */
	usage_logged_in(usage, ann, 1000);
	assert_true(usage_wait_ms(usage, ann, 60000, 1000) == 60000);
	assert_true(usage_wait_ms(usage, ann, 60000, 60999) == 1);
	assert_true(usage_wait_ms(usage, ann, 60000, 61000) == 0);
	assert_true(usage_wait_ms(usage, ann, INT64_MAX, 61000) > 0);
	assert_true(usage_wait_ms(usage, eve, 60000, 1000) == 0);
	usage_logged_in(usage, ann, 61000);
	assert_true(usage_wait_ms(usage, ann, 60000, 61000) == 60000);
}

static void
test_a_full_row_forgets_who_came_longest_ago(void **state)
{
	uint64_t i;

	(void)state;
	for (i = 0; i < USAGE_WAYS; i++) /* all of one row */
		usage_logged_in(usage, 1 + i * USAGE_ROWS, 1000 + (int64_t)i);
	usage_logged_in(usage, 1, 2000); /* the oldest is now the second */
	usage_logged_in(usage, 1 + USAGE_WAYS * (uint64_t)USAGE_ROWS, 3000);
	assert_true(usage_wait_ms(usage, 1 + USAGE_ROWS, 60000, 3000) == 0);
	assert_true(usage_wait_ms(usage, 1, 60000, 3000) > 0);
	assert_true(usage_wait_ms(usage, 1 + 2 * USAGE_ROWS, 60000, 3000) > 0);
	assert_true(usage_wait_ms(usage, 1 + USAGE_WAYS * (uint64_t)USAGE_ROWS, 60000, 3000) > 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_user_is_the_whole_name),
		CASE(test_a_user_has_so_many_sessions_and_no_more),
		CASE(test_the_sessions_of_a_dead_worker_do_not_count),
		CASE(test_a_place_without_a_user_is_swept_too),
		CASE(test_a_full_table_lets_nobody_in),
		CASE(test_nonsense_stays_inside),
		CASE(test_processes_at_once_never_pass_the_limit),
		CASE(test_a_login_that_is_too_early_is_told_how_long_to_wait),
		CASE(test_a_full_row_forgets_who_came_longest_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
