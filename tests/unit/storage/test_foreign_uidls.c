/* SPDX-License-Identifier: MIT */
/* UIDLs of an old server in a Maildir that is served: taken over once, kept, never given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/maildir/foreign.h"
#include "storage/maildir/record.h"
#include "tests/unit/storage/kit.h"

#define LONG_KEEP_NS INT64_C(3600000000000)

static void
put_list(const struct kit *k, const char *name, const char *text)
{
	char path[512];

	kit_path(k, name, path);
	kit_spew(path, text, strlen(text));
}

static void
assert_lists(struct kit *k, const char *want)
{
	struct pst_maildrop *d = kit_open(k);
	char *got = kit_listing(d);

	drop_close(d);
	assert_string_equal(got, want);
	free(got);
}

static void
let_clock_tick(void)
{
	struct timespec ts = { 0, 12000000 };

	(void)nanosleep(&ts, NULL);
}

static void
forget(const struct kit *k)
{
	kit_unlink(k, DROP_INDEX_NAME);
	if (kit_exists(k, DROP_INDEX_SPARE))
		kit_unlink(k, DROP_INDEX_SPARE);
}

static void
test_a_list_names_and_orders_what_is_there(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,S", "\n");
	kit_puts(k, "new", "2.b", "\n");
	kit_puts(k, "new", "3.c", "\n");
	kit_puts(k, "new", "4.d", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N9\n5 :4.d\n6 PUID1-1 :1.a:2,\n7 P :3.c\n");
	assert_lists(k, "0000000500000001 2\nUID1-1 2\n3.c 2\n0000000900000001 2\n");
	assert_int_equal(k->warned, 0);
	assert_string_equal(k->last_event, "maildir.uidls_taken_over");
	kit_unlink(k, FOREIGN_DOVECOT_LIST);
	assert_lists(k, "0000000500000001 2\nUID1-1 2\n3.c 2\n0000000900000001 2\n");
	let_clock_tick();
	kit_rename(k, "new/4.d", "cur/4.d:2,S");
	kit_puts(k, "new", "9.z", "\n");
	assert_lists(k, "0000000500000001 2\nUID1-1 2\n3.c 2\n0000000900000001 2\n9.z 2\n");
}

static void
test_what_was_shown_outlives_what_a_list_says_later(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "\n");
	assert_lists(k, "1.a 2\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N9\n5 :1.a\n6 :2.b\n");
	let_clock_tick();
	kit_puts(k, "new", "2.b", "\n");
	assert_lists(k, "1.a 2\n0000000600000001 2\n");
}

static void
test_equal_uidls_are_told_apart_and_that_stays(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "\n");
	kit_puts(k, "new", "2.b", "\n");
	kit_puts(k, "new", "3.c", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N9\n5 Psame :2.b\n6 Psame :1.a\n7 P2.b :3.c\n");
	assert_lists(k, "same 2\n1.a 2\n2.b 2\n");
	assert_int_equal(k->warned, 1);
	assert_string_equal(k->last_event, "maildir.uidls_taken_over");
	let_clock_tick();
	kit_unlink(k, "new/2.b");
	assert_lists(k, "1.a 2\n2.b 2\n");
	forget(k);
	assert_lists(k, "1.a 2\n2.b 2\n"); /* not "same", though its owner is gone */
}

static void
test_a_uidl_that_another_has_is_not_given(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_message m;
	char third[47];

	k->conf.old_server_write = false;
	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N9\n5 P2.b :1.a\n6 P3.c :gone\n");
	assert_lists(k, "2.b 2\n");
	let_clock_tick();
	kit_puts(k, "new", "2.b", "\n"); /* its own name is the other's UIDL */
	kit_puts(k, "new", "3.c", "\n"); /* and that of one that is no longer there */
	d = kit_open(k);
	assert_int_equal(drop_count(d), 3);
	m = kit_message(d, 1);
	assert_int_equal(m.uidl.n, 47);
	assert_memory_equal(m.uidl.p, "sha256:", 7);
	m = kit_message(d, 2);
	assert_memory_equal(m.uidl.p, "sha256:", 7);
	memcpy(third, m.uidl.p, sizeof(third));
	drop_close(d);
	kit_unlink(k, FOREIGN_DOVECOT_LIST); /* what was shown is looked at without it too */
	let_clock_tick();
	kit_unlink(k, "new/2.b");
	d = kit_open(k);
	assert_int_equal(drop_count(d), 2);
	m = kit_message(d, 1);
	assert_int_equal(m.uidl.n, 47);
	assert_memory_equal(m.uidl.p, third, 47);
	drop_close(d);
}

static void
test_a_missed_message_comes_back_with_its_uidl(void **state)
{
	struct kit *k = *state;

	k->self.keep_ns = LONG_KEEP_NS;
	kit_puts(k, "new", "1.a", "\n");
	kit_puts(k, "new", "2.b", "\n");
	put_list(k, FOREIGN_COURIER_LIST, "/3 9 17\n1.a:2, 2 1:17:0\n2.b:2, 2 2:17:0\n");
	assert_lists(k, "UID1-17 2\nUID2-17 2\n");
	kit_unlink(k, FOREIGN_COURIER_LIST);
	let_clock_tick();
	kit_rename(k, "new/1.a", "away");
	assert_lists(k, "UID2-17 2\n");
	let_clock_tick();
	kit_rename(k, "away", "cur/1.a:2,S");
	assert_lists(k, "UID1-17 2\nUID2-17 2\n");
}

static void
test_a_bad_list_refuses_while_nothing_was_shown(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;

	put_list(k, FOREIGN_DOVECOT_LIST, "garbage\n");
	assert_lists(k, ""); /* nothing to name */
	let_clock_tick();
	kit_puts(k, "new", "1.a", "\n");
	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_non_null(strstr(err.text, FOREIGN_DOVECOT_LIST ":1"));
	kit_unlink(k, FOREIGN_DOVECOT_LIST);
	assert_lists(k, "1.a 2\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "garbage\n");
	let_clock_tick();
	kit_puts(k, "new", "2.b", "\n");
	assert_lists(k, "1.a 2\n2.b 2\n");
	assert_string_equal(k->last_event, "maildir.list_damaged");
}

static void
test_a_list_that_is_no_file_refuses(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	char path[512];

	kit_puts(k, "new", "1.a", "\n");
	kit_path(k, FOREIGN_COURIER_LIST, path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	k->conf.old_server = MAILDIR_OLD_DOVECOT;
	assert_lists(k, "1.a 2\n");
}

static void
test_the_setting_says_whose_list_counts(void **state)
{
	static const char *const want[] = { "D 2\n", "D 2\n", "UID7 2\n", "1.a 2\n" };
	struct kit *k = *state;
	int old;

	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N9\n5 PD :1.a\n");
	put_list(k, FOREIGN_COURIER_LIST, "/1 9\n1.a:2, 2 7\n");
	for (old = MAILDIR_OLD_AUTO; old <= MAILDIR_OLD_NONE; old++) {
		k->conf.old_server = old;
		assert_lists(k, want[old]);
		forget(k);
		if (kit_exists(k, RECORD_NAME)) /* what was shown would stay */
			kit_unlink(k, RECORD_NAME);
	}
}

static void
test_dovecot_uidvalidity_stands_in(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 N9\n5 :1.a\n");
	put_list(k, FOREIGN_DOVECOT_VALIDITY, "4c0907b0");
	assert_lists(k, "000000054c0907b0 2\n");
	assert_int_equal(k->warned, 1);
}

int
main(void)
{
#define WITH_KIT(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	static const struct CMUnitTest tests[] = {
		WITH_KIT(test_a_list_names_and_orders_what_is_there),
		WITH_KIT(test_what_was_shown_outlives_what_a_list_says_later),
		WITH_KIT(test_equal_uidls_are_told_apart_and_that_stays),
		WITH_KIT(test_a_uidl_that_another_has_is_not_given),
		WITH_KIT(test_a_missed_message_comes_back_with_its_uidl),
		WITH_KIT(test_a_bad_list_refuses_while_nothing_was_shown),
		WITH_KIT(test_a_list_that_is_no_file_refuses),
		WITH_KIT(test_the_setting_says_whose_list_counts),
		WITH_KIT(test_dovecot_uidvalidity_stands_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
