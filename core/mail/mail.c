/* SPDX-License-Identifier: MIT */
/* What the sessions of one process share; see mail.h. */
#include "mail/mail.h"

#include "base/mem.h"
#include "mail/lease.h"
#include "mail/news.h"
#include "mail/session.h"
#include "mail/takeover.h"

void
mail_init(struct mail *m, uv_loop_t *loop, const struct mail_limits *limits)
{
	struct pst_err err;

	*m = (struct mail){ .loop = loop, .limits = *limits, .notes = -1, .wake_fd = -1 };
	m->idle.span_ms = limits->idle_ms;
	m->linger.span_ms = limits->linger_ms;
	mail_takeover_init(m);
	m->in = pst_alloc(MAIL_READ_MAX);
	m->file = pst_alloc(MAIL_CHUNK_MAX);
	pst_buf_init(&m->out, MAIL_OUT_MAX);
	(void)pst_buf_reserve(&m->out, MAIL_OUT_MAX, &err);
}

void
mail_clear(struct mail *m)
{
	pst_assert(m->sessions == NULL);
	mail_takeover_clear(m);
	free(m->in);
	free(m->file);
	pst_buf_clear(&m->out);
}

static void
end_overdue(struct mail_list *l, int64_t now_ms)
{
	while (l->first != NULL && l->first->deadline_ms <= now_ms)
		mail_session_time_out(l->first); /* takes it off the list */
}

void
mail_tick(struct mail *m, int64_t now_ms)
{
	end_overdue(&m->idle, now_ms);
	end_overdue(&m->linger, now_ms);
	mail_news_tick(m, now_ms);
	mail_lease_tick(m);
}

void
mail_stop(struct mail *m)
{
	const struct pst_err why = { .kind = PST_E_TEMP };
	struct mail_session *s, *next;

	m->is_stopping = true;
	for (s = m->sessions; s != NULL; s = next) {
		next = s->next;
		mail_session_end(s, "stop", &why, "server is going down");
	}
}

bool
mail_end_row(struct mail *m, uint32_t row)
{
	const struct pst_err why = { .kind = PST_E_TEMP };
	struct mail_session *s;

	for (s = m->sessions; s != NULL; s = s->next) {
		if (s->row != row || s->row == MAIL_NO_ROW)
			continue;
		mail_session_end(s, "order", &why, "session ended by the administrator");
		return true;
	}
	return false;
}
