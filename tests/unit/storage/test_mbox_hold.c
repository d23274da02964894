/* SPDX-License-Identifier: MIT */
/* What is kept of an mbox's removed messages: it comes back octet by octet, with its UIDLs and in its
 * order; and wherever the program dies, or the disk is full, each message is in the mbox or kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/mbox/hold.h"
#include "tests/unit/storage/faults.h"
#include "tests/unit/storage/mboxkit.h"

#define AT 1700000000
#define MESSAGES 7

static const struct pst_held all = { .since_s = 0 };

/* The last one ends without an empty line where is_open. */
static void
fill(struct mboxkit *k, bool is_open)
{
	char text[8192];
	size_t n = 0;
	unsigned i, line;

	for (i = 0; i < MESSAGES; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		                      "From s%u@example.test Thu Nov  9 10:0%u:00 2023\n"
		                      "Subject: number %u\n%sX-Keywords: k%u\n\n",
		                      i, i, i, i % 2 == 0 ? "Status: RO\n" : "", i);
		for (line = 0; line < i * 5; line++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "line %u of %u\n", line,
			                      i);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "end of %u\n%s", i,
		                      i + 1 == MESSAGES && is_open ? "" : "\n");
	}
	mboxkit_write(k, text, n);
}

static void
start_over(struct mboxkit *k)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'/* '%s'/.mbox*", k->root, k->root);
	assert_int_equal(system(command), 0);
	fill(k, false);
}

static int
try_hold(struct mboxkit *k, const uint32_t *idx, uint32_t n, const char *session,
         struct pst_err *err)
{
	const struct pst_hold how = { .now_s = AT, .session = pst_str_c(session) };
	struct pst_maildrop *d;
	uint32_t removed = 0;
	int rc;

	if (mboxkit_try_open(k, &d, err) != 0)
		return -1;
	rc = mbox_hold(d, idx, n, &how, &removed, err);
	mbox_close(d);
	assert_true(rc != 0 || removed == n);
	return rc;
}

static void
hold(struct mboxkit *k, const uint32_t *idx, uint32_t n, const char *session)
{
	struct pst_err err;

	if (try_hold(k, idx, n, session, &err) != 0)
		fail_msg("%s", err.text);
}

static uint32_t
bring_back(struct mboxkit *k, const struct pst_held *which)
{
	struct pst_maildrop *d = mboxkit_open(k);
	struct pst_err err;
	uint32_t n;

	if (mbox_bring_back(d, which, &n, &err) != 0)
		fail_msg("%s", err.text);
	mbox_close(d);
	return n;
}

struct text {
	char p[4096];
	size_t n;
};

static void
add_held(void *arg, const struct pst_held_message *msg)
{
	struct text *t = arg;

	t->n += (size_t)snprintf(t->p + t->n, sizeof(t->p) - t->n, "%.*s %llu\n",
	                         PST_ARG(msg->uidl), (unsigned long long)msg->size_octets);
}

static void
get_held(struct mboxkit *k, struct text *out)
{
	struct pst_maildrop *d = mboxkit_open(k);
	struct pst_err err;

	*out = (struct text){ .n = 0 };
	if (mbox_held(d, &all, add_held, out, &err) != 0)
		fail_msg("%s", err.text);
	mbox_close(d);
}

static void
assert_is(struct mboxkit *k, const char *listing, const char *text)
{
	char *now = mboxkit_listing(k), *octets = mboxkit_text(k);

	assert_string_equal(now, listing);
	assert_string_equal(octets, text);
	free(now);
	free(octets);
}

static void
test_some_or_all_come_back_octet_by_octet(void **state)
{
	static const struct {
		uint32_t idx[MESSAGES], n;
	} rows[] = {
		{ { 0 }, 1 },       { { 3 }, 1 },          { { 6 }, 1 },
		{ { 0, 2, 4 }, 3 }, { { 1, 2, 5, 6 }, 4 }, { { 0, 1, 2, 3, 4, 5, 6 }, 7 },
	};
	struct mboxkit *k = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *listing, *text;
		struct text held;

		start_over(k);
		listing = mboxkit_listing(k);
		text = mboxkit_text(k);
		hold(k, rows[i].idx, rows[i].n, "s1");
		get_held(k, &held);
		assert_true(held.n > 0);
		assert_int_equal(bring_back(k, &all), rows[i].n);
		assert_is(k, listing, text);
		get_held(k, &held);
		assert_int_equal(held.n, 0);
		assert_int_equal(bring_back(k, &all), 0);
		free(listing);
		free(text);
	}
}

static void
test_removals_one_after_the_other_are_all_undone(void **state)
{
	struct mboxkit *k = *state;
	char *listing, *text;
	int i;

	fill(k, false);
	listing = mboxkit_listing(k);
	text = mboxkit_text(k);
	for (i = 0; i < MESSAGES; i++)
		hold(k, (const uint32_t[]){ i < 3 ? 1 : 0 }, 1, "s");
	assert_int_equal(bring_back(k, &all), MESSAGES);
	assert_is(k, listing, text);
	free(listing);
	free(text);
}

static void
test_last_one_without_an_empty_line_comes_back_whole(void **state)
{
	struct mboxkit *k = *state;
	char *listing, *now;

	fill(k, true);
	listing = mboxkit_listing(k);
	hold(k, (const uint32_t[]){ 5, 6 }, 2, "s1");
	mboxkit_adds(k, "From late@example.test Fri Nov 10 10:00:00 2023\nSubject: late\n\nx\n");
	assert_int_equal(bring_back(k, &all), 2);
	now = mboxkit_listing(k);
	assert_int_equal(strncmp(now, listing, strlen(listing)), 0); /* and the late one behind */
	assert_true(strlen(now) > strlen(listing));
	free(now);
	free(listing);
}

static void
test_one_that_is_there_again_is_left_alone(void **state)
{
	struct mboxkit *k = *state;
	char *listing, *text, *now;

	fill(k, false);
	listing = mboxkit_listing(k);
	text = mboxkit_text(k);
	hold(k, (const uint32_t[]){ 1, 3 }, 2, "s1");
	mboxkit_write(k, text, strlen(text)); /* from a backup */
	assert_int_equal(bring_back(k, &all), 0);
	assert_string_equal(k->last_event, "mbox.held_there_already");
	now = mboxkit_listing(k);
	assert_string_equal(now, listing);
	free(now);
	free(listing);
	free(text);
}

static void
test_let_go(void **state)
{
	const struct pst_held old = { .until_s = AT }, older = { .until_s = AT + 1 };
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t n;

	fill(k, false);
	hold(k, (const uint32_t[]){ 1, 3 }, 2, "s1");
	d = mboxkit_open(k);
	assert_int_equal(mbox_let_go(d, &old, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(mbox_let_go(d, &older, &n, &err), 0);
	assert_int_equal(n, 2);
	mbox_close(d);
	assert_int_equal(bring_back(k, &all), 0);
}

/* ---- Dying, and a full disk ---- */

static const uint32_t some[] = { 0, 2, 3, 6 };
#define SOME 4

static void
check_all_are_somewhere(struct mboxkit *k, const char *whole)
{
	char *listed = mboxkit_listing(k), *sorted;
	const char *line, *end;
	struct text held;

	get_held(k, &held);
	for (line = whole; *line != '\0'; line = end + 1) {
		char want[128];

		end = strchr(line, '\n');
		(void)snprintf(want, sizeof(want), "%.*s\n", (int)(end - line), line);
		if (strstr(listed, want) == NULL && strstr(held.p, want) == NULL)
			fail_msg("lost: %slisted:\n%sheld:\n%s", want, listed, held.p);
	}
	free(listed);
	(void)bring_back(k, &all);
	sorted = mboxkit_listing(k);
	assert_int_equal(strlen(sorted), strlen(whole)); /* each once, and nothing else */
	for (line = whole; *line != '\0'; line = end + 1) {
		char want[128];

		end = strchr(line, '\n');
		(void)snprintf(want, sizeof(want), "%.*s\n", (int)(end - line), line);
		if (strstr(sorted, want) == NULL)
			fail_msg("not back: %slisted:\n%s", want, sorted);
	}
	free(sorted);
}

static int
run_in_child(struct mboxkit *k, void (*work)(struct mboxkit *k), enum fault_how how, int at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fault_set(how, at);
		work(k);
		_exit(how == FAULT_NONE ? fault_calls() : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
hold_some(struct mboxkit *k)
{
	struct pst_err err;

	(void)try_hold(k, some, SOME, "s1", &err);
}

static void
bring_some_back(struct mboxkit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t n;

	if (mboxkit_try_open(k, &d, &err) != 0)
		return;
	(void)mbox_bring_back(d, &all, &n, &err);
	mbox_close(d);
}

static void
walk(struct mboxkit *k, void (*work)(struct mboxkit *k), bool is_held_before, enum fault_how how)
{
	int at, calls, met = 0;
	char *whole;

	start_over(k);
	whole = mboxkit_listing(k);
	if (is_held_before)
		hold_some(k);
	calls = run_in_child(k, work, FAULT_NONE, 0);
	assert_in_range(calls, 10, 120);
	for (at = 0; at < calls; at++) {
		start_over(k);
		free(mboxkit_listing(k));
		if (is_held_before)
			hold_some(k);
		met += run_in_child(k, work, how, at) == FAULT_DIED;
		check_all_are_somewhere(k, whole);
	}
	if (how < FAULT_FULL)
		assert_in_range(met, calls - 3, calls);
	free(whole);
}

static void
test_killed_at_every_call_while_holding(void **state)
{
	walk(*state, hold_some, false, FAULT_DIE_BEFORE);
	walk(*state, hold_some, false, FAULT_DIE_HALFWAY);
	walk(*state, hold_some, false, FAULT_DIE_AFTER);
}

static void
test_full_disk_at_every_call_while_holding(void **state)
{
	walk(*state, hold_some, false, FAULT_FULL);
	walk(*state, hold_some, false, FAULT_FULL_HALFWAY);
}

static void
test_killed_at_every_call_while_bringing_back(void **state)
{
	walk(*state, bring_some_back, true, FAULT_DIE_BEFORE);
	walk(*state, bring_some_back, true, FAULT_DIE_HALFWAY);
	walk(*state, bring_some_back, true, FAULT_DIE_AFTER);
}

static void
test_full_disk_at_every_call_while_bringing_back(void **state)
{
	walk(*state, bring_some_back, true, FAULT_FULL);
	walk(*state, bring_some_back, true, FAULT_FULL_HALFWAY);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, mboxkit_set_up, mboxkit_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_some_or_all_come_back_octet_by_octet),
		TEST(test_removals_one_after_the_other_are_all_undone),
		TEST(test_last_one_without_an_empty_line_comes_back_whole),
		TEST(test_one_that_is_there_again_is_left_alone),
		TEST(test_let_go),
		TEST(test_killed_at_every_call_while_holding),
		TEST(test_full_disk_at_every_call_while_holding),
		TEST(test_killed_at_every_call_while_bringing_back),
		TEST(test_full_disk_at_every_call_while_bringing_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
