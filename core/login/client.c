/* SPDX-License-Identifier: MIT */
/* A connection from accept to hand-off, or to its end; see client.h. The event comes in at
 * on_event; everything that a client sends before it is logged in goes through client_resume. */
#include "login/client.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "login/exchange.h"
#include "pop3/reply.h"

struct pst_log
client_log(const struct client *c)
{
	return (struct pst_log){
		.sid = c->sid,
		.peer = c->peer,
		.user = pst_str_c(c->dialog.user),
	};
}

static void
wait_for(struct client *c, enum wait wait)
{
	deadline_set(&c->login->waits[wait], &c->deadline, login_now(c->login));
}

/* ---- The end ---- */

static void
on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
client_free(struct client *c)
{
	struct login *l = c->login;

	pst_assert(c->phase != PHASE_FREED);
	c->phase = PHASE_FREED;
	handoff_forget(c);
	exchange_drop(c);
	deadline_clear(&c->deadline);
	relay_free(c->relay);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	tls_stream_close(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	dialog_clear(&c->dialog);
	pst_buf_clear(&c->in);
	pst_buf_clear(&c->out);
	free(c->verdict);
	free(c->cert_name);
	handoff_drop_grant(c);
	if (c->owns_row)
		board_free(l->env->board, c->row);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		l->clients = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	l->client_count--;
	l->closed++;
	atomic_store_explicit(&l->env->self->sessions, (uint32_t)l->client_count,
	                      memory_order_relaxed);
	if (l->is_draining && l->client_count == 0)
		uv_stop(&l->loop);
}

/* Bounded: what it sends is thrown away, but not faster than others are served. */
static bool
discard_input(struct client *c)
{
	ssize_t n = recv(c->fd, c->login->scratch, LOGIN_SCRATCH_OCTETS, MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The socket is not closed before the client has closed its side: octets of its that nobody reads
 * would make the kernel throw away ours that are still under way. */
static void
closing_step(struct client *c)
{
	enum io io = c->said_bye ? IO_OK : client_flush(c);

	if (io == IO_OK && !c->said_bye && c->tls != NULL &&
	    tls_stream_bye(c->tls) == TLS_IO_WANT_WRITE)
		io = IO_BLOCKED;
	if (io == IO_BLOCKED) {
		client_poll(c, UV_WRITABLE);
		return;
	}
	if (io == IO_OK && !c->said_bye) {
		c->said_bye = true;
		tls_stream_close(c->tls);
		c->tls = NULL;
		(void)shutdown(c->fd, SHUT_WR);
		if (!c->saw_end) {
			wait_for(c, WAIT_LINGER);
			client_poll(c, UV_READABLE);
			return;
		}
	}
	if (c->is_dead || c->saw_end || !discard_input(c))
		client_free(c);
}

void
client_close(struct client *c)
{
	/* Who has read mail may be slow to take the end of it; to others there is little to say. */
	wait_for(c, c->phase == PHASE_RELAY ? WAIT_STALLED : WAIT_LINGER);
	c->phase = PHASE_CLOSING;
	handoff_forget(c);
	exchange_drop(c);
	pst_buf_clear(&c->in);
	closing_step(c);
}

/* ---- TLS ---- */

static void
log_handshake(struct client *c, const struct pst_err *why)
{
	const struct pst_log log = client_log(c);

	pst_log_write(why->kind == PST_E_CLOSED ? PST_LOG_DEBUG : PST_LOG_INFO, &log, "login.tls",
	              "reason=\"%s\"", why->text);
}

static void
greet(struct client *c)
{
	struct login *l = c->login;
	char challenge[ATTEMPT_CHALLENGE + 1];
	struct pst_err err;

	c->phase = PHASE_DIALOG;
	dialog_greeting(&c->dialog, challenge);
	pst_buf_reset(&l->reply);
	l->reply.language = POP3_DEFAULT;
	(void)pop3_reply_ok(&l->reply, &err, "%s%s", l->env->settings->login.greeting, challenge);
	client_settle(c, client_send(c, pst_buf_view(&l->reply)), DIALOG_MORE);
}

/* One that does not count is no reason to send the client away: it may have a password too. */
static void
look_at_certificate(struct client *c)
{
	const struct pst_log log = client_log(c);
	char name[TLS_CLIENT_MAX + 1];
	struct pst_err err;

	if (tls_stream_client(c->tls, name, &err) != 0)
		pst_log_info(&log, "login.certificate", "reason=\"%s\"", err.text);
	else if (name[0] != '\0')
		c->cert_name = pst_strdup(name);
}

/* What the session can be used for beside secrecy: asked only for mechanisms that are on. */
static struct mechanism_facts
look_at_session(struct client *c)
{
	const uint32_t on = c->login->mechanisms;
	struct mechanism_facts facts = c->dialog.facts;
	uint8_t binding[TLS_BINDING_MAX];
	char name[TLS_NAME_MAX + 1];

	facts.tls = true;
	if ((on & (MECH_BIT(MECH_SCRAM_SHA_256_PLUS) | MECH_BIT(MECH_SCRAM_SHA_1_PLUS))) != 0)
		facts.has_binding = tls_stream_binding(c->tls, binding) > 0;
	if ((on & MECH_BIT(MECH_EXTERNAL)) != 0) {
		look_at_certificate(c);
		facts.has_certificate = c->cert_name != NULL;
	}
	if ((on & MECH_BIT(MECH_ANONYMOUS)) != 0) {
		tls_stream_name(c->tls, name);
		facts.has_guest =
			mechanism_guest(&c->login->env->settings->auth, pst_str_c(name)).n > 0;
	}
	return facts;
}

static void
handshake_step(struct client *c)
{
	struct mechanism_facts facts;
	struct pst_err err = { .kind = PST_E_CLIENT, .text = "" };

	slot_doing(c->login->env->self, PST_LIT("TLS handshake"));
	switch (tls_stream_handshake(c->tls, &err)) {
	case TLS_IO_WANT_READ:
		client_poll(c, UV_READABLE);
		return;
	case TLS_IO_WANT_WRITE:
		client_poll(c, UV_WRITABLE);
		return;
	case TLS_IO_DONE:
		break;
	default:
		log_handshake(c, &err);
		client_free(c);
		return;
	}
	atomic_store(&c->login->env->board->row[c->row].tls, 1);
	facts = look_at_session(c);
	if (c->dialog.facts.tls) {
		dialog_tls(&c->dialog, &facts);
		greet(c);
		return;
	}
	dialog_tls(&c->dialog, &facts);
	c->phase = PHASE_DIALOG;
	client_settle(c, IO_OK, DIALOG_MORE);
}

static void
begin_handshake(struct client *c)
{
	struct pst_err err;

	c->tls = tls_stream_open(c->login->tls, c->fd, &err);
	if (c->tls == NULL) {
		log_handshake(c, &err);
		client_free(c);
		return;
	}
	c->phase = PHASE_HANDSHAKE;
	wait_for(c, WAIT_HANDSHAKE);
	client_poll(c, UV_READABLE);
}

/* ---- The dialog ---- */

/* Octets, or an end, that are out of the socket already: no event will tell of them. */
static void
read_pending(struct client *c)
{
	size_t n;

	switch (client_read(c, &n)) {
	case IO_OK:
		client_resume(c, (struct pst_str){ c->login->scratch, n });
		break;
	case IO_BLOCKED:
		client_poll(c, UV_READABLE);
		break;
	default:
		client_free(c);
	}
}

/* The wish of the dialog, now that all replies before it are on their way. */
static void
grant(struct client *c)
{
	switch ((enum dialog_step)c->step) {
	case DIALOG_MORE:
		if (c->ended != 0 || (c->tls != NULL && tls_stream_pending(c->tls)))
			read_pending(c);
		else
			client_poll(c, UV_READABLE);
		break;
	case DIALOG_FULL:
		client_resume(c, (struct pst_str){ NULL, 0 });
		break;
	case DIALOG_ATTEMPT:
		handoff_attempt(c);
		break;
	case DIALOG_RESPONSE:
		exchange_answered(c);
		break;
	case DIALOG_STLS:
		begin_handshake(c);
		break;
	case DIALOG_INJECTED: {
		const struct pst_log log = client_log(c);

		pst_log_warn(&log, "login.stls_injection",
		             "reason=\"octets came in behind STLS; the connection is ended\"");
		client_close(c);
		break;
	}
	case DIALOG_CLOSE:
		client_close(c);
		break;
	}
}

void
client_settle(struct client *c, enum io io, enum dialog_step step)
{
	c->step = (uint8_t)step;
	if (c->deadline.list == NULL || c->deadline.list != &c->login->waits[WAIT_COMMAND])
		wait_for(c, WAIT_COMMAND);
	if (io == IO_DEAD || c->is_dead)
		client_free(c);
	else if (io == IO_BLOCKED)
		client_poll(c, UV_WRITABLE);
	else
		grant(c);
}

/* Keeps what the dialog did not use of the input, and leaves no copy of the rest. */
static void
keep_input(struct client *c, struct pst_str fresh, struct pst_str rest)
{
	struct pst_err err;

	if (c->in.len == 0) {
		if (rest.n > 0 && pst_buf_add(&c->in, rest, &err) != 0)
			c->is_dead = true; /* not reached: a dialog leaves less than the ceiling */
	} else {
		size_t before = c->in.len;

		pst_buf_take(&c->in, before - rest.n);
		if (c->in.len > 0)
			pst_wipe(c->in.data + c->in.len, before - c->in.len);
	}
	if (fresh.n > 0)
		pst_wipe(c->login->scratch, fresh.n);
}

void
client_resume(struct client *c, struct pst_str fresh)
{
	struct login *l = c->login;
	struct pst_str rest = fresh;
	struct pst_err err;
	enum dialog_step step = DIALOG_MORE;
	enum io io = IO_OK;

	if (c->in.len > 0) {
		if (pst_buf_add(&c->in, fresh, &err) != 0)
			io = IO_DEAD;
		rest = pst_buf_view(&c->in);
	}
	do {
		if (io == IO_DEAD)
			break;
		pst_buf_reset(&l->reply);
		step = dialog_feed(&c->dialog, &rest, &l->reply);
		if (c->dialog.had_line)
			wait_for(c, WAIT_COMMAND);
		io = client_send(c, pst_buf_view(&l->reply));
	} while (io == IO_OK && step == DIALOG_FULL);
	keep_input(c, fresh, rest);
	client_settle(c, io, step);
}

static void
dialog_event(struct client *c, int events)
{
	size_t n = 0;

	if (c->out.len > 0) {
		if ((events & UV_WRITABLE) == 0)
			return;
		switch (client_flush(c)) {
		case IO_OK:
			grant(c);
			break;
		case IO_BLOCKED:
			break;
		default:
			client_free(c);
		}
		return;
	}
	switch (client_read(c, &n)) {
	case IO_OK:
		client_resume(c, (struct pst_str){ c->login->scratch, n });
		break;
	case IO_BLOCKED:
		break;
	default: {
		const struct pst_log log = client_log(c);

		pst_log_debug(&log, "login.gone",
		              "reason=\"the client went away before it logged in\"");
		client_free(c);
	}
	}
}

static void
on_event(uv_poll_t *handle, int status, int events)
{
	struct client *c = handle->data;

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE; /* a broken socket shows itself in the read */
	switch ((enum phase)c->phase) {
	case PHASE_HANDSHAKE:
		handshake_step(c);
		break;
	case PHASE_DIALOG:
		dialog_event(c, events);
		break;
	case PHASE_WAIT:
	case PHASE_ATTEMPT:
	case PHASE_PENALTY:
		/* Its octets wait in the socket, or in GnuTLS, for what comes next. */
		client_poll(c, 0);
		break;
	case PHASE_RELAY:
		relay_on_client(c, events);
		break;
	case PHASE_CLOSING:
		closing_step(c);
		break;
	case PHASE_FREED:
		break;
	}
}

void
client_poll(struct client *c, int events)
{
	if (c->polled == events)
		return;
	c->polled = (uint8_t)events;
	if (events == 0)
		(void)uv_poll_stop(&c->poll);
	else
		(void)uv_poll_start(&c->poll, events, on_event);
}

/* ---- From outside ---- */

void
client_begin(struct client *c)
{
	if (c->listener->settings->tls == TLS_IMPLICIT)
		begin_handshake(c);
	else
		greet(c);
}

void
client_delay_over(struct client *c)
{
	if (c->phase == PHASE_WAIT)
		client_begin(c);
	else
		handoff_tell(c);
}

/* An idle client is let go without a word: RFC 1939 section 3. */
void
client_overdue(struct client *c)
{
	const struct pst_log log = client_log(c);
	struct pst_err why;

	switch ((enum phase)c->phase) {
	case PHASE_DIALOG:
		pst_log_debug(&log, "login.timeout", "reason=\"no command\"");
		client_close(c);
		break;
	case PHASE_ATTEMPT:
		pst_err_set(&why, PST_E_TEMP, "no auth worker has answered");
		handoff_failed(c, &why, NULL, 0);
		break;
	case PHASE_HANDSHAKE:
		pst_log_debug(&log, "login.timeout", "reason=\"TLS handshake\"");
		client_free(c);
		break;
	case PHASE_RELAY:
		pst_log_info(&log, "login.timeout", "reason=\"the client takes no more octets\"");
		client_free(c);
		break;
	default:
		client_free(c);
	}
}

void
client_shut_down(struct client *c)
{
	struct login *l = c->login;
	struct pst_err why, err;

	switch ((enum phase)c->phase) {
	case PHASE_WAIT:
	case PHASE_DIALOG:
	case PHASE_ATTEMPT:
	case PHASE_PENALTY:
		if (c->dialog.facts.tls &&
		    c->tls == NULL) { /* nothing can be said before the handshake */
			client_free(c);
			break;
		}
		pst_err_set(&why, PST_E_TEMP, "server is going down");
		pst_buf_reset(&l->reply);
		l->reply.language = c->dialog.language;
		(void)pop3_reply_err(&l->reply, &why, why.text, &err);
		(void)client_send(c, pst_buf_view(&l->reply));
		client_close(c);
		break;
	case PHASE_HANDSHAKE:
		client_free(c);
		break;
	case PHASE_RELAY: /* the mail worker says its own goodbye */
	case PHASE_CLOSING:
	case PHASE_FREED:
		break;
	}
}
