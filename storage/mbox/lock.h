/* SPDX-License-Identifier: MIT */
/* storage/mbox/lock.h - the locks of an mbox that delivery agents and mail readers share.
 *
 * fcntl: an open file description's lock, which meets the record locks of other programs and is not
 * lost when another thread closes the same file. flock. dotlock: the file NAME.lock beside the mbox,
 * whose lines "PID:HOST" name its holder. All that are planned are taken, in their order; where one
 * cannot be had, those before it are given back, so that programs with other orders do not wait for
 * each other for ever. */
#ifndef STORAGE_MBOX_LOCK_H
#define STORAGE_MBOX_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/plugin.h>

enum lock_kind {
	LOCK_FCNTL = 1,
	LOCK_FLOCK,
	LOCK_DOT,
	LOCK_DOT_TRY, /* passed over where the folder does not let us make the file */
};

#define LOCK_KINDS 3

struct lock_plan {
	enum lock_kind kinds[LOCK_KINDS];
	unsigned count;
	int64_t timeout_ms;
	int64_t stale_ms; /* a dotlock so old, of a host that cannot be asked, is nobody's */
};

struct lock {
	const struct lock_plan *plan;
	const struct pst_host *host;
	const char *path; /* the mbox; borrowed */
	int fd;
	int record_fd; /* our own file, in which the dotlock is written down; -1: none */
	char *dot;     /* path of the dotlock; NULL: not made */
	uint64_t dot_ino;
	int64_t kept_ms; /* when the dotlock was made or last touched */
	unsigned held;   /* of the plan's kinds, how many */
};

/* "fcntl dotlock_try": words, each kind once. */
int lock_parse(const char *words, struct lock_plan *plan, struct pst_err *err);

/* A session that was killed left its dotlock behind: whoever has the session's lock, and with it
 * record_fd, knows by it that nobody holds that one. */

/* Takes all locks of the plan on fd, which is open on path: for writing it must be open so. Waits as
 * long as the plan says. PST_E_IN_USE: somebody has one. On failure nothing is held. */
int lock_take(struct lock *l, const struct lock_plan *plan, const struct pst_host *host,
              const char *path, int fd, int record_fd, bool exclusive, struct pst_err *err);

/* During long work: tells those who look at the dotlock's age that its holder lives. */
void lock_keep(struct lock *l);

void lock_free(struct lock *l); /* accepts one that holds nothing, or zeroed */

#endif
