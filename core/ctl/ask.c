/* SPDX-License-Identifier: MIT */
/* Speaks to the master's control socket; see ask.h and master/control.h. */
#include "ctl/ask.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_OCTETS 65536
#define WAIT_S 130 /* the server's own limit for a reload, and a little more */

static int
no_server(const char *runtime_dir, struct pst_err *err)
{
	if (errno == EACCES || errno == EPERM)
		return pst_err_sys(err, PST_E_PERM,
		                   "%s/control (only root and the server's user may)", runtime_dir);
	return pst_err_sys(err, PST_E_CLOSED, "no server is running with server.runtime_dir %s",
	                   runtime_dir);
}

/* By the folder's descriptor: a socket's address has room for 107 octets. */
static int
connect_to(const char *runtime_dir, struct pst_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const struct timeval wait = { .tv_sec = WAIT_S };
	int dir = open(runtime_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		return no_server(runtime_dir, err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		close(dir);
		return pst_err_sys(err, PST_E_TEMP, "socket");
	}
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/control", dir);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		no_server(runtime_dir, err);
		close(fd);
		fd = -1;
	}
	close(dir);
	return fd;
}

static int
take_reply(int fd, struct pst_buf *reply, struct pst_err *err)
{
	for (;;) {
		char *to = pst_buf_reserve(reply, READ_OCTETS, err);
		ssize_t n;

		if (to == NULL)
			return -1;
		n = recv(fd, to, READ_OCTETS, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pst_err_sys(err, PST_E_TEMP, "the server's reply");
		if (n == 0)
			return 0;
		pst_buf_added(reply, (size_t)n);
	}
}

static int
split_status(struct pst_buf *reply, bool *ok_out, struct pst_err *err)
{
	struct pst_str s = pst_buf_view(reply);
	const char *end = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
	struct pst_str first;

	if (end == NULL)
		return pst_err_set(err, PST_E_TEMP,
		                   "the server closed without an answer (is this user allowed?)");
	first = (struct pst_str){ s.p, (size_t)(end - s.p) };
	*ok_out = pst_str_eq(first, PST_LIT("ok"));
	pst_buf_take(reply, first.n + 1);
	return 0;
}

int
ctl_ask(const char *runtime_dir, const char *request, bool *ok_out, struct pst_buf *reply,
        struct pst_err *err)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s\n", request);
	int fd = -1, rc = -1;

	if (n < 0 || (size_t)n >= sizeof(line))
		return pst_err_set(err, PST_E_CLIENT, "the request is too long");
	fd = connect_to(runtime_dir, err);
	if (fd < 0)
		return -1;
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n) {
		pst_err_sys(err, PST_E_TEMP, "the server's control socket");
		goto out;
	}
	if (take_reply(fd, reply, err) != 0)
		goto out;
	rc = split_status(reply, ok_out, err);
out:
	close(fd);
	return rc;
}
