/* SPDX-License-Identifier: MIT */
/* Between a TLS session and the mail worker that serves it: octets to and fro, nothing looked at.
 *
 * Each direction is read only while nothing of it waits to be written, so that a slow reader holds up
 * its own writer and costs one read's worth of memory; an idle session costs none. The end of one
 * direction is passed on after its last octet: a client that says QUIT and hangs up has its mail
 * deleted, and a client that waits gets every octet before the goodbye. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "login/client.h"

#define SMALL_READ 32768 /* from mail, until the client has shown that it takes more */

struct relay {
	uv_poll_t poll;
	struct client *client;
	int fd;
	int polled;
	struct pst_buf up; /* for mail: what the pair did not take */
	bool takes_much; /* the client took all of the last read at once, and that was as big as could be */
	bool mail_ended;
	bool told_end; /* mail knows that the client sends no more */
};

static void
on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	uv_close((uv_handle_t *)&r->poll, on_closed);
	close(r->fd);
	pst_buf_clear(&r->up);
}

/* ---- Client to mail ---- */

/* Octets that mail took; all of them where it is not there any more. */
static size_t
send_up(struct relay *r, const char *data, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t rc = send(r->fd, data + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (rc >= 0)
			sent += (size_t)rc;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return n; /* mail is gone: the read from it will tell */
	}
	return sent;
}

static void
flush_up(struct relay *r)
{
	if (r->up.len > 0)
		pst_buf_take(&r->up, send_up(r, r->up.data, r->up.len));
}

static void
keep_up(struct relay *r, struct pst_str rest)
{
	struct pst_err err;

	if (rest.n > 0 && pst_buf_add(&r->up, rest, &err) != 0)
		r->client->saw_end = true; /* not reached: the ceiling is a read's size */
}

static void
pump_up(struct relay *r)
{
	struct client *c = r->client;
	size_t n = 0;
	size_t sent;
	enum io io = client_read(c, &n);

	sent = send_up(r, c->login->scratch, n);
	keep_up(r, (struct pst_str){ c->login->scratch + sent, n - sent });
	if (io == IO_OK && c->ended != 0)
		io = (enum io)c->ended;
	c->saw_end = c->saw_end || io == IO_END || io == IO_DEAD;
	c->is_dead = c->is_dead || io == IO_DEAD;
}

/* ---- Mail to client ---- */

static void
progress(struct client *c)
{
	if (c->out.len > 0)
		deadline_set(&c->login->waits[WAIT_STALLED], &c->deadline, login_now(c->login));
	else
		deadline_clear(&c->deadline);
}

static void
pump_down(struct relay *r)
{
	struct client *c = r->client;
	const size_t cap = r->takes_much ? LOGIN_SCRATCH_OCTETS : SMALL_READ;
	ssize_t n;

	do {
		n = recv(r->fd, c->login->scratch, cap, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		r->mail_ended = true;
		return;
	}
	/* A client that is dead gets nothing, but mail must not wait: it may be about to commit. */
	r->takes_much = client_send(c, (struct pst_str){ c->login->scratch, (size_t)n }) == IO_OK &&
	                (size_t)n == cap;
	if (c->out.len > 0)
		progress(c);
}

static void
flush_down(struct client *c)
{
	const size_t before = c->out_at;

	if (client_flush(c) != IO_BLOCKED || c->out_at != before)
		progress(c);
}

/* ---- Both ---- */

static void on_mail(uv_poll_t *handle, int status, int events);

static void
poll_mail(struct relay *r, int events)
{
	if (r->polled == events)
		return;
	r->polled = events;
	if (events == 0)
		(void)uv_poll_stop(&r->poll);
	else
		(void)uv_poll_start(&r->poll, events, on_mail);
}

/* After each event: passes an end on, waits for the right things, or is done. May free all. */
static void
settle(struct relay *r)
{
	struct client *c = r->client;
	const bool waits = c->out.len > 0 && !c->is_dead;

	if (c->is_dead) {
		c->saw_end = true;
		deadline_clear(&c->deadline); /* nobody is waited for but mail */
	}
	if (r->mail_ended && !waits) {
		c->relay = NULL;
		relay_free(r);
		client_close(c); /* PHASE_RELAY still: it may take its time for the end */
		return;
	}
	if (c->saw_end && r->up.len == 0 && !r->told_end) {
		r->told_end = true;
		(void)shutdown(r->fd, SHUT_WR);
	}
	client_poll(c,
	            (!c->saw_end && r->up.len == 0 ? UV_READABLE : 0) | (waits ? UV_WRITABLE : 0));
	poll_mail(r,
	          (!waits && !r->mail_ended ? UV_READABLE : 0) | (r->up.len > 0 ? UV_WRITABLE : 0));
}

static void
on_mail(uv_poll_t *handle, int status, int events)
{
	struct relay *r = handle->data;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	if (events & UV_WRITABLE)
		flush_up(r);
	if ((events & UV_READABLE) && r->client->out.len == 0)
		pump_down(r);
	settle(r);
}

void
relay_on_client(struct client *c, int events)
{
	struct relay *r = c->relay;

	if ((events & UV_WRITABLE) && c->out.len > 0)
		flush_down(c);
	if ((events & UV_READABLE) && r->up.len == 0 && !c->saw_end)
		pump_up(r);
	settle(r);
}

int
relay_start(struct client *c, int fd, struct pst_str input, struct pst_err *err)
{
	struct relay *r = pst_new(struct relay);
	int rc = uv_poll_init(&c->login->loop, &r->poll, fd);

	if (rc != 0) {
		free(r);
		close(fd);
		return pst_err_set(err, PST_E_TEMP, "relay: %s", uv_strerror(rc));
	}
	r->poll.data = r;
	r->client = c;
	r->fd = fd;
	pst_buf_init(&r->up, LOGIN_TLS_OCTETS);
	c->relay = r;
	c->phase = PHASE_RELAY;
	deadline_clear(&c->deadline);
	dialog_forget_attempt(&c->dialog);
	c->saw_end = c->ended != 0;
	keep_up(r, input);
	flush_up(r);
	pst_buf_clear(&c->in);
	settle(r);
	return 0;
}
