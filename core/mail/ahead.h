/* SPDX-License-Identifier: MIT */
/* mail/ahead.h - the next message is opened and read while the client still has the one before in
 * hand: for storage that is far away (mail.prefetch).
 *
 * It is an ordinary job of the session, one at a time: a command that comes meanwhile waits for it, at
 * most as long as that one message takes. What it brought stays with the session until the client asks
 * for that message, or for another one, or goes. */
#ifndef MAIL_AHEAD_H
#define MAIL_AHEAD_H

#include "mail/session.h"

/* RETR of this message is through: the one after it may be next. */
void mail_ahead_want(struct mail_session *s, uint32_t msg);

/* After a turn: begins, where there is something to fetch and nothing else to do. */
void mail_ahead_start(struct mail_session *s);

/* The job is through; it is ahead's now. */
void mail_ahead_done(struct mail_session *s, struct maildrop_job *job);

/* What was fetched of this message, to be freed; or NULL. What is of another one is thrown away. */
struct maildrop_job *mail_ahead_take(struct mail_session *s, uint32_t msg);

void mail_ahead_drop(struct mail_session *s); /* any number of times */

#endif
