/* SPDX-License-Identifier: MIT */
/* Reloads of a master whose workers only obey the test. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake.h"
#include "ipc/wire.h"

static struct server server;

static void
start(const char *extra)
{
	server_prepare(&server, extra);
	server_start(&server);
	assert_true(server_wait_ready(&server));
}

static int
end(void **state)
{
	(void)state;
	if (server.fake != NULL)
		server_end(&server);
	server.fake = NULL;
	return 0;
}

static bool
is_second_generation_alone(struct server *s)
{
	const char *text = server_ask(s, "status json", NULL);

	return strstr(text, "\"number\":2,\"phase\":\"live\"") != NULL &&
	       strstr(text, "\"number\":1,") == NULL;
}

static bool
is_first_draining(struct server *s)
{
	return strstr(server_ask(s, "status json", NULL), "\"number\":1,\"phase\":\"draining\"") !=
	       NULL;
}

static bool
has_two_logins_draining(struct server *s)
{
	return server_count(s, "login", "draining") == 2;
}

static void
test_a_reload_lets_the_old_generation_finish(void **state)
{
	bool ok;

	(void)state;
	start(SMALL);
	server.fake->hold = 1;
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(ok);
	assert_true(is_first_draining(&server));
	assert_true(wait_until(has_two_logins_draining, &server));
	assert_int_equal(server_count(&server, "login", "ready"), 2);
	assert_int_equal(server_count(&server, "auth", "ready"), 8); /* the old ones are needed */
	server.fake->hold = 0;
	assert_true(wait_until(is_second_generation_alone, &server));
	assert_int_equal(server_count(&server, "auth", "ready"), 4);
}

static void
test_a_bad_configuration_is_told_and_the_old_one_stays(void **state)
{
	bool ok;
	const char *text;
	pid_t pid;

	(void)state;
	start(SMALL);
	pid = server_worker_pid(&server, "login", 0);
	server_write_conf(&server, SMALL "login: { workerz = 3; };\nmail2: { };\n");
	text = server_ask(&server, "reload", &ok);
	assert_false(ok);
	assert_non_null(strstr(text, "postern.conf:"));
	server_write_conf(&server, SMALL "log: { level = \"loud\"; destination = 5; };\n");
	text = server_ask(&server, "reload", &ok);
	assert_false(ok);
	assert_non_null(strstr(text, "log.level"));
	assert_int_equal(server_worker_pid(&server, "login", 0), pid);
	server_write_conf(&server, SMALL);
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(ok);
}

static void
test_a_generation_that_does_not_start_leaves_the_old_one(void **state)
{
	bool ok;
	const char *text;
	pid_t pid;

	(void)state;
	start(SMALL);
	pid = server_worker_pid(&server, "login", 0);
	server.fake->fail_starts[WORKER_MAIL] = 1000;
	text = server_ask(&server, "reload", &ok);
	assert_false(ok);
	assert_non_null(strstr(text, "the test wants it so"));
	server.fake->fail_starts[WORKER_MAIL] = 0;
	assert_int_equal(server_worker_pid(&server, "login", 0), pid);
	assert_int_equal(server.fake->orders[ORDER_DRAIN], 0);
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(ok);
}

/* Its sockets would take their share of the connections, and nobody would accept them. */
static void
test_a_generation_that_does_not_start_leaves_no_socket(void **state)
{
	static const char more[] =
		"login: { workers = 6; }; auth: { workers = 1; backends = [ \"fakeauth\" ]; };\n"
		"mail: { workers = 1; location = \"fakestore:/tmp/postern-test-none/%{user}\"; };\n";
	char answer[8];
	bool ok;
	int i;

	(void)state;
	start(SMALL);
	server_write_conf(&server, more);
	server.fake->fail_starts[WORKER_LOGIN] = 1000;
	(void)server_ask(&server, "reload", &ok);
	assert_false(ok);
	for (i = 0; i < 40; i++) {
		int fd = connect_port(server.port);

		assert_true(fd >= 0);
		assert_int_equal(recv(fd, answer, sizeof(answer), 0), 5);
		close(fd);
	}
}

static void
test_a_hangup_reloads_too(void **state)
{
	(void)state;
	start(SMALL);
	assert_int_equal(kill(server.pid, SIGHUP), 0);
	assert_true(wait_until(is_second_generation_alone, &server));
}

static void
test_no_waiting_connection_is_lost_when_logins_become_fewer(void **state)
{
	static const char fewer[] =
		"login: { workers = 1; }; auth: { workers = 1; backends = [ \"fakeauth\" ]; };\n"
		"mail: { workers = 1; location = \"fakestore:/tmp/postern-test-none/%{user}\"; };\n";
	pid_t pids[2];
	int fds[32];
	bool ok;
	char answer[8];
	size_t i;

	(void)state;
	start(SMALL);
	pids[0] = server_worker_pid(&server, "login", 0);
	pids[1] = server_worker_pid(&server, "login", 1);
	assert_true(pids[0] > 0 && pids[1] > 0); /* kill(0) would stop the tests' own group */
	(void)kill(pids[0], SIGSTOP);            /* so that connections wait in both sockets */
	(void)kill(pids[1], SIGSTOP);
	for (i = 0; i < 32; i++) {
		fds[i] = connect_port(server.port);
		assert_true(fds[i] >= 0);
	}
	server_write_conf(&server, fewer);
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(ok);
	for (i = 0; i < 32; i++) {
		assert_int_equal(recv(fds[i], answer, sizeof(answer), 0), 5);
		close(fds[i]);
	}
	(void)kill(pids[0], SIGCONT);
	(void)kill(pids[1], SIGCONT);
	assert_true(wait_until(is_second_generation_alone, &server));
}

static uint16_t gone_port;

static bool
is_port_closed(struct server *s)
{
	int fd = connect_port(gone_port);

	(void)s;
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
test_a_listener_that_goes_is_closed_and_a_new_one_opened(void **state)
{
	bool ok;
	int fd;

	(void)state;
	start(SMALL);
	server.fake->hold = 1; /* the old logins stay, with the socket in their hands */
	gone_port = server.port;
	server.port = free_port();
	server_write_conf(&server, SMALL);
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(ok);
	assert_true(wait_until(is_port_closed, &server));
	assert_true(is_first_draining(&server));
	fd = connect_port(server.port);
	assert_true(fd >= 0);
	close(fd);
	server.fake->hold = 0;
}

static bool
is_third_live_and_two(struct server *s)
{
	const char *text = server_ask(s, "status json", NULL);

	return strstr(text, "\"number\":3,\"phase\":\"live\"") != NULL &&
	       strstr(text, "\"number\":1,") == NULL;
}

static void
test_generations_are_bounded(void **state)
{
	bool ok;

	(void)state;
	server_prepare(&server, SMALL);
	server_write_conf(&server, SMALL);
	server.set = "server.max_generations=2";
	server_start(&server);
	assert_true(server_wait_ready(&server));
	server.fake->hold = 1; /* the old ones would stay */
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(is_first_draining(&server));
	assert_string_equal(server_ask(&server, "reload", &ok), "");
	assert_true(wait_until(is_third_live_and_two, &server));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(test_a_reload_lets_the_old_generation_finish),
		CASE(test_a_bad_configuration_is_told_and_the_old_one_stays),
		CASE(test_a_generation_that_does_not_start_leaves_the_old_one),
		CASE(test_a_generation_that_does_not_start_leaves_no_socket),
		CASE(test_a_hangup_reloads_too),
		CASE(test_no_waiting_connection_is_lost_when_logins_become_fewer),
		CASE(test_a_listener_that_goes_is_closed_and_a_new_one_opened),
		CASE(test_generations_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
