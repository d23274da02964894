/* SPDX-License-Identifier: MIT */
/* ipc/away.h - which backends cannot tell at present, so that all auth workers together say it once
 * when one goes and once when it is back. In shared memory, seen by auth workers. */
#ifndef IPC_AWAY_H
#define IPC_AWAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define AWAY_PLACES 32

struct away_board {
	_Atomic uint32_t away;                /* a bit for each place */
	_Atomic int64_t back_ms[AWAY_PLACES]; /* when it was last back; 0: it never was away */
};

bool away_is(struct away_board *b, uint32_t place);

/* What the backend at place has answered a worker. True: that is news. Workers notice one after the
 * other that a backend is back, so that it has gone again is believed a while later. */
bool away_note(struct away_board *b, uint32_t place, bool is_away, int64_t now_ms);

#endif
