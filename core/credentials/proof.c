/* SPDX-License-Identifier: MIT */
/* A password against what is stored; see question.h. What takes long is done once: that it was right is
 * remembered, and whoever asks in haste does without. */
#include "base/log.h"
#include "credentials/question.h"
#include "credentials/verified.h"

static bool
is_slow(const struct chain *c, struct pst_str credential)
{
	return scheme_is_slow(credential, c->settings->auth.default_scheme);
}

bool
proof_default_is_slow(const struct chain *c)
{
	return is_slow(c, PST_LIT(""));
}

bool
proof_burn(const struct chain *c, struct pst_str password, unsigned checks, bool in_haste)
{
	if (checks > 0 && in_haste && proof_default_is_slow(c))
		return false;
	for (; checks > 0; checks--)
		scheme_burn(c->settings->auth.default_scheme, password, &c->cost);
	return true;
}

/* The name is the one that was asked for: two users may well have the same hash stored. */
static bool
is_remembered(const struct question *q, struct pst_str credential)
{
	const struct chain *c = q->chain;

	return credential.n > 0 && is_slow(c, credential) &&
	       verified_is(c->verified, q->query->user, credential, q->proof->secret,
	                   c->verified_age_ms);
}

/* Once for a user in the life of a worker. */
static void
complain_of_weak(struct question *q, struct pst_str credential)
{
	const struct pst_log log = { .user = q->query->user };
	const char *name = scheme_weak_name(credential, q->chain->settings->auth.default_scheme);

	if (name != NULL && complaint_is_new(&q->chain->weak, q->query->user))
		pst_log_warn(&log, "auth.weak_scheme", "scheme=%s", name);
}

static enum check_state
check_one(struct question *q, struct pst_str credential, struct pst_err *err)
{
	const struct chain *c = q->chain;
	const bool slow = is_slow(c, credential);
	enum scheme_match match;

	if (slow && q->proof->in_haste)
		return CHECK_SLOW;
	match = scheme_verify_user(credential, q->query->user, q->proof->secret,
	                           c->settings->auth.default_scheme, &c->cost, err);
	if (match != SCHEME_ERROR)
		complain_of_weak(q, credential);
	/* A wrong password takes the time of a new one's check, however it is stored: else the time
	 * would tell who is not there, and who has an old hash. */
	if (match != SCHEME_ERROR && (slow || !proof_default_is_slow(c)))
		q->spent = true;
	if (match == SCHEME_MATCH && slow)
		verified_add(c->verified, q->query->user, credential, q->proof->secret);
	switch (match) {
	case SCHEME_MATCH:
		return CHECK_RIGHT;
	case SCHEME_DIFFERS:
		return CHECK_WRONG;
	case SCHEME_ERROR:
		break;
	}
	return CHECK_BROKEN;
}

static enum check_state
was_right(struct question *q, bool is_app, bool is_known)
{
	q->out->password_right = true;
	q->out->is_app = is_app;
	q->out->is_remembered = is_known;
	return CHECK_RIGHT;
}

static enum check_state
check_both(struct question *q, struct pst_err *err)
{
	const struct pst_str app = q->out->record.app_credential;
	const struct pst_str own = q->out->record.credential;
	enum check_state state = CHECK_WRONG;

	if (is_remembered(q, app) || is_remembered(q, own))
		return was_right(q, is_remembered(q, app), true);
	if (app.n > 0)
		state = check_one(q, app, err);
	if (state == CHECK_RIGHT)
		return was_right(q, true, false);
	if (own.n > 0 && state == CHECK_WRONG)
		state = check_one(q, own, err);
	if (state != CHECK_RIGHT)
		return state;
	if (scheme_is_outdated(own, q->chain->settings->auth.default_scheme, &q->chain->cost))
		q->out->outdated = own;
	return was_right(q, false, false);
}

enum check_state
proof_check(struct question *q, struct pst_err *err)
{
	const enum check_state state = check_both(q, err);

	/* Where it may be used from counts for the app password alone. */
	if (!q->out->is_app)
		q->out->record.app_nets = PST_LIT("");
	return state;
}
