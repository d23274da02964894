/* SPDX-License-Identifier: MIT */
/* Challenges of auth workers; see exchange.h. */
#include "login/exchange.h"

#include <string.h>

#include "base/mem.h"
#include "ipc/channel.h"
#include "login/client.h"

static struct pst_str
own(struct pst_str s)
{
	return (struct pst_str){ pst_str_dup(s), s.n };
}

static void
destroy(struct exchange *x)
{
	if (x == NULL)
		return;
	attempt_wipe_str(&x->reply.user);
	attempt_wipe_str(&x->reply.text);
	attempt_wipe_str(&x->reply.ticket);
	attempt_wipe_str(&x->reply.master);
	attempt_wipe_str(&x->reply.challenge);
	free(x);
}

static struct exchange *
take(struct client *c)
{
	struct exchange *x = c->exchange;

	c->exchange = NULL;
	return x;
}

void
exchange_begin(struct client *c, const struct wire_auth_reply *reply)
{
	struct exchange *x = pst_new(struct exchange);

	pst_assert(c->exchange == NULL);
	x->is_final = !reply->more;
	x->auth_slot = reply->auth_slot;
	x->id = reply->exchange;
	x->reply = *reply;
	x->reply.user = own(reply->user);
	x->reply.text = own(reply->text);
	x->reply.ticket = own(reply->ticket);
	x->reply.master = own(reply->master);
	x->reply.challenge = own(reply->challenge);
	c->exchange = x;
	if (x->is_final && !reply->ok && reply->delay_ms > 0) {
		c->phase = PHASE_PENALTY;
		login_delay(c, reply->delay_ms);
	} else {
		exchange_ask(c);
	}
}

void
exchange_ask(struct client *c)
{
	struct login *l = c->login;
	struct exchange *x = c->exchange;
	enum dialog_step step;

	c->phase = PHASE_DIALOG;
	x->is_asked = true;
	pst_buf_reset(&l->reply);
	step = dialog_challenge(&c->dialog, x->reply.challenge, &l->reply);
	/* What the client has sent already may be its answer. */
	client_settle(c, client_send(c, pst_buf_view(&l->reply)),
	              step == DIALOG_MORE ? DIALOG_FULL : step);
}

static int
send_step(struct client *c, const struct exchange *x, bool cancelled, uint64_t request,
          struct pst_err *err)
{
	struct login *l = c->login;
	const struct wire_auth_step m = {
		.login_slot = l->env->slot,
		.exchange = x->id,
		.cancelled = cancelled,
		.response = cancelled ? PST_LIT("") : c->dialog.response,
	};
	size_t n;
	int rc;

	if (x->auth_slot >= l->env->auth_count)
		return pst_err_set(err, PST_E_TEMP, "no auth slot %u", x->auth_slot);
	n = wire_auth_step_encode(&m, l->env->incarnation, request, l->message);
	if (n == 0)
		return pst_err_set(err, PST_E_AUTH, "the response does not fit into a message");
	rc = channel_send(l->env->auth_inboxes[x->auth_slot], l->message, n, -1, err);
	pst_wipe(l->message, n);
	return rc;
}

void
exchange_drop(struct client *c)
{
	struct exchange *x = take(c);
	struct pst_err err;

	/* A worker that does not hear of it forgets by itself after a while. */
	if (x != NULL && !x->is_final)
		(void)send_step(c, x, true, 0, &err);
	destroy(x);
}

/* The verdict is for the client now. */
static void
finish(struct client *c, bool cancelled)
{
	struct exchange *x = take(c);
	struct pst_err why;

	if (x->reply.ok && cancelled) {
		pst_err_set(&why, PST_E_CLIENT, "authentication cancelled");
		handoff_failed(c, &why, NULL, 0);
	} else {
		if (!x->reply.ok)
			x->reply.delay_ms = 0; /* it was waited before the challenge */
		handoff_finish(c, &x->reply);
	}
	destroy(x);
}

void
exchange_answered(struct client *c)
{
	struct exchange *x = c->exchange;
	const bool cancelled = c->dialog.response.p == NULL;
	struct pst_err err;

	pst_assert(x != NULL && x->is_asked);
	if (x->is_final) {
		dialog_forget_attempt(&c->dialog);
		finish(c, cancelled);
		return;
	}
	if (cancelled) {
		exchange_drop(c);
		pst_err_set(&err, PST_E_CLIENT, "authentication cancelled");
		handoff_failed(c, &err, NULL, 0);
		return;
	}
	if (send_step(c, x, false, handoff_wait(c), &err) != 0) {
		if (err.kind == PST_E_PERM)
			err.kind = PST_E_TEMP;
		destroy(take(c));
		handoff_failed(c, &err, NULL, 0);
		return;
	}
	destroy(take(c)); /* the next reply brings all that counts */
	dialog_forget_attempt(&c->dialog);
}
