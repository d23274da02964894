/* SPDX-License-Identifier: MIT */
/* storage/index/ledger.h - the UIDLs that were shown and that the mail itself cannot tell.
 *
 * The index is a cache: it may lie on a tmpfs, is written without fsync, and may be thrown away. A
 * UIDL may not. So whatever could not be made again from the mail under the present settings (a
 * number, the name of a duplicate, what an old server's list or another server said, an order that
 * was taken over) is written here, beside the mail, before it is shown; a maildrop whose UIDLs are
 * file names or digests has no ledger at all. Two files and not one, because they are written at
 * different times: the index whole at each new message, the ledger only by the octets that are new,
 * and then with fdatasync.
 *
 * The file is a head and records behind it, each with its own checksum, which holds for its place in
 * this file only. A crash at any octet leaves the records before it; what is cut is written over. A
 * damaged place costs the records that lay there: the next good ones are found, and the ledger
 * counts as doubtful. It does too where it was copied (it knows its file's inode and birth) or where the index knows
 * of higher numbers: then new messages get numbers of a new UIDVALIDITY, so that no number that
 * may have been shown is given to another message. Old UIDLs stay as they are recorded.
 *
 * It is read only where a maildrop changed, and holds the records of messages that are gone for long:
 * mail that comes back from a backup has its UIDL again. compaction drops the oldest of them. */
#ifndef STORAGE_INDEX_LEDGER_H
#define STORAGE_INDEX_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#include "storage/index/mem.h"

#define LEDGER_VERSION 1u
#define LEDGER_UIDL_MAX 70
#define LEDGER_KEY_MAX 1000

/* What is known of one message. A UIDL is in a ledger once: a later entry with the same one replaces
 * the earlier. */
struct ledger_entry {
	struct pst_str key;     /* what the driver knows the message by: base name or identity */
	struct pst_str uidl;    /* 1 to LEDGER_UIDL_MAX octets of 0x21 to 0x7E */
	uint64_t print;         /* of its octets, see prints.h; 0: not known */
	uint32_t uid, validity; /* the numbers that it was given; 0: none */
	uint32_t order;         /* its place in the listing, before all that have none; 0: none */
	bool is_gone;           /* the UIDL is another message's never again; this one is no more */
};

struct ledger_file {
	int dirfd;         /* of the directory that holds it */
	const char *name;  /* in that directory */
	const char *spare; /* likewise: for ledger_rewrite */
	bool check_owner;  /* the directory is shared */
};

struct ledger {
	struct ledger_entry
		*entries; /* those that count, in the order of the file; borrowed strings */
	uint32_t count;
	uint32_t dropped; /* records in the file that do not count any more */
	bool has_order;   /* of some entry that is not gone */
	bool is_there;    /* there is a file */

	/* Numbers: the next one is given with the present UIDVALIDITY; 0: none was given yet. */
	uint32_t validity, next_uid;
	bool is_doubtful; /* a number may have been given that is not on record */
	uint32_t damaged; /* runs of octets that are no records, but for a cut end */

	/* private */
	const struct ledger_file *file;
	bool wants_head; /* what the head says is not right: appending writes all anew */
	uint64_t octets; /* of the file that hold; appending goes there */
	uint64_t seed, table_seed;
	uint32_t *slots[2]; /* by key (newest first), by UIDL */
	uint32_t *older;    /* entry with the same hash of its key, by entry */
	size_t mask;
	struct mem mem_text, mem_entries, mem_slots, mem_older;
};

/* *l must be zeroed; file is borrowed until ledger_clear. No file: an empty ledger, and 0. -1
 * (PST_E_TEMP): it is there and cannot be read or is none of ours (*is_bad_out), or there is no
 * memory. Never more than max octets are read. */
int ledger_load(struct ledger *l, const struct ledger_file *file, size_t max, bool *is_bad_out,
                struct pst_err *err);
void ledger_clear(struct ledger *l); /* accepts a zeroed one */

/* The entries of a key that are not gone, newest first: NULL, or the one after e (NULL: the first). */
const struct ledger_entry *ledger_find(const struct ledger *l, struct pst_str key,
                                       const struct ledger_entry *e);
/* Also one that is gone. */
const struct ledger_entry *ledger_of_uidl(const struct ledger *l, struct pst_str uidl);

/* A UIDVALIDITY and a UID that were never given in this maildrop. known_validity and known_next: what
 * the index says was given (0: nothing). now_s: seconds since 1970, from which a new UIDVALIDITY
 * comes. Where it is not shown (is_bare) it cannot tell numbers apart: then the UIDs begin with the
 * time, in seconds, which no more than one message a second can catch up with. */
void ledger_numbers(struct ledger *l, uint32_t known_validity, uint32_t known_next, int64_t now_s,
                    bool is_bare);
/* The next one. false: there is none left under this UIDVALIDITY; ask ledger_numbers again with
 * is_doubtful set. */
bool ledger_next(struct ledger *l, uint32_t *uid_out);

/* Appends n entries. When it returns 0 they survive a crash (with must_sync; else they survive this
 * process). -1 (PST_E_TEMP): none of them is to be counted on, and what was there stays. They count for
 * later loads, not for *l. */
int ledger_append(struct ledger *l, const struct ledger_entry *entries, uint32_t n, bool must_sync,
                  struct pst_err *err);

/* Puts a ledger with these n entries in the place of the file: all or none, and when it returns 0 it
 * survives a crash. The numbers of *l stay, so that none is given again. For an order, or UIDLs from
 * elsewhere: forget the index before (index_forget), then do this; a crash between costs the index
 * only. */
int ledger_rewrite(struct ledger *l, const struct ledger_entry *entries, uint32_t n,
                   struct pst_err *err);

/* Writes it anew with what is live (an octet for each entry, not 0: its message is there), the younger
 * half of the others, and n more. As ledger_append with must_sync. */
int ledger_compact(struct ledger *l, const uint8_t *live, const struct ledger_entry *entries,
                   uint32_t n, struct pst_err *err);

/* Whether so much of it is of no use any more that it should be written anew. live: messages that
 * there are. */
bool ledger_wants_rewrite(const struct ledger *l, uint32_t live);

#endif
