/* SPDX-License-Identifier: MIT */
/* What follows a backend's answer, and what all answers come to; see question.h. */
#include "credentials/question.h"

unsigned
rules_checks(const struct chain *c)
{
	unsigned checks = 0;
	size_t idx;

	/* From behind: a backend that does not know the user costs nothing, one that finds the
	 * password wrong costs a check and ends it, or goes on. */
	for (idx = c->n; idx > 0; idx--) {
		const struct backend *b = &c->v[idx - 1];

		if (b->auth->lookup == NULL)
			continue;
		if (b->rules.on_wrong == BACKEND_NEXT || checks == 0)
			checks++;
	}
	return checks;
}

bool
rules_go_on(struct question *q, size_t idx)
{
	const struct backend_rules *rules = &q->chain->v[idx].rules;
	struct way_state *state = &q->state;

	if (state->is_settled)
		return false;
	if (q->out->verdict == CHAIN_UNKNOWN)
		return true;
	if (q->out->verdict == CHAIN_WRONG && rules->on_wrong == BACKEND_NEXT) {
		if (state->wrong == 0)
			state->wrong = idx + 1;
		return true;
	}
	/* PST_E_PERM is for an admin to mend: it is not passed by. */
	if (q->out->verdict == CHAIN_ERROR && q->out->err.kind == PST_E_TEMP &&
	    rules->on_temp == BACKEND_NEXT) {
		if (state->temp == 0) {
			state->temp = idx + 1;
			state->temp_err = q->out->err;
		}
		return true;
	}
	return false;
}

/* Whether the verdict is one that the client could not tell from an unknown user's. */
static bool
is_no(const struct chain_answer *a)
{
	return a->verdict == CHAIN_UNKNOWN || a->verdict == CHAIN_WRONG ||
	       (a->verdict == CHAIN_DISABLED && !a->password_right);
}

void
rules_conclude(struct question *q)
{
	const struct way_state *state = &q->state;
	struct chain_answer *a = q->out;

	a->wrong_at = state->wrong;
	if (state->temp > 0 && is_no(a)) {
		/* It might have said yes. That is so for everybody whom it was asked for, so that
		 * nobody learns from it who is known to the others. */
		a->verdict = CHAIN_ERROR;
		a->backend = state->temp - 1;
		a->err = state->temp_err;
	} else if (a->verdict == CHAIN_UNKNOWN && state->wrong > 0) {
		a->verdict = CHAIN_WRONG;
		a->backend = state->wrong - 1;
	}
}
