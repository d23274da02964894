/* SPDX-License-Identifier: MIT */
/* The ledger: what was written comes back, whatever is cut, damaged, copied or killed. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/index/ledger_octets.h"
#include "tests/unit/storage/kit.h"

#define MAX ((size_t)1 << 26)

struct box {
	struct kit kit;
	struct ledger_file file;
	char name[512], spare[512];
};

static int
set_up(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	kit_init(&b->kit);
	kit_path(&b->kit, "ledger", b->name);
	kit_path(&b->kit, "spare", b->spare);
	b->file = (struct ledger_file){ AT_FDCWD, b->name, b->spare, true };
	*state = b;
	return 0;
}

static int
tear_down(void **state)
{
	struct box *b = *state;

	kit_clear(&b->kit);
	free(b);
	return 0;
}

/* Entry i: its strings lie in text. */
static struct ledger_entry
entry(uint32_t i, char text[128])
{
	int n = snprintf(text, 64, "%u.base%0*u", i, (int)(i % 20) + 1, i);
	int m = snprintf(text + 64, 64, "uidl-%u", i);

	return (struct ledger_entry){ .key = { text, (size_t)n },
		                      .uidl = { text + 64, (size_t)m },
		                      .print = i * 7u + 1,
		                      .uid = i,
		                      .validity = 9 };
}

static void
load(const struct box *b, struct ledger *l)
{
	struct pst_err err;
	bool is_bad;

	*l = (struct ledger){ .count = 0 };
	if (ledger_load(l, &b->file, MAX, &is_bad, &err) != 0)
		fail_msg("%s", err.text);
}

static int
add(const struct box *b, uint32_t from, uint32_t n)
{
	struct ledger_entry entries[64];
	char texts[64][128];
	struct ledger l;
	struct pst_err err;
	uint32_t i;
	int rc;

	for (i = 0; i < n; i++)
		entries[i] = entry(from + i, texts[i]);
	load(b, &l);
	rc = ledger_append(&l, entries, n, true, &err);
	ledger_clear(&l);
	return rc;
}

static bool
has(const struct ledger *l, uint32_t i)
{
	char text[128];
	struct ledger_entry want = entry(i, text);
	const struct ledger_entry *e = ledger_find(l, want.key, NULL);

	if (e == NULL)
		return false;
	assert_true(pst_str_eq(e->uidl, want.uidl));
	assert_int_equal(e->uid, want.uid);
	assert_int_equal(e->print, want.print);
	assert_ptr_equal(ledger_of_uidl(l, want.uidl), e);
	return true;
}

static void
test_what_was_appended_is_found(void **state)
{
	const struct box *b = *state;
	struct ledger l;
	uint32_t i;

	load(b, &l);
	assert_false(l.is_there);
	ledger_clear(&l);
	assert_int_equal(add(b, 1, 3), 0);
	assert_int_equal(add(b, 4, 30), 0);
	load(b, &l);
	assert_int_equal(l.count, 33);
	assert_false(l.is_doubtful);
	for (i = 1; i <= 33; i++)
		assert_true(has(&l, i));
	assert_false(has(&l, 34));
	assert_int_equal(l.validity, 9);
	assert_int_equal(l.next_uid, 34);
	ledger_clear(&l);
}

static void
test_a_uidl_moves_to_another_key_and_to_nobody(void **state)
{
	struct box *b = *state;
	struct ledger_entry e[3] = { { .key = PST_LIT("a"), .uidl = PST_LIT("u") },
		                     { .key = PST_LIT("b"), .uidl = PST_LIT("u"), .order = 5 },
		                     { .key = PST_LIT("b"), .uidl = PST_LIT("v") } };
	const struct ledger_entry *found;
	struct ledger l;
	struct pst_err err;

	load(b, &l);
	assert_int_equal(ledger_append(&l, e, 3, false, &err), 0);
	ledger_clear(&l);
	load(b, &l);
	assert_int_equal(l.count, 2);
	assert_null(ledger_find(&l, PST_LIT("a"), NULL));
	found = ledger_find(&l, PST_LIT("b"), NULL);
	assert_true(pst_str_eq(found->uidl, PST_LIT("v")));
	found = ledger_find(&l, PST_LIT("b"), found);
	assert_true(pst_str_eq(found->uidl, PST_LIT("u")));
	assert_null(ledger_find(&l, PST_LIT("b"), found));
	assert_true(l.has_order);
	e[1].is_gone = true;
	assert_int_equal(ledger_append(&l, &e[1], 1, false, &err), 0);
	ledger_clear(&l);
	load(b, &l);
	assert_false(l.has_order);
	assert_non_null(ledger_of_uidl(&l, PST_LIT("u")));
	found = ledger_find(&l, PST_LIT("b"), NULL);
	assert_null(ledger_find(&l, PST_LIT("b"), found));
	ledger_clear(&l);
}

/* Cut at every octet: the records before are there, none is wrong, and it is no cause for doubt: so it
 * looks where a crash ended an appending that nobody was shown. */
static void
test_cut_at_any_octet_the_records_before_hold(void **state)
{
	struct box *b = *state;
	struct ledger l = { .count = 0 };
	struct stat st;
	bool is_bad;
	off_t n;
	uint32_t i, whole;

	assert_int_equal(add(b, 1, 6), 0);
	assert_int_equal(stat(b->name, &st), 0);
	for (n = st.st_size - 1; n >= HEAD_OCTETS; n--) {
		assert_int_equal(truncate(b->name, n), 0);
		load(b, &l);
		whole = l.count;
		assert_true(whole < 6);
		for (i = 1; i <= 6; i++)
			assert_int_equal(has(&l, i), i <= whole);
		assert_false(l.is_doubtful);
		ledger_clear(&l);
	}
	assert_int_equal(add(b, 1, 6), 0); /* written over what was cut */
	load(b, &l);
	assert_int_equal(l.count, 6);
	ledger_clear(&l);
	for (; n > 0; n--) {
		struct pst_err err;

		assert_int_equal(truncate(b->name, n), 0);
		assert_int_equal(ledger_load(&l, &b->file, MAX, &is_bad, &err), -1);
		assert_true(is_bad);
		ledger_clear(&l);
	}
}

/* Any octet changed: at most one record is lost, none is wrong; and unless it was the last one, the
 * numbers are in doubt. */
static void
test_any_changed_octet_costs_one_record(void **state)
{
	struct box *b = *state;
	struct ledger l;
	char *text;
	size_t n, at;
	uint32_t i, found;

	assert_int_equal(add(b, 1, 8), 0);
	n = kit_slurp(b->name, &text);
	for (at = HEAD_OCTETS; at < n; at++) {
		int fd = open(b->name, O_WRONLY); /* the same file: a copy is in doubt anyway */

		text[at] ^= 0x5a;
		assert_int_equal(pwrite(fd, text, n, 0), (ssize_t)n);
		load(b, &l);
		for (i = 1, found = 0; i <= 8; i++)
			found += has(&l, i);
		assert_int_equal(found, 7);
		assert_int_equal(l.is_doubtful, has(&l, 8));
		text[at] ^= 0x5a;
		assert_int_equal(pwrite(fd, text, n, 0), (ssize_t)n);
		close(fd);
		ledger_clear(&l);
	}
	free(text);
}

static void
test_doubt_takes_another_validity_and_is_over_then(void **state)
{
	struct box *b = *state;
	struct ledger l;
	struct pst_err err;
	struct ledger_entry e;
	char *text, buf[128];
	size_t n;
	uint32_t uid;

	assert_int_equal(add(b, 1, 3), 0);
	n = kit_slurp(b->name, &text);
	assert_int_equal(unlink(b->name), 0);
	kit_spew(b->name, text, n); /* a copy */
	free(text);
	load(b, &l);
	assert_int_equal(l.count, 3);
	assert_true(l.is_doubtful);
	ledger_numbers(&l, 9, 4, 1000, false);
	assert_int_equal(l.validity, 1000);
	assert_true(ledger_next(&l, &uid));
	assert_int_equal(uid, 1);
	e = entry(50, buf);
	e.uid = uid;
	e.validity = l.validity;
	assert_int_equal(ledger_append(&l, &e, 1, true, &err), 0);
	ledger_clear(&l);
	load(b, &l);
	assert_false(l.is_doubtful);
	assert_int_equal(l.count, 4);
	ledger_numbers(&l, 1000, 2, 2000, false);
	assert_int_equal(l.validity, 1000);
	assert_int_equal(l.next_uid, 2);
	/* The index knows of more: this is an old one. */
	ledger_numbers(&l, 1000, 3, 500, false);
	assert_int_equal(l.validity, 1001); /* the clock was set back */
	ledger_numbers(&l, 5000, 1, 500, true);
	assert_int_equal(l.validity, 5001);
	assert_int_equal(l.next_uid, 500);
	ledger_clear(&l);
}

static void
test_compaction_keeps_what_is_live(void **state)
{
	struct box *b = *state;
	struct ledger l;
	struct pst_err err;
	uint8_t live[60] = { 0 };
	uint32_t i;

	assert_int_equal(add(b, 1, 60), 0);
	load(b, &l);
	for (i = 0; i < 60; i += 3)
		live[i] = 1;
	assert_int_equal(ledger_compact(&l, live, NULL, 0, &err), 0);
	ledger_clear(&l);
	load(b, &l);
	assert_int_equal(l.count, 40);
	assert_int_equal(l.next_uid, 61);
	for (i = 0; i < 60; i++)
		assert_int_equal(has(&l, i + 1), live[i] || i >= 30);
	ledger_clear(&l);
}

static void
test_a_full_disk_leaves_what_was_there(void **state)
{
	struct box *b = *state;
	struct rlimit old, some;
	struct stat st;
	struct ledger l;
	rlim_t n;

	assert_int_equal(add(b, 1, 4), 0);
	assert_int_equal(stat(b->name, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	for (n = 0; n < 200; n += 5) {
		some = (struct rlimit){ (rlim_t)st.st_size + n, old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &some), 0);
		assert_int_equal(add(b, 5, 10), -1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		load(b, &l);
		assert_int_equal(l.count, 4);
		assert_false(l.is_doubtful);
		ledger_clear(&l);
	}
	assert_int_equal(add(b, 5, 10), 0);
}

/* ---- Killed at every call ---- */

static int calls_left = -1; /* of those that change a file; -1: any number */

static bool
may_go_on(void)
{
	if (calls_left == 0)
		(void)kill(getpid(), SIGKILL);
	if (calls_left > 0)
		calls_left--;
	return true;
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat(int a, const char *from, int b, const char *to);
int __wrap_renameat(int a, const char *from, int b, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);

/* Half of it is there when the other half is to come. */
ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	size_t half = n / 2;

	if (calls_left < 0)
		return __real_pwrite(fd, p, n, at);
	may_go_on();
	if (half > 0 && __real_pwrite(fd, p, half, at) != (ssize_t)half)
		return -1;
	may_go_on();
	if (__real_pwrite(fd, (const char *)p + half, n - half, at + (off_t)half) !=
	    (ssize_t)(n - half))
		return -1;
	return (ssize_t)n;
}

int
__wrap_fdatasync(int fd)
{
	may_go_on();
	return __real_fdatasync(fd);
}

int
__wrap_fsync(int fd)
{
	may_go_on();
	return __real_fsync(fd);
}

int
__wrap_renameat(int a, const char *from, int b, const char *to)
{
	may_go_on();
	return __real_renameat(a, from, b, to);
}

int
__wrap_unlinkat(int fd, const char *name, int flags)
{
	may_go_on();
	return __real_unlinkat(fd, name, flags);
}

/* Whether work came to its end in a child that may make so many calls. */
static bool
run_killed(const struct box *b, int calls, int (*work)(const struct box *b))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		calls_left = calls;
		_exit(work(b) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFEXITED(status);
}

static int
append_five(const struct box *b)
{
	return add(b, 10, 5);
}

static int
rewrite_three(const struct box *b)
{
	struct ledger_entry entries[3];
	char texts[3][128];
	struct ledger l;
	struct pst_err err;
	uint32_t i;

	load(b, &l);
	for (i = 0; i < 3; i++)
		entries[i] = entry(20 + i, texts[i]);
	return ledger_rewrite(&l, entries, 3, &err);
}

static void
test_killed_at_any_call_old_or_new_is_there(void **state)
{
	struct box *b = *state;
	struct ledger l;
	uint32_t i;
	int calls, runs = 0;
	bool done;

	for (calls = 0, done = false; !done; calls++, runs++) {
		(void)unlink(b->name);
		assert_int_equal(add(b, 1, 4), 0);
		done = run_killed(b, calls, append_five);
		load(b, &l);
		for (i = 1; i <= 4; i++)
			assert_true(has(&l, i));
		assert_false(l.is_doubtful);
		assert_true(!done || l.count == 9);
		ledger_clear(&l);
	}
	for (calls = 0, done = false; !done; calls++, runs++) {
		(void)unlink(b->name);
		assert_int_equal(add(b, 1, 4), 0);
		done = run_killed(b, calls, rewrite_three);
		load(b, &l);
		assert_true(l.count == 3 || (l.count == 4 && !done));
		for (i = 0; i < l.count; i++)
			assert_true(has(&l, l.count == 4 ? i + 1 : i + 20));
		assert_int_equal(l.next_uid, l.count == 4 ? 5 : 23);
		ledger_clear(&l);
	}
	assert_true(runs > 8);
}

static void
test_what_is_no_ledger_is_refused(void **state)
{
	struct box *b = *state;
	struct ledger l = { .count = 0 };
	struct pst_err err;
	bool is_bad;

	assert_int_equal(symlink("/dev/zero", b->name), 0);
	assert_int_equal(ledger_load(&l, &b->file, MAX, &is_bad, &err), -1);
	assert_true(is_bad);
	assert_int_equal(unlink(b->name), 0);
	assert_int_equal(mkfifo(b->name, 0600), 0);
	assert_int_equal(ledger_load(&l, &b->file, MAX, &is_bad, &err), -1);
	assert_true(is_bad);
	assert_int_equal(unlink(b->name), 0);
	assert_int_equal(add(b, 1, 4), 0);
	assert_int_equal(ledger_load(&l, &b->file, 100, &is_bad, &err), -1); /* too large */
	assert_true(is_bad);
	ledger_clear(&l);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(test_what_was_appended_is_found),
		T(test_a_uidl_moves_to_another_key_and_to_nobody),
		T(test_cut_at_any_octet_the_records_before_hold),
		T(test_any_changed_octet_costs_one_record),
		T(test_doubt_takes_another_validity_and_is_over_then),
		T(test_compaction_keeps_what_is_live),
		T(test_a_full_disk_leaves_what_was_there),
		T(test_killed_at_any_call_old_or_new_is_there),
		T(test_what_is_no_ledger_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
