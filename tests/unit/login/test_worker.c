/* SPDX-License-Identifier: MIT */
/* The whole login worker over real sockets: from the greeting to the hand-off, the refusals, the relay,
 * the orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "tests/unit/login/rig.h"

#define GREETING "+OK ready\r\n"
#define PROMPT "+OK send PASS\r\n"
#define REFUSED "-ERR [AUTH] authentication failed\r\n"
#define TEMPORARY "-ERR [SYS/TEMP] temporary failure, try again later\r\n"
#define BIG 3000000

static int
open_rig(void **state)
{
	*state = rig_create();
	return 0;
}

static int
close_rig(void **state)
{
	rig_destroy(*state);
	return 0;
}

static void
refuse(struct rig *r, const struct msg_head *head, enum pst_err_kind kind, uint32_t delay_ms)
{
	rig_answer(r, head,
	           &(struct wire_auth_reply){ .kind = (uint8_t)kind, .delay_ms = delay_ms });
}

/* USER and PASS, up to the hand-off; what the mail worker gets. */
static int
log_in(struct rig *r, struct rig_client *c, unsigned *slot_out)
{
	struct msg_head head;
	unsigned slot;
	int fd;

	rig_hear(c, GREETING);
	rig_say(c, "USER alice\r\n");
	rig_hear(c, PROMPT);
	rig_say(c, "PASS secret\r\n");
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice@example.test");
	slot = rig_handoff_slot(r);
	(void)rig_handoff(r, slot, &fd);
	if (slot_out != NULL)
		*slot_out = slot;
	return fd;
}

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
	rig_hear_fd(fd, "LIST\r\n" + handoff.input.n);
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
	refuse(r, &head, PST_E_AUTH, 0);
	ask = rig_request(r, &head);
	assert_true(pst_str_eq(ask.user, PST_LIT("b")));
	refuse(r, &head, PST_E_TEMP, 0);
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
	refuse(r, &head, PST_E_AUTH, 500); /* the longer one counts */
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
	refuse(r, &head, PST_E_AUTH, 0);
	refuse(r, &head, PST_E_TEMP, 0); /* twice: the second has no asker any more */
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
	fd = log_in(r, &c[0], &slot);
	close(fd);
	assert_int_equal(slot, 1);
	/* One that is starting will do where none is ready. */
	atomic_store(&r->slots[1].state, SLOT_EMPTY);
	atomic_store(&r->slots[2].state, SLOT_STARTING);
	c[1] = rig_connect(r, RIG_PLAIN);
	fd = log_in(r, &c[1], &slot);
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

static void
test_connections_beyond_the_limit_are_turned_away(void **state)
{
	struct rig *r = *state;
	struct rig_client c[RIG_ROWS], more;
	unsigned i;

	rig_start(r);
	for (i = 0; i < RIG_ROWS; i++) {
		c[i] = rig_connect(r, RIG_PLAIN);
		rig_hear(&c[i], GREETING);
	}
	more = rig_connect(r, RIG_PLAIN);
	rig_hear(&more, "-ERR [SYS/TEMP] too many connections\r\n");
	rig_hear_end(&more);
	rig_close(&more);
	rig_say(&c[0], "QUIT\r\n");
	rig_hear(&c[0], "+OK goodbye\r\n");
	rig_close(&c[0]);
	rig_wait_sessions(r, RIG_ROWS - 1);
	more = rig_connect(r, RIG_PLAIN);
	rig_hear(&more, GREETING);
	rig_close(&more);
	for (i = 1; i < RIG_ROWS; i++)
		rig_close(&c[i]);
	rig_wait_sessions(r, 0);
	for (i = 0; i < RIG_ROWS; i++)
		assert_int_equal(atomic_load(&r->board->row[i].state), SESSION_FREE);
}

static void
test_an_idle_client_is_let_go_though_octets_trickle_in(void **state)
{
	struct rig *r = *state;
	int64_t began = pst_now_ms();
	struct rig_client silent, slow;
	char octet;

	r->settings.login.timeout = 1000;
	rig_start(r);
	silent = rig_connect(r, RIG_PLAIN);
	slow = rig_connect(r, RIG_PLAIN);
	rig_hear(&silent, GREETING);
	rig_hear(&slow, GREETING);
	for (;;) { /* half a command is no command */
		struct pollfd p = { .fd = slow.fd, .events = POLLIN };

		assert_true(pst_now_ms() - began < 8000);
		if (poll(&p, 1, 50) == 1)
			break;
		assert_int_equal(send(slow.fd, "X", 1, MSG_NOSIGNAL), 1);
	}
	assert_true(recv(slow.fd, &octet, 1, 0) <= 0);
	rig_hear_end(&silent); /* without a word: RFC 1939 section 3 */
	assert_true(pst_now_ms() - began >= 900);
	rig_close(&silent);
	rig_close(&slow);
	rig_wait_sessions(r, 0);
}

static void
test_a_handshake_that_never_ends_is_ended(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	r->settings.login.handshake_timeout = 500;
	rig_start(r);
	c = rig_connect(r, RIG_TLS);
	rig_say_octets(&c, "\x16\x03\x01", 3);
	rig_hear_end(&c);
	rig_close(&c);
	rig_wait_sessions(r, 0);
}

static void
test_tls_login_relays_both_ways(void **state)
{
	struct rig *r = *state;
	struct wire_auth_request ask;
	struct wire_handoff handoff;
	struct msg_head head;
	struct rig_client c;
	int fd;

	rig_start(r);
	c = rig_connect_tls(r);
	rig_hear(&c, GREETING);
	rig_say(&c, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nSTAT\r\n");
	ask = rig_request(r, &head);
	assert_true(ask.tls);
	assert_true(pst_str_eq(ask.sni, PST_LIT("default.test")));
	assert_true(pst_str_eq(ask.mechanism, PST_LIT("PLAIN")));
	rig_answer_ok(r, &head, "alice@example.test");
	handoff = rig_handoff(r, rig_handoff_slot(r), &fd);
	assert_true(handoff.tls);
	assert_true(pst_str_eq(handoff.input, PST_LIT("STAT\r\n")));
	rig_say_fd(fd, "+OK 1 messages\r\n+OK 1 10\r\n");
	rig_hear(&c, "+OK 1 messages\r\n+OK 1 10\r\n");
	rig_say(&c, "RETR 1\r\nQUIT\r\n");
	rig_hear_fd(fd, "RETR 1\r\nQUIT\r\n");
	rig_say_fd(fd, "+OK goodbye\r\n");
	close(fd);
	rig_hear(&c, "+OK goodbye\r\n");
	rig_hear_end(&c); /* close_notify: without it this is an error */
	rig_close(&c);
	rig_wait_sessions(r, 0);
	assert_int_equal(rig_logged(r, "tls=TLS1.3 cipher=TLS_AES"), 1);
}

static void
test_stls_upgrades_and_what_came_with_it_is_never_acted_on(void **state)
{
	struct rig *r = *state;
	struct wire_auth_request ask;
	struct msg_head head;
	struct rig_client c;

	rig_start(r);
	c = rig_connect(r, RIG_STRICT);
	rig_hear(&c, GREETING);
	rig_say(&c, "USER alice\r\n");
	rig_hear(
		&c,
		"-ERR [SYS/PERM] cleartext login is not allowed here: use TLS (STLS, or port 995)\r\n");
	rig_say(&c, "STLS\r\n");
	rig_hear(&c, "+OK begin TLS\r\n");
	assert_int_equal(rig_shake_hands(&c, NULL, NULL), 0);
	rig_say(&c, "PASS x\r\nUSER alice\r\nPASS secret\r\n"); /* no second greeting */
	rig_hear(&c, "-ERR send USER first\r\n" PROMPT);
	ask = rig_request(r, &head);
	assert_true(ask.tls);
	refuse(r, &head, PST_E_AUTH, 0);
	rig_hear(&c, REFUSED);
	rig_close(&c);
	c = rig_connect(r, RIG_STRICT);
	rig_hear(&c, GREETING);
	rig_say(&c, "STLS\r\nUSER alice\r\nPASS secret\r\n");
	rig_hear(&c, "-ERR octets behind STLS, goodbye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	rig_wait_logged(r, "login.stls_injection");
	assert_false(rig_request_waits(r, 0));
	/* Sent after the answer, but in the clear: TLS does not take it for a command either. */
	c = rig_connect(r, RIG_STRICT);
	rig_say(&c, "STLS\r\n");
	rig_hear(&c, GREETING "+OK begin TLS\r\n");
	rig_say(&c, "USER alice\r\nPASS secret\r\n");
	rig_wait_sessions(r, 0);
	assert_false(rig_request_waits(r, 0));
	rig_close(&c);
}

static void
fill_pattern(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)((i * 31 + i / 251) & 0xff);
}

/* In a process of its own, so that both ends can block. */
static pid_t
write_all_and_close(int fd, const char *data, size_t n)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		while (n > 0) {
			ssize_t rc = send(fd, data, n, MSG_NOSIGNAL);

			if (rc <= 0)
				_exit(1);
			data += rc;
			n -= (size_t)rc;
		}
		_exit(0);
	}
	close(fd);
	return pid;
}

/* Mail writes much, says goodbye and is gone; the client is slower, in steps of its own. */
static void
drain_relay(struct rig *r, const char *data, size_t n, size_t step)
{
	struct rig_client c = rig_connect_tls(r);
	char *got = pst_alloc(n);
	int small = 131072;
	size_t have = 0;
	pid_t pid;

	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	pid = write_all_and_close(log_in(r, &c, NULL), data, n);
	while (have < n) {
		size_t rc = rig_read(&c, got + have, n - have < step ? n - have : step);

		assert_true(rc > 0);
		have += rc;
	}
	assert_memory_equal(got, data, n);
	rig_hear_end(&c);
	assert_int_equal(rig_wait_child(pid), 0);
	rig_close(&c);
	free(got);
}

static void
test_every_octet_comes_before_the_end(void **state)
{
	static const size_t steps[] = { 100, 4096, 16384, 65536 };
	struct rig *r = *state;
	char *data = pst_alloc(BIG);
	size_t i;

	fill_pattern(data, BIG);
	rig_start(r);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		drain_relay(r, data, steps[i] == 100 ? 300000 : BIG, steps[i]);
	for (i = 0; i < 50; i++)
		drain_relay(r, data, 100000 + i * 777, 16384);
	rig_wait_sessions(r, 0);
	free(data);
}

static void
test_a_client_that_quits_and_hangs_up_is_heard_by_mail(void **state)
{
	static const char commands[] = "DELE 1\r\nQUIT\r\n";
	struct rig *r = *state;
	struct rig_client c;
	unsigned i;
	char octet;
	int fd;

	rig_start(r);
	for (i = 0; i < 3; i++) {
		c = rig_connect_tls(r);
		fd = log_in(r, &c, NULL);
		rig_say(&c, commands);
		if (i == 0)
			assert_int_equal(gnutls_bye(c.tls, GNUTLS_SHUT_WR), 0);
		rig_close(&c); /* octets unread: a reset, mostly */
		rig_hear_fd(fd, commands);
		assert_int_equal(recv(fd, &octet, 1, 0), 0);
		/* Mail takes its time for the deletions; what it says then is for nobody, but no error. */
		assert_int_equal(send(fd, "+OK goodbye\r\n", 13, MSG_NOSIGNAL), 13);
		close(fd);
		rig_wait_sessions(r, 0);
	}
}

static void
test_a_mail_worker_that_reads_late_gets_every_octet(void **state)
{
	struct rig *r = *state;
	char *data = pst_alloc(BIG);
	char *got = pst_alloc(BIG);
	struct rig_client c;
	size_t have = 0;
	pid_t pid;
	int fd;

	fill_pattern(data, BIG);
	rig_start(r);
	c = rig_connect_tls(r);
	fd = log_in(r, &c, NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		size_t at = 0;

		while (at < BIG) {
			ssize_t rc = gnutls_record_send(c.tls, data + at, BIG - at);

			if (rc <= 0)
				_exit(1);
			at += (size_t)rc;
		}
		_exit(gnutls_bye(c.tls, GNUTLS_SHUT_WR) == 0 ? 0 : 1);
	}
	close(c.fd);
	c.fd = -1;
	while (have < BIG) {
		ssize_t rc = recv(fd, got + have, BIG - have, 0);

		assert_true(rc > 0);
		have += (size_t)rc;
	}
	assert_memory_equal(got, data, BIG);
	assert_int_equal(recv(fd, got, 1, 0), 0);
	assert_int_equal(rig_wait_child(pid), 0);
	close(fd);
	rig_close(&c);
	free(data);
	free(got);
}

/* Records and an end that come out of the socket together: no further event tells of any of them. */
static void
test_all_that_arrives_together_is_seen(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	char octet;
	unsigned i;
	int fd;

	rig_start(r);
	c = rig_connect_tls(r);
	fd = log_in(r, &c, NULL);
	rig_gather(&c);
	for (i = 0; i < 50; i++)
		rig_say(&c, "NOOP\r\n");
	assert_int_equal(gnutls_bye(c.tls, GNUTLS_SHUT_WR), 0);
	rig_send_gathered(&c);
	for (i = 0; i < 50; i++)
		rig_hear_fd(fd, "NOOP\r\n");
	assert_int_equal(recv(fd, &octet, 1, 0), 0);
	rig_say_fd(fd, "+OK bye\r\n");
	close(fd);
	rig_hear(&c, "+OK bye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	/* The same before login. */
	c = rig_connect_tls(r);
	rig_hear(&c, GREETING);
	rig_gather(&c);
	rig_say(&c, "USER alice\r\n");
	rig_say(&c, "USER bob\r\n");
	assert_int_equal(gnutls_bye(c.tls, GNUTLS_SHUT_WR), 0);
	rig_send_gathered(&c);
	rig_hear(&c, PROMPT PROMPT);
	rig_wait_sessions(r, 0);
	rig_close(&c);
}

static void
test_much_behind_pass_goes_on_in_order(void **state)
{
	struct rig *r = *state;
	char *big = pst_alloc(16384);
	char *got = pst_alloc(32768);
	struct wire_handoff handoff;
	struct msg_head head;
	struct rig_client c;
	size_t have;
	size_t all;
	unsigned i;
	int fd;

	memset(big, 'x', 16384);
	rig_start(r);
	c = rig_connect_tls(r);
	rig_hear(&c, GREETING);
	rig_gather(&c);
	rig_say(&c, "USER alice\r\nPASS secret\r\n");
	for (i = 0; i < 100; i++)
		rig_say(&c, "NOOP some more\r\n");
	rig_say_octets(&c, big, 16384);
	rig_say(&c, "QUIT\r\n");
	rig_send_gathered(&c);
	all = 100 * 16 + 16384 + 6;
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice");
	handoff = rig_handoff(r, rig_handoff_slot(r), &fd);
	have = handoff.input.n;
	assert_true(have <= WIRE_INPUT);
	memcpy(got, handoff.input.p, have);
	while (have < all) {
		ssize_t n = recv(fd, got + have, 32768 - have, 0);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(have, all);
	for (i = 0; i < 100; i++)
		assert_memory_equal(got + 16 * i, "NOOP some more\r\n", 16);
	assert_memory_equal(got + 1600, big, 16384);
	assert_memory_equal(got + 1600 + 16384, "QUIT\r\n", 6);
	close(fd);
	rig_close(&c);
	free(big);
	free(got);
}

static void
test_a_session_resumes_by_ticket(void **state)
{
	struct rig *r = *state;
	gnutls_datum_t data = { NULL, 0 };
	struct rig_client c;

	rig_start(r);
	c = rig_connect_tls(r);
	rig_hear(&c, GREETING);
	assert_int_equal(gnutls_session_get_data2(c.tls, &data), 0);
	rig_close(&c);
	rig_kill_keys(r); /* not needed: nothing is signed */
	c = rig_connect(r, RIG_TLS);
	assert_int_equal(rig_shake_hands(&c, "default.test", &data), 0);
	assert_true(gnutls_session_is_resumed(c.tls));
	rig_hear(&c, GREETING);
	rig_close(&c);
	gnutls_free(data.data);
}

static void
test_a_keys_process_that_is_replaced_costs_no_handshake(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	unsigned i;
	pid_t pid;

	rig_start(r);
	for (i = 0; i < 3; i++) {
		rig_kill_keys(r);
		c = rig_connect(r, RIG_TLS);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(rig_shake_hands(&c, "default.test", NULL) == 0 ? 0 : 1);
		(void)poll(NULL, 0, 100 + 200 * (int)i); /* as long as a replacement may take */
		rig_start_keys(r);
		assert_int_equal(rig_wait_child(pid), 0);
		rig_close(&c);
	}
}

static void
test_without_keys_plain_clients_are_served_and_tls_fails_in_time(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	int64_t began;
	unsigned i;

	rig_start(r);
	rig_kill_keys(r);
	began = pst_now_ms();
	for (i = 0; i < 5; i++) { /* only the first waits long */
		c = rig_connect(r, RIG_TLS);
		assert_true(rig_shake_hands(&c, "default.test", NULL) < 0);
		rig_close(&c);
	}
	assert_true(pst_now_ms() - began < 4000);
	c = rig_connect(r, RIG_PLAIN);
	rig_hear(&c, GREETING);
	rig_close(&c);
	rig_start_keys(r);
	c = rig_connect_tls(r);
	rig_hear(&c, GREETING);
	rig_close(&c);
}

static void
test_drain_serves_those_who_are_here(void **state)
{
	struct rig *r = *state;
	struct rig_client early, late, tls;
	struct msg_head head;
	struct pollfd p;
	int relay;
	int fd;

	rig_start(r);
	early = rig_connect(r, RIG_PLAIN);
	rig_hear(&early, GREETING);
	tls = rig_connect_tls(r);
	relay = log_in(r, &tls, NULL);
	rig_order(r, ORDER_DRAIN, 0);
	while (atomic_load(&r->slots[0].state) != SLOT_DRAINING)
		(void)poll(NULL, 0, 2);
	late = rig_connect(r, RIG_PLAIN); /* the socket is there, for the worker that comes next */
	p = (struct pollfd){ .fd = late.fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 200), 0);
	rig_say(&early, "USER alice\r\nPASS secret\r\n");
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice");
	(void)rig_handoff(r, rig_handoff_slot(r), &fd);
	rig_say_fd(relay, "+OK still here\r\n");
	rig_hear(&tls, "+OK still here\r\n");
	close(relay);
	rig_hear_end(&tls);
	rig_close(&tls);
	assert_int_equal(rig_wait_for_end(r), 0);
	close(fd);
	rig_close(&early);
	rig_close(&late);
}

static void
test_stop_says_so_and_ends_all(void **state)
{
	struct rig *r = *state;
	struct rig_client c[4];
	struct msg_head head;
	unsigned i;
	int relay;

	rig_start(r);
	c[0] = rig_connect(r, RIG_PLAIN);
	rig_hear(&c[0], GREETING);
	c[1] = rig_connect_tls(r);
	rig_hear(&c[1], GREETING);
	c[2] = rig_connect(r, RIG_PLAIN);
	rig_say(&c[2], "USER a\r\nPASS b\r\n");
	rig_hear(&c[2], GREETING PROMPT);
	(void)rig_request(r, &head);
	c[3] = rig_connect_tls(r);
	relay = log_in(r, &c[3], NULL);
	rig_order(r, ORDER_STOP, 0);
	for (i = 0; i < 3; i++) {
		rig_hear(&c[i], "-ERR [SYS/TEMP] server is going down\r\n");
		rig_hear_end(&c[i]);
	}
	/* What mail still has to say comes through. */
	rig_say_fd(relay, "-ERR [SYS/TEMP] goodbye\r\n");
	close(relay);
	rig_hear(&c[3], "-ERR [SYS/TEMP] goodbye\r\n");
	rig_hear_end(&c[3]);
	for (i = 0; i < 4; i++)
		rig_close(&c[i]);
	assert_int_equal(rig_wait_for_end(r), 0);
}

static void
test_stop_waits_for_no_silent_relay(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	int relay;

	rig_start(r);
	c = rig_connect_tls(r);
	relay = log_in(r, &c, NULL);
	rig_order(r, ORDER_STOP, 0);
	assert_int_equal(rig_wait_for_end(r), 0);
	close(relay);
	rig_close(&c);
}

static void
test_one_session_is_ended_by_its_row(void **state)
{
	struct rig *r = *state;
	struct rig_client one, other;
	uint32_t row;

	rig_start(r);
	one = rig_connect(r, RIG_PLAIN);
	rig_hear(&one, GREETING);
	for (row = 0; atomic_load(&r->board->row[row].state) == SESSION_FREE; row++)
		;
	other = rig_connect(r, RIG_PLAIN);
	rig_hear(&other, GREETING);
	rig_order(r, ORDER_END_SESSION, row);
	rig_hear(&one, "-ERR [SYS/TEMP] server is going down\r\n");
	rig_hear_end(&one);
	rig_say(&other, "QUIT\r\n");
	rig_hear(&other, "+OK goodbye\r\n");
	rig_close(&one);
	rig_close(&other);
}

static void
test_junk_in_the_inbox_is_logged_and_harmless(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	struct pst_err err;
	char junk[300];
	unsigned i;

	rig_start(r);
	for (i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(i * 7);
	for (i = 1; i < sizeof(junk); i += 13)
		assert_int_equal(channel_send(r->inbox[1], junk, i, -1, &err), 0);
	c = rig_connect(r, RIG_PLAIN);
	rig_hear(&c, GREETING);
	rig_close(&c);
	rig_wait_logged(r, "login.message");
}

int
main(void)
{
#define WITH_RIG(f) cmocka_unit_test_setup_teardown(f, open_rig, close_rig)
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_plain_login_hands_the_socket_over),
		WITH_RIG(test_octet_by_octet_is_the_same),
		WITH_RIG(test_a_wrong_password_is_told_and_what_waits_goes_on),
		WITH_RIG(test_a_failure_is_told_late_and_others_are_served),
		WITH_RIG(test_a_stale_answer_is_nobodys),
		WITH_RIG(test_no_answer_is_a_temporary_failure),
		WITH_RIG(test_a_full_queue_is_a_temporary_failure),
		WITH_RIG(test_the_mail_worker_with_the_fewest_sessions_is_chosen),
		WITH_RIG(test_a_full_inbox_is_passed_over),
		WITH_RIG(test_connections_beyond_the_limit_are_turned_away),
		WITH_RIG(test_an_idle_client_is_let_go_though_octets_trickle_in),
		WITH_RIG(test_a_handshake_that_never_ends_is_ended),
		WITH_RIG(test_tls_login_relays_both_ways),
		WITH_RIG(test_stls_upgrades_and_what_came_with_it_is_never_acted_on),
		WITH_RIG(test_every_octet_comes_before_the_end),
		WITH_RIG(test_a_client_that_quits_and_hangs_up_is_heard_by_mail),
		WITH_RIG(test_a_mail_worker_that_reads_late_gets_every_octet),
		WITH_RIG(test_all_that_arrives_together_is_seen),
		WITH_RIG(test_much_behind_pass_goes_on_in_order),
		WITH_RIG(test_a_session_resumes_by_ticket),
		WITH_RIG(test_a_keys_process_that_is_replaced_costs_no_handshake),
		WITH_RIG(test_without_keys_plain_clients_are_served_and_tls_fails_in_time),
		WITH_RIG(test_drain_serves_those_who_are_here),
		WITH_RIG(test_stop_says_so_and_ends_all),
		WITH_RIG(test_stop_waits_for_no_silent_relay),
		WITH_RIG(test_one_session_is_ended_by_its_row),
		WITH_RIG(test_junk_in_the_inbox_is_logged_and_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
