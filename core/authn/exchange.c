/* SPDX-License-Identifier: MIT */
/* SCRAM, from the request on the queue over a step in the inbox to the answer; see exchange.h. */
#include "authn/exchange.h"

#include <string.h>

#include "authn/request.h"
#include "authn/scram.h"
#include "authn/secret.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"

#define SWEEP_MS 1000
#define GRACE_MS 1000 /* beyond login.timeout, after which login has sent the client away */

struct exchange {
	uint64_t id; /* its place in the low bits */
	struct msg_head head;
	uint32_t login_slot;
	int64_t due_ms;
	int64_t policy_delay_ms;
	struct scram *scram;
	size_t n;
	char message[]; /* the wire_auth_request */
};

struct exchanges {
	struct scram_library *library;
	size_t count;
	uint32_t next; /* place: the one used longest ago */
	int64_t swept_ms;
	struct exchange *v[EXCHANGES_MAX];
};

struct exchanges *
exchanges_create(struct pst_err *err)
{
	struct exchanges *e = pst_new(struct exchanges);

	e->library = scram_library_create(err);
	if (e->library == NULL) {
		free(e);
		return NULL;
	}
	return e;
}

static void
drop(struct exchanges *e, size_t at)
{
	struct exchange *x = e->v[at];

	if (x == NULL)
		return;
	e->v[at] = NULL;
	e->count--;
	scram_end(x->scram);
	pst_wipe(x, sizeof(*x) + x->n);
	free(x);
}

void
exchanges_destroy(struct exchanges *e)
{
	size_t i;

	if (e == NULL)
		return;
	for (i = 0; i < EXCHANGES_MAX; i++)
		drop(e, i);
	scram_library_destroy(e->library);
	free(e);
}

int
exchanges_sweep(struct authn *a)
{
	struct exchanges *e = a->exchanges;
	const int64_t now = pst_now_ms();
	size_t i;

	if (e == NULL || e->count == 0)
		return -1;
	if (now - e->swept_ms >= SWEEP_MS) {
		e->swept_ms = now;
		for (i = 0; i < EXCHANGES_MAX; i++)
			if (e->v[i] != NULL && e->v[i]->due_ms <= now)
				drop(e, i);
	}
	return e->count == 0 ? -1 : SWEEP_MS;
}

/* A login worker in the place of another has no clients of the one before. */
static void
forget_dead(struct exchanges *e, uint32_t login_slot, uint32_t incarnation)
{
	size_t i;

	for (i = 0; e->count > 0 && i < EXCHANGES_MAX; i++)
		if (e->v[i] != NULL && e->v[i]->login_slot == login_slot &&
		    e->v[i]->head.incarnation != incarnation)
			drop(e, i);
}

static struct exchange *
enter(struct request *r, struct scram *scram)
{
	struct exchanges *e = r->a->exchanges;
	const size_t at = e->next++ % EXCHANGES_MAX;
	struct exchange *x = pst_alloc(sizeof(*x) + r->message.n);

	drop(e, at);
	pst_random(&x->id, sizeof(x->id));
	x->id = (x->id & ~(uint64_t)(EXCHANGES_MAX - 1)) | at;
	x->head = r->head;
	x->login_slot = r->wire.login_slot;
	x->due_ms = r->taken_ms + r->a->env->settings->login.timeout + GRACE_MS;
	x->policy_delay_ms = r->policy_delay_ms;
	x->scram = scram;
	x->n = r->message.n;
	memcpy(x->message, r->message.p, x->n);
	e->v[at] = x;
	e->count++;
	return x;
}

static struct exchange *
find(struct exchanges *e, const struct wire_auth_step *step, const struct msg_head *head)
{
	struct exchange *x = e->v[step->exchange % EXCHANGES_MAX];

	if (x == NULL || x->id != step->exchange || x->login_slot != step->login_slot ||
	    x->head.incarnation != head->incarnation)
		return NULL;
	return x;
}

static struct scram_binding
binding_of(const struct request *r)
{
	return (struct scram_binding){ .octets = r->wire.binding,
		                       .is_offered = r->wire.binding_offered };
}

/* ---- The first message ---- */

void
exchanges_begin(struct request *r)
{
	const struct scram_binding binding = binding_of(r);
	struct exchanges *e = r->a->exchanges;
	struct scram *scram = NULL;
	struct scram_first first;
	struct scram_keys keys;
	struct pst_str text = { NULL, 0 };
	struct exchange *x;
	bool is_real;

	forget_dead(e, r->wire.login_slot, r->head.incarnation);
	request_ask(r, PROOF_KEEP, PST_LIT(""));
	if (r->answer.verdict == CHAIN_ERROR || secret_scram(r, false, &keys, &is_real) != 0) {
		secret_forget(r);
		answer_settle(r);
		return;
	}
	secret_forget(r);
	if (scram_first_read(r->wire.response, &first) &&
	    scram_may_begin(r->mechanism, &first.gs2, &binding))
		scram = scram_begin(e->library, r->mechanism, r->wire.response, &first, &keys,
		                    &binding, &text);
	pst_wipe(&keys, sizeof(keys));
	if (scram == NULL || text.n > WIRE_CHALLENGE) {
		scram_end(scram);
		answer_refuse(r, PST_E_AUTH, "");
		return;
	}
	x = enter(r, scram);
	r->reply = (struct wire_auth_reply){
		.more = true,
		.auth_slot = r->a->env->slot,
		.exchange = x->id,
		.has_challenge = true,
		.challenge = text,
	};
}

/* ---- The second ---- */

/* As in exchanges_begin, whoever it is: the same look-up, the same steps. */
static void
finish(struct request *r, struct exchange *x, struct pst_str response)
{
	const struct scram_binding binding = binding_of(r);
	struct pst_str text = { NULL, 0 };
	struct scram_keys keys;
	bool is_real, is_right;

	request_ask(r, PROOF_KEEP, PST_LIT(""));
	if (r->answer.verdict == CHAIN_ERROR || secret_scram(r, true, &keys, &is_real) != 0) {
		secret_forget(r);
		answer_settle(r);
		return;
	}
	secret_forget(r);
	is_right = scram_is_right(x->scram, response, &keys, &binding, &text);
	pst_wipe(&keys, sizeof(keys));
	pst_wipe_stack();
	answer_proven(r, is_right && is_real && text.n <= WIRE_CHALLENGE);
	answer_settle(r);
	if (r->reply.ok) { /* the server's proof: RFC 5034 section 4 */
		r->reply.has_challenge = true;
		r->reply.challenge = (struct pst_str){ pst_arena_copy(r->a->arena, text), text.n };
	}
}

/* Whoever asks about an exchange that is not here may begin anew. */
static void
refuse_lost(struct authn *a, const struct wire_auth_step *step, const struct msg_head *head)
{
	struct request r = {
		.a = a,
		.head = *head,
		.wire = { .login_slot = step->login_slot },
		.reply = { .kind = PST_E_TEMP },
	};

	answer_send(&r);
}

void
exchanges_step(struct authn *a, struct pst_str data)
{
	struct exchanges *e = a->exchanges;
	struct wire_auth_step step;
	struct exchange *x = NULL;
	struct msg_head head;
	struct pst_err err;
	struct request r;

	if (wire_auth_step_decode(data, &head, &step, &err) != 0 ||
	    step.login_slot >= a->env->login_count) {
		pst_log_error(NULL, "auth.message", "reason=\"not a step of an exchange\"");
		return;
	}
	if (e != NULL)
		x = find(e, &step, &head);
	if (x == NULL) {
		if (!step.cancelled)
			refuse_lost(a, &step, &head);
		return;
	}
	if (!step.cancelled &&
	    request_open(&r, a, (struct pst_str){ x->message, x->n }, head.request)) {
		r.policy_delay_ms = x->policy_delay_ms;
		finish(&r, x, step.response);
		request_close(&r);
	}
	drop(e, x->id % EXCHANGES_MAX);
}
