/* SPDX-License-Identifier: MIT */
/* UIDLs of an mbox by settings: on record, nobody's again, guarded; see also test_maildir_uidls.c. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/mboxkit.h"

static void
add(const struct mboxkit *k, unsigned number, const char *more)
{
	char text[300];

	(void)snprintf(text, sizeof(text),
	               "From a@b Thu Jan  1 00:%02u:%02u 2015\n%sSubject: %u\n\ntext %u\n\n",
	               number / 60 % 60, number % 60, more, number, number);
	if (access(k->path, F_OK) == 0)
		mboxkit_adds(k, text);
	else
		mboxkit_puts(k, text);
}

static char *
uidls(struct mboxkit *k)
{
	struct pst_maildrop *d = mboxkit_open(k);
	char *text = calloc(1, (size_t)mbox_count(d) * 72 + 1);
	struct pst_message m;
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < mbox_count(d); i++) {
		mbox_message_of(d, i, &m);
		memcpy(text + n, m.uidl.p, m.uidl.n);
		n += m.uidl.n;
		text[n++] = ' ';
	}
	mbox_close(d);
	return text;
}

static void
forget_index(const struct mboxkit *k)
{
	char name[600];

	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index", k->root);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index.spare", k->root);
	(void)unlink(name);
}

static bool
has_ledger(const struct mboxkit *k)
{
	char name[600];

	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.uidls", k->root);
	return access(name, F_OK) == 0;
}

static void
assert_uidls(struct mboxkit *k, const char *want)
{
	char *got = uidls(k);

	assert_string_equal(got, want);
	free(got);
}

static void
test_numbers_survive_the_index_and_are_not_given_again(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t last[1] = { 2 };
	struct pst_err err;
	char *one, *two;

	mboxkit_policy(k, "cyrus_courier");
	add(k, 1, "");
	add(k, 2, "");
	add(k, 3, "");
	one = uidls(k);
	forget_index(k);
	assert_uidls(k, one);
	assert_int_equal(mboxkit_remove(k, last, 1, &err), 0);
	forget_index(k);
	add(k, 3, ""); /* the same octets, sent again: the removed one's number is not its */
	two = uidls(k);
	assert_memory_equal(one, two, strlen(one) / 3 * 2);
	assert_string_not_equal(one, two);
	forget_index(k);
	assert_uidls(k, two);
	free(one);
	free(two);
}

static void
test_a_digest_needs_no_ledger_but_its_duplicates_do(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t first[1] = { 0 };
	struct pst_err err;
	char *all;

	add(k, 1, "");
	add(k, 2, "");
	free(uidls(k));
	assert_false(has_ledger(k));
	add(k, 1, "");
	all = uidls(k);
	assert_true(has_ledger(k));
	assert_int_equal(mboxkit_remove(k, first, 1, &err), 0);
	forget_index(k);
	assert_uidls(k, strchr(all, ' ') + 1); /* the second of the equal ones stays it */
	free(all);
}

static void
test_numbers_of_the_mail_count_and_others_are_given(void **state)
{
	struct mboxkit *k = *state;
	char *got;

	mboxkit_policy(k, "%u");
	add(k, 1, "X-IMAPbase: 77 0000000009\nX-UID: 4\n");
	add(k, 2, "X-UID: 9\n");
	add(k, 3, "");
	got = uidls(k);
	assert_memory_equal(got, "4 9 ", 4);
	assert_true(strtoul(got + 4, NULL, 10) > 1000000000);
	free(got);
}

static void
test_another_setting_changes_nothing_that_was_shown(void **state)
{
	static const char *const settings[] = { "digest", "popa3d",      "tpop3d",
		                                "cyrus",  "dovecot_md5", "%v-%u" };
	struct mboxkit *k = *state;
	char *shown = calloc(1, 1), *now;
	unsigned i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		mboxkit_policy(k, settings[i]);
		add(k, 10 + i, "Date: d\n");
		now = uidls(k);
		assert_memory_equal(now, shown, strlen(shown));
		free(shown);
		shown = now;
	}
	mboxkit_policy(k, "digest");
	assert_uidls(k, shown);
	forget_index(k);
	assert_uidls(k, shown);
	free(shown);
}

static void
test_a_rewritten_mbox_is_refused_until_accepted(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	unsigned i;
	char *got;

	for (i = 0; i < 30; i++)
		add(k, i, "");
	free(uidls(k));
	assert_int_equal(truncate(k->path, 0), 0);
	for (i = 0; i < 30; i++)
		add(k, i, "X-Spam: no\n");
	for (i = 0; i < 2; i++) {
		assert_int_equal(mboxkit_try_open(k, &d, &err), -1);
		assert_int_equal(err.kind, PST_E_TEMP);
		assert_string_equal(k->last_event, "mbox.uidls_would_change");
	}
	k->open_flags = PST_OPEN_ACCEPT_UIDLS;
	got = uidls(k);
	k->open_flags = 0;
	assert_uidls(k, got);
	free(got);
	assert_int_equal(truncate(k->path, 0), 0); /* all is gone: no reason */
	assert_uidls(k, "");
}

static void
test_what_cannot_be_written_down_is_not_shown(void **state)
{
	struct mboxkit *k = *state;
	struct rlimit old, none = { 0, 0 };
	char *before, *now;

	mboxkit_policy(k, "cyrus_courier");
	add(k, 1, "");
	before = uidls(k);
	add(k, 2, "");
	add(k, 3, "");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	now = uidls(k);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_string_equal(now, before);
	free(now);
	now = uidls(k);
	assert_int_equal(strlen(now), strlen(before) * 3);
	assert_memory_equal(now, before, strlen(before));
	free(now);
	free(before);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, mboxkit_set_up, mboxkit_tear_down)
	static const struct CMUnitTest tests[] = {
		T(test_numbers_survive_the_index_and_are_not_given_again),
		T(test_a_digest_needs_no_ledger_but_its_duplicates_do),
		T(test_numbers_of_the_mail_count_and_others_are_given),
		T(test_another_setting_changes_nothing_that_was_shown),
		T(test_a_rewritten_mbox_is_refused_until_accepted),
		T(test_what_cannot_be_written_down_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
