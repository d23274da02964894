/* SPDX-License-Identifier: MIT */
/* ctl/remote.h - the old server, asked by a process of its own: it alone has the passwords and talks to
 * the network, and it touches no mail. As root it becomes nobody once it has read the passwords. Who
 * works on maildrops asks it for one user's listing at a time. */
#ifndef CTL_REMOTE_H
#define CTL_REMOTE_H

#include <sys/types.h>

#include "ctl/match.h"
#include "ctl/migrate.h"

struct remote_order {
	struct migrate_side *side; /* its master's password is read by the process, not before */
	const char *users_path;
	uint64_t sample; /* as for migrate_users_sample */
	uint32_t jobs;   /* users at the same time */
};

struct remote {
	int fd; /* for remote_ask, here and in every process that has it */
	pid_t pid;
};

/* Forks the process and waits until it has read users and passwords. *names_out: the users' names, n of
 * them, to be freed each and all. -1: it has ended. */
int remote_start(struct remote *r, const struct remote_order *order, char ***names_out,
                 size_t *n_out, struct pst_err *err);
void remote_stop(struct remote *r); /* accepts one that has not started, with fd -1 */

struct remote_listing {
	struct match_message *all;
	uint32_t n;
	bool has_uidls;
	struct pst_buf text; /* bears the UIDLs */
};

/* What the old server shows this user. fd: of struct remote. The caller clears *out. */
int remote_ask(int fd, struct pst_str user, struct remote_listing *out, struct pst_err *err);
void remote_listing_clear(struct remote_listing *l);

#endif
