/* SPDX-License-Identifier: MIT */
/* Confirmed leases; see leases.h. A cell: 32 bits that tell takers apart, 32 bits of time. */
#include "ipc/leases.h"

#define DENIED UINT32_MAX

static uint64_t
tag_of(struct pst_str taker)
{
	uint32_t hash = 2166136261u;
	size_t i;

	for (i = 0; i < taker.n; i++)
		hash = (hash ^ (uint8_t)taker.p[i]) * 16777619u;
	return (uint64_t)hash << 32;
}

void
leases_confirm(struct lease_board *b, uint32_t place, struct pst_str taker, int64_t at_ms)
{
	const uint64_t at = at_ms > 0 ? (uint64_t)at_ms / LEASE_STEP_MS : 0;

	if (at < DENIED)
		atomic_store(&b->cell[place % LEASE_PLACES], tag_of(taker) | at);
}

void
leases_deny(struct lease_board *b, uint32_t place, struct pst_str taker)
{
	atomic_store(&b->cell[place % LEASE_PLACES], tag_of(taker) | DENIED);
}

enum lease_word
leases_read(const struct lease_board *b, uint32_t place, struct pst_str taker, int64_t *at_ms_out)
{
	const uint64_t cell = atomic_load(&b->cell[place % LEASE_PLACES]);
	const uint32_t at = (uint32_t)cell;

	if ((cell & ~(uint64_t)UINT32_MAX) != tag_of(taker) || at == 0)
		return LEASE_NOTHING;
	if (at == DENIED)
		return LEASE_DENIED;
	*at_ms_out = (int64_t)at * LEASE_STEP_MS;
	return LEASE_CONFIRMED;
}
