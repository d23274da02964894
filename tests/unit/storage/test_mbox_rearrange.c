/* SPDX-License-Identifier: MIT */
/* UIDLs from elsewhere for an mbox: they stay, with the index and without, and equal messages keep theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/mboxkit.h"

#define FROM "From a@example.org Thu Nov  9 10:00:00 2023\n"
#define ONE FROM "Subject: one\n\none\n\n"
#define TWIN FROM "Subject: twin\n\ntwin\n\n"
#define LAST FROM "Subject: last\n\nlast\n\n"

static void
assert_lists(struct mboxkit *k, const char *want)
{
	char *got = mboxkit_listing(k);

	assert_string_equal(got, want);
	free(got);
}

static void
forget(const struct mboxkit *k)
{
	static const char *const names[] = { "index", "index.spare" };
	const char *slash = strrchr(k->path, '/');
	char path[1024];
	size_t i;

	for (i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%.*s.%s.postern.%s", (int)(slash - k->path) + 1,
		               k->path, slash + 1, names[i]);
		(void)unlink(path);
	}
}

static void
give(struct mboxkit *k, const struct pst_place *places, uint32_t n)
{
	struct pst_maildrop *d = mboxkit_open(k);
	struct pst_err err;

	assert_int_equal(mbox_rearrange(d, places, n, &err), 0);
	mbox_close(d);
}

static const struct pst_place fresh[] = { { 0, { "a", 1 } }, { 1, { "b", 1 } }, { 2, { "c", 1 } } };

static void
test_uidls_from_elsewhere_stay_with_the_index_and_without(void **state)
{
	static const struct pst_place again[] = { { 0, { "x", 1 } },
		                                  { 1, { "c", 1 } },
		                                  { 2, { "b", 1 } } };
	struct mboxkit *k = *state;

	mboxkit_puts(k, ONE TWIN TWIN);
	give(k, fresh, 3);
	assert_lists(k, "a 21\nb 23\nc 23\n");
	assert_lists(k, "a 21\nb 23\nc 23\n");
	forget(k);
	assert_lists(k, "a 21\nb 23\nc 23\n");
	give(k, again, 3);
	assert_lists(k, "x 21\nc 23\nb 23\n");
	forget(k);
	assert_lists(k, "x 21\nc 23\nb 23\n");
}

static void
test_new_mail_gets_none_of_them(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t second = 1;
	struct pst_err err;
	char *got;

	mboxkit_puts(k, ONE TWIN TWIN);
	give(k, fresh, 3);
	assert_int_equal(mboxkit_remove(k, &second, 1, &err), 0);
	assert_lists(k, "a 21\nc 23\n");
	mboxkit_adds(k, LAST TWIN);
	got = mboxkit_listing(k);
	assert_memory_equal(got, "a 21\nc 23\n", 10);
	assert_null(strstr(got + 10, "\nb "));
	assert_true(strncmp(got + 10, "b ", 2) != 0);
	free(got);
}

static void
test_another_order_is_refused_and_changes_nothing(void **state)
{
	static const struct pst_place places[] = { { 1, { "a", 1 } }, { 0, { "b", 1 } } };
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	char *before;

	mboxkit_puts(k, ONE TWIN);
	before = mboxkit_listing(k);
	d = mboxkit_open(k);
	assert_int_equal(mbox_rearrange(d, places, 2, &err), -1);
	assert_int_equal(err.kind, PST_E_CLIENT);
	mbox_close(d);
	assert_lists(k, before);
	free(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_uidls_from_elsewhere_stay_with_the_index_and_without, mboxkit_set_up,
			mboxkit_tear_down),
		cmocka_unit_test_setup_teardown(test_new_mail_gets_none_of_them, mboxkit_set_up,
		                                mboxkit_tear_down),
		cmocka_unit_test_setup_teardown(test_another_order_is_refused_and_changes_nothing,
		                                mboxkit_set_up, mboxkit_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
