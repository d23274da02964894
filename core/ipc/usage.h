/* SPDX-License-Identifier: MIT */
/* ipc/usage.h - how many sessions a user has, and when the last one began.
 *
 * Only users whose account says how many they may have, or how often they may come, stand here. Shared
 * memory of fixed size that outlives a reload, written by mail workers; what one of them leaves behind
 * when it dies is swept by the master.
 *
 * A user is a number here: a keyed hash of the whole name, so that nobody can choose to collide. */
#ifndef IPC_USAGE_H
#define IPC_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#define USAGE_SESSIONS 65536
#define USAGE_ROWS 4096 /* of last logins; a power of two */
#define USAGE_WAYS 8
#define USAGE_NOWHERE UINT32_MAX

struct usage_session {
	_Atomic uint64_t owner; /* 0: free */
	_Atomic uint64_t user;  /* 0: not counted */
};

struct usage_login {
	_Atomic uint64_t user;
	_Atomic int64_t at_ms;
};

struct usage {
	uint8_t key[32];
	_Atomic uint32_t used; /* places of session that ever were taken */
	_Atomic uint32_t hint; /* where to look for a free one first */
	struct usage_session session[USAGE_SESSIONS];
	struct usage_login login[USAGE_ROWS][USAGE_WAYS];
};

void usage_init(struct usage *u); /* the master's, of zeroed memory */

/* Never 0. */
uint64_t usage_user(const struct usage *u, struct pst_str name);

/* Names a worker, for the sweep. Never 0. */
uint64_t usage_owner(uint32_t generation, uint32_t slot);
uint32_t usage_owner_generation(uint64_t owner);
uint32_t usage_owner_slot(uint64_t owner);

enum usage_verdict { USAGE_IN = 1, USAGE_MANY, USAGE_FULL };

/* Counts one more session of the user, unless that made more than max of them: at *place_out then, to
 * be given to usage_leave. Where two come at the very same time for the last place, both may be
 * refused, but never both let in. FULL: there is no room to count it. */
enum usage_verdict usage_enter(struct usage *u, uint64_t user, uint64_t owner, uint32_t max,
                               uint32_t *place_out);
void usage_leave(struct usage *u, uint32_t place); /* a place that is none changes nothing */

/* Forgets the sessions of a worker that is gone; returns how many. */
uint32_t usage_sweep(struct usage *u, uint64_t owner);

/* Milliseconds until the user may log in again, with so many between two logins; 0: now. */
int64_t usage_wait_ms(const struct usage *u, uint64_t user, int64_t min_ms, int64_t now_ms);

/* The user has logged in. Where the row is full, the one who did so longest ago is forgotten. */
void usage_logged_in(struct usage *u, uint64_t user, int64_t now_ms);

#endif
