/* SPDX-License-Identifier: MIT */
/* Removal from an mbox, ended at every system call that changes something, before it, after it and in
 * its middle; and with a full disk at every one. The calls are wrapped by the linker.
 *
 * After each: in the file as it lies there, for anybody who can read an mbox, every message that was
 * not to go is in one piece; and after the next session the file is either as before or as wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/mboxkit.h"

/* ---- Wrapped calls ---- */

enum how {
	HOW_NOTHING,
	HOW_DIE_BEFORE,
	HOW_DIE_AFTER,
	HOW_DIE_HALFWAY,
	HOW_FULL,
	HOW_FULL_HALFWAY
};

static struct {
	enum how how;
	int at;   /* which call; counted from 0 */
	int call; /* so many were made */
} fault;

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_ftruncate(int fd, off_t n);
int __real_fdatasync(int fd);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
int __wrap_ftruncate(int fd, off_t n);
int __wrap_ftruncate64(int fd, off_t n);
int __wrap_fdatasync(int fd);

static bool
is_now(enum how how)
{
	return fault.how == how && fault.call == fault.at;
}

static void
die_if(enum how how)
{
	if (is_now(how))
		_exit(33);
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc;

	die_if(HOW_DIE_BEFORE);
	if (is_now(HOW_DIE_HALFWAY)) {
		(void)!__real_pwrite(fd, p, n / 2, at);
		_exit(33);
	}
	if (is_now(HOW_FULL) || (fault.how == HOW_FULL_HALFWAY && fault.call == fault.at + 1)) {
		fault.call++;
		errno = ENOSPC;
		return -1;
	}
	rc = __real_pwrite(fd, p, is_now(HOW_FULL_HALFWAY) && n > 1 ? n / 2 : n, at);
	die_if(HOW_DIE_AFTER);
	fault.call++;
	return rc;
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return __wrap_pwrite(fd, p, n, at);
}

int
__wrap_ftruncate(int fd, off_t n)
{
	int rc;

	die_if(HOW_DIE_BEFORE);
	rc = __real_ftruncate(fd, n);
	die_if(HOW_DIE_AFTER);
	fault.call++;
	return rc;
}

int
__wrap_ftruncate64(int fd, off_t n)
{
	return __wrap_ftruncate(fd, n);
}

int
__wrap_fdatasync(int fd)
{
	int rc;

	die_if(HOW_DIE_BEFORE);
	if (is_now(HOW_FULL)) {
		fault.call++;
		errno = ENOSPC;
		return -1;
	}
	rc = __real_fdatasync(fd);
	die_if(HOW_DIE_AFTER);
	fault.call++;
	return rc;
}

/* ---- One mbox ---- */

#define MESSAGES 7
#define MESSAGE_ROOM 4096

static const char delivered[] = "From late@example.test Fri Nov 10 10:00:00 2023\nSubject: late\n\n"
				"delivered after the crash\n\n";

/* From_ line, content, empty line. Sizes differ much, also from what goes. */
static size_t
make_message(unsigned i, char *out)
{
	size_t n = (size_t)snprintf(out, MESSAGE_ROOM,
	                            "From sender%u@example.test Thu Nov  9 10:0%u:00 2023\n"
	                            "Subject: number %u\nStatus: RO\n\n",
	                            i, i, i),
	       line, lines = i % 3 == 1 ? 60 : i;

	for (line = 0; line < lines; line++)
		n += (size_t)snprintf(out + n, MESSAGE_ROOM - n, "line %zu of message %u\n", line,
		                      i);
	return n + (size_t)snprintf(out + n, MESSAGE_ROOM - n, "end of %u\n\n", i);
}

static bool
is_to_go(const uint32_t *idx, uint32_t n, uint32_t i)
{
	uint32_t j;

	for (j = 0; j < n; j++)
		if (idx[j] == i)
			return true;
	return false;
}

/* The whole file without those; its octets. */
static size_t
make_file(const uint32_t *idx, uint32_t n, char *out)
{
	size_t len = 0;
	uint32_t i;

	for (i = 0; i < MESSAGES; i++)
		if (!is_to_go(idx, n, i))
			len += make_message(i, out + len);
	out[len] = '\0';
	return len;
}

/* Whether a reader finds the message as one: after an empty line, and before a From_ line or the end. */
static bool
is_whole(const char *text, size_t octets, const char *message, size_t len)
{
	const char *from = text, *found;

	while ((found = memmem(from, octets - (size_t)(from - text), message, len)) != NULL) {
		const char *end = found + len;

		if ((found == text || memcmp(found - 2, "\n\n", 2) == 0) &&
		    (end == text + octets || strncmp(end, "From ", 5) == 0))
			return true;
		from = found + 1;
	}
	return false;
}

static void
check_raw(const struct mboxkit *k, const uint32_t *idx, uint32_t n)
{
	char message[MESSAGE_ROOM], *text = mboxkit_text(k);
	struct stat st;
	uint32_t i;

	assert_int_equal(stat(k->path, &st), 0);
	for (i = 0; i < MESSAGES; i++)
		if (!is_to_go(idx, n, i) &&
		    !is_whole(text, (size_t)st.st_size, message, make_message(i, message)))
			fail_msg("message %u is not whole", i);
	free(text);
}

static int
run_in_child(struct mboxkit *k, const uint32_t *idx, uint32_t n, enum how how, int at)
{
	struct pst_err err;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct pst_maildrop *d = mboxkit_open(k);
		uint32_t removed;
		int rc;

		fault.how = how;
		fault.at = at;
		fault.call = 0;
		rc = mbox_commit(d, idx, n, &removed, &err);
		if (how == HOW_NOTHING)
			_exit(rc == 0 ? fault.call : 99);
		fault.how = HOW_NOTHING;
		_exit(rc == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
check_recovered(struct mboxkit *k, const uint32_t *idx, uint32_t n, const char *late)
{
	static char before[MESSAGES * MESSAGE_ROOM], after[MESSAGES * MESSAGE_ROOM];
	char *listing = mboxkit_listing(k), *text = mboxkit_text(k);

	memcpy(before + make_file(NULL, 0, before), late, strlen(late) + 1);
	memcpy(after + make_file(idx, n, after), late, strlen(late) + 1);
	if (strcmp(text, before) != 0 && strcmp(text, after) != 0)
		fail_msg("neither before nor after: %s", text);
	free(listing);
	free(text);
}

static const struct {
	uint32_t idx[MESSAGES], n;
} removals[] = {
	{ { 0 }, 1 },          { { 3 }, 1 },
	{ { 1 }, 1 },          { { 6 }, 1 },
	{ { 0, 2, 4 }, 3 },    { { 1, 2, 5 }, 3 },
	{ { 0, 1, 2, 3 }, 4 }, { { 0, 1, 2, 3, 4, 5, 6 }, 7 },
};
#define REMOVALS (sizeof(removals) / sizeof(removals[0]))

static void
start_over(struct mboxkit *k)
{
	static char text[MESSAGES * MESSAGE_ROOM];
	char name[600];

	mboxkit_write(k, text, make_file(NULL, 0, text));
	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.lock", k->root);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/mbox.lock", k->root);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index", k->root);
	(void)unlink(name);
}

/* Runs each removal with this fault at each call; returns how many faults were met. */
static int
walk(struct mboxkit *k, enum how how, const char *late)
{
	int met = 0, at, calls;
	size_t i;

	for (i = 0; i < REMOVALS; i++) {
		const uint32_t *idx = removals[i].idx, n = removals[i].n;

		start_over(k);
		calls = run_in_child(k, idx, n, HOW_NOTHING, 0);
		assert_true(calls > 0 && calls < 99);
		for (at = 0; at < calls; at++) {
			int rc;

			start_over(k);
			rc = run_in_child(k, idx, n, how, at);
			met += rc == 33 || rc == 1;
			check_raw(k, idx, n);
			if (*late != '\0')
				mboxkit_adds(k, late);
			check_recovered(k, idx, n, late);
			check_recovered(k, idx, n, late); /* and it stays so */
		}
	}
	return met;
}

static void
test_killed_before_every_call(void **state)
{
	assert_in_range(walk(*state, HOW_DIE_BEFORE, ""), 40, 1000);
}

static void
test_killed_after_every_call(void **state)
{
	assert_in_range(walk(*state, HOW_DIE_AFTER, ""), 40, 1000);
}

static void
test_killed_in_the_middle_of_every_write(void **state)
{
	assert_in_range(walk(*state, HOW_DIE_HALFWAY, ""), 20, 1000);
}

static void
test_killed_and_mail_comes_before_the_next_session(void **state)
{
	assert_in_range(walk(*state, HOW_DIE_AFTER, delivered), 40, 1000);
	assert_in_range(walk(*state, HOW_DIE_HALFWAY, delivered), 20, 1000);
}

static void
test_full_disk_at_every_write(void **state)
{
	assert_in_range(walk(*state, HOW_FULL, ""), 20, 1000);
	assert_in_range(walk(*state, HOW_FULL_HALFWAY, ""), 20, 1000);
	assert_in_range(walk(*state, HOW_FULL, delivered), 20, 1000);
}

/* Killed, mail comes, and the session that sees to it is killed as well, at each of its calls. */
static void
test_killed_again_while_recovering(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t idx[] = { 1, 2 };
	int first, second, met = 0, status;

	for (first = 0; first < 12; first++)
		for (second = 0; second < 24; second++) {
			pid_t pid;

			start_over(k);
			(void)run_in_child(k, idx, 2, HOW_DIE_AFTER, first);
			mboxkit_adds(k, delivered);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0) {
				fault.how = HOW_DIE_AFTER;
				fault.at = second;
				fault.call = 0;
				mbox_close(mboxkit_open(k));
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			met += WEXITSTATUS(status) == 33;
			check_raw(k, idx, 2);
			check_recovered(k, idx, 2, delivered);
		}
	assert_in_range(met, 40, 1000);
}

/* Killed when nothing but the note was written: the next session opens from memory and removes another
 * message, killed at each of its calls. */
static void
test_killed_and_the_next_session_opens_from_memory(void **state)
{
	struct mboxkit *k = *state;
	const struct pst_maildrop_spec spec = { .path = k->path, .user = PST_LIT("test") };
	const uint32_t idx[] = { 1, 2 }, other = 4;
	int first, second, opened = 0, met = 0, status;
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t removed;
	struct statfs fs;

	assert_int_equal(statfs(k->root, &fs), 0);
	if (fs.f_type != EXT4_SUPER_MAGIC)
		skip(); /* others may always have to wait */
	for (first = 0; first < 12; first++)
		for (second = 0; second < 24; second++) {
			pid_t pid;

			start_over(k);
			mbox_close(mboxkit_open(k));
			(void)run_in_child(k, idx, 2, HOW_DIE_AFTER, first);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0) {
				if (mbox_open_now(&k->self, &spec, &d, &err) != PST_FETCH_OK)
					_exit(7);
				fault.how = HOW_DIE_AFTER;
				fault.at = second;
				fault.call = 0;
				_exit(mbox_commit(d, &other, 1, &removed, &err) == 0 ? 0 : 1);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (WEXITSTATUS(status) == 7)
				continue;
			opened++;
			met += WEXITSTATUS(status) == 33;
			check_raw(k, &other, 1);
			check_recovered(k, &other, 1, "");
			check_recovered(k, &other, 1, "");
		}
	assert_in_range(opened, 24, 1000);
	assert_in_range(met, 10, 1000);
}

/* ---- Adding ---- */

static int
open_new(void *arg, struct pst_body *out, struct pst_err *err)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	(void)err;
	assert_int_equal(__real_pwrite(fd, arg, strlen(arg), 0), strlen(arg));
	*out = (struct pst_body){ .fd = fd, .length = strlen(arg) };
	return 0;
}

static int
add_in_child(struct mboxkit *k, enum how how, int at)
{
	struct pst_new_message msgs[3];
	struct pst_err err;
	int status, i;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct pst_maildrop *d = mboxkit_open(k);
		int rc;

		for (i = 0; i < 3; i++)
			msgs[i] = (struct pst_new_message){
				.open = open_new,
				.arg = (void *)(uintptr_t)(i == 1 ? ""
				                                  : "Subject: new\n\nFrom a\nb"),
				.received_s = 1000000000 + i,
			};
		fault.how = how;
		fault.at = at;
		fault.call = 0;
		rc = mbox_add(d, msgs, 3, &err);
		_exit(how == HOW_NOTHING ? (rc == 0 ? fault.call : 99) : rc == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* All or none, whatever came behind meanwhile. */
static void
check_added(struct mboxkit *k, const char *all, const char *late, bool is_done)
{
	static char before[MESSAGES * MESSAGE_ROOM], after[2 * MESSAGES * MESSAGE_ROOM];
	char *listing = mboxkit_listing(k), *text = mboxkit_text(k);
	bool is_before;

	memcpy(before + make_file(NULL, 0, before), late, strlen(late) + 1);
	(void)snprintf(after, sizeof(after), "%s%s", all, late);
	is_before = strcmp(text, before) == 0;
	if ((!is_before || is_done) && strcmp(text, after) != 0)
		fail_msg("neither before nor after: %s", text);
	free(listing);
	free(text);
}

static int
walk_adding(struct mboxkit *k, enum how how, const char *late)
{
	int met = 0, at, calls, rc;
	char *all;

	start_over(k);
	calls = add_in_child(k, HOW_NOTHING, 0);
	assert_in_range(calls, 12, 98);
	all = mboxkit_text(k);
	for (at = 0; at < calls; at++) {
		start_over(k);
		rc = add_in_child(k, how, at);
		met += rc == 33 || rc == 1;
		if (*late != '\0')
			mboxkit_adds(k, late);
		check_added(k, all, late, rc == 0);
		check_added(k, all, late, rc == 0);
	}
	free(all);
	return met;
}

static void
test_adding_is_all_or_none_wherever_it_ends(void **state)
{
	assert_in_range(walk_adding(*state, HOW_DIE_BEFORE, ""), 12, 100);
	assert_in_range(walk_adding(*state, HOW_DIE_AFTER, ""), 12, 100);
	assert_in_range(walk_adding(*state, HOW_DIE_HALFWAY, ""), 8, 100);
	assert_in_range(walk_adding(*state, HOW_DIE_AFTER, delivered), 12, 100);
	assert_in_range(walk_adding(*state, HOW_DIE_HALFWAY, delivered), 8, 100);
	assert_in_range(walk_adding(*state, HOW_FULL, ""), 8, 100);
	assert_in_range(walk_adding(*state, HOW_FULL_HALFWAY, ""), 6, 100);
	assert_in_range(walk_adding(*state, HOW_FULL, delivered), 8, 100);
}

/* And so it is where the session that takes it back dies as well. */
static void
test_adding_is_taken_back_though_that_dies(void **state)
{
	struct mboxkit *k = *state;
	int first, second, met = 0, status;
	char *all;

	start_over(k);
	(void)add_in_child(k, HOW_NOTHING, 0);
	all = mboxkit_text(k);
	for (first = 0; first < 10; first++)
		for (second = 0; second < 20; second++) {
			pid_t pid;

			start_over(k);
			(void)add_in_child(k, HOW_DIE_AFTER, first);
			mboxkit_adds(k, delivered);
			pid = fork();
			assert_true(pid >= 0);
			if (pid == 0) {
				fault.how = HOW_DIE_AFTER;
				fault.at = second;
				fault.call = 0;
				mbox_close(mboxkit_open(k));
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			met += WEXITSTATUS(status) == 33;
			check_added(k, all, delivered, false);
		}
	assert_in_range(met, 20, 1000);
	free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adding_is_all_or_none_wherever_it_ends),
		cmocka_unit_test(test_adding_is_taken_back_though_that_dies),
		cmocka_unit_test(test_killed_before_every_call),
		cmocka_unit_test(test_killed_after_every_call),
		cmocka_unit_test(test_killed_in_the_middle_of_every_write),
		cmocka_unit_test(test_killed_and_mail_comes_before_the_next_session),
		cmocka_unit_test(test_full_disk_at_every_write),
		cmocka_unit_test(test_killed_again_while_recovering),
		cmocka_unit_test(test_killed_and_the_next_session_opens_from_memory),
	};

	return cmocka_run_group_tests(tests, mboxkit_set_up, mboxkit_tear_down);
}
