/* SPDX-License-Identifier: MIT */
/* mail/handoff.h - from a hand-off by login to a session: its ticket is opened and its storage found.
 *
 * What login says is believed for the log only. Who the user is and where the mail lies stands in
 * the sealed ticket, and what came as a descriptor must be a stream socket. */
#ifndef MAIL_HANDOFF_H
#define MAIL_HANDOFF_H

#include "ipc/env.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"
#include "mail/mail.h"

struct handoff_desk;

struct handoff_desk *handoff_desk_create(const struct worker_env *env);
void handoff_desk_destroy(struct handoff_desk *d); /* accepts NULL */

/* Strings are borrowed from the message and from the desk, until its next hand-off. */
struct handoff {
	int fd; /* the holder's, a stream socket */
	struct wire_handoff wire;

	bool is_good; /* the ticket is; then: */
	struct ticket ticket;
	struct pst_str driver; /* of its location: the instance of a storage plugin */
	const char *path;      /* what stands behind the colon */

	struct pst_err why; /* where it is not */
};

/* Reads a message. -1 with err: it is no hand-off at all; fd is closed then, as nobody can be
 * answered. A bad ticket is 0 with is_good false: that client can be told. */
int handoff_read(struct handoff_desk *d, struct pst_str message, int fd, struct handoff *h_out,
                 struct pst_err *err);

/* Starts the session, or where that cannot be tells the client so. fd is the session's. */
void handoff_start(const struct worker_env *env, struct mail *m, const struct handoff *h);

/* Logs that a hand-off was refused. */
void handoff_log(const struct handoff *h, const struct pst_err *why);

/* Logs it too, and tells the client why there will be no session. fd is the session's. */
void handoff_refuse(struct mail *m, const struct handoff *h, const struct pst_err *why);

#endif
