/* SPDX-License-Identifier: MIT */
/* Who waits for whom, and what an mbox that may not be written still gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/storage/mboxkit.h"

#define FROM "From a@example.test Thu Nov  9 22:06:57 2023\n"

static char *
make_mail(unsigned number, const char *more)
{
	static char text[400];

	(void)snprintf(text, sizeof(text), FROM "Subject: %u\n%s\ntext %u\n\n", number, more,
	               number);
	return text;
}

static void
drop_index(const struct mboxkit *k)
{
	char name[600];

	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index", k->root);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index.spare", k->root);
	(void)unlink(name);
}

static void
test_second_session_is_refused(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *a, *b;
	struct pst_err err;

	mboxkit_puts(k, make_mail(1, ""));
	a = mboxkit_open(k);
	assert_int_equal(mboxkit_try_open(k, &b, &err), -1);
	assert_int_equal(err.kind, PST_E_IN_USE);
	mbox_close(a);
	b = mboxkit_open(k);
	mbox_close(b);
}

static int
hold(struct mboxkit *k, const char *what, char dot[600])
{
	struct flock f = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(k->path, O_RDWR);

	(void)snprintf(dot, 600, "%s.lock", k->path);
	if (strcmp(what, "fcntl") == 0)
		pst_assert(fcntl(fd, F_OFD_SETLK, &f) == 0);
	else if (strcmp(what, "flock") == 0)
		pst_assert(flock(fd, LOCK_EX) == 0);
	else
		mboxkit_spew(dot, "1:elsewhere", 11);
	return fd;
}

static enum pst_fetch_result
try_open_now(struct mboxkit *k, struct pst_maildrop **drop_out, struct pst_err *err)
{
	const struct pst_maildrop_spec spec = { .path = k->path, .user = PST_LIT("user") };

	return mbox_open_now(&k->self, &spec, drop_out, err);
}

static void
expect_wait(struct mboxkit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;

	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_WAIT);
	d = mboxkit_open(k); /* nothing is held */
	mbox_close(d);
}

static struct pst_maildrop *
open_now(struct mboxkit *k)
{
	struct pst_maildrop *d = NULL;
	struct pst_err err;

	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_OK);
	return d;
}

/* While a delivery agent holds every lock: an unchanged file is listed without one. */
static void
test_poll_that_finds_nothing_new_opens_from_memory_alone(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d, *second;
	struct pst_body body;
	char *was, *is, *text, dot[600];
	struct pst_err err;
	struct statfs fs;
	size_t n;
	int fd;

	assert_int_equal(statfs(k->root, &fs), 0);
	if (fs.f_type != EXT4_SUPER_MAGIC)
		skip(); /* others may always have to wait */
	mboxkit_puts(k, make_mail(1, "Status: RO\n"));
	mboxkit_adds(k, make_mail(2, ""));
	expect_wait(k); /* no index yet */
	was = mboxkit_listing(k);
	fd = hold(k, "fcntl", dot);
	d = open_now(k);
	is = mboxkit_listing_of(d);
	assert_string_equal(is, was);
	assert_int_equal(try_open_now(k, &second, &err), PST_FETCH_ERROR);
	assert_int_equal(err.kind, PST_E_IN_USE);
	assert_int_equal(mboxkit_try_open(k, &second, &err), -1); /* it has the lock */
	assert_true(mbox_closes_now(d));
	mbox_close(d);
	close(fd);

	d = open_now(k); /* the file is opened late */
	assert_int_equal(mbox_fetch(d, 1, PST_FETCH_NOWAIT, &body, &err), PST_FETCH_OK);
	close(body.fd);
	text = mboxkit_fetch(d, 0, &n, &err);
	assert_non_null(text);
	assert_non_null(strstr(text, "text 1"));
	free(text);
	mboxkit_adds(k, make_mail(3, ""));
	text = mboxkit_fetch(d, 1, &n, &err);
	assert_non_null(text);
	free(text);
	mbox_close(d);
	expect_wait(k); /* it has grown */
	free(was);
	free(is);
}

static void
test_poll_from_memory_leaves_all_else_to_the_pool(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	char *text, name[600];
	struct pst_err err;
	struct statfs fs;
	uint32_t idx = 0;
	size_t n;

	assert_int_equal(statfs(k->root, &fs), 0);
	if (fs.f_type != EXT4_SUPER_MAGIC)
		skip(); /* others may always have to wait */
	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	mbox_close(mboxkit_open(k));

	d = open_now(k); /* replaced before anything was fetched: nothing of the new one is given */
	(void)snprintf(name, sizeof(name), "%s/new", k->root);
	mboxkit_spew(name, "From b@example.test Thu Nov  9 22:06:58 2023\n\nx\n", 48);
	assert_int_equal(rename(name, k->path), 0);
	assert_null(mboxkit_fetch(d, 0, &n, &err));
	assert_false(mbox_closes_now(d)); /* it writes the index */
	mbox_close(d);
	expect_wait(k);

	d = open_now(k);
	assert_int_equal(mbox_commit(d, &idx, 1, &idx, &err), 0);
	assert_int_equal(idx, 1);
	mbox_close(d);
	text = mboxkit_text(k);
	assert_string_equal(text, "");
	free(text);
}

static const struct {
	const char *plan, *held; /* by a delivery agent */
	bool waits;
} meetings[] = {
	{ "fcntl", "fcntl", true },           { "flock", "flock", true },
	{ "dotlock", "dotlock", true },       { "fcntl dotlock_try", "fcntl", true },
	{ "fcntl dotlock", "dotlock", true }, { "flock dotlock fcntl", "fcntl", true },
	{ "fcntl", "flock", false },          { "fcntl", "dotlock", false },
};

static void
test_locks_of_delivery_agents_are_waited_for(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	char dot[600];
	size_t i;

	for (i = 0; i < sizeof(meetings) / sizeof(meetings[0]); i++) {
		int fd, rc;

		mboxkit_plan(k, meetings[i].plan);
		drop_index(k);
		mboxkit_puts(k, make_mail(1, ""));
		fd = hold(k, meetings[i].held, dot);
		rc = mboxkit_try_open(k, &d, &err);
		assert_int_equal(rc, meetings[i].waits ? -1 : 0);
		if (rc != 0)
			assert_int_equal(err.kind, PST_E_IN_USE);
		else
			mbox_close(d);
		close(fd);
		(void)unlink(dot);
		mbox_close(mboxkit_open(k));
		assert_int_equal(access(dot, F_OK), -1); /* ours is gone */
	}
	mboxkit_plan(k, "fcntl dotlock_try");
}

/* A session in hand, unlike its opening and its end, holds up no delivery. */
static void
test_no_lock_is_held_between(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	char dot[600];
	int fd;

	mboxkit_plan(k, "fcntl flock dotlock");
	mboxkit_puts(k, make_mail(1, ""));
	d = mboxkit_open(k);
	fd = hold(k, "fcntl", dot);
	close(fd);
	fd = hold(k, "flock", dot);
	close(fd);
	assert_int_equal(access(dot, F_OK), -1);
	mbox_close(d);
	mboxkit_plan(k, "fcntl dotlock_try");
}

static void
test_stale_dotlock_is_removed(void **state)
{
	struct mboxkit *k = *state;
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct pst_maildrop *d;
	struct pst_err err;
	char dot[600];
	int fd;

	mboxkit_puts(k, make_mail(1, ""));
	fd = hold(k, "dotlock", dot);
	close(fd);
	assert_int_equal(utimensat(AT_FDCWD, dot, old, 0), 0);
	drop_index(k); /* the mail is young: its holder may be at work */
	assert_int_equal(mboxkit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_IN_USE);
	assert_int_equal(utimensat(AT_FDCWD, k->path, old, 0), 0);
	mbox_close(mboxkit_open(k));
	assert_int_equal(access(dot, F_OK), -1);
}

static void
test_dotlock_of_a_killed_session_is_removed_at_once(void **state)
{
	struct mboxkit *k = *state;
	char dot[600];
	int status;
	pid_t pid;

	mboxkit_puts(k, make_mail(1, ""));
	(void)snprintf(dot, sizeof(dot), "%s.lock", k->path);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct pst_maildrop *d = mboxkit_open(k);
		struct lock lock;
		struct pst_err err;

		pst_assert(lock_take(&lock, &k->self.plan, &k->host, d->path, d->fd, d->session_fd,
		                     false, &err) == 0);
		_exit(access(dot, F_OK) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	drop_index(k);
	mbox_close(mboxkit_open(k));
	assert_int_equal(access(dot, F_OK), -1);
}

static void
test_lock_words(void **state)
{
	struct lock_plan plan = { .count = 0 };
	struct pst_err err;

	(void)state;
	assert_int_equal(lock_parse("flock  fcntl dotlock", &plan, &err), 0);
	assert_int_equal(plan.count, 3);
	assert_int_equal(lock_parse("", &plan, &err), -1);
	assert_int_equal(lock_parse("fcntl fcntl", &plan, &err), -1);
	assert_int_equal(lock_parse("dotlock dotlock_try", &plan, &err), -1);
	assert_int_equal(lock_parse("fcntl lockf", &plan, &err), -1);
}

/* ---- Read-only ---- */

static void
read_only(struct mboxkit *k)
{
	struct pst_maildrop *d = mboxkit_open(k);
	const uint32_t first = 0;
	struct pst_err err;
	uint32_t removed;
	size_t n;

	assert_int_equal(mbox_count(d), 2);
	free(mboxkit_fetch(d, 1, &n, &err));
	assert_int_equal(mbox_commit(d, &first, 1, &removed, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_int_equal(removed, 0);
	mbox_close(d);
}

static void
test_read_only_mbox_is_read_and_nothing_is_removed(void **state)
{
	struct mboxkit *k = *state;

	drop_index(k);
	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	assert_int_equal(chmod(k->path, 0444), 0);
	assert_true(mboxkit_run_read_only(k, read_only));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, mboxkit_set_up, mboxkit_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_second_session_is_refused),
		TEST(test_poll_that_finds_nothing_new_opens_from_memory_alone),
		TEST(test_poll_from_memory_leaves_all_else_to_the_pool),
		TEST(test_locks_of_delivery_agents_are_waited_for),
		TEST(test_no_lock_is_held_between),
		TEST(test_stale_dotlock_is_removed),
		TEST(test_dotlock_of_a_killed_session_is_removed_at_once),
		TEST(test_lock_words),
		TEST(test_read_only_mbox_is_read_and_nothing_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
