/* SPDX-License-Identifier: MIT */
/* The poll that finds nothing new: opening a Maildir from the kernel's caches alone, on the caller's
 * event loop. Whatever would need a disk or another host, or a reading of the directories, is left to
 * drop_open. */
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/cached.h"
#include "storage/maildir/drop.h"

/* Both places by their whole paths: are they those of the index that lies in the locked directory, then
 * the path still leads there. */
static bool
look(const struct pst_maildrop *d, struct index_place now[PLACE_BOTH])
{
	char path[PATH_MAX] PST_UNINITIALIZED;
	struct pst_err err;
	unsigned i;

	for (i = 0; i < PLACE_BOTH; i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", d->path, maildir_places[i]);

		if (n < 0 || (size_t)n >= sizeof(path) ||
		    index_place_look(AT_FDCWD, path, &now[i], &err) != 0 || !now[i].is_there)
			return false;
	}
	return true;
}

static enum pst_fetch_result
lock_and_read(struct pst_maildrop *d, struct pst_err *err)
{
	struct index_place now[PLACE_BOTH];
	struct stat st;

	d->root = cached_open(AT_FDCWD, d->path, O_RDONLY | O_DIRECTORY);
	if (d->root < 0 || fstat(d->root, &st) != 0 || !cached_is_local(d->root, st.st_dev))
		return PST_FETCH_WAIT;
	if (flock(d->root, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return PST_FETCH_WAIT;
		pst_err_set(err, PST_E_IN_USE, "%s: another session has the lock", d->path);
		return PST_FETCH_ERROR;
	}
	drop_locate_index(d);
	if (!cached_load(&d->index, &d->file, d->file.check_owner ? geteuid() : 0) ||
	    d->index.head.driver != INDEX_MAILDIR || !look(d, now) ||
	    !drop_is_unchanged(d->self, &d->index, now) ||
	    d->index.listed > d->self->conf->max_messages)
		return PST_FETCH_WAIT;
	d->is_light = d->index.listed <= CACHED_LISTED_MAX;
	return PST_FETCH_OK;
}

enum pst_fetch_result
drop_open_now(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err)
{
	struct pst_maildrop *d;
	enum pst_fetch_result result;

	if (spec->flags != 0) /* an admin's wish: all is looked at */
		return PST_FETCH_WAIT;
	d = drop_create(self, spec->path);
	result = lock_and_read(d, err);
	if (result == PST_FETCH_OK)
		*drop_out = d;
	else
		drop_close(d);
	return result;
}

bool
drop_closes_now(const struct pst_maildrop *d)
{
	return d->is_light && d->stale_count == 0;
}
