/* SPDX-License-Identifier: MIT */
/* From an attempt to log in to a mail worker that serves the session, or to a refusal. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"
#include "login/client.h"
#include "login/exchange.h"
#include "login/policy.h"

#define GRANT_DELAY_MAX_MS (TICKET_LIFE_MS - 10000)

/* ---- Those that wait for an auth worker ---- */

static struct client **
bucket_of(struct login *l, uint64_t request)
{
	return &l->waiting[request % LOGIN_WAITING_BUCKETS];
}

uint64_t
handoff_wait(struct client *c)
{
	struct client **b;

	c->request = ++c->login->request;
	b = bucket_of(c->login, c->request);
	c->next_waiting = *b;
	*b = c;
	c->phase = PHASE_ATTEMPT;
	deadline_set(&c->login->waits[WAIT_AUTH], &c->deadline, login_now(c->login));
	return c->request;
}

void
handoff_forget(struct client *c)
{
	struct client **at;

	if (c->request == 0)
		return;
	for (at = bucket_of(c->login, c->request); *at != c; at = &(*at)->next_waiting)
		;
	*at = c->next_waiting;
	c->request = 0;
}

static struct client *
find(struct login *l, uint64_t request)
{
	struct client *c;

	for (c = *bucket_of(l, request); c != NULL; c = c->next_waiting)
		if (c->request == request)
			return c;
	return NULL;
}

/* ---- The question ---- */

static int
send_request(struct client *c, struct pst_err *err)
{
	struct login *l = c->login;
	const struct attempt *a = c->dialog.attempt;
	struct tls_facts facts = { .number = 0 };
	uint8_t binding[TLS_BINDING_MAX];
	char name[TLS_NAME_MAX + 1] = "";
	char local[PST_ADDR_TEXT];
	struct wire_auth_request m = {
		.login_slot = l->env->slot,
		.row = c->row,
		.sid = pst_str_c(c->sid),
		.mechanism = pst_str_c(mechanisms[a->mechanism].name),
		.user = { a->user, a->user_n },
		.password = { a->password, a->password_n },
		.authzid = { a->authzid, a->authzid_n },
		.has_response = a->response.p != NULL,
		.response = a->response,
		.challenge = pst_str_c(a->challenge),
		.remote_ip = pst_str_c(c->peer),
		.listener = pst_str_c(c->listener->settings->name),
		.tls = c->tls != NULL,
	};
	size_t n;
	int rc;

	local_address(c->fd, local);
	m.local_ip = pst_str_c(local);
	if (c->tls != NULL) {
		tls_stream_name(c->tls, name);
		tls_stream_facts(c->tls, &facts);
		m.tls_version = facts.number;
		m.cert_name = pst_str_c(c->cert_name);
	}
	m.sni = pst_str_c(name);
	if (c->dialog.facts.has_binding) {
		m.binding.n = tls_stream_binding(c->tls, binding);
		m.binding.p = (const char *)binding;
		m.binding_offered = true;
	}
	n = wire_auth_request_encode(&m, l->env->incarnation, c->request, l->message);
	if (n == 0)
		return pst_err_set(err, PST_E_AUTH, "the request does not fit into a message");
	rc = channel_send(l->env->auth_queue, l->message, n, -1, err);
	pst_wipe(l->message, n);
	return rc;
}

static void
set_row_user(struct client *c, const char *user)
{
	struct session_row *r = &c->login->env->board->row[c->row];

	(void)snprintf(r->user, sizeof(r->user), "%s", user == NULL ? "" : user);
}

void
handoff_attempt(struct client *c)
{
	struct login *l = c->login;
	struct pst_err err;
	int rc;

	c->mechanism = c->dialog.attempt->mechanism;
	c->began_ms = pst_now_ms();
	if (c->dialog.attempt->is_hopeless) {
		pst_err_set(&err, PST_E_AUTH, "no user can have this name or password");
		handoff_failed(c, &err, NULL, l->env->settings->auth.failure_delay);
		return;
	}
	(void)handoff_wait(c);
	set_row_user(c, c->dialog.user);
	board_own(l->env->board, c->row, SESSION_AUTH, WORKER_LOGIN, l->env->slot);
	rc = send_request(c, &err);
	dialog_forget_attempt(&c->dialog);
	if (rc != 0) {
		/* The queue is broken or full: neither is the client's fault. */
		if (err.kind == PST_E_PERM)
			err.kind = PST_E_TEMP;
		handoff_failed(c, &err, NULL, 0);
	}
}

/* ---- A refusal ---- */

static const char *const reasons[] = {
	[PST_E_TEMP] = "temporary", [PST_E_PERM] = "refused",  [PST_E_AUTH] = "credentials",
	[PST_E_IN_USE] = "in-use",  [PST_E_CLIENT] = "client", [PST_E_LIMIT] = "limit",
};

void
handoff_failed(struct client *c, const struct pst_err *why, const char *text, int64_t delay_ms)
{
	const struct pst_log log = client_log(c);

	handoff_forget(c);
	dialog_forget_attempt(&c->dialog);
	/* The server's own words are for the log alone; an auth worker has logged its own. */
	pst_log_info(&log, "login.failed", "reason=%s mech=%s took_ms=%" PRId64 "%s%s%s",
	             reasons[why->kind], mechanisms[c->mechanism].name, pst_now_ms() - c->began_ms,
	             why->text[0] == '\0' ? "" : " text=\"", why->text,
	             why->text[0] == '\0' ? "" : "\"");
	if (c->verdict == NULL)
		c->verdict = pst_new(struct verdict);
	c->verdict->why = *why;
	(void)snprintf(c->verdict->text, sizeof(c->verdict->text), "%s", text == NULL ? "" : text);
	c->phase = PHASE_PENALTY;
	if (delay_ms > 0)
		login_delay(c, delay_ms);
	else
		handoff_tell(c);
}

static void
tell_refusal(struct client *c)
{
	struct login *l = c->login;
	struct verdict *v = c->verdict;
	enum dialog_step step;

	if (v == NULL) { /* it is a challenge that had to wait */
		exchange_ask(c);
		return;
	}
	c->verdict = NULL;
	c->phase = PHASE_DIALOG;
	board_own(l->env->board, c->row, SESSION_LOGIN, WORKER_LOGIN, l->env->slot);
	pst_buf_reset(&l->reply);
	step = dialog_failed(&c->dialog, &v->why, v->text[0] == '\0' ? NULL : v->text, &l->reply);
	free(v);
	/* Commands that came in behind the attempt are waiting. */
	client_settle(c, client_send(c, pst_buf_view(&l->reply)),
	              step == DIALOG_MORE ? DIALOG_FULL : step);
}

/* ---- The hand-off ---- */

/* The mail slot with the fewest sessions that has not been tried; the states that count are a mask.
 * Starting at another slot each time spreads those that come at once. */
static bool
pick_mail_slot(struct login *l, const uint8_t *tried, uint32_t states, uint32_t *slot_out)
{
	uint32_t best = UINT32_MAX;
	uint32_t count = l->env->mail_count;
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint32_t slot = (l->next_mail + i) % count;
		const struct slot_row *r = &l->env->mail_slots[slot];
		uint32_t sessions = atomic_load_explicit(&r->sessions, memory_order_relaxed);

		if ((states >> atomic_load(&r->state) & 1) == 0 || tried[slot] || sessions >= best)
			continue;
		best = sessions;
		*slot_out = slot;
	}
	if (best != UINT32_MAX)
		l->next_mail = *slot_out + 1;
	return best != UINT32_MAX;
}

/* Tries slots until one takes the message that stands in l->message. A worker that is just starting
 * will read its inbox: better than to send the client away. */
static int
send_to_slot(struct client *c, size_t n, int fd, struct pst_err *err)
{
	static const uint32_t states[] = { 1u << SLOT_READY, 1u << SLOT_STARTING };
	struct login *l = c->login;
	struct board *board = l->env->board;
	uint8_t tried[ENV_MAX_SLOTS] = { 0 };
	uint32_t slot;
	size_t i;

	pst_err_set(err, PST_E_TEMP, "no mail worker is ready");
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		while (pick_mail_slot(l, tried, states[i], &slot)) {
			tried[slot] = 1;
			board_own(board, c->row, SESSION_MAIL, WORKER_MAIL, slot);
			if (channel_send(l->env->mail_inboxes[slot], l->message, n, fd, err) == 0)
				return 0;
			board_own(board, c->row, SESSION_AUTH, WORKER_LOGIN, l->env->slot);
		}
	}
	err->kind = PST_E_TEMP;
	return -1;
}

/* fd: what the mail worker gets to talk to. input: what the client has said already. */
static int
pass_on(struct client *c, const struct wire_auth_reply *reply, struct pst_str input, int fd,
        struct pst_err *err)
{
	struct login *l = c->login;
	const struct wire_handoff m = {
		.login_slot = l->env->slot,
		.row = c->row,
		.sid = pst_str_c(c->sid),
		.remote_ip = pst_str_c(c->peer),
		.user = reply->user,
		.ticket = reply->ticket,
		.input = input,
		.offered = dialog_offer(&c->dialog),
		.tls = c->tls != NULL,
		.utf8 = c->dialog.has_utf8,
		.language = c->dialog.language,
	};
	size_t n = wire_handoff_encode(&m, l->env->incarnation, ++l->request, l->message);

	if (n == 0)
		return pst_err_set(err, PST_E_TEMP, "the hand-off does not fit into a message");
	if (l->env->mail_queue < 0)
		return send_to_slot(c, n, fd, err);
	if (channel_send(l->env->mail_queue, l->message, n, fd, err) == 0)
		return 0;
	err->kind = PST_E_TEMP;
	return -1;
}

/* The mail worker has one end of a pair, and this process the TLS session. */
static int
hand_over_tls(struct client *c, const struct wire_auth_reply *reply, struct pst_err *err)
{
	struct pst_str input = pst_buf_view(&c->in);
	struct pst_str rest = { "", 0 };
	int ends[2];
	int rc;

	if (input.n > WIRE_INPUT) { /* a large record behind small ones */
		rest = (struct pst_str){ input.p + WIRE_INPUT, input.n - WIRE_INPUT };
		input.n = WIRE_INPUT;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return pst_err_sys(err, PST_E_TEMP, "socketpair");
	rc = pass_on(c, reply, input, ends[1], err);
	close(ends[1]);
	if (rc != 0) {
		close(ends[0]);
		return -1;
	}
	c->owns_row = false;
	if (relay_start(c, ends[0], rest, err) != 0)
		client_free(c);
	return 0;
}

static int
hand_over(struct client *c, const struct wire_auth_reply *reply, struct pst_err *err)
{
	if (c->tls != NULL)
		return hand_over_tls(c, reply, err);
	if (pass_on(c, reply, pst_buf_view(&c->in), c->fd, err) != 0)
		return -1;
	c->owns_row = false;
	client_free(c);
	return 0;
}

static void
log_ok(const struct client *c, const struct wire_auth_reply *reply)
{
	const struct pst_str master = reply->master;
	struct tls_facts facts = { .version = "none", .cipher = "none" };
	struct pst_log log = client_log(c);

	log.user = reply->user;
	if (c->tls != NULL)
		tls_stream_facts(c->tls, &facts);
	pst_log_info(&log, "login.ok",
	             "mech=%s tls=%s cipher=%s resumed=%s took_ms=%" PRId64 "%s%.*s",
	             mechanisms[c->mechanism].name, facts.version, facts.cipher,
	             facts.resumed ? "yes" : "no", pst_now_ms() - c->began_ms,
	             master.n > 0 ? " master=" : "", PST_ARG(master));
}

/* The kind comes from another process: what is no kind is a failure that passes. */
static enum pst_err_kind
kind_of(uint8_t kind)
{
	return kind >= PST_E_TEMP && kind < PST_E_CLOSED ? (enum pst_err_kind)kind : PST_E_TEMP;
}

static void
let_in(struct client *c, const struct wire_auth_reply *reply)
{
	struct pst_err err;

	log_ok(c, reply);
	if (hand_over(c, reply, &err) != 0)
		handoff_failed(c, &err, NULL, 0);
}

/* A policy slows this one down. A ticket does not live for ever: nor does the delay. */
static void
let_in_later(struct client *c, const struct wire_auth_reply *reply)
{
	uint8_t *message = c->login->message;
	const size_t n = wire_auth_reply_encode(reply, 0, 0, message);

	pst_assert(n > 0); /* it came in a message */
	c->grant = pst_alloc(sizeof(*c->grant) + n);
	c->grant->n = n;
	memcpy(c->grant->message, message, n);
	pst_wipe(message, n);
	c->phase = PHASE_PENALTY;
	login_delay(c, reply->delay_ms < GRANT_DELAY_MAX_MS ? reply->delay_ms : GRANT_DELAY_MAX_MS);
}

void
handoff_drop_grant(struct client *c)
{
	if (c->grant == NULL)
		return;
	pst_wipe(c->grant->message, c->grant->n); /* there is a ticket in it */
	free(c->grant);
	c->grant = NULL;
}

void
handoff_tell(struct client *c)
{
	struct grant *grant = c->grant;
	struct wire_auth_reply reply;
	struct msg_head head;
	struct pst_err err;
	int rc;

	if (grant == NULL) {
		tell_refusal(c);
		return;
	}
	c->grant = NULL; /* c may be gone after the hand-over */
	rc = wire_auth_reply_decode((struct pst_str){ (const char *)grant->message, grant->n },
	                            &head, &reply, &err);
	pst_assert(rc == 0); /* it could be read when it came */
	let_in(c, &reply);
	pst_wipe(grant->message, grant->n);
	free(grant);
}

void
handoff_finish(struct client *c, const struct wire_auth_reply *reply)
{
	struct pst_err err = { .text = "" };

	if (!reply->ok) {
		char text[WIRE_TEXT + 1];

		(void)snprintf(text, sizeof(text), "%.*s", PST_ARG(reply->text));
		err.kind = kind_of(reply->kind);
		handoff_failed(c, &err, text, reply->delay_ms);
		return;
	}
	if (reply->delay_ms > 0)
		let_in_later(c, reply);
	else
		let_in(c, reply);
}

void
handoff_reply(struct login *l, struct pst_str data)
{
	struct wire_auth_reply reply;
	struct msg_head head;
	struct pst_err err;
	struct client *c;

	if (wire_auth_reply_decode(data, &head, &reply, &err) != 0) {
		pst_log_error(NULL, "login.message", "reason=\"%s\"", err.text);
		return;
	}
	c = head.incarnation == l->env->incarnation ? find(l, head.request) : NULL;
	if (c == NULL) /* it hung up, ran out of time, or was a client of the worker before */
		return;
	handoff_forget(c);
	if (!reply.ok && reply.user.n > 0) { /* who it is stood in the response */
		dialog_set_user(&c->dialog, reply.user);
		set_row_user(c, c->dialog.user);
	}
	if (reply.more || reply.has_challenge)
		exchange_begin(c, &reply);
	else
		handoff_finish(c, &reply);
}
