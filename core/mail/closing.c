/* SPDX-License-Identifier: MIT */
/* What the end of a session does to its maildrop; see closing.h. update.c does it, in the pool. */
#include "mail/closing.h"

#include <time.h>

#include <postern/auth.h>

#include "base/mem.h"
#include "config/settings.h"
#include "ipc/history.h"
#include "ipc/ticket.h"

#define NOTE_MAX ((size_t)64 * 1024) /* of one session; UIDLs that it has no room for are counted */
#define NOTE_SHARE 8                 /* and never more than this part of all */

static char *
copy_if_any(struct pst_str s)
{
	return s.n == 0 ? NULL : pst_str_dup(s);
}

void
mail_closing_init(struct mail_session *s, const struct ticket *t)
{
	const struct mail_keeping *keeping = &s->mail->keeping;
	struct maildrop_closing *c = &s->drop.closing;

	pst_buf_init(&c->note, NOTE_MAX);
	s->drop.session = pst_str_c(s->log.sid);
	if (!s->is_read_only) {
		c->marks_seen = keeping->mark_seen;
		c->hold_days = keeping->hold_days;
		if (t != NULL && t->hold_days > 0)
			c->hold_days = t->hold_days == PST_AUTH_NO_DAYS ? 0 : t->hold_days;
	}
	if (keeping->history == HISTORY_OFF)
		return;
	c->note_octets = keeping->history_octets;
	if (c->note_octets / NOTE_SHARE < NOTE_MAX)
		c->note.max = (size_t)(c->note_octets / NOTE_SHARE);
	s->began_s = time(NULL);
	if (t != NULL) {
		s->app = copy_if_any(t->app);
		s->master = copy_if_any(t->master);
	}
}

static bool
is_to_be_told(const struct mail_session *s, bool commit)
{
	switch (s->mail->keeping.history) {
	case HISTORY_CHANGES:
		return s->retrieved > 0 || (commit && s->drop.marked > 0);
	case HISTORY_ALL:
		return true;
	default:
		return false;
	}
}

void
mail_closing_prepare(struct mail_session *s, bool commit)
{
	const struct history h = {
		.at_s = s->began_s,
		.took_ms = (int64_t)uv_now(s->mail->loop) - s->started_ms,
		.sid = s->drop.session,
		.ip = pst_str_c(s->peer),
		.mechanism = pst_str_c(s->mechanism),
		.app = pst_str_c(s->app),
		.master = pst_str_c(s->master),
		.reason = pst_str_c(s->reason == NULL && commit ? "quit" : s->reason),
		.is_tls = s->is_tls,
		.retrieved = s->retrieved,
		.tops = s->tops,
		.octets = s->octets_out,
	};
	struct pst_err err;

	if (!is_to_be_told(s, commit) || s->drop.storage->note == NULL)
		return;
	if (history_begin(&s->drop.closing.note, &h, &err) != 0)
		pst_buf_reset(&s->drop.closing.note);
}

void
mail_closing_tell(const struct mail_session *s, const struct maildrop_job *job)
{
	/* Where nothing may be written, it is known that there is no history. */
	const bool is_known = job->aside != NULL && strcmp(job->aside, "history") == 0 &&
	                      job->aside_err.kind == PST_E_PERM;

	if (job->aside != NULL)
		pst_log_write(is_known ? PST_LOG_DEBUG : PST_LOG_WARN, &s->log,
		              "maildrop.aside_failed", "what=%s reason=\"%s\"", job->aside,
		              job->aside_err.text);
}
