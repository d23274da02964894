/* SPDX-License-Identifier: MIT */
/* storage/maildir/drop.h - an open maildrop, and what the parts of the driver do with it. */
#ifndef STORAGE_MAILDIR_DROP_H
#define STORAGE_MAILDIR_DROP_H

#include <postern/storage.h>

#include "storage/index/index.h"
#include "storage/index/ledger.h"
#include "storage/maildir/scan.h"

#define DROP_INDEX_NAME "postern.index"
#define DROP_INDEX_SPARE "postern.index.spare"

/* A message whose file has another name since the listing was made. */
struct drop_moved {
	uint32_t idx;
	uint32_t text; /* its place in moved_text */
	uint16_t octets;
	uint8_t place;
};

struct pst_maildrop {
	const struct maildir *self;
	char *path;         /* of the Maildir, for the log and the index's name */
	struct mem control; /* path of Dovecot's control folder; nothing: the Maildir itself */
	int root; /* its descriptor, which bears the lock; -1: there is no such directory */

	/* Our index; the two names are set where it is not beside the mail. */
	struct index_file file;
	char *index_name, *index_spare;

	/* Its ledger; see record.h. */
	struct ledger_file ledger_file; /* name NULL: not located yet */
	char *ledger_name, *ledger_spare;

	unsigned open_flags; /* of PST_OPEN_… */
	struct pst_str user; /* for the log, while it is being opened */

	/* The listing: messages 0 … listed - 1. It never changes; UIDLs are borrowed from it. */
	struct index index;

	/* Found by drop_look_again; ascending by idx. */
	struct drop_moved *moved;
	uint32_t moved_count;
	struct mem mem_moved, mem_moved_text;

	/* Bits by idx, made when the first is set. */
	uint8_t *gone;    /* looked for in vain */
	uint8_t *removed; /* by commit */
	uint8_t *stale;   /* their size is not what the index says */
	uint32_t stale_count;
	bool is_doubtful; /* the directories must be read next time, whatever their times say */

	bool no_openat2;   /* this kernel or sandbox has none */
	bool is_rewritten; /* the index on the disk has messages that the listing has not */
	bool is_light;     /* nothing of its closing takes time: opened by drop_open_now */
};

/* ---- drop.c: the vtable's open and close, places, bits ---- */

/* Neither open nor locked; drop_close frees it. */
struct pst_maildrop *drop_create(void *self, const char *path);

/* Whether the path still leads to the directory that is open and locked. */
bool drop_is_at_path(const struct pst_maildrop *d);

/* Whether the index may be trusted for places that look so now. */
bool drop_is_unchanged(const struct maildir *self, const struct index *ix,
                       const struct index_place now[PLACE_BOTH]);

int drop_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err);
void drop_close(struct pst_maildrop *d);
uint32_t drop_count(const struct pst_maildrop *d);
void drop_message(const struct pst_maildrop *d, uint32_t idx, struct pst_message *out);

/* Opens new/ and cur/ (not through symbolic links); -1 in dirfd where one is not there. */
int drop_open_places(const struct pst_maildrop *d, int dirfd[PLACE_BOTH], struct pst_err *err);
void drop_close_places(int dirfd[PLACE_BOTH]);

/* What the client is told after a system call that failed: would an admin have to act? */
enum pst_err_kind drop_kind_of_errno(void);

bool drop_bit(const uint8_t *bits, uint32_t idx); /* NULL: none is set */
void drop_set_bit(const struct pst_maildrop *d, uint8_t **bits, uint32_t idx);

/* ---- quick.c: what can be had from the kernel's caches ---- */

enum pst_fetch_result drop_open_now(void *self, const struct pst_maildrop_spec *spec,
                                    struct pst_maildrop **drop_out, struct pst_err *err);
bool drop_closes_now(const struct pst_maildrop *d);

/* ---- store.c: our index file ---- */

void drop_locate_index(struct pst_maildrop *d);

/* dir/HASH of the Maildir's path, with the suffix; malloc'ed. */
char *drop_path_in(const struct pst_maildrop *d, const char *dir, const char *suffix);
enum index_load drop_load_index(struct pst_maildrop *d, struct index *ix);

/* Writes ix. Of the places that it says to trust, those that were read now (started_ns is not 0: when)
 * must have been still for long enough. A failure is logged and nothing else: the session has what
 * it needs. */
void drop_save_index(const struct pst_maildrop *d, struct index *ix,
                     const int64_t started_ns[PLACE_BOTH]);

/* Writes the index without the removed messages, and with the stale ones to be measured again. */
void drop_write_back(struct pst_maildrop *d);

/* ---- control.c ---- */

/* The folder, ended by NUL, that the template makes of a user; out holds nothing before. -1
 * (PST_E_CLIENT: not a template; PST_E_PERM: not for this user; PST_E_TEMP). */
int drop_control(const char *template, struct pst_str user, struct mem *out, struct pst_err *err);

/* ---- list.c: from the directories to the listing ---- */

/* d->index is what is known (or empty) and becomes the listing. now: the places as they look now. */
int drop_list(struct pst_maildrop *d, const struct index_place now[PLACE_BOTH],
              struct pst_err *err);

/* ---- fetch.c: one message ---- */

/* A message's file: where it was last seen. */
struct drop_file {
	unsigned place;
	char name[INDEX_NAME_MAX + 1];
};
void drop_file(const struct pst_maildrop *d, uint32_t idx, struct drop_file *out);

/* Finds the new names of files that were renamed, and sets gone for those that are not there. */
int drop_look_again(struct pst_maildrop *d, struct pst_err *err);

enum pst_fetch_result drop_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags,
                                 struct pst_body *body_out, struct pst_err *err);

/* ---- rearrange.c: order and UIDLs from elsewhere ---- */

int drop_rearrange(struct pst_maildrop *d, const struct pst_place *places, uint32_t n,
                   struct pst_err *err);

/* ---- commit.c: removal ---- */

int drop_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
                struct pst_err *err);
int drop_hold(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, const struct pst_hold *how,
              uint32_t *removed_out, struct pst_err *err);

/* ---- add.c, envelope.c ---- */

int drop_add(struct pst_maildrop *d, const struct pst_new_message *msgs, uint32_t n,
             struct pst_err *err);
int drop_received(struct pst_maildrop *d, uint32_t idx, int64_t *received_s_out,
                  struct pst_err *err);
int drop_envelope(struct pst_maildrop *d, uint32_t idx, struct pst_envelope *out,
                  struct pst_err *err);

/* ---- seen.c ---- */

int drop_mark_seen(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, struct pst_err *err);

/* ---- history.c ---- */

int drop_note(struct pst_maildrop *d, struct pst_str line, uint64_t max_octets,
              struct pst_err *err);
int drop_notes(struct pst_maildrop *d, void (*each)(void *arg, struct pst_str line), void *arg,
               struct pst_err *err);

#endif
