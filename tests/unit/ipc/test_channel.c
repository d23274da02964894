/* SPDX-License-Identifier: MIT */
/* Channels: whole messages, a bounded queue, descriptors that are never lost or leaked. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/channel.h"
#include "ipc/message.h"

static int ends[2];

static int
open_channel(void **state)
{
	struct pst_err err;

	(void)state;
	return channel_create(ends, 1 << 17, &err);
}

static int
close_channel(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static size_t
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
send_ok(const char *text, int fd)
{
	struct pst_err err;

	if (channel_send(ends[1], text, strlen(text), fd, &err) != 0)
		fail_msg("%s", err.text);
}

static void
test_messages_come_whole_and_in_order(void **state)
{
	char data[64];
	struct pst_err err;
	int fd = 99;

	(void)state;
	send_ok("first", -1);
	send_ok("second one", -1);
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 5);
	assert_memory_equal(data, "first", 5);
	assert_int_equal(fd, -1);
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 10);
	assert_memory_equal(data, "second one", 10);
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 0);
}

static void
test_both_ends_send_and_receive_without_blocking(void **state)
{
	char data[8];
	struct pst_err err;

	(void)state;
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), NULL, &err), 0);
	assert_int_equal(channel_recv(ends[1], data, sizeof(data), NULL, &err), 0);
	assert_int_equal(channel_send(ends[0], "back", 4, -1, &err), 0);
	assert_int_equal(channel_recv(ends[1], data, sizeof(data), NULL, &err), 4);
	assert_true((fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(ends[1], F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(ends[0], F_GETFD) & FD_CLOEXEC) != 0);
}

static void
test_largest_message_passes(void **state)
{
	static char data[MSG_MAX_OCTETS], got[MSG_MAX_OCTETS];
	struct pst_err err;

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(channel_send(ends[1], data, sizeof(data), -1, &err), 0);
	assert_int_equal(channel_recv(ends[0], got, sizeof(got), NULL, &err), MSG_MAX_OCTETS);
	assert_memory_equal(data, got, sizeof(data));
}

static void
test_full_queue_is_a_temporary_failure_and_loses_nothing(void **state)
{
	char data[1024] = { 0 };
	struct pst_err err = { 0 };
	size_t sent = 0, got = 0;

	(void)state;
	while (channel_send(ends[1], data, sizeof(data), -1, &err) == 0) {
		sent++;
		assert_in_range(sent, 1, 100000); /* bounded */
	}
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_in_range(sent, 20, 100000);
	while (channel_recv(ends[0], data, sizeof(data), NULL, &err) > 0)
		got++;
	assert_int_equal(got, sent);
	assert_int_equal(channel_send(ends[1], data, sizeof(data), -1, &err), 0);
}

static void
test_message_longer_than_the_room_is_reported_and_read_away(void **state)
{
	char data[4];
	struct pst_err err;
	size_t before;
	int fd = 0;

	(void)state;
	send_ok("too long", ends[0]);
	send_ok("next", -1);
	before = count_fds();
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_int_equal(fd, -1);
	assert_int_equal(count_fds(), before); /* the descriptor that came along is closed */
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 4);
	assert_memory_equal(data, "next", 4);
}

static void
test_descriptor_arrives_open_and_close_on_exec(void **state)
{
	char data[8];
	struct pst_err err;
	int pipe_ends[2];
	int fd = -1;

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	send_ok("fd", pipe_ends[1]);
	close(pipe_ends[1]);
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 2);
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(write(fd, "z", 1), 1);
	assert_int_equal(read(pipe_ends[0], data, sizeof(data)), 1);
	assert_int_equal(data[0], 'z');
	close(fd);
	close(pipe_ends[0]);
}

static void
test_descriptor_that_nobody_asked_for_is_closed(void **state)
{
	char data[8];
	struct pst_err err;
	size_t before;

	(void)state;
	send_ok("fd", ends[0]);
	before = count_fds();
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), NULL, &err), 2);
	assert_int_equal(count_fds(), before);
}

/* A broken peer sends three: the first is given, the others are closed. */
static void
test_descriptors_beyond_the_first_are_closed(void **state)
{
	char room[CMSG_SPACE(3 * sizeof(int))] = { 0 };
	char octet = 'x';
	struct iovec iov = { &octet, 1 };
	struct msghdr m = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = room,
		            .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	const int fds[3] = { ends[0], ends[0], ends[0] };
	struct pst_err err;
	char data[8];
	size_t before;
	int fd = -1;

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	assert_int_equal(sendmsg(ends[1], &m, 0), 1);
	before = count_fds();
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 1);
	assert_true(fd >= 0);
	assert_int_equal(count_fds(), before + 1);
	close(fd);
}

static void
test_message_arrives_without_its_descriptor_where_too_many_are_open(void **state)
{
	struct rlimit old, low;
	struct pst_err err;
	char data[8];
	int fd = 0;
	int next;

	(void)state;
	send_ok("fd", ends[0]);
	next = dup(ends[0]);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)next; /* no descriptor from next on */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(channel_recv(ends[0], data, sizeof(data), &fd, &err), 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(fd, -1);
}

static void
test_closed_peer_is_told_from_an_empty_queue(void **state)
{
	struct pst_err err = { 0 };
	char data[8];
	int own[2];

	(void)state;
	assert_int_equal(channel_create(own, 4096, &err), 0);
	assert_int_equal(channel_send(own[1], "last", 4, -1, &err), 0);
	close(own[1]);
	assert_int_equal(channel_recv(own[0], data, sizeof(data), NULL, &err), 4);
	assert_int_equal(channel_recv(own[0], data, sizeof(data), NULL, &err), -1);
	assert_int_equal(err.kind, PST_E_CLOSED);
	assert_int_equal(channel_send(own[0], "x", 1, -1, &err), -1); /* and no SIGPIPE */
	assert_int_equal(err.kind, PST_E_PERM);
	close(own[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_channel, close_channel)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_messages_come_whole_and_in_order),
		TEST(test_both_ends_send_and_receive_without_blocking),
		TEST(test_largest_message_passes),
		TEST(test_full_queue_is_a_temporary_failure_and_loses_nothing),
		TEST(test_message_longer_than_the_room_is_reported_and_read_away),
		TEST(test_descriptor_arrives_open_and_close_on_exec),
		TEST(test_descriptor_that_nobody_asked_for_is_closed),
		TEST(test_descriptors_beyond_the_first_are_closed),
		TEST(test_message_arrives_without_its_descriptor_where_too_many_are_open),
		TEST(test_closed_peer_is_told_from_an_empty_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
