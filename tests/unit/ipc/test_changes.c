/* SPDX-License-Identifier: MIT */
/* The ring of changes: each is read once, whole, and who misses some is told to ask. */
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

#include "ipc/changes.h"
#include "ipc/shm.h"

static struct change_ring *ring;
static struct change change;

static int
set_up(void **state)
{
	(void)state;
	ring = shm_create(sizeof(*ring));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	shm_destroy(ring, sizeof(*ring));
	return 0;
}

static void
write_number(uint64_t number)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "user%llu", (unsigned long long)number);
	changes_write(ring, CHANGE_END, pst_str_c(name));
}

static void
assert_next(uint64_t *at, enum change_kind kind, const char *name)
{
	assert_true(changes_read(ring, at, &change));
	assert_int_equal(change.kind, kind);
	assert_string_equal(change.name, name);
}

static void
test_each_change_is_read_once_and_in_order(void **state)
{
	uint64_t first = changes_now(ring), late;

	(void)state;
	assert_false(changes_read(ring, &first, &change));
	changes_write(ring, CHANGE_END, PST_LIT("ann@example.test"));
	late = changes_now(ring);
	changes_write(ring, CHANGE_ASK, PST_LIT("example.test"));
	changes_write(ring, CHANGE_ASK, PST_LIT(""));
	assert_next(&first, CHANGE_END, "ann@example.test");
	assert_next(&first, CHANGE_ASK, "example.test");
	assert_next(&first, CHANGE_ASK, "");
	assert_false(changes_read(ring, &first, &change));
	assert_next(&late, CHANGE_ASK, "example.test");
}

static void
test_no_ring_never_changes(void **state)
{
	(void)state;
	assert_true(changes_now(NULL) == 0);
}

static void
test_a_name_that_no_user_can_have_is_not_told(void **state)
{
	char longest[257];
	uint64_t at = changes_now(ring);

	(void)state;
	memset(longest, 'x', sizeof(longest));
	changes_write(ring, CHANGE_END, (struct pst_str){ longest, 256 });
	assert_false(changes_read(ring, &at, &change));
	changes_write(ring, CHANGE_END, (struct pst_str){ longest, 255 });
	assert_true(changes_read(ring, &at, &change));
	assert_int_equal(strlen(change.name), 255);
}

static void
test_a_full_ring_is_read_and_one_more_makes_a_reader_ask(void **state)
{
	uint64_t in_time = changes_now(ring), late = in_time, number;

	(void)state;
	for (number = 1; number <= CHANGES_ROWS; number++)
		write_number(number);
	assert_next(&in_time, CHANGE_END, "user1");
	write_number(number);
	assert_next(&late, CHANGE_ASK, "");
	assert_false(changes_read(ring, &late, &change)); /* told once, and up to date */
	assert_next(&in_time, CHANGE_END, "user2");
	write_number(5000);
	assert_next(&late, CHANGE_END, "user5000");
}

/* A writer that was killed leaves a row whose serial is odd, and the count as it was. */
static void
test_a_writer_killed_in_the_middle_tells_nothing_wrong(void **state)
{
	uint64_t current, late, number;
	struct change_row *row;

	(void)state;
	late = changes_now(ring);
	for (number = 1; number <= CHANGES_ROWS; number++)
		write_number(number);
	current = changes_now(ring);
	row = &ring->row[(current + 1) % CHANGES_ROWS];
	atomic_store(&row->serial, 2 * (current + 1) - 1);
	memcpy(row->change.name, "half", 5);
	assert_false(changes_read(ring, &current, &change));
	/* This row was the oldest that could still be read. */
	assert_next(&late, CHANGE_ASK, "");
	write_number(7777); /* the next writer begins where that one stopped */
	assert_next(&current, CHANGE_END, "user7777");
	assert_next(&late, CHANGE_END, "user7777");
}

static void
test_nonsense_ends_and_stays_inside(void **state)
{
	uint64_t at = 5;

	(void)state;
	atomic_store(&ring->written, UINT64_MAX);
	assert_next(&at, CHANGE_ASK, "");
	assert_false(changes_read(ring, &at, &change));
	atomic_store(&ring->written, 3); /* went backwards */
	assert_next(&at, CHANGE_ASK, "");
	assert_true(at == 3);
	memset(ring->row, 0xff, sizeof(ring->row));
	atomic_store(&ring->row[4].serial, 8);
	atomic_store(&ring->written, 4);
	assert_true(changes_read(ring, &at, &change));
	assert_int_equal(strlen(change.name), 255);
}

#define RACE 400000

/* The name says its number three times: a mixture of two would show. */
static void
write_race(uint64_t from)
{
	char name[128];
	uint64_t number;

	for (number = from + 1; number <= from + RACE; number++) {
		(void)snprintf(name, sizeof(name), "%llu-%llu-%llu", (unsigned long long)number,
		               (unsigned long long)number, (unsigned long long)number);
		changes_write(ring, CHANGE_END, pst_str_c(name));
	}
	_exit(0);
}

/* How many changes were seen whole: none where the writer had the processor for itself. */
static uint64_t
read_race(uint64_t from)
{
	const uint64_t end = from + RACE;
	uint64_t at = from, last = from, seen = 0;
	pid_t pid = fork();
	int status;

	if (pid == 0)
		write_race(from);
	while (last < end) {
		unsigned long long a, b, c;

		if (!changes_read(ring, &at, &change))
			continue;
		if (change.kind == CHANGE_ASK) {
			if (at == end)
				break;
			continue;
		}
		assert_int_equal(sscanf(change.name, "%llu-%llu-%llu", &a, &b, &c), 3);
		assert_true(a == b && b == c);
		assert_true(a > last && a == at);
		last = a;
		seen++;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return seen;
}

static void
test_a_reader_never_sees_half_of_a_change(void **state)
{
	uint64_t seen = 0;
	int round;

	(void)state;
	for (round = 0; round < 100 && seen == 0; round++)
		seen = read_race(changes_now(ring));
	assert_true(seen > 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_each_change_is_read_once_and_in_order),
		CASE(test_no_ring_never_changes),
		CASE(test_a_name_that_no_user_can_have_is_not_told),
		CASE(test_a_full_ring_is_read_and_one_more_makes_a_reader_ask),
		CASE(test_a_writer_killed_in_the_middle_tells_nothing_wrong),
		CASE(test_nonsense_ends_and_stays_inside),
		CASE(test_a_reader_never_sees_half_of_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
