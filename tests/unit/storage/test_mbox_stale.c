/* SPDX-License-Identifier: MIT */
/* As test_stale.c, for an mbox: each call of a session in turn answers ESTALE once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/storage/mboxkit.h"
#include "tests/unit/storage/stalekit.h"

#define FROM "From a@b.example Mon Jan  5 10:00:00 2026\n"
#define ONE FROM "Subject: one\n\nbody one\n\n"
#define THREE FROM "Subject: three\n\nbody\n\n"
#define TWO FROM "Subject: two\nStatus: RO\n\nbody two\n\n"

enum what { COLD, WARM, GROWN };

static void
prepare(struct mboxkit *k, enum what what, unsigned round)
{
	char path[600], text[128];

	(void)snprintf(path, sizeof(path), "%s/.mbox.postern.index", k->root);
	if (what == COLD) {
		(void)unlink(path);
		(void)snprintf(path, sizeof(path), "%s/.mbox.postern.index.spare", k->root);
		(void)unlink(path);
	}
	if (what == GROWN) {
		(void)snprintf(text, sizeof(text), FROM "Subject: more\n\n%u\n\n", round);
		mboxkit_adds(k, text);
	}
}

static unsigned
walk(struct mboxkit *k, enum what what)
{
	char *before = mboxkit_listing(k), *now;
	unsigned at, n;

	for (at = 1;; at++) {
		prepare(k, what, at);
		stalekit_begin(at);
		now = mboxkit_listing(k);
		n = stalekit_end();
		if (strncmp(now, before, strlen(before)) != 0)
			fail_msg("call %u: %s instead of %s", at, now, before);
		if (what != GROWN)
			assert_int_equal(strlen(now), strlen(before));
		free(before);
		before = now;
		if (n < at)
			break;
	}
	free(before);
	return at - 1;
}

static void
test_every_call_of_an_opening_may_be_stale_once(void **state)
{
	struct mboxkit *k = *state;

	mboxkit_puts(k, ONE TWO THREE);
	assert_true(walk(k, COLD) > 5);
	assert_true(walk(k, WARM) > 3);
	assert_true(walk(k, GROWN) > 5);
}

static void
test_every_call_of_a_fetch_may_be_stale_once(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	unsigned at, n;

	mboxkit_puts(k, ONE TWO THREE);
	d = mboxkit_open(k);
	for (at = 1;; at++) {
		struct pst_body body;
		struct pst_err err;

		stalekit_begin(at);
		if (mbox_fetch(d, 1, 0, &body, &err) != PST_FETCH_OK)
			fail_msg("call %u: %s", at, err.text);
		n = stalekit_end();
		assert_int_equal(body.length, 23);
		close(body.fd);
		if (body.done != NULL)
			body.done(body.arg);
		if (n < at)
			break;
	}
	assert_true(at > 2);
	mbox_close(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, mboxkit_set_up, mboxkit_tear_down)
		T(test_every_call_of_an_opening_may_be_stale_once),
		T(test_every_call_of_a_fetch_may_be_stale_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
