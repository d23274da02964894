/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage/stalekit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

static unsigned calls, fail_at; /* 0: none */

void
stalekit_begin(unsigned at)
{
	calls = 0;
	fail_at = at;
}

unsigned
stalekit_end(void)
{
	fail_at = 0;
	return calls;
}

/* Whether this call is the one. */
static bool
is_stale(void)
{
	if (fail_at == 0 || ++calls != fail_at)
		return false;
	errno = ESTALE;
	return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int dirfd, const char *path, int flags, ...);
int __wrap_openat(int dirfd, const char *path, int flags, ...);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __real_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags);
int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
ssize_t __real_getdents64(int fd, void *to, size_t n);
ssize_t __wrap_getdents64(int fd, void *to, size_t n);
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __real_pread(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t at);

int
__wrap_open(const char *path, int flags, ...)
{
	return is_stale() ? -1 : __real_open(path, flags, 0600);
}

int
__wrap_openat(int dirfd, const char *path, int flags, ...)
{
	/* A new file is not replaced while it is made. */
	return (flags & O_CREAT) == 0 && is_stale() ? -1 : __real_openat(dirfd, path, flags, 0600);
}

int
__wrap_fstat(int fd, struct stat *st)
{
	return is_stale() ? -1 : __real_fstat(fd, st);
}

int
__wrap_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return is_stale() ? -1 : __real_fstatat(dirfd, path, st, flags);
}

int
__wrap_flock(int fd, int how)
{
	return is_stale() ? -1 : __real_flock(fd, how);
}

ssize_t
__wrap_getdents64(int fd, void *to, size_t n)
{
	return is_stale() ? -1 : __real_getdents64(fd, to, n);
}

ssize_t
__wrap_read(int fd, void *to, size_t n)
{
	return is_stale() ? -1 : __real_read(fd, to, n);
}

ssize_t
__wrap_pread(int fd, void *to, size_t n, off_t at)
{
	return is_stale() ? -1 : __real_pread(fd, to, n, at);
}
