/* SPDX-License-Identifier: MIT */
/* TLS from the start and by STLS, with a keys process that comes and goes. */
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
	rig_refuse(r, &head, PST_E_AUTH, 0);
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

static ssize_t
send_first_gather_rest(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct rig_client *c = ptr;
	struct pst_err err;

	if (c->gathered == NULL) { /* the ClientHello */
		c->gathered = pst_new(struct pst_buf);
		pst_buf_init(c->gathered, 65536);
		return send(c->fd, data, n, MSG_NOSIGNAL);
	}
	assert_int_equal(pst_buf_add(c->gathered, (struct pst_str){ data, n }, &err), 0);
	return (ssize_t)n;
}

/* A client may send commands with the end of its handshake, before it has seen the greeting. */
static void
test_commands_may_come_with_the_end_of_the_handshake(void **state)
{
	struct rig *r = *state;
	struct rig_client c;

	rig_start(r);
	c = rig_connect(r, RIG_TLS);
	assert_int_equal(gnutls_init(&c.tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&c.credentials), 0);
	gnutls_credentials_set(c.tls, GNUTLS_CRD_CERTIFICATE, c.credentials);
	gnutls_priority_set_direct(c.tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
	gnutls_transport_set_ptr2(c.tls, (gnutls_transport_ptr_t)(intptr_t)c.fd, &c);
	gnutls_transport_set_push_function(c.tls, send_first_gather_rest);
	assert_int_equal(gnutls_handshake(c.tls), 0);
	rig_say(&c, "USER alice\r\n");
	rig_say(&c, "QUIT\r\n");
	rig_send_gathered(&c);
	rig_hear(&c, GREETING PROMPT "+OK goodbye\r\n");
	rig_hear_end(&c);
	rig_close(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_tls_login_relays_both_ways),
		WITH_RIG(test_stls_upgrades_and_what_came_with_it_is_never_acted_on),
		WITH_RIG(test_a_session_resumes_by_ticket),
		WITH_RIG(test_a_keys_process_that_is_replaced_costs_no_handshake),
		WITH_RIG(test_without_keys_plain_clients_are_served_and_tls_fails_in_time),
		WITH_RIG(test_commands_may_come_with_the_end_of_the_handshake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
