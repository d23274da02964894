/* SPDX-License-Identifier: MIT */
/* ctl/crew.h - inside this folder: the processes that work on maildrops, and what they say.
 *
 * A worker is forked when there is work, becomes the maildrop's owner and is given one maildrop after
 * the other, as long as they belong to the same owner. */
#ifndef CTL_CREW_H
#define CTL_CREW_H

#include <poll.h>

#include "ctl/drops.h"

#define CREW_MAX 64 /* workers */

/* What all of a crew's workers are told; borrowed as long as the crew is there. */
struct crew_order {
	const struct settings *settings;
	const struct conf_texts *sections; /* of the storage plugins */
	const struct drops_plan *plan;
	struct drops_how how; /* nothing is left to the default */
	uid_t mail_uid;       /* server.mail_user, where we are root and it is needed */
	gid_t mail_gid;
};

/* Fills it from a configuration that finder_start has read. An exit status. */
int crew_order_fill(struct crew_order *o, struct ctl *c, const struct conf_texts *sections,
                    const struct drops_plan *plan, const struct drops_how *how);

/* How one maildrop's work ended. */
struct crew_result {
	const char *user;
	int rc;
	struct pst_err err;
	const uint64_t *counts; /* DROPS_COUNTS */
};

struct crew_listener {
	/* to_stderr: a complaint, else a result; without a line end. */
	void (*line)(void *arg, bool to_stderr, struct pst_str text);
	void (*ended)(void *arg, const struct crew_result *result);
	void *arg;
};

struct crew;

struct crew *crew_create(const struct crew_order *order, const struct crew_listener *listener);
void crew_destroy(struct crew *w); /* what is being worked on is killed */

size_t crew_busy(const struct crew *w); /* maildrops in hand */
bool crew_has_room(const struct crew *w);

/* There is room. The row is copied. That no worker could be forked comes as a result. */
void crew_give(struct crew *w, const struct drop_row *row);

/* Descriptors to wait for, at most CREW_MAX; and for how long at most, -1 for ever. */
size_t crew_poll(const struct crew *w, struct pollfd *fds);
int crew_patience_ms(const struct crew *w);

/* Takes what the workers said, and kills those that took too long. */
void crew_hear(struct crew *w);

/* ---- crewman.c: the worker's side ---- */

/* Never returns. fd: the worker's end. */
void crewman_run(const struct crew_order *order, int fd) PST_NORETURN;

/* Row and result as messages; row's strings are borrowed from the message. */
size_t crew_put_row(void *out, size_t cap, const struct drop_row *row);
bool crew_get_row(struct pst_str message, struct drop_row *row_out, char *room, size_t cap);

enum crew_said { CREW_LINE = 1, CREW_COMPLAINT, CREW_RESULT };

#define CREW_MESSAGE_MAX 16384

#endif
