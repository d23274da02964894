/* SPDX-License-Identifier: MIT */
/* mail/contract.h - what a user's account says of the user's sessions: how many, how often, how much
 * of the maildrop, and whether anything may be deleted. */
#ifndef MAIL_CONTRACT_H
#define MAIL_CONTRACT_H

#include "ipc/ticket.h"
#include "mail/session.h"

/* The session takes over what the ticket says. */
void mail_contract_take(struct mail_session *s, const struct ticket *t);

/* Before the maildrop is opened. false: the session may not be, and the client's answer is made. */
bool mail_contract_may_open(struct mail_session *s);

/* The session takes its place among those of the user. -1: PST_E_IN_USE, there are as many as may be;
 * PST_E_TEMP. The client is to be told err's text. */
int mail_contract_enter(struct mail_session *s, struct pst_err *err);
void mail_contract_refuse(struct mail_session *s, const struct pst_err *why);

/* The maildrop is open: the session counts as a login. */
void mail_contract_opened(struct mail_session *s);

/* The maildrop is closed: another session may have its place. Any number of times. */
void mail_contract_leave(struct mail_session *s);

/* For CAPA (RFC 2449 section 6.5); 0: none. */
uint32_t mail_contract_login_delay_s(const struct mail_session *s);

#endif
