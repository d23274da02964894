/* SPDX-License-Identifier: MIT */
/* The old server's list is told of new mail: what is written, when it cannot be, and whose turn it is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "storage/maildir/foreign.h"
#include "tests/unit/storage/kit.h"

#define LOCK "dovecot-uidlist.lock"

static void
put_list(const struct kit *k, const char *name, const char *text)
{
	char path[512];

	kit_path(k, name, path);
	kit_spew(path, text, strlen(text));
}

static void
assert_list(const struct kit *k, const char *name, const char *want)
{
	char path[512], *got;

	kit_path(k, name, path);
	(void)kit_slurp(path, &got);
	assert_string_equal(got, want);
	free(got);
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
assert_tidy(const struct kit *k)
{
	static const char *const names[] = { LOCK, LOCK ".postern", LOCK ".stale",
		                             FOREIGN_DOVECOT_LIST ".postern",
		                             FOREIGN_COURIER_LIST ".postern" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(kit_exists(k, names[i]));
}

static void
forget(const struct kit *k)
{
	static const char *const names[] = { DROP_INDEX_NAME, DROP_INDEX_SPARE, "postern.uidls" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (kit_exists(k, names[i]))
			kit_unlink(k, names[i]);
}

/* ---- What is written ---- */

/* In the order in which Dovecot numbers: the seconds, microseconds where both have them, the name. */
static void
test_new_mail_is_appended_in_dovecots_order(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "5.a:2,S", "\n");
	kit_puts(k, "new", "9.M10P1.x", "\n");
	kit_puts(k, "new", "9.M9P1.x", "\n");
	kit_puts(k, "cur", "1.early:2,FS", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N3 Gabc\n2 W5 Xkept :5.a:2,\n");
	assert_lists(k, "0000000200000001 2\n0000000300000001 2\n0000000400000001 2\n"
	                "0000000500000001 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST,
	            "3 V1 N3 Gabc\n2 W5 Xkept :5.a:2,\n3 P0000000300000001 :1.early\n"
	            "4 P0000000400000001 :9.M9P1.x\n5 P0000000500000001 :9.M10P1.x\n");
	assert_tidy(k);
}

static void
test_the_next_number_is_above_head_and_lines(void **state)
{
	static const struct {
		const char *list, *uidl;
	} cases[] = {
		{ "3 V1 N9\n2 :1.a\n", "9" },
		{ "3 V1 N2\n2 :1.a\n30 :gone\n", "31" },
		{ "3 N7 V1\n2 :1.a\n", "7" },
	};
	struct kit *k = *state;
	char want[64];
	size_t i;

	k->conf.dovecot_uidl_format = "%u";
	kit_puts(k, "new", "1.a", "\n");
	kit_puts(k, "new", "2.b", "\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_list(k, FOREIGN_DOVECOT_LIST, cases[i].list);
		(void)snprintf(want, sizeof(want), "2 2\n%s 2\n", cases[i].uidl);
		assert_lists(k, want);
		forget(k);
	}
}

static void
test_a_base_name_is_an_empty_p(void **state)
{
	struct kit *k = *state;

	k->conf.dovecot_uidl_format = "%f";
	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n");
	assert_lists(k, "1.a 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n1 P :1.a\n");
}

/* Behind a broken line Dovecot would number all anew, and a line that has no end would swallow ours. */
static void
test_a_damaged_list_is_written_whole(void **state)
{
	static const char *const lists[] = {
		"3 V1 N4 Gabc\n1 W9 :1.a:2,\n2 Pxx\nyy :2.b\n3 Xk PI :3.c\n",
		"3 V1 N4 Gabc\n1 W9 :1.a:2,\n3 Xk PI :3.c\n2 ",
		"3 V1 N4 Gabc\n1 W9 :1.a:2,\n#garbage\n3 Xk PI :3.c",
	};
	struct kit *k = *state;
	size_t i;

	kit_puts(k, "cur", "1.a:2,S", "\n");
	kit_puts(k, "new", "2.b", "\n");
	kit_puts(k, "new", "3.c", "\n");
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		put_list(k, FOREIGN_DOVECOT_LIST, lists[i]);
		assert_lists(k, "0000000100000001 2\nI 2\n0000000400000001 2\n");
		assert_list(k, FOREIGN_DOVECOT_LIST,
		            "3 V1 N5 Gabc\n1 W9 :1.a:2,\n3 Xk PI :3.c\n"
		            "4 P0000000400000001 :2.b\n");
		assert_tidy(k);
		forget(k);
	}
}

static void
test_version_1_becomes_version_3(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a b:2,S", "\n");
	kit_puts(k, "new", "2.b", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "1 7 5\n3 1.a b:2,S\n");
	assert_lists(k, "0000000300000007 2\n0000000500000007 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V7 N6\n3 :1.a b:2,S\n5 P0000000500000007 :2.b\n");
}

/* Of two lines with one UIDL, and of those that POP3 does not allow. */
static void
test_the_list_is_told_what_is_shown_instead(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "\n");
	kit_puts(k, "new", "2.b", "\n");
	kit_puts(k, "new", "3.c", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST,
	         "3 V1 N9 Q\n5 Psame W2 :1.a\n6 X Psame Y :2.b:2,\n7 P\351 :3.c\n");
	assert_lists(k, "same 2\n2.b 2\n3.c 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST,
	            "3 V1 N9 Q\n5 Psame W2 :1.a\n6 P X Y :2.b:2,\n7 P :3.c\n");
}

static void
test_couriers_list_is_written_as_courier_writes_it(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "2.b c:2,S", "\n");
	kit_puts(k, "new", "1.a", "a: \303\244\r\n\r\nx");
	kit_puts(k, "cur", "3.c:2,F", "a: b\n\n\303\244\n");
	put_list(k, FOREIGN_COURIER_LIST, "/3 7 99\n2.b c:2, 2 4:98:1\n");
	assert_lists(k, "UID7-99 12\nUID4-98 2\nUID8-99 12\n");
	assert_list(k, FOREIGN_COURIER_LIST,
	            "/3 9 99\n2.b c:2, 2 4:98:1\n1.a:2, 12 7:99:1\n3.c:2,F 12 8:99:0\n");
	assert_tidy(k);
}

static void
test_without_the_setting_nothing_is_written(void **state)
{
	struct kit *k = *state;

	k->conf.old_server_write = false;
	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n");
	assert_lists(k, "1.a 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n");
}

static void
test_without_uidvalidity_or_numbers_nothing_is_written(void **state)
{
	static const char *const lists[] = { "3 N1\n9 P1 :gone\n", "3 V1 N4294967295\n",
		                             "3 V1 N1\n4294967294 :gone\n" };
	struct kit *k = *state;
	size_t i;

	kit_puts(k, "new", "1.a", "\n");
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		put_list(k, FOREIGN_DOVECOT_LIST, lists[i]);
		assert_lists(k, "1.a 2\n");
		assert_list(k, FOREIGN_DOVECOT_LIST, lists[i]);
		assert_tidy(k);
		forget(k);
	}
}

/* ---- The lock ---- */

static void
set_age(const struct kit *k, const char *name, int64_t seconds)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		                     { .tv_sec = time(NULL) - seconds } };
	char path[512];

	kit_path(k, name, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
test_anothers_lock_is_waited_for_and_then_owed(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,", "\n");
	kit_puts(k, "new", "2.b", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n");
	put_list(k, LOCK, "1:elsewhere");
	set_age(k, LOCK, 110);
	assert_lists(k, "0000000100000001 2\n2.b 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n");
	assert_list(k, LOCK, "1:elsewhere");
	kit_unlink(k, LOCK);
	assert_tidy(k);
	/* nothing moved, and it is told all the same */
	assert_lists(k, "0000000100000001 2\n2.b 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n2 P :2.b\n");
	k->logged = 0;
	assert_lists(k, "0000000100000001 2\n2.b 2\n");
	assert_int_equal(k->logged, 0);
}

static void
test_an_old_lock_is_nobodys(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n");
	put_list(k, LOCK, "1:elsewhere");
	set_age(k, LOCK, 125);
	assert_lists(k, "0000000100000001 2\n");
	assert_tidy(k);
}

static void
test_the_lock_of_a_dead_session_is_known(void **state)
{
	struct kit *k = *state;
	char lock[512], second[512];

	kit_puts(k, "new", "1.a", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N1\n");
	put_list(k, LOCK, "1:here");
	kit_path(k, LOCK, lock);
	kit_path(k, LOCK ".postern", second);
	assert_int_equal(link(lock, second), 0);
	assert_lists(k, "0000000100000001 2\n");
	assert_tidy(k);
}

/* ---- What another does meanwhile ---- */

/* The list was read and the lock is about to be taken: now Dovecot numbers one of the new messages,
 * and another of which we do not know yet. */
static struct kit *numbering;

static int64_t
dovecot_numbers(void)
{
	if (numbering != NULL)
		put_list(numbering, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n2 :0.other\n3 :2.b\n");
	numbering = NULL;
	return pst_now_ms();
}

static void
test_what_dovecot_wrote_meanwhile_counts(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n");
	assert_lists(k, "0000000100000001 2\n");
	let_clock_tick();
	kit_puts(k, "new", "2.b", "\n");
	kit_puts(k, "new", "3.c", "\n");
	numbering = k;
	k->host.now_ms = dovecot_numbers;
	assert_lists(k, "0000000100000001 2\n0000000300000001 2\n0000000400000001 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST,
	            "3 V1 N2\n1 :1.a\n2 :0.other\n3 :2.b\n"
	            "4 P0000000400000001 :3.c\n");
}

/* The number that a message had is not another's, though its line is left out in the end. */
static void
test_no_number_comes_again(void **state)
{
	struct kit *k = *state;
	char want[64], *list = malloc(65536);
	size_t n = (size_t)snprintf(list, 65536, "3 V1 N2\n");
	unsigned i;

	k->conf.dovecot_uidl_format = "%u";
	for (i = 1; i <= 400; i++)
		n += (size_t)snprintf(list + n, 65536 - n, "%u :gone%u\n", i, i);
	put_list(k, FOREIGN_DOVECOT_LIST, list);
	free(list);
	kit_puts(k, "new", "1.a", "\n");
	assert_lists(k, "401 2\n");
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N402\n401 P401 :1.a\n");
	let_clock_tick();
	kit_unlink(k, "new/1.a");
	kit_puts(k, "new", "2.b", "\n");
	(void)snprintf(want, sizeof(want), "%u 2\n", 402);
	assert_lists(k, want);
}

/* ---- Where it may not be written ---- */

static void
let_all_read(const struct kit *k, const char *name)
{
	char path[512];

	kit_path(k, name, path);
	assert_int_equal(chmod(path, 0444), 0);
}

static void
open_read_only(struct kit *k)
{
	assert_lists(k, "0000000100000001 2\n2.b 2\n");
	assert_true(k->warned > 0);
}

static void
test_a_list_that_may_not_be_written_stays(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1.a:2,", "\n");
	kit_puts(k, "new", "2.b", "\n");
	put_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n");
	let_all_read(k, "cur/1.a:2,");
	let_all_read(k, "new/2.b");
	let_all_read(k, FOREIGN_DOVECOT_LIST);
	assert_true(kit_run_read_only(k, open_read_only));
	assert_list(k, FOREIGN_DOVECOT_LIST, "3 V1 N2\n1 :1.a\n");
}

static void
test_the_control_folder_of_a_user(void **state)
{
	static const struct {
		const char *template, *user, *want;
	} cases[] = {
		{ "/c/%{user}", "u@d.example", "/c/u@d.example" },
		{ "/c/%{domain}/%{local}/x", "a@b@d", "/c/d/a@b/x" },
		{ "/c", "", "/c" },
		{ "/c/%{user}", "", NULL },
		{ "/c/%{domain}", "u", NULL },
		{ "/c/%{local}", "../u@d", NULL },
		{ "/c/%{user}", "u/../../x", NULL },
		{ "/c/%{home}", "u@d", NULL },
		{ "/c/%u", "u@d", NULL },
		{ "/c/%{user", "u@d", NULL },
		{ "/c/%", "u@d", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mem path = { NULL, 0 };
		struct pst_err err;
		int rc = drop_control(cases[i].template, pst_str_c(cases[i].user), &path, &err);

		assert_int_equal(rc, cases[i].want == NULL ? -1 : 0);
		if (cases[i].want != NULL)
			assert_string_equal(path.p, cases[i].want);
		mem_drop(&path);
	}
}

#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KIT(test_new_mail_is_appended_in_dovecots_order),
		WITH_KIT(test_the_next_number_is_above_head_and_lines),
		WITH_KIT(test_a_base_name_is_an_empty_p),
		WITH_KIT(test_a_damaged_list_is_written_whole),
		WITH_KIT(test_version_1_becomes_version_3),
		WITH_KIT(test_the_list_is_told_what_is_shown_instead),
		WITH_KIT(test_couriers_list_is_written_as_courier_writes_it),
		WITH_KIT(test_without_the_setting_nothing_is_written),
		WITH_KIT(test_without_uidvalidity_or_numbers_nothing_is_written),
		WITH_KIT(test_anothers_lock_is_waited_for_and_then_owed),
		WITH_KIT(test_an_old_lock_is_nobodys),
		WITH_KIT(test_the_lock_of_a_dead_session_is_known),
		WITH_KIT(test_what_dovecot_wrote_meanwhile_counts),
		WITH_KIT(test_no_number_comes_again),
		WITH_KIT(test_a_list_that_may_not_be_written_stays),
		cmocka_unit_test(test_the_control_folder_of_a_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
