/* SPDX-License-Identifier: MIT */
/* The whole master with workers that only obey the test. */
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

#define POOL                                                                                       \
	"login: { workers = 1; }; auth: { workers = 1; backends = [ \"fakeauth\" ]; };\n"          \
	"mail: { run_as = \"user\"; spare_processes = 2; max_processes = 4;\n"                     \
	"  location = \"fakestore:/tmp/postern-test-none/%{user}\"; };\n"

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

static void
await_taken(enum worker_kind kind)
{
	int64_t end_ms = pst_now_ms() + 10000;

	while (server.fake->act[kind] != ACT_NONE && pst_now_ms() < end_ms)
		pause_ms(1);
	assert_int_equal(server.fake->act[kind], ACT_NONE);
}

/* ---- Start and stop ---- */

static void
test_all_workers_are_ready_and_the_server_stops(void **state)
{
	char path[128];

	(void)state;
	start(SMALL);
	assert_int_equal(server_count(&server, "login", "ready"), 2);
	assert_int_equal(server_count(&server, "keys", "ready"), 2);
	assert_int_equal(server_count(&server, "auth", "ready"), 4); /* two, hashes, the clerk */
	assert_int_equal(server_count(&server, "mail", "ready"), 2);
	assert_string_equal(server_ask(&server, "stop", NULL), "stopping\n");
	assert_true(server_wait_end(&server, 5000));
	assert_true(WIFEXITED(server.status) && WEXITSTATUS(server.status) == 0);
	(void)snprintf(path, sizeof(path), "%s/run/control", server.dir);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void
test_a_worker_has_its_own_descriptors_and_no_others(void **state)
{
	int kind;

	(void)state;
	start(SMALL);
	for (kind = 0; kind < FAKE_PLACES; kind++)
		assert_int_equal(server.fake->fds[kind], server.fake->expected_fds[kind]);
}

/* login: slots, scoreboard, ticket key of TLS; keys: slots; auth: slots, tickets, changes, verified
 * passwords, and the clerk slots, changes; mail: slots, scoreboard, tickets, changes,
 * sessions per user, holders of maildrops. */
static void
test_a_worker_has_the_shared_memory_of_its_kind_and_no_other(void **state)
{
	(void)state;
	start(SMALL);
	assert_int_equal(server.fake->regions[WORKER_LOGIN], 3);
	assert_int_equal(server.fake->regions[WORKER_KEYS], 1);
	assert_int_equal(server.fake->regions[WORKER_AUTH], 5);
	assert_int_equal(server.fake->regions[FAKE_AUTH(AUTH_HASH)], 5);
	assert_int_equal(server.fake->regions[FAKE_AUTH(AUTH_CLERK)], 2);
	assert_int_equal(server.fake->regions[WORKER_MAIL], 6);
}

static void
test_a_worker_that_cannot_start_ends_the_server_with_its_reason(void **state)
{
	(void)state;
	server_prepare(&server, SMALL);
	server.fake->fail_starts[WORKER_AUTH] = 1000;
	server_start(&server);
	assert_true(server_wait_end(&server, 5000));
	assert_true(WIFEXITED(server.status) && WEXITSTATUS(server.status) == 1);
	assert_int_equal(server.fake->starts[WORKER_LOGIN], 0); /* nobody was let in */
	assert_int_equal(connect_port(server.port), -1);
}

static void
test_a_worker_that_fails_once_at_start_is_tried_again(void **state)
{
	(void)state;
	server_prepare(&server, SMALL);
	server.fake->fail_starts[WORKER_KEYS] = 2;
	server_start(&server);
	assert_true(server_wait_ready(&server));
	assert_int_equal(server_count(&server, "keys", "ready"), 2);
}

static bool
has_started_auth(struct server *s)
{
	return s->fake->starts[WORKER_AUTH] > 0;
}

static void
test_a_stop_during_the_start_is_no_failure(void **state)
{
	(void)state;
	server_prepare(&server, SMALL);
	server.fake->slow_start = 1;
	server_start(&server);
	assert_true(wait_until(has_started_auth, &server));
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_true(server_wait_end(&server, 5000));
	assert_true(WIFEXITED(server.status) && WEXITSTATUS(server.status) == 0);
}

static void
test_a_second_server_is_refused_and_changes_nothing(void **state)
{
	struct server second;

	(void)state;
	start(SMALL);
	second = server; /* the same folder, the same port */
	server_start(&second);
	assert_true(server_wait_end(&second, 5000));
	assert_int_equal(WEXITSTATUS(second.status), 1);

	server_prepare(&second, SMALL); /* another folder, the same port */
	second.port = server.port;
	server_write_conf(&second, SMALL);
	server_start(&second);
	assert_true(server_wait_end(&second, 5000));
	assert_int_equal(WEXITSTATUS(second.status), 1);
	assert_int_equal(second.fake->starts[WORKER_KEYS], 0);
	server_end(&second);
	assert_int_equal(server_count(&server, "login", "ready"), 2);
}

static void
test_sigterm_waits_for_sessions_and_a_second_one_does_not(void **state)
{
	(void)state;
	start(SMALL);
	server.fake->hold = 1;
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_false(server_wait_end(&server, 500));
	assert_int_equal(server.fake->orders[ORDER_STOP], 0);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_true(server_wait_end(&server, 1500));
	assert_int_equal(WEXITSTATUS(server.status), 0);
}

static void
test_a_stopping_server_refuses_connections(void **state)
{
	int fd, i;

	(void)state;
	start(SMALL);
	server.fake->hold = 1;
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	for (i = 0; i < 100; i++) {
		fd = connect_port(server.port);
		if (fd < 0)
			break;
		close(fd);
		pause_ms(20);
	}
	assert_true(i < 100);
	assert_false(server_wait_end(&server, 1));
}

static void
test_workers_that_do_not_obey_are_killed_in_the_end(void **state)
{
	(void)state;
	start(SMALL);
	server.fake->hold = server.fake->deaf = 1;
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	assert_int_equal(kill(server.pid, SIGINT), 0);
	assert_true(server_wait_end(&server, 5000));
	assert_int_equal(WEXITSTATUS(server.status), 0);
}

/* ---- Deaths ---- */

static pid_t old_pid;
static const char *watched_kind;

static bool
is_replaced(struct server *s)
{
	pid_t a = server_worker_pid(s, watched_kind, 0), b = server_worker_pid(s, watched_kind, 1);

	return a != 0 && b != 0 && a != old_pid && b != old_pid &&
	       server_count(s, watched_kind, "ready") ==
	               (strcmp(watched_kind, "auth") == 0 ? 4 : 2);
}

static void
test_a_worker_of_any_kind_that_is_killed_is_replaced(void **state)
{
	static const char *const kinds[] = { "login", "keys", "auth", "mail" };
	size_t i;

	(void)state;
	start(SMALL);
	for (i = 0; i < 4; i++) {
		int64_t since = pst_now_ms();

		watched_kind = kinds[i];
		old_pid = server_worker_pid(&server, kinds[i], 1);
		assert_true(old_pid > 0);
		assert_int_equal(kill(old_pid, SIGKILL), 0);
		assert_true(wait_until(is_replaced, &server));
		assert_true(pst_now_ms() - since < 1000);
	}
}

static bool
has_two_starts_more(struct server *s)
{
	return s->fake->starts[WORKER_LOGIN] >= 4;
}

static void
test_a_crash_and_an_unasked_end_are_both_deaths(void **state)
{
	(void)state;
	start(SMALL);
	assert_int_equal(server.fake->starts[WORKER_LOGIN], 2);
	server.fake->act[WORKER_LOGIN] = ACT_CRASH;
	await_taken(WORKER_LOGIN);
	server.fake->act[WORKER_LOGIN] = ACT_EXIT;
	assert_true(wait_until(has_two_starts_more, &server));
}

static bool
asker_was_told(struct server *s)
{
	return s->fake->temp_replies == 1;
}

static void
test_a_slow_auth_worker_is_killed_and_its_asker_told(void **state)
{
	int64_t since;

	(void)state;
	start(SMALL);
	since = pst_now_ms();
	server.fake->act[WORKER_AUTH] = ACT_BUSY;
	assert_true(wait_until(asker_was_told, &server));
	assert_int_equal(server.fake->temp_request, 4711);
	assert_in_range(pst_now_ms() - since, 1000, 3000); /* auth.timeout is 1s here */
	watched_kind = "auth";
	old_pid = 0;
	assert_true(wait_until(is_replaced, &server));
	assert_int_equal(server.fake->temp_replies, 1);
}

static void
test_a_dead_auth_worker_has_its_asker_told(void **state)
{
	(void)state;
	start(SMALL);
	server.fake->act[WORKER_AUTH] = ACT_BUSY;
	await_taken(WORKER_AUTH);
	/* Which of the two took it? The one that is busy. */
	old_pid = server_worker_pid(&server, "auth", 0);
	assert_true(old_pid > 0); /* kill(0) would end the tests' own group */
	(void)kill(old_pid, SIGKILL);
	old_pid = server_worker_pid(&server, "auth", 1);
	assert_true(old_pid > 0); /* kill(0) would end the tests' own group */
	(void)kill(old_pid, SIGKILL);
	assert_true(wait_until(asker_was_told, &server));
}

/* ---- The pool of one-session processes ---- */

static unsigned wanted_starts;

static bool
has_started(struct server *s)
{
	return s->fake->starts[WORKER_MAIL] >= wanted_starts;
}

static void
test_the_pool_is_filled_ahead_of_need_and_bounded(void **state)
{
	int i;

	(void)state;
	start(POOL);
	assert_int_equal(server_count(&server, "mail", "ready"), 2);
	server.fake->act[WORKER_MAIL] = ACT_BUSY;
	wanted_starts = 3;
	assert_true(wait_until(has_started, &server));
	for (i = 0; i < 3; i++) {
		server.fake->act[WORKER_MAIL] = ACT_BUSY;
		await_taken(WORKER_MAIL);
	}
	wanted_starts = 4;
	assert_true(wait_until(has_started, &server));
	pause_ms(300);
	assert_int_equal(server.fake->starts[WORKER_MAIL], 4); /* max_processes */
	assert_int_equal(server_count(&server, "mail", "busy"), 4);
}

static void
test_a_process_of_the_pool_that_ends_is_no_death(void **state)
{
	(void)state;
	start(POOL);
	server.fake->act[WORKER_MAIL] = ACT_EXIT;
	wanted_starts = 3;
	assert_true(wait_until(has_started, &server));
	assert_null(strstr(server_ask(&server, "status json", NULL), "\"deaths\":1"));
}

/* ---- The control socket ---- */

static void
test_control_refuses_what_it_does_not_know(void **state)
{
	char dir[128];
	struct stat st;
	bool ok = true;

	(void)state;
	start(SMALL);
	assert_string_equal(server_ask(&server, "dance", &ok), "unknown request\n");
	assert_false(ok);
	(void)server_ask(&server, "status yaml", &ok);
	assert_false(ok);
	(void)server_ask(&server, "kick 0123456789abcdef", &ok);
	assert_false(ok);
	(void)snprintf(dir, sizeof(dir), "%s/run/control", server.dir);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, end)
	const struct CMUnitTest tests[] = {
		CASE(test_all_workers_are_ready_and_the_server_stops),
		CASE(test_a_worker_has_its_own_descriptors_and_no_others),
		CASE(test_a_worker_has_the_shared_memory_of_its_kind_and_no_other),
		CASE(test_a_worker_that_cannot_start_ends_the_server_with_its_reason),
		CASE(test_a_worker_that_fails_once_at_start_is_tried_again),
		CASE(test_a_stop_during_the_start_is_no_failure),
		CASE(test_a_second_server_is_refused_and_changes_nothing),
		CASE(test_sigterm_waits_for_sessions_and_a_second_one_does_not),
		CASE(test_a_stopping_server_refuses_connections),
		CASE(test_workers_that_do_not_obey_are_killed_in_the_end),
		CASE(test_a_worker_of_any_kind_that_is_killed_is_replaced),
		CASE(test_a_crash_and_an_unasked_end_are_both_deaths),
		CASE(test_a_slow_auth_worker_is_killed_and_its_asker_told),
		CASE(test_a_dead_auth_worker_has_its_asker_told),
		CASE(test_the_pool_is_filled_ahead_of_need_and_bounded),
		CASE(test_a_process_of_the_pool_that_ends_is_no_death),
		CASE(test_control_refuses_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
