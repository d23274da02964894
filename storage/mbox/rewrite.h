/* SPDX-License-Identifier: MIT */
/* storage/mbox/rewrite.h - taking messages out of an mbox and putting some behind it, in place.
 *
 * In place, because a delivery agent that waits for the lock has the file open already: were the
 * file replaced, it would append to one that nobody sees any more. At every moment all messages that
 * stay are in the file in one piece, whoever reads it:
 *
 *	A D T              T are the messages after the first removed one that stay
 *	A D T [mark T]     T is copied behind, between two marks; then to the disk
 *	A T … [mark T]     and over D and the old T; then to the disk
 *	A T                the file is cut
 *
 * A note in a file of our own says which of it was going on. Whoever opens the mbox next finishes
 * it or takes it back. The marks bear a random number that the note has too, so that no mail passes
 * for one. All this is done under the mail's locks. */
#ifndef STORAGE_MBOX_REWRITE_H
#define STORAGE_MBOX_REWRITE_H

#include "storage/mbox/lock.h"

struct rewrite_range {
	uint64_t at, end;
};

struct rewrite {
	const struct pst_host *host;
	const char *path; /* for messages to the operator */
	int fd;           /* of the mbox, for reading and writing, locked */
	int note_fd;      /* -1: there is none; then only the end of the file can be removed */
	struct lock *lock;
};

/* Removes the n ranges: ascending, none empty, whole messages. -1: the file is as it was, or the next
 * rewrite_recover sees to it. */
int rewrite_remove(const struct rewrite *rw, const struct rewrite_range *ranges, uint32_t n,
                   struct pst_err *err);

/* Puts the n pieces, which are the whole file, into this order: none empty, each of whole messages that
 * end with an empty line. -1: as above. */
int rewrite_arrange(const struct rewrite *rw, const struct rewrite_range *pieces, uint32_t n,
                    struct pst_err *err);

/* How many line ends must stand before a From_ line at the end of the file, which is size octets long.
 * -1: it cannot be read. */
int rewrite_newlines(const struct rewrite *rw, uint64_t size);

/* Room for octets more at the end of the file, with a note that all of it is to go again; *at_out: where
 * they are to be written, through fd. -1: the file is as it was. */
int rewrite_add_begin(const struct rewrite *rw, uint64_t octets, uint64_t *at_out,
                      struct pst_err *err);

/* They are written: from here on they stay. -1: they are taken back, now or by rewrite_recover. */
int rewrite_add_end(const struct rewrite *rw, struct pst_err *err);
void rewrite_add_undo(const struct rewrite *rw); /* in place of the end */

/* Whether a rewrite did not come to its end. */
bool rewrite_is_pending(int note_fd);

/* Finishes it or takes it back. The mbox may have grown since. */
int rewrite_recover(const struct rewrite *rw, struct pst_err *err);

#endif
