/* SPDX-License-Identifier: MIT */
/* Opening an mbox: the session's lock, what a killed one left, the listing; see mbox.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/stale.h"
#include "storage/mbox/mbox.h"
#include "storage/mbox/rewrite.h"

#define MAX_ATTEMPTS 3

enum pst_err_kind
mbox_kind_of_errno(void)
{
	switch (errno) {
	case EACCES:
	case EPERM:
	case EROFS:
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
	case ENXIO:
	case ENAMETOOLONG:
		return PST_E_PERM;
	default:
		return PST_E_TEMP;
	}
}

int
mbox_open_file(const struct pst_maildrop *d, int flags)
{
	int fd = open(d->path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	errno = fd < 0 ? errno : 0;
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		const bool is_stale = errno == ESTALE;

		close(fd);
		errno = is_stale ? ESTALE : EISDIR; /* or another thing that is no file */
		fd = -1;
	}
	return fd;
}

bool
mbox_is_at_path(const struct pst_maildrop *d, int fd)
{
	struct stat locked, there;

	return fstat(fd, &locked) == 0 && stat(d->path, &there) == 0 &&
	       locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

static bool
plan_has_flock(const struct lock_plan *plan)
{
	unsigned i;

	for (i = 0; i < plan->count; i++)
		if (plan->kinds[i] == LOCK_FLOCK)
			return true;
	return false;
}

bool
mbox_is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid();
}

/* Our own file; -1 where it cannot be made or is somebody else's. */
static int
open_session_file_once(const struct pst_maildrop *d)
{
	int fd =
		open(d->session_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	errno = fd < 0 ? errno : 0;
	if (fd >= 0 && (fstat(fd, &st) != 0 || !mbox_is_ours(&st))) {
		const int saved = errno;

		close(fd);
		errno = saved;
		fd = -1;
	}
	return fd;
}

/* Without it another lock would be taken: so a file that was replaced on another host counts as none
 * only where that does not pass. */
static int
open_session_file(const struct pst_maildrop *d)
{
	unsigned attempt;
	int fd = -1;

	for (attempt = 0; attempt < STALE_ATTEMPTS && fd < 0; attempt++) {
		fd = open_session_file_once(d);
		if (errno != ESTALE)
			break;
	}
	return fd;
}

/* Where our file cannot be, flock on the mbox itself is the session's lock: delivery agents do not
 * look at it unless flock is among the mail's locks. */
static int
lock_session(struct pst_maildrop *d, struct pst_err *err)
{
	int fd;

	if (d->session_fd < 0)
		d->session_fd = open_session_file(d);
	fd = d->session_fd;
	if (fd < 0 && plan_has_flock(&d->self->plan))
		return pst_err_set(err, PST_E_PERM,
		                   "%s: no place for the session's lock: set "
		                   "storage.mbox.index_dir",
		                   d->path);
	if (flock(fd < 0 ? d->fd : fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return pst_err_set(err, PST_E_IN_USE, "%s: another session has the lock", d->path);
	return pst_err_sys(err, PST_E_TEMP, "lock %s", d->path);
}

static int
recover(const struct pst_maildrop *d, struct pst_err *err)
{
	const struct mbox *self = d->self;
	struct lock lock = { .plan = NULL };
	int fd = mbox_open_file(d, O_RDWR);
	int rc = -1;

	if (fd < 0)
		return pst_err_sys(err, mbox_kind_of_errno(), "%s: finish a removal", d->path);
	if (lock_take(&lock, &self->plan, self->host, d->path, fd, d->session_fd, true, err) == 0) {
		const struct rewrite rw = { self->host, d->path, fd, d->session_fd, &lock };

		rc = rewrite_recover(&rw, err);
	}
	lock_free(&lock);
	close(fd);
	return rc;
}

/* Under the mail's locks. */
static int
read_listing(struct pst_maildrop *d, struct pst_err *err)
{
	struct index next = { .octets = 0 };
	bool same = false, was_trusted = d->index.head.places[0].is_trusted;
	struct index_place now;

	if (index_place_look(d->fd, "", &now, err) != 0 ||
	    mbox_list(d, d->fd, &d->index, &now, false, &next, &same, err) != 0)
		return -1;
	same = same && was_trusted && index_place_same(&d->index.head.places[0], &now);
	index_clear(&d->index);
	d->index = next;
	d->seen = now;
	if (!same)
		mbox_save(d, &d->index);
	index_drop_prints(&d->index);
	return 0;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_AGAIN, ATTEMPT_FAILED };

static enum attempt
attempt_open(struct pst_maildrop *d, struct pst_err *err)
{
	const struct mbox *self = d->self;
	struct lock lock = { .plan = NULL };
	enum attempt result = ATTEMPT_FAILED;
	struct index_place now;

	d->fd = mbox_open_file(d, O_RDONLY);
	if (d->fd < 0 && errno == ENOENT)
		return ATTEMPT_DONE;
	if (d->fd < 0) {
		pst_err_sys(err, mbox_kind_of_errno(), "open %s", d->path);
		return ATTEMPT_FAILED;
	}
	if (lock_session(d, err) != 0)
		return ATTEMPT_FAILED;
	if (rewrite_is_pending(d->session_fd) && recover(d, err) != 0)
		return ATTEMPT_FAILED;
	if (index_place_look(d->fd, "", &now, err) != 0)
		return ATTEMPT_FAILED;
	if (d->index.octets == 0)
		mbox_load(d, &d->index);
	d->seen = now;
	if (mbox_is_unchanged(self, &d->index, &now))
		return mbox_is_at_path(d, d->fd) ? ATTEMPT_DONE : ATTEMPT_AGAIN;
	if (lock_take(&lock, &self->plan, self->host, d->path, d->fd, d->session_fd, false, err) !=
	    0)
		return ATTEMPT_FAILED;
	if (!mbox_is_at_path(d, d->fd))
		result = ATTEMPT_AGAIN;
	else if (read_listing(d, err) == 0)
		result = ATTEMPT_DONE;
	lock_free(&lock);
	return result;
}

struct pst_maildrop *
mbox_create(void *self, const char *path)
{
	struct pst_maildrop *d = mem_new(sizeof(*d));

	d->self = self;
	d->fd = -1;
	d->session_fd = -1;
	d->path = strdup(path);
	if (d->path == NULL)
		abort();
	mbox_locate(d);
	return d;
}

static int
open_once(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	struct pst_maildrop *d = mbox_create(self, spec->path);
	enum attempt result = ATTEMPT_AGAIN;
	int attempt;

	d->open_flags = spec->flags;
	d->user = spec->user;
	for (attempt = 0; attempt < MAX_ATTEMPTS && result == ATTEMPT_AGAIN; attempt++) {
		if (d->fd >= 0)
			close(d->fd);
		result = attempt_open(d, err);
	}
	if (result == ATTEMPT_AGAIN)
		pst_err_set(err, PST_E_TEMP, "%s: replaced again and again", d->path);
	d->user = (struct pst_str){ NULL, 0 };
	if (result == ATTEMPT_DONE) {
		*drop_out = d;
		return 0;
	}
	mbox_close(d);
	return -1;
}

int
mbox_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	unsigned attempt = 1;
	int rc;

	while ((rc = open_once(self, spec, drop_out, err)) != 0 && stale_is(err) &&
	       attempt < STALE_ATTEMPTS)
		attempt++;
	return rc;
}

void
mbox_close(struct pst_maildrop *d)
{
	if (d->is_doubtful && d->index.octets > 0) {
		d->index.head.places[0].ino = 0; /* no file has that: all is read next time */
		mbox_save(d, &d->index);
	}
	index_clear(&d->index);
	if (d->fd >= 0)
		close(d->fd);
	if (d->session_fd >= 0)
		close(d->session_fd); /* and with it the session's lock */
	free(d->envelope);
	free(d->hold_name);
	free(d->ledger_name);
	free(d->ledger_spare);
	free(d->index_name);
	free(d->index_spare);
	free(d->session_name);
	free(d->path);
	free(d);
}

uint32_t
mbox_count(const struct pst_maildrop *d)
{
	return d->index.listed;
}

void
mbox_message_of(const struct pst_maildrop *d, uint32_t idx, struct pst_message *out)
{
	index_show(&d->index, idx, d->self->host->surrogate_rules, out);
}
