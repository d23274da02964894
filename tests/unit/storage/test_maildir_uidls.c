/* SPDX-License-Identifier: MIT */
/* UIDLs of a Maildir by settings: given once, on record, the same whatever becomes of index, names and
 * settings; and refused where very many would change. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/maildir/record.h"
#include "tests/unit/storage/kit.h"

/* Long enough to have a print. */
#define TEXT "Received: from a by b; 1\nMessage-ID: <%u@x>\nSubject: a message\n\nbody %u\n"

static void
put(const struct kit *k, const char *name, unsigned id)
{
	char text[200];

	(void)snprintf(text, sizeof(text), TEXT, id, id);
	kit_puts(k, "cur", name, text);
}

static void
put_many(const struct kit *k, unsigned from, unsigned n)
{
	char name[40];
	unsigned i;

	for (i = from; i < from + n; i++) {
		(void)snprintf(name, sizeof(name), "17000%05u.M%uP1.h:2,S", i, i);
		put(k, name, i);
	}
}

/* So that what is done next shows in the directories' times, and comes after the last listing. */
static void
tick(void)
{
	(void)nanosleep(&(struct timespec){ 0, 12000000 }, NULL);
}

/* UIDLs with a blank behind each. malloc'ed. */
static char *
uidls(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	char *text = calloc(1, (size_t)drop_count(d) * 72 + 1);
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < drop_count(d); i++) {
		struct pst_message m = kit_message(d, i);

		memcpy(text + n, m.uidl.p, m.uidl.n);
		n += m.uidl.n;
		text[n++] = ' ';
	}
	drop_close(d);
	return text;
}

static void
assert_uidls(struct kit *k, const char *want)
{
	char *got = uidls(k);

	assert_string_equal(got, want);
	free(got);
}

static void
forget_index(const struct kit *k)
{
	kit_unlink(k, DROP_INDEX_NAME);
	if (kit_exists(k, DROP_INDEX_SPARE))
		kit_unlink(k, DROP_INDEX_SPARE);
}

static void
assert_refused(struct kit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;

	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_string_equal(k->last_event, "maildir.uidls_would_change");
	assert_non_null(strstr(k->last_text, "posternctl uidl accept test"));
}

/* ---- Formats ---- */

static void
test_each_setting_makes_its_uidls(void **state)
{
	static const struct {
		const char *uidl, *want;
	} cases[] = {
		{ "basename", "1.a 2.b=c " },
		{ "qmail", "1.a 2.b=c " },
		/* printf 1.a | md5sum */
		{ "tpop3d", "c7c9c7e8cdfb5a8a1ad1b9ed2b0b7d47 " },
		{ "%f-x", "1.a-x 2.b=c-x " },
		{ "%{filename | upper}", "1.A 2.B=C " },
		{ "x_uidl", "own-1 2.b=c " },
	};
	struct kit *k = *state;
	char *got;
	size_t i;

	kit_puts(k, "cur", "1.a:2,S", "X-UIDL: own-1 \nDate: d\n\nb\n");
	kit_puts(k, "new", "2.b=c", "Date: d\nX-UIDL: folded\n trick\n\nb\n");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kit_policy(k, cases[i].uidl);
		got = uidls(k);
		if (i != 2)
			assert_string_equal(got, cases[i].want);
		else
			assert_int_equal(strlen(got), 2 * 33);
		free(got);
		assert_false(kit_exists(k, RECORD_NAME)); /* the mail tells them all */
		forget_index(k);
	}
}

/* The sums are of md5sum(1) over the octets that the servers' rules say. */
static void
test_header_sums_are_those_of_the_old_servers(void **state)
{
	static const char text[] =
		"From: x\nReceived: one\n\tmore\nDelivered-To: d\nReceived: two\n"
		"Date: not counted\nX-Delivery-ID:  q\n\nbody\n";
	static const char lines[] = "Received: one\n\tmore\nDelivered-To: d\nX-Delivery-ID:  q\n";
	struct kit *k = *state;
	uint8_t sum[16];
	char want[40];
	int i;

	kit_puts(k, "cur", "1.a:2,S", text);
	kit_policy(k, "dovecot_md5");
	k->host.md5("one\tmoredq", 10, sum);
	for (i = 0; i < 16; i++)
		(void)snprintf(want + 2 * i, 3, "%02x", sum[i]);
	want[32] = ' ';
	want[33] = '\0';
	assert_uidls(k, want);
	forget_index(k);
	kit_policy(k, "popa3d");
	k->host.md5(lines, sizeof(lines) - 1, sum);
	for (i = 0; i < 8; i++)
		(void)snprintf(want + 2 * i, 3, "%02x", sum[i < 4 ? 3 - i : 11 - i]);
	want[16] = ' ';
	want[17] = '\0';
	assert_uidls(k, want);
}

static void
test_digests_tell_messages_apart_and_equal_ones_too(void **state)
{
	struct kit *k = *state;
	char *one, *two;

	kit_policy(k, "digest");
	put(k, "1.a:2,S", 1);
	put(k, "2.b:2,S", 2);
	put(k, "3.c:2,S", 1); /* as the first */
	one = uidls(k);
	assert_memory_equal(one, "digest:", 7);
	assert_memory_equal(one + 48, "digest:", 7);
	assert_string_equal(one + 96, "3.c ");   /* its digest is taken */
	assert_true(kit_exists(k, RECORD_NAME)); /* the third is not told by the mail */
	forget_index(k);
	tick();
	kit_unlink(k, "cur/1.a:2,S");
	two = uidls(k);
	assert_string_equal(two, one + 48);
	free(one);
	free(two);
}

/* ---- Numbers ---- */

static void
test_numbers_grow_and_survive_the_index(void **state)
{
	struct kit *k = *state;
	char *one, *two;
	int i;

	kit_policy(k, "%u");
	put_many(k, 1, 3);
	one = uidls(k);
	forget_index(k);
	assert_uidls(k, one);
	tick();
	put_many(k, 4, 1);
	two = uidls(k);
	assert_memory_equal(one, two, strlen(one));
	assert_true(strtoul(two + strlen(one), NULL, 10) > strtoul(one, NULL, 10));
	free(one);
	/* The highest one goes, the index too: its number is not given again. */
	kit_unlink(k, "cur/1700000004.M4P1.h:2,S");
	tick();
	one = uidls(k);
	forget_index(k);
	for (i = 0; i < 3; i++) {
		tick();
		put_many(k, 5 + (unsigned)i, 1);
		free(one);
		one = uidls(k);
		assert_null(strstr(one, two + strlen(two) - 11));
	}
	free(one);
	free(two);
}

static void
test_a_validity_and_two_numbers(void **state)
{
	struct kit *k = *state;
	char *got, want[64];

	kit_policy(k, "cyrus");
	put_many(k, 1, 2);
	got = uidls(k);
	(void)snprintf(want, sizeof(want), "%.10s.1 %.10s.2 ", got, got);
	assert_string_equal(got, want);
	free(got);
}

static void
test_a_copied_ledger_or_a_newer_index_takes_a_new_validity(void **state)
{
	struct kit *k = *state;
	char ledger[512], *one, *two, *text;
	size_t n;

	kit_policy(k, "%v.%u");
	put_many(k, 1, 2);
	one = uidls(k);
	kit_path(k, RECORD_NAME, ledger);
	n = kit_slurp(ledger, &text);
	tick();
	put_many(k, 3, 1);
	free(uidls(k));
	kit_unlink(k, "cur/1700000003.M3P1.h:2,S");
	assert_int_equal(unlink(ledger), 0); /* restored as it was before the third */
	kit_spew(ledger, text, n);
	free(text);
	forget_index(k);
	tick();
	put_many(k, 4, 1);
	two = uidls(k);
	assert_memory_equal(two, one, strlen(one));
	assert_true(strtoul(two + strlen(one), NULL, 10) > strtoul(one, NULL, 10));
	free(one);
	assert_uidls(k, two);
	free(two);
}

static void
test_another_setting_changes_nothing_that_was_shown(void **state)
{
	static const char *const settings[] = { "basename", "dovecot", "%f",
		                                "digest",   "courier", "popa3d" };
	struct kit *k = *state;
	char *shown = calloc(1, 1), *now;
	unsigned i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		kit_policy(k, settings[i]);
		put_many(k, 10 * i, 2);
		now = uidls(k);
		assert_memory_equal(now, shown, strlen(shown));
		free(shown);
		shown = now;
		tick();
	}
	kit_policy(k, "uw");
	assert_uidls(k, shown); /* nothing new: the change alone puts all on record */
	forget_index(k);
	assert_uidls(k, shown);
	free(shown);
}

/* ---- Names that change ---- */

static void
test_renamed_files_keep_their_uidls(void **state)
{
	struct kit *k = *state;
	char from[64], to[64];
	unsigned i;

	put_many(k, 1, 5);
	free(uidls(k));
	tick();
	for (i = 1; i <= 5; i++) {
		(void)snprintf(from, sizeof(from), "cur/17000%05u.M%uP1.h:2,S", i, i);
		(void)snprintf(to, sizeof(to), "cur/18000%05u.other", i);
		kit_rename(k, from, to);
	}
	assert_uidls(k, "1700000001.M1P1.h 1700000002.M2P1.h 1700000003.M3P1.h 1700000004.M4P1.h "
	                "1700000005.M5P1.h ");
	forget_index(k);
	assert_uidls(k, "1700000001.M1P1.h 1700000002.M2P1.h 1700000003.M3P1.h 1700000004.M4P1.h "
	                "1700000005.M5P1.h ");
	/* The first name comes again: it is another message. */
	tick();
	put(k, "1700000001.M1P1.h:2,S", 99);
	{
		char *got = uidls(k);

		assert_memory_equal(got, "sha256:", 7);
		free(got);
	}
}

static void
test_all_files_copied_under_new_names_keep_their_uidls(void **state)
{
	struct kit *k = *state;
	char name[64], *before, *after;
	unsigned i;

	put_many(k, 1, 40);
	before = uidls(k);
	tick();
	for (i = 1; i <= 40; i++) { /* new inodes, new times, the octets are the same */
		(void)snprintf(name, sizeof(name), "cur/17000%05u.M%uP1.h:2,S", i, i);
		kit_unlink(k, name);
		(void)snprintf(name, sizeof(name), "19000%05u.copy", i);
		put(k, name, i);
	}
	after = uidls(k);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void
test_equal_mail_that_comes_later_is_another(void **state)
{
	struct kit *k = *state;

	put(k, "1.a:2,S", 7);
	assert_uidls(k, "1.a ");
	tick();
	kit_unlink(k, "cur/1.a:2,S");
	put(k, "2.b:2,S", 7);
	assert_uidls(k, "2.b ");
}

/* ---- The guard ---- */

static void
replace_all(struct kit *k, unsigned n)
{
	char name[64];
	unsigned i;

	for (i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "cur/17000%05u.M%uP1.h:2,S", i, i);
		if (kit_exists(k, name))
			kit_unlink(k, name);
		(void)snprintf(name, sizeof(name), "1700000000.x%u", i);
		put(k, name, 1000 + i);
	}
}

static char *
octets_of(const struct kit *k, const char *name)
{
	char path[512], *text;

	kit_path(k, name, path);
	(void)kit_slurp(path, &text);
	return text;
}

static void
test_a_maildrop_of_other_mail_is_refused_until_accepted(void **state)
{
	struct kit *k = *state;
	struct stat before, after;
	char path[512], *got;

	kit_policy(k, "cyrus");
	put_many(k, 1, 40);
	free(uidls(k));
	tick();
	replace_all(k, 40);
	kit_path(k, DROP_INDEX_NAME, path);
	assert_int_equal(stat(path, &before), 0);
	assert_refused(k);
	assert_refused(k);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	kit_path(k, RECORD_NAME, path);
	assert_int_equal(stat(path, &after), 0);
	got = octets_of(k, RECORD_NAME);
	free(got);
	k->open_flags = PST_OPEN_ACCEPT_UIDLS;
	got = uidls(k);
	k->open_flags = 0;
	assert_uidls(k, got);
	free(got);
}

static void
test_few_changes_mass_deletion_and_new_mail_are_no_reason(void **state)
{
	struct kit *k = *state;
	char name[64], *got;
	unsigned i;

	put_many(k, 1, 60);
	free(uidls(k));
	tick();
	replace_all(k, 9); /* fewer than guard_min */
	free(uidls(k));
	tick();
	for (i = 10; i <= 50; i++) {
		(void)snprintf(name, sizeof(name), "cur/17000%05u.M%uP1.h:2,S", i, i);
		kit_unlink(k, name);
	}
	free(uidls(k));
	tick();
	put_many(k, 100, 300); /* another's mail is copied in: all that was known stays */
	got = uidls(k);
	free(got);
	assert_int_equal(k->self.conf->guard_share, 20);
}

/* Mail goes through IMAP and other mail comes, all day. */
static void
test_everyday_life_is_no_reason(void **state)
{
	struct kit *k = *state;
	char name[80], path[600];
	unsigned i;

	put_many(k, 1, 30);
	free(uidls(k));
	tick();
	for (i = 1; i <= 30; i++) {
		struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };

		(void)snprintf(name, sizeof(name), "cur/17000%05u.M%uP1.h:2,S", i, i);
		kit_unlink(k, name);
		(void)snprintf(name, sizeof(name), "%ld.M%uP1.h", (long)time(NULL) + 100, i);
		put(k, name, 500 + i);
		(void)snprintf(path, sizeof(path), "%s/cur/%s", k->maildir, name);
		times[1].tv_sec = time(NULL) + (time_t)i * 60;
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
	free(uidls(k));
	assert_string_not_equal(k->last_event, "maildir.uidls_would_change");
}

static void
test_a_ledger_that_tells_nothing_refuses(void **state)
{
	struct kit *k = *state;
	char path[512], *got;

	kit_policy(k, "cyrus");
	put_many(k, 1, 3);
	free(uidls(k));
	kit_path(k, RECORD_NAME, path);
	kit_spew(path, "nonsense", 8);
	forget_index(k);
	assert_refused(k);
	k->open_flags = PST_OPEN_ACCEPT_UIDLS;
	got = uidls(k);
	k->open_flags = 0;
	assert_uidls(k, got);
	forget_index(k);
	assert_uidls(k, got);
	free(got);
}

/* ---- A full disk ---- */

static void
test_what_cannot_be_written_down_is_not_shown(void **state)
{
	struct kit *k = *state;
	struct rlimit old, none = { 0, 0 };
	struct pst_maildrop *d;
	char *before, *after;
	uint32_t idx[1] = { 0 }, removed;
	struct pst_err err;

	kit_policy(k, "cyrus");
	put_many(k, 1, 3);
	before = uidls(k);
	tick();
	put_many(k, 4, 2);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	d = kit_open(k);
	assert_int_equal(drop_count(d), 3);
	assert_true(k->warned > 0);
	assert_int_equal(drop_commit(d, idx, 1, &removed, &err), 0);
	assert_int_equal(removed, 1);
	drop_close(d);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	after = uidls(k);
	assert_memory_equal(after, before + strlen(before) / 3, strlen(before) / 3 * 2);
	assert_int_equal(strlen(after), strlen(before) / 3 * 4);
	forget_index(k);
	assert_uidls(k, after);
	free(before);
	free(after);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	static const struct CMUnitTest tests[] = {
		T(test_each_setting_makes_its_uidls),
		T(test_header_sums_are_those_of_the_old_servers),
		T(test_digests_tell_messages_apart_and_equal_ones_too),
		T(test_numbers_grow_and_survive_the_index),
		T(test_a_validity_and_two_numbers),
		T(test_a_copied_ledger_or_a_newer_index_takes_a_new_validity),
		T(test_another_setting_changes_nothing_that_was_shown),
		T(test_renamed_files_keep_their_uidls),
		T(test_all_files_copied_under_new_names_keep_their_uidls),
		T(test_equal_mail_that_comes_later_is_another),
		T(test_a_maildrop_of_other_mail_is_refused_until_accepted),
		T(test_few_changes_mass_deletion_and_new_mail_are_no_reason),
		T(test_everyday_life_is_no_reason),
		T(test_a_ledger_that_tells_nothing_refuses),
		T(test_what_cannot_be_written_down_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
