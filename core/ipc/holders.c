/* SPDX-License-Identifier: MIT */
/* Who has which maildrop; see holders.h.
 *
 * As in usage.c a row belongs to its owner before anything stands in it, and is empty again before it is
 * free: so the sweep finds it whenever a worker dies. A broken worker may write nonsense here; what is
 * read never leads outside, and at worst a session is asked whether it is silent. */
#include "ipc/holders.h"

#include <string.h>

#include "base/crypto.h"

void
holders_init(struct holders *h)
{
	pst_random(h->key, sizeof(h->key));
}

uint64_t
holders_drop(const struct holders *h, struct pst_str location)
{
	uint8_t mac[32];
	uint64_t drop;

	pst_hmac_sha256((struct pst_str){ (const char *)h->key, sizeof(h->key) }, location, mac);
	memcpy(&drop, mac, sizeof(drop));
	return drop != 0 ? drop : 1;
}

static uint32_t
place_of(uint64_t drop, uint32_t i)
{
	return (uint32_t)((drop + i) % HOLDERS_ROWS);
}

static void
fill_row(struct holder *r, uint64_t drop, struct pst_str peer, int64_t now_ms)
{
	const size_t n = peer.n < sizeof(r->peer) - 1 ? peer.n : sizeof(r->peer) - 1;

	if (n > 0)
		memcpy(r->peer, peer.p, n);
	r->peer[n] = '\0';
	atomic_store_explicit(&r->since_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&r->heard_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&r->state, HOLDER_COMING, memory_order_relaxed);
	atomic_store(&r->drop, drop); /* from now on it is found */
}

uint32_t
holders_come(struct holders *h, uint64_t drop, uint64_t owner, struct pst_str peer, int64_t now_ms)
{
	uint32_t i;

	for (i = 0; i < HOLDERS_PROBE; i++) {
		struct holder *r = &h->row[place_of(drop, i)];
		uint64_t nobody = 0;

		if (atomic_load_explicit(&r->owner, memory_order_relaxed) != 0 ||
		    !atomic_compare_exchange_strong(&r->owner, &nobody, owner))
			continue;
		fill_row(r, drop, peer, now_ms);
		return place_of(drop, i);
	}
	return HOLDERS_NOWHERE;
}

void
holders_set(struct holders *h, uint32_t place, enum holder_state state)
{
	if (place < HOLDERS_ROWS)
		atomic_store_explicit(&h->row[place].state, state, memory_order_release);
}

void
holders_leave(struct holders *h, uint32_t place)
{
	struct holder *r;

	if (place >= HOLDERS_ROWS)
		return;
	r = &h->row[place];
	atomic_store_explicit(&r->drop, 0, memory_order_release);
	atomic_store_explicit(&r->claim, 0, memory_order_relaxed);
	atomic_store_explicit(&r->verdict, HOLDER_SILENT, memory_order_relaxed);
	atomic_store_explicit(&r->state, 0, memory_order_relaxed);
	atomic_store_explicit(&r->owner, 0, memory_order_release);
}

uint32_t
holders_sweep(struct holders *h, uint64_t owner)
{
	uint32_t swept = 0, i;

	for (i = 0; i < HOLDERS_ROWS; i++) {
		if (atomic_load_explicit(&h->row[i].owner, memory_order_relaxed) != owner)
			continue;
		holders_leave(h, i);
		swept++;
	}
	return swept;
}

/* ---- For the one who comes ---- */

uint32_t
holders_find(const struct holders *h, uint64_t drop, uint32_t own)
{
	uint32_t found = HOLDERS_NOWHERE, i;

	for (i = 0; i < HOLDERS_PROBE; i++) {
		const uint32_t place = place_of(drop, i);

		if (place == own || atomic_load(&h->row[place].drop) != drop)
			continue;
		found = place;
		if (atomic_load(&h->row[place].state) != HOLDER_COMING)
			break;
	}
	return found;
}

uint32_t
holders_state(const struct holders *h, uint32_t place, uint64_t drop)
{
	uint32_t state;

	if (place >= HOLDERS_ROWS)
		return 0;
	state = atomic_load(&h->row[place].state);
	return atomic_load(&h->row[place].drop) == drop ? state : 0;
}

uint64_t
holders_claim(struct holders *h, uint32_t place, uint64_t drop, int64_t now_ms)
{
	struct holder *r;
	uint64_t before, claim;

	if (holders_state(h, place, drop) == 0)
		return 0;
	r = &h->row[place];
	before = atomic_load(&r->claim);
	if (before != 0 && now_ms - atomic_load(&r->claimed_ms) < HOLDERS_CLAIM_MS)
		return 0;
	claim = atomic_fetch_add(&h->claims, 1) + 1;
	if (!atomic_compare_exchange_strong(&r->claim, &before, claim))
		return 0;
	atomic_store(&r->claimed_ms, now_ms);
	atomic_store(&r->verdict, HOLDER_SILENT);
	if (holders_state(h, place, drop) != 0)
		return claim;
	holders_withdraw(h, place, claim); /* it has gone, and another may stand there */
	return 0;
}

void
holders_ask(struct holders *h, uint32_t place)
{
	if (place < HOLDERS_ROWS)
		atomic_store(&h->ask[atomic_fetch_add(&h->asks, 1) % HOLDERS_ASKS], place + 1);
}

enum holder_verdict
holders_verdict(const struct holders *h, uint32_t place, uint64_t claim)
{
	if (place >= HOLDERS_ROWS || atomic_load(&h->row[place].claim) != claim)
		return HOLDER_SILENT;
	return (enum holder_verdict)atomic_load(&h->row[place].verdict);
}

void
holders_withdraw(struct holders *h, uint32_t place, uint64_t claim)
{
	if (place < HOLDERS_ROWS && claim != 0)
		(void)atomic_compare_exchange_strong(&h->row[place].claim, &claim, 0);
}

/* ---- For the holder ---- */

bool
holders_is_claimed(const struct holders *h, uint32_t place)
{
	return place < HOLDERS_ROWS && atomic_load(&h->row[place].claim) != 0;
}

void
holders_answer(struct holders *h, uint32_t place, enum holder_verdict verdict, int64_t heard_ms)
{
	if (place >= HOLDERS_ROWS)
		return;
	atomic_store(&h->row[place].heard_ms, heard_ms);
	atomic_store(&h->row[place].verdict, verdict);
}

/* ---- Once a day ---- */

/* The maildrop and the day in one number; the place tells the rest of the maildrop's. */
static uint64_t
day_of(uint64_t drop, uint32_t day)
{
	return (drop & ~UINT64_C(0xffff)) | (day & 0xffff);
}

static uint32_t
day_place(uint64_t drop)
{
	return (uint32_t)(drop % HOLDERS_DAYS);
}

bool
holders_was_looked_through(const struct holders *h, uint64_t drop, uint32_t day)
{
	return atomic_load_explicit(&h->day[day_place(drop)], memory_order_relaxed) ==
	       day_of(drop, day);
}

void
holders_looked_through(struct holders *h, uint64_t drop, uint32_t day)
{
	atomic_store_explicit(&h->day[day_place(drop)], day_of(drop, day), memory_order_relaxed);
}

/* ---- For the master ---- */

bool
holders_next_ask(struct holders *h, uint32_t *seen, uint32_t *place_out, uint64_t *owner_out)
{
	const uint32_t asks = atomic_load(&h->asks);

	if (asks - *seen > HOLDERS_ASKS)
		*seen = asks - HOLDERS_ASKS; /* who was passed over asks again */
	while (*seen != asks) {
		uint32_t place =
			atomic_exchange(&h->ask[(*seen)++ % HOLDERS_ASKS], 0) - 1; /* 0: nowhere */

		if (place >= HOLDERS_ROWS)
			continue; /* it is just being written: it is asked for again */
		*owner_out = atomic_load(&h->row[place].owner);
		*place_out = place;
		if (*owner_out != 0)
			return true;
	}
	return false;
}
