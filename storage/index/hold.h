/* SPDX-License-Identifier: MIT */
/* storage/index/hold.h - the place of removed messages that can be brought back.
 *
 * It is a folder, made when it is first needed. Each removal has a folder of its own in it, named by
 * its time and its session:
 *
 *	AREA/00001700000000.123456.SESSION/.journal   what was removed, written before anything is
 *	AREA/00001700000000.123456.SESSION/…          the driver's: the messages
 *	AREA/expired                                  its time says when old ones last went
 *
 * The journal is on the disk, whole, before the first message leaves the maildrop, so that at every
 * moment a message is either in the maildrop or here, and its UIDL is known. A journal without its
 * end is of a removal that did not take place. It is text: a line for each message, in the order of the
 * listing, words as in escape.h:
 *
 *	PSTHOLD 1
 *	removed 1700000000 SESSION
 *	m WIRE STORED SURROGATE RULES FLAGS UIDL BEFORE NAME
 *	end 1
 *
 * BEFORE is the UIDL of the message that was listed before it. */
#ifndef STORAGE_INDEX_HOLD_H
#define STORAGE_INDEX_HOLD_H

#include <postern/storage.h>

#include "storage/index/mem.h"

#define HOLD_JOURNAL ".journal"
#define HOLD_NAME_MAX 128

struct hold_area {
	int dirfd;        /* of the folder that it lies in; or AT_FDCWD */
	const char *name; /* of its own */
	const char *path; /* of the maildrop, for messages to the operator */
	const struct pst_host *host;
};

struct hold_record {
	uint64_t wire_octets, stored_octets, surrogate_octets; /* as in struct index_message */
	unsigned surrogate_rules, flags;                       /* likewise */
	struct pst_str uidl;
	struct pst_str before; /* empty: it was the first */
	struct pst_str name;   /* the driver's */
};

/* One removal. fd is its folder's. */
struct hold_batch {
	int fd;
	char name[HOLD_NAME_MAX + 1];
	int64_t removed_s;

	/* Of one that was read. */
	struct pst_str session;
	struct hold_record *records;
	uint32_t count;

	/* private */
	struct mem mem_text, mem_records;
	size_t used;
};

/* ---- Keeping ---- */

/* Makes the folder of a removal. -1 (PST_E_TEMP, PST_E_PERM): there is none, fd is -1. */
int hold_begin(const struct hold_area *area, const struct pst_hold *how, struct hold_batch *b,
               struct pst_err *err);

/* Adds a line to the journal, which is in memory yet. */
int hold_add(struct hold_batch *b, const struct hold_record *r, struct pst_err *err);

/* Writes the journal to the disk. */
int hold_seal(const struct hold_area *area, struct hold_batch *b, struct pst_err *err);

/* Removes the journal and the folder, unless a message lies there. */
void hold_forget(const struct hold_area *area, const struct hold_batch *b);

/* Removes it with all that lies there: nothing of it was removed, or all of it has come back. */
void hold_undo(const struct hold_area *area, const struct hold_batch *b);

void hold_close(struct hold_batch *b); /* accepts one that begin failed on, or cleared: fd -1 */

/* ---- Finding ---- */

/* The removals that fit, by their names: the oldest first. */
struct hold_list {
	char (*names)[HOLD_NAME_MAX + 1];
	uint32_t count;
	struct mem mem;
};

/* 0 and an empty list where there is no area. The session is not looked at yet. */
int hold_list(const struct hold_area *area, const struct pst_held *which, struct hold_list *out,
              struct pst_err *err);
void hold_list_clear(struct hold_list *l);

enum hold_read { HOLD_READ = 1, HOLD_PASS, HOLD_FAILED };

/* Opens a removal of the list and reads its journal. PASS: another session's, gone, or without a whole
 * journal; b is closed. */
enum hold_read hold_read(const struct hold_area *area, const char *name,
                         const struct pst_held *which, struct hold_batch *b, struct pst_err *err);

/* Calls on_file for each of the driver's files in the folder, and stops where that is not 0. The
 * result is the last one's; -1 with err where the folder cannot be read. */
typedef int hold_file(void *arg, struct pst_str name, struct pst_err *err);
int hold_files(const struct hold_batch *b, hold_file *on_file, void *arg, struct pst_err *err);

/* ---- Letting go ---- */

/* *messages_out: files that went, where each is a message; else messages in the journals of the
 * removals that went. -1: not all could go. */
int hold_let_go(const struct hold_area *area, const struct pst_held *which, bool is_file_each,
                uint32_t *messages_out, struct pst_err *err);

#endif
