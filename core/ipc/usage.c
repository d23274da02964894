/* SPDX-License-Identifier: MIT */
/* Sessions and logins per user; see usage.h.
 *
 * A place belongs to its owner before a user is counted there, and is empty again before it is free: so
 * the sweep finds it whenever a worker dies. A broken worker may write nonsense here, but what is read
 * never leads outside. */
#include "ipc/usage.h"

#include <string.h>

#include "base/crypto.h"

void
usage_init(struct usage *u)
{
	pst_random(u->key, sizeof(u->key));
}

uint64_t
usage_user(const struct usage *u, struct pst_str name)
{
	uint8_t mac[32];
	uint64_t user;

	pst_hmac_sha256((struct pst_str){ (const char *)u->key, sizeof(u->key) }, name, mac);
	memcpy(&user, mac, sizeof(user));
	return user != 0 ? user : 1;
}

uint64_t
usage_owner(uint32_t generation, uint32_t slot)
{
	return (uint64_t)generation << 32 | (slot + 1);
}

uint32_t
usage_owner_generation(uint64_t owner)
{
	return (uint32_t)(owner >> 32);
}

uint32_t
usage_owner_slot(uint64_t owner)
{
	return (uint32_t)owner - 1;
}

static uint32_t
used_places(const struct usage *u)
{
	uint32_t used = atomic_load(&u->used);

	return used < USAGE_SESSIONS ? used : USAGE_SESSIONS;
}

static void
raise_used(struct usage *u, uint32_t to)
{
	uint32_t seen = atomic_load(&u->used);

	while (seen < to && !atomic_compare_exchange_weak(&u->used, &seen, to))
		;
}

static uint32_t
take_place(struct usage *u, uint64_t owner)
{
	const uint32_t hint = atomic_load(&u->hint);
	uint32_t i;

	for (i = 0; i < USAGE_SESSIONS; i++) {
		uint32_t place = (uint32_t)(((uint64_t)hint + i) % USAGE_SESSIONS);
		uint64_t nobody = 0;

		if (atomic_load_explicit(&u->session[place].owner, memory_order_relaxed) != 0)
			continue;
		raise_used(u, place + 1); /* before it is taken: the sweep looks no further */
		if (!atomic_compare_exchange_strong(&u->session[place].owner, &nobody, owner))
			continue;
		atomic_store(&u->hint, place + 1);
		return place;
	}
	return USAGE_NOWHERE;
}

static uint32_t
count(const struct usage *u, uint64_t user)
{
	const uint32_t used = used_places(u);
	uint32_t n = 0, i;

	for (i = 0; i < used; i++)
		n += atomic_load_explicit(&u->session[i].user, memory_order_relaxed) == user;
	return n;
}

enum usage_verdict
usage_enter(struct usage *u, uint64_t user, uint64_t owner, uint32_t max, uint32_t *place_out)
{
	const uint32_t place = take_place(u, owner);

	if (place == USAGE_NOWHERE)
		return USAGE_FULL;
	atomic_store(&u->session[place].user, user); /* seen by others before they are counted */
	atomic_thread_fence(memory_order_seq_cst);
	if (count(u, user) > max) {
		usage_leave(u, place);
		return USAGE_MANY;
	}
	*place_out = place;
	return USAGE_IN;
}

void
usage_leave(struct usage *u, uint32_t place)
{
	if (place >= USAGE_SESSIONS)
		return;
	atomic_store(&u->session[place].user, 0);
	atomic_store(&u->session[place].owner, 0);
	if (place < atomic_load(&u->hint)) /* low ones first: the count goes through all below */
		atomic_store(&u->hint, place);
}

uint32_t
usage_sweep(struct usage *u, uint64_t owner)
{
	const uint32_t used = used_places(u);
	uint32_t swept = 0, i;

	for (i = 0; i < used; i++) {
		if (atomic_load(&u->session[i].owner) != owner)
			continue;
		usage_leave(u, i);
		swept++;
	}
	return swept;
}

/* ---- Logins ---- */

int64_t
usage_wait_ms(const struct usage *u, uint64_t user, int64_t min_ms, int64_t now_ms)
{
	const struct usage_login *row = u->login[user % USAGE_ROWS];
	size_t i;

	for (i = 0; i < USAGE_WAYS; i++) {
		int64_t at_ms;

		if (atomic_load(&row[i].user) != user)
			continue;
		at_ms = atomic_load(&row[i].at_ms);
		if (atomic_load(&row[i].user) != user || at_ms > now_ms || at_ms < 0)
			continue; /* it was given to somebody else meanwhile, or is nonsense */
		return now_ms - at_ms < min_ms ? min_ms - (now_ms - at_ms) : 0;
	}
	return 0;
}

void
usage_logged_in(struct usage *u, uint64_t user, int64_t now_ms)
{
	struct usage_login *row = u->login[user % USAGE_ROWS];
	struct usage_login *to = &row[0];
	size_t i;

	for (i = 0; i < USAGE_WAYS; i++) {
		if (atomic_load(&row[i].user) == user) {
			to = &row[i];
			break;
		}
		if (atomic_load(&row[i].at_ms) < atomic_load(&to->at_ms))
			to = &row[i]; /* an empty one is the oldest */
	}
	if (atomic_load(&to->user) != user)
		atomic_store(&to->user, 0); /* whose time this was must not be told the new one */
	atomic_store(&to->at_ms, now_ms);
	atomic_store(&to->user, user);
}
