/* SPDX-License-Identifier: MIT */
/* What a client may cost: connections, time, memory. */
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
	more = rig_connect(r,
	                   RIG_TLS); /* it waits for TLS: a line in clear would be rubbish to it */
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

/* Many commands whose answers are not read. */
static void
fill_with_capa(struct rig_client *c, unsigned count)
{
	char text[6 * 100 + 1] = "";
	unsigned i;

	for (i = 0; i < 100; i++)
		memcpy(text + 6 * i, "CAPA\r\n", 6);
	for (i = 0; i < count / 100; i++)
		rig_say_octets(c, text, 600);
}

/* So many answers to CAPA, one to QUIT, and the end. */
static void
hear_capas_and_goodbye(struct rig_client *c, unsigned count)
{
	static const char goodbye[] = "\r\n.\r\n+OK goodbye\r\n";
	char *all = pst_alloc(1 << 21);
	size_t have = 0;
	const char *p;
	size_t n;

	while ((n = rig_read(c, all + have, (1 << 21) - 1 - have)) > 0)
		have += n;
	for (p = all; (p = strstr(p, "\r\n.\r\n")) != NULL; p++)
		count--;
	assert_int_equal(count, 0);
	assert_true(have > sizeof(goodbye));
	assert_string_equal(all + have - (sizeof(goodbye) - 1), goodbye);
	free(all);
}

static void
test_a_client_that_does_not_read_is_not_read_from(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	unsigned tls;

	rig_start(r);
	for (tls = 0; tls < 2; tls++) {
		c = tls ? rig_connect_tls(r) : rig_connect(r, RIG_PLAIN);
		rig_hear(&c, GREETING);
		fill_with_capa(&c, 5000); /* some 700 KB of answers */
		rig_say(&c, "QUIT\r\n");
		hear_capas_and_goodbye(&c, 5000);
		rig_close(&c);
	}
	rig_wait_sessions(r, 0);
}

static void
test_a_client_that_never_reads_is_let_go(void **state)
{
	struct rig *r = *state;
	struct rig_client c[2];
	unsigned i;

	r->settings.login.timeout = 500;
	rig_start(r);
	c[0] = rig_connect(r, RIG_PLAIN);
	c[1] = rig_connect_tls(r);
	for (i = 0; i < 2; i++) {
		rig_hear(&c[i], GREETING);
		fill_with_capa(&c[i], 5000);
	}
	rig_wait_sessions(r, 0);
	for (i = 0; i < 2; i++)
		rig_close(&c[i]);
}

static void
test_a_client_that_hangs_up_with_answers_unread_is_gone(void **state)
{
	struct rig *r = *state;
	struct rig_client c[2];
	unsigned i;

	rig_start(r);
	c[0] = rig_connect(r, RIG_PLAIN);
	c[1] = rig_connect_tls(r);
	for (i = 0; i < 2; i++) {
		rig_hear(&c[i], GREETING);
		fill_with_capa(&c[i], 5000);
		rig_close(&c[i]); /* a reset */
	}
	rig_wait_sessions(r, 0);
}

/* Without descriptors connections wait in the queue; the worker neither spins nor forgets them. */
static void
test_without_descriptors_connections_wait(void **state)
{
	struct rig *r = *state;
	struct rig_client c[100];
	unsigned served = 0;
	unsigned n;

	r->descriptors = 70; /* the rig's own are inherited */
	rig_start(r);
	for (n = 0; n < 100; n++) {
		struct pollfd p;

		c[n] = rig_connect(r, RIG_PLAIN);
		p = (struct pollfd){ .fd = c[n].fd, .events = POLLIN };
		if (poll(&p, 1, 300) == 0)
			break;
		rig_hear(&c[n], GREETING);
		served++;
	}
	assert_true(n < 60 && served > 5);
	rig_wait_logged(r, "login.accept");
	rig_say(&c[0], "QUIT\r\n"); /* those who are in are served all the time */
	rig_hear(&c[0], "+OK goodbye\r\n");
	rig_close(&c[0]);
	rig_hear(&c[n], GREETING);
	assert_true(rig_logged(r, "login.accept") < 10);
	for (n = 1; n <= served; n++)
		rig_close(&c[n]);
}

static void
test_a_policy_refuses_or_delays(void **state)
{
	struct rig *r = *state;
	struct rig_client c, quick;
	int64_t began;

	r->settings.server.plugin_dir = TEST_BUILDDIR "/tests/unit/login/.libs";
	r->settings.policy_order = "fakegate";
	rig_start(r);
	c = rig_connect_from(r, RIG_PLAIN, "127.0.0.2");
	rig_hear(&c, "-ERR [SYS/TEMP] not from pop3 of 127.0.0.1\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	c = rig_connect_from(r, RIG_PLAIN, "127.0.0.3"); /* a kind that is none, and no text */
	rig_hear(&c, "-ERR [SYS/PERM] not possible, ask the administrator\r\n");
	rig_hear_end(&c);
	rig_close(&c);
	assert_int_equal(rig_logged(r, "login.refused"), 2);
	began = pst_now_ms();
	c = rig_connect_from(r, RIG_PLAIN, "127.0.0.4");
	rig_say(&c, "QUIT\r\n"); /* too early, and answered in turn */
	quick = rig_connect(r, RIG_PLAIN);
	rig_hear(&quick, GREETING);
	assert_true(pst_now_ms() - began < 400);
	rig_hear(&c, GREETING "+OK goodbye\r\n");
	assert_true(pst_now_ms() - began >=
	            300); /* 400 from when the loop last looked at the clock */
	rig_close(&c);
	rig_close(&quick);
	c = rig_connect_from(r, RIG_TLS, "127.0.0.4");
	assert_int_equal(rig_shake_hands(&c, "default.test", NULL), 0);
	rig_hear(&c, GREETING);
	rig_close(&c);
}

static void
test_who_takes_no_mail_is_given_up(void **state)
{
	struct rig *r = *state;
	struct rig_client c;
	char octets[8192] = "";
	ssize_t n;
	int fd;

	r->settings.mail.timeout = 500;
	rig_start(r);
	c = rig_connect_tls(r);
	fd = rig_log_in(r, &c, NULL);
	do {
		n = send(fd, octets, sizeof(octets), MSG_NOSIGNAL); /* blocks, then fails */
	} while (n > 0);
	assert_true(n < 0);
	close(fd);
	rig_close(&c);
	rig_wait_sessions(r, 0);
	assert_int_equal(rig_logged(r, "takes no more octets"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_connections_beyond_the_limit_are_turned_away),
		WITH_RIG(test_an_idle_client_is_let_go_though_octets_trickle_in),
		WITH_RIG(test_a_handshake_that_never_ends_is_ended),
		WITH_RIG(test_a_client_that_does_not_read_is_not_read_from),
		WITH_RIG(test_a_client_that_never_reads_is_let_go),
		WITH_RIG(test_a_client_that_hangs_up_with_answers_unread_is_gone),
		WITH_RIG(test_without_descriptors_connections_wait),
		WITH_RIG(test_a_policy_refuses_or_delays),
		WITH_RIG(test_who_takes_no_mail_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
