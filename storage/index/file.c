/* SPDX-License-Identifier: MIT */
/* Index files: one read, one write, and the places' time stamps; see index.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storage/index/index.h"
#include "storage/index/stale.h"

#define FIRST_READ ((size_t)16 * 1024)    /* holds the index of most maildrops */
#define SHRINK_OCTETS ((size_t)64 * 1024) /* so much more than needed is given back */

static int64_t
to_ns(struct timespec ts)
{
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Reads until n octets are there or the file ends; returns how many, or -1. */
static ssize_t
read_up_to(int fd, char *to, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, to + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* first holds the file's first n octets, which say that there are more. */
static const char *
load_large(struct index *ix, int fd, const char *first, size_t n, size_t max)
{
	struct mem mem = { NULL, 0 };
	uint64_t said = index_file_octets(first, n);
	size_t octets;
	struct stat st;
	ssize_t got;

	if (said > max)
		return "larger than any of ours";
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < said)
		return "cut"; /* before memory is taken on its word */
	octets = (size_t)said;
	if (mem_get(&mem, octets) != 0)
		return "no memory for it";
	memcpy(mem.p, first, n);
	got = read_up_to(fd, (char *)mem.p + n, octets - n);
	if (got != (ssize_t)(octets - n)) {
		mem_drop(&mem);
		return "cannot be read";
	}
	return index_parse(ix, &mem, octets);
}

static const char *
load_fd(struct index *ix, int fd, size_t max)
{
	struct mem mem = { NULL, 0 };
	char first[FIRST_READ] PST_UNINITIALIZED;
	ssize_t got = read(fd, first, sizeof(first));

	if (got < 0)
		return "cannot be read";
	if (index_file_octets(first, (size_t)got) > sizeof(first))
		return load_large(ix, fd, first, (size_t)got, max);
	if (index_file_octets(first, (size_t)got) < (uint64_t)got) /* the rest is an older one's */
		got = (ssize_t)index_file_octets(first, (size_t)got);
	if (mem_get(&mem, (size_t)got) != 0)
		return "no memory for it";
	memcpy(mem.p, first, (size_t)got);
	return index_parse(ix, &mem, (size_t)got);
}

bool
index_load_cached(struct index *ix, int fd)
{
	struct mem mem = { NULL, 0 };
	char first[FIRST_READ] PST_UNINITIALIZED;
	struct iovec iov = { first, sizeof(first) };
	ssize_t got = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);
	uint64_t said;

	if (got <= 0)
		return false;
	said = index_file_octets(first, (size_t)got);
	if (said == 0 || said > (uint64_t)got || mem_get(&mem, (size_t)said) != 0)
		return false;
	memcpy(mem.p, first, (size_t)said);
	return index_parse(ix, &mem, (size_t)said) == NULL;
}

static bool
is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

static enum index_load
try_one(struct index *ix, const struct index_file *file, const char *name, size_t max,
        const char **why_out)
{
	/* O_NONBLOCK: a FIFO with that name must not hold the session up. */
	int fd = openat(file->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int saved;

	if (fd < 0 && errno == ENOENT)
		return INDEX_NONE;
	if (fd < 0) {
		*why_out = "cannot be opened";
		return INDEX_BAD;
	}
	errno = 0;
	*why_out = file->check_owner && !is_ours(fd) ? "somebody else's" : load_fd(ix, fd, max);
	saved = errno;
	close(fd);
	errno = saved;
	return *why_out == NULL ? INDEX_LOADED : INDEX_BAD;
}

static enum index_load
load_one(struct index *ix, const struct index_file *file, const char *name, size_t max,
         const char **why_out)
{
	enum index_load load = INDEX_BAD;
	unsigned attempt;

	for (attempt = 0; attempt < STALE_ATTEMPTS; attempt++) {
		load = try_one(ix, file, name, max, why_out);
		if (load != INDEX_BAD || errno != ESTALE)
			break;
	}
	return load;
}

enum index_load
index_load(struct index *ix, const struct index_file *file, size_t max, const char **why_out)
{
	const char *why_spare = NULL;
	enum index_load load = load_one(ix, file, file->name, max, why_out);

	if (load == INDEX_BAD && load_one(ix, file, file->spare, max, &why_spare) == INDEX_LOADED)
		load = INDEX_LOADED;
	return load;
}

/* ---- Writing ---- */

int
file_sync_directory(int dirfd, const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t n = slash == NULL ? 1 : (size_t)(slash - name) + 1;
	char *dir;
	int fd, rc;

	if (slash == NULL && dirfd >= 0)
		return fsync(dirfd);
	dir = mem_new(n + 1);
	memcpy(dir, slash == NULL ? "." : name, n);
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int
open_spare(const struct index_file *file, int flags)
{
	return openat(file->dirfd, file->spare,
	              O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
}

/* Ours alone: a file that has another name too, or another owner, is not written to. */
static bool
is_writable(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_uid == geteuid();
}

static int
pwrite_all(int fd, struct pst_str s, off_t at)
{
	while (s.n > 0) {
		ssize_t n = pwrite(fd, s.p, s.n, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		s.p += n;
		s.n -= (size_t)n;
		at += n;
	}
	return 0;
}

/* Gives back the room that it took: the disk may be full. */
static int
give_up(struct index_writer *w)
{
	(void)unlinkat(w->file->dirfd, w->file->spare, 0);
	close(w->fd);
	w->fd = -1;
	return -1;
}

int
index_write_begin(struct index_writer *w, const struct index_file *file, struct index *ix,
                  struct pst_err *err)
{
	struct stat st;

	*w = (struct index_writer){ .file = file, .fd = open_spare(file, 0) };
	if (w->fd < 0 || !is_writable(w->fd)) {
		if (w->fd >= 0)
			close(w->fd);
		(void)unlinkat(file->dirfd, file->spare, 0);
		w->fd = open_spare(file, O_EXCL);
	}
	if (w->fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "create %s", file->spare);
	/* All of it, also where there is no message: the time stamp must be of now. */
	if (pwrite_all(w->fd, index_octets(ix), 0) != 0 || fstat(w->fd, &st) != 0) {
		pst_err_sys(err, PST_E_TEMP, "write %s", file->spare);
		return give_up(w);
	}
	w->dev = st.st_dev;
	w->fs_now_ns = to_ns(st.st_mtim);
	w->old_octets = (uint64_t)st.st_size;
	return 0;
}

/* The spare becomes the index, and the index the spare. */
static int
exchange(const struct index_file *file)
{
	if (renameat2(file->dirfd, file->spare, file->dirfd, file->name, RENAME_EXCHANGE) == 0)
		return 0;
	return renameat(file->dirfd, file->spare, file->dirfd, file->name);
}

int
index_write_end(struct index_writer *w, struct index *ix, struct pst_err *err)
{
	const struct index_file *file = w->file;
	size_t keep;

	index_seal(ix);
	keep = ix->octets + index_write_prints(ix, w->fd);
	if (pwrite_all(w->fd, index_head_octets(ix), 0) != 0) {
		pst_err_sys(err, PST_E_TEMP, "write %s", file->spare);
		return give_up(w);
	}
	if (w->old_octets / 2 > keep + SHRINK_OCTETS && ftruncate(w->fd, (off_t)keep) != 0)
		w->old_octets = 0; /* it stays long, which does no harm */
	if (exchange(file) != 0) {
		pst_err_sys(err, PST_E_TEMP, "rename %s to %s", file->spare, file->name);
		return give_up(w);
	}
	close(w->fd);
	w->fd = -1;
	return 0;
}

int
index_place_look(int dirfd, const char *name, struct index_place *out, struct pst_err *err)
{
	struct stat st;
	int rc = *name == '\0' ? fstat(dirfd, &st) : fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);

	*out = (struct index_place){ .is_there = false };
	if (rc != 0 && errno == ENOENT)
		return 0;
	if (rc != 0)
		return pst_err_sys(err, errno == EACCES ? PST_E_PERM : PST_E_TEMP, "stat %s", name);
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	out->mtime_ns = to_ns(st.st_mtim);
	out->ctime_ns = to_ns(st.st_ctim);
	out->octets = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size;
	out->is_there = true;
	return 0;
}

bool
index_place_same(const struct index_place *a, const struct index_place *b)
{
	return a->is_there == b->is_there && a->dev == b->dev && a->ino == b->ino &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->octets == b->octets;
}

bool
index_place_is_settled(const struct index_place *seen, int64_t now_ns, int64_t margin_ns)
{
	int64_t changed = seen->mtime_ns > seen->ctime_ns ? seen->mtime_ns : seen->ctime_ns;

	return !seen->is_there || changed <= now_ns - margin_ns;
}

int
index_forget(const struct index_file *file, struct pst_err *err)
{
	if ((unlinkat(file->dirfd, file->spare, 0) != 0 && errno != ENOENT) ||
	    (unlinkat(file->dirfd, file->name, 0) != 0 && errno != ENOENT))
		return pst_err_sys(err, PST_E_TEMP, "remove %s", file->name);
	if (file_sync_directory(file->dirfd, file->name) != 0)
		return pst_err_sys(err, PST_E_TEMP, "sync the folder of %s", file->name);
	return 0;
}
