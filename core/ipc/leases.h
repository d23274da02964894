/* SPDX-License-Identifier: MIT */
/* ipc/leases.h - which sessions' leases were made to hold longer (mail.locks = "lease").
 *
 * A mail worker asks for it with NOTE_LEASE, which says when; the clerk writes that time here once the
 * database has said yes. So a mail worker knows until when nobody else may open the maildrop, whatever
 * becomes of the clerk, of the database or of a note. Shared memory, one cell a place; two sessions in
 * one place see nothing confirmed, which is safe. */
#ifndef IPC_LEASES_H
#define IPC_LEASES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#define LEASE_PLACES 65536
#define LEASE_STEP_MS 100 /* times are so coarse, and never later than they were */

struct lease_board {
	_Atomic uint64_t cell[LEASE_PLACES];
};

/* at_ms: CLOCK_MONOTONIC, when the session asked. Any place will do. */
void leases_confirm(struct lease_board *b, uint32_t place, struct pst_str taker, int64_t at_ms);

/* The database says that another server has it. */
void leases_deny(struct lease_board *b, uint32_t place, struct pst_str taker);

enum lease_word { LEASE_NOTHING, LEASE_CONFIRMED, LEASE_DENIED };

/* What was last said to this taker; *at_ms_out with CONFIRMED. */
enum lease_word leases_read(const struct lease_board *b, uint32_t place, struct pst_str taker,
                            int64_t *at_ms_out);

#endif
