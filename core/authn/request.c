/* SPDX-License-Identifier: MIT */
/* One attempt to log in; see request.h. Only what an operator must act on is logged here: login
 * writes the line of each attempt. */
#include "authn/request.h"

#include <poll.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "credentials/chain.h"
#include "ipc/changes.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"
#include "plugin/hooks.h"
#include "plugin/registry.h"

#define FULL_INBOX_MS 100 /* how long a login worker may take to make room */

struct authn {
	const struct worker_env *env;
	struct chain *chain;
	struct hooks *hooks;
	struct ticket_desk *tickets;
	struct pst_arena *arena; /* of the request in hand */
	bool away[CHAIN_MAX];    /* a backend that said it cannot tell, the last time */
	uint8_t ticket[WIRE_TICKET];
	uint8_t out[MSG_MAX_OCTETS];
};

struct request {
	struct authn *a;
	struct msg_head head;
	struct wire_auth_request wire;
	struct username user;
	struct pst_auth_query query;
	struct pst_log log;
	int64_t started_ms;
	int64_t policy_delay_ms;
	uint64_t changes_at; /* before the user was looked up */
	struct wire_auth_reply reply;
};

struct authn *
authn_create(const struct worker_env *env, struct pst_err *err)
{
	struct authn *a = pst_new(struct authn);

	a->env = env;
	a->arena = pst_arena_create();
	a->tickets = ticket_desk_create(env->tickets);
	a->chain = chain_create(env->settings, env->plugins, err);
	if (a->chain == NULL)
		goto fail;
	a->hooks = hooks_create(env->settings->policy_order, env->plugins, err);
	if (a->hooks == NULL)
		goto fail;
	return a;
fail:
	authn_destroy(a);
	return NULL;
}

void
authn_destroy(struct authn *a)
{
	if (a == NULL)
		return;
	hooks_destroy(a->hooks);
	chain_destroy(a->chain);
	ticket_desk_destroy(a->tickets);
	pst_arena_destroy(a->arena);
	free(a);
}

/* ---- What the master sees of it ---- */

/* The asker is there before busy_since_ms says that there is one. */
static void
show_busy(struct request *r)
{
	struct slot_row *row = r->a->env->self;

	atomic_store(&row->asker_slot, r->wire.login_slot);
	atomic_store(&row->asker_incarnation, r->head.incarnation);
	atomic_store(&row->asker_request, r->head.request);
	slot_doing(row, r->user.whole);
	atomic_store(&row->state, SLOT_BUSY);
	atomic_store(&row->busy_since_ms, r->started_ms);
}

static void
show_idle(const struct worker_env *env)
{
	atomic_store(&env->self->busy_since_ms, 0);
	atomic_store(&env->self->state, SLOT_READY);
	slot_doing(env->self, PST_LIT("waiting"));
}

/* If the plugin crashes or hangs, this is what the log can say. */
static void
on_asking(void *arg, size_t backend)
{
	struct request *r = arg;

	slot_doing(r->a->env->self, pst_str_c(pst_arena_printf(r->a->arena, "%s: %.*s",
	                                                       chain_name(r->a->chain, backend),
	                                                       PST_ARG(r->user.whole))));
}

/* A backend that is away is told of once when it goes and once when it is back, not at each login. */
static void
on_answered(void *arg, size_t backend, enum pst_auth_result result, const struct pst_err *err)
{
	struct request *r = arg;
	bool *away = &r->a->away[backend];
	const char *name = chain_name(r->a->chain, backend);

	if (result == PST_AUTH_TEMP && err->kind == PST_E_PERM)
		return; /* told with the request that met it */
	if (result == PST_AUTH_TEMP && !*away)
		pst_log_error(NULL, "auth.backend_away", "backend=%s reason=\"%s\"", name,
		              err->text);
	else if (result != PST_AUTH_TEMP && *away)
		pst_log_warn(NULL, "auth.backend_back", "backend=%s", name);
	*away = result == PST_AUTH_TEMP;
}

/* ---- The answer ---- */

/* A refusal leaves after failure_delay, counted from the request's start: so the time says neither
 * which scheme a user's password is stored in nor whether there is such a user. login waits, not
 * this worker. */
static void
refuse(struct request *r, enum pst_err_kind kind, const char *text)
{
	int64_t left = r->started_ms + r->a->env->settings->auth.failure_delay - pst_now_ms();

	if (left < r->policy_delay_ms)
		left = r->policy_delay_ms;
	r->reply = (struct wire_auth_reply){
		.kind = (uint8_t)kind,
		.delay_ms = left > 0 ? (uint32_t)left : 0,
		.text = pst_str_c(text),
	};
}

/* The master kills a worker that does not come back in time, so this may block for a moment. */
static void
send_reply(struct request *r)
{
	const struct worker_env *env = r->a->env;
	int inbox = env->login_inboxes[r->wire.login_slot];
	struct pollfd room = { .fd = inbox, .events = POLLOUT };
	struct pst_err err;
	size_t n;

	n = wire_auth_reply_encode(&r->reply, r->head.incarnation, r->head.request, r->a->out);
	pst_assert(n > 0);
	if (channel_send(inbox, r->a->out, n, -1, &err) == 0)
		return;
	if (err.kind == PST_E_TEMP && poll(&room, 1, FULL_INBOX_MS) == 1 &&
	    channel_send(inbox, r->a->out, n, -1, &err) == 0)
		return;
	pst_log_warn(&r->log, "auth.reply_lost", "login=%u reason=\"%s\"", r->wire.login_slot,
	             err.text);
}

/* Whether the backend that knew the user wants to hear of the session's end. */
static bool
wants_notes(const struct authn *a, size_t backend)
{
	const struct plugin *p =
		registry_find(a->env->plugins, PST_AUTH, pst_str_c(chain_name(a->chain, backend)));

	return p != NULL && plugin_descriptor(p)->auth->notes != NULL;
}

static void
welcome(struct request *r, const struct chain_answer *answer)
{
	const struct pst_auth_record *record = &answer->record;
	const struct ticket ticket = {
		.uid = answer->record.uid,
		.gid = answer->record.gid,
		.sid = r->wire.sid,
		.user = answer->user.whole,
		.location = answer->location,
		.mechanism = r->wire.mechanism,
		.backend = (uint32_t)answer->backend,
		.wants_notes = wants_notes(r->a, answer->backend),
		.changes_at = r->changes_at,
		.max_sessions = record->max_sessions,
		.max_listed = record->max_listed,
		.min_poll_ms = record->min_poll_ms,
		.read_only = record->read_only,
	};
	size_t n = ticket_seal(r->a->tickets, &ticket, r->a->ticket);

	if (n == 0) {
		pst_log_error(&r->log, "auth.broken", "reason=\"the ticket would be too long\"");
		refuse(r, PST_E_PERM, "");
		return;
	}
	r->reply = (struct wire_auth_reply){
		.ok = true,
		.delay_ms = (uint32_t)r->policy_delay_ms,
		.user = { pst_arena_copy(r->a->arena, answer->user.whole), answer->user.whole.n },
		.ticket = { (const char *)r->a->ticket, n },
	};
}

/* ---- The steps ---- */

/* No string of a query holds a NUL octet: a plugin may hand it to a C library. */
static bool
has_nul(const struct wire_auth_request *w)
{
	return pst_str_has_nul(w->sid) || pst_str_has_nul(w->mechanism) ||
	       pst_str_has_nul(w->password) || pst_str_has_nul(w->remote_ip) ||
	       pst_str_has_nul(w->local_ip) || pst_str_has_nul(w->sni) ||
	       pst_str_has_nul(w->listener);
}

static void
make_query(struct request *r)
{
	r->query = (struct pst_auth_query){
		.user = r->user.whole,
		.local_part = r->user.local,
		.domain = r->user.domain,
		.remote_ip = r->wire.remote_ip,
		.local_ip = r->wire.local_ip,
		.sni = r->wire.sni,
		.mechanism = r->wire.mechanism,
		.tls = r->wire.tls,
	};
}

static void
log_error(const struct request *r, const struct chain_answer *answer)
{
	const struct chain *c = r->a->chain;
	bool decided = answer->backend < chain_count(c);

	if (answer->err.kind == PST_E_TEMP && decided && r->a->away[answer->backend])
		return; /* told when it went away */
	pst_log_error(&r->log, "auth.broken", "backend=%s reason=\"%s\"",
	              decided ? chain_name(c, answer->backend) : "none", answer->err.text);
}

/* Only who knows the password learns that the account is disabled: RFC 3206 keeps [AUTH] for what
 * another password would mend, and a client that is told so would ask its user for one. */
static enum pst_err_kind
refusal_of(const struct chain_answer *answer)
{
	return answer->verdict == CHAIN_DISABLED && answer->password_right ? PST_E_PERM
	                                                                   : PST_E_AUTH;
}

static void
settle(struct request *r, const struct chain_answer *answer)
{
	struct pst_decision decision;
	enum pst_verdict verdict;

	if (answer->verdict == CHAIN_ERROR) { /* nobody's guess was right or wrong */
		log_error(r, answer);
		refuse(r, answer->err.kind, "");
		return;
	}
	if (answer->verdict == CHAIN_DISABLED)
		pst_log_info(&r->log, "auth.disabled", "backend=%s password=%s reason=\"%.*s\"",
		             chain_name(r->a->chain, answer->backend),
		             answer->password_right ? "right" : "wrong",
		             PST_ARG(answer->record.reason));
	verdict = hooks_after(r->a->hooks, &r->query, answer->verdict == CHAIN_OK, &answer->record,
	                      &decision);
	if (decision.delay_ms > r->policy_delay_ms)
		r->policy_delay_ms = decision.delay_ms;
	if (verdict == PST_REFUSE)
		refuse(r, decision.kind, pst_arena_copy(r->a->arena, pst_str_c(decision.text)));
	else if (answer->verdict == CHAIN_OK)
		welcome(r, answer);
	else
		refuse(r, refusal_of(answer), "");
}

static void
authenticate(struct request *r)
{
	const struct chain_watch watch = { on_asking, on_answered, r };
	const struct chain_proof proof = { PROOF_PASSWORD, r->wire.password, false };
	struct pst_decision decision;
	struct chain_answer answer;

	make_query(r);
	if (hooks_before(r->a->hooks, &r->query, &decision) == PST_REFUSE) {
		r->policy_delay_ms = decision.delay_ms;
		refuse(r, decision.kind, pst_arena_copy(r->a->arena, pst_str_c(decision.text)));
		return;
	}
	r->policy_delay_ms = decision.delay_ms;
	chain_ask(r->a->chain, &r->query, &proof, r->a->arena, &watch, &answer);
	settle(r, &answer);
}

static void
start_log(struct request *r)
{
	r->log.sid = pst_arena_copy(r->a->arena, r->wire.sid);
	r->log.peer = pst_arena_copy(r->a->arena, r->wire.remote_ip);
	r->log.user = r->user.whole;
}

void
authn_serve(struct authn *a, struct pst_str data)
{
	struct request r = {
		.a = a,
		.started_ms = pst_now_ms(),
		.changes_at = changes_now(a->env->changes),
	};
	const char *domain = a->env->settings->auth.default_domain;
	struct pst_err err;
	bool is_user;

	if (wire_auth_request_decode(data, &r.head, &r.wire, &err) != 0) {
		pst_log_error(NULL, "auth.message", "reason=\"%s\"", err.text);
		return;
	}
	if (r.wire.login_slot >= a->env->login_count) {
		pst_log_error(NULL, "auth.message", "reason=\"no login slot %u\"",
		              r.wire.login_slot);
		return;
	}
	is_user = username_fold(r.wire.user, domain, &r.user, &err) == 0;
	if (!is_user)
		r.user.whole = PST_LIT("");
	show_busy(&r);
	start_log(&r);
	if (is_user && r.wire.password.n > 0 && !has_nul(&r.wire)) {
		authenticate(&r);
	} else {
		(void)chain_burn(a->chain, r.wire.password, false);
		refuse(&r, PST_E_AUTH, "");
	}
	send_reply(&r);
	show_idle(a->env);
	pst_arena_reset(a->arena);
	pst_wipe(a->ticket, sizeof(a->ticket));
}
