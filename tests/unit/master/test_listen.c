/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"
#include "master/listen.h"

#define CAP 64

static struct settings
settings_with(size_t n, const uint16_t *ports)
{
	static const char *const names[] = { "first", "second", "third" };
	struct settings s = { .listener_count = n };
	size_t i;

	for (i = 0; i < n; i++)
		s.listeners[i] = (struct listener_settings){
			.name = names[i], .address = "127.0.0.1", .port = ports[i], .backlog = 64
		};
	return s;
}

/* How many of the slots' sockets, all taken together, are different. */
static size_t
count_different(const struct listen_set *l, const struct settings *s, uint32_t slots)
{
	struct env_listener v[CAP];
	int seen[CAP];
	size_t n = 0, found, i, k;
	uint32_t slot;

	for (slot = 0; slot < slots; slot++) {
		found = listen_of_slot(l, s, slot, slots, v, CAP);
		for (i = 0; i < found; i++) {
			for (k = 0; k < n && seen[k] != v[i].fd; k++)
				continue;
			if (k == n)
				seen[n++] = v[i].fd;
		}
	}
	return n;
}

static bool
answers(uint16_t port)
{
	int fd = connect_port(port);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Opens and starts. */
static int
open_all(struct listen_set *l, const struct settings *s, uint32_t slots, struct pst_err *err)
{
	return listen_open(l, s, slots, err) == 0 ? listen_start(l, s, err) : -1;
}

static void
test_each_slot_has_a_socket_of_each_listener(void **state)
{
	const uint16_t ports[] = { free_port(), free_port() };
	const struct settings s = settings_with(2, ports);
	struct listen_set *l = listen_create();
	struct env_listener v[CAP];
	struct pst_err err;

	(void)state;
	assert_int_equal(open_all(l, &s, 3, &err), 0);
	assert_int_equal(listen_of_slot(l, &s, 1, 3, v, CAP), 2);
	assert_int_equal(v[0].listener, 0);
	assert_int_equal(v[1].listener, 1);
	assert_int_equal(count_different(l, &s, 3), 6);
	assert_true(answers(ports[0]) && answers(ports[1]));
	listen_destroy(l);
	assert_false(answers(ports[0]));
}

static void
test_fewer_slots_share_all_sockets_and_more_slots_get_new_ones(void **state)
{
	const uint16_t ports[] = { free_port() };
	const struct settings s = settings_with(1, ports);
	struct listen_set *l = listen_create();
	struct env_listener v[CAP];
	struct pst_err err;

	(void)state;
	assert_int_equal(open_all(l, &s, 4, &err), 0);
	assert_int_equal(open_all(l, &s, 3, &err), 0);
	assert_int_equal(count_different(l, &s, 3), 4);
	assert_int_equal(listen_of_slot(l, &s, 0, 3, v, CAP), 2);
	assert_int_equal(listen_of_slot(l, &s, 2, 3, v, CAP), 1);
	assert_int_equal(open_all(l, &s, 6, &err), 0);
	assert_int_equal(count_different(l, &s, 6), 6);
	listen_destroy(l);
}

static void
test_a_port_that_is_taken_is_named_and_nothing_is_left(void **state)
{
	const uint16_t ports[] = { free_port(), free_port() };
	const struct settings other = settings_with(1, ports + 1);
	const struct settings s = settings_with(2, ports);
	struct listen_set *taken = listen_create(), *l = listen_create();
	struct env_listener v[CAP];
	struct pst_err err;
	char port[16];

	(void)state;
	assert_int_equal(open_all(taken, &other, 1, &err), 0);
	assert_int_equal(open_all(l, &s, 2, &err), -1);
	(void)snprintf(port, sizeof(port), "port %u", ports[1]);
	assert_non_null(strstr(err.text, "listener.second"));
	assert_non_null(strstr(err.text, port));
	assert_int_equal(listen_of_slot(l, &s, 0, 2, v, CAP), 0);
	assert_false(answers(ports[0]));
	listen_destroy(taken);
	assert_int_equal(open_all(l, &s, 2, &err), 0); /* free again */
	listen_destroy(l);
}

static void
test_a_failed_addition_keeps_what_was_there(void **state)
{
	const uint16_t ports[] = { free_port(), free_port() };
	const struct settings one = settings_with(1, ports);
	const struct settings other = settings_with(1, ports + 1);
	const struct settings both = settings_with(2, ports);
	struct listen_set *taken = listen_create(), *l = listen_create();
	struct pst_err err;

	(void)state;
	assert_int_equal(open_all(taken, &other, 1, &err), 0);
	assert_int_equal(open_all(l, &one, 2, &err), 0);
	assert_int_equal(open_all(l, &both, 4, &err), -1);
	assert_int_equal(count_different(l, &one, 2), 2);
	assert_true(answers(ports[0]));
	listen_destroy(l);
	listen_destroy(taken);
}

static void
test_nobody_can_connect_before_the_start(void **state)
{
	const uint16_t ports[] = { free_port() };
	const struct settings s = settings_with(1, ports);
	struct listen_set *l = listen_create();
	struct pst_err err;

	(void)state;
	assert_int_equal(listen_open(l, &s, 2, &err), 0);
	assert_false(answers(ports[0]));
	assert_int_equal(listen_start(l, &s, &err), 0);
	assert_true(answers(ports[0]));
	listen_destroy(l);
}

static void
test_a_rollback_leaves_what_was_committed(void **state)
{
	const uint16_t ports[] = { free_port(), free_port() };
	const struct settings one = settings_with(1, ports);
	const struct settings both = settings_with(2, ports);
	struct listen_set *l = listen_create();
	struct pst_err err;
	int i;

	(void)state;
	assert_int_equal(open_all(l, &one, 2, &err), 0);
	listen_commit(l);
	assert_int_equal(open_all(l, &both, 5, &err), 0);
	listen_rollback(l);
	assert_int_equal(count_different(l, &one, 2), 2);
	assert_int_equal(count_different(l, &both, 2), 2);
	assert_false(answers(ports[1]));
	for (i = 0; i < 50; i++)
		assert_true(answers(ports[0]));
	listen_destroy(l);
}

static void
test_two_listeners_of_one_place_are_refused(void **state)
{
	const uint16_t port = free_port();
	const uint16_t ports[] = { port, port };
	const struct settings s = settings_with(2, ports);
	struct listen_set *l = listen_create();
	struct pst_err err;

	(void)state;
	assert_int_equal(open_all(l, &s, 1, &err), -1);
	assert_non_null(strstr(err.text, "listener.first and listener.second"));
	listen_destroy(l);
}

static void
test_an_address_that_is_not_here_is_refused_with_a_hint(void **state)
{
	const uint16_t ports[] = { free_port() };
	struct settings s = settings_with(1, ports);
	struct listen_set *l = listen_create();
	struct pst_err err;

	(void)state;
	s.listeners[0].address = "192.0.2.77"; /* RFC 5737: nobody's */
	assert_int_equal(open_all(l, &s, 1, &err), -1);
	assert_non_null(strstr(err.text, "ip addr"));
	listen_destroy(l);
}

static void
test_closing_others_ends_them_in_every_process(void **state)
{
	const uint16_t ports[] = { free_port(), free_port() };
	const struct settings both = settings_with(2, ports);
	const struct settings first = settings_with(1, ports);
	struct listen_set *l = listen_create();
	struct env_listener v[CAP];
	struct pst_err err;
	int copy;

	(void)state;
	assert_int_equal(open_all(l, &both, 1, &err), 0);
	assert_int_equal(listen_of_slot(l, &both, 0, 1, v, CAP), 2);
	copy = dup(v[1].fd); /* as a draining worker holds one */
	listen_close_others(l, &first);
	assert_true(answers(ports[0]));
	assert_false(answers(ports[1]));
	listen_close_others(l, NULL);
	assert_false(answers(ports[0]));
	close(copy);
	listen_destroy(l);
}

static void
test_ipv6_and_ipv4_wildcards_stand_side_by_side(void **state)
{
	const uint16_t port = free_port();
	const uint16_t ports[] = { port, port };
	struct settings s = settings_with(2, ports);
	struct listen_set *l = listen_create();
	struct pst_err err;
	char text[200];

	(void)state;
	s.listeners[0].address = "0.0.0.0";
	s.listeners[1].address = "::";
	if (access("/proc/net/if_inet6", F_OK) != 0)
		skip();
	assert_int_equal(open_all(l, &s, 2, &err), 0);
	assert_int_equal(count_different(l, &s, 2), 4);
	listen_describe(&s, text, sizeof(text));
	assert_non_null(strstr(text, "second=[::]:"));
	listen_destroy(l);
}

/* In a child: descriptor 3 must be the socket. Returns 0 where all was right. */
static int
adopt_in_child(uint16_t port)
{
	const uint16_t ports[] = { port };
	const struct settings s = settings_with(1, ports);
	struct listen_set *made = listen_create(), *l = listen_create();
	struct env_listener v[CAP];
	struct pst_err err;
	char pid[16];

	if (open_all(made, &s, 1, &err) != 0 || listen_of_slot(made, &s, 0, 1, v, CAP) != 1)
		return 1;
	if (v[0].fd != 3 && dup2(v[0].fd, 3) < 0)
		return 2;
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	listen_adopt(l);
	if (getenv("LISTEN_FDS") != NULL || open_all(l, &s, 3, &err) != 0)
		return 3;
	if (listen_of_slot(l, &s, 2, 3, v, CAP) != 1 || v[0].fd != 3) /* all slots have it */
		return 4;
	listen_close_others(l, NULL); /* it is the service manager's */
	return answers(port) ? 0 : 5;
}

static void
test_a_socket_of_the_service_manager_is_used(void **state)
{
	const uint16_t port = free_port();
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(adopt_in_child(port));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_slot_has_a_socket_of_each_listener),
		cmocka_unit_test(test_fewer_slots_share_all_sockets_and_more_slots_get_new_ones),
		cmocka_unit_test(test_a_port_that_is_taken_is_named_and_nothing_is_left),
		cmocka_unit_test(test_a_failed_addition_keeps_what_was_there),
		cmocka_unit_test(test_nobody_can_connect_before_the_start),
		cmocka_unit_test(test_a_rollback_leaves_what_was_committed),
		cmocka_unit_test(test_two_listeners_of_one_place_are_refused),
		cmocka_unit_test(test_an_address_that_is_not_here_is_refused_with_a_hint),
		cmocka_unit_test(test_closing_others_ends_them_in_every_process),
		cmocka_unit_test(test_ipv6_and_ipv4_wildcards_stand_side_by_side),
		cmocka_unit_test(test_a_socket_of_the_service_manager_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
