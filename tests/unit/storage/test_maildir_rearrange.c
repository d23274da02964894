/* SPDX-License-Identifier: MIT */
/* Order and UIDLs from elsewhere: that they stay, with the index and without; and that all of it is there
 * or none, whatever system call is the last one or fails. The calls are wrapped by the linker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/kit.h"

/* ---- Wrapped calls: each counts; the one at may die before, die after, or fail ---- */

enum how { HOW_NOTHING, HOW_DIE_BEFORE, HOW_DIE_AFTER, HOW_FULL };

static struct {
	enum how how;
	int at, call;
} fault;

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *name, int flags);

/* Whether the call is to fail. */
static bool
before(void)
{
	const bool is_now = fault.call == fault.at;

	if (is_now && fault.how == HOW_DIE_BEFORE)
		_exit(33);
	if (!is_now || fault.how != HOW_FULL)
		return false;
	fault.call++;
	errno = ENOSPC;
	return true;
}

static int
after(int rc)
{
	const int saved = errno;

	if (fault.call++ == fault.at && fault.how == HOW_DIE_AFTER)
		_exit(33);
	errno = saved;
	return rc;
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc;

	if (before())
		return -1;
	if (fault.how == HOW_DIE_AFTER && fault.call == fault.at)
		n = n / 2; /* and not all of it */
	rc = __real_pwrite(fd, p, n, at);
	(void)after(0);
	return rc;
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return __wrap_pwrite(fd, p, n, at);
}

int
__wrap_fdatasync(int fd)
{
	return before() ? -1 : after(__real_fdatasync(fd));
}

int
__wrap_fsync(int fd)
{
	return before() ? -1 : after(__real_fsync(fd));
}

int
__wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return before() ? -1 : after(__real_renameat(from_dir, from, to_dir, to));
}

int
__wrap_unlinkat(int dir, const char *name, int flags)
{
	return before() ? -1 : after(__real_unlinkat(dir, name, flags));
}

/* ---- One Maildir ---- */

static void
fill(struct kit *k)
{
	char text[302];

	kit_puts(k, "new", "100.a", "x\n");
	kit_puts(k, "cur", "200.b:2,S", "xy\n");
	memset(text, 'x', 300); /* long enough to be known again under another name */
	memcpy(text + 300, "\n", 2);
	kit_puts(k, "new", "300.c", text);
	kit_puts(k, "new", "400.d", "xyz1\n");
}

#define BEFORE "100.a 3\n200.b 4\n300.c 302\n400.d 6\n"
#define AFTER "old-3 302\n300.c 3\nold-4 6\n200.b 4\n"

/* Another order, new UIDLs, one that was another's, one that stays. */
static int
rearrange(struct pst_maildrop *d, struct pst_err *err)
{
	static const struct pst_place places[] = {
		{ 2, { "old-3", 5 } },
		{ 0, { "300.c", 5 } },
		{ 3, { "old-4", 5 } },
		{ 1, { "200.b", 5 } },
	};

	return drop_rearrange(d, places, 4, err);
}

static void
assert_lists(struct kit *k, const char *want)
{
	struct pst_maildrop *d = kit_open(k);
	char *got = kit_listing(d);

	assert_string_equal(got, want);
	free(got);
	drop_close(d);
}

/* A change that the directory's time shows, as coarse as its clock is. */
static void
let_clock_tick(void)
{
	struct timespec ts = { 0, 12000000 };

	(void)nanosleep(&ts, NULL);
}

static void
forget(const struct kit *k)
{
	char path[512];

	kit_path(k, DROP_INDEX_NAME, path);
	(void)unlink(path);
	kit_path(k, DROP_INDEX_SPARE, path);
	(void)unlink(path);
}

static void
do_it(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	struct pst_err err;

	assert_int_equal(rearrange(d, &err), 0);
	drop_close(d);
}

static void
test_a_new_order_stays_with_the_index_and_without(void **state)
{
	struct kit *k = *state;

	fill(k);
	assert_lists(k, BEFORE);
	do_it(k);
	assert_lists(k, AFTER);
	assert_lists(k, AFTER);
	forget(k);
	assert_lists(k, AFTER);
	kit_rename(k, "new/100.a", "cur/100.a:2,RS");
	assert_lists(k, AFTER);
}

static void
test_new_mail_comes_last_whatever_its_name_is(void **state)
{
	struct kit *k = *state;

	fill(k);
	do_it(k);
	kit_puts(k, "new", "500.e", "x\n");
	assert_lists(k, AFTER "500.e 3\n");
	kit_puts(k, "new", "050.f", "x\n");
	assert_lists(k, AFTER "050.f 3\n500.e 3\n");
	forget(k);
	assert_lists(k, AFTER "050.f 3\n500.e 3\n");
}

static void
test_it_can_be_done_again_and_taken_back(void **state)
{
	static const struct pst_place back[] = {
		{ 1, { "100.a", 5 } },
		{ 3, { "200.b", 5 } },
		{ 0, { "300.c", 5 } },
		{ 2, { "400.d", 5 } },
	};
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;

	fill(k);
	do_it(k);
	d = kit_open(k);
	assert_int_equal(drop_rearrange(d, back, 4, &err), 0);
	drop_close(d);
	assert_lists(k, BEFORE);
	forget(k);
	assert_lists(k, BEFORE);
}

/* The UIDL that a message had before is not given to a file with that name. */
static void
test_a_uidl_that_is_nobodys_now_stays_nobodys(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_message m;
	uint32_t i;

	fill(k);
	do_it(k); /* 400.d is called old-4 */
	kit_unlink(k, "new/400.d");
	assert_lists(k, "old-3 302\n300.c 3\n200.b 4\n");
	k->self.keep_ns = 0;
	forget(k);
	kit_puts(k, "new", "600.g", "x\n");
	kit_puts(k, "new", "999.old-4", "x\n");
	d = kit_open(k);
	assert_int_equal(drop_count(d), 5);
	for (i = 0; i < 5; i++) {
		m = kit_message(d, i);
		assert_false(pst_str_eq(m.uidl, PST_LIT("400.d")));
		assert_false(pst_str_eq(m.uidl, PST_LIT("old-4")));
	}
	drop_close(d);
}

static void
test_a_message_with_a_new_name_keeps_place_and_uidl(void **state)
{
	struct kit *k = *state;

	fill(k);
	do_it(k);
	assert_lists(k, AFTER);
	let_clock_tick();
	kit_rename(k, "new/300.c", "new/700.renamed");
	assert_lists(k, AFTER);
	forget(k);
	assert_lists(k, AFTER);
}

static void
test_what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		struct pst_place places[2];
		uint32_t n;
	} cases[] = {
		{ { { 0, { "a", 1 } } }, 1 },
		{ { { 0, { "a", 1 } }, { 0, { "b", 1 } } }, 2 },
		{ { { 0, { "a", 1 } }, { 2, { "b", 1 } } }, 2 },
		{ { { 0, { "a", 1 } }, { 1, { "a", 1 } } }, 2 },
		{ { { 0, { "a b", 3 } }, { 1, { "b", 1 } } }, 2 },
		{ { { 0, { "", 0 } }, { 1, { "b", 1 } } }, 2 },
	};
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	size_t i;

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		d = kit_open(k);
		assert_int_equal(drop_rearrange(d, cases[i].places, cases[i].n, &err), -1);
		assert_int_equal(err.kind, PST_E_CLIENT);
		drop_close(d);
		assert_lists(k, "1.a 3\n2.b 3\n");
	}
}

/* In a child: it dies, or says with its status how it went. false: all calls were made before at. */
static bool
try_with_fault(struct kit *k, enum how how, int at, int *status_out)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct pst_maildrop *d = kit_open(k);
		struct pst_err err;
		int rc;

		fault.how = how;
		fault.at = at;
		fault.call = 0;
		rc = rearrange(d, &err);
		at = fault.call;
		fault.how = HOW_NOTHING;
		drop_close(d);
		_exit(rc != 0 ? 2 : at <= fault.at ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, status_out, 0), pid);
	assert_true(WIFEXITED(*status_out));
	*status_out = WEXITSTATUS(*status_out);
	return *status_out != 3;
}

static void
walk(enum how how)
{
	bool is_more = true, was_before = false, was_after = false;
	int at, status;

	for (at = 0; is_more; at++) {
		struct kit k;
		struct pst_maildrop *d;
		char *got;

		kit_init(&k);
		fill(&k);
		is_more = try_with_fault(&k, how, at, &status);
		d = kit_open(&k);
		got = kit_listing(d);
		drop_close(d);
		if (strcmp(got, BEFORE) != 0)
			assert_string_equal(got, AFTER);
		if (how == HOW_FULL && status == 0)
			assert_string_equal(got, AFTER); /* it said that it was done */
		was_before = was_before || strcmp(got, BEFORE) == 0;
		was_after = was_after || strcmp(got, AFTER) == 0;
		forget(&k);
		assert_lists(&k, got);
		free(got);
		kit_clear(&k);
		assert_true(at < 100);
	}
	assert_true(at > 4);
	assert_true(was_before && was_after);
}

static void
test_whatever_call_is_the_last_all_of_it_is_there_or_none(void **state)
{
	(void)state;
	walk(HOW_DIE_BEFORE);
	walk(HOW_DIE_AFTER);
}

static void
test_whatever_call_fails_all_of_it_is_there_or_none(void **state)
{
	(void)state;
	walk(HOW_FULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_new_order_stays_with_the_index_and_without,
		                                kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_new_mail_comes_last_whatever_its_name_is,
		                                kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_it_can_be_done_again_and_taken_back,
		                                kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_a_uidl_that_is_nobodys_now_stays_nobodys,
		                                kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_a_message_with_a_new_name_keeps_place_and_uidl,
		                                kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_what_makes_no_sense_is_refused, kit_set_up,
		                                kit_tear_down),
		cmocka_unit_test(test_whatever_call_is_the_last_all_of_it_is_there_or_none),
		cmocka_unit_test(test_whatever_call_fails_all_of_it_is_there_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
