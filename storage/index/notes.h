/* SPDX-License-Identifier: MIT */
/* storage/index/notes.h - lines that are kept with a maildrop: what its sessions did.
 *
 * A line is one write at the end of the file, and ends with " ." so that a torn one does not pass for
 * whole. When the file has half of the room it becomes the old one, and what was the old one goes. */
#ifndef STORAGE_INDEX_NOTES_H
#define STORAGE_INDEX_NOTES_H

#include <postern/err.h>
#include <postern/str.h>

struct notes_file {
	int dirfd;
	const char *name, *old;
	bool check_owner; /* take it only if it is ours: the directory is shared */
};

/* Whoever calls has the maildrop's lock. -1: the file is as it was. */
int notes_add(const struct notes_file *file, struct pst_str line, uint64_t max_octets,
              struct pst_err *err);

/* All whole lines, the oldest first. 0 where there is no file. */
int notes_read(const struct notes_file *file, void (*each)(void *arg, struct pst_str line),
               void *arg, struct pst_err *err);

#endif
