/* SPDX-License-Identifier: MIT */
/* The reply to a request; see answer.h. Only what an operator must act on is logged here: login writes
 * the line of each attempt. */
#include "authn/answer.h"

#include <poll.h>

#include "authn/leases.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credentials/contract.h"
#include "ipc/channel.h"

#define FULL_INBOX_MS 100 /* how long a login worker may take to make room */

/* So the time says neither which scheme a user's password is stored in nor whether there is such a
 * user. login waits, not this worker. */
void
answer_refuse(struct request *r, enum pst_err_kind kind, const char *text)
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

/* What the owner's contract and statistics are about is the owner, and not who looks after the mail. */
static void
make_masters(const struct request *r, struct ticket *t)
{
	t->master = r->master.whole;
	t->read_only = t->read_only || r->is_read_only;
	t->wants_notes = false;
	t->max_sessions = 0;
	t->min_poll_ms = 0;
}

static void
welcome(struct request *r)
{
	const struct chain_answer *answer = &r->answer;
	const struct pst_auth_record *record = &answer->record;
	struct ticket ticket = {
		.uid = answer->record.uid,
		.gid = answer->record.gid,
		.sid = r->wire.sid,
		.user = answer->user.whole,
		.location = answer->location,
		.mechanism = r->wire.mechanism,
		.backend = (uint32_t)answer->backend,
		.wants_notes = chain_auth(r->chain, answer->backend)->notes != NULL,
		.changes_at = r->changes_at,
		.max_sessions = record->max_sessions,
		.max_listed = record->max_listed,
		.min_poll_ms = record->min_poll_ms,
		.read_only = record->read_only,
		.expire_days = record->expire_days,
		.hold_days = record->hold_days,
	};
	struct pst_err err;
	size_t n;

	if (answer->is_app) {
		ticket.app = record->app_label;
		if (ticket.app.n > WIRE_TEXT)
			ticket.app.n = WIRE_TEXT;
	}
	if (leases_take(r, &ticket.leased_ms, &err) != 0) {
		answer_refuse(r, err.kind, "");
		return;
	}
	if (r->master.whole.n > 0)
		make_masters(r, &ticket);
	n = ticket_seal(r->a->tickets, &ticket, r->a->ticket);
	if (n == 0) {
		pst_log_error(&r->log, "auth.broken", "reason=\"the ticket would be too long\"");
		answer_refuse(r, PST_E_PERM, "");
		return;
	}
	r->reply = (struct wire_auth_reply){
		.ok = true,
		.delay_ms = (uint32_t)r->policy_delay_ms,
		.user = { pst_arena_copy(r->a->arena, answer->user.whole), answer->user.whole.n },
		.ticket = { (const char *)r->a->ticket, n },
		.master = r->master.whole,
	};
}

static void
log_error(const struct request *r)
{
	const struct chain_answer *answer = &r->answer;
	const struct chain *c = r->chain;
	bool decided = answer->backend < chain_count(c);

	if (answer->err.kind == PST_E_TEMP && decided && r->is_away)
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

/* Nobody's guess was right or wrong. */
static void
refuse_error(struct request *r)
{
	answer_refuse(r, r->answer.err.kind, "");
}

/* ---- The record's terms ---- */

static void
log_term(const struct request *r, const char *term, const struct contract_verdict *v)
{
	const char *backend = chain_name(r->chain, r->answer.backend);

	if (v->is_broken)
		pst_log_error(&r->log, "auth.broken", "backend=%s %s", backend, v->why);
	else
		pst_log_info(&r->log, "auth.refused", "rule=%s backend=%s %s", term, backend,
		             v->why);
}

/* Whoever is kept out by the networks has shown the right password all the same: so everything that
 * follows, the policies too, is as for a wrong one. False where the answer is given. */
static bool
keeps_contract(struct request *r)
{
	struct chain_answer *answer = &r->answer;
	const struct contract_term *term = NULL;
	struct contract_verdict v;

	if (answer->verdict == CHAIN_OK || answer->password_right)
		term = contract_judge(&answer->record, &r->query, &v);
	if (term == NULL || (v.kind != PST_E_AUTH && answer->verdict != CHAIN_OK))
		return true;
	log_term(r, term->name, &v);
	if (v.kind == PST_E_AUTH) {
		answer->verdict = CHAIN_WRONG;
		answer->password_right = false;
		return true;
	}
	answer_refuse(r, v.kind, v.text);
	return false;
}

/* ---- All of it ---- */

static void
log_answer(const struct request *r)
{
	const struct chain_answer *answer = &r->answer;

	if (answer->verdict == CHAIN_ERROR)
		log_error(r);
	if (answer->verdict == CHAIN_DISABLED)
		pst_log_info(&r->log, "auth.disabled", "backend=%s password=%s reason=\"%.*s\"",
		             chain_name(r->chain, answer->backend),
		             answer->password_right ? "right" : "wrong",
		             PST_ARG(answer->record.reason));
	if (answer->verdict == CHAIN_OK && answer->wrong_at > 0)
		pst_log_info(&r->log, "auth.passed_on", "wrong=%s right=%s",
		             chain_name(r->chain, answer->wrong_at - 1),
		             chain_name(r->chain, answer->backend));
}

static void
finish(struct request *r)
{
	if (r->answer.verdict == CHAIN_OK)
		welcome(r);
	else if (r->answer.verdict == CHAIN_ERROR)
		refuse_error(r);
	else
		answer_refuse(r, refusal_of(&r->answer), "");
}

/* The master knows a right password: what is wrong with the owner may be told. */
static void
go_on_as_owner(struct request *r)
{
	r->is_read_only = master_reads_only(r);
	master_find_owner(r);
	log_answer(r);
	if (r->answer.verdict == CHAIN_UNKNOWN)
		pst_log_info(&r->log, "auth.refused",
		             "rule=owner master=\"%.*s\" reason=\"no such user\"",
		             PST_ARG(r->master.whole));
	if (keeps_contract(r))
		finish(r);
}

void
answer_proven(struct request *r, bool is_right)
{
	struct chain_answer *answer = &r->answer;

	if (answer->verdict != CHAIN_OK && answer->verdict != CHAIN_DISABLED)
		return;
	answer->password_right = is_right;
	if (answer->verdict == CHAIN_OK && !is_right)
		answer->verdict = CHAIN_WRONG;
}

void
answer_settle(struct request *r)
{
	struct pst_decision decision;
	enum pst_verdict verdict;

	log_answer(r);
	if (!keeps_contract(r))
		return;
	if (r->answer.verdict == CHAIN_ERROR) {
		refuse_error(r);
		return;
	}
	verdict = hooks_after(r->a->hooks, &r->query, r->answer.verdict == CHAIN_OK,
	                      &r->answer.record, &decision);
	if (decision.delay_ms > r->policy_delay_ms)
		r->policy_delay_ms = decision.delay_ms;
	if (verdict == PST_REFUSE)
		answer_refuse(r, decision.kind,
		              pst_arena_copy(r->a->arena, pst_str_c(decision.text)));
	else if (r->answer.verdict == CHAIN_OK && r->master.whole.n > 0)
		go_on_as_owner(r);
	else
		finish(r);
}

void
answer_send(struct request *r)
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
