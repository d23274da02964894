/* SPDX-License-Identifier: MIT */
/* The master's orders: drain, stop, end one session. */
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
	relay = rig_log_in(r, &tls, NULL);
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
	relay = rig_log_in(r, &c[3], NULL);
	rig_order(r, ORDER_STOP, 0);
	for (i = 0; i < 3; i++) {
		rig_hear(&c[i], GOING_DOWN);
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
	relay = rig_log_in(r, &c, NULL);
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
	rig_hear(&one, GOING_DOWN);
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

static void
test_stop_ends_those_who_cannot_be_told(void **state)
{
	struct rig *r = *state;
	struct rig_client shaking, slow, slow_tls;

	r->settings.server.plugin_dir = TEST_BUILDDIR "/tests/unit/login/.libs";
	r->settings.policy_order = "fakegate";
	rig_start(r);
	shaking = rig_connect(r, RIG_TLS);
	rig_say_octets(&shaking, "\x16\x03\x01", 3);
	slow = rig_connect_from(r, RIG_PLAIN, "127.0.0.5"); /* a minute */
	slow_tls = rig_connect_from(r, RIG_TLS, "127.0.0.5");
	rig_wait_sessions(r, 3);
	rig_order(r, ORDER_STOP, 0);
	rig_hear(&slow, GOING_DOWN);
	rig_hear_end(&slow);
	rig_hear_end(&slow_tls); /* nothing in the clear where TLS is to come */
	rig_hear_end(&shaking);
	rig_close(&shaking);
	rig_close(&slow);
	rig_close(&slow_tls);
	assert_int_equal(rig_wait_for_end(r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_drain_serves_those_who_are_here),
		WITH_RIG(test_stop_says_so_and_ends_all),
		WITH_RIG(test_stop_waits_for_no_silent_relay),
		WITH_RIG(test_one_session_is_ended_by_its_row),
		WITH_RIG(test_junk_in_the_inbox_is_logged_and_harmless),
		WITH_RIG(test_stop_ends_those_who_cannot_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
