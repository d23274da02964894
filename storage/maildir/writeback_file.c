/* SPDX-License-Identifier: MIT */
/* Putting octets into the old server's list, so that a crash leaves the old or the new; see
 * writeback.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/maildir/writeback.h"

/* How many of the octets were written; fewer with errno set. */
static size_t
write_all(int fd, struct pst_str s)
{
	size_t done = 0;

	while (done < s.n) {
		ssize_t n = write(fd, s.p + done, s.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Cuts a line that was begun. Whole lines stay: another may have read them, and their numbers must
 * not become other messages'. */
static void
cut_torn_line(int fd, struct pst_str text, size_t done, off_t before)
{
	while (done > 0 && text.p[done - 1] != '\n')
		done--;
	(void)!ftruncate(fd, before + (off_t)done);
}

int
writeback_append(const struct writeback *w, const char *name, struct pst_err *err)
{
	struct pst_str text = { w->mem_text.p, w->text_used };
	const struct stat *seen = &w->f->seen;
	struct stat st;
	int rc = -1;
	size_t done;
	int fd;

	fd = openat(w->f->dirfd, name,
	            O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return pst_err_sys(err, drop_kind_of_errno(), "open %s", name);
	if (fstat(fd, &st) != 0 || st.st_ino != seen->st_ino || st.st_dev != seen->st_dev ||
	    st.st_size != seen->st_size) {
		pst_err_set(err, PST_E_TEMP, "%s changed under its lock", name);
		goto out;
	}
	/* Room first: nothing is cut off again then. Not every file system can do it. */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, st.st_size, (off_t)text.n) != 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS) {
		pst_err_sys(err, PST_E_TEMP, "write %s", name);
		goto out;
	}
	done = write_all(fd, text);
	if (done < text.n) {
		pst_err_sys(err, drop_kind_of_errno(), "write %s", name);
		cut_torn_line(fd, text, done, st.st_size);
		goto out;
	}
	if (fdatasync(fd) != 0) {
		pst_err_sys(err, PST_E_TEMP, "write %s", name);
		goto out;
	}
	rc = 0;
out:
	close(fd);
	return rc;
}

/* As whoever made the list wants it to be read. */
static int
set_mode(int fd, const struct stat *old, struct pst_err *err)
{
	mode_t mode = old->st_mode & 0777;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "the new list");
	if (st.st_uid != old->st_uid)
		return pst_err_set(err, PST_E_PERM, "the list is another user's");
	if (st.st_gid != old->st_gid)
		mode &= ~(mode_t)070;
	if (st.st_mode % 01000 != mode && fchmod(fd, mode) != 0)
		return pst_err_sys(err, PST_E_TEMP, "the new list");
	return 0;
}

int
writeback_replace(const struct writeback *w, const char *name, const struct dotlock *lock,
                  struct pst_err *err)
{
	struct pst_str text = { w->mem_text.p, w->text_used };
	int dirfd = w->f->dirfd, rc = -1;
	char fresh[64];
	int fd;

	(void)snprintf(fresh, sizeof(fresh), "%s.postern", name);
	(void)unlinkat(dirfd, fresh, 0); /* of a session that died; nobody else uses the name */
	fd = openat(dirfd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return pst_err_sys(err, drop_kind_of_errno(), "create %s", fresh);
	if (set_mode(fd, &w->f->seen, err) != 0)
		goto out;
	if (write_all(fd, text) < text.n || fdatasync(fd) != 0) {
		pst_err_sys(err, drop_kind_of_errno(), "write %s", fresh);
		goto out;
	}
	if (lock != NULL && !dotlock_holds(lock)) {
		pst_err_set(err, PST_E_TEMP, "the lock was lost");
		goto out;
	}
	if (renameat(dirfd, fresh, dirfd, name) != 0) {
		pst_err_sys(err, drop_kind_of_errno(), "rename %s", fresh);
		goto out;
	}
	if (fsync(dirfd) != 0) {
		pst_err_sys(err, PST_E_TEMP, "write %s", name);
		goto out;
	}
	rc = 0;
out:
	close(fd);
	if (rc != 0)
		(void)unlinkat(dirfd, fresh, 0);
	return rc;
}
