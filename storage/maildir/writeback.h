/* SPDX-License-Identifier: MIT */
/* storage/maildir/writeback.h - the old server's list is told of mail that came to us.
 *
 * So that a way back exists: a message that the list does not have gets the number that the old
 * server would give it, and is written into the list before its UIDL is shown. Where we show another
 * UIDL than the list says, the list is told that too. With Dovecot at work on the same Maildir all
 * this happens under its lock, after reading the list again: no number is given twice.
 *
 * Where the list cannot be written, the session goes on without; what is owed is tried again. */
#ifndef STORAGE_MAILDIR_WRITEBACK_H
#define STORAGE_MAILDIR_WRITEBACK_H

#include "storage/maildir/dotlock.h"
#include "storage/maildir/drop.h"
#include "storage/maildir/foreign.h"
#include "storage/maildir/uidls.h"

/* f and u as loaded and chosen; both may be other ones afterwards. *owes_out: messages that the list
 * does not have are to be tried again. -1: as foreign_load and uidls_choose. */
int writeback_run(const struct pst_maildrop *d, struct scan *s, struct foreign *f, struct uidls *u,
                  bool *owes_out, struct pst_err *err);

/* ---- For the two formats ---- */

enum writeback_fate {
	WRITEBACK_KEEP,
	WRITEBACK_DROP, /* of a file that is gone, or not the last line of its name */
	WRITEBACK_SET,  /* another UIDL than the line says is shown */
};

/* One writing. */
struct writeback {
	const struct pst_maildrop *d;
	struct scan *s;
	struct foreign *f;
	struct uidls *u;
	struct ledger *ledger;

	uint32_t *ids; /* messages that the list does not have, in the order of their numbers */
	uint32_t id_count;
	uint32_t file_count; /* records that are in the file; those of ids follow, one each */
	uint8_t *fates;      /* by record in the file */
	bool must_rewrite;   /* lines are to be changed or left out */
	struct mem mem_ids, mem_keys, mem_fates, mem_text;
	size_t text_used;
};

struct pst_str writeback_uidl(const struct writeback *w, uint32_t id, char buf[MAILDIR_UIDL_ROOM]);
int writeback_text(struct writeback *w, struct pst_err *err, const char *fmt, ...) PST_PRINTF(3, 4);
int writeback_octets(struct writeback *w, struct pst_str s, struct pst_err *err);

/* Calls put for each line behind the first ones that stays or is to be set. record: its place. */
typedef int writeback_line(struct writeback *w, struct pst_str line, uint32_t record,
                           struct pst_err *err);
int writeback_lines(struct writeback *w, unsigned head_lines, writeback_line *put,
                    struct pst_err *err);

/* The numbers of the messages in ids, as records behind those of the file. -1: there are none left,
 * or there is no memory. */
int writeback_number_dovecot(struct writeback *w, struct pst_err *err);
int writeback_number_courier(struct writeback *w, struct pst_err *err);

/* The numbers by which Courier shows this UIDL; false: it cannot. */
bool writeback_courier_numbers(struct pst_str base, struct pst_str uidl, uint64_t *uid_out,
                               uint64_t *validity_out);

/* What is to be written: for Dovecot's list behind it, or in its place with must_rewrite. */
int writeback_dovecot(struct writeback *w, struct pst_err *err);
int writeback_courier(struct writeback *w, struct pst_err *err);

/* writeback_file.c: -1 leaves the list as it was, or with whole lines more. */
int writeback_append(const struct writeback *w, const char *name, struct pst_err *err);
int writeback_replace(const struct writeback *w, const char *name, const struct dotlock *lock,
                      struct pst_err *err);

#endif
