/* SPDX-License-Identifier: MIT */
/* Dialogues: what the client says, what it hears, and what becomes of the mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "ipc/shm.h"
#include "mail/session.h"
#include "tests/unit/mail/harness.h"

#define HELLO "+OK 3 messages (76 octets)\r\n"
#define ONE "Subject: one\r\n\r\nbody\r\n..dot\r\n.\r\n"

static int
setup(void **state)
{
	struct harness *h = pst_new(struct harness);

	harness_init(h);
	*state = h;
	return 0;
}

static int
teardown(void **state)
{
	harness_clear(*state);
	free(*state);
	return 0;
}

static void
greet(struct harness *h)
{
	harness_start(h);
	harness_expect(h, HELLO);
}

/* ---- Commands ---- */

static void
test_each_command_gives_its_reply(void **state)
{
	static const struct {
		const char *line, *reply;
	} talk[] = {
		{ "STAT", "+OK 3 76\r\n" },
		{ "stat", "+OK 3 76\r\n" },
		{ "LIST", "+OK 3 messages (76 octets)\r\n1 28\r\n2 22\r\n3 26\r\n.\r\n" },
		{ "LIST 2", "+OK 2 22\r\n" },
		{ "UIDL",
		  "+OK unique-id listing follows\r\n1 uidl-1\r\n2 uidl-2\r\n3 uidl-3\r\n.\r\n" },
		{ "UIDL 3", "+OK 3 uidl-3\r\n" },
		{ "RETR 1", "+OK 28 octets\r\n" ONE },
		{ "RETR 2", "+OK 22 octets\r\nSubject: two\r\n\r\nbody\r\n.\r\n" },
		{ "TOP 1 0", "+OK top of message follows\r\nSubject: one\r\n\r\n.\r\n" },
		{ "TOP 1 1", "+OK top of message follows\r\nSubject: one\r\n\r\nbody\r\n.\r\n" },
		{ "TOP 1 2", "+OK top of message follows\r\n" ONE },
		{ "TOP 1 99999999999999999999999", "+OK top of message follows\r\n" ONE },
		{ "LAST", "+OK 2\r\n" }, /* TOP and RETR of a lower one do not count */
		{ "NOOP", "+OK\r\n" },
		{ "RSET", "+OK 3 messages (76 octets)\r\n" },
		{ "LAST", "+OK 0\r\n" },
		{ "CAPA",
		  "+OK capability list follows\r\nUSER\r\nSASL PLAIN LOGIN\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\n"
		  "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
		  "IMPLEMENTATION Postern\r\n.\r\n" },
		{ "QUIT", "+OK 0 messages deleted\r\n" },
	};
	struct harness *h = *state;
	size_t i;

	greet(h);
	for (i = 0; i < sizeof(talk) / sizeof(talk[0]); i++)
		harness_say(h, talk[i].line, talk[i].reply);
	harness_expect_eof(h);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
	assert_int_equal(h->emptied, 1);
}

static void
test_each_row_of_the_table_is_served_or_refused(void **state)
{
	static const char *const arguments[POP3_VERBS] = {
		[POP3_USER] = " alice", [POP3_PASS] = " secret", [POP3_APOP] = " alice 0123",
		[POP3_RETR] = " 1",     [POP3_DELE] = " 1",      [POP3_TOP] = " 1 0",
	};
	struct harness *h = *state;
	unsigned v;

	for (v = 0; v < POP3_VERBS; v++) {
		bool allowed = (pop3_commands[v].states & POP3_TRANS) != 0;
		char line[64];

		greet(h);
		snprintf(line, sizeof(line), "%s%s", pop3_commands[v].name,
		         arguments[v] == NULL ? "" : arguments[v]);
		if (allowed)
			harness_say(h, line, "+OK");
		else
			harness_say(h, line, "-ERR command not valid in this state\r\n");
		if (v == POP3_QUIT)
			harness_until_eof(h);
		harness_hang_up(h);
	}
}

static void
test_last_counts_what_is_deleted_and_is_unknown_where_it_is_switched_off(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "LAST", "+OK 0\r\n");
	harness_say(h, "TOP 3 0", "+OK top of message follows\r\nSubject: three\r\n\r\n.\r\n");
	harness_say(h, "LAST", "+OK 0\r\n");
	harness_say(h, "DELE 3", "+OK message 3 deleted\r\n");
	harness_say(h, "LAST", "+OK 3\r\n");
	harness_say(h, "RETR 3", "-ERR message is deleted\r\n");
	h->mail.limits.has_last = false;
	harness_say(h, "LAST", "-ERR unknown command\r\n");
}

static void
test_a_read_only_session_deletes_nothing_and_goes_on(void **state)
{
	struct harness *h = *state;
	int i;

	h->read_only = true;
	greet(h);
	for (i = 0; i < 2 * HARNESS_BAD; i++) /* none of them is a bad command */
		harness_say(h, "DELE 1", "-ERR [SYS/PERM] this session may read only\r\n");
	harness_say(h, "STAT", "+OK 3 76\r\n");
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	assert_int_equal(h->fake.last_commit, 0);
}

static void
test_listing_leaves_out_what_is_deleted_and_keeps_numbers(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	harness_say(h, "LIST", "+OK 2 messages (48 octets)\r\n2 22\r\n3 26\r\n.\r\n");
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n2 uidl-2\r\n3 uidl-3\r\n.\r\n");
	harness_say(h, "STAT", "+OK 2 48\r\n");
	harness_say(h, "RETR 1", "-ERR message is deleted\r\n");
	harness_say(h, "TOP 1 0", "-ERR message is deleted\r\n");
	harness_say(h, "UIDL 1", "-ERR message is deleted\r\n");
	harness_say(h, "LIST 1", "-ERR message is deleted\r\n");
	harness_say(h, "DELE 1", "-ERR message is deleted\r\n");
	harness_say(h, "DELE 3", "+OK message 3 deleted\r\n");
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	harness_say(h, "LIST", "+OK 0 messages (0 octets)\r\n.\r\n");
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n.\r\n");
	harness_say(h, "RSET", HELLO);
	harness_say(h, "STAT", "+OK 3 76\r\n");
	harness_say(h, "LIST 1", "+OK 1 28\r\n");
	harness_say(h, "QUIT", "+OK 0 messages deleted\r\n");
	harness_expect_eof(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_empty_maildrop(void **state)
{
	struct harness *h = *state;

	h->fake.n = 0;
	harness_start(h);
	harness_expect(h, "+OK 0 messages (0 octets)\r\n");
	harness_say(h, "STAT", "+OK 0 0\r\n");
	harness_say(h, "LIST", "+OK 0 messages (0 octets)\r\n.\r\n");
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n.\r\n");
	harness_say(h, "RETR 1", "-ERR no such message\r\n");
	harness_say(h, "DELE 1", "-ERR no such message\r\n");
	h->fake.n = 3;
}

static void
test_sums_go_beyond_32_bits(void **state)
{
	struct harness *h = *state;

	h->fake.v[0].size_octets = UINT64_C(5368709120);
	h->fake.v[1].size_octets = UINT64_C(9000000000000000000);
	harness_start(h);
	harness_expect(h, "+OK 3 messages (9000000005368709146 octets)\r\n");
	harness_say(h, "STAT", "+OK 3 9000000005368709146\r\n");
	harness_say(h, "LIST 1", "+OK 1 5368709120\r\n");
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	harness_say(h, "STAT", "+OK 2 5368709146\r\n");
}

/* ---- Input ---- */

static char *
thousand_commands(size_t *n_out)
{
	static const char *const lines[] = { "NOOP\r\n",   "LIST\r\n",    "UIDL 2\n",
		                             "RETR 1\r\n", "TOP 3 0\r\n", "DELE 9\r\n",
		                             "XYZZY\r\n",  "STAT\r\n",    "\r\n",
		                             "RETR 3\r\n", "CAPA\r\n",    "LIST 1x\r\n",
		                             "DELE 2\r\n", "RSET\r\n" };
	char *text = malloc(16 * 1001);
	size_t n = 0, i;

	for (i = 0; i < 999; i++) {
		const char *line = lines[i % 14];

		memcpy(text + n, line, strlen(line));
		n += strlen(line);
	}
	memcpy(text + n, "QUIT\r\n", 6);
	*n_out = n + 6;
	return text;
}

/* All that the server says to text in pieces of step octets. */
static void
converse(struct harness *h, struct pst_str text, size_t step, bool as_first_input)
{
	int ends[2];

	harness_pair(ends);
	harness_start_on(h, ends, as_first_input ? text : (struct pst_str){ "", 0 });
	if (!as_first_input)
		harness_send(h, text, step);
	harness_until_eof(h);
	close(h->client);
	h->client = -1;
	harness_until_empty(h);
}

static void
test_a_thousand_commands_are_answered_alike_however_they_are_cut(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 100, 1500 };
	struct harness *h = *state;
	struct pst_str text;
	char *all, *want;
	size_t n, i;

	text.p = all = thousand_commands(&text.n);
	assert_true(text.n < WIRE_INPUT);
	converse(h, text, SIZE_MAX, false);
	n = h->got.len;
	want = malloc(n);
	memcpy(want, h->got.data, n);
	assert_true(n > 30000);
	assert_memory_equal(want + n - 24, "+OK 0 messages deleted\r\n", 24);
	for (i = 0; i <= 6; i++) {
		converse(h, text, i < 6 ? steps[i] : 0, i == 6);
		assert_int_equal(h->got.len, n);
		assert_memory_equal(h->got.data, want, n);
	}
	free(all);
	free(want);
}

static void
test_commands_sent_before_the_maildrop_is_open_wait(void **state)
{
	struct harness *h = *state;
	int ends[2];

	h->fake.is_slow = true;
	harness_pair(ends);
	harness_start_on(h, ends, PST_LIT("STAT\r\nNO"));
	harness_send(h, PST_LIT("OP\r\nLIST 1\r\n"), SIZE_MAX);
	assert_int_equal(h->got.len, 0);
	sem_post(&h->fake.go);
	harness_expect(h, HELLO "+OK 3 76\r\n+OK\r\n+OK 1 28\r\n");
	h->fake.is_slow = false;
}

static void
test_line_of_the_longest_length_is_taken_and_a_longer_one_refused_once(void **state)
{
	struct harness *h = *state;
	char line[5000];

	greet(h);
	memset(line, ' ', sizeof(line));
	memcpy(line, "NOOP", 4);
	line[POP3_LINE_MAX - 2] = '\r';
	line[POP3_LINE_MAX - 1] = '\n';
	harness_send(h, (struct pst_str){ line, POP3_LINE_MAX }, SIZE_MAX);
	harness_expect(h, "+OK\r\n");
	memset(line, 'x', sizeof(line));
	line[4999] = '\n';
	harness_send(h, (struct pst_str){ line, 5000 }, SIZE_MAX);
	harness_say(h, "NOOP", "-ERR line too long\r\n+OK\r\n");
	harness_send(h, (struct pst_str){ line, 5000 }, 700);
	harness_say(h, "NOOP", "-ERR line too long\r\n+OK\r\n");
	memcpy(line + 4994, "NOOP\r\n", 6); /* all in one piece */
	line[4993] = '\n';
	harness_send(h, (struct pst_str){ line, 5000 }, SIZE_MAX);
	harness_expect(h, "-ERR line too long\r\n+OK\r\n");
	memset(line, '\0', sizeof(line));
	line[599] = '\n';
	harness_send(h, (struct pst_str){ line, 600 }, SIZE_MAX);
	harness_expect(h, "-ERR unknown command\r\n");
	harness_say(h, "NOOP", "+OK\r\n");
}

static void
test_too_many_bad_commands_in_a_row_end_the_session(void **state)
{
	struct harness *h = *state;
	int i;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	for (i = 0; i < HARNESS_BAD - 1; i++)
		harness_say(h, "XYZZY", "-ERR unknown command\r\n");
	harness_say(h, "NOOP", "+OK\r\n"); /* starts the count again */
	for (i = 0; i < HARNESS_BAD - 1; i++)
		harness_say(h, "LIST 9", "-ERR no such message\r\n");
	harness_say(h, "", "-ERR too many bad commands, goodbye\r\n");
	harness_expect_eof(h);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_nothing_after_quit_is_looked_at(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1\r\nQUIT\r\nDELE 2\r\nRSET\r\nNOOP", "+OK message 1 deleted\r\n");
	harness_expect(h, "+OK 1 messages deleted\r\n");
	harness_expect_eof(h);
	assert_true(h->fake.v[0].is_removed);
	assert_false(h->fake.v[1].is_removed);
}

/* ---- What becomes of the mail ---- */

static void
test_quit_removes_what_was_deleted_and_nothing_else(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 3", "+OK message 3 deleted\r\n");
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	assert_int_equal(h->fake.commits, 0);
	harness_say(h, "QUIT", "+OK 2 messages deleted\r\n");
	assert_int_equal(h->fake.closes, 1); /* the lock is free when the answer comes */
	harness_expect_eof(h);
	assert_int_equal(h->fake.commits, 1);
	assert_true(h->fake.v[0].is_removed);
	assert_false(h->fake.v[1].is_removed);
	assert_true(h->fake.v[2].is_removed);
}

static void
test_quit_says_err_where_a_message_could_not_be_removed(void **state)
{
	struct harness *h = *state;

	h->fake.v[1].is_stuck = true;
	greet(h);
	harness_say(h, "DELE 1\r\nDELE 2", "+OK message 1 deleted\r\n+OK message 2 deleted\r\n");
	harness_say(h, "QUIT", "-ERR [SYS/TEMP] some deleted messages were not removed\r\n");
	harness_expect_eof(h);
	assert_int_equal(h->fake.closes, 1);
	assert_true(h->fake.v[0].is_removed);
	assert_false(h->fake.v[1].is_removed);
}

static void
test_client_that_goes_without_quit_removes_nothing(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	harness_send(h, PST_LIT("QUI"), SIZE_MAX);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
	assert_int_equal(h->fake.closes, 1);
}

static void
test_quit_counts_though_the_client_closes_at_once(void **state)
{
	struct harness *h = *state;
	int way;

	for (way = 0; way < 3; way++) {
		struct linger reset = { 1, 0 };
		int ends[2];

		h->fake.v[0].is_removed = false;
		if (way == 0)
			harness_pair(ends);
		else
			harness_tcp_pair(ends);
		harness_start_on(h, ends, (struct pst_str){ "", 0 });
		harness_expect(h, HELLO);
		harness_push(h, "DELE 1\r\nQUIT\r\n");
		if (way == 2) /* with a reset, as of a client with unread data */
			setsockopt(h->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		harness_hang_up(h);
		assert_int_equal(h->fake.commits, way + 1);
		assert_true(h->fake.v[0].is_removed);
	}
}

static void
test_half_closed_client_hears_all_answers(void **state)
{
	struct harness *h = *state;

	harness_start(h);
	harness_send(h, PST_LIT("STAT\r\nRETR 1\r\nDELE 1\r\nNO"), SIZE_MAX);
	shutdown(h->client, SHUT_WR);
	harness_expect(h, HELLO "+OK 3 76\r\n+OK 28 octets\r\n" ONE "+OK message 1 deleted\r\n");
	harness_expect_eof(h);
	harness_until_empty(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_message_that_cannot_be_had_leaves_the_session_alive(void **state)
{
	const char *const refused = "-ERR [SYS/TEMP] temporary failure, try again later\r\n";
	struct harness *h = *state;
	int waits;

	for (waits = 0; waits < 2; waits++) {
		h->fake.v[1].is_gone = true;
		h->fake.v[1].waits = waits;
		greet(h);
		harness_say(h, "RETR 2", refused);
		harness_say(h, "RETR 2", refused);
		harness_say(h, "TOP 2 0", refused);
		harness_say(h, "RETR 1", "+OK 28 octets\r\n" ONE);
		harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
		harness_hang_up(h);
	}
}

/* ---- Opening ---- */

static void
test_maildrop_that_does_not_open_is_refused_by_its_code(void **state)
{
	static const struct {
		enum pst_err_kind kind;
		const char *reply;
	} rows[] = {
		{ PST_E_TEMP, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
		{ PST_E_PERM, "-ERR [SYS/PERM] not possible, ask the administrator\r\n" },
		{ PST_E_IN_USE, "-ERR [IN-USE] maildrop is in use by another session\r\n" },
		/* no kinds for a maildrop: the client must not see their text */
		{ PST_E_CLIENT, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
		{ PST_E_LIMIT, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
		{ PST_E_CLOSED, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
	};
	struct harness *h = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		h->fake.fails = rows[i].kind;
		harness_start(h);
		harness_send(h, PST_LIT("STAT\r\n"), SIZE_MAX);
		harness_expect(h, rows[i].reply);
		harness_expect_eof(h);
		harness_hang_up(h);
	}
}

static void
test_refusal_is_told_and_nothing_is_opened(void **state)
{
	struct harness *h = *state;
	const struct pst_err why = { PST_E_TEMP, "ticket was served before" };
	struct mail_start how = { .row = MAIL_NO_ROW, .refusal = &why };
	int ends[2];

	harness_pair(ends);
	how.fd = ends[0];
	h->client = ends[1];
	mail_session_start(&h->mail, &how);
	harness_expect(h, "-ERR [SYS/TEMP] temporary failure, try again later\r\n");
	harness_expect_eof(h);
	assert_int_equal(h->fake.opens, 0);
}

static void
test_client_that_goes_while_the_maildrop_opens_leaves_no_lock(void **state)
{
	struct harness *h = *state;

	h->fake.is_slow = true;
	harness_start(h);
	close(h->client);
	h->client = -1;
	harness_run(h);
	assert_int_equal(h->mail.session_count, 1);
	sem_post(&h->fake.go);
	harness_until_empty(h);
	assert_int_equal(h->fake.opens, 1);
	assert_int_equal(h->fake.closes, 1);
}

/* ---- Time ---- */

static int64_t
later(struct harness *h, int64_t ms)
{
	uv_update_time(&h->loop);
	return (int64_t)uv_now(&h->loop) + ms;
}

static void
test_silent_client_is_left_without_a_word_and_nothing_goes(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	mail_tick(&h->mail, later(h, HARNESS_IDLE_MS - 10000));
	harness_say(h, "NOOP", "+OK\r\n"); /* 10 seconds before its time: it lives */
	mail_tick(&h->mail, later(h, HARNESS_IDLE_MS + 1));
	harness_expect_eof(h);
	harness_until_empty(h);
	assert_int_equal(h->fake.commits, 0);
	assert_int_equal(h->fake.closes, 1);
}

static void
test_quit_that_outlives_its_client_is_done_and_answers_nobody(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	h->fake.is_slow = true;
	harness_send(h, PST_LIT("QUIT\r\n"), SIZE_MAX);
	while (h->fake.calls == 0)
		harness_round(h, false);
	mail_tick(&h->mail, later(h, HARNESS_IDLE_MS + 1));
	harness_expect_eof(h);
	sem_post(&h->fake.go);
	harness_until_empty(h);
	assert_true(h->fake.v[0].is_removed);
	h->fake.is_slow = false;
	close(h->client);
	greet(h); /* nothing of it is left for the next one */
}

static void
test_octets_that_are_no_command_do_not_put_off_the_end(void **state)
{
	struct harness *h = *state;
	int64_t start;

	greet(h);
	start = later(h, 0);
	poll(NULL, 0, 5); /* time passes: that is the thing tested */
	harness_send(h, PST_LIT("NOO"), 1);
	mail_tick(&h->mail, start + HARNESS_IDLE_MS + 1);
	harness_expect_eof(h);
}

static void
test_client_that_does_not_close_is_waited_for_only_so_long(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "QUIT", "+OK 0 messages deleted\r\n");
	harness_expect_eof(h);
	mail_tick(&h->mail, later(h, 2000));
	harness_run(h);
	assert_int_equal(h->mail.session_count, 1);
	mail_tick(&h->mail, later(h, 3001));
	harness_until_empty(h);
}

/* ---- Orders ---- */

static void
test_stop_tells_who_waits_and_removes_nothing(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	mail_stop(&h->mail);
	harness_expect(h, "-ERR [SYS/TEMP] server is going down\r\n");
	harness_expect_eof(h);
	harness_until_empty(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_stop_lets_a_quit_that_was_said_be_done(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	h->fake.is_slow = true;
	harness_send(h, PST_LIT("QUIT\r\n"), SIZE_MAX);
	while (h->fake.calls == 0)
		harness_round(h, false);
	mail_stop(&h->mail);
	harness_run(h);
	sem_post(&h->fake.go);
	harness_expect(h, "+OK 1 messages deleted\r\n");
	harness_expect_eof(h);
	harness_until_empty(h);
	assert_true(h->fake.v[0].is_removed);
}

static void
test_stop_while_the_maildrop_opens(void **state)
{
	struct harness *h = *state;

	h->fake.is_slow = true;
	harness_start(h);
	mail_stop(&h->mail);
	harness_expect(h, "-ERR [SYS/TEMP] server is going down\r\n");
	harness_expect_eof(h);
	sem_post(&h->fake.go);
	harness_until_empty(h);
	assert_int_equal(h->fake.closes, h->fake.opens);
}

static void
test_order_ends_the_session_of_its_row_only(void **state)
{
	struct harness *h = *state;
	int ends[2], first;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	first = h->client;
	harness_pair(ends);
	harness_start_on(h, ends, (struct pst_str){ "", 0 });
	harness_expect(h, HELLO);
	assert_false(mail_end_row(&h->mail, 7));
	assert_false(mail_end_row(&h->mail, MAIL_NO_ROW));
	assert_true(mail_end_row(&h->mail, 1));
	harness_expect(h, "-ERR [SYS/TEMP] session ended by the administrator\r\n");
	harness_expect_eof(h);
	close(h->client);
	h->client = first;
	h->is_eof = false;
	harness_say(h, "NOOP", "+OK\r\n");
	assert_int_equal(h->fake.commits, 0);
}

/* ---- The scoreboard, and memory ---- */

static void
test_row_of_the_scoreboard_tells_of_the_session(void **state)
{
	struct harness *h = *state;
	struct session_row *row = &h->board->row[0];

	greet(h);
	assert_int_equal(row->state, SESSION_MAIL);
	assert_int_equal(row->kind_slot, WORKER_MAIL << 16);
	assert_string_equal(row->user, "alice@example.org");
	harness_say(h, "RETR 1", "+OK 28 octets\r\n" ONE);
	assert_int_equal(row->retrieved, 1);
	assert_int_equal(row->octets, strlen(HELLO "+OK 28 octets\r\n" ONE));
	harness_hang_up(h);
	assert_int_equal(row->state, SESSION_FREE);
}

static void
test_row_that_the_board_does_not_have_is_not_touched(void **state)
{
	struct harness *h = *state;
	struct mail_start how = {
		.row = 1000000, .storage = &fake_storage, .storage_self = &h->fake, .path = "/fake"
	};
	int ends[2];

	harness_pair(ends);
	how.fd = ends[0];
	h->client = ends[1];
	mail_session_start(&h->mail, &how);
	harness_expect(h, HELLO);
}

static void
test_idle_session_holds_no_buffers(void **state)
{
	struct harness *h = *state;
	const struct mail_session *s;

	greet(h);
	harness_say(h, "RETR 1\r\nLIST\r\nUIDL\r\nNOOP", "+OK 28 octets\r\n" ONE "+OK 3");
	harness_say(h, "NOOP", " messages");
	harness_round(h, false);
	s = h->mail.sessions;
	assert_true(sizeof(*s) + s->log.user.n < 2048);
	assert_null(s->in.data);
	assert_null(s->pending.data);
	assert_null(s->drop.marks);
	assert_null(s->job);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_each_command_gives_its_reply),
		T(test_each_row_of_the_table_is_served_or_refused),
		T(test_last_counts_what_is_deleted_and_is_unknown_where_it_is_switched_off),
		T(test_a_read_only_session_deletes_nothing_and_goes_on),
		T(test_listing_leaves_out_what_is_deleted_and_keeps_numbers),
		T(test_empty_maildrop),
		T(test_sums_go_beyond_32_bits),
		T(test_a_thousand_commands_are_answered_alike_however_they_are_cut),
		T(test_commands_sent_before_the_maildrop_is_open_wait),
		T(test_line_of_the_longest_length_is_taken_and_a_longer_one_refused_once),
		T(test_too_many_bad_commands_in_a_row_end_the_session),
		T(test_nothing_after_quit_is_looked_at),
		T(test_quit_removes_what_was_deleted_and_nothing_else),
		T(test_quit_says_err_where_a_message_could_not_be_removed),
		T(test_client_that_goes_without_quit_removes_nothing),
		T(test_quit_counts_though_the_client_closes_at_once),
		T(test_half_closed_client_hears_all_answers),
		T(test_message_that_cannot_be_had_leaves_the_session_alive),
		T(test_maildrop_that_does_not_open_is_refused_by_its_code),
		T(test_refusal_is_told_and_nothing_is_opened),
		T(test_client_that_goes_while_the_maildrop_opens_leaves_no_lock),
		T(test_silent_client_is_left_without_a_word_and_nothing_goes),
		T(test_quit_that_outlives_its_client_is_done_and_answers_nobody),
		T(test_octets_that_are_no_command_do_not_put_off_the_end),
		T(test_client_that_does_not_close_is_waited_for_only_so_long),
		T(test_stop_tells_who_waits_and_removes_nothing),
		T(test_stop_lets_a_quit_that_was_said_be_done),
		T(test_stop_while_the_maildrop_opens),
		T(test_order_ends_the_session_of_its_row_only),
		T(test_row_of_the_scoreboard_tells_of_the_session),
		T(test_row_that_the_board_does_not_have_is_not_touched),
		T(test_idle_session_holds_no_buffers),
	};

	int failed;

	pst_log_set_level(PST_LOG_ERROR);
	failed = cmocka_run_group_tests_name("by the pool", tests, NULL, NULL);
	fake_is_quick = true;
	return failed + cmocka_run_group_tests_name("at once", tests, NULL, NULL);
}
