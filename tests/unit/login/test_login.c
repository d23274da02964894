/* SPDX-License-Identifier: MIT */
/* From the greeting to the hand-off, or to a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "tests/unit/login/rig.h"

static void
test_plain_login_hands_the_socket_over(void **state)
{
	struct rig *r = *state;
	struct wire_auth_request ask;
	struct wire_handoff handoff;
	struct msg_head head;
	struct rig_client c;
	char sid[WIRE_SID + 1];
	unsigned slot;
	uint32_t row;
	int fd;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_hear(&c, GREETING);
	/* All at once: what stands behind PASS goes to mail unread. */
	rig_say(&c, "USER alice\r\nPASS  se cret \r\nSTAT\r\nRETR");
	ask = rig_request(r, &head);
	assert_int_equal(head.incarnation, 7);
	assert_true(pst_str_eq(ask.user, PST_LIT("alice")));
	assert_true(pst_str_eq(ask.password, PST_LIT(" se cret ")));
	assert_true(pst_str_eq(ask.mechanism, PST_LIT("USER")));
	assert_true(pst_str_eq(ask.remote_ip, PST_LIT("127.0.0.1")));
	assert_true(pst_str_eq(ask.local_ip, PST_LIT("127.0.0.1")));
	assert_true(pst_str_eq(ask.listener, PST_LIT("pop3")));
	assert_int_equal(ask.sni.n, 0);
	assert_false(ask.tls);
	assert_int_equal(ask.sid.n, 16);
	row = ask.row;
	(void)snprintf(sid, sizeof(sid), "%.*s", PST_ARG(ask.sid));
	assert_string_equal(r->board->row[row].sid, sid);
	assert_string_equal(r->board->row[row].user, "alice");
	assert_int_equal(atomic_load(&r->board->row[row].state), SESSION_AUTH);
	rig_answer_ok(r, &head, "alice@example.test");
	rig_hear(&c, PROMPT); /* and nothing for PASS: that is mail's to say */
	slot = rig_handoff_slot(r);
	handoff = rig_handoff(r, slot, &fd);
	assert_true(pst_str_eq(handoff.user, PST_LIT("alice@example.test")));
	assert_true(pst_str_eq(handoff.ticket, PST_LIT("sealed")));
	assert_true(pst_str_eq(handoff.input, PST_LIT("STAT\r\nRETR")));
	assert_true(pst_str_eq(handoff.sid, pst_str_c(sid)));
	assert_int_equal(handoff.row, row);
	assert_false(handoff.tls);
	rig_wait_sessions(r, 0); /* login has forgotten it */
	assert_int_equal(atomic_load(&r->board->row[row].state), SESSION_MAIL);
	assert_int_equal(atomic_load(&r->board->row[row].kind_slot),
	                 (uint32_t)WORKER_MAIL << 16 | slot);
	rig_say_fd(fd, "+OK 0 messages\r\n");
	rig_hear(&c, "+OK 0 messages\r\n");
	rig_say(&c, " 1\r\n");
	rig_hear_fd(fd, " 1\r\n");
	close(fd);
	rig_hear_end(&c);
	rig_close(&c);
	rig_wait_logged(r, "login.ok");
	assert_int_equal(rig_logged(r, "mech=USER tls=none"), 1);
	assert_int_equal(rig_logged(r, "se cret"), 0);
}

static void
test_octet_by_octet_is_the_same(void **state)
{
	static const char in[] = "CAPA\r\nUSER alice\r\nPASS secret\r\nLIST\r\n";
	struct rig *r = *state;
	struct wire_handoff handoff;
	struct msg_head head;
	struct rig_client c;
	char got[512];
	size_t have = 0;
	size_t i;
	int fd;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_hear(&c, GREETING);
	for (i = 0; i < sizeof(in) - 1; i++)
		rig_say_octets(&c, in + i, 1);
	(void)rig_request(r, &head);
	while (have < 14 || memcmp(got + have - 15, PROMPT, 15) != 0)
		have += rig_read(&c, got + have, sizeof(got) - have);
	assert_memory_equal(got, "+OK capability list", 19);
	rig_answer_ok(r, &head, "alice");
	handoff = rig_handoff(r, rig_handoff_slot(r), &fd);
	/* What had not been read yet is still in the socket. */
	assert_memory_equal(handoff.input.p, "LIST\r\n", handoff.input.n);
	rig_hear_fd(fd, &"LIST\r\n"[handoff.input.n]);
	close(fd);
	rig_close(&c);
}

static void
test_a_wrong_password_is_told_and_what_waits_goes_on(void **state)
{
	struct rig *r = *state;
	struct wire_auth_request ask;
	struct msg_head head;
	struct rig_client c;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\nUSER b\r\nPASS 2\r\nQUIT\r\n");
	ask = rig_request(r, &head);
	assert_true(pst_str_eq(ask.user, PST_LIT("a")));
	assert_false(rig_request_waits(r, 100)); /* one at a time */
	rig_refuse(r, &head, PST_E_AUTH, 0);
	ask = rig_request(r, &head);
	assert_true(pst_str_eq(ask.user, PST_LIT("b")));
	rig_refuse(r, &head, PST_E_TEMP, 0);
	rig_hear(&c, GREETING PROMPT REFUSED PROMPT TEMPORARY "+OK goodbye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	rig_wait_sessions(r, 0);
	assert_int_equal(rig_logged(r, "login.failed"), 2);
	assert_int_equal(rig_logged(r, "reason=credentials mech=USER"), 1);
	assert_int_equal(rig_logged(r, "reason=temporary mech=USER"), 1);
}

static void
test_a_failure_is_told_late_and_others_are_served(void **state)
{
	struct rig *r = *state;
	struct rig_client slow, quick;
	int64_t began;
	struct msg_head head;

	r->settings.auth.failure_delay = 300;
	rig_start(r);
	slow = rig_connect(r, RIG_PLAIN);
	rig_say(&slow, "USER a\r\nPASS 1\r\nUSER a\r\nPASS \r\n");
	(void)rig_request(r, &head);
	began = pst_now_ms();
	rig_refuse(r, &head, PST_E_AUTH, 500); /* the longer one counts */
	quick = rig_connect(r, RIG_PLAIN);
	rig_hear(&quick, GREETING);
	assert_true(pst_now_ms() - began < 400);
	rig_hear(&slow, GREETING PROMPT REFUSED);
	assert_true(pst_now_ms() - began >= 500);
	/* One that can be no password waits as long as one that is wrong. */
	rig_hear(&slow, PROMPT REFUSED);
	assert_true(pst_now_ms() - began >= 800);
	rig_close(&slow);
	rig_close(&quick);
}

static void
answer_ok_later(struct rig *r, const struct msg_head *head, uint32_t delay_ms)
{
	rig_answer(r, head,
	           &(struct wire_auth_reply){ .ok = true,
	                                      .delay_ms = delay_ms,
	                                      .user = PST_LIT("alice"),
	                                      .ticket = PST_LIT("sealed") });
}

static void
test_a_delayed_success_is_handed_over_late_with_all_that_came(void **state)
{
	struct rig *r = *state;
	struct wire_handoff handoff;
	struct rig_client c, quick;
	struct msg_head head;
	int64_t began;
	unsigned slot;
	int fd;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\nSTAT\r\n");
	(void)rig_request(r, &head);
	began = pst_now_ms();
	answer_ok_later(r, &head, 400);
	quick = rig_connect(r, RIG_PLAIN);
	rig_hear(&quick, GREETING);
	assert_true(pst_now_ms() - began < 300);
	assert_int_equal(rig_logged(r, "login.ok"), 0);
	slot = rig_handoff_slot(r);
	assert_true(pst_now_ms() - began >= 400);
	handoff = rig_handoff(r, slot, &fd);
	assert_true(pst_str_eq(handoff.user, PST_LIT("alice")));
	assert_true(pst_str_eq(handoff.ticket, PST_LIT("sealed")));
	assert_true(pst_str_eq(handoff.input, PST_LIT("STAT\r\n")));
	rig_say_fd(fd, "+OK 0 messages\r\n");
	rig_hear(&c, GREETING PROMPT "+OK 0 messages\r\n");
	assert_int_equal(rig_logged(r, "login.ok"), 1);
	close(fd);
	rig_close(&c);
	rig_close(&quick);
}

static void
test_who_waits_out_a_success_is_told_that_the_server_stops(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	struct msg_head head;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\n");
	(void)rig_request(r, &head);
	answer_ok_later(r, &head, UINT32_MAX);
	rig_hear(&c, GREETING PROMPT);
	rig_order(r, ORDER_STOP, 0);
	rig_hear(&c, "-ERR [SYS/TEMP] server is going down\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	assert_int_equal(rig_logged(r, "login.ok"), 0);
	assert_int_equal(rig_wait_for_end(r), 0);
}

static void
test_a_stale_answer_is_nobodys(void **state)
{
	struct rig *r = *state;
	struct msg_head head, stale;
	struct rig_client c;

	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\n");
	(void)rig_request(r, &head);
	stale = head;
	stale.incarnation++;
	rig_answer_ok(r, &stale, "mallory");
	stale = head;
	stale.request++;
	rig_answer_ok(r, &stale, "mallory");
	rig_refuse(r, &head, PST_E_AUTH, 0);
	rig_refuse(r, &head, PST_E_TEMP, 0); /* twice: the second has no asker any more */
	rig_hear(&c, GREETING PROMPT REFUSED);
	rig_say(&c, "QUIT\r\n");
	rig_hear(&c, "+OK goodbye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	assert_int_equal(rig_logged(r, "login.ok"), 0);
}

static void
test_no_answer_is_a_temporary_failure(void **state)
{
	struct rig *r = *state;
	struct msg_head head;
	struct rig_client c;

	r->settings.auth.timeout = 100; /* and login's own grace of two seconds */
	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\nQUIT\r\n");
	(void)rig_request(r, &head);
	rig_hear(&c, GREETING PROMPT TEMPORARY "+OK goodbye\r\n");
	rig_close(&c);
}

static void
test_a_full_queue_is_a_temporary_failure(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	struct pst_err err;

	rig_start(r);
	while (channel_send(r->auth_queue[1], "waiting", 7, -1, &err) == 0)
		;
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER a\r\nPASS 1\r\n");
	rig_hear(&c, GREETING PROMPT TEMPORARY);
	rig_close(&c);
}

static void
test_the_mail_worker_with_the_fewest_sessions_is_chosen(void **state)
{
	struct rig *r = *state;
	struct rig_client c[3];
	unsigned slot;
	unsigned i;
	int fd;

	atomic_store(&r->slots[1].sessions, 5);
	atomic_store(&r->slots[2].sessions, 3);
	atomic_store(&r->slots[3].sessions, 1);
	atomic_store(&r->slots[3].state, SLOT_DRAINING);
	rig_start(r);
	c[0] = rig_connect(r, RIG_PLAIN);
	fd = rig_log_in(r, &c[0], &slot);
	close(fd);
	assert_int_equal(slot, 1);
	/* One that is starting will do where none is ready. */
	atomic_store(&r->slots[1].state, SLOT_EMPTY);
	atomic_store(&r->slots[2].state, SLOT_STARTING);
	c[1] = rig_connect(r, RIG_PLAIN);
	fd = rig_log_in(r, &c[1], &slot);
	close(fd);
	assert_int_equal(slot, 1);
	atomic_store(&r->slots[2].state, SLOT_DRAINING);
	{
		struct msg_head head;

		c[2] = rig_connect(r, RIG_PLAIN);
		rig_say(&c[2], "USER a\r\nPASS 1\r\n");
		(void)rig_request(r, &head);
		rig_answer_ok(r, &head, "a");
		rig_hear(&c[2], GREETING PROMPT TEMPORARY);
	}
	rig_wait_sessions(r, 1);
	for (i = 0; i < 3; i++)
		rig_close(&c[i]);
}

static void
test_a_full_inbox_is_passed_over(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	struct pst_err err;
	unsigned slot;

	atomic_store(&r->slots[2].sessions, 1);
	atomic_store(&r->slots[3].state, SLOT_EMPTY);
	while (channel_send(r->mail[0][1], "waiting", 7, -1, &err) == 0)
		;
	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_hear(&c, GREETING);
	rig_say(&c, "USER alice\r\nPASS secret\r\n");
	{
		struct msg_head head;
		int fd;

		(void)rig_request(r, &head);
		rig_answer_ok(r, &head, "alice");
		slot = 1;
		(void)rig_handoff(r, slot, &fd);
		close(fd);
	}
	rig_close(&c);
}

/* run_as = "user": whichever spare process takes it from the queue. */
static void
test_a_queue_for_mail_is_used_where_there_is_one(void **state)
{
	struct rig *r = *state;
	struct wire_handoff handoff;
	struct msg_head head;
	struct rig_client c;
	struct pst_err err;
	int fd;

	r->env.mail_queue = r->mail_queue[1];
	rig_start(r);
	c = rig_connect(r, RIG_PLAIN);
	rig_say(&c, "USER alice\r\nPASS secret\r\n");
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice");
	handoff = rig_handoff_from(r, r->mail_queue[0], &fd);
	assert_true(pst_str_eq(handoff.ticket, PST_LIT("sealed")));
	close(fd);
	rig_close(&c);
	while (channel_send(r->mail_queue[1], "waiting", 7, -1, &err) == 0)
		;
	c = rig_connect_tls(r);
	rig_say(&c, "USER alice\r\nPASS secret\r\n");
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice");
	rig_hear(&c, GREETING PROMPT TEMPORARY);
	rig_say(&c, "QUIT\r\n"); /* the session goes on */
	rig_hear(&c, "+OK goodbye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_plain_login_hands_the_socket_over),
		WITH_RIG(test_octet_by_octet_is_the_same),
		WITH_RIG(test_a_wrong_password_is_told_and_what_waits_goes_on),
		WITH_RIG(test_a_failure_is_told_late_and_others_are_served),
		WITH_RIG(test_a_delayed_success_is_handed_over_late_with_all_that_came),
		WITH_RIG(test_who_waits_out_a_success_is_told_that_the_server_stops),
		WITH_RIG(test_a_stale_answer_is_nobodys),
		WITH_RIG(test_no_answer_is_a_temporary_failure),
		WITH_RIG(test_a_full_queue_is_a_temporary_failure),
		WITH_RIG(test_the_mail_worker_with_the_fewest_sessions_is_chosen),
		WITH_RIG(test_a_full_inbox_is_passed_over),
		WITH_RIG(test_a_queue_for_mail_is_used_where_there_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
