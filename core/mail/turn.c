/* SPDX-License-Identifier: MIT */
/* A turn: input is cut into lines, commands answer one after the other, and replies that are not
 * through yet go on, until there is nothing more to do, the socket takes no more, the pool must be
 * asked, or other sessions have their turn; see session.h. */
#include "mail/session.h"

#include "base/mem.h"
#include "ipc/shm.h"
#include "mail/news.h"

static void
refuse_long_line(struct mail_session *s)
{
	struct pst_err err;

	pst_err_set(&err, PST_E_CLIENT, "line too long");
	mail_command_bad(s, &err);
	s->is_skipping = true;
}

/* Throws away what belongs to a line that was too long. */
static bool
skip_line(struct mail_session *s)
{
	const char *lf = s->view.n == 0 ? NULL : memchr(s->view.p, '\n', s->view.n);
	size_t n = lf == NULL ? s->view.n : (size_t)(lf - s->view.p) + 1;

	s->view = (struct pst_str){ s->view.p + n, s->view.n - n };
	s->is_skipping = lf == NULL;
	return lf != NULL;
}

/* false: the input holds no further line. */
static bool
next_command(struct mail_session *s)
{
	struct pst_str line;
	enum pop3_line kind;

	if (s->is_skipping && !skip_line(s))
		return false;
	kind = pop3_line_next(&s->view, POP3_LINE_MAX, &line);
	if (kind == POP3_LINE_MORE)
		return false;
	mail_news_look(s->mail);
	/* Its reply, when it goes out, gives the client its time again. */
	if (s->is_doomed)
		mail_news_goodbye(s);
	else if (kind == POP3_LINE_READY)
		mail_command(s, line);
	else
		refuse_long_line(s);
	return true;
}

static bool
work_once(struct mail_session *s)
{
	if (s->send.is_active)
		mail_send_step(s);
	else if (s->listing.is_active)
		mail_listing_step(s);
	else
		return next_command(s);
	return true;
}

static bool
can_work(const struct mail_session *s)
{
	return s->phase == MAIL_SERVING && s->job == NULL && !s->is_blocked && !s->is_lost;
}

/* The input of this turn: what was left over, and what has just come. */
static void
take_input(struct mail_session *s, struct pst_str fresh)
{
	struct pst_err err;
	int rc;

	s->view = fresh;
	if (s->in.len == 0)
		return;
	rc = pst_buf_add(&s->in, fresh, &err);
	pst_assert(rc == 0); /* nothing is read while whole lines are left over */
	s->view = pst_buf_view(&s->in);
}

/* Keeps what of the input is not used up. */
static void
leave_input(struct mail_session *s)
{
	struct pst_err err;
	int rc = 0;

	if (s->in.len > 0)
		pst_buf_take(&s->in, s->in.len - s->view.n);
	else if (s->view.n > 0)
		rc = pst_buf_add(&s->in, s->view, &err);
	pst_assert(rc == 0);
	s->view = (struct pst_str){ "", 0 };
}

void
mail_turn_begin(struct mail_session *s)
{
	struct mail *m = s->mail;

	pst_assert(m->out.len == 0);
	m->spent = 0;
	m->out.language = s->language;
	if (m->self != NULL)
		slot_doing(m->self, pst_str_c(s->doing));
}

/* A QUIT that removes nothing is answered in the same packet as what came before it: see settle. */
static bool
answers_with_quit(const struct mail_session *s)
{
	return s->phase == MAIL_QUITTING && s->drop.marked == 0 && s->job == NULL &&
	       !s->is_blocked && !s->is_lost;
}

void
mail_turn_run(struct mail_session *s, struct pst_str fresh)
{
	struct mail *m = s->mail;
	bool is_dry = false;

	s->has_yielded = false;
	take_input(s, fresh);
	while (can_work(s) && !is_dry && !s->has_yielded) {
		is_dry = !work_once(s);
		if (m->out.len >= MAIL_HIGH_WATER)
			mail_session_flush(s);
		s->has_yielded = m->spent + m->out.len > MAIL_TURN_MAX;
	}
	s->has_yielded = s->has_yielded && !is_dry && can_work(s);
	s->has_backlog = !is_dry && s->view.n > 0;
	leave_input(s);
	if (is_dry && s->is_eof)
		mail_session_finish(s, "closed");
	if (!answers_with_quit(s))
		mail_session_flush(s);
}
