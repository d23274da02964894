/* SPDX-License-Identifier: MIT */
/* mail/maildrop.h - one session's maildrop: which messages it has marked, and the calls that block,
 * each a job for the pool.
 *
 * A session has at most one job at a time, as storage.h promises to plugins. A job cannot be called
 * off: a session that ends waits for it. */
#ifndef MAIL_MAILDROP_H
#define MAIL_MAILDROP_H

#include <uv.h>

#include <postern/err.h>
#include <postern/storage.h>

#include "base/buf.h"
#include "pop3/survey.h"

/* What is done when it is closed, beside the removal of what is marked. Zero: nothing. */
struct maildrop_closing {
	uint32_t hold_days; /* what is removed is kept so long; 0: it is not */
	bool marks_seen;    /* maildrop_seen is called for what was retrieved */
	struct pst_buf
		note; /* a line of history (ipc/history.h) that lacks what was removed; or empty */
	uint64_t note_octets; /* of all lines, at most */
};

struct maildrop {
	const struct pst_storage *storage; /* borrowed */
	void *self;                        /* the plugin's, borrowed */
	struct pst_maildrop *drop;         /* NULL: not open */
	uint32_t max_listed;               /* messages, the oldest; 0: all */
	uint32_t expire_days;              /* open removes what is older; 0: it does not */
	uint32_t count;                    /* messages, marked or not; numbers are 1 … count */
	uint32_t marked;
	uint64_t octets;        /* of all messages */
	uint64_t marked_octets; /* of those that are marked */
	uint64_t *marks;        /* a bit for each message; NULL until the first is marked */
	bool has_no_cache_read; /* RWF_NOWAIT is not known to its file system */
	uint64_t *seen;         /* likewise: those that were retrieved */
	struct pst_str session; /* its id, for those who look for what was removed; borrowed */
	struct maildrop_closing closing;
	bool is_raw;       /* messages are sent as stored: the client said UTF8, or so it is set */
	bool ends_headers; /* one that is a header alone is sent with an empty line behind it */
};

enum maildrop_job_kind { MAILDROP_OPEN = 1, MAILDROP_FETCH, MAILDROP_READ, MAILDROP_CLOSE };

struct maildrop_job {
	enum maildrop_job_kind kind;
	struct maildrop *of;
	void (*done)(struct maildrop_job *job); /* on the loop; calls maildrop_job_free */
	void *arg;

	/* What became of it. */
	int rc; /* 0, or -1 with err */
	struct pst_err err;
	struct pst_body body; /* FETCH: the caller's to release; fd is -1 where rc is -1 */
	char *data;           /* FETCH and READ: the job's */
	size_t n;             /* fewer than wanted: the file ends there */
	uint32_t removed;     /* CLOSE with commit; OPEN: those that were too old */
	uint32_t msg;         /* FETCH: its number */
	const char *aside;    /* CLOSE, OPEN: what else could not be done ("history"), or NULL */
	struct pst_err aside_err;
	struct pop3_head head; /* FETCH of a message with a surrogate: sent instead of data */
	bool has_commit;

	/* private */
	uv_work_t work;
	char *path;
	char *user;
	uint32_t idx;
	uint64_t at;
	size_t want;
	bool wants_surrogate;
};

typedef void maildrop_done(struct maildrop_job *job);

#define MAILDROP_BITS 64u /* in a word of marks and seen */

/* The message's number is 1-based and valid everywhere. */
bool maildrop_is_marked(const struct maildrop *d, uint32_t msg);
void maildrop_mark(struct maildrop *d, uint32_t msg); /* is not marked yet */
void maildrop_unmark_all(struct maildrop *d);
void maildrop_seen(struct maildrop *d, uint32_t msg); /* it was retrieved */

/* size_octets are those that this client is sent; surrogate_octets are 0 where it gets no surrogate,
 * has_no_header_end is false where it is sent as it is. */
void maildrop_message(const struct maildrop *d, uint32_t msg, struct pst_message *msg_out);

/* Frees the marks. The maildrop itself is closed. */
void maildrop_clear(struct maildrop *d);

/* Each starts a job; done is called on the loop when it is through. */
struct maildrop_job *maildrop_open(struct maildrop *d, uv_loop_t *loop, const char *path,
                                   struct pst_str user, maildrop_done *done, void *arg);

/* The same two without the pool, where the storage can do them at once: then *job is what it would
 * have been (not to be freed, done is not called) and the result is true. */
bool maildrop_open_now(struct maildrop *d, const char *path, struct pst_str user,
                       struct maildrop_job *job);
bool maildrop_close_now(struct maildrop *d, bool commit, struct maildrop_job *job);

/* Opens a message and reads up to want octets from its start; or its header alone, where it has
 * a surrogate. */
struct maildrop_job *maildrop_fetch(struct maildrop *d, uv_loop_t *loop, uint32_t msg, size_t want,
                                    maildrop_done *done, void *arg);

/* Reads up to want octets of a message that is open, from its octet at on. The body stays open
 * until the job is done. */
struct maildrop_job *maildrop_read(struct maildrop *d, uv_loop_t *loop, const struct pst_body *body,
                                   uint64_t at, size_t want, maildrop_done *done, void *arg);

/* Closes the maildrop: drop is NULL then, whatever rc says. commit: removes what is marked before;
 * rc is -1 where not all could be. Does what d->closing says. */
struct maildrop_job *maildrop_close(struct maildrop *d, uv_loop_t *loop, bool commit,
                                    maildrop_done *done, void *arg);

void maildrop_job_free(struct maildrop_job *job);

enum maildrop_cached { MAILDROP_HIT = 1, MAILDROP_MISS, MAILDROP_BROKEN };

/* Reads from the kernel's cache, on the loop: as much as is there at once, which may be less than
 * want; 0 octets at the end of the file. MISS: ask the pool. BROKEN: err says why. */
enum maildrop_cached maildrop_read_cached(struct maildrop *d, const struct pst_body *body,
                                          uint64_t at, char *out, size_t want, size_t *n_out,
                                          struct pst_err *err);

/* update.c, in the pool: CLOSE. */
void maildrop_run_close(struct maildrop_job *job);

/* Makes an error of the plugin one that a client may be told: [SYS/TEMP], [SYS/PERM], [IN-USE]. */
void maildrop_judge(struct pst_err *err);

#endif
