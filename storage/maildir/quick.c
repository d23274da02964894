/* SPDX-License-Identifier: MIT */
/* The poll that finds nothing new: opening a Maildir from the kernel's caches alone, on the caller's
 * event loop. Whatever would need a disk or another host, or a reading of the directories, is left to
 * drop_open. */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/maildir/drop.h"

#define LISTED_MAX 4096u /* more are freed in the pool */

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1

static int
open_cached(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = resolve | RESOLVE_CACHED,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/* On others a lock may be a question to another host. */
static bool
is_local(int fd)
{
	static const unsigned long local[] = { EXT4_SUPER_MAGIC,     XFS_SUPER_MAGIC,
		                               BTRFS_SUPER_MAGIC,    TMPFS_MAGIC,
		                               F2FS_SUPER_MAGIC,     ZFS_SUPER_MAGIC,
		                               OVERLAYFS_SUPER_MAGIC };
	struct statfs fs;
	size_t i;

	if (fstatfs(fd, &fs) != 0)
		return false;
	for (i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if ((unsigned long)fs.f_type == local[i])
			return true;
	return false;
}

/* Both places as they are now, or false where one is not in memory or not there. */
static bool
look_cached(const struct pst_maildrop *d, struct index_place now[PLACE_BOTH])
{
	struct pst_err err;
	unsigned i;

	for (i = 0; i < PLACE_BOTH; i++) {
		int fd = open_cached(d->root, maildir_places[i], O_PATH | O_DIRECTORY | O_NOFOLLOW,
		                     RESOLVE_NO_SYMLINKS);
		int rc;

		if (fd < 0)
			return false;
		rc = index_place_look(fd, "", &now[i], &err);
		close(fd);
		if (rc != 0)
			return false;
	}
	return true;
}

/* The index, if it lies beside the mail and is in memory. */
static bool
load_cached(struct pst_maildrop *d)
{
	int fd;
	bool is_there;

	if (d->file.dirfd != d->root)
		return false;
	fd = open_cached(d->root, d->file.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
	                 RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return false;
	is_there = index_load_cached(&d->index, fd);
	close(fd);
	return is_there && d->index.head.driver == INDEX_MAILDIR;
}

static enum pst_fetch_result
lock_and_read(struct pst_maildrop *d, struct pst_err *err)
{
	struct index_place now[PLACE_BOTH];

	d->root = open_cached(AT_FDCWD, d->path, O_RDONLY | O_DIRECTORY, 0);
	if (d->root < 0 || !is_local(d->root))
		return PST_FETCH_WAIT;
	if (flock(d->root, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK)
			return PST_FETCH_WAIT;
		pst_err_set(err, PST_E_IN_USE, "%s: another session has the lock", d->path);
		return PST_FETCH_ERROR;
	}
	drop_locate_index(d);
	if (!drop_is_at_path(d) || !look_cached(d, now) || !load_cached(d) ||
	    !drop_is_unchanged(&d->index, now) || d->index.listed > d->self->conf->max_messages)
		return PST_FETCH_WAIT;
	d->is_light = d->index.listed <= LISTED_MAX;
	return PST_FETCH_OK;
}

enum pst_fetch_result
drop_open_now(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
              struct pst_err *err)
{
	struct pst_maildrop *d = drop_create(self, spec->path);
	enum pst_fetch_result result = lock_and_read(d, err);

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
