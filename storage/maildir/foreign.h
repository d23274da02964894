/* SPDX-License-Identifier: MIT */
/* storage/maildir/foreign.h - which UIDLs a Maildir's messages have under another server.
 *
 * Dovecot keeps them in dovecot-uidlist, Courier in courierpop3dsizelist: in the Maildir, or Dovecot
 * in its control folder. They are read where they lie; writeback.h is about writing. A list counts
 * for messages that have no UIDL in our index; what it says of sizes does not count, for both servers
 * are wrong about some.
 *
 * Both are lines of text that a crash, a full disk or an admin may have damaged, and names in them
 * come from whoever delivers: what a line says rightly holds, whatever stands around it. */
#ifndef STORAGE_MAILDIR_FOREIGN_H
#define STORAGE_MAILDIR_FOREIGN_H

#include <sys/stat.h>

#include <postern/plugin.h>
#include <postern/str.h>

#include "storage/index/index.h"
#include "storage/index/uidl.h"
#include "storage/maildir/name.h"
#include "storage/maildir/scan.h"

#define FOREIGN_DOVECOT_LIST "dovecot-uidlist"
#define FOREIGN_DOVECOT_VALIDITY "dovecot-uidvalidity"
#define FOREIGN_COURIER_LIST "courierpop3dsizelist"

enum foreign_kind { FOREIGN_NONE, FOREIGN_DOVECOT, FOREIGN_COURIER };

#define FOREIGN_HAS_ORDER 1u
#define FOREIGN_REPLACED 2u /* a later line has the same name: that one counts */

/* What a line says of one message. */
struct foreign_record {
	const char *base; /* borrowed from the list's octets */
	uint32_t uidl;    /* its place in foreign->text */
	uint32_t uid, order;
	bool is_ours; /* not in the file: added by writeback_begin */
	uint16_t base_octets;
	uint8_t uidl_octets; /* 0: none that POP3 allows */
	uint8_t flags;
};

struct foreign {
	enum foreign_kind kind;
	struct foreign_record *records; /* in the order of the lines */
	uint32_t count;
	char *text;

	/* What was wrong; the first of it. */
	uint32_t bad_lines, first_bad_line;
	const char *first_bad;

	/* The file as it was read, for whoever writes it again. */
	struct pst_str octets;
	unsigned version;
	uint64_t validity; /* of the head; 0: it says none */
	uint64_t next;     /* number that a new message gets: above all that are there */
	int dirfd;         /* of the folder that holds it */
	struct stat seen;

	/* private */
	uidl_md5 *md5; /* for formats */
	uint32_t text_used;
	uint32_t *slots;
	size_t slot_mask;
	uint64_t seed;
	bool owns_dirfd;
	struct mem mem_octets, mem_records, mem_text, mem_slots;
};

struct pst_maildrop;

/* Reads the list of the old server, if there is one and a setting does not forbid it. is_first: no
 * message has a UIDL from us yet; then a list that cannot be read is an error (PST_E_TEMP,
 * PST_E_PERM), because all would be fetched again; later it is only logged. */
int foreign_load(struct foreign *f, const struct pst_maildrop *d, bool is_first,
                 struct pst_err *err);
void foreign_clear(struct foreign *f); /* accepts a zeroed one */

/* What the list says of a base name; NULL: nothing. */
const struct foreign_record *foreign_find(const struct foreign *f, struct pst_str base);
struct pst_str foreign_uidl(const struct foreign *f, const struct foreign_record *r);

/* ---- The formats; f must be zeroed, octets stay the caller's and must outlive f ----
 *
 * -1 (PST_E_TEMP): the head is damaged so that the UIDLs cannot be told, or there is no memory. */

/* Versions 1 and 3. format: see foreign_render. validity: what stands in for a missing UIDVALIDITY;
 * 0: nothing. */
int foreign_parse_dovecot(struct foreign *f, struct pst_str octets, const char *format,
                          uint32_t validity, struct pst_err *err);

/* Versions 0 to 3. */
int foreign_parse_courier(struct foreign *f, struct pst_str octets, struct pst_err *err);

/* What Courier shows for the numbers of a record; 0: longer than a UIDL may be. */
#define COURIER_ROOM (INDEX_UIDL_MAX + 3)
size_t foreign_courier_uidl(struct pst_str base, uint64_t uid, uint64_t validity,
                            char out[COURIER_ROOM]);

/* After parsing, and after more were added: makes the records findable, the last line of a name
 * counting. */
int foreign_make_findable(struct foreign *f, uint64_t seed, struct pst_err *err);

/* For the parsers. */
bool foreign_next_line(struct pst_str *rest, struct pst_str *line_out);
void foreign_number(struct foreign *f, uint64_t number); /* one that is there */
void foreign_note_bad(struct foreign *f, uint32_t line, const char *why);
int foreign_add(struct foreign *f, const struct foreign_record *r, struct pst_str uidl,
                struct pst_err *err);

/* ---- Dovecot's pop3_uidl_format ----
 *
 * As in uidl.h, with u, v, f and g. */

struct foreign_values {
	uint32_t uid, validity;
	struct pst_str base, guid;
	uidl_md5 *md5; /* of struct pst_host; NULL: there is no M */
};

/* The octets written to out; 0: the result is empty or longer than room. -1: not such a format (err). */
int foreign_render(const char *format, const struct foreign_values *v, char *out, size_t room,
                   struct pst_err *err);

/* ---- The order of the listing ---- */

/* As the old server listed: Dovecot by its numbers and then as it would number new files, Courier by
 * name. Without a list: maildir_key_compare. */
struct foreign_key {
	uint8_t kind; /* enum foreign_kind */
	uint8_t class;
	bool has_micros;
	bool is_listed; /* in the old server's own list */
	uint32_t number;
	struct maildir_key key;
};

void foreign_key(const struct foreign *f, struct pst_str base, struct foreign_key *out);
int foreign_key_compare(const struct foreign_key *a, const struct foreign_key *b);

/* Whether a message that arrives goes before one that was listed before. One of which Dovecot's list
 * says nothing any more, because Dovecot has just removed it, does not tell the place of others. */
bool foreign_goes_before(const struct foreign_key *arrival, const struct foreign_key *listed);

#endif
