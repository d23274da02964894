/* SPDX-License-Identifier: MIT */
/* storage/maildir/scan.h - what lies in new/ and cur/ now, matched with what is known.
 *
 * Names in a directory change while it is being read: a mail reader sets flags, moves messages from
 * new/ to cur/, deletes. A name that is renamed meanwhile may be seen twice or not at all. So one
 * round proves nothing about what it did not see, unless the directories were still before and
 * after; the caller reads once more where that is in doubt. */
#ifndef STORAGE_MAILDIR_SCAN_H
#define STORAGE_MAILDIR_SCAN_H

#include <postern/plugin.h>

#include "storage/index/index.h"
#include "storage/index/uidl.h"

enum { PLACE_NEW, PLACE_CUR, PLACE_BOTH };

extern const char *const maildir_places[PLACE_BOTH]; /* "new", "cur" */

/* Time stamps finer than this prove nothing: FAT has two seconds, ext3 and HFS+ one, ext4 4 ms. */
#define MAILDIR_MARGIN_NS INT64_C(2000000000)

/* The plugin in this worker; shared by all threads and never changed after start. */
struct maildir {
	const struct pst_host *host;
	const struct maildir_conf *conf;
	struct uidl_policy policy;
	uint64_t seed;     /* of the name hash */
	int64_t margin_ns; /* MAILDIR_MARGIN_NS; tests have another */
	int64_t keep_ns;   /* how long a missing message's record is kept at least */
};

/* Whose list of UIDLs is taken over. */
enum maildir_old_server {
	MAILDIR_OLD_AUTO,
	MAILDIR_OLD_DOVECOT,
	MAILDIR_OLD_COURIER,
	MAILDIR_OLD_NONE,
};

struct maildir_conf {
	const char *index_dir;
	const char *ledger_dir;
	const char *uidl;
	int64_t guard_share, guard_min;
	int64_t max_messages;
	int64_t old_server; /* enum maildir_old_server */
	bool old_server_write;
	const char *dovecot_control;
	const char *dovecot_uidl_format;
};

/* CLOCK_REALTIME, which stamps the files of local file systems. */
int64_t maildir_wall_ns(void);

#define SCAN_NONE UINT32_MAX

/* A name as a directory showed it. */
struct scan_file {
	uint32_t text; /* its place in scan->text */
	uint16_t octets, base_octets;
	uint32_t place;
};

/* What became of a known message. */
struct scan_known {
	uint32_t file; /* its name now, in scan->files; SCAN_NONE: as it was known */
	uint8_t round; /* the last that saw it; 0: none */
	bool is_twin;
	bool is_again;    /* it stands among the fresh ones, to be measured again: */
	uint32_t again;   /* there */
	bool is_renamed;  /* a fresh one is it, under another name */
	bool is_moved;    /* the old server has given it another number: it is to be placed anew */
	bool is_recorded; /* its UIDL has come into the ledger now */
};

enum scan_state {
	FRESH_UNMEASURED,
	FRESH_MEASURED,
	FRESH_GONE,    /* not there when it was to be opened */
	FRESH_REFUSED, /* it is there and cannot be read */
	FRESH_NO_FILE, /* a directory, a FIFO, a symbolic link */
	FRESH_STALE,   /* replaced on another host while it was looked at: to be opened again */
	FRESH_UNNAMED, /* its UIDL could not be written down: the next time */
};

/* A message that is not known, or that must be measured again. */
struct scan_fresh {
	uint32_t file;  /* SCAN_NONE: that of known */
	uint32_t known; /* measured again: which; else SCAN_NONE */
	uint8_t round;
	uint8_t state; /* enum scan_state */
	bool is_twin, is_crlf, has_no_header_end;
	uint8_t own_octets;
	uint32_t own; /* what it says itself of its UIDL: its place in scan->text */
	uint64_t ino;
	uint64_t wire_octets, stored_octets, surrogate_octets;
	uint64_t print; /* index_print */
	int64_t mtime_ns;
};

/* A second file with the base name of another, in the same round. */
struct scan_twin {
	uint32_t id;   /* of the message: below the number of known ones, or that plus fresh */
	uint32_t file; /* the one that was not chosen */
};

struct scan {
	const struct maildir *self;
	const struct index *known;
	uint32_t known_count; /* listed and kept */
	int dirfd[PLACE_BOTH];
	struct index_place before[PLACE_BOTH]; /* as each was before it was last read */
	int64_t started_ns[PLACE_BOTH];        /* wall clock then */
	uint8_t round;
	bool known_only; /* others than known ones are not looked at */

	struct scan_known *marks;
	struct scan_fresh *fresh;
	struct scan_file *files;
	struct scan_twin *twins;
	char *text;
	uint32_t fresh_count, file_count, twin_count;
	uint32_t text_used;

	/* private */
	uint64_t *slots;
	size_t slot_mask, slots_used;
	struct mem mem_marks, mem_fresh, mem_files, mem_twins, mem_text, mem_slots;
};

/* known: a listing, or an empty one; borrowed until scan_clear. dirfd: -1 for a directory that is not
 * there; borrowed. */
int scan_init(struct scan *s, const struct maildir *self, const struct index *known,
              const int dirfd[PLACE_BOTH], struct pst_err *err);
void scan_clear(struct scan *s);

/* A name that a directory shows: a known message's, a fresh one's, or a second file's. */
int scan_on_name(struct scan *s, unsigned place, struct pst_str name, uint64_t ino,
                 struct pst_err *err);

/* Which twins of the last round are really there, both: marks them. Others were renamed between two
 * looks. Only those remain in twins. */
void scan_settle_twins(struct scan *s);

/* Puts a known message among the fresh ones, for scan_measure. */
int scan_add_again(struct scan *s, uint32_t known, struct pst_err *err);

/* The id of the message with this base name, as in struct scan_twin; SCAN_NONE: there is none. */
uint32_t scan_find(const struct scan *s, struct pst_str base);

/* Name and place of a message, by its id as in struct scan_twin. */
struct pst_str scan_name(const struct scan *s, uint32_t id, uint32_t *place_out);
struct pst_str scan_file_name(const struct scan *s, uint32_t file);

/* Keeps a text that is not in s->text yet; *at_out is its place there. */
int scan_add_text(struct scan *s, struct pst_str text, uint32_t *at_out, struct pst_err *err);

/* ---- round.c ---- */

/* Reads the places of the mask (1 << PLACE_NEW, …); known messages of the others count as seen. -1
 * (PST_E_TEMP, PST_E_PERM): a directory cannot be read, or there are too many messages. */
int scan_round(struct scan *s, unsigned mask, struct pst_err *err);

/* Whether no file can have hidden from the last round: nothing changed around it. */
bool scan_is_conclusive(const struct scan *s);

/* Whether a listed message was not seen in any round. */
bool scan_misses_listed(const struct scan *s);

/* ---- measure.c ---- */

/* Reads each unmeasured fresh message once, for its octets. -1: this process has no descriptors or no
 * memory left. What is wrong with one file is that file's state, and in the log. */
int scan_measure(struct scan *s, struct pst_err *err);

/* ---- content.c: what a message's octets say of its UIDL ---- */

/* Fills print and own of f, which lies in fd. text: all of it, or empty. */
int scan_content(struct scan *s, int fd, struct pst_str text, struct scan_fresh *f,
                 struct pst_err *err);

uint32_t scan_count_fresh(const struct scan *s, enum scan_state state);

#endif
