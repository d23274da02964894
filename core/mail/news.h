/* SPDX-License-Identifier: MIT */
/* mail/news.h - between the sessions of this process and the clerk: whose sessions end, who is to be
 * looked up again, and what a session did. */
#ifndef MAIL_NEWS_H
#define MAIL_NEWS_H

#include "ipc/changes.h"
#include "mail/session.h"

/* A session is among those that news may concern from join to part. */
void mail_news_join(struct mail_session *s);
void mail_news_part(struct mail_session *s);

void mail_news_take(struct mail *m);

/* Before each command: hears what is new. */
static inline void
mail_news_look(struct mail *m)
{
	if (m->changes != NULL && changes_now(m->changes) != m->changes_at)
		mail_news_take(m);
}

/* What changed for a session between the look-up of its user (its ticket says when) and the last look,
 * which was before the session joined: an older change is none of its. */
void mail_news_since(struct mail_session *s, uint64_t at);

/* Says that the session is over: its user may not be here any more. Nothing is removed. */
void mail_news_goodbye(struct mail_session *s);

/* Tells the clerk what an ended session did, where a backend wants to know. */
void mail_news_session(struct mail_session *s);

/* Ends doomed sessions whose client says nothing. About once a second. */
void mail_news_tick(struct mail *m, int64_t now_ms);

#endif
