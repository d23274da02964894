/* SPDX-License-Identifier: MIT */
/* A Maildir that others change between sessions. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/kit.h"

/* So long that what a test just did is young, however busy the machine is. */
#define LONG_MARGIN_NS INT64_C(60000000000)

static void
assert_listing(const struct pst_maildrop *d, const char *want)
{
	char *got = kit_listing(d);

	assert_string_equal(got, want);
	free(got);
}

static void
assert_lists(struct kit *k, const char *want)
{
	struct pst_maildrop *d = kit_open(k);

	assert_listing(d, want);
	drop_close(d);
}

/* A change that the directory's time shows on every kernel: as coarse as its clock is, it has gone on
 * by then. */
static void
let_clock_tick(void)
{
	struct timespec ts = { 0, 12000000 };

	(void)nanosleep(&ts, NULL);
}

/* ---- Between sessions ---- */

static void
test_flags_and_moves_change_neither_uidl_nor_size(void **state)
{
	static const char *const names[] = {
		"new/1.a",       "cur/1.a:2,", "cur/1.a:2,S", "cur/1.a:2,RS",
		"cur/1.a:1,exp", "cur/1.a",    "new/1.a:2,S", "cur/1.a:2,ST",
	};
	struct kit *k = *state;
	size_t i;

	kit_puts(k, "new", "1.a", "text\n");
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "1.a 6\n2.b 3\n");
	for (i = 1; i < sizeof(names) / sizeof(*names); i++) {
		let_clock_tick();
		kit_rename(k, names[i - 1], names[i]);
		assert_lists(k, "1.a 6\n2.b 3\n");
	}
	assert_int_equal(k->measured, 2);
}

static void
test_new_mail_is_measured_and_nothing_else(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,S", "x\n");
	kit_puts(k, "cur", "3.c:2,S", "x\n");
	assert_lists(k, "1.a 3\n3.c 3\n");
	let_clock_tick();
	kit_puts(k, "new", "2.b", "xy\n");
	kit_puts(k, "new", "4.d", "xyz\n");
	kit_puts(k, "new", "0.z", "\n");
	assert_lists(k, "0.z 2\n1.a 3\n2.b 4\n3.c 3\n4.d 5\n");
	assert_int_equal(k->measured, 5);
}

static void
test_removed_mail_is_not_listed(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "cur", "2.b:2,", "x\n");
	kit_puts(k, "cur", "3.c:2,", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n3.c 3\n");
	let_clock_tick();
	kit_unlink(k, "cur/2.b:2,");
	assert_lists(k, "1.a 3\n3.c 3\n");
	let_clock_tick();
	kit_unlink(k, "new/1.a");
	kit_unlink(k, "cur/3.c:2,");
	assert_lists(k, "");
	assert_int_equal(k->measured, 3);
}

static void
test_missing_message_that_comes_back_is_known(void **state)
{
	struct kit *k = *state;

	k->self.keep_ns = INT64_MAX;
	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n");
	let_clock_tick();
	kit_rename(k, "new/1.a", "away");
	assert_lists(k, "2.b 3\n");
	let_clock_tick();
	kit_puts(k, "new", "3.c", "x\n");
	assert_lists(k, "2.b 3\n3.c 3\n");
	let_clock_tick();
	kit_rename(k, "away", "cur/1.a:2,S");
	assert_lists(k, "1.a 3\n2.b 3\n3.c 3\n");
	assert_int_equal(k->measured, 3);
	assert_int_equal(k->warned, 0);
}

static void
test_missing_message_is_forgotten_after_a_while(void **state)
{
	struct kit *k = *state;
	struct index ix;

	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	let_clock_tick();
	kit_unlink(k, "new/1.a");
	assert_lists(k, ""); /* missed once: kept */
	assert_true(kit_load_index(k, &ix));
	assert_int_equal(ix.kept, 1);
	index_clear(&ix);
	let_clock_tick();
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "2.b 3\n"); /* missed again: keep_ns is 0 here */
	assert_true(kit_load_index(k, &ix));
	assert_int_equal(ix.kept, 0);
	index_clear(&ix);
}

/* ---- Time stamps ---- */

/* The index as if the folders had got no other time since it was written. */
static void
forge_places(const struct kit *k, bool trusted)
{
	struct index ix;
	struct pst_err err;
	char path[512];
	unsigned i;

	assert_true(kit_load_index(k, &ix));
	for (i = 0; i < PLACE_BOTH; i++) {
		bool was = ix.head.places[i].is_trusted;

		kit_path(k, maildir_places[i], path);
		assert_int_equal(index_place_look(AT_FDCWD, path, &ix.head.places[i], &err), 0);
		ix.head.places[i].is_trusted = trusted || was;
	}
	kit_save_index(k, &ix);
	index_clear(&ix);
}

static void
test_change_within_one_tick_of_the_clock_is_seen(void **state)
{
	struct kit *k = *state;

	k->self.margin_ns = LONG_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	kit_puts(k, "new", "2.b", "x\n");
	forge_places(k, false); /* both changes in one tick: the folder looks the same */
	assert_lists(k, "1.a 3\n2.b 3\n");
	kit_puts(k, "new", "3.c", "x\n");
	forge_places(k, true); /* had it been trusted, this is what would happen */
	assert_lists(k, "1.a 3\n2.b 3\n");
}

static void
test_folders_are_trusted_once_they_were_still_for_the_margin(void **state)
{
	struct kit *k = *state;
	struct timespec pause = { 0, 120000000 };
	struct index ix;
	uint64_t generation;

	k->self.margin_ns = LONG_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	assert_true(kit_load_index(k, &ix));
	assert_false(ix.head.places[PLACE_NEW].is_trusted);
	index_clear(&ix);
	k->self.margin_ns = 100000000;
	(void)nanosleep(&pause, NULL);
	assert_lists(k, "1.a 3\n");
	assert_true(kit_load_index(k, &ix));
	assert_true(ix.head.places[PLACE_NEW].is_trusted);
	assert_true(ix.head.places[PLACE_CUR].is_trusted);
	generation = ix.head.generation;
	index_clear(&ix);
	assert_lists(k, "1.a 3\n"); /* and then it is not written again */
	assert_true(kit_load_index(k, &ix));
	assert_true(ix.head.generation == generation);
	index_clear(&ix);
	assert_int_equal(k->measured, 1);
}

/* Copying tools set a folder's time back to what it was elsewhere. */
static void
test_folder_whose_time_was_set_back_is_read(void **state)
{
	struct kit *k = *state;
	struct timespec times[2];
	struct stat st;
	char path[512];

	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	kit_path(k, "new", path);
	assert_int_equal(stat(path, &st), 0);
	let_clock_tick();
	kit_puts(k, "new", "2.b", "x\n");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_lists(k, "1.a 3\n2.b 3\n");
}

static void
test_folder_with_a_time_to_come_is_read_each_time(void **state)
{
	struct kit *k = *state;
	struct timespec times[2] = { { 4000000000, 0 }, { 4000000000, 0 } };
	struct index ix;
	char path[512];

	k->self.margin_ns = LONG_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	kit_path(k, "new", path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_lists(k, "1.a 3\n");
	assert_true(kit_load_index(k, &ix));
	assert_false(ix.head.places[PLACE_NEW].is_trusted);
	index_clear(&ix);
	kit_puts(k, "new", "2.b", "x\n");
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_lists(k, "1.a 3\n2.b 3\n");
}

/* Only new/ changed: cur/ is not read, and what lies there is listed all the same. */
static void
test_folder_that_did_not_change_is_not_read(void **state)
{
	struct kit *k = *state;
	struct index ix;

	kit_puts(k, "cur", "1.a:2,", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n");
	let_clock_tick();
	kit_puts(k, "cur", "3.c:2,", "x\n"); /* hidden by a forged time */
	assert_true(kit_load_index(k, &ix));
	{
		struct pst_err err;
		char path[512];

		kit_path(k, "cur", path);
		assert_int_equal(index_place_look(AT_FDCWD, path, &ix.head.places[PLACE_CUR], &err),
		                 0);
		ix.head.places[PLACE_CUR].is_trusted = true;
	}
	kit_save_index(k, &ix);
	index_clear(&ix);
	kit_puts(k, "new", "4.d", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n4.d 3\n");
}

static void
test_move_after_a_partial_look_is_followed(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n");
	let_clock_tick();
	kit_rename(k, "new/2.b", "cur/2.b:2,S");
	forge_places(k, true); /* new/ looks unchanged as well; cur/ too */
	assert_lists(k, "1.a 3\n2.b 3\n");
	{
		struct pst_maildrop *d = kit_open(k); /* but its file is found */
		struct pst_err err;
		size_t n;
		char *wire = kit_fetch(d, 1, &n, &err);

		assert_non_null(wire);
		free(wire);
		drop_close(d);
	}
}

/* An index of before there were surrogates: its messages are surveyed when something new comes, and keep
 * their places and UIDLs. */
static void
test_messages_of_an_older_program_are_surveyed_once(void **state)
{
	struct kit *k = *state;
	struct index ix = { .octets = 0 };
	struct pst_maildrop *d;
	struct index_message m;
	uint32_t i;

	kit_puts(k, "new", "1700000001.M1P1.mx", "Subject: \xc3\xbc\n\nx\n");
	kit_puts(k, "new", "1700000002.M2P2.mx", "Subject: b\n\nx\n");
	drop_close(kit_open(k));
	assert_true(kit_load_index(k, &ix));
	for (i = 0; i < 2; i++) {
		uint8_t *record = (uint8_t *)ix.mem.p + (ix.records - (uint8_t *)ix.mem.p) + i * 32;

		record[29] &= (uint8_t)~INDEX_SURROGATE;
		record[30] = 0; /* as it was when nothing was kept there */
	}
	index_seal(&ix);
	kit_save_index(k, &ix);
	index_clear(&ix);

	k->measured = 0;
	d = kit_open(k);
	assert_int_equal(k->measured, 0);
	assert_int_equal(kit_message(d, 0).surrogate_octets, 0);
	drop_close(d);
	kit_puts(k, "new", "1700000000.M0P0.mx", "Subject: c\n\nx\n");
	d = kit_open(k);
	assert_int_equal(k->measured, 3);
	assert_int_equal(drop_count(d), 3);
	assert_true(pst_str_eq(kit_message(d, 1).uidl, PST_LIT("1700000001.M1P1.mx")));
	assert_int_equal(kit_message(d, 1).size_octets, 18);
	assert_int_equal(kit_message(d, 1).surrogate_octets, 18 - 2 + 18);
	assert_int_equal(kit_message(d, 2).surrogate_octets, 0);
	index_at(&d->index, 2, &m);
	assert_int_equal(m.surrogate_rules, k->host.surrogate_rules);
	drop_close(d);
	kit_puts(k, "new", "1700000003.M3P3.mx", "Subject: d\n\nx\n");
	d = kit_open(k);
	assert_int_equal(k->measured, 4);
	assert_int_equal(kit_message(d, 1).surrogate_octets, 34);
	drop_close(d);
	k->host.surrogate_rules++; /* another server's: what was counted by the old ones is not told */
	d = kit_open(k);
	assert_int_equal(kit_message(d, 1).surrogate_octets, 0);
	drop_close(d);
}

static void
assert_ends(const struct pst_maildrop *d, const char *want)
{
	uint32_t i;

	assert_int_equal(drop_count(d), strlen(want));
	for (i = 0; want[i] != '\0'; i++)
		assert_int_equal(kit_message(d, i).has_no_header_end, want[i] == 'n');
}

/* Told by the index alone, until a server looks for it by other rules. */
static void
test_header_without_end_is_remembered(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	kit_puts(k, "new", "1.a", "Subject: a\n");
	kit_puts(k, "new", "2.b", "Subject: b\n\n");
	kit_puts(k, "cur", "3.c:2,S", "");
	kit_puts(k, "cur", "4.d:2,S", "Subject: \xc3\xbc");
	d = kit_open(k);
	assert_ends(d, "nynn");
	drop_close(d);
	k->measured = 0;
	d = kit_open(k);
	assert_ends(d, "nynn");
	drop_close(d);
	kit_puts(k, "new", "5.e", "\nbody\n");
	kit_rename(k, "new/1.a", "cur/1.a:2,S");
	d = kit_open(k);
	assert_ends(d, "nynny");
	drop_close(d);
	assert_int_equal(k->measured, 1);
	k->host.surrogate_rules++;
	d = kit_open(k);
	assert_ends(d, "yyyyy");
	drop_close(d);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_flags_and_moves_change_neither_uidl_nor_size),
		T(test_new_mail_is_measured_and_nothing_else),
		T(test_removed_mail_is_not_listed),
		T(test_missing_message_that_comes_back_is_known),
		T(test_missing_message_is_forgotten_after_a_while),
		T(test_change_within_one_tick_of_the_clock_is_seen),
		T(test_folders_are_trusted_once_they_were_still_for_the_margin),
		T(test_folder_whose_time_was_set_back_is_read),
		T(test_folder_with_a_time_to_come_is_read_each_time),
		T(test_folder_that_did_not_change_is_not_read),
		T(test_header_without_end_is_remembered),
		T(test_messages_of_an_older_program_are_surveyed_once),
		T(test_move_after_a_partial_look_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
