/* SPDX-License-Identifier: MIT */
/* mail/takeover.h - when the maildrop is another session's: to wait for it, to ask it to give way, and
 * to say whether a session of this process does.
 *
 * A session that is closing is waited for. One whose client has been silent for mail.takeover_after, or
 * is gone, is ended; nothing that it has marked is deleted. One that is in use stays, and the newcomer is
 * told [IN-USE]. Only one newcomer at a time may ask for a maildrop. See ipc/holders.h. */
#ifndef MAIL_TAKEOVER_H
#define MAIL_TAKEOVER_H

#include "mail/session.h"

#define TAKEOVER_WAIT_MS 2500  /* for a session to end */
#define TAKEOVER_GRACE_MS 150  /* for one that is in use: its client may just be going */
#define TAKEOVER_OTHER_MS 500  /* for a lock that no session of this server has */
#define TAKEOVER_GONE_MS 10000 /* of unanswered octets: then the client is gone */

void mail_takeover_init(struct mail *m);
void mail_takeover_clear(struct mail *m);

/* The session would like to open a maildrop. */
void mail_takeover_come(struct mail_session *s, struct pst_str location);

/* It could not be opened: PST_E_IN_USE. true: the session waits, and tries again later; path is copied.
 * is_contract: it was the number of the user's sessions. */
bool mail_takeover_wait(struct mail_session *s, const char *path, const struct pst_err *why,
                        bool is_contract);
bool mail_takeover_waits_for_contract(const struct mail_session *s);

void mail_takeover_opened(struct mail_session *s);
void mail_takeover_closing(struct mail_session *s); /* it will take a moment */

/* It has no maildrop and waits for none. Any number of times. */
void mail_takeover_leave(struct mail_session *s);

/* ORDER_CLAIMED: somebody would like to have the place of one of this process's sessions. */
void mail_takeover_asked(struct mail *m, uint32_t place);

/* For the log: "; held by 192.0.2.1 for 20 s, silent for 3 s", or "" where that is not known. Borrowed
 * from out. */
const char *mail_takeover_holder(const struct mail_session *s, char *out, size_t cap);

#endif
