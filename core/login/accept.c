/* SPDX-License-Identifier: MIT */
/* New connections: from a listening socket to a client. */
#include <errno.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "login/client.h"
#include "login/policy.h"
#include "pop3/reply.h"

#define ACCEPTS_AT_ONCE 16 /* then those who are here already have their turn */

static void
make_sid(char out[17])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t octets[8];
	size_t i;

	pst_random(octets, sizeof(octets));
	for (i = 0; i < sizeof(octets); i++) {
		out[2 * i] = digits[octets[i] >> 4];
		out[2 * i + 1] = digits[octets[i] & 15];
	}
	out[16] = '\0';
}

static void
enter(struct login *l, struct client *c)
{
	c->next = l->clients;
	if (c->next != NULL)
		c->next->prev = c;
	l->clients = c;
	l->client_count++;
	l->opened++;
	atomic_store_explicit(&l->env->self->sessions, (uint32_t)l->client_count,
	                      memory_order_relaxed);
}

/* NULL where libuv does not take the socket. */
static struct client *
create(struct listener *li, int fd, const char *peer, uint32_t row)
{
	struct session_row *r = &li->login->env->board->row[row];
	struct client *c = pst_new(struct client);

	if (uv_poll_init(&li->login->loop, &c->poll, fd) != 0) {
		free(c);
		return NULL;
	}
	c->poll.data = c;
	c->login = li->login;
	c->listener = li;
	c->fd = fd;
	c->row = row;
	c->owns_row = true;
	dialog_init(&c->dialog, &li->rules, li->settings->tls == TLS_IMPLICIT);
	pst_buf_init(&c->in, DIALOG_INPUT_MAX + LOGIN_TLS_OCTETS);
	pst_buf_init(&c->out, LOGIN_OUT_OCTETS);
	make_sid(c->sid);
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	(void)snprintf(r->sid, sizeof(r->sid), "%s", c->sid);
	(void)snprintf(r->peer, sizeof(r->peer), "%s", peer);
	enter(li->login, c);
	return c;
}

/* For a client that gets no session: one line, as far as the socket takes it; nothing where the client
 * waits for TLS, to which a line in clear is rubbish. */
static void
turn_away(const struct listener *li, int fd, enum pst_err_kind kind, const char *text)
{
	struct login *l = li->login;
	struct pst_err why, err;

	pst_err_set(&why, kind, "%s", text);
	pst_buf_reset(&l->reply);
	l->reply.language = POP3_DEFAULT;
	(void)pop3_reply_err(&l->reply, &why, text[0] == '\0' ? NULL : text, &err);
	if (li->settings->tls != TLS_IMPLICIT)
		(void)send(fd, l->reply.data, l->reply.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

void
client_open(struct listener *li, int fd, const struct sockaddr_storage *peer)
{
	struct login *l = li->login;
	struct pst_decision decision;
	char address[PST_ADDR_TEXT];
	enum pst_verdict verdict;
	struct client *c;
	uint32_t row;

	pst_addr_text(peer, address);
	verdict = policy_connect(li, fd, address, &decision);
	if (verdict == PST_REFUSE) {
		turn_away(li, fd, decision.kind, decision.text);
		return;
	}
	if (!board_take(l->env->board, l->env->slot, &row)) {
		turn_away(li, fd, PST_E_TEMP, "too many connections");
		return;
	}
	c = create(li, fd, address, row);
	if (c == NULL) {
		board_free(l->env->board, row);
		turn_away(li, fd, PST_E_TEMP, "too many connections");
		return;
	}
	pst_socket_nodelay(fd);
	if (verdict == PST_DELAY) {
		c->phase = PHASE_WAIT;
		login_delay(c, decision.delay_ms);
		return;
	}
	client_begin(c);
}

/* Without descriptors or memory there is nothing to accept with: the tick tries again. An event loop
 * that went on would spin on the same event. */
static void
pause_accepting(struct login *l, int error)
{
	size_t i;

	pst_log_warn(NULL, "login.accept", "reason=\"%s; new connections wait a moment\"",
	             strerror(error));
	l->is_accepting = false;
	for (i = 0; i < l->listener_count; i++)
		listener_poll(&l->listeners[i], false);
}

static void
on_connection(uv_poll_t *handle, int status, int events)
{
	struct listener *li = handle->data;
	unsigned i;

	(void)status, (void)events;
	for (i = 0; i < ACCEPTS_AT_ONCE; i++) {
		struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
		socklen_t n = sizeof(peer);
		int fd =
			accept4(li->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			client_open(li, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(li->login, errno);
		else if (errno == EINTR || errno == ECONNABORTED)
			continue;
		return; /* EAGAIN, or an error of the one that hung up meanwhile (accept(2)) */
	}
}

int
listener_start(struct listener *l, struct pst_err *err)
{
	int rc = uv_poll_init(&l->login->loop, &l->poll, l->fd);

	if (rc != 0)
		return pst_err_set(err, PST_E_PERM, "listener %s: %s", l->settings->name,
		                   uv_strerror(rc));
	l->poll.data = l;
	listener_poll(l, true);
	return 0;
}

void
listener_poll(struct listener *l, bool on)
{
	if (l->is_polled == on)
		return;
	l->is_polled = on;
	if (on)
		(void)uv_poll_start(&l->poll, UV_READABLE, on_connection);
	else
		(void)uv_poll_stop(&l->poll);
}
