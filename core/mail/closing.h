/* SPDX-License-Identifier: MIT */
/* mail/closing.h - what the end of a session does to its maildrop, beside removing what is marked:
 * removed messages are held, retrieved ones marked as seen, and a line of history kept. */
#ifndef MAIL_CLOSING_H
#define MAIL_CLOSING_H

#include "mail/maildrop.h"
#include "mail/session.h"

/* When the session starts: what of it goes for this one. */
void mail_closing_init(struct mail_session *s, const struct ticket *t);

/* When it is about to close its maildrop, which it may have to write a line about. */
void mail_closing_prepare(struct mail_session *s, bool commit);

/* On the loop, afterwards: what went wrong beside the removal. */
void mail_closing_tell(const struct mail_session *s, const struct maildrop_job *job);

#endif
