/* SPDX-License-Identifier: MIT */
/* ipc/ticket.h - what auth tells mail through login's hands: sealed, short-lived, served once.
 *
 * The office (the sealing key and the list of served tickets) is shared memory that only auth and
 * mail workers map. login can neither read nor make nor change a ticket. */
#ifndef IPC_TICKET_H
#define IPC_TICKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#define TICKET_LIFE_MS 30000
#define TICKET_SERVED 65536 /* a power of two */

struct ticket_office {
	uint8_t key[32];
	/* auth's own, and the same from the server's start to its end: the generations pass it on. */
	uint8_t boot_secret[32];
	_Atomic uint64_t next;
	_Atomic uint64_t served[TICKET_SERVED]; /* by number modulo TICKET_SERVED: the latest one */
};

struct ticket {
	uint32_t uid, gid;
	int64_t expires_ms; /* CLOCK_MONOTONIC; set by ticket_seal */
	struct pst_str sid; /* the session that it is for */
	struct pst_str user;
	struct pst_str location; /* "maildir:/srv/mail/x", the template filled in */
	struct pst_str mechanism;
	struct pst_str master; /* who logged in for the user, or empty */
	struct pst_str app;    /* the label of the app password that was used, or empty */

	uint32_t backend;    /* the one that knew the user: its place in auth.backends */
	bool wants_notes;    /* it takes notes: NOTE_SESSION is not for nothing */
	uint64_t changes_at; /* the ring of changes when the user was looked up (ipc/changes.h) */

	/* The account's contract; 0: not said. */
	uint32_t max_sessions; /* at the same time */
	uint32_t max_listed;   /* messages, the oldest */
	int64_t min_poll_ms;   /* between two logins */
	bool read_only;        /* nothing may be deleted */
	uint32_t expire_days;  /* these two as in struct pst_auth_record */
	uint32_t hold_days;

	int64_t leased_ms; /* CLOCK_MONOTONIC: when its lease was taken (mail.locks); 0: it has none */
};

/* A worker's own handle on the office. */
struct ticket_desk;

void ticket_office_init(struct ticket_office *o);                /* the master's: a new key */
struct ticket_desk *ticket_desk_create(struct ticket_office *o); /* o is borrowed */
void ticket_desk_destroy(struct ticket_desk *d);

/* Octets of the sealed ticket in out (WIRE_TICKET long), or 0 where a string is too long. */
size_t ticket_seal(struct ticket_desk *d, const struct ticket *t, uint8_t *out);

/* Opens a ticket for session sid and marks it served. Strings of *t_out borrow from scratch, which
 * is WIRE_TICKET long. -1 (PST_E_PERM): forged, for another session, expired or served before. */
int ticket_open(struct ticket_desk *d, struct pst_str sealed, struct pst_str sid, uint8_t *scratch,
                struct ticket *t_out, struct pst_err *err);

#endif
