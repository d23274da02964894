/* SPDX-License-Identifier: MIT */
/* SEQPACKET pairs; see channel.h. */
#include "ipc/channel.h"

#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

/* Room for a few descriptors, so that those that a broken peer sends too many are ours to close. */
#define CONTROL_FDS 4

union control {
	char room[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
	alignas(struct cmsghdr) char align;
};

static void
set_room(int fd, int octets)
{
	/* The FORCE form passes net.core.wmem_max, but needs root; the other is cut there. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof(octets)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
}

int
channel_create(int ends[2], int send_octets, struct pst_err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return pst_err_sys(err, PST_E_PERM, "socketpair");
	set_room(ends[0], send_octets);
	set_room(ends[1], send_octets);
	return 0;
}

static void
attach_fd(struct msghdr *m, union control *control, int fd)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	m->msg_control = control->room;
	m->msg_controllen = CMSG_SPACE(sizeof(int));
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

/* ETOOMANYREFS: as many descriptors are under way as the user may have open. */
static bool
is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

int
channel_send(int end, const void *data, size_t n, int fd, struct pst_err *err)
{
	union control control;
	/* struct iovec knows no const; sendmsg only reads. */
	char *octets = (char *)(uintptr_t)data;
	struct iovec iov = { octets, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	pst_assert(n > 0); /* an empty packet reads as end of file */
	if (fd >= 0)
		attach_fd(&m, &control, fd);
	do {
		sent = sendmsg(end, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return pst_err_sys(err, is_full(errno) ? PST_E_TEMP : PST_E_PERM, "channel: send");
	return 0;
}

/* The first descriptor that came along, or -1; any more are closed. */
static int
take_fd(struct msghdr *m)
{
	struct cmsghdr *c;
	int first = -1;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

ssize_t
channel_recv(int end, void *data, size_t cap, int *fd_out, struct pst_err *err)
{
	union control control;
	struct iovec iov = { data, cap };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	ssize_t n;
	int fd;

	if (fd_out != NULL)
		*fd_out = -1;
	do {
		n = recvmsg(end, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return pst_err_sys(err, PST_E_PERM, "channel: receive");
	if (n == 0)
		return pst_err_set(err, PST_E_CLOSED, "channel: the other end is closed");
	fd = take_fd(&m);
	if (fd >= 0 && (fd_out == NULL || (m.msg_flags & MSG_TRUNC) != 0)) {
		close(fd);
		fd = -1;
	}
	if ((m.msg_flags & MSG_TRUNC) != 0)
		return pst_err_set(err, PST_E_PERM, "channel: a message of more than %zu octets",
		                   cap);
	if (fd_out != NULL)
		*fd_out = fd;
	return n;
}
