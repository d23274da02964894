/* SPDX-License-Identifier: MIT */
/* The runtime folder; see rundir.h. Runs as root where the server does. */
#include "master/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_FILE "postern.pid"
#define EMPTY_FOLDER "empty"

/* An open file description's lock: children that close their copy do not free it. */
static bool
take_lock(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &fl) == 0;
}

static int
say_who(int fd, const char *path, struct pst_err *err)
{
	char text[24] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	return pst_err_set(err, PST_E_PERM,
	                   "already running with server.runtime_dir %s, as process %ld: stop it "
	                   "(posternctl stop) or give this one another folder",
	                   path, pid);
}

int
rundir_probe(const char *path, struct pst_err *err)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, rc = 0;

	if (dir < 0)
		return 0; /* not there yet, or rundir_open will say what is wrong */
	fd = openat(dir, PID_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && !take_lock(fd))
		rc = say_who(fd, path, err);
	if (fd >= 0)
		close(fd);
	close(dir);
	return rc;
}

/* Whoever can write there could put another socket in the control socket's place. */
static int
check_owner(int dir, const char *path, struct pst_err *err)
{
	struct stat st;

	if (fstat(dir, &st) != 0)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return pst_err_set(err, PST_E_PERM,
		                   "server.runtime_dir: %s must belong to the user that starts the "
		                   "server, and nobody else may write to it (chmod go-w)",
		                   path);
	return 0;
}

static int
make_empty_folder(int dir, const char *path, struct pst_err *err)
{
	struct stat st;

	if (mkdirat(dir, EMPTY_FOLDER, 0555) != 0 && errno != EEXIST)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: %s/" EMPTY_FOLDER, path);
	if (fstatat(dir, EMPTY_FOLDER, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return pst_err_set(err, PST_E_PERM,
		                   "server.runtime_dir: %s/" EMPTY_FOLDER
		                   " must be an empty folder of the user that starts the server",
		                   path);
	return 0;
}

static int
open_lock(int dir, const char *path, struct pst_err *err)
{
	char text[24];
	int fd = openat(dir, PID_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int n;

	if (fd < 0)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: %s/" PID_FILE, path);
	if (!take_lock(fd)) {
		(void)say_who(fd, path, err);
		close(fd);
		return -1;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		pst_err_sys(err, PST_E_PERM, "server.runtime_dir: %s/" PID_FILE, path);
		close(fd);
		return -1;
	}
	return fd;
}

int
rundir_open(const char *path, int *dir_out, int *lock_out, struct pst_err *err)
{
	int dir = -1, lock = -1;

	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: cannot make %s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return pst_err_sys(err, PST_E_PERM, "server.runtime_dir: %s", path);
	if (check_owner(dir, path, err) != 0)
		goto out;
	lock = open_lock(dir, path, err);
	if (lock < 0 || make_empty_folder(dir, path, err) != 0)
		goto out;
	*dir_out = dir;
	*lock_out = lock;
	return 0;
out:
	if (lock >= 0)
		close(lock);
	close(dir);
	return -1;
}
