/* SPDX-License-Identifier: MIT */
/* Lines that are kept with a maildrop; see notes.h. */
#include "storage/index/notes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/mem.h"

#define END " .\n"
#define END_OCTETS (sizeof(END) - 1)
#define FILE_MAX ((off_t)1 << 30)

static enum pst_err_kind
kind_of_errno(void)
{
	return errno == EACCES || errno == EPERM || errno == EROFS ? PST_E_PERM : PST_E_TEMP;
}

/* -1 and errno. O_NONBLOCK: a FIFO with that name must not hold the session up. */
static int
open_ours(const struct notes_file *file, const char *name, int flags, struct stat *st_out)
{
	int fd = openat(file->dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	                0600);

	if (fd < 0)
		return -1;
	if (fstat(fd, st_out) == 0 && S_ISREG(st_out->st_mode) && st_out->st_nlink == 1 &&
	    (!file->check_owner || st_out->st_uid == geteuid()))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

static int
open_to_add(const struct notes_file *file, struct stat *st_out)
{
	return open_ours(file, file->name, O_RDWR | O_APPEND | O_CREAT, st_out);
}

static bool
is_line_open(int fd, off_t size)
{
	char last;

	return size > 0 && (pread(fd, &last, 1, size - 1) != 1 || last != '\n');
}

static bool
has_control(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* At once, or it is taken back. */
static bool
add_whole(int fd, const char *p, size_t n, off_t size)
{
	ssize_t got;

	do
		got = write(fd, p, n);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)n)
		return true;
	if (got >= 0) {
		errno = ENOSPC;
		if (ftruncate(fd, size) != 0) /* then a torn line stays, which nobody reads */
			errno = ENOSPC;
	}
	return false;
}

int
notes_add(const struct notes_file *file, struct pst_str line, uint64_t max_octets,
          struct pst_err *err)
{
	size_t n = 0;
	struct stat st;
	char *text;
	int fd, rc = -1;

	if (has_control(line))
		return pst_err_set(err, PST_E_PERM, "a control character in a note");
	fd = open_to_add(file, &st);
	if (fd >= 0 && st.st_size > 0 &&
	    (uint64_t)st.st_size + line.n + END_OCTETS > max_octets / 2) {
		if (renameat(file->dirfd, file->name, file->dirfd, file->old) != 0) {
			pst_err_sys(err, kind_of_errno(), "rename %s to %s", file->name, file->old);
			close(fd);
			return -1;
		}
		close(fd);
		fd = open_to_add(file, &st);
	}
	if (fd < 0)
		return pst_err_sys(err, kind_of_errno(), "open %s", file->name);
	text = mem_new(line.n + END_OCTETS + 1);
	if (is_line_open(fd, st.st_size))
		text[n++] = '\n';
	if (line.n > 0)
		memcpy(text + n, line.p, line.n);
	memcpy(text + n + line.n, END, END_OCTETS);
	if (add_whole(fd, text, n + line.n + END_OCTETS, st.st_size))
		rc = 0;
	else
		pst_err_sys(err, kind_of_errno(), "write %s", file->name);
	free(text);
	close(fd);
	return rc;
}

static void
tell_lines(const char *p, size_t n, void (*each)(void *arg, struct pst_str line), void *arg)
{
	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t octets;

		if (end == NULL)
			return;
		octets = (size_t)(end - p);
		if (octets >= END_OCTETS - 1 &&
		    memcmp(end - (END_OCTETS - 1), END, END_OCTETS - 1) == 0 &&
		    !has_control((struct pst_str){ p, octets }))
			each(arg, (struct pst_str){ p, octets - (END_OCTETS - 1) });
		p = end + 1;
		n -= octets + 1;
	}
}

static int
read_one(const struct notes_file *file, const char *name,
         void (*each)(void *arg, struct pst_str line), void *arg, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	struct stat st;
	size_t used = 0;
	int fd = open_ours(file, name, O_RDONLY, &st), rc = -1;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : pst_err_sys(err, kind_of_errno(), "open %s", name);
	if (st.st_size > FILE_MAX || mem_get(&mem, (size_t)st.st_size) != 0) {
		pst_err_set(err, PST_E_TEMP, "no memory to read %s", name);
		goto out;
	}
	while (used < (size_t)st.st_size) {
		n = read(fd, (char *)mem.p + used, (size_t)st.st_size - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			pst_err_sys(err, PST_E_TEMP, "read %s", name);
			goto out;
		}
		if (n == 0)
			break;
		used += (size_t)n;
	}
	tell_lines(mem.p, used, each, arg);
	rc = 0;
out:
	mem_drop(&mem);
	close(fd);
	return rc;
}

int
notes_read(const struct notes_file *file, void (*each)(void *arg, struct pst_str line), void *arg,
           struct pst_err *err)
{
	if (read_one(file, file->old, each, arg, err) != 0)
		return -1;
	return read_one(file, file->name, each, arg, err);
}
