/* SPDX-License-Identifier: MIT */
/* Shared memory between processes: the scoreboard, what a worker is at, the TLS ticket key. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/shm.h"

#define ROWS 100
#define PARTS 3

static struct board view;
static struct board *const board = &view;
static void *shared;

/* The linker puts this in the place of the random numbers: a key of one repeated octet, another one
 * each time, shows where it was read while it was written. */
void __wrap_pst_random(void *out, size_t n);
void
__wrap_pst_random(void *out, size_t n)
{
	static unsigned char fill;

	memset(out, ++fill, n);
}

static int
create_board(void **state)
{
	(void)state;
	shared = shm_create(board_octets(ROWS));
	board_init(&view, shared, ROWS, PARTS);
	return 0;
}

static int
destroy_board(void **state)
{
	(void)state;
	shm_destroy(shared, board_octets(ROWS));
	return 0;
}

static uint32_t
take(uint32_t part)
{
	uint32_t row = UINT32_MAX;

	assert_true(board_take(board, part, &row));
	assert_in_range(row, 0, ROWS - 1);
	return row;
}

static void
wait_for(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) || WIFSIGNALED(status));
}

static void
test_all_rows_are_taken_once_and_each_by_its_own_part(void **state)
{
	bool seen[ROWS] = { false };
	uint32_t part, row;
	size_t taken = 0;

	(void)state;
	for (part = 0; part < PARTS; part++)
		while (board_take(board, part, &row)) {
			assert_in_range(row, 0, ROWS - 1);
			assert_false(seen[row]);
			seen[row] = true;
			taken++;
			assert_int_equal(board->row[row].state, SESSION_LOGIN);
			assert_int_equal(board->row[row].kind_slot,
			                 (uint32_t)WORKER_LOGIN << 16 | part);
		}
	assert_int_equal(taken, ROWS);
	assert_false(board_take(board, PARTS, &row)); /* no such part */
}

static void
test_freed_row_is_taken_again_clean_and_with_another_serial(void **state)
{
	uint32_t row = take(1);
	uint32_t serial = board->row[row].serial;
	uint32_t other, i;

	(void)state;
	memset(board->row[row].sid, 'x', sizeof(board->row[row].sid));
	memset(board->row[row].user, 'x', sizeof(board->row[row].user));
	board->row[row].octets = 7;
	board->row[row].deleted = 7;
	board_own(board, row, SESSION_MAIL, WORKER_MAIL, 2);
	board_free(board, row);
	for (i = 0; i < ROWS; i++) { /* the search begins behind the last one */
		other = take(1);
		if (other == row)
			break;
		board_free(board, other);
	}
	assert_int_equal(other, row);
	assert_true(board->row[row].serial != serial);
	assert_int_equal(board->row[row].sid[0], '\0');
	assert_int_equal(board->row[row].user[0], '\0');
	assert_int_equal(board->row[row].octets, 0);
	assert_int_equal(board->row[row].deleted, 0);
	assert_int_equal(board->row[row].kind_slot, (uint32_t)WORKER_LOGIN << 16 | 1);
}

/* A walk visits every row that is or was in use and skips the tails of the parts. */
static void
test_walk_visits_used_rows_of_every_part_and_no_others(void **state)
{
	uint32_t visited[ROWS];
	uint32_t row, first, second, third;
	size_t n = 0;

	(void)state;
	assert_int_equal(board_next(board, 0), ROWS); /* none yet */
	first = take(0);
	second = take(0);
	third = take(2);
	board_free(board, second);
	for (row = board_next(board, 0); row < ROWS; row = board_next(board, row + 1))
		visited[n++] = row;
	assert_int_equal(n, 3);
	assert_int_equal(visited[0], first);
	assert_int_equal(visited[1], second);
	assert_int_equal(visited[2], third);
	assert_int_equal(take(0), second); /* low rows first */
}

static void
test_row_number_that_is_none_changes_nothing(void **state)
{
	void *copy = malloc(board_octets(ROWS));

	(void)state;
	memcpy(copy, shared, board_octets(ROWS));
	board_free(board, ROWS);
	board_free(board, UINT32_MAX);
	board_own(board, ROWS, SESSION_MAIL, WORKER_MAIL, 1);
	board_own(board, UINT32_MAX, SESSION_MAIL, WORKER_MAIL, 1);
	assert_memory_equal(copy, shared, board_octets(ROWS));
	free(copy);
}

static void
test_sweep_frees_the_rows_of_one_worker_only(void **state)
{
	uint32_t mine = take(0), handed = take(0), theirs = take(1);

	(void)state;
	board_own(board, handed, SESSION_MAIL, WORKER_MAIL, 0);
	assert_int_equal(board_sweep(board, WORKER_LOGIN, 0), 1);
	assert_int_equal(board->row[mine].state, SESSION_FREE);
	assert_int_equal(board->row[handed].state, SESSION_MAIL);
	assert_int_equal(board->row[theirs].state, SESSION_LOGIN);
	assert_int_equal(board_sweep(board, WORKER_MAIL, 0), 1);
	assert_int_equal(board->row[handed].state, SESSION_FREE);
	assert_int_equal(board_sweep(board, WORKER_MAIL, 0), 0);
	assert_int_equal(board_sweep(board, WORKER_LOGIN, 1), 1);
}

static void
test_rows_of_a_killed_process_are_swept_by_another(void **state)
{
	uint32_t row;
	int ready[2];
	char c;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		uint32_t i, taken;

		for (i = 0; i < 10; i++)
			if (!board_take(board, 2, &taken))
				_exit(1);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_for(pid);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(board_sweep(board, WORKER_LOGIN, 2), 10);
	for (row = 0; row < ROWS; row++)
		assert_int_equal(board->row[row].state, SESSION_FREE);
}

/* Processes that fight for the rows of one part: none is given twice, none is lost. */
static void
test_row_is_given_to_one_process_of_many(void **state)
{
	bool seen[ROWS] = { false };
	size_t taken = 0;
	uint32_t row;
	int result[2];
	pid_t pids[4];
	size_t i;

	(void)state;
	board_init(board, shared, ROWS, 1);
	assert_int_equal(pipe(result), 0);
	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			while (board_take(board, 0, &row))
				if (write(result[1], &row, sizeof(row)) != sizeof(row))
					_exit(1);
			_exit(0);
		}
	}
	close(result[1]);
	while (read(result[0], &row, sizeof(row)) == sizeof(row)) {
		assert_in_range(row, 0, ROWS - 1);
		assert_false(seen[row]);
		seen[row] = true;
		taken++;
	}
	close(result[0]);
	for (i = 0; i < 4; i++)
		wait_for(pids[i]);
	assert_int_equal(taken, ROWS);
}

/* Whatever a broken worker writes to all that is shared, nobody is led outside of it. */
static void
test_nonsense_in_shared_memory_leads_nobody_outside(void **state)
{
	static const int fills[] = { 0xff, 0x7f, 0x01, 0x80 };
	const size_t octets = board_octets(ROWS);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		/* Of exactly its size, so that a sanitizer sees what is beyond. */
		void *exact = malloc(octets);
		struct board b;
		uint32_t row, part;

		memset(exact, fills[i], octets);
		board_init(&b, exact, ROWS, PARTS);
		for (part = 0; part < PARTS + 1; part++)
			(void)board_take(&b, part, &row);
		for (row = board_next(&b, 0); row < ROWS; row = board_next(&b, row + 1))
			board_own(&b, row, SESSION_LOGIN, WORKER_LOGIN, 0);
		assert_int_equal(board_sweep(&b, WORKER_LOGIN, 0), ROWS);
		for (part = 0; part < PARTS; part++)
			assert_true(board_take(&b, part, &row));
		free(exact);
	}
}

static void
test_what_a_worker_does_is_cut_and_always_ended(void **state)
{
	struct slot_row row;
	char longer[200];

	(void)state;
	memset(&row, 0xff, sizeof(row));
	memset(longer, 'y', sizeof(longer));
	slot_doing(&row, PST_LIT("login of alice"));
	assert_string_equal(row.doing, "login of alice");
	slot_doing(&row, (struct pst_str){ longer, sizeof(longer) });
	assert_int_equal(strlen(row.doing), sizeof(row.doing) - 1);
	slot_doing(&row, PST_LIT(""));
	assert_string_equal(row.doing, "");
}

static void
test_key_is_read_whole_while_it_is_renewed(void **state)
{
	struct tls_share *share = shm_create(sizeof(*share));
	uint32_t first, last;
	uint8_t key[TLS_TICKET_KEY];
	size_t i, k;
	pid_t pid;

	(void)state;
	tls_share_renew(share);
	first = tls_share_read(share, key);
	assert_int_equal(first, 2);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			tls_share_renew(share);
	while (tls_share_read(share, key) == first) /* until the other one runs */
		;
	for (i = 0; i < 200000; i++) {
		last = tls_share_read(share, key);
		assert_int_equal(last % 2, 0);
		for (k = 1; k < sizeof(key); k++)
			if (key[k] != key[0])
				fail_msg("torn key at octet %zu of version %u", k, last);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_for(pid);
	shm_destroy(share, sizeof(*share));
}

static void
test_renewed_key_differs_and_raises_the_version(void **state)
{
	struct tls_share *share = shm_create(sizeof(*share));
	uint8_t before[TLS_TICKET_KEY], after[TLS_TICKET_KEY];
	uint32_t version;

	(void)state;
	tls_share_renew(share);
	version = tls_share_read(share, before);
	tls_share_renew(share);
	assert_int_equal(tls_share_read(share, after), version + 2);
	assert_memory_not_equal(before, after, sizeof(before));
	shm_destroy(share, sizeof(*share));
	shm_destroy(NULL, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create_board, destroy_board)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_rows_are_taken_once_and_each_by_its_own_part),
		TEST(test_freed_row_is_taken_again_clean_and_with_another_serial),
		TEST(test_walk_visits_used_rows_of_every_part_and_no_others),
		TEST(test_row_number_that_is_none_changes_nothing),
		TEST(test_sweep_frees_the_rows_of_one_worker_only),
		TEST(test_rows_of_a_killed_process_are_swept_by_another),
		TEST(test_row_is_given_to_one_process_of_many),
		cmocka_unit_test(test_nonsense_in_shared_memory_leads_nobody_outside),
		cmocka_unit_test(test_what_a_worker_does_is_cut_and_always_ended),
		cmocka_unit_test(test_key_is_read_whole_while_it_is_renewed),
		cmocka_unit_test(test_renewed_key_differs_and_raises_the_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
