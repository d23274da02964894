/* SPDX-License-Identifier: MIT */
/* mail/lease.h - a session's right to its maildrop among servers that share the mail
 * (mail.locks = "lease").
 *
 * The ticket says when the lease was taken; from then on the session asks the clerk, in time, to make
 * it hold longer, and believes only what ipc/leases.h confirms. Where that does not come, the session
 * ends before its lease does, and removes nothing. */
#ifndef MAIL_LEASE_H
#define MAIL_LEASE_H

#include "ipc/ticket.h"
#include "mail/session.h"

void mail_lease_take(struct mail_session *s, const struct ticket *t);

/* Whether messages may be removed now: nobody else can have the maildrop for a good while. */
bool mail_lease_holds(struct mail_session *s);

/* QUIT was said, and it does not hold: the client is told, and nothing is removed. */
void mail_lease_refuse(struct mail_session *s);

/* The maildrop is closed for good. */
void mail_lease_leave(struct mail_session *s);

/* Asks for what is due, ends what was not given. About once a second. */
void mail_lease_tick(struct mail *m);

#endif
