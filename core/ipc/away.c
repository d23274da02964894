/* SPDX-License-Identifier: MIT */
/* Backends that are away; see away.h. */
#include "ipc/away.h"

#define SETTLE_MS 10000

bool
away_is(struct away_board *b, uint32_t place)
{
	return place < AWAY_PLACES && (atomic_load(&b->away) >> place & 1) != 0;
}

bool
away_note(struct away_board *b, uint32_t place, bool is_away, int64_t now_ms)
{
	const uint32_t bit = place < AWAY_PLACES ? UINT32_C(1) << place : 0;
	int64_t back_ms;

	if (bit == 0 || away_is(b, place) == is_away)
		return false;
	if (!is_away) {
		atomic_store(&b->back_ms[place], now_ms);
		return (atomic_fetch_and(&b->away, ~bit) & bit) != 0;
	}
	back_ms = atomic_load(&b->back_ms[place]);
	if (back_ms != 0 && now_ms - back_ms < SETTLE_MS)
		return false;
	return (atomic_fetch_or(&b->away, bit) & bit) == 0;
}
