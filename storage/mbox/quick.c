/* SPDX-License-Identifier: MIT */
/* The poll that finds nothing new: opening an mbox from the kernel's caches alone, on the caller's event
 * loop. Whatever would need a disk, another host, a lock of the mail or a reading of it is left to
 * mbox_open.
 *
 * No lock of the mail is needed, as in mbox_open: a file that was still for a while when it was listed,
 * and looks the same now, is the same. So it bears no trace of a removal that did not come to its end,
 * either: whether one had begun is asked at the next removal. The mbox itself is not even opened before a message is asked
 * for; then it must look as it does now, or the message is looked for where it lay (see fetch.c). */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "storage/index/cached.h"
#include "storage/mbox/mbox.h"

static bool
is_unchanged(struct pst_maildrop *d, uid_t uid)
{
	struct pst_err err;

	return cached_load(&d->index, &d->file, uid) && mbox_is_sound(&d->index) &&
	       index_place_look(AT_FDCWD, d->path, &d->seen, &err) == 0 && d->seen.is_there &&
	       mbox_is_unchanged(d->self, &d->index, &d->seen);
}

static enum pst_fetch_result
lock_and_read(struct pst_maildrop *d, struct pst_err *err)
{
	struct stat st;

	d->session_fd = cached_open(AT_FDCWD, d->session_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
	if (d->session_fd < 0 || fstat(d->session_fd, &st) != 0 || !mbox_is_ours(&st) ||
	    !cached_is_local(d->session_fd, st.st_dev))
		return PST_FETCH_WAIT;
	if (flock(d->session_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return PST_FETCH_WAIT;
		pst_err_set(err, PST_E_IN_USE, "%s: another session has the lock", d->path);
		return PST_FETCH_ERROR;
	}
	if (!is_unchanged(d, st.st_uid))
		return PST_FETCH_WAIT;
	d->is_light = d->index.listed <= CACHED_LISTED_MAX;
	return PST_FETCH_OK;
}

enum pst_fetch_result
mbox_open_now(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err)
{
	struct pst_maildrop *d;
	enum pst_fetch_result result;

	if (spec->flags != 0) /* an admin's wish: all is looked at */
		return PST_FETCH_WAIT;
	d = mbox_create(self, spec->path);
	result = lock_and_read(d, err);
	if (result == PST_FETCH_OK)
		*drop_out = d;
	else
		mbox_close(d);
	return result;
}

bool
mbox_closes_now(const struct pst_maildrop *d)
{
	return d->is_light && !d->is_doubtful;
}
