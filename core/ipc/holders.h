/* SPDX-License-Identifier: MIT */
/* ipc/holders.h - which session has which maildrop, and who would like to have it instead.
 *
 * Shared memory of fixed size that outlives a reload, so that sessions of all generations stand in it;
 * seen by mail workers and the master. A session that finds its maildrop locked looks here for the one
 * that holds it, and claims its place. Only the holder itself says whether it gives way: a claim is a
 * question. It reaches the holder through the master, who passes on the numbers of rows and nothing else.
 *
 * A maildrop is a number here: a keyed hash of its location. */
#ifndef IPC_HOLDERS_H
#define IPC_HOLDERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#define HOLDERS_ROWS 16384 /* a power of two */
#define HOLDERS_PROBE 64   /* rows in which a maildrop may stand */
#define HOLDERS_ASKS 256   /* that the master may fall behind; a power of two */
#define HOLDERS_DAYS 16384 /* a power of two */
#define HOLDERS_NOWHERE UINT32_MAX
#define HOLDERS_CLAIM_MS 10000 /* a claim that is older is nobody's any more */

enum holder_state {
	HOLDER_COMING = 1, /* it would like to open the maildrop */
	HOLDER_OPEN,
	HOLDER_CLOSING, /* the lock is free in a moment */
};

enum holder_verdict {
	HOLDER_SILENT = 0, /* nothing was said yet */
	HOLDER_STAYS,      /* its client is there */
	HOLDER_GOES,       /* the lock will be free soon */
};

struct holder {
	_Atomic uint64_t owner; /* a worker, as in ipc/usage.h; 0: the row is free */
	_Atomic uint64_t drop;  /* 0: not filled in yet */
	_Atomic uint64_t claim; /* whose; 0: nobody's */
	_Atomic int64_t claimed_ms;
	_Atomic int64_t since_ms; /* CLOCK_MONOTONIC, as all times here */
	_Atomic int64_t heard_ms; /* of its client, when the verdict was given */
	_Atomic uint32_t state;   /* enum holder_state */
	_Atomic uint32_t verdict; /* enum holder_verdict */
	char peer[64];            /* for the log */
};

struct holders {
	uint8_t key[32];
	_Atomic uint64_t claims; /* so far: the next one's name */
	_Atomic uint32_t asks;   /* so far */
	_Atomic uint32_t ask[HOLDERS_ASKS];
	/* Of a maildrop, and the day on which it was last looked through for old mail. */
	_Atomic uint64_t day[HOLDERS_DAYS];
	struct holder row[HOLDERS_ROWS];
};

void holders_init(struct holders *h); /* the master's, of zeroed memory */

/* Never 0. */
uint64_t holders_drop(const struct holders *h, struct pst_str location);

/* A row for a session, COMING. NOWHERE: there is no room, and it can be neither found nor asked. The
 * other functions accept NOWHERE and do nothing. */
uint32_t holders_come(struct holders *h, uint64_t drop, uint64_t owner, struct pst_str peer,
                      int64_t now_ms);
void holders_set(struct holders *h, uint32_t place, enum holder_state state);
void holders_leave(struct holders *h, uint32_t place);

/* Forgets the sessions of a worker that is gone; returns how many. */
uint32_t holders_sweep(struct holders *h, uint64_t owner);

/* ---- For the one who comes ---- */

/* Another row of the same maildrop: one that is OPEN or CLOSING before one that is COMING. */
uint32_t holders_find(const struct holders *h, uint64_t drop, uint32_t own);

/* What the row says; 0 where it is not about this maildrop any more. */
uint32_t holders_state(const struct holders *h, uint32_t place, uint64_t drop);

/* The claim's name, or 0: somebody else has claimed the place, or it is free. holders_ask brings it
 * before the holder; where owner is the caller itself, that is the caller's to do. */
uint64_t holders_claim(struct holders *h, uint32_t place, uint64_t drop, int64_t now_ms);
void holders_ask(struct holders *h, uint32_t place);
enum holder_verdict holders_verdict(const struct holders *h, uint32_t place, uint64_t claim);
void holders_withdraw(struct holders *h, uint32_t place, uint64_t claim);

/* ---- For the holder ---- */

bool holders_is_claimed(const struct holders *h, uint32_t place);
void holders_answer(struct holders *h, uint32_t place, enum holder_verdict verdict,
                    int64_t heard_ms);

/* ---- Once a day ---- */

/* day: since 1970. What is forgotten was not. */
bool holders_was_looked_through(const struct holders *h, uint64_t drop, uint32_t day);
void holders_looked_through(struct holders *h, uint64_t drop, uint32_t day);

/* ---- For the master: the next row that is asked for, and its worker; *seen moves on. ---- */

bool holders_next_ask(struct holders *h, uint32_t *seen, uint32_t *place_out, uint64_t *owner_out);

#endif
