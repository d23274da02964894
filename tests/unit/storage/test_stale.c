/* SPDX-License-Identifier: MIT */
/* What a network file system may answer to any call, ESTALE, is answered to each call of a session in
 * turn: the listing, the UIDLs and the messages are what they are without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/index/stale.h"
#include "tests/unit/storage/kit.h"
#include "tests/unit/storage/stalekit.h"

#define MESSAGES 3

static char *
list(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	char *text = kit_listing(d);

	drop_close(d);
	return text;
}

enum what { COLD, WARM, GROWN };

static void
prepare(struct kit *k, enum what what, unsigned round)
{
	char name[64];

	if (what == COLD && kit_exists(k, DROP_INDEX_NAME))
		kit_unlink(k, DROP_INDEX_NAME);
	if (what == COLD && kit_exists(k, DROP_INDEX_SPARE))
		kit_unlink(k, DROP_INDEX_SPARE);
	if (what == GROWN) {
		(void)snprintf(name, sizeof(name), "18%08u.M1P1.mx", round);
		kit_puts(k, "new", name, "Subject: more\n\nx\n");
	}
}

/* Each call of an opening fails once. Returns how many there are. */
static unsigned
walk(struct kit *k, enum what what)
{
	char *before = list(k), *now = NULL;
	unsigned at;

	for (at = 1;; at++) {
		prepare(k, what, at);
		stalekit_begin(at);
		now = list(k);
		if (stalekit_end() < at)
			break;
		if (strncmp(now, before, strlen(before)) != 0)
			fail_msg("call %u: %s instead of %s", at, now, before);
		if (what != GROWN)
			assert_int_equal(strlen(now), strlen(before));
		free(before);
		before = now;
	}
	free(before);
	if (now != before)
		free(now);
	return at - 1;
}

static void
fill(struct kit *k)
{
	static const char *const names[] = { "1700000001.M1P1.mx", "1700000002.M2P2.mx:2,S",
		                             "1700000003.M3P3.mx" };
	unsigned i;

	for (i = 0; i < MESSAGES; i++)
		kit_puts(k, i == 1 ? "cur" : "new", names[i], "Subject: one\n\nbody\n");
}

static void
test_every_call_of_an_opening_may_be_stale_once(void **state)
{
	struct kit *k = *state;

	fill(k);
	assert_true(walk(k, COLD) > 15);
	assert_true(walk(k, WARM) > 4);
	assert_true(walk(k, GROWN) > 15);
}

static void
test_one_that_stays_stale_is_a_temporary_failure(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;

	fill(k);
	kit_remove_tree(k->maildir);
	pst_err_set(&err, PST_E_TEMP, "%s", "");
	assert_false(stale_is(&err));
	errno = ESTALE;
	pst_err_sys(&err, PST_E_TEMP, "open %s", "x");
	assert_true(stale_is(&err));
	errno = ENOENT;
	pst_err_sys(&err, PST_E_TEMP, "open %s", "x");
	assert_false(stale_is(&err));
	assert_int_equal(kit_try_open(k, &d, &err), 0); /* not there: empty */
	assert_int_equal(drop_count(d), 0);
	drop_close(d);
}

static void
test_every_call_of_a_fetch_may_be_stale_once(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	unsigned at, n;

	fill(k);
	d = kit_open(k);
	d->no_openat2 = true; /* that call is not wrapped */
	for (at = 1;; at++) {
		struct pst_body body;
		struct pst_err err;

		stalekit_begin(at);
		if (drop_fetch(d, 1, 0, &body, &err) != PST_FETCH_OK)
			fail_msg("call %u: %s", at, err.text);
		n = stalekit_end();
		assert_int_equal(body.length, 19);
		close(body.fd);
		if (n < at)
			break;
	}
	assert_true(at > 3);
	drop_close(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_every_call_of_an_opening_may_be_stale_once),
		T(test_one_that_stays_stale_is_a_temporary_failure),
		T(test_every_call_of_a_fetch_may_be_stale_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
