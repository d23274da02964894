/* SPDX-License-Identifier: MIT */
/* storage/maildir/hold.h - where a Maildir's removed messages are kept, and how they come back.
 *
 * cur/..postern.hold: names with a dot in front are no messages to any program; a folder at the top of
 * the Maildir would be a mail folder to Dovecot, in one of its layouts or the other; and with a single
 * dot its quota driver counts the folder for a message. A file keeps its name and its times. */
#ifndef STORAGE_MAILDIR_HOLD_H
#define STORAGE_MAILDIR_HOLD_H

#include "storage/index/hold.h"
#include "storage/index/names.h"
#include "storage/maildir/drop.h"

#define DROP_HOLD_NAME "..postern.hold"

/* curfd: of cur/. area_out borrows from d. */
void drop_locate_hold(const struct pst_maildrop *d, int curfd, struct hold_area *area_out);

/* Says which messages are about to go there. -1: nothing is to go; batch_out is to be forgotten and
 * closed in either case. */
int drop_write_journal(const struct pst_maildrop *d, const struct hold_area *area,
                       const uint32_t *idx, uint32_t n, const struct pst_hold *how,
                       struct hold_batch *batch_out, struct pst_err *err);

/* The files of a removal. They may have been renamed after the journal was written: they are found by
 * their base names. */
struct hold_dir_file {
	uint32_t at; /* in the text */
	uint16_t octets;
};

struct hold_dir {
	struct names by_base; /* number of the file */
	uint32_t count;

	/* private */
	struct hold_dir_file *files;
	size_t used;
	struct mem mem_text, mem_files;
};

/* Whatever it returns, clear is to be called. */
int hold_dir_read(struct hold_dir *dir, const struct hold_batch *batch, struct pst_err *err);
struct pst_str hold_dir_name(const struct hold_dir *dir, uint32_t file);
void hold_dir_clear(struct hold_dir *dir);

/* ---- As in postern/storage.h ---- */

int drop_bring_back(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                    struct pst_err *err);
int drop_let_go(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                struct pst_err *err);
int drop_held(struct pst_maildrop *d, const struct pst_held *which,
              void (*each)(void *arg, const struct pst_held_message *msg), void *arg,
              struct pst_err *err);

#endif
