/* SPDX-License-Identifier: MIT */
/* mail/expire.h - mail that has been there longer than it may (RFC 2449 section 6.7): what is too old
 * is removed, or held, before the maildrop is listed, so that a session never sees what may go.
 *
 * A maildrop is looked through once a day at most. When that was, stands in shared memory (ipc/holders.h):
 * a poll pays nothing for it, and a server that was started anew looks once more than it must. */
#ifndef MAIL_EXPIRE_H
#define MAIL_EXPIRE_H

#include "mail/maildrop.h"
#include "mail/session.h"

/* When the session starts: how long mail may stay. */
void mail_expire_init(struct mail_session *s, const struct ticket *t);

/* Before the maildrop is opened, when it is known which it is: sets drop.expire_days where it is to be looked
 * through now. */
void mail_expire_prepare(struct mail_session *s);

/* In the pool, right after the opening: removes what is too old. true: something has gone, and the
 * maildrop is to be opened anew. What goes wrong is told in job->aside. */
bool maildrop_expire(struct maildrop_job *job);

/* On the loop, after the opening. */
void mail_expire_tell(struct mail_session *s, const struct maildrop_job *job);

#endif
