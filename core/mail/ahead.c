/* SPDX-License-Identifier: MIT */
/* The next message; see ahead.h. */
#include "mail/ahead.h"

#include "base/mem.h"
#include "pop3/stored.h"

#define MOST 256u /* messages of one process that wait to be asked for: MAIL_CHUNK_MIN each */

void
mail_ahead_want(struct mail_session *s, uint32_t msg)
{
	if (s->mail->limits.prefetch && msg < s->drop.count &&
	    !maildrop_is_marked(&s->drop, msg + 1))
		s->ahead_want = msg + 1;
}

void
mail_ahead_start(struct mail_session *s)
{
	const uint32_t msg = s->ahead_want;

	if (msg == 0 || s->phase != MAIL_SERVING || s->job != NULL || s->is_lost ||
	    s->has_backlog || s->has_yielded || s->send.is_active || s->listing.is_active)
		return;
	s->ahead_want = 0;
	if (s->ahead != NULL || s->mail->ahead_count >= MOST)
		return;
	s->mail->ahead_count++;
	s->is_job_ahead = true;
	s->job = maildrop_fetch(&s->drop, s->mail->loop, msg, MAIL_CHUNK_MIN, mail_session_on_job,
	                        s);
}

static void
throw_away(struct mail_session *s, struct maildrop_job *job)
{
	if (job->rc == 0)
		pop3_stored_release(&job->body);
	maildrop_job_free(job);
	s->mail->ahead_count--;
}

/* A message that cannot be had is none of the client's business before it asks for it. */
void
mail_ahead_done(struct mail_session *s, struct maildrop_job *job)
{
	s->is_job_ahead = false;
	if (s->phase != MAIL_SERVING || job->rc != 0)
		throw_away(s, job);
	else
		s->ahead = job;
}

struct maildrop_job *
mail_ahead_take(struct mail_session *s, uint32_t msg)
{
	struct maildrop_job *job = s->ahead;

	s->ahead_want = 0;
	if (job == NULL)
		return NULL;
	if (job->msg != msg) {
		mail_ahead_drop(s);
		return NULL;
	}
	s->ahead = NULL;
	s->mail->ahead_count--;
	return job;
}

void
mail_ahead_drop(struct mail_session *s)
{
	struct maildrop_job *job = s->ahead;

	s->ahead = NULL;
	if (job != NULL)
		throw_away(s, job);
}
