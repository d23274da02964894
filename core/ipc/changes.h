/* SPDX-License-Identifier: MIT */
/* ipc/changes.h - what the clerk tells all mail workers: whose sessions end, and whom to ask about.
 *
 * A ring in shared memory with one writer. A reader looks at one number before each command, so that
 * news costs nobody a wake-up and is in force with the next command. One that fell behind by more than
 * the ring holds is told to ask about all its sessions. */
#ifndef IPC_CHANGES_H
#define IPC_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#include "ipc/leases.h"

#define CHANGES_ROWS 4096 /* more than the clerk writes between two ticks of a mail worker */

enum change_kind {
	CHANGE_END = 1, /* the sessions of the user end; a session that is ended deletes nothing */
	CHANGE_ASK, /* the clerk wants a NOTE_CHECK for each session of the domain; "": for all */
};

struct change {
	enum change_kind kind;
	char name[256]; /* of the user, or of the domain */
};

struct change_row {
	_Atomic uint64_t serial; /* odd while it is written */
	struct change change;
};

struct change_ring {
	_Atomic uint64_t written; /* changes so far */
	struct change_row row[CHANGES_ROWS];
	struct lease_board leases; /* of the clerk too, and for mail workers */
};

/* The clerk's. A name that does not fit is not told: no user has it. */
void changes_write(struct change_ring *r, enum change_kind kind, struct pst_str name);

/* Where a reader begins that has no session yet. r may be NULL: then nothing changes. */
uint64_t changes_now(const struct change_ring *r);

/* The next change after *at, which moves on; false: there is none. */
bool changes_read(struct change_ring *r, uint64_t *at, struct change *out);

#endif
