/* SPDX-License-Identifier: MIT */
/* A storage for the tests of the mail worker: its messages lie one behind the other in one file, and
 * it fails as it is told to. It aborts where the worker breaks a promise of postern/storage.h. */
#ifndef TESTS_FAKE_STORAGE_H
#define TESTS_FAKE_STORAGE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include <postern/storage.h>

struct fake_message {
	struct pst_str text; /* as stored; owned */
	uint64_t offset;     /* in the file */
	uint64_t size_octets;
	uint64_t length; /* that fetch tells */
	char uidl[PST_UIDL_MAX + 1];
	bool is_gone;  /* fetch fails, commit counts it as removed */
	bool is_stuck; /* commit cannot remove it */
	bool is_removed;
	int64_t received_s; /* 0: not known */
	bool waits;         /* fetch says WAIT on the loop */
	bool has_no_header_end;
};

struct fake {
	struct fake_message *v;
	uint32_t n;
	int fd;

	bool is_exclusive;       /* open says PST_E_IN_USE while it is open already */
	bool forgets;            /* what was removed is not listed by the next open */
	bool is_locked;          /* open says PST_E_IN_USE */
	enum pst_err_kind fails; /* open fails like that; 0: it works */
	bool is_slow;            /* open and commit wait for go */
	sem_t go;

	_Atomic unsigned opens, commits, closes;
	_Atomic unsigned looked_at;            /* calls of received */
	_Atomic unsigned fetches, bodies_open; /* bodies: fetched and not yet done with */
	_Atomic unsigned long messages;        /* calls */
	_Atomic int calls;                     /* that may block, going on now: at most one */
	_Atomic uint32_t last_commit;          /* messages in it */
};

extern const struct pst_storage fake_storage;

/* Whether what can be done at once (open that is not slow, close) is done on the loop. */
extern bool fake_is_quick;

void fake_init(struct fake *f);
void fake_clear(struct fake *f);

/* Adds a message; its size is right and its UIDL "uidl-NUMBER". Returns it. */
struct fake_message *fake_add(struct fake *f, struct pst_str text);

/* Adds n small messages at once. */
void fake_add_many(struct fake *f, uint32_t n);

#endif
