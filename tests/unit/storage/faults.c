/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	enum fault_how how;
	int at, calls;
} fault;

void
fault_set(enum fault_how how, int at)
{
	fault.how = how;
	fault.at = at;
	fault.calls = 0;
}

int
fault_calls(void)
{
	return fault.calls;
}

static bool
is_now(enum fault_how how)
{
	return fault.how == how && fault.calls == fault.at;
}

/* Before a call. true: it fails for want of room. */
static bool
begin(bool needs_room)
{
	if (is_now(FAULT_DIE_BEFORE) || is_now(FAULT_DIE_HALFWAY))
		_exit(FAULT_DIED);
	if (!needs_room || (!is_now(FAULT_FULL) && !is_now(FAULT_FULL_HALFWAY)))
		return false;
	fault.calls++;
	errno = ENOSPC;
	return true;
}

static void
end(void)
{
	if (is_now(FAULT_DIE_AFTER))
		_exit(FAULT_DIED);
	fault.calls++;
}

#define WRAP(type, name, args, call, needs_room)                                                   \
	type __real_##name args;                                                                   \
	type __wrap_##name args;                                                                   \
	type __wrap_##name args                                                                    \
	{                                                                                          \
		type rc;                                                                           \
                                                                                                   \
		if (begin(needs_room))                                                             \
			return -1;                                                                 \
		rc = __real_##name call;                                                           \
		end();                                                                             \
		return rc;                                                                         \
	}

WRAP(int, renameat, (int a, const char *x, int b, const char *y), (a, x, b, y), true)
WRAP(int, renameat2, (int a, const char *x, int b, const char *y, unsigned f), (a, x, b, y, f),
     true)
WRAP(int, unlinkat, (int a, const char *x, int f), (a, x, f), false)
WRAP(int, mkdirat, (int a, const char *x, mode_t m), (a, x, m), true)
WRAP(int, fdatasync, (int fd), (fd), true)
WRAP(int, fsync, (int fd), (fd), true)
WRAP(int, ftruncate, (int fd, off_t n), (fd, n), false)
WRAP(int, ftruncate64, (int fd, off_t n), (fd, n), false)

/* ---- Writes ---- */

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);

static ssize_t
put(int fd, const void *p, size_t n, off_t at)
{
	return at < 0 ? __real_write(fd, p, n) : __real_pwrite(fd, p, n, at);
}

static ssize_t
write_or_not(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc;

	if (is_now(FAULT_DIE_HALFWAY)) {
		(void)!put(fd, p, n / 2, at);
		_exit(FAULT_DIED);
	}
	if (is_now(FAULT_FULL_HALFWAY) && n > 1) {
		rc = put(fd, p, n / 2, at);
		fault.how = FAULT_FULL; /* and the rest has no room */
		fault.at++;
		fault.calls++;
		return rc;
	}
	if (begin(true))
		return -1;
	rc = put(fd, p, n, at);
	end();
	return rc;
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	return write_or_not(fd, p, n, -1);
}

ssize_t
__wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_or_not(fd, p, n, at);
}

ssize_t
__wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return write_or_not(fd, p, n, at);
}

/* ---- Files that are made ---- */

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);

static int
make_or_not(int dir, const char *path, int flags, mode_t mode)
{
	int rc;

	if ((flags & O_CREAT) == 0)
		return __real_openat(dir, path, flags, 0);
	if (begin(true))
		return -1;
	rc = __real_openat(dir, path, flags, mode);
	end();
	return rc;
}

int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return make_or_not(dir, path, flags, mode);
}

int
__wrap_openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return make_or_not(dir, path, flags, mode);
}
