/* SPDX-License-Identifier: MIT */
/* Two sessions and one maildrop, in one process: who gets it, who is told what, and that nothing is
 * deleted on the way; and mail that is too old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <postern/auth.h>

#include "base/mem.h"
#include "ipc/holders.h"
#include "ipc/shm.h"
#include "ipc/ticket.h"
#include "ipc/usage.h"
#include "mail/session.h"
#include "mail/takeover.h"
#include "tests/unit/mail/harness.h"

#define HELLO "+OK 3 messages (76 octets)\r\n"
#define IN_USE "-ERR [IN-USE] maildrop is in use by another session\r\n"
#define TAKEN "-ERR [IN-USE] another session of this user has taken over\r\n"
#define LIMIT_MS 60000
#define DAY_S 86400

static struct holders *holders;
static struct usage *usage;
static struct ticket ticket;

static int
set_up(void **state)
{
	struct harness *h = pst_new(struct harness);

	harness_init(h);
	holders = shm_create(sizeof(*holders));
	holders_init(holders);
	usage = shm_create(sizeof(*usage));
	usage_init(usage);
	h->mail.holders = holders;
	h->mail.usage = usage;
	h->mail.usage_owner = usage_owner(1, 0);
	h->fake.is_exclusive = true;
	ticket = (struct ticket){ .user = PST_LIT("alice@example.org") };
	h->ticket = &ticket;
	*state = h;
	return 0;
}

static int
tear_down(void **state)
{
	struct harness *h = *state;
	uint32_t i;

	harness_clear(h);
	for (i = 0; i < HOLDERS_ROWS; i++)
		assert_true(atomic_load(&holders->row[i].owner) == 0);
	shm_destroy(holders, sizeof(*holders));
	shm_destroy(usage, sizeof(*usage));
	free(h);
	return 0;
}

/* The one who came first; its client's end stays open. */
static struct mail_session *
start_first(struct harness *h, int *client_out)
{
	harness_start(h);
	harness_expect(h, HELLO);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	*client_out = h->client;
	return h->mail.sessions;
}

static void
be_silent(struct mail_session *s)
{
	s->heard_ms -= LIMIT_MS;
}

/* What the first client has to read. */
static void
expect_at(int client, const char *text)
{
	char got[256];
	ssize_t n = recv(client, got, sizeof(got) - 1, MSG_DONTWAIT);

	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, text);
}

static void
end_both(struct harness *h, int first)
{
	close(first);
	if (h->client >= 0)
		harness_hang_up(h);
	else
		harness_until_empty(h);
}

static void
test_one_that_is_in_use_stays(void **state)
{
	struct harness *h = *state;
	int first;
	struct mail_session *s = start_first(h, &first);

	s->heard_ms -= LIMIT_MS - 1000;
	harness_start(h);
	harness_expect(h, IN_USE);
	harness_expect_eof(h);
	close(h->client);
	h->client = first;
	h->is_eof = false;
	harness_say(h, "STAT", "+OK 2 48\r\n");
	harness_say(h, "QUIT", "+OK 1 messages deleted\r\n");
	harness_until_eof(h);
	assert_int_equal(h->fake.last_commit, 1);
}

static void
test_a_silent_one_gives_way_and_deletes_nothing(void **state)
{
	struct harness *h = *state;
	int first;

	be_silent(start_first(h, &first));
	harness_start(h);
	harness_expect(h, HELLO);
	expect_at(first, TAKEN);
	harness_say(h, "STAT", "+OK 3 76\r\n");
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	assert_int_equal(h->fake.commits, 0);
	end_both(h, first);
}

static void
test_nobody_gives_way_where_it_is_switched_off(void **state)
{
	struct harness *h = *state;
	int first;

	h->mail.limits.takeover_ms = 0;
	be_silent(start_first(h, &first));
	harness_start(h);
	harness_expect(h, IN_USE);
	harness_until_eof(h);
	close(h->client);
	h->client = -1;
	end_both(h, first);
}

/* Its client hung up, which its process has not seen yet: the newcomer waits for it. */
static void
test_one_whose_client_has_gone_is_waited_for(void **state)
{
	struct harness *h = *state;
	int first;

	h->mail.limits.takeover_ms = 0;
	(void)start_first(h, &first);
	close(first);
	harness_start(h);
	harness_expect(h, HELLO);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_a_quit_is_waited_for_and_counts(void **state)
{
	struct harness *h = *state;
	int first;

	(void)start_first(h, &first);
	h->fake.is_slow = true; /* what removes and what opens waits to be let go */
	harness_push(h, "QUIT\r\n");
	while (h->mail.sessions->phase != MAIL_QUITTING)
		harness_run(h);
	be_silent(h->mail.sessions); /* that is no reason */
	harness_start(h);
	while (h->mail.sessions->wait == NULL)
		harness_run(h);
	sem_post(&h->fake.go); /* the removal */
	sem_post(&h->fake.go); /* the newcomer's opening */
	harness_expect(h, HELLO);
	assert_int_equal(h->fake.last_commit, 1);
	expect_at(first, "+OK 1 messages deleted\r\n");
	end_both(h, first);
}

static void
test_a_lock_of_another_program_is_waited_for_a_moment(void **state)
{
	struct harness *h = *state;

	h->fake.is_locked = true;
	harness_start(h);
	while (h->mail.sessions->wait == NULL)
		harness_run(h);
	h->fake.is_locked = false;
	harness_expect(h, HELLO);
	harness_hang_up(h);
	h->fake.is_locked = true;
	harness_start(h);
	harness_expect(h, IN_USE);
	harness_expect_eof(h);
}

static void
test_the_number_of_sessions_is_no_hindrance(void **state)
{
	struct harness *h = *state;
	int first;

	ticket.max_sessions = 1;
	be_silent(start_first(h, &first));
	harness_start(h);
	harness_expect(h, HELLO);
	expect_at(first, TAKEN);
	be_silent(h->mail.sessions);
	h->mail.limits.takeover_ms = 0;
	{
		const int second = h->client;

		harness_start(h);
		harness_expect(h,
		               "-ERR [IN-USE] this user has as many sessions as are allowed\r\n");
		harness_expect_eof(h);
		close(second);
	}
	end_both(h, first);
}

static void
test_who_waits_can_be_told_to_end(void **state)
{
	struct harness *h = *state;

	h->fake.is_locked = true;
	harness_start(h);
	while (h->mail.sessions->wait == NULL)
		harness_run(h);
	mail_stop(&h->mail);
	harness_expect(h, "-ERR [SYS/TEMP] server is going down\r\n");
	harness_expect_eof(h);
	assert_int_equal(h->mail.drop_count, 0);
}

/* ---- Mail that is too old ---- */

static void
age(struct harness *h, int first_days, int others_days)
{
	uint32_t i;

	h->fake.forgets = true;
	for (i = 0; i < h->fake.n; i++)
		h->fake.v[i].received_s =
			time(NULL) - (int64_t)(i == 0 ? first_days : others_days) * DAY_S - 60;
}

static void
expect_expire(struct harness *h, const char *line)
{
	char what[64];

	harness_send(h, PST_LIT("CAPA\r\n"), SIZE_MAX);
	while (h->got.len < 5 || memcmp(h->got.data + h->got.len - 5, "\r\n.\r\n", 5) != 0)
		harness_round(h, true);
	snprintf(what, sizeof(what), "\r\n%s\r\n", line);
	assert_non_null(memmem(h->got.data, h->got.len, what, strlen(what)));
	pst_buf_reset(&h->got);
}

static void
test_what_is_too_old_is_gone_before_it_is_seen_and_once_a_day(void **state)
{
	struct harness *h = *state;

	h->mail.keeping.expire_days = 30;
	age(h, 30, 29);
	harness_start(h);
	harness_expect(h, "+OK 2 messages (48 octets)\r\n");
	expect_expire(h, "EXPIRE 30");
	harness_say(h, "UIDL 1", "+OK 1 uidl-2\r\n");
	harness_hang_up(h);
	assert_int_equal(h->fake.last_commit, 1);
	assert_int_equal(h->fake.looked_at, 3);
	age(h, 31, 31);
	harness_start(h); /* not before tomorrow */
	harness_expect(h, "+OK 2 messages (48 octets)\r\n");
	harness_hang_up(h);
	assert_int_equal(h->fake.looked_at, 3);
	assert_int_equal(h->fake.commits, 1);
}

static void
test_the_record_says_how_old_mail_may_be(void **state)
{
	static const struct {
		uint32_t setting, record, least;
		const char *capa, *hello;
	} rows[] = {
		{ 30, PST_AUTH_NO_DAYS, 0, "EXPIRE NEVER", HELLO },
		{ 0, 0, 0, "EXPIRE NEVER", HELLO },
		{ 0, 40, 0, "EXPIRE 40", HELLO },
		{ 10, 40, 0, "EXPIRE 40", HELLO },
		{ 0, 3, 35, "EXPIRE 35", HELLO },
		{ 0, 3, 0, "EXPIRE 3", "+OK 2 messages (48 octets)\r\n" },
	};
	struct harness *h = *state;
	size_t i;

	age(h, 33, 1);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(holders->day, 0, sizeof(holders->day));
		h->mail.keeping.expire_days = rows[i].setting;
		h->mail.keeping.expire_least = rows[i].least;
		ticket.expire_days = rows[i].record;
		harness_start(h);
		harness_expect(h, rows[i].hello);
		expect_expire(h, rows[i].capa);
		harness_hang_up(h);
	}
}

static void
test_a_session_that_may_only_read_removes_nothing(void **state)
{
	struct harness *h = *state;

	h->mail.keeping.expire_days = 1;
	h->read_only = true;
	age(h, 9, 9);
	harness_start(h);
	harness_expect(h, HELLO);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_what_cannot_be_removed_is_listed_and_the_session_goes_on(void **state)
{
	struct harness *h = *state;

	h->mail.keeping.expire_days = 1;
	age(h, 9, 9);
	h->fake.v[1].is_stuck = true;
	harness_start(h);
	harness_expect(h, "+OK 1 messages (22 octets)\r\n");
	harness_hang_up(h);
}

static void
test_the_server_may_bound_the_listing_and_the_record_more_so(void **state)
{
	struct harness *h = *state;

	h->mail.limits.max_listed = 2;
	harness_start(h);
	harness_expect(h, "+OK 2 messages (50 octets)\r\n");
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n1 uidl-1\r\n2 uidl-2\r\n.\r\n");
	harness_hang_up(h);
	ticket.max_listed = 1;
	harness_start(h);
	harness_expect(h, "+OK 1 messages (28 octets)\r\n");
	harness_hang_up(h);
	ticket.max_listed = 3;
	harness_start(h);
	harness_expect(h, "+OK 2 messages (50 octets)\r\n");
}

static int
all_in_the_pool(void **state)
{
	(void)state;
	fake_is_quick = false;
	return 0;
}

static int
what_can_be_on_the_loop(void **state)
{
	(void)state;
	fake_is_quick = true;
	return 0;
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_one_that_is_in_use_stays),
		T(test_a_silent_one_gives_way_and_deletes_nothing),
		T(test_nobody_gives_way_where_it_is_switched_off),
		T(test_one_whose_client_has_gone_is_waited_for),
		T(test_a_quit_is_waited_for_and_counts),
		T(test_a_lock_of_another_program_is_waited_for_a_moment),
		T(test_the_number_of_sessions_is_no_hindrance),
		T(test_who_waits_can_be_told_to_end),
		T(test_what_is_too_old_is_gone_before_it_is_seen_and_once_a_day),
		T(test_the_record_says_how_old_mail_may_be),
		T(test_a_session_that_may_only_read_removes_nothing),
		T(test_what_cannot_be_removed_is_listed_and_the_session_goes_on),
		T(test_the_server_may_bound_the_listing_and_the_record_more_so),
	};
#undef T
	int failed = cmocka_run_group_tests(tests, all_in_the_pool, NULL);

	return failed + cmocka_run_group_tests(tests, what_can_be_on_the_loop, NULL);
}
