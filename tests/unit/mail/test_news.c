/* SPDX-License-Identifier: MIT */
/* Sessions whose user may not be in any more, and what the clerk hears of sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "ipc/changes.h"
#include "ipc/channel.h"
#include "ipc/shm.h"
#include "ipc/ticket.h"
#include "ipc/usage.h"
#include "ipc/wire.h"
#include "tests/unit/mail/harness.h"

#define GREETING "+OK 3 messages (76 octets)\r\n"
#define GOODBYE "-ERR [SYS/PERM] this account may not be used any more, goodbye\r\n"
#define ALICE "alice@example.org"
#define LATER_MS 10001

static struct change_ring *ring;
static struct usage *usage;
static struct ticket ticket;
static int notes[2];

static int
set_up(void **state)
{
	struct harness *h = pst_new(struct harness);
	struct pst_err err;

	harness_init(h);
	ring = shm_create(sizeof(*ring));
	usage = shm_create(sizeof(*usage));
	usage_init(usage);
	assert_int_equal(channel_create(notes, 65536, &err), 0);
	h->mail.changes = ring;
	h->mail.notes = notes[1];
	h->mail.usage = usage;
	h->mail.usage_owner = usage_owner(1, 0);
	ticket = (struct ticket){ .user = PST_LIT(ALICE),
		                  .mechanism = PST_LIT("PLAIN"),
		                  .backend = 3,
		                  .wants_notes = true };
	h->ticket = &ticket;
	*state = h;
	return 0;
}

static int
tear_down(void **state)
{
	struct harness *h = *state;
	int i;

	harness_clear(h);
	for (i = 0; i < USAGE_WAYS; i++) /* whatever a test did, its sessions have left */
		assert_true(atomic_load(&usage->session[i].owner) == 0);
	shm_destroy(ring, sizeof(*ring));
	shm_destroy(usage, sizeof(*usage));
	close(notes[0]);
	close(notes[1]);
	free(h);
	return 0;
}

static void
greet(struct harness *h)
{
	harness_start(h);
	harness_expect(h, GREETING);
}

static void
end_user(const char *name)
{
	changes_write(ring, CHANGE_END, pst_str_c(name));
}

/* A note, or false where none waits. */
static bool
next_note(struct wire_note *note)
{
	static uint8_t in[MSG_MAX_OCTETS];
	struct msg_head head;
	struct pst_err err;
	ssize_t n = channel_recv(notes[0], in, sizeof(in), NULL, &err);

	assert_true(n >= 0);
	if (n == 0)
		return false;
	if (wire_note_decode((struct pst_str){ (const char *)in, (size_t)n }, &head, note, &err) !=
	    0)
		fail_msg("%s", err.text);
	return true;
}

static void
assert_note(enum wire_note_kind kind, const char *user)
{
	struct wire_note note;

	assert_true(next_note(&note));
	assert_int_equal(note.kind, kind);
	assert_true(pst_str_eq(note.user, pst_str_c(user)));
	assert_int_equal(note.backend, 3);
}

static void
assert_no_note(void)
{
	struct wire_note note;

	assert_false(next_note(&note));
}

static void
tick(struct harness *h, int64_t ms)
{
	uv_update_time(&h->loop);
	mail_tick(&h->mail, (int64_t)uv_now(&h->loop) + ms);
}

/* ---- The end ---- */

static void
test_the_next_command_is_answered_with_goodbye(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "NOOP", "+OK\r\n");
	end_user(ALICE);
	harness_say(h, "NOOP", GOODBYE);
	harness_expect_eof(h);
}

static void
test_a_quit_after_dele_removes_nothing(void **state)
{
	struct harness *h = *state;

	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	end_user(ALICE);
	harness_say(h, "QUIT", GOODBYE);
	harness_expect_eof(h);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
	assert_int_equal(h->fake.closes, 1);
}

static void
test_of_commands_sent_together_none_is_served(void **state)
{
	struct harness *h = *state;

	greet(h);
	end_user(ALICE);
	harness_push(h, "DELE 1\r\nDELE 2\r\nQUIT\r\nSTAT\r\n");
	harness_expect(h, GOODBYE);
	harness_expect_eof(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_a_line_that_is_too_long_is_a_command_too(void **state)
{
	struct harness *h = *state;
	char line[4000];

	greet(h);
	end_user(ALICE);
	memset(line, 'x', sizeof(line));
	harness_send(h, (struct pst_str){ line, sizeof(line) }, sizeof(line));
	harness_expect(h, GOODBYE);
	harness_expect_eof(h);
}

static void
test_nobody_else_is_concerned(void **state)
{
	static const char *const others[] = {
		"alice@example.or", "alice@example.orgs", "bob@example.org", "alice", "",
		"Alice@example.org"
	};
	struct harness *h = *state;
	size_t i;

	greet(h);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		end_user(others[i]);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	harness_say(h, "QUIT", "+OK 1 messages deleted\r\n");
	harness_until_eof(h);
	assert_int_equal(h->fake.last_commit, 1);
}

/* More than a socket takes: the change comes in the middle of the message. */
static void
test_a_message_on_its_way_is_sent_to_its_end(void **state)
{
	const size_t lines = 200000, line = 72;
	char *text = pst_alloc(lines * line);
	struct harness *h = *state;
	size_t i;

	for (i = 0; i < lines; i++) {
		memset(text + i * line, 'a', line - 2);
		memcpy(text + i * line + line - 2, "\r\n", 2);
	}
	(void)fake_add(&h->fake, (struct pst_str){ text, lines * line });
	harness_start(h);
	harness_skip_line(h);
	harness_push(h, "RETR 4\r\nDELE 1\r\nQUIT\r\n");
	harness_expect(h, "+OK 14400000 octets\r\n");
	assert_int_equal(h->mail.session_count, 1);
	end_user(ALICE);
	tick(h, 0);
	tick(h, LATER_MS); /* not even after a while: the client reads */
	for (i = 0; i < lines; i++) {
		harness_expect_octets(h, line);
		assert_memory_equal(h->got.data, text, line);
		pst_buf_take(&h->got, line);
	}
	harness_expect(h, ".\r\n" GOODBYE);
	harness_expect_eof(h);
	assert_int_equal(h->fake.commits, 0);
	free(text);
}

static void
test_a_quit_that_was_said_goes_on(void **state)
{
	struct harness *h = *state;

	h->fake.is_slow = true;
	fake_is_quick = false;
	harness_start(h);
	sem_post(&h->fake.go);
	harness_expect(h, GREETING);
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	harness_push(h, "QUIT\r\n");
	(void)harness_round(h, true);
	end_user(ALICE);
	tick(h, 0);
	tick(h, LATER_MS);
	sem_post(&h->fake.go);
	harness_expect(h, "+OK 1 messages deleted\r\n");
	harness_expect_eof(h);
	assert_int_equal(h->fake.last_commit, 1);
}

static void
test_a_silent_client_is_let_go_after_a_while(void **state)
{
	struct harness *h = *state;

	greet(h);
	end_user(ALICE);
	tick(h, 0);
	(void)harness_round(h, false);
	assert_int_equal(h->got.len, 0); /* it may still say something, and hear it as the answer */
	tick(h, LATER_MS);
	harness_expect(h, GOODBYE);
	harness_expect_eof(h);
}

static void
test_a_change_before_the_session_counts_from_the_look_up_on(void **state)
{
	struct harness *h = *state;

	end_user(ALICE);                       /* before the look-up, which found the user good */
	ticket.changes_at = changes_now(ring); /* this process has not heard it yet */
	greet(h);
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	harness_hang_up(h);
	end_user("bob@example.org");
	end_user(ALICE);                        /* after it, */
	h->mail.changes_at = changes_now(ring); /* and this process has heard it */
	harness_start(h);
	harness_expect(h, GOODBYE);
	harness_expect_eof(h);
	assert_int_equal(h->fake.opens, 1);
}

static void
test_a_change_while_the_maildrop_opens_is_told_instead_of_a_greeting(void **state)
{
	struct harness *h = *state;

	h->fake.is_slow = true;
	fake_is_quick = false;
	harness_start(h);
	end_user(ALICE);
	sem_post(&h->fake.go);
	harness_expect(h, GOODBYE);
	harness_expect_eof(h);
}

/* ---- Who is here? ---- */

static void
test_an_ask_for_the_domain_is_answered_once(void **state)
{
	struct harness *h = *state;

	greet(h);
	changes_write(ring, CHANGE_ASK, PST_LIT("example.com"));
	changes_write(ring, CHANGE_ASK, PST_LIT("xample.org"));
	changes_write(ring, CHANGE_ASK, PST_LIT("org"));
	harness_say(h, "NOOP", "+OK\r\n");
	assert_no_note();
	changes_write(ring, CHANGE_ASK, PST_LIT("example.org"));
	harness_say(h, "NOOP", "+OK\r\n");
	assert_note(NOTE_CHECK, ALICE);
	changes_write(ring, CHANGE_ASK, PST_LIT(""));
	changes_write(ring, CHANGE_ASK, PST_LIT("example.org"));
	tick(h, 0); /* nobody need say anything */
	assert_note(NOTE_CHECK, ALICE);
	assert_no_note();
}

static void
test_a_check_that_finds_no_room_is_sent_later(void **state)
{
	struct harness *h = *state;
	struct wire_note note;
	struct pst_err err;
	bool has_come = false;

	greet(h);
	while (channel_send(notes[1], "x", 1, -1, &err) == 0)
		;
	changes_write(ring, CHANGE_ASK, PST_LIT(""));
	harness_say(h, "NOOP", "+OK\r\n");
	while (channel_recv(notes[0], &note, 1, NULL, &err) > 0)
		;
	assert_no_note();
	tick(h, 0);
	has_come = next_note(&note);
	assert_true(has_come && note.kind == NOTE_CHECK);
	tick(h, 0);
	assert_no_note();
}

/* A login that nobody vouched for is not spoken of. */
static void
test_a_session_without_a_ticket_is_nobodys(void **state)
{
	struct harness *h = *state;

	h->ticket = NULL;
	greet(h);
	changes_write(ring, CHANGE_ASK, PST_LIT(""));
	harness_say(h, "NOOP", "+OK\r\n");
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	harness_hang_up(h);
	assert_no_note();
}

/* ---- What a session did ---- */

static void
test_a_session_that_ends_is_told_with_its_totals(void **state)
{
	struct harness *h = *state;
	struct wire_note note;

	greet(h);
	harness_say(h, "RETR 2", "+OK 22 octets\r\nSubject: two\r\n\r\nbody\r\n.\r\n");
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	harness_say(h, "DELE 3", "+OK message 3 deleted\r\n");
	assert_no_note();
	harness_say(h, "QUIT", "+OK 2 messages deleted\r\n");
	harness_until_eof(h);
	harness_hang_up(h);
	assert_true(next_note(&note));
	assert_int_equal(note.kind, NOTE_SESSION);
	assert_int_equal(note.backend, 3);
	assert_true(pst_str_eq(note.user, PST_LIT(ALICE)));
	assert_true(pst_str_eq(note.remote_ip, PST_LIT("192.0.2.1")));
	assert_true(pst_str_eq(note.mechanism, PST_LIT("PLAIN")));
	assert_int_equal(note.retrieved, 1);
	assert_int_equal(note.deleted, 2);
	assert_true(note.octets > 22);
	assert_true(note.at > 1500000000);
	assert_no_note();
}

static void
test_nothing_is_told_where_nobody_wants_it(void **state)
{
	struct harness *h = *state;

	ticket.wants_notes = false;
	greet(h);
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	harness_hang_up(h);
	assert_no_note();
}

static void
test_a_full_queue_loses_the_note_and_nothing_else(void **state)
{
	struct harness *h = *state;
	struct pst_err err;

	while (channel_send(notes[1], "x", 1, -1, &err) == 0)
		;
	greet(h);
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	harness_say(h, "QUIT", "+OK 1 messages deleted\r\n");
	harness_until_eof(h);
	harness_hang_up(h);
	assert_true(h->mail.notes_lost == 1);
}

/* ---- The contract ---- */

static void
test_one_session_too_many_is_in_use_until_a_quit_was_answered(void **state)
{
	struct harness *h = *state;
	int first, held;

	ticket.max_sessions = 1;
	greet(h);
	first = h->client;
	harness_start(h);
	harness_expect(h, "-ERR [IN-USE] this user has as many sessions as are allowed\r\n");
	harness_expect_eof(h);
	close(h->client);
	assert_int_equal(h->fake.opens, 1);
	h->client = first;
	h->is_eof = false;
	harness_say(h, "QUIT", "+OK 0 messages deleted\r\n");
	held = h->client; /* it does not close yet */
	greet(h);
	close(held);
}

static void
test_a_maildrop_that_does_not_open_takes_no_place(void **state)
{
	struct harness *h = *state;

	ticket.max_sessions = 1;
	ticket.min_poll_ms = 60000;
	h->fake.is_locked = true;
	harness_start(h);
	harness_skip_line(h);
	harness_hang_up(h);
	h->fake.is_locked = false;
	greet(h); /* nor was that a login */
}

static void
test_a_login_that_is_too_early_is_told_so(void **state)
{
	struct harness *h = *state;

	ticket.min_poll_ms = 59001;
	greet(h);
	harness_say(h, "CAPA",
	            "+OK capability list follows\r\nUSER\r\nSASL PLAIN LOGIN\r\nTOP\r\nUIDL\r\nUTF8 USER\r\nLANG\r\n"
	            "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
	            "LOGIN-DELAY 60\r\nIMPLEMENTATION Postern\r\n.\r\n");
	harness_say(h, "QUIT", "+OK");
	harness_until_eof(h);
	harness_hang_up(h);
	harness_start(h);
	harness_expect(h, "-ERR [LOGIN-DELAY] the last login was too short a while ago\r\n");
	harness_expect_eof(h);
	harness_hang_up(h);
	assert_int_equal(h->fake.opens, 1);
	ticket.user = PST_LIT("bob@example.org"); /* another one */
	greet(h);
}

static void
test_only_so_many_messages_are_there_the_oldest(void **state)
{
	struct harness *h = *state;

	ticket.max_listed = 2;
	harness_start(h);
	harness_expect(h, "+OK 2 messages (50 octets)\r\n");
	harness_say(h, "STAT", "+OK 2 50\r\n");
	harness_say(h, "LIST", "+OK 2 messages (50 octets)\r\n1 28\r\n2 22\r\n.\r\n");
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n1 uidl-1\r\n2 uidl-2\r\n.\r\n");
	harness_say(h, "RETR 3", "-ERR no such message\r\n");
	harness_say(h, "DELE 3", "-ERR no such message\r\n");
	harness_say(h, "UIDL 3", "-ERR no such message\r\n");
	harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
	harness_say(h, "RSET", "+OK 2 messages (50 octets)\r\n");
	harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
	harness_say(h, "QUIT", "+OK 1 messages deleted\r\n");
	harness_until_eof(h);
	assert_int_equal(h->fake.last_commit, 1);
	assert_true(h->fake.v[1].is_removed);
	harness_hang_up(h);
	ticket.max_listed = 100;
	greet(h);
}

static int
set_back(void **state)
{
	const int rc = tear_down(state);

	fake_is_quick = true;
	return rc;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, set_back)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_next_command_is_answered_with_goodbye),
		CASE(test_a_quit_after_dele_removes_nothing),
		CASE(test_of_commands_sent_together_none_is_served),
		CASE(test_a_line_that_is_too_long_is_a_command_too),
		CASE(test_nobody_else_is_concerned),
		CASE(test_a_message_on_its_way_is_sent_to_its_end),
		CASE(test_a_quit_that_was_said_goes_on),
		CASE(test_a_silent_client_is_let_go_after_a_while),
		CASE(test_a_change_before_the_session_counts_from_the_look_up_on),
		CASE(test_a_change_while_the_maildrop_opens_is_told_instead_of_a_greeting),
		CASE(test_an_ask_for_the_domain_is_answered_once),
		CASE(test_a_check_that_finds_no_room_is_sent_later),
		CASE(test_a_session_without_a_ticket_is_nobodys),
		CASE(test_a_session_that_ends_is_told_with_its_totals),
		CASE(test_nothing_is_told_where_nobody_wants_it),
		CASE(test_a_full_queue_loses_the_note_and_nothing_else),
		CASE(test_one_session_too_many_is_in_use_until_a_quit_was_answered),
		CASE(test_a_maildrop_that_does_not_open_takes_no_place),
		CASE(test_a_login_that_is_too_early_is_told_so),
		CASE(test_only_so_many_messages_are_there_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
