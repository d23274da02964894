/* SPDX-License-Identifier: MIT */
/* One question's way through the chain; see question.h. */
#include "credentials/question.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"

static void
fail(struct chain_answer *out, struct pst_err *err)
{
	out->verdict = CHAIN_ERROR;
	if (err->kind != PST_E_PERM)
		err->kind = PST_E_TEMP;
	err->text[sizeof(err->text) - 1] = '\0';
	out->err = *err;
}

static void
take_credentials_out(struct chain_answer *out)
{
	out->record.credential = out->record.app_credential = PST_LIT("");
}

static void
settle(struct question *q)
{
	struct pst_err err;

	if (record_settle(q, &err) != 0)
		fail(q->out, &err);
	else
		q->out->verdict = CHAIN_OK;
}

/* ---- What a backend answered ---- */

static void
check_found(struct question *q, const struct backend *b)
{
	struct chain_answer *out = q->out;
	struct pst_err err;

	if (out->record.credential.n == 0 && out->record.app_credential.n == 0) {
		pst_err_set(&err, PST_E_PERM, "plugin %s gave a user without a credential",
		            b->name);
		fail(out, &err);
		return;
	}
	switch (proof_check(q, &err)) {
	case CHECK_RIGHT:
		settle(q);
		break;
	case CHECK_WRONG:
		out->verdict = CHAIN_WRONG;
		break;
	case CHECK_BROKEN:
		fail(out, &err);
		break;
	case CHECK_SLOW:
		out->verdict = CHAIN_SLOW;
		break;
	}
}

/* Known, and may not log in. The password is looked at all the same, so that the log can tell a
 * user who should be told from somebody who guesses; a broken credential is no matter here. */
static void
check_disabled(struct question *q)
{
	struct pst_err err;

	q->out->verdict = CHAIN_DISABLED;
	if (q->proof->kind == PROOF_PASSWORD && proof_check(q, &err) == CHECK_SLOW)
		q->out->verdict = CHAIN_SLOW;
}

static void
take_found(struct question *q, const struct backend *b)
{
	if (q->proof->kind == PROOF_PASSWORD)
		check_found(q, b);
	else
		settle(q);
	if (q->proof->kind != PROOF_KEEP)
		take_credentials_out(q->out);
}

static void
take_disabled(struct question *q)
{
	check_disabled(q);
	if (q->proof->kind != PROOF_KEEP)
		take_credentials_out(q->out);
}

/* verify or token knows the user, and alone knows whether the credentials were right. */
static void
take_refused(struct question *q)
{
	take_credentials_out(q->out);
	q->out->verdict = CHAIN_DISABLED;
	q->out->password_right = q->out->record.password_right;
}

/* verify has checked the password itself. */
static void
take_verified(struct question *q)
{
	take_credentials_out(q->out);
	q->out->password_right = true;
	settle(q);
}

/* The token's user, folded, in the arena; NULL with err where it cannot be one. */
static struct username *
token_user(struct question *q, const struct backend *b, struct pst_err *err)
{
	struct username *user = pst_arena_alloc(q->arena, sizeof(*user));

	if (username_fold(q->out->record.user, q->chain->settings->auth.default_domain, user,
	                  err) == 0)
		return user;
	pst_err_set(err, PST_E_PERM, "plugin %s gave a token's user that cannot be: %.*s", b->name,
	            PST_ARG(q->out->record.user));
	return NULL;
}

static bool
has_other_lookup(const struct chain *c, size_t idx)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (i != idx && c->v[i].auth->lookup != NULL)
			return true;
	return false;
}

static void ask_all(struct question *q);

/* A token is good, and says whose it is: not what it is good for. */
static void
take_token(struct question *q, const struct backend *b)
{
	const size_t idx = q->out->backend;
	struct pst_auth_query query = *q->query;
	struct chain_proof proof = *q->proof;
	struct question again = *q;
	struct username *user;
	struct pst_err err;

	take_credentials_out(q->out);
	user = token_user(q, b, &err);
	if (user == NULL) {
		fail(q->out, &err);
		return;
	}
	if (query.user.n > 0 && !pst_str_eq(query.user, user->whole)) {
		q->out->verdict = CHAIN_WRONG;
		return;
	}
	q->out->password_right = true;
	if (!has_other_lookup(q->chain, idx)) {
		settle(q);
		return;
	}
	query.user = user->whole;
	query.local_part = user->local;
	query.domain = user->domain;
	proof.kind = PROOF_NONE;
	again.query = &query;
	again.proof = &proof;
	again.token_from = idx + 1;
	ask_all(&again);
	q->state = again.state;
	q->state.is_settled = q->out->verdict != CHAIN_UNKNOWN;
}

#define ALIASES_MAX 4 /* one after the other */

/* The name only stands for another: whatever the backends say of that one is the answer, but where
 * none of them knows it. */
static void
follow_alias(struct question *q, const struct backend *b)
{
	struct username *user = pst_arena_alloc(q->arena, sizeof(*user));
	struct pst_auth_query query = *q->query;
	struct question again = *q;
	struct pst_err err;

	take_credentials_out(q->out);
	if (q->aliases == ALIASES_MAX ||
	    username_fold(q->out->record.alias, q->chain->settings->auth.default_domain, user,
	                  &err) != 0) {
		pst_err_set(&err, PST_E_PERM,
		            q->aliases == ALIASES_MAX
		                    ? "plugin %s gave an alias of an alias, and so on: %.*s"
		                    : "plugin %s gave an alias that cannot be: %.*s",
		            b->name, PST_ARG(q->out->record.alias));
		fail(q->out, &err);
		return;
	}
	query.user = user->whole;
	query.local_part = user->local;
	query.domain = user->domain;
	again.query = &query;
	again.aliases++;
	if (q->watch != NULL && q->watch->renamed != NULL)
		q->watch->renamed(q->watch->arg, user->whole);
	ask_all(&again);
	q->state = again.state;
	q->state.is_settled = q->out->verdict != CHAIN_UNKNOWN;
}

/* ---- One backend ---- */

enum way { WAY_NONE, WAY_LOOKUP, WAY_VERIFY, WAY_TOKEN };

/* How this question is put to the backend; not at all: it is passed over. */
static enum way
find_way(const struct question *q, size_t idx)
{
	const struct pst_auth *auth = q->chain->v[idx].auth;

	if (q->proof->kind == PROOF_TOKEN)
		return auth->token != NULL ? WAY_TOKEN : WAY_NONE;
	if (idx + 1 == q->token_from)
		return WAY_NONE;
	if (auth->lookup != NULL)
		return WAY_LOOKUP;
	if (auth->verify == NULL || q->token_from > 0 || q->proof->kind == PROOF_KEEP)
		return WAY_NONE;
	return WAY_VERIFY;
}

/* Whoever lists a backend that cannot serve a mechanism that is offered should hear of it, once. */
static void
tell_passed_over(const struct question *q, size_t idx)
{
	struct backend *b = &q->chain->v[idx];

	if (q->proof->kind != PROOF_KEEP || b->auth->verify == NULL || b->was_passed_over)
		return;
	b->was_passed_over = true;
	pst_log_warn(NULL, "auth.backend_passed_over",
	             "backend=%s mechanism=%.*s reason=\"it only checks passwords itself, and this "
	             "mechanism needs a stored one\"",
	             b->name, PST_ARG(q->query->mechanism));
}

static enum pst_auth_result
call_backend(struct question *q, const struct backend *b, enum way way, struct pst_err *err)
{
	void *self = b->plugin != NULL ? plugin_self(b->plugin) : NULL;
	struct pst_auth_record *record = &q->out->record;

	pst_err_set(err, PST_E_TEMP, "plugin %s gave no reason", b->name);
	switch (way) {
	case WAY_LOOKUP:
		return b->auth->lookup(self, q->query, record, err);
	case WAY_TOKEN:
		return b->auth->token(self, q->query, q->proof->secret, record, err);
	case WAY_VERIFY:
		if (q->proof->kind == PROOF_PASSWORD)
			return b->auth->verify(self, q->query, q->proof->secret, record, err);
		break;
	case WAY_NONE:
		break;
	}
	pst_err_set(err, PST_E_TEMP, "plugin %s can only check a password", b->name);
	return PST_AUTH_TEMP;
}

/* A result that is none of its, or a record that cannot be, is PST_AUTH_TEMP with PST_E_PERM: an
 * admin must act. */
static enum pst_auth_result
believe(struct question *q, const struct backend *b, enum way way, enum pst_auth_result result,
        struct pst_err *err)
{
	switch (result) {
	case PST_AUTH_TEMP:
	case PST_AUTH_UNKNOWN:
		return result;
	case PST_AUTH_WRONG:
		if (way == WAY_LOOKUP)
			break;
		return record_check(b, &q->out->record, err) == 0 ? result : PST_AUTH_TEMP;
	case PST_AUTH_OK:
	case PST_AUTH_DISABLED:
		return record_check(b, &q->out->record, err) == 0 ? result : PST_AUTH_TEMP;
	}
	pst_err_set(err, PST_E_PERM, "plugin %s gave the result %d, which is none", b->name,
	            (int)result);
	return PST_AUTH_TEMP;
}

static void
take_ok(struct question *q, const struct backend *b, enum way way)
{
	if (way == WAY_LOOKUP && q->out->record.alias.n > 0)
		follow_alias(q, b);
	else if (way == WAY_LOOKUP)
		take_found(q, b);
	else if (way == WAY_TOKEN)
		take_token(q, b);
	else
		take_verified(q);
}

static void
ask_backend(struct question *q, size_t idx, enum way way)
{
	const struct chain_watch *watch = q->watch;
	const struct backend *b = &q->chain->v[idx];
	enum pst_auth_result result;
	struct pst_err err;

	q->out->record = (struct pst_auth_record){ .arena = q->arena };
	q->out->backend = idx;
	if (watch != NULL && watch->asking != NULL)
		watch->asking(watch->arg, idx);
	result = believe(q, b, way, call_backend(q, b, way, &err), &err);
	if (watch != NULL && watch->answered != NULL)
		watch->answered(watch->arg, idx, result, &err);
	if (watch != NULL && watch->gave != NULL)
		watch->gave(watch->arg, idx, result, &q->out->record);
	q->spent = false;
	switch (result) {
	case PST_AUTH_OK:
		take_ok(q, b, way);
		break;
	case PST_AUTH_UNKNOWN:
		q->out->verdict = CHAIN_UNKNOWN;
		break;
	case PST_AUTH_WRONG:
		q->out->verdict = CHAIN_WRONG;
		/* It has taken its own time, which it takes for a user that it does not know too. */
		if (b->rules.on_wrong == BACKEND_STOP)
			q->state.checks = q->chain->checks;
		break;
	case PST_AUTH_DISABLED:
		if (way == WAY_LOOKUP)
			take_disabled(q);
		else
			take_refused(q);
		break;
	case PST_AUTH_TEMP:
		fail(q->out, &err);
		break;
	}
	if (q->spent)
		q->state.checks++;
}

/* ---- All of them ---- */

static bool
takes_long(const struct question *q, enum way way)
{
	return way == WAY_TOKEN || (way == WAY_VERIFY && q->proof->kind == PROOF_PASSWORD);
}

static void
ask_all(struct question *q)
{
	const struct chain *c = q->chain;
	size_t idx;

	q->out->verdict = CHAIN_UNKNOWN;
	for (idx = 0; idx < c->n; idx++) {
		const enum way way = find_way(q, idx);

		if (way == WAY_NONE) {
			tell_passed_over(q, idx);
			continue;
		}
		if (q->proof->in_haste && takes_long(q, way)) {
			q->out->verdict = CHAIN_SLOW;
			return;
		}
		ask_backend(q, idx, way);
		if (!rules_go_on(q, idx))
			return;
	}
}

/* The checks that another refusal would have taken and this has not. */
static unsigned
owed_checks(const struct question *q)
{
	const struct chain_answer *a = q->out;

	if (q->proof->kind != PROOF_PASSWORD || q->state.checks >= q->chain->checks)
		return 0;
	if (a->verdict == CHAIN_UNKNOWN || a->verdict == CHAIN_WRONG ||
	    (a->verdict == CHAIN_DISABLED && !a->password_right) || q->state.temp > 0)
		return q->chain->checks - q->state.checks;
	return 0;
}

void
chain_ask(struct chain *c, const struct pst_auth_query *query, const struct chain_proof *proof,
          struct pst_arena *arena, const struct chain_watch *watch, struct chain_answer *out)
{
	struct question q = {
		.chain = c,
		.query = query,
		.proof = proof,
		.arena = arena,
		.watch = watch,
		.out = out,
	};

	memset(out, 0, sizeof(*out));
	ask_all(&q);
	if (out->verdict != CHAIN_SLOW)
		rules_conclude(&q);
	if (!proof_burn(c, proof->secret, owed_checks(&q), proof->in_haste))
		out->verdict = CHAIN_SLOW;
	if (out->verdict == CHAIN_UNKNOWN || out->verdict == CHAIN_SLOW) {
		out->record = (struct pst_auth_record){ .arena = arena };
		out->backend = c->n;
	}
}
