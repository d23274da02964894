/* SPDX-License-Identifier: MIT */
/* storage/maildir/dotlock.h - the lock by which programs take turns in writing dovecot-uidlist.
 *
 * The file dovecot-uidlist.lock beside it, with "PID:HOST" of its holder. Without a change for two
 * minutes it is nobody's. It is held for as long as it takes to read the list and to write one
 * piece to it, so it is never touched.
 *
 * Ours has a second name as long as we hold it. Whoever has the Maildir's own lock knows by that name
 * that a lock is that of a session which died, and does not wait for its age. */
#ifndef STORAGE_MAILDIR_DOTLOCK_H
#define STORAGE_MAILDIR_DOTLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/plugin.h>

struct dotlock {
	const struct pst_host *host;
	int dirfd;
	uint64_t ino;
	int64_t taken_ms;
	bool is_held;
};

/* dirfd: the list's folder; borrowed. Waits for wait_ms at most. -1: PST_E_IN_USE: another program has
 * it; PST_E_PERM: the folder is not ours to write; PST_E_TEMP. */
int dotlock_take(struct dotlock *l, const struct pst_host *host, int dirfd, int64_t wait_ms,
                 struct pst_err *err);

/* Whether nobody took it from us, and it is young enough that nobody will before we have written. */
bool dotlock_holds(const struct dotlock *l);

void dotlock_free(struct dotlock *l); /* accepts one that holds nothing, or zeroed */

#endif
