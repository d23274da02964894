/* SPDX-License-Identifier: MIT */
/* One attempt to log in, from the queue to its answer; see request.h. */
#include "authn/request.h"

#include "authn/answer.h"
#include "authn/exchange.h"
#include "authn/method.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credentials/app.h"
#include "credentials/domain.h"
#include "ipc/away.h"
#include "ipc/changes.h"

static int
add_masters(struct authn *a, struct pst_err *err)
{
	const struct settings *s = a->env->settings;
	const char *list = s->auth.master_backends;
	struct pst_str word;

	if (!settings_next_word(&list, &word))
		return 0;
	a->masters = chain_create_masters(s, a->env->plugins, err);
	if (a->masters == NULL)
		return -1;
	chain_remember(a->masters, a->env->verified, s->auth.verified_age);
	return 0;
}

#define SCRAMS                                                                                     \
	(MECH_BIT(MECH_SCRAM_SHA_1) | MECH_BIT(MECH_SCRAM_SHA_1_PLUS) |                            \
	 MECH_BIT(MECH_SCRAM_SHA_256) | MECH_BIT(MECH_SCRAM_SHA_256_PLUS))
#define TOKENS (MECH_BIT(MECH_OAUTHBEARER) | MECH_BIT(MECH_XOAUTH2))

static bool
has_token_backend(const struct chain *c)
{
	size_t i;

	for (i = 0; i < chain_count(c); i++)
		if (chain_auth(c, i)->token != NULL)
			return true;
	return false;
}

/* What mechanisms need that bring no password. One that could never let anybody in would be offered in
 * vain. */
static int
start_methods(struct authn *a, struct pst_err *err)
{
	if ((a->mechanisms & TOKENS) != 0 && !has_token_backend(a->chain))
		return pst_err_set(err, PST_E_PERM,
		                   "auth.mechanisms: OAUTHBEARER and XOAUTH2 need a backend that "
		                   "checks tokens, and none of auth.backends does");
	if (!a->in_haste || (a->mechanisms & SCRAMS) == 0)
		return 0;
	a->exchanges = exchanges_create(err);
	return a->exchanges == NULL ? -1 : 0;
}

struct authn *
authn_create(const struct worker_env *env, struct pst_err *err)
{
	struct authn *a = pst_new(struct authn);

	a->env = env;
	a->in_haste = env->role == AUTH_QUERY;
	a->mechanisms = mechanism_set(env->settings->auth.mechanisms);
	a->arena = pst_arena_create();
	a->tickets = ticket_desk_create(env->tickets);
	a->chain = chain_create(env->settings, env->plugins, err);
	if (a->chain == NULL)
		goto fail;
	chain_remember(a->chain, env->verified, env->settings->auth.verified_age);
	if (add_masters(a, err) != 0)
		goto fail;
	a->hooks = hooks_create(env->settings->policy_order, env->plugins, err);
	if (a->hooks == NULL)
		goto fail;
	if (start_methods(a, err) != 0)
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
	exchanges_destroy(a->exchanges);
	hooks_destroy(a->hooks);
	chain_destroy(a->masters);
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
	atomic_store(&row->busy_since_ms, r->taken_ms);
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
	                                                       chain_name(r->chain, backend),
	                                                       PST_ARG(r->user.whole))));
}

/* A backend that is away is told of once when it goes and once when it is back, not at each login. */
static void
on_answered(void *arg, size_t backend, enum pst_auth_result result, const struct pst_err *err)
{
	struct request *r = arg;
	const uint32_t place = (uint32_t)backend + (r->chain == r->a->masters ? CHAIN_MAX : 0);
	const char *name = chain_name(r->chain, backend);

	if (result == PST_AUTH_TEMP && err->kind == PST_E_PERM)
		return; /* told with the request that met it */
	if (result == PST_AUTH_TEMP)
		r->is_away = true;
	if (!away_note(r->a->env->away, place, result == PST_AUTH_TEMP, pst_now_ms()))
		return;
	if (result == PST_AUTH_TEMP)
		pst_log_error(NULL, "auth.backend_away", "backend=%s reason=\"%s\"", name,
		              err->text);
	else
		pst_log_warn(NULL, "auth.backend_back", "backend=%s", name);
}

/* ---- The steps ---- */

/* No string of a query holds a NUL octet: a plugin may hand it to a C library. */
static bool
has_nul(const struct wire_auth_request *w)
{
	return pst_str_has_nul(w->sid) || pst_str_has_nul(w->mechanism) ||
	       pst_str_has_nul(w->password) || pst_str_has_nul(w->remote_ip) ||
	       pst_str_has_nul(w->local_ip) || pst_str_has_nul(w->sni) ||
	       pst_str_has_nul(w->listener) || pst_str_has_nul(w->challenge) ||
	       pst_str_has_nul(w->cert_name);
}

static void
make_query(struct request *r)
{
	const struct username *who = r->master.whole.n > 0 ? &r->master : &r->user;

	r->query = (struct pst_auth_query){
		.user = who->whole,
		.local_part = who->local,
		.domain = who->domain,
		.remote_ip = r->wire.remote_ip,
		.local_ip = r->wire.local_ip,
		.sni = r->wire.sni,
		.mechanism = r->wire.mechanism,
		.tls = r->wire.tls,
		.tls_version = r->wire.tls_version,
		.app_prefix = app_prefix(r->wire.password),
	};
}

/* What its making took: no hash, or a slow check (or what stands in for one). */
static void
count(struct request *r)
{
	struct slot_row *row = r->a->env->self;

	if (!r->a->in_haste)
		atomic_fetch_add(&row->hashed, 1);
	else if (r->answer.is_remembered)
		atomic_fetch_add(&row->remembered, 1);
}

void
request_ask(struct request *r, enum proof_kind kind, struct pst_str secret)
{
	const struct chain_watch watch = {
		.asking = on_asking,
		.answered = on_answered,
		.arg = r,
	};
	const struct chain_proof proof = { kind, secret, r->a->in_haste };

	chain_ask(r->chain, &r->query, &proof, r->a->arena, &watch, &r->answer);
}

static void
check_password(struct request *r)
{
	request_ask(r, PROOF_PASSWORD, r->wire.password);
	if (r->answer.verdict == CHAIN_SLOW) {
		forward_send(r);
		return;
	}
	if (r->a->in_haste && note_wants_rehash(r) && forward_try(r))
		return;
	count(r);
	answer_settle(r);
}

/* A name or a password that cannot be anybody's: as slow as a wrong one. */
static void
refuse_impossible(struct request *r)
{
	if (chain_burn(r->chain, r->wire.password, r->a->in_haste)) {
		count(r);
		answer_refuse(r, PST_E_AUTH, "");
	} else {
		forward_send(r);
	}
}

/* The policies are asked once, by the worker that takes it first. */
static bool
passes_policies(struct request *r)
{
	struct pst_decision decision;
	enum pst_verdict verdict;

	if (r->wire.is_forwarded)
		return true;
	verdict = hooks_before(r->a->hooks, &r->query, &decision);
	r->policy_delay_ms = decision.delay_ms;
	if (verdict == PST_REFUSE)
		answer_refuse(r, decision.kind,
		              pst_arena_copy(r->a->arena, pst_str_c(decision.text)));
	return verdict != PST_REFUSE;
}

/* Only auth workers can write to the hash queue: that it is forwarded is believed there, and nowhere
 * else. */
static void
take_forwarded(struct request *r)
{
	const uint64_t started = r->wire.started_ms;

	if (r->a->in_haste)
		r->wire.is_forwarded = false;
	r->started_ms = r->taken_ms;
	if (!r->wire.is_forwarded)
		return;
	if (started > 0 && started < (uint64_t)r->taken_ms)
		r->started_ms = (int64_t)started;
	r->policy_delay_ms = r->wire.policy_delay_ms;
}

static void
start_log(struct request *r)
{
	r->log.sid = pst_arena_copy(r->a->arena, r->wire.sid);
	r->log.peer = pst_arena_copy(r->a->arena, r->wire.remote_ip);
	r->log.user = r->user.whole;
}

static bool
decode(struct request *r)
{
	struct pst_err err;

	if (wire_auth_request_decode(r->message, &r->head, &r->wire, &err) != 0) {
		pst_log_error(NULL, "auth.message", "reason=\"%s\"", err.text);
		return false;
	}
	if (r->wire.login_slot >= r->a->env->login_count) {
		pst_log_error(NULL, "auth.message", "reason=\"no login slot %u\"",
		              r->wire.login_slot);
		return false;
	}
	r->mechanism = mechanism_find(r->wire.mechanism);
	take_forwarded(r);
	return true;
}

/* login offers only what is on; whoever says something else is no login worker of ours. */
static bool
is_on(const struct request *r)
{
	return r->mechanism != MECH_COUNT && (r->a->mechanisms & MECH_BIT(r->mechanism)) != 0;
}

/* Whose mail, and who wants it. A master's name is taken as it stands: no domain is added. False where
 * one of them cannot be. */
static bool
fold_names(struct request *r)
{
	struct pst_str owner, master;
	struct domain_choice domain;
	struct pst_err err;
	enum master_way way;

	if (is_on(r))
		method_name(r);
	way = master_names(r, &owner, &master);
	r->chain = way == MASTER_FOR_OWNER ? r->a->masters : r->a->chain;
	domain_choose(r->a->env->settings, r->wire.listener, r->wire.sni, &domain);
	if (way == MASTER_FORBIDDEN || username_fold(owner, domain.name, &r->user, &err) != 0)
		return false;
	return way == MASTER_NONE || username_fold(master, "", &r->master, &err) == 0;
}

static void
forget_names(struct request *r)
{
	r->user.whole = r->user.local = r->user.domain = PST_LIT("");
	r->master.whole = PST_LIT("");
}

bool
request_open(struct request *r, struct authn *a, struct pst_str data, uint64_t request)
{
	*r = (struct request){
		.a = a,
		.message = data,
		.taken_ms = pst_now_ms(),
		.changes_at = changes_now(a->env->changes),
	};
	if (!decode(r))
		return false;
	if (request != 0)
		r->head.request = request;
	r->is_user = fold_names(r);
	if (!r->is_user)
		forget_names(r);
	show_busy(r);
	start_log(r);
	make_query(r);
	return true;
}

static bool
is_by_password(const struct request *r)
{
	return r->mechanism == MECH_COUNT || mechanisms[r->mechanism].proof == MECH_BY_PASSWORD;
}

static void
answer(struct request *r)
{
	if (forward_is_late(r))
		return;
	if (!is_on(r) || has_nul(&r->wire)) {
		refuse_impossible(r);
	} else if (!is_by_password(r)) {
		if (method_is_possible(r) && passes_policies(r))
			method_judge(r);
	} else if (r->is_user && r->wire.password.n > 0) {
		if (passes_policies(r))
			check_password(r);
	} else {
		refuse_impossible(r);
	}
}

/* Nobody waits for these. */
static void
tell_clerk(struct request *r)
{
	if (!r->reply.ok)
		return;
	note_login(r);
	note_rehash(r);
}

void
request_close(struct request *r)
{
	struct authn *a = r->a;

	if (!r->reply.ok && is_on(r) && !is_by_password(r))
		r->reply.user = r->user.whole; /* it stood in the response: login does not know */
	if (!r->is_forwarded)
		answer_send(r);
	show_idle(a->env);
	tell_clerk(r);
	pst_arena_reset(a->arena);
	pst_wipe(a->ticket, sizeof(a->ticket));
}

void
authn_serve(struct authn *a, struct pst_str data)
{
	struct request r;

	if (!request_open(&r, a, data, 0))
		return;
	answer(&r);
	request_close(&r);
}
