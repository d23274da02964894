/* SPDX-License-Identifier: MIT */
/* storage/mbox/mbox.h - an open mbox, and what the parts of the driver do with it.
 *
 * Two kinds of locks. The session's is flock on a file of our own, held from open to close: nobody else
 * knows it, so deliveries go on. The mail's are those that all programs share (see lock.h), held
 * while the listing is made and while messages are removed, and not between: what a session needs of
 * the file meanwhile is proven by what lies there (see fetch.c). */
#ifndef STORAGE_MBOX_MBOX_H
#define STORAGE_MBOX_MBOX_H

#include <sys/stat.h>

#include <postern/storage.h>

#include "storage/index/index.h"
#include "storage/index/ledger.h"
#include "storage/mbox/lock.h"
#include "storage/mbox/scan.h"

#define MBOX_MARGIN_NS INT64_C(2000000000) /* time stamps finer than this prove nothing */

struct mbox_conf {
	const char *index_dir;
	const char *locks; /* words of lock.h */
	int64_t lock_timeout_ms;
	int64_t dotlock_stale_ms;
	const char *uidl;
	const char *ledger_dir;
	int64_t guard_share, guard_min;
	int64_t max_messages;
};

/* The plugin in this worker; shared by all threads and never changed after start. */
struct mbox {
	const struct pst_host *host;
	const struct mbox_conf *conf;
	struct lock_plan plan;
	struct uidl_policy policy;
	int64_t margin_ns; /* MBOX_MARGIN_NS; tests have another */
};

struct pst_maildrop {
	const struct mbox *self;
	char *path;
	int fd; /* the file, for reading; -1: there is none, or nobody needed it yet (is_light) */

	char *index_name, *index_spare, *session_name; /* whole paths */
	struct index_file file;

	struct ledger_file ledger_file; /* name NULL: not located yet; see uidls.h */
	char *ledger_name, *ledger_spare;
	char *hold_name;     /* NULL: not located yet; see hold.h */
	unsigned open_flags; /* of PST_OPEN_… */
	struct pst_str user; /* for the log, while it is being opened */
	int session_fd; /* bears the session's lock, and the note of rewrite.h; -1: fd bears it */

	struct index index;      /* the listing; it never changes */
	struct index_place seen; /* the file as it was when the listing was right */
	bool is_doubtful;        /* a message was not where the listing has it */
	bool is_light;           /* opened by mbox_open_now: nothing of its closing takes time */
	char *envelope;          /* the front of the message that was last asked about */
};

/* What of a message the index holds in its name, behind the identity. */
#define MBOX_NAME (MBOX_IDENTITY + 8 + 4 + 2)
void mbox_at(const struct index *ix, uint32_t i, struct index_message *im,
             struct mbox_message *out);

void mbox_decode(const struct index_message *im, struct mbox_message *out); /* the same */

/* Fills all of *im but its UIDL, and leaves INDEX_LEDGER as it is; name, which it borrows, is made. */
void mbox_encode(const struct mbox_message *m, struct index_message *im, char name[MBOX_NAME]);

/* What the client is told after a system call that failed: would an admin have to act? */
enum pst_err_kind mbox_kind_of_errno(void);

/* ---- drop.c: opening and closing ---- */

/* Neither open nor locked; mbox_close frees it. */
struct pst_maildrop *mbox_create(void *self, const char *path);

/* Whether a file that would bear the session's lock is our own. */
bool mbox_is_ours(const struct stat *st);

int mbox_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err);
void mbox_close(struct pst_maildrop *d);
uint32_t mbox_count(const struct pst_maildrop *d);
void mbox_message_of(const struct pst_maildrop *d, uint32_t idx, struct pst_message *out);

/* Opens the file at the path (not through a symbolic link): -1 and errno where that fails. */
int mbox_open_file(const struct pst_maildrop *d, int flags);
bool mbox_is_at_path(const struct pst_maildrop *d, int fd); /* and no other file is there now */

/* ---- quick.c: what can be had from the kernel's caches ---- */

enum pst_fetch_result mbox_open_now(void *self, const struct pst_maildrop_spec *spec,
                                    struct pst_maildrop **drop_out, struct pst_err *err);
bool mbox_closes_now(const struct pst_maildrop *d);

/* ---- store.c: the index ---- */

void mbox_locate(struct pst_maildrop *d);

/* The path of a file of ours: beside the mbox as .NAME and the suffix, or in dir, where that is not
 * empty, under a hash of the path. malloc'ed. */
char *mbox_path(const struct pst_maildrop *d, const char *dir, const char *suffix);
void mbox_load(struct pst_maildrop *d, struct index *ix);
bool mbox_is_sound(const struct index *ix); /* and of an mbox */
bool mbox_is_unchanged(const struct mbox *self, const struct index *ix,
                       const struct index_place *now);

/* Writes ix, which was right while the file looked like ix->head.places[0]. */
void mbox_save(const struct pst_maildrop *d, struct index *ix);

/* ---- list.c ---- */

/* Reads fd, which looks like now, under the mail's locks. known: what was known before (or empty).
 * *next, which must be empty, becomes the listing; UIDLs stay with their messages. *same_out: it is
 * as known was. from_start: the old part is not to be believed. */
int mbox_list(struct pst_maildrop *d, int fd, const struct index *known,
              const struct index_place *now, bool from_start, struct index *next, bool *same_out,
              struct pst_err *err);

/* Where in one listing the messages of another are, by their UIDLs; UINT32_MAX: nowhere. */
int mbox_find(const struct index *in, const struct index *from, const uint32_t *idx, uint32_t n,
              uint32_t *found_out, struct pst_err *err);

/* Whether the message of known at i lies where it lay, octet for octet as far as its identity tells,
 * and ends where it ended. 1, 0, or -1: that could not be read at once (nowait). */
int mbox_is_there(const struct pst_maildrop *d, int fd, const struct index *known, uint32_t i,
                  uint64_t size, bool nowait);

/* ---- fetch.c, commit.c, add.c, envelope.c ---- */

enum pst_fetch_result mbox_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags,
                                 struct pst_body *body_out, struct pst_err *err);
int mbox_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
                struct pst_err *err);
int mbox_add(struct pst_maildrop *d, const struct pst_new_message *msgs, uint32_t n,
             struct pst_err *err);
int mbox_received(struct pst_maildrop *d, uint32_t idx, int64_t *received_s_out,
                  struct pst_err *err);
int mbox_envelope(struct pst_maildrop *d, uint32_t idx, struct pst_envelope *out,
                  struct pst_err *err);

/* ---- rearrange.c: UIDLs from elsewhere ---- */

int mbox_rearrange(struct pst_maildrop *d, const struct pst_place *places, uint32_t n,
                   struct pst_err *err);

#endif
