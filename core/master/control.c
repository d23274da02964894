/* SPDX-License-Identifier: MIT */
/* The control socket; see control.h. Runs as root where the server does, and reads one short line
 * from somebody whom the kernel vouches for. */
#include "master/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/master.h"
#include "master/report.h"

#define CLIENTS_MAX 16
#define REQUEST_MAX 512
#define REQUEST_MS 5000  /* to say what is wanted */
#define REPLY_MS 30000   /* to take the reply */
#define RELOAD_MS 120000 /* a reload may take its time */
#define FLUSH_MS 1000

struct client {
	struct control *control;
	struct watch watch;
	int fd; /* -1: free */
	char request[REQUEST_MAX];
	size_t request_n;
	struct pst_buf reply;
	bool is_answered;
	uint32_t reload_serial; /* waits for this one's end; 0: for none */
	int64_t deadline_ms;
};

struct control {
	struct master *m;
	struct watch watch;
	int fd;
	struct client clients[CLIENTS_MAX];
};

static void
client_close(struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd); /* epoll forgets it: nobody else has it */
	c->fd = -1;
	pst_buf_clear(&c->reply);
	c->request_n = 0;
	c->is_answered = false;
	c->reload_serial = 0;
}

static void
client_send(struct client *c)
{
	while (c->reply.len > 0) {
		struct pst_str s = pst_buf_view(&c->reply);
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = &c->watch };

			(void)epoll_ctl(c->control->m->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
			return;
		}
		if (n <= 0)
			break;
		pst_buf_take(&c->reply, (size_t)n);
	}
	client_close(c);
}

static void
client_answer(struct client *c, bool ok, struct pst_str text)
{
	struct pst_err err;

	c->is_answered = true;
	c->deadline_ms = pst_now_ms() + REPLY_MS;
	if (pst_buf_add(&c->reply, ok ? PST_LIT("ok\n") : PST_LIT("failed\n"), &err) != 0 ||
	    pst_buf_add(&c->reply, text, &err) != 0)
		pst_log_warn(NULL, "control.failed", "reason=\"%s\"", err.text);
	client_send(c);
}

/* ---- Requests ---- */

static void
answer_report(struct client *c, struct pst_str argument,
              void (*report)(const struct master *m, bool as_json, struct pst_buf *out))
{
	struct pst_buf text;

	if (argument.n > 0 && !pst_str_eq(argument, PST_LIT("json"))) {
		client_answer(c, false, PST_LIT("the only argument is json\n"));
		return;
	}
	pst_buf_init(&text, REPORT_MAX);
	report(c->control->m, argument.n > 0, &text);
	client_answer(c, true, pst_buf_view(&text));
	pst_buf_clear(&text);
}

static void
on_status(struct client *c, struct pst_str argument)
{
	answer_report(c, argument, report_status);
}

static void
on_who(struct client *c, struct pst_str argument)
{
	answer_report(c, argument, report_who);
}

static void
on_reload(struct client *c, struct pst_str argument)
{
	(void)argument;
	c->reload_serial = master_reload(c->control->m);
	c->deadline_ms = pst_now_ms() + RELOAD_MS;
	if (c->reload_serial == 0)
		client_answer(c, false, PST_LIT("the server is stopping\n"));
}

static void
on_stop(struct client *c, struct pst_str argument)
{
	(void)argument;
	pst_log_info(NULL, "server.stop", "by=posternctl");
	client_answer(c, true, PST_LIT("stopping\n"));
	master_stop(c->control->m);
}

static void
on_kick(struct client *c, struct pst_str argument)
{
	struct generation *g;

	if (argument.n == 0) {
		client_answer(c, false, PST_LIT("which session? posternctl who shows their ids\n"));
		return;
	}
	for (g = c->control->m->newest; g != NULL; g = g->older)
		if (generation_kick(g, argument)) {
			pst_log_info(NULL, "session.kick", "kicked=%.*s", PST_ARG(argument));
			client_answer(c, true, PST_LIT("the session was told to end\n"));
			return;
		}
	client_answer(c, false, PST_LIT("there is no such session (any more)\n"));
}

static void
on_changed(struct client *c, struct pst_str argument)
{
	struct generation *g;

	if (argument.n == 0 || argument.n > WIRE_USER) {
		client_answer(c, false, PST_LIT("which user?\n"));
		return;
	}
	for (g = c->control->m->newest; g != NULL; g = g->older)
		generation_tell_changed(g, argument);
	client_answer(c, true, PST_LIT(""));
}

static const struct {
	const char *name;
	void (*run)(struct client *c, struct pst_str argument);
} requests[] = {
	{ "status", on_status }, { "who", on_who },   { "reload", on_reload },
	{ "stop", on_stop },     { "kick", on_kick }, { "changed", on_changed },
};

static void
run_request(struct client *c, struct pst_str line)
{
	size_t n = 0, i;
	struct pst_str name, argument;

	while (n < line.n && line.p[n] != ' ')
		n++;
	name = (struct pst_str){ line.p, n };
	argument = n < line.n ? (struct pst_str){ line.p + n + 1, line.n - n - 1 }
	                      : (struct pst_str){ line.p + n, 0 };
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (pst_str_eq(name, pst_str_c(requests[i].name))) {
			requests[i].run(c, argument);
			return;
		}
	client_answer(c, false, PST_LIT("unknown request\n"));
}

/* ---- Clients ---- */

static void
client_read(struct client *c)
{
	ssize_t n = recv(c->fd, c->request + c->request_n, sizeof(c->request) - c->request_n,
	                 MSG_DONTWAIT);
	const char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->request_n += (size_t)n;
	end = memchr(c->request, '\n', c->request_n);
	if (end != NULL)
		run_request(c, (struct pst_str){ c->request, (size_t)(end - c->request) });
	else if (c->request_n == sizeof(c->request))
		client_answer(c, false, PST_LIT("the request is too long\n"));
}

static void
on_client(void *arg, uint32_t events)
{
	struct client *c = arg;

	(void)events; /* a broken socket shows itself in the call */
	if (c->fd < 0)
		return;
	if (c->is_answered)
		client_send(c);
	else if (c->reload_serial != 0)
		client_close(c); /* it went away, or talks out of turn: the reload goes on */
	else
		client_read(c);
}

static bool
may_control(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void
on_accept(void *arg, uint32_t events)
{
	struct control *control = arg;
	struct pst_err err;
	struct client *c = NULL;
	size_t i;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS_MAX && c == NULL; i++)
		if (control->clients[i].fd < 0)
			c = &control->clients[i];
	if (c == NULL || !may_control(fd)) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->deadline_ms = pst_now_ms() + REQUEST_MS;
	pst_buf_init(&c->reply, REPORT_MAX + 64);
	if (master_watch(control->m, fd, EPOLLIN, &c->watch, &err) != 0)
		client_close(c);
}

void
control_reload_done(struct control *control, uint32_t serial, bool ok, const char *text)
{
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];

		if (c->fd >= 0 && c->reload_serial != 0 && c->reload_serial <= serial)
			client_answer(c, ok, pst_str_c(text));
	}
}

int64_t
control_tick(struct control *control, int64_t now_ms)
{
	int64_t due = INT64_MAX;
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];

		if (c->fd >= 0 && c->deadline_ms <= now_ms)
			client_close(c);
		if (c->fd >= 0 && c->deadline_ms < due)
			due = c->deadline_ms;
	}
	return due;
}

void
control_flush(struct control *control)
{
	int64_t end_ms = pst_now_ms() + FLUSH_MS;
	size_t i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &control->clients[i];

		while (c->fd >= 0 && c->is_answered && pst_now_ms() < end_ms) {
			struct pollfd p = { .fd = c->fd, .events = POLLOUT };

			(void)poll(&p, 1, 100);
			client_send(c);
		}
	}
}

/* The path through the folder's descriptor, for a socket's address has room for 107 octets. */
static int
bind_socket(struct control *control, struct pst_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc;

	(void)unlinkat(control->m->runtime_fd, CONTROL_SOCKET, 0);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET,
	               control->m->runtime_fd);
	mask = umask(0177);
	rc = bind(control->fd, (struct sockaddr *)&sun, sizeof(sun));
	(void)umask(mask);
	if (rc != 0 || listen(control->fd, CLIENTS_MAX) != 0)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: " CONTROL_SOCKET);
	return 0;
}

struct control *
control_open(struct master *m, struct pst_err *err)
{
	struct control *control = pst_new(struct control);
	size_t i;

	control->m = m;
	control->watch = (struct watch){ on_accept, control };
	for (i = 0; i < CLIENTS_MAX; i++) {
		control->clients[i].control = control;
		control->clients[i].fd = -1;
		control->clients[i].watch = (struct watch){ on_client, &control->clients[i] };
	}
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (control->fd < 0) {
		pst_err_sys(err, PST_E_PERM, "control socket");
		free(control);
		return NULL;
	}
	if (bind_socket(control, err) != 0 ||
	    master_watch(m, control->fd, EPOLLIN, &control->watch, err) != 0) {
		close(control->fd);
		free(control);
		return NULL;
	}
	return control;
}

void
control_close(struct control *control)
{
	size_t i;

	if (control == NULL)
		return;
	for (i = 0; i < CLIENTS_MAX; i++)
		client_close(&control->clients[i]);
	close(control->fd);
	(void)unlinkat(control->m->runtime_fd, CONTROL_SOCKET, 0);
	free(control);
}
