/* SPDX-License-Identifier: MIT */
/* Messages that are fetched before they are asked for: every reply is what it would be without, and
 * nothing stays open. fake_storage aborts where two calls of one maildrop overlap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/session.h"
#include "tests/unit/mail/harness.h"
#include "tests/unit/pop3/naive_body.h"

#define REFUSED "-ERR [SYS/TEMP] temporary failure, try again later\r\n"

static int
setup(void **state)
{
	struct harness *h = pst_new(struct harness);

	harness_init(h);
	h->mail.limits.prefetch = true;
	*state = h;
	return 0;
}

static int
teardown(void **state)
{
	struct harness *h = *state;

	harness_clear(h);
	assert_int_equal(h->mail.ahead_count, 0);
	free(h);
	return 0;
}

static void
start(struct harness *h)
{
	harness_start(h);
	harness_skip_line(h);
}

static void
expect_message(struct harness *h, uint32_t msg)
{
	const struct fake_message *m = &h->fake.v[msg - 1];
	struct naive_reply r = naive_body(m->text.p, m->text.n, UINT64_MAX);
	char first[64];

	(void)snprintf(first, sizeof(first), "+OK %llu octets\r\n",
	               (unsigned long long)m->size_octets);
	harness_expect(h, first);
	harness_expect_octets(h, r.n);
	assert_memory_equal(h->got.data, r.p, r.n);
	pst_buf_take(&h->got, r.n);
	free(r.p);
}

static void
retrieve(struct harness *h, uint32_t msg)
{
	char line[32];

	(void)snprintf(line, sizeof(line), "RETR %u\r\n", msg);
	harness_push(h, line);
	expect_message(h, msg);
}

static void
until_fetched(struct harness *h, unsigned n)
{
	while (h->fake.fetches < n || h->mail.sessions->job != NULL)
		harness_run(h);
	assert_int_equal(h->fake.fetches, n);
}

static void
test_the_next_one_is_there_before_it_is_asked_for(void **state)
{
	struct harness *h = *state;

	start(h);
	retrieve(h, 1);
	until_fetched(h, 2);
	assert_int_equal(h->fake.bodies_open, 1);
	retrieve(h, 2);
	until_fetched(h, 3); /* the second time is for message 3 */
	retrieve(h, 3);
	assert_int_equal(h->fake.fetches, 3); /* there is no fourth */
	harness_hang_up(h);
}

static void
test_another_one_than_expected(void **state)
{
	struct harness *h = *state;

	start(h);
	retrieve(h, 1);
	until_fetched(h, 2);
	retrieve(h, 3);
	assert_int_equal(h->fake.bodies_open, 0);
	retrieve(h, 1);
	until_fetched(h, 5);
	harness_say(h, "TOP 2 0\r\nLIST 2\r\nNOOP",
	            "+OK top of message follows\r\nSubject: two\r\n\r\n.\r\n+OK 2 22\r\n+OK\r\n");
	harness_hang_up(h);
}

static void
test_a_message_that_is_marked_is_not_fetched(void **state)
{
	struct harness *h = *state;

	start(h);
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	retrieve(h, 1);
	harness_say(h, "NOOP", "+OK\r\n");
	assert_int_equal(h->fake.fetches, 1);
	harness_hang_up(h);
}

static void
test_one_that_cannot_be_had_is_told_when_it_is_asked_for(void **state)
{
	struct harness *h = *state;

	h->fake.v[1].is_gone = true;
	start(h);
	retrieve(h, 1);
	until_fetched(h, 2);
	harness_say(h, "RETR 2\r\nNOOP", REFUSED "+OK\r\n");
	h->fake.v[1].is_gone = false;
	retrieve(h, 2);
	harness_hang_up(h);
}

static void
test_one_that_is_not_what_was_listed_is_refused(void **state)
{
	struct harness *h = *state;

	h->fake.v[1].size_octets++;
	start(h);
	retrieve(h, 1);
	until_fetched(h, 2);
	harness_say(h, "RETR 2\r\nNOOP", REFUSED "+OK\r\n");
	h->fake.v[1].size_octets--;
	retrieve(h, 1);
	retrieve(h, 2);
	harness_hang_up(h);
}

static void
test_quit_and_a_lost_client_leave_nothing_open(void **state)
{
	struct harness *h = *state;

	start(h);
	retrieve(h, 1);
	until_fetched(h, 2);
	harness_say(h, "DELE 1\r\nQUIT", "+OK message 1 deleted\r\n+OK 1 messages deleted\r\n");
	harness_expect_eof(h);
	harness_hang_up(h);
	harness_until_empty(h);
	assert_int_equal(h->fake.bodies_open, 0);
	assert_int_equal(h->fake.last_commit, 1);

	start(h);
	retrieve(h, 1);
	harness_hang_up(h); /* whether it has begun or not */
	harness_until_empty(h);
	assert_int_equal(h->fake.bodies_open, 0);
}

static void
test_commands_that_come_meanwhile_are_answered_in_their_order(void **state)
{
	struct harness *h = *state;

	start(h);
	harness_push(h, "RETR 1\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nRETR 3\r\n");
	expect_message(h, 1);
	harness_expect(h, "+OK 3 76\r\n");
	expect_message(h, 2);
	harness_expect(h, "+OK message 2 deleted\r\n");
	expect_message(h, 3);
	harness_hang_up(h);
}

static void
test_large_ones_are_exact(void **state)
{
	static const size_t sizes[] = { 65535, 65536, 65537, 300000 };
	struct harness *h = *state;
	char *text = pst_alloc(300000);
	size_t i, k;

	for (i = 0; i < 300000; i++)
		text[i] = i % 61 == 60 ? '\n' : i % 61 == 0 ? '.' : (char)('a' + i % 26);
	for (i = 0; i < 4; i++)
		(void)fake_add(&h->fake, (struct pst_str){ text, sizes[i] });
	start(h);
	for (k = 0; k < 3; k++)
		for (i = 3; i <= 7; i++)
			retrieve(h, (uint32_t)i);
	harness_hang_up(h);
	free(text);
}

static void
test_off_means_off(void **state)
{
	struct harness *h = *state;

	h->mail.limits.prefetch = false;
	start(h);
	retrieve(h, 1);
	harness_say(h, "NOOP", "+OK\r\n");
	assert_int_equal(h->fake.fetches, 1);
	harness_hang_up(h);
}

static void
test_any_order_is_answered_as_without(void **state)
{
	struct harness *h = *state;
	uint32_t random = 1, i;

	for (i = 0; i < 12; i++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "Subject: more %u\n\n.%u\n", i, i * i);

		(void)fake_add(&h->fake, (struct pst_str){ text, (size_t)n });
	}
	start(h);
	for (i = 0; i < 2000; i++) {
		random = random * 1664525u + 1013904223u;
		switch (random >> 28) {
		case 0:
			harness_say(h, "TOP 2 0",
			            "+OK top of message follows\r\nSubject: two\r\n\r\n.\r\n");
			break;
		case 1:
			harness_say(h, "NOOP", "+OK\r\n");
			break;
		case 2:
			harness_run(h);
			break;
		default:
			retrieve(h, 1 + (random >> 20) % 15);
			break;
		}
	}
	harness_hang_up(h);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_next_one_is_there_before_it_is_asked_for),
		T(test_another_one_than_expected),
		T(test_a_message_that_is_marked_is_not_fetched),
		T(test_one_that_cannot_be_had_is_told_when_it_is_asked_for),
		T(test_one_that_is_not_what_was_listed_is_refused),
		T(test_quit_and_a_lost_client_leave_nothing_open),
		T(test_commands_that_come_meanwhile_are_answered_in_their_order),
		T(test_large_ones_are_exact),
		T(test_off_means_off),
		T(test_any_order_is_answered_as_without),
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
