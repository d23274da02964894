/* SPDX-License-Identifier: MIT */
/* Shared memory: slots, the scoreboard and the TLS ticket key; see shm.h.
 *
 * Any process that maps a board may be broken and write nonsense to it: what is read from it is
 * never trusted as an index. */
#include "ipc/shm.h"

#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"

const char *const worker_kind_names[WORKER_KINDS] = {
	[WORKER_LOGIN] = "login",
	[WORKER_KEYS] = "keys",
	[WORKER_AUTH] = "auth",
	[WORKER_MAIL] = "mail",
};

void *
shm_create(size_t octets)
{
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pst_assert(p != MAP_FAILED);
	return p;
}

void
shm_destroy(void *p, size_t octets)
{
	if (p != NULL)
		(void)munmap(p, octets); /* fails only for an address that is none */
}

static void
copy_text(char *to, size_t cap, struct pst_str text)
{
	size_t n = text.n < cap - 1 ? text.n : cap - 1;

	if (n > 0)
		memcpy(to, text.p, n);
	to[n] = '\0';
}

void
slot_doing(struct slot_row *row, struct pst_str text)
{
	copy_text(row->doing, sizeof(row->doing), text);
}

void
slot_failure(struct slot_row *row, struct pst_str text)
{
	copy_text(row->failure, sizeof(row->failure), text);
}

/* ---- Scoreboard ---- */

size_t
board_octets(uint32_t rows)
{
	return BOARD_MAX_PARTS * sizeof(struct board_part) +
	       (size_t)rows * sizeof(struct session_row);
}

static uint32_t
owner_of(enum worker_kind kind, uint32_t slot)
{
	return (uint32_t)kind << 16 | (slot & 0xffff);
}

/* The first row of a part; of part b->parts, the end. */
static uint32_t
part_start(const struct board *b, uint32_t part)
{
	return (uint32_t)((uint64_t)b->rows * part / b->parts);
}

static uint32_t
part_of(const struct board *b, uint32_t row)
{
	uint32_t part = (uint32_t)((uint64_t)row * b->parts / b->rows);

	while (part_start(b, part + 1) <= row)
		part++;
	while (part_start(b, part) > row)
		part--;
	return part;
}

/* A free row belongs to the login slot of its part already, so that a login worker that dies in
 * the middle of board_take leaves nothing that board_sweep would not find. */
static void
release(struct board *b, uint32_t row, uint32_t part)
{
	atomic_store(&b->row[row].kind_slot, owner_of(WORKER_LOGIN, part));
	atomic_store(&b->row[row].state, SESSION_FREE);
}

void
board_init(struct board *b, void *shared, uint32_t rows, uint32_t parts)
{
	pst_assert(parts > 0 && parts <= BOARD_MAX_PARTS);
	/* The rows are free as they are mapped: zeros. To write them would take their memory. */
	b->rows = rows;
	b->parts = parts;
	b->part = shared;
	b->row = (struct session_row *)(void *)(b->part + BOARD_MAX_PARTS);
}

static void
clear_row(struct session_row *r)
{
	atomic_fetch_add(&r->serial, 1);
	atomic_store(&r->tls, 0);
	atomic_store(&r->retrieved, 0);
	atomic_store(&r->deleted, 0);
	atomic_store(&r->octets, 0);
	atomic_store(&r->since_ms, pst_now_ms());
	memset(r->sid, 0, sizeof(r->sid));
	memset(r->peer, 0, sizeof(r->peer));
	memset(r->user, 0, sizeof(r->user));
}

bool
board_take(struct board *b, uint32_t part, uint32_t *row_out)
{
	uint32_t start, count, hint, i;

	if (part >= b->parts)
		return false;
	start = part_start(b, part);
	count = part_start(b, part + 1) - start;
	hint = atomic_load(&b->part[part].hint);
	for (i = 0; i < count; i++) {
		uint32_t place = (uint32_t)(((uint64_t)hint + i) % count);
		struct session_row *r = &b->row[start + place];
		uint32_t state = SESSION_FREE;

		if (atomic_load_explicit(&r->state, memory_order_relaxed) != SESSION_FREE)
			continue;
		/* Before the row is taken, so that the sweep finds it whenever this worker dies. */
		atomic_store(&r->kind_slot, owner_of(WORKER_LOGIN, part));
		if (place + 1 > atomic_load(&b->part[part].used))
			atomic_store(&b->part[part].used, place + 1);
		if (!atomic_compare_exchange_strong(&r->state, &state, SESSION_LOGIN))
			continue;
		clear_row(r);
		atomic_store(&b->part[part].hint, place + 1);
		*row_out = start + place;
		return true;
	}
	return false;
}

void
board_free(struct board *b, uint32_t row)
{
	uint32_t part, place;

	if (row >= b->rows)
		return;
	part = part_of(b, row);
	place = row - part_start(b, part);
	release(b, row, part);
	/* Low rows first, so that memory follows the number of sessions. Two that free at once may
	 * leave the hint too high: then the search wraps around. */
	if (place < atomic_load(&b->part[part].hint))
		atomic_store(&b->part[part].hint, place);
}

void
board_own(struct board *b, uint32_t row, enum session_state state, enum worker_kind kind,
          uint32_t slot)
{
	if (row >= b->rows)
		return;
	atomic_store(&b->row[row].kind_slot, owner_of(kind, slot));
	atomic_store(&b->row[row].state, state);
}

uint32_t
board_next(const struct board *b, uint32_t row)
{
	while (row < b->rows) {
		uint32_t part = part_of(b, row);

		if (row - part_start(b, part) < atomic_load(&b->part[part].used))
			return row;
		row = part_start(b, part + 1);
	}
	return b->rows;
}

uint32_t
board_sweep(struct board *b, enum worker_kind kind, uint32_t slot)
{
	const uint32_t owner = owner_of(kind, slot);
	uint32_t freed = 0;
	uint32_t row;

	for (row = board_next(b, 0); row < b->rows; row = board_next(b, row + 1)) {
		if (atomic_load(&b->row[row].state) == SESSION_FREE ||
		    atomic_load(&b->row[row].kind_slot) != owner)
			continue;
		board_free(b, row);
		freed++;
	}
	return freed;
}

/* ---- The TLS ticket key, under a sequence lock: one writer, readers that try again. ---- */

#define KEY_WORDS (TLS_TICKET_KEY / sizeof(uint64_t))

uint32_t
tls_share_read(const struct tls_share *t, uint8_t key_out[TLS_TICKET_KEY])
{
	uint32_t before, after;
	size_t i;

	do {
		before = atomic_load_explicit(&t->version, memory_order_acquire);
		for (i = 0; i < KEY_WORDS; i++) {
			uint64_t word = atomic_load_explicit(&t->key[i], memory_order_relaxed);

			memcpy(key_out + i * sizeof(word), &word, sizeof(word));
		}
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&t->version, memory_order_relaxed);
	} while (before != after || before % 2 != 0);
	pst_assert(before != 0); /* a key that was never made would be known to everybody */
	return before;
}

void
tls_share_renew(struct tls_share *t)
{
	uint32_t version = atomic_load(&t->version);
	uint64_t key[KEY_WORDS];
	size_t i;

	pst_random(key, sizeof(key));
	/* The release fence keeps the words behind the odd version. */
	atomic_store_explicit(&t->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (i = 0; i < KEY_WORDS; i++)
		atomic_store_explicit(&t->key[i], key[i], memory_order_relaxed);
	atomic_store_explicit(&t->version, version + 2, memory_order_release);
	pst_wipe(key, sizeof(key));
}
