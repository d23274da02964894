/* SPDX-License-Identifier: MIT */
/* The account's contract; see contract.h. */
#include "mail/contract.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/usage.h"
#include "mail/lease.h"
#include "pop3/reply.h"

void
mail_contract_take(struct mail_session *s, const struct ticket *t)
{
	s->has_ticket = true;
	s->backend = t->backend;
	s->wants_notes = t->wants_notes;
	if (t->wants_notes || s->mail->keeping.history != HISTORY_OFF)
		s->mechanism = pst_str_dup(t->mechanism);
	if (t->max_listed > 0 && (s->drop.max_listed == 0 || t->max_listed < s->drop.max_listed))
		s->drop.max_listed = t->max_listed;
	s->max_sessions = t->max_sessions;
	s->min_poll_ms = t->min_poll_ms;
	mail_lease_take(s, t);
	if (s->mail->usage != NULL && (t->max_sessions > 0 || t->min_poll_ms > 0))
		s->usage_user = usage_user(s->mail->usage, t->user);
}

static void
refuse(struct mail_session *s, const char *code, const char *text)
{
	struct pst_err err;

	(void)pop3_reply_code(&s->mail->out, code, text, &err);
	mail_session_finish(s, "refused");
}

/* The time between two logins is looked at first: a login that is too early takes nobody's place. */
static bool
is_too_early(struct mail_session *s)
{
	int64_t wait_ms;

	if (s->min_poll_ms <= 0)
		return false;
	wait_ms = usage_wait_ms(s->mail->usage, s->usage_user, s->min_poll_ms, pst_now_ms());
	if (wait_ms == 0)
		return false;
	pst_log_info(&s->log, "session.refused", "reason=login-delay wait_ms=%" PRId64, wait_ms);
	refuse(s, "LOGIN-DELAY", "the last login was too short a while ago");
	return true;
}

int
mail_contract_enter(struct mail_session *s, struct pst_err *err)
{
	struct mail *m = s->mail;

	if (s->usage_user == 0 || s->max_sessions == 0)
		return 0;
	switch (usage_enter(m->usage, s->usage_user, m->usage_owner, s->max_sessions,
	                    &s->usage_place)) {
	case USAGE_IN:
		return 0;
	case USAGE_MANY:
		return pst_err_set(err, PST_E_IN_USE,
		                   "this user has as many sessions as are allowed");
	case USAGE_FULL:
		break;
	}
	return pst_err_set(err, PST_E_TEMP, "too many sessions, try again later");
}

void
mail_contract_refuse(struct mail_session *s, const struct pst_err *why)
{
	if (why->kind == PST_E_IN_USE)
		pst_log_info(&s->log, "session.refused", "reason=max-sessions max=%" PRIu32,
		             s->max_sessions);
	else
		pst_log_error(&s->log, "session.refused",
		              "reason=\"more than %d sessions of users with a limit\"",
		              USAGE_SESSIONS);
	mail_session_refuse(s, why, why->text);
	mail_session_finish(s, "refused");
}

bool
mail_contract_may_open(struct mail_session *s)
{
	return s->usage_user == 0 || !is_too_early(s);
}

void
mail_contract_opened(struct mail_session *s)
{
	if (s->usage_user != 0 && s->min_poll_ms > 0)
		usage_logged_in(s->mail->usage, s->usage_user, pst_now_ms());
}

void
mail_contract_leave(struct mail_session *s)
{
	if (s->usage_place == USAGE_NOWHERE)
		return;
	usage_leave(s->mail->usage, s->usage_place);
	s->usage_place = USAGE_NOWHERE;
}

uint32_t
mail_contract_login_delay_s(const struct mail_session *s)
{
	const int64_t s_up = s->min_poll_ms <= 0 ? 0 : (s->min_poll_ms - 1) / 1000 + 1;

	return s_up > UINT32_MAX ? UINT32_MAX : (uint32_t)s_up;
}
