/* SPDX-License-Identifier: MIT */
/* Octets to and fro after a TLS login: none is lost, whoever is slow or gone. */
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

#define BIG 3000000

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
	pid = write_all_and_close(rig_log_in(r, &c, NULL), data, n);
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

	rig_pattern(data, BIG);
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
		fd = rig_log_in(r, &c, NULL);
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

	rig_pattern(data, BIG);
	rig_start(r);
	c = rig_connect_tls(r);
	fd = rig_log_in(r, &c, NULL);
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
	fd = rig_log_in(r, &c, NULL);
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

/* The client reads only after mail has written all and closed: whatever fits into which buffer, the
 * end waits for its turn. */
static void
test_the_end_waits_behind_full_buffers(void **state)
{
	struct rig *r = *state;
	const size_t most = 1200000;
	char *data = pst_alloc(most);
	char *got = pst_alloc(most);
	size_t n;

	rig_pattern(data, most);
	rig_start(r);
	for (n = 20000; n <= most; n += 11777) {
		struct rig_client c = rig_connect_tls(r);
		size_t have = 0;
		pid_t pid;

		pid = write_all_and_close(rig_log_in(r, &c, NULL), data, n);
		if (n < 150000) /* all of it is on its way, the end too where there is room */
			assert_int_equal(rig_wait_child(pid), 0);
		while (have < n) {
			size_t rc = rig_read(&c, got + have, n - have);

			assert_true(rc > 0);
			have += rc;
		}
		assert_memory_equal(got, data, n);
		rig_hear_end(&c);
		rig_close(&c);
		if (n >= 150000)
			assert_int_equal(rig_wait_child(pid), 0);
	}
	rig_wait_sessions(r, 0);
	free(data);
	free(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_every_octet_comes_before_the_end),
		WITH_RIG(test_a_client_that_quits_and_hangs_up_is_heard_by_mail),
		WITH_RIG(test_a_mail_worker_that_reads_late_gets_every_octet),
		WITH_RIG(test_all_that_arrives_together_is_seen),
		WITH_RIG(test_much_behind_pass_goes_on_in_order),
		WITH_RIG(test_the_end_waits_behind_full_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
