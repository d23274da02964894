/* SPDX-License-Identifier: MIT */
/* storage/mbox/hold.h - where an mbox's removed messages are kept, and how they come back.
 *
 * .NAME.postern.hold, beside the ledger of UIDLs. All messages of a removal lie one behind the other in
 * one file, octet by octet as they lay in the mbox; a journal's name is what the index has of the
 * message, with its place in that file. */
#ifndef STORAGE_MBOX_HOLD_H
#define STORAGE_MBOX_HOLD_H

#include "storage/index/hold.h"
#include "storage/mbox/mbox.h"

#define MBOX_HOLD_MAIL "mail"

void mbox_locate_hold(struct pst_maildrop *d, struct hold_area *area_out);

/* Copies the n messages of ix at at[0 … n-1], ascending, to the disk. Whatever it returns, batch_out is to
 * be closed. */
int mbox_keep(const struct pst_maildrop *d, int fd, const struct index *ix, const uint32_t *at,
              uint32_t n, const struct hold_area *area, const struct pst_hold *how,
              struct hold_batch *batch_out, struct pst_err *err);

/* As in postern/storage.h. */
int mbox_hold(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, const struct pst_hold *how,
              uint32_t *removed_out, struct pst_err *err);
int mbox_bring_back(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                    struct pst_err *err);
int mbox_let_go(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                struct pst_err *err);
int mbox_held(struct pst_maildrop *d, const struct pst_held *which,
              void (*each)(void *arg, const struct pst_held_message *msg), void *arg,
              struct pst_err *err);
int mbox_note(struct pst_maildrop *d, struct pst_str line, uint64_t max_octets,
              struct pst_err *err);
int mbox_notes(struct pst_maildrop *d, void (*each)(void *arg, struct pst_str line), void *arg,
               struct pst_err *err);

#endif
