/* SPDX-License-Identifier: MIT */
/* A session's maildrop and its pool jobs; see maildrop.h. */
#include "mail/maildrop.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "pop3/stored.h"
#include "mail/expire.h"

#define STALE_ATTEMPTS 3 /* at a message that a network file system says was replaced */

#define BITS MAILDROP_BITS

bool
maildrop_is_marked(const struct maildrop *d, uint32_t msg)
{
	uint32_t idx = msg - 1;

	return d->marks != NULL && (d->marks[idx / BITS] >> idx % BITS & 1) != 0;
}

void
maildrop_message(const struct maildrop *d, uint32_t msg, struct pst_message *msg_out)
{
	*msg_out = (struct pst_message){ .size_octets = 0 }; /* a plugin may know fewer members */
	d->storage->message(d->drop, msg - 1, msg_out);
	if (d->is_raw)
		msg_out->surrogate_octets = 0;
	else if (msg_out->surrogate_octets != 0)
		msg_out->size_octets = msg_out->surrogate_octets;
	if (!d->ends_headers)
		msg_out->has_no_header_end = false;
	else if (msg_out->has_no_header_end)
		msg_out->size_octets += 2; /* CRLF */
}

void
maildrop_mark(struct maildrop *d, uint32_t msg)
{
	uint32_t idx = msg - 1;
	struct pst_message m;

	if (d->marks == NULL)
		d->marks = pst_new_array(uint64_t, (d->count + BITS - 1) / BITS);
	d->marks[idx / BITS] |= UINT64_C(1) << idx % BITS;
	maildrop_message(d, msg, &m);
	d->marked++;
	d->marked_octets += m.size_octets;
}

void
maildrop_seen(struct maildrop *d, uint32_t msg)
{
	uint32_t idx = msg - 1;

	if (!d->closing.marks_seen)
		return;
	if (d->seen == NULL)
		d->seen = pst_new_array(uint64_t, (d->count + BITS - 1) / BITS);
	d->seen[idx / BITS] |= UINT64_C(1) << idx % BITS;
}

void
maildrop_unmark_all(struct maildrop *d)
{
	free(d->marks);
	d->marks = NULL;
	d->marked = 0;
	d->marked_octets = 0;
}

void
maildrop_clear(struct maildrop *d)
{
	pst_assert(d->drop == NULL);
	maildrop_unmark_all(d);
	free(d->seen);
	d->seen = NULL;
	pst_buf_clear(&d->closing.note);
}

void
maildrop_judge(struct pst_err *err)
{
	if (err->kind != PST_E_PERM && err->kind != PST_E_IN_USE)
		err->kind = PST_E_TEMP;
}

/* ---- In the pool ---- */

static void
fail_open(struct maildrop_job *job)
{
	job->rc = -1;
	maildrop_judge(&job->err);
	job->of->drop = NULL;
}

static void
sum_up(struct maildrop *d)
{
	uint32_t i;

	d->count = d->storage->count(d->drop);
	if (d->max_listed > 0 && d->count > d->max_listed)
		d->count = d->max_listed; /* storage lists the oldest first */
	for (i = 0; i < d->count; i++) {
		struct pst_message m;

		maildrop_message(d, i + 1, &m);
		d->octets += m.size_octets;
	}
}

static void
run_open(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	struct pst_maildrop_spec spec = { .path = job->path, .user = pst_str_c(job->user) };

	job->rc = d->storage->open(d->self, &spec, &d->drop, &job->err);
	if (job->rc == 0 && d->expire_days > 0 && maildrop_expire(job)) {
		d->storage->close(d->drop);
		job->rc = d->storage->open(d->self, &spec, &d->drop, &job->err);
	}
	if (job->rc != 0)
		fail_open(job);
	else
		sum_up(d);
}

/* Fewer octets than wanted only at the end of the file. */
static void
run_read(struct maildrop_job *job)
{
	if (job->want == 0)
		return;
	job->data = pst_realloc(NULL, job->want);
	job->rc = pop3_stored_read(&job->body, job->at, job->data, job->want, &job->n, &job->err);
}

static void
run_read_head(struct maildrop_job *job)
{
	job->rc = pop3_head_read(&job->body, &job->head, &job->err);
	if (job->rc == 0 && job->head.text.len == 0)
		job->rc = pst_err_set(&job->err, PST_E_TEMP,
		                      "the stored header is no longer the one that was listed");
}

/* Opens the message and reads its begin. true: its file was replaced on another host meanwhile, so
 * that it is to be opened anew. */
static bool
fetch_once(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	enum pst_fetch_result got;
	bool is_stale;

	job->body = (struct pst_body){ .fd = -1 };
	got = d->storage->fetch(d->drop, job->idx, 0, &job->body, &job->err);
	if (got == PST_FETCH_WAIT) /* it was not told to hurry: the plugin is wrong */
		pst_err_set(&job->err, PST_E_PERM, "the storage plugin cannot fetch a message");
	if (got != PST_FETCH_OK) {
		job->rc = -1;
		job->body.fd = -1;
		maildrop_judge(&job->err);
		return false;
	}
	if (job->want > job->body.length)
		job->want = (size_t)job->body.length;
	errno = 0;
	if (job->wants_surrogate)
		run_read_head(job);
	else
		run_read(job);
	is_stale = job->rc != 0 && errno == ESTALE;
	if (job->rc != 0) {
		pop3_head_clear(&job->head);
		pop3_stored_release(&job->body);
	}
	return is_stale;
}

static void
run_fetch(struct maildrop_job *job)
{
	const size_t want = job->want;
	unsigned attempt;

	for (attempt = 0; attempt < STALE_ATTEMPTS; attempt++) {
		job->rc = 0;
		job->want = want;
		if (!fetch_once(job))
			break;
	}
}

static void
on_work(uv_work_t *work)
{
	struct maildrop_job *job = work->data;

	switch (job->kind) {
	case MAILDROP_OPEN:
		run_open(job);
		break;
	case MAILDROP_FETCH:
		run_fetch(job);
		break;
	case MAILDROP_READ:
		run_read(job);
		break;
	case MAILDROP_CLOSE:
		maildrop_run_close(job);
		break;
	}
}

/* ---- On the loop ---- */

static void
on_worked(uv_work_t *work, int status)
{
	struct maildrop_job *job = work->data;

	pst_assert(status == 0); /* nobody cancels */
	job->done(job);
}

static struct maildrop_job *
new_job(struct maildrop *d, enum maildrop_job_kind kind, maildrop_done *done, void *arg)
{
	struct maildrop_job *job = pst_new(struct maildrop_job);

	job->kind = kind;
	job->of = d;
	job->done = done;
	job->arg = arg;
	job->work.data = job;
	return job;
}

static struct maildrop_job *
queue_job(struct maildrop_job *job, uv_loop_t *loop)
{
	int rc = uv_queue_work(loop, &job->work, on_work, on_worked);

	pst_assert(rc == 0); /* fails only without a callback */
	return job;
}

void
maildrop_job_free(struct maildrop_job *job)
{
	pop3_head_clear(&job->head);
	free(job->data);
	free(job->path);
	free(job->user);
	free(job);
}

struct maildrop_job *
maildrop_open(struct maildrop *d, uv_loop_t *loop, const char *path, struct pst_str user,
              maildrop_done *done, void *arg)
{
	struct maildrop_job *job = new_job(d, MAILDROP_OPEN, done, arg);

	job->path = pst_strdup(path);
	job->user = pst_str_dup(user);
	return queue_job(job, loop);
}

bool
maildrop_open_now(struct maildrop *d, const char *path, struct pst_str user,
                  struct maildrop_job *job)
{
	struct pst_maildrop_spec spec = { .path = path, .user = user };

	*job = (struct maildrop_job){ .kind = MAILDROP_OPEN, .of = d };
	if (d->storage->open_now == NULL || d->expire_days > 0)
		return false;
	switch (d->storage->open_now(d->self, &spec, &d->drop, &job->err)) {
	case PST_FETCH_OK:
		sum_up(d);
		return true;
	case PST_FETCH_ERROR:
		fail_open(job);
		return true;
	case PST_FETCH_WAIT:
		break;
	}
	d->drop = NULL;
	return false;
}

bool
maildrop_close_now(struct maildrop *d, bool commit, struct maildrop_job *job)
{
	*job = (struct maildrop_job){ .kind = MAILDROP_CLOSE, .of = d, .has_commit = commit };
	if ((commit && d->marked > 0) || d->seen != NULL || d->closing.note.len > 0 ||
	    d->storage->closes_now == NULL || !d->storage->closes_now(d->drop))
		return false;
	d->storage->close(d->drop);
	d->drop = NULL;
	return true;
}

struct maildrop_job *
maildrop_fetch(struct maildrop *d, uv_loop_t *loop, uint32_t msg, size_t want, maildrop_done *done,
               void *arg)
{
	struct maildrop_job *job = new_job(d, MAILDROP_FETCH, done, arg);
	struct pst_message m;

	maildrop_message(d, msg, &m);
	job->wants_surrogate = m.surrogate_octets != 0;
	job->msg = msg;
	job->idx = msg - 1;
	job->want = want;
	return queue_job(job, loop);
}

struct maildrop_job *
maildrop_read(struct maildrop *d, uv_loop_t *loop, const struct pst_body *body, uint64_t at,
              size_t want, maildrop_done *done, void *arg)
{
	struct maildrop_job *job = new_job(d, MAILDROP_READ, done, arg);

	job->body = *body;
	job->at = at;
	job->want = want;
	return queue_job(job, loop);
}

struct maildrop_job *
maildrop_close(struct maildrop *d, uv_loop_t *loop, bool commit, maildrop_done *done, void *arg)
{
	struct maildrop_job *job = new_job(d, MAILDROP_CLOSE, done, arg);

	job->has_commit = commit;
	return queue_job(job, loop);
}

enum maildrop_cached
maildrop_read_cached(struct maildrop *d, const struct pst_body *body, uint64_t at, char *out,
                     size_t want, size_t *n_out, struct pst_err *err)
{
	size_t got = 0;
	ssize_t n;

	if (d->has_no_cache_read)
		return MAILDROP_MISS;
	do { /* until a piece is not all there */
		struct iovec iov = { out + got, want - got };
		off_t from = pop3_stored_find(body, at + got, &iov.iov_len);

		do {
			n = preadv2(body->fd, &iov, 1, from, RWF_NOWAIT);
		} while (n < 0 && errno == EINTR);
		got += n > 0 ? (size_t)n : 0;
		if (n < (ssize_t)iov.iov_len)
			break;
	} while (got < want);
	if (n >= 0 || got > 0) {
		*n_out = got;
		return MAILDROP_HIT;
	}
	if (errno == EAGAIN)
		return MAILDROP_MISS;
	if (errno == EOPNOTSUPP || errno == ENOSYS) {
		d->has_no_cache_read = true;
		return MAILDROP_MISS;
	}
	pst_err_sys(err, PST_E_TEMP, "read a message");
	return MAILDROP_BROKEN;
}
