/* SPDX-License-Identifier: MIT */
/* What QUIT removes and what it leaves; two files of one name; the quota file; the lock. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/kit.h"

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

static void
fill(const struct kit *k)
{
	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "cur", "2.b:2,S", "bb\n");
	kit_puts(k, "new", "3.c", "ccc\n");
	kit_puts(k, "cur", "4.d:2,", "dddd\n");
}

static void
assert_removes(struct pst_maildrop *d, const uint32_t *idx, uint32_t n)
{
	uint32_t removed = 0;
	struct pst_err err;

	if (drop_commit(d, idx, n, &removed, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(removed, n);
}

/* ---- Removal ---- */

static void
test_commit_removes_what_it_is_told_and_nothing_else(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	fill(k);
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0, 3 }, 2);
	assert_listing(d, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n"); /* until it is closed */
	drop_close(d);
	assert_false(kit_exists(k, "new/1.a"));
	assert_true(kit_exists(k, "cur/2.b:2,S"));
	assert_true(kit_exists(k, "new/3.c"));
	assert_false(kit_exists(k, "cur/4.d:2,"));
	assert_lists(k, "2.b 4\n3.c 5\n");
	assert_int_equal(k->measured, 4);
	assert_int_equal(k->warned, 0);
}

static void
test_session_without_commit_removes_nothing(void **state)
{
	struct kit *k = *state;

	fill(k);
	drop_close(kit_open(k));
	assert_lists(k, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n");
}

static void
test_commit_of_all_leaves_an_empty_maildrop(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct index ix;

	fill(k);
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0, 1, 2, 3 }, 4);
	drop_close(d);
	assert_lists(k, "");
	assert_true(kit_load_index(k, &ix));
	assert_int_equal(ix.listed + ix.kept, 0);
	index_clear(&ix);
}

static void
test_commit_finds_renamed_messages_and_counts_vanished_ones(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	fill(k);
	d = kit_open(k);
	kit_rename(k, "new/1.a", "cur/1.a:2,S");
	kit_rename(k, "cur/2.b:2,S", "cur/2.b:2,RS");
	kit_unlink(k, "new/3.c");
	assert_removes(d, (const uint32_t[]){ 0, 1, 2 }, 3);
	drop_close(d);
	assert_false(kit_exists(k, "cur/1.a:2,S"));
	assert_false(kit_exists(k, "cur/2.b:2,RS"));
	assert_lists(k, "4.d 6\n");
}

static void
test_commit_looks_once_more_for_what_a_fetch_did_not_find(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_body body;
	struct pst_err err;

	fill(k);
	d = kit_open(k);
	kit_rename(k, "new/1.a", "away");
	assert_int_equal(drop_fetch(d, 0, 0, &body, &err), PST_FETCH_ERROR);
	kit_rename(k, "away", "cur/1.a:2,");
	assert_removes(d, (const uint32_t[]){ 0 }, 1);
	drop_close(d);
	assert_false(kit_exists(k, "cur/1.a:2,"));
}

static void
test_commit_that_fails_for_one_removes_the_others_and_says_so(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	const uint32_t idx[] = { 0, 1, 3 };
	uint32_t removed = 0;
	struct pst_err err;
	char path[512];

	fill(k);
	d = kit_open(k);
	kit_unlink(k,
	           "cur/2.b:2,S"); /* a folder in its place cannot be unlinked, not even by root */
	kit_path(k, "cur/2.b:2,S", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(drop_commit(d, idx, 3, &removed, &err), -1);
	assert_int_equal(removed, 2);
	assert_non_null(strstr(err.text, "1 of 3"));
	assert_non_null(strstr(err.text, "cur/2.b"));
	drop_close(d);
	assert_int_equal(rmdir(path), 0);
	assert_lists(k, "3.c 5\n");
}

static void
test_mail_that_came_during_the_session_is_there_afterwards(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	fill(k);
	d = kit_open(k);
	kit_puts(k, "new", "5.e", "new\n");
	assert_removes(d, (const uint32_t[]){ 0, 1 }, 2);
	drop_close(d);
	assert_lists(k, "3.c 5\n4.d 6\n5.e 5\n");
	assert_int_equal(k->measured, 5);
}

/* ---- Two files of one name ---- */

static void
test_twins_are_one_message_and_go_together(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	char a[512], b[512];

	kit_puts(k, "new", "1.a", "same\n");
	kit_puts(k, "cur", "1.a:2,S", "same\n");
	kit_puts(k, "cur", "1.a:2,FS", "same\n");
	kit_puts(k, "new", "2.b", "x\n");
	kit_path(k, "new/2.b", a);
	kit_path(k, "cur/2.b:2,", b);
	assert_int_equal(link(a, b), 0); /* a mover that died between link and unlink */
	assert_lists(k, "1.a 6\n2.b 3\n");
	assert_int_equal(k->warned, 1);
	assert_string_equal(k->last_event, "maildir.twins");
	kit_puts(k, "new", "3.c", "x\n");
	assert_lists(k, "1.a 6\n2.b 3\n3.c 3\n");
	assert_int_equal(k->warned, 1); /* told once */
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0, 1 }, 2);
	drop_close(d);
	assert_false(kit_exists(k, "new/1.a") || kit_exists(k, "cur/1.a:2,S"));
	assert_false(kit_exists(k, "cur/1.a:2,FS"));
	assert_false(kit_exists(k, "new/2.b") || kit_exists(k, "cur/2.b:2,"));
	assert_lists(k, "3.c 3\n");
}

static void
test_twin_that_came_later_is_remembered(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	kit_puts(k, "cur", "1.a:2,S", "same\n");
	assert_lists(k, "1.a 6\n");
	kit_puts(k, "new", "1.a", "same\n");
	assert_lists(k, "1.a 6\n");
	d = kit_open(k); /* from the index */
	assert_removes(d, (const uint32_t[]){ 0 }, 1);
	drop_close(d);
	assert_false(kit_exists(k, "new/1.a") || kit_exists(k, "cur/1.a:2,S"));
}

static void
test_twin_with_other_octets_is_never_removed_unseen(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	kit_puts(k, "new", "1.a", "another mail\n");
	kit_puts(k, "cur", "1.a:2,S", "seen\n");
	kit_puts(k, "new", "2.b", "one\n"); /* as long, not the same */
	kit_puts(k, "cur", "2.b:2,", "two\n");
	d = kit_open(k);
	assert_listing(d, "1.a 6\n2.b 5\n");
	assert_removes(d, (const uint32_t[]){ 0, 1 }, 2);
	drop_close(d);
	assert_true(kit_exists(k, "new/1.a"));
	assert_true(kit_exists(k, "new/2.b"));
	assert_lists(k, "1.a 14\n2.b 5\n");
}

static void
test_twin_that_takes_the_others_place_is_measured(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	size_t n;
	char *wire;

	kit_puts(k, "new", "1.a", "first\n");
	assert_lists(k, "1.a 7\n");
	kit_puts(k, "cur", "1.a:2,", "of another length\n");
	assert_lists(k, "1.a 19\n"); /* the one in cur/ is it */
	kit_unlink(k, "cur/1.a:2,");
	d = kit_open(k);
	assert_listing(d, "1.a 7\n");
	wire = kit_fetch(d, 0, &n, &err);
	assert_non_null(wire);
	free(wire);
	drop_close(d);
}

/* ---- Quota ---- */

static void
test_quota_file_gets_one_line_for_all(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	char path[512], *text;

	kit_puts(k, "new", "1.a,S=1000", "a\n"); /* what a name says is what was added for it */
	kit_puts(k, "cur", "2.b:2,", "bbb\n");
	kit_puts(k, "cur", "3.c:2,", "c\n");
	kit_path(k, "maildirsize", path);
	kit_spew(path, "10000S\n1006 3\n", 14);
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0, 1 }, 2);
	drop_close(d);
	(void)kit_slurp(path, &text);
	assert_string_equal(text, "10000S\n1006 3\n-1004 -2\n");
	free(text);
}

static void
test_quota_file_is_neither_made_nor_followed(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	char path[512], target[512], *text;

	fill(k);
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0 }, 1);
	drop_close(d);
	assert_false(kit_exists(k, "maildirsize"));
	kit_path(k, "maildirsize", path);
	kit_path(k, "elsewhere", target);
	kit_spew(target, "x", 1);
	assert_int_equal(symlink(target, path), 0);
	d = kit_open(k);
	assert_removes(d, (const uint32_t[]){ 0 }, 1);
	drop_close(d);
	assert_int_equal(kit_slurp(target, &text), 1);
	free(text);
}

/* ---- The lock ---- */

static void
assert_in_use(struct kit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;

	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_IN_USE);
}

static void
test_second_session_is_told_in_use(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	fill(k);
	d = kit_open(k);
	assert_in_use(k);
	assert_in_use(k);
	drop_close(d);
	assert_lists(k, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n");
}

static void
test_lock_is_gone_with_its_holder(void **state)
{
	struct kit *k = *state;
	int ready[2], i;
	char octet;

	fill(k);
	for (i = 0; i < 10; i++) {
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (pid == 0) {
			(void)kit_open(k);
			if (write(ready[1], "x", 1) != 1)
				_exit(1);
			for (;;)
				(void)pause();
		}
		assert_int_equal(read(ready[0], &octet, 1), 1);
		assert_in_use(k);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_lists(k, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n");
		close(ready[0]);
		close(ready[1]);
	}
}

/* Who takes a Maildir's place holds its lock: a session that waited in between gets the new one. */
static void
test_maildir_put_in_place_of_a_locked_one_is_the_one_that_opens(void **state)
{
	struct kit *k = *state;
	char old[192], path[512];
	int i;

	fill(k);
	(void)snprintf(old, sizeof(old), "%s/old", k->root);
	for (i = 0; i < 40; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) { /* swaps the two all the time, under the lock of the one in place */
			int n;

			for (n = 0; n < 50; n++) {
				int fd = open(k->maildir, O_RDONLY | O_DIRECTORY);

				if (fd < 0 || flock(fd, LOCK_EX) != 0 ||
				    rename(k->maildir, old) != 0 || mkdir(k->maildir, 0700) != 0)
					_exit(1);
				close(fd); /* an empty one is in place */
				fd = open(k->maildir, O_RDONLY | O_DIRECTORY);
				if (fd < 0 || flock(fd, LOCK_EX) != 0)
					_exit(2);
				kit_remove_tree(k->maildir);
				if (rename(old, k->maildir) != 0)
					_exit(3);
				close(fd);
			}
			_exit(0);
		}
		while (waitpid(pid, &status, WNOHANG) == 0) {
			struct pst_maildrop *d;
			struct pst_err err;
			struct stat locked, there;

			if (kit_try_open(k, &d, &err) != 0) {
				assert_true(err.kind == PST_E_IN_USE || err.kind == PST_E_TEMP);
				continue;
			}
			if (d->root >= 0) { /* ours until it is closed */
				assert_int_equal(fstat(d->root, &locked), 0);
				assert_int_equal(stat(k->maildir, &there), 0);
				assert_true(locked.st_ino == there.st_ino);
			}
			drop_close(d);
		}
		assert_int_equal(status, 0);
	}
	kit_path(k, "", path);
	assert_lists(k, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n");
}

static void
lock_read_only(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);

	assert_in_use(k);
	drop_close(d);
	drop_close(kit_open(k));
}

static void
test_lock_needs_no_right_to_write(void **state)
{
	struct kit *k = *state;

	assert_true(kit_run_read_only(k, lock_read_only));
}

static void
test_failed_open_keeps_no_lock(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;

	fill(k);
	k->conf.max_messages = 3;
	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	k->conf.max_messages = 4;
	assert_lists(k, "1.a 3\n2.b 4\n3.c 5\n4.d 6\n");
}

/* Open descriptors are a worker's scarcest thing. */
static void
test_no_descriptor_is_left_open(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	struct pst_body body;
	int before = dup(0), after;

	close(before);
	fill(k);
	d = kit_open(k);
	kit_rename(k, "new/1.a", "cur/1.a:2,");
	assert_int_equal(drop_fetch(d, 0, 0, &body, &err), PST_FETCH_OK);
	close(body.fd);
	kit_unlink(k, "new/3.c");
	assert_int_equal(drop_fetch(d, 2, 0, &body, &err), PST_FETCH_ERROR);
	after = dup(0);
	assert_int_equal(after, before + 1); /* the lock's */
	close(after);
	assert_removes(d, (const uint32_t[]){ 0, 1 }, 2);
	drop_close(d);
	k->conf.max_messages = 1;
	kit_puts(k, "new", "9.z", "x\n");
	assert_int_equal(kit_try_open(k, &d, &err), -1);
	after = dup(0);
	assert_int_equal(after, before);
	close(after);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_commit_removes_what_it_is_told_and_nothing_else),
		T(test_session_without_commit_removes_nothing),
		T(test_commit_of_all_leaves_an_empty_maildrop),
		T(test_commit_finds_renamed_messages_and_counts_vanished_ones),
		T(test_commit_looks_once_more_for_what_a_fetch_did_not_find),
		T(test_commit_that_fails_for_one_removes_the_others_and_says_so),
		T(test_mail_that_came_during_the_session_is_there_afterwards),
		T(test_twins_are_one_message_and_go_together),
		T(test_twin_that_came_later_is_remembered),
		T(test_twin_with_other_octets_is_never_removed_unseen),
		T(test_twin_that_takes_the_others_place_is_measured),
		T(test_quota_file_gets_one_line_for_all),
		T(test_quota_file_is_neither_made_nor_followed),
		T(test_second_session_is_told_in_use),
		T(test_lock_is_gone_with_its_holder),
		T(test_maildir_put_in_place_of_a_locked_one_is_the_one_that_opens),
		T(test_lock_needs_no_right_to_write),
		T(test_failed_open_keeps_no_lock),
		T(test_no_descriptor_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
