/* SPDX-License-Identifier: MIT */
/* storage/index/index.h - what a maildrop's messages were found to be, so that it is found out once.
 *
 * For each message, in the order of the listing: its name (how the driver finds it again), its
 * identity (the first octets of the name, by which it stays the same message), the octets it has on
 * the wire and as stored, and the UIDL that was shown for it. After the listed ones come kept ones:
 * messages that the last look did not find, remembered for a while because one look proves little.
 * The head says what the places where the mail lies looked like, so that an unchanged maildrop is
 * listed from here and nothing else is read.
 *
 * The file and the memory are the same octets: loading is one read, one checksum and a check of
 * every offset; messages are decoded where they lie, so a message costs its record and its name and
 * no more. All numbers are little-endian. The parts are sections with an id and a place: a later
 * program may add ids (a position, a UIDL's origin), which older ones of the same version skip and
 * do not write again; what an older program must not lose raises INDEX_VERSION, by which the file
 * counts as none. Losing the file costs time, and UIDLs only where they are
 * neither in the mail nor in an old server's list.
 *
 *	head       "PSTINDEX", version, lengths, sums, generation, places, table of sections
 *	records    32 octets each: wire and stored octets, places of name and UIDL, flags
 *	missed     for each kept one: since when it is missing
 *	strings    names and UIDLs; a UIDL that is the identity is not stored twice. Behind the name
 *	           of a message with a surrogate: that one's octets, in eight
 *	(tail)     behind the octets that the head counts: a print of each message, by which it is
 *	           known again under another name. Read only when such are looked for. */
#ifndef STORAGE_INDEX_INDEX_H
#define STORAGE_INDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/storage.h>
#include <postern/str.h>

#include "storage/index/mem.h"

#define INDEX_VERSION 1u
#define INDEX_PLACES 2
#define INDEX_UIDL_MAX 70
#define INDEX_NAME_MAX 1000 /* octets; no file system of Linux has longer names */

enum index_driver { INDEX_MAILDIR = 1, INDEX_MBOX };

/* A directory (or a file) that holds mail, as it was before it was read. */
struct index_place {
	uint64_t dev, ino;
	int64_t mtime_ns, ctime_ns;
	uint64_t octets; /* of a file */
	bool is_there;
	bool is_trusted; /* looking the same means being the same: see index_place_is_settled */
};

struct index_head {
	enum index_driver driver;
	uint64_t generation; /* one more at each writing */
	int64_t written_ns;  /* wall clock */
	struct index_place places[INDEX_PLACES];

	/* Under which settings every message without INDEX_LEDGER has its UIDL from the mail
	 * itself: struct uidl_policy's id; 0: that is not sure. */
	uint32_t uidl_policy;
	uint32_t uid_validity, next_uid; /* numbers that were given; 0: none */
};

#define INDEX_PLACE_MASK 1u      /* in which of the places it lies */
#define INDEX_CRLF 2u            /* only CRLF line ends, and ends with one */
#define INDEX_TWIN 4u            /* another file has the same identity */
#define INDEX_UNMEASURED 8u      /* the octets are not to be believed: read it again */
#define INDEX_GAPS 16u           /* of an mbox: some of the stored octets are not shown */
#define INDEX_LEDGER 32u         /* its UIDL is in the ledger */
#define INDEX_SURROGATE 64u      /* has surrogate_octets; set by index_add */
#define INDEX_OWED 128u          /* the old server's list is still to be told of it */
#define INDEX_NO_HEADER_END 256u /* as in struct pst_message; believed only with surrogate_rules */

/* One message, decoded. The strings are borrowed from the index. */
struct index_message {
	uint64_t wire_octets;
	uint64_t stored_octets;
	struct pst_str name;
	struct pst_str identity; /* the first octets of name */
	struct pst_str uidl;
	unsigned flags;
	uint64_t print;            /* of its octets: index_print; 0: not known, or not loaded */
	uint64_t surrogate_octets; /* as in struct pst_message; 0: none */
	uint8_t surrogate_rules;   /* that it was surveyed by; 0: never, by an older program */
};

struct index {
	struct index_head head;
	uint32_t listed; /* messages 0 … listed - 1 */
	uint32_t kept;   /* messages listed … listed + kept - 1 */

	/* private: the file's octets and where the sections lie in them */
	struct mem mem;
	struct mem prints; /* eight octets for each message; p NULL: not loaded */
	bool has_prints;
	size_t octets;
	const uint8_t *records;
	const uint8_t *missed;
	const char *strings;
	size_t record_octets;
	size_t head_octets;
};

/* Decodes message i, listed or kept. It must be there. */
void index_at(const struct index *ix, uint32_t i, struct index_message *out);

/* Message i as the server is told of it. What was found by other rules for surrogates than these is
 * left out. */
void index_show(const struct index *ix, uint32_t i, uint32_t surrogate_rules,
                struct pst_message *out);

/* Since when kept message i (counted from listed) is missing; wall clock. */
int64_t index_missed_ns(const struct index *ix, uint32_t i);

void index_clear(struct index *ix); /* accepts a zeroed or cleared one */

/* Takes the n octets in mem as an index file into *ix, which must be empty; mem becomes the index's
 * whatever the result. What lies behind the file's own length is not looked at. NULL, or why it is
 * none: a few words for the log. */
const char *index_parse(struct index *ix, struct mem *mem, size_t n);
extern const char index_other_version[]; /* one of the reasons, and no fault: told by its address */

/* The length that the first n octets of a file give it; 0 where they are not an index's. */
uint64_t index_file_octets(const void *first, size_t n);

/* ---- Making one: begin with the exact numbers, add each message, then write or use it. ---- */

struct index_builder {
	struct index *ix;
	uint32_t added;
	size_t strings_used, strings_octets;
};

/* Octets of the strings section that a message takes. */
size_t index_message_strings(const struct index_message *m);

/* *ix must be empty. -1 (PST_E_TEMP: no memory; PST_E_PERM: more than the format holds). */
int index_build(struct index_builder *b, struct index *ix, uint32_t listed, uint32_t kept,
                size_t strings_octets, struct pst_err *err);

/* The listed ones in their order, then the kept ones with their time. Copies the strings. */
void index_add(struct index_builder *b, const struct index_message *m, int64_t missed_ns);

/* Puts the head and the sums into the octets: they are a file then. Also for one that was loaded;
 * sections that this program does not know stay as they are. */
void index_seal(struct index *ix);
uint64_t index_body_sum(const struct index *ix);
struct pst_str index_octets(const struct index *ix);
struct pst_str index_head_octets(const struct index *ix);

/* ---- Files ----
 *
 * There are two: the index and a spare. A new index is written over the spare, then the two names are
 * exchanged: at every moment the name leads to a whole file, and no inode is made or freed (on ext4
 * that alone costs up to a millisecond where many files were deleted just before). No fsync: a file
 * that a crash of the system tore does not pass for one, and then the spare, which is the index
 * before the last, serves. Where names cannot be exchanged the spare is renamed over the index. */

enum index_load { INDEX_LOADED = 1, INDEX_NONE, INDEX_BAD };

struct index_file {
	int dirfd;         /* of the directory that holds it */
	const char *name;  /* in that directory */
	const char *spare; /* likewise; written by whoever holds the maildrop's lock */
	bool check_owner;  /* take it only if it is ours: the directory is shared */
};

/* INDEX_BAD: *why_out is a few words for the log. It is also set where the spare was taken. Never more
 * than max octets are read. */
enum index_load index_load(struct index *ix, const struct index_file *file, size_t max,
                           const char **why_out);

/* Writing in two steps, because only the file system's clock tells what is settled on it: the head
 * may change between them. */
struct index_writer {
	const struct index_file *file;
	int fd;
	uint64_t dev;
	int64_t fs_now_ns; /* the file system's time */
	uint64_t old_octets;
};

/* -1: the index is as it was, and nothing is left to do. */
int index_write_begin(struct index_writer *w, const struct index_file *file, struct index *ix,
                      struct pst_err *err);
int index_write_end(struct index_writer *w, struct index *ix, struct pst_err *err);

/* What happened to names in the directory of dirfd/name survives a crash then. -1 and errno. */
int file_sync_directory(int dirfd, const char *name);

/* Removes both files, so that after a crash, too, nothing is taken from them. -1 (PST_E_TEMP): one may
 * still be there. */
int index_forget(const struct index_file *file, struct pst_err *err);

/* The same as index_load from a file that is open, if it is small and in the kernel's cache; false: ask index_load,
 * ix is empty. */
bool index_load_cached(struct index *ix, int fd);

/* ---- Prints ---- */

#define INDEX_PRINT_OCTETS 4096 /* so much of a message's begin counts */
#define INDEX_PRINT_LEAST 32    /* a message with fewer octets is like too many others */
#define INDEX_PRINT_TIME UINT64_C(0xffffff) /* these bits come from the time of the file */

/* Of a message with these first octets (INDEX_PRINT_OCTETS, or all of it), this size, in a file of this
 * time: whoever renames a file keeps that, and so do copies for a backup. 0: it cannot be told from
 * others. */
uint64_t index_print(struct pst_str first, uint64_t stored_octets, int64_t mtime_ns);

/* From the tail of the file that *ix was loaded from. Where there is none all prints are 0. */
void index_load_prints(struct index *ix, const struct index_file *file);
void index_drop_prints(struct index *ix);

/* For file.c: writes the tail of a sealed index; its octets. It does no harm where it is missing or
 * cut: that shows. */
size_t index_write_prints(const struct index *ix, int fd);

/* ---- Places ---- */

/* Looks at dirfd/name without following a symbolic link; "" is dirfd itself. Not there: 0 and
 * is_there false. -1 with err where it cannot be seen. */
int index_place_look(int dirfd, const char *name, struct index_place *out, struct pst_err *err);

bool index_place_same(const struct index_place *a, const struct index_place *b);

/* Whether a change after now_ns (the place's clock) must give the place another time than it had
 * when seen: time stamps are as coarse as two seconds on some file systems, so what changed within
 * margin_ns before may change again unseen. */
bool index_place_is_settled(const struct index_place *seen, int64_t now_ns, int64_t margin_ns);

#endif
