/* SPDX-License-Identifier: MIT */
/* ipc/shm.h - what the processes share in memory: mapped by the master before it forks, of fixed
 * size, each mapping seen only by the kinds of worker that need it (the others unmap it). */
#ifndef IPC_SHM_H
#define IPC_SHM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <postern/err.h>
#include <postern/str.h>

/* A shared anonymous mapping, zeroed; aborts where there is no memory at start. */
void *shm_create(size_t octets);
void shm_destroy(void *p, size_t octets); /* accepts NULL */

/* ---- Slots: one row for each place a worker can stand in. All workers and the master see it. ---- */

enum worker_kind { WORKER_LOGIN, WORKER_KEYS, WORKER_AUTH, WORKER_MAIL, WORKER_KINDS };

extern const char *const worker_kind_names[WORKER_KINDS]; /* "login", "keys", "auth", "mail" */

enum slot_state { SLOT_EMPTY, SLOT_STARTING, SLOT_READY, SLOT_BUSY, SLOT_DRAINING, SLOT_RETIRING };

/* What of the sandbox holds, as the worker itself found after closing it. */
#define SANDBOX_NO_NEW_PRIVS 1u
#define SANDBOX_SECCOMP 2u
#define SANDBOX_LANDLOCK 4u
#define SANDBOX_CHROOT 8u
#define SANDBOX_OWN_USER 16u /* runs as a user of its own, without capabilities */

struct slot_row {
	_Atomic uint32_t state; /* enum slot_state */
	_Atomic uint32_t incarnation;
	_Atomic int32_t pid;
	_Atomic uint32_t sandbox; /* SANDBOX_… */
	_Atomic uint32_t landlock_abi;
	_Atomic uint32_t sessions; /* login: clients; mail: open sessions */
	/* auth: the request in hand, so that the master can end one that takes too long and tell its
	 * asker. busy_since_ms is 0 when idle. */
	_Atomic int64_t busy_since_ms;
	_Atomic uint32_t asker_slot;
	_Atomic uint32_t asker_incarnation;
	_Atomic uint64_t asker_request;
	/* auth, since the generation began: passwords that were known to be right, those that took
	 * a check in a hash worker, those told [SYS/TEMP] for want of one; notes that found no room. */
	_Atomic uint64_t remembered, hashed, overloaded, notes_lost;
	_Atomic uint32_t deaths; /* the master's */
	_Atomic int64_t started_ms;
	/* auth: 1 + the place of the auth plugin that is being loaded or started; 0: none is. */
	_Atomic uint32_t beginning;
	char doing[64];    /* for the log if it dies; text without secrets, ended by NUL */
	char failure[256]; /* why it could not start, for who asked for the reload; likewise */
};

/* Tells what the worker is at, cheaply: copies at most 63 octets. */
void slot_doing(struct slot_row *row, struct pst_str text);

/* Tells why it ends, where it can say so. */
void slot_failure(struct slot_row *row, struct pst_str text);

/* ---- Scoreboard: one row a session. login and mail write it, the master reads it. ---- */

enum session_state { SESSION_FREE, SESSION_LOGIN, SESSION_AUTH, SESSION_MAIL };

struct session_row {
	_Atomic uint32_t state;     /* enum session_state */
	_Atomic uint32_t serial;    /* raised at each use of the row */
	_Atomic uint32_t kind_slot; /* owner: enum worker_kind << 16 | slot */
	_Atomic uint32_t tls;
	_Atomic int64_t since_ms; /* CLOCK_MONOTONIC */
	_Atomic uint32_t retrieved, deleted;
	_Atomic uint64_t octets;
	char sid[24];
	char peer[64];
	char user[80]; /* a longer name is cut here */
};

#define BOARD_MAX_PARTS 256

/* Private: what the workers of a part remember of it. */
struct board_part {
	_Atomic uint32_t hint; /* where to look first */
	_Atomic uint32_t used; /* rows that ever were in use */
};

/* A process's own view of the board. Its bounds are not in shared memory: a broken worker may write
 * any nonsense there, but cannot send another one, or the master, outside the rows. */
struct board {
	uint32_t rows;
	uint32_t parts;          /* each login slot allocates in its own part */
	struct board_part *part; /* shared */
	struct session_row *row; /* shared */
};

/* Shared memory that a board needs, and a board on it, which is zeroed. */
size_t board_octets(uint32_t rows);
void board_init(struct board *b, void *shared, uint32_t rows, uint32_t parts);

/* A free row of the part, now SESSION_LOGIN and the caller's; false: all are taken. */
bool board_take(struct board *b, uint32_t part, uint32_t *row_out);

/* Here and below, a row number that is none (a broken peer may send one) changes nothing. */
void board_free(struct board *b, uint32_t row);

/* Changes the owner and the state. */
void board_own(struct board *b, uint32_t row, enum session_state state, enum worker_kind kind,
               uint32_t slot);

/* The first row from row on that ever was in use, or b->rows: to go through the board without taking
 * memory for rows that no session needed yet. */
uint32_t board_next(const struct board *b, uint32_t row);

/* Frees every row of a worker that died; returns how many. */
uint32_t board_sweep(struct board *b, enum worker_kind kind, uint32_t slot);

/* ---- TLS: seen by login workers and the master only. ---- */

#define TLS_TICKET_KEY 64

struct tls_share {
	_Atomic uint32_t version; /* odd while the master writes; 0: no key was made yet */
	_Atomic uint64_t key[TLS_TICKET_KEY / 8]; /* private: read it with tls_share_read */
};

/* A consistent copy; returns its version. The caller wipes it. The master has called
 * tls_share_renew before any reader was made. */
uint32_t tls_share_read(const struct tls_share *t, uint8_t key_out[TLS_TICKET_KEY]);
void tls_share_renew(struct tls_share *t); /* the master's: a new random key */

#endif
