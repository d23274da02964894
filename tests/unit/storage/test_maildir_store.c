/* SPDX-License-Identifier: MIT */
/* The index in use, and folders that are full, closed, read-only or damaged: what can be served is
 * served, and what was wrong is told. */
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
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
assert_open_fails(struct kit *k, enum pst_err_kind kind)
{
	struct pst_maildrop *d;
	struct pst_err err;

	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, kind);
	assert_non_null(strstr(err.text, "Maildir"));
}

static void
test_unchanged_maildir_is_listed_from_the_index(void **state)
{
	struct kit *k = *state;
	struct index ix;

	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	assert_true(kit_load_index(k, &ix));
	assert_true(ix.head.places[0].is_trusted && ix.head.places[1].is_trusted);
	((uint8_t *)ix.mem.p)[ix.head_octets] = 99; /* a size that is nowhere else */
	kit_save_index(k, &ix);
	index_clear(&ix);
	assert_lists(k, "1.a 99\n");
	assert_int_equal(k->measured, 1);
}

static void
test_index_damaged_at_any_octet_never_shows(void **state)
{
	struct kit *k = *state;
	const char *want = "1.a 3\n2.b 4\nsha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc342 5\n";
	char name[512], spare[512], *text;
	size_t n, i;

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "cur", "2.b:2,S", "xy\n");
	kit_puts(k, "cur", "3.c", "");
	kit_rename(k, "cur/3.c", "cur/a b:2,");
	kit_spew((kit_path(k, "cur/a b:2,", name), name), "xyz\n", 4);
	want = "sha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc342 5\n1.a 3\n2.b 4\n";
	assert_lists(k, want);
	kit_path(k, DROP_INDEX_NAME, name);
	kit_path(k, DROP_INDEX_SPARE, spare);
	n = kit_slurp(name, &text);
	for (i = 0; i < n; i++) {
		(void)unlink(spare);
		text[i] = (char)(text[i] ^ 0x41);
		kit_spew(name, text, n);
		text[i] = (char)(text[i] ^ 0x41);
		assert_lists(k, want);
		(void)unlink(spare);
		kit_spew(name, text, i);
		assert_lists(k, want);
	}
	assert_int_equal(k->warned, 2 * n - 4); /* each was told, but another version */
	free(text);
}

static void
test_index_of_another_version_is_made_anew_without_a_warning(void **state)
{
	struct kit *k = *state;
	struct index ix;

	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	assert_true(kit_load_index(k, &ix));
	((uint8_t *)ix.mem.p)[8] = INDEX_VERSION + 1;
	kit_save_index(k, &ix);
	kit_save_index(k, &ix); /* the spare, too */
	index_clear(&ix);
	assert_lists(k, "1.a 3\n");
	assert_int_equal(k->measured, 2);
	assert_int_equal(k->warned, 0);
	assert_true(kit_load_index(k, &ix));
	index_clear(&ix);
}

static void
test_index_in_a_folder_of_its_own(void **state)
{
	struct kit *k = *state;
	char dir[128];

	(void)snprintf(dir, sizeof(dir), "%s/index", k->root);
	assert_int_equal(mkdir(dir, 0700), 0);
	k->conf.index_dir = dir;
	kit_puts(k, "new", "1.a", "x\n");
	assert_lists(k, "1.a 3\n");
	assert_lists(k, "1.a 3\n");
	assert_int_equal(k->measured, 1);
	assert_false(kit_exists(k, DROP_INDEX_NAME));
	kit_remove_tree(dir);
	assert_lists(k, "1.a 3\n"); /* the folder is gone: told, and served */
	assert_int_equal(k->measured, 2);
	assert_int_equal(k->warned, 1);
	assert_string_equal(k->last_event, "maildir.index_unwritten");
}

static void
use_read_only(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	struct pst_err err;
	uint32_t idx = 0, removed = 9;
	size_t n;
	char *wire;

	assert_listing(d, "1.a 3\n");
	pst_assert(k->warned == 1 && strcmp(k->last_event, "maildir.index_unwritten") == 0);
	wire = kit_fetch(d, 0, &n, &err);
	pst_assert(wire != NULL);
	free(wire);
	pst_assert(drop_commit(d, &idx, 1, &removed, &err) == -1);
	pst_assert(removed == 0 && err.kind == PST_E_PERM);
	pst_assert(strstr(err.text, "1 of 1") != NULL && strstr(err.text, "new/1.a") != NULL);
	drop_close(d);
}

static void
test_read_only_maildir_can_be_read_and_quit_says_so(void **state)
{
	struct kit *k = *state;
	char path[512];

	kit_puts(k, "new", "1.a", "x\n");
	kit_path(k, "new/1.a", path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(kit_run_read_only(k, use_read_only));
	assert_lists(k, "1.a 3\n");
}

static void
find_unreadable(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);

	assert_listing(d, "2.b 3\n");
	pst_assert(k->warned == 2); /* it, and the index */
	drop_close(d);
}

static void
test_unreadable_message_is_told_and_comes_when_it_can_be_read(void **state)
{
	struct kit *k = *state;
	char path[512];

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	kit_path(k, "new/2.b", path);
	assert_int_equal(chmod(path, 0644), 0);
	kit_path(k, "new/1.a", path);
	assert_int_equal(chmod(path, 0), 0);
	assert_true(kit_run_read_only(k, find_unreadable));
	assert_int_equal(chmod(path, 0644), 0);
	assert_lists(k, "1.a 3\n2.b 3\n");
}

static void
find_closed(struct kit *k)
{
	assert_open_fails(k, PST_E_PERM);
}

static void
test_maildir_that_may_not_be_entered_is_refused_with_its_name(void **state)
{
	struct kit *k = *state;
	char closed[80], inner[128];

	if (geteuid() != 0)
		skip(); /* one's own folder can always be entered by setting its mode */
	(void)snprintf(closed, sizeof(closed), "%s/closed", k->root);
	(void)snprintf(inner, sizeof(inner), "%s/Maildir", closed);
	assert_int_equal(mkdir(closed, 0700), 0);
	assert_int_equal(rename(k->maildir, inner), 0);
	(void)snprintf(k->maildir, sizeof(k->maildir), "%s", inner);
	assert_true(kit_run_read_only(k, find_closed));
}

static void
test_full_disk_leaves_a_session_that_can_do_all(void **state)
{
	struct kit *k = *state;
	struct rlimit old, none;
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t idx = 0, removed;
	size_t n;
	char *wire;

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "xy\n");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	d = kit_open(k);
	assert_listing(d, "1.a 3\n2.b 4\n");
	wire = kit_fetch(d, 1, &n, &err);
	assert_non_null(wire);
	free(wire);
	assert_int_equal(drop_commit(d, &idx, 1, &removed, &err), 0);
	assert_int_equal(removed, 1);
	drop_close(d);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(k->warned, 2);
	assert_false(kit_exists(k, DROP_INDEX_SPARE));
	assert_lists(k, "2.b 4\n");
}

static void
test_message_that_cannot_be_read_is_looked_for_each_time(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	k->measure_errno = EIO;
	assert_lists(k, "");
	assert_string_equal(k->last_event, "maildir.unreadable");
	assert_non_null(strstr(k->last_text, "files=2"));
	assert_lists(k, "");
	k->measure_errno = 0; /* nothing about the folder shows that the disk is well again */
	assert_lists(k, "1.a 3\n2.b 3\n");
}

/* What could not be written down was not found out to be still for long enough either. */
static void
test_folder_is_not_trusted_after_a_write_that_failed(void **state)
{
	struct kit *k = *state;
	struct rlimit old, none;
	struct pst_maildrop *d;
	struct index ix;
	struct pst_err err;
	uint32_t idx = 1, removed;

	k->self.margin_ns = MAILDIR_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "cur", "2.b:2,", "x\n");
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	d = kit_open(k);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(drop_commit(d, &idx, 1, &removed, &err), 0);
	drop_close(d);
	assert_true(kit_load_index(k, &ix));
	assert_int_equal(ix.listed, 1);
	assert_false(ix.head.places[PLACE_NEW].is_trusted); /* nobody touched it in between */
	assert_false(ix.head.places[PLACE_CUR].is_trusted);
	index_clear(&ix);
}

static enum pst_fetch_result
try_open_now(struct kit *k, struct pst_maildrop **drop_out, struct pst_err *err)
{
	const struct pst_maildrop_spec spec = { .path = k->maildir, .user = PST_LIT("user") };

	return drop_open_now(&k->self, &spec, drop_out, err);
}

static void
test_poll_that_finds_nothing_new_opens_from_memory_alone(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d = NULL, *second = NULL;
	struct pst_err err;
	struct statfs fs;
	char *was, *is;

	assert_int_equal(statfs(k->maildir, &fs), 0);
	if (fs.f_type != EXT4_SUPER_MAGIC)
		skip(); /* others may always have to wait */
	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "cur", "2.b:2,S", "b\n");
	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_WAIT); /* no index yet */
	d = kit_open(k);
	was = kit_listing(d);
	assert_int_equal(try_open_now(k, &second, &err), PST_FETCH_ERROR);
	assert_int_equal(err.kind, PST_E_IN_USE);
	drop_close(d);

	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_OK);
	is = kit_listing(d);
	assert_string_equal(is, was);
	assert_true(drop_closes_now(d));
	assert_int_equal(kit_try_open(k, &second, &err), -1); /* it has the lock */
	assert_int_equal(err.kind, PST_E_IN_USE);
	drop_close(d);

	k->conf.max_messages = 1; /* for drop_open to say */
	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_WAIT);
	k->conf.max_messages = 2;
	kit_puts(k, "new", "3.c", "c\n");
	k->conf.max_messages = 3;
	assert_int_equal(try_open_now(k, &d, &err), PST_FETCH_WAIT);
	d = kit_open(k); /* the lock was let go */
	assert_int_equal(drop_count(d), 3);
	drop_close(d);
	free(was);
	free(is);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_unchanged_maildir_is_listed_from_the_index),
		T(test_folder_is_not_trusted_after_a_write_that_failed),
		T(test_poll_that_finds_nothing_new_opens_from_memory_alone),
		T(test_index_damaged_at_any_octet_never_shows),
		T(test_index_of_another_version_is_made_anew_without_a_warning),
		T(test_index_in_a_folder_of_its_own),
		T(test_read_only_maildir_can_be_read_and_quit_says_so),
		T(test_unreadable_message_is_told_and_comes_when_it_can_be_read),
		T(test_maildir_that_may_not_be_entered_is_refused_with_its_name),
		T(test_full_disk_leaves_a_session_that_can_do_all),
		T(test_message_that_cannot_be_read_is_looked_for_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
