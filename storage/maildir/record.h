/* SPDX-License-Identifier: MIT */
/* storage/maildir/record.h - the ledger of a Maildir: where it is, what goes into it, and when so much
 * changes that nothing may. */
#ifndef STORAGE_MAILDIR_RECORD_H
#define STORAGE_MAILDIR_RECORD_H

#include "storage/index/ledger.h"
#include "storage/maildir/drop.h"
#include "storage/maildir/uidls.h"

#define RECORD_NAME "postern.uidls"
#define RECORD_SPARE "postern.uidls.spare"

/* The ledger's place; d->ledger_file is set. Any number of times. */
void record_locate(struct pst_maildrop *d);

/* *l must be zeroed. A ledger that tells nothing is -1 (PST_E_TEMP), or where the admin accepts that
 * an empty one. */
int record_load(struct pst_maildrop *d, struct ledger *l, struct pst_err *err);

/* -1 (PST_E_TEMP): too many UIDLs would change. */
int record_guard(const struct pst_maildrop *d, const struct scan *s, const struct uidls *u,
                 struct pst_err *err);

/* Writes down what must be before it is shown, and what better is. Fresh messages whose UIDL could not
 * be written are FRESH_UNNAMED then, and the log says so. *is_complete_out: all that the mail does not
 * tell is on record. -1: no memory. */
int record_write(const struct pst_maildrop *d, struct scan *s, const struct uidls *u,
                 struct ledger *l, bool *is_complete_out, struct pst_err *err);

#endif
