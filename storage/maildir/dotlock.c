/* SPDX-License-Identifier: MIT */
/* Taking the lock of dovecot-uidlist, with a limit to waiting; see dotlock.h. */
#include "storage/maildir/dotlock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "storage/maildir/drop.h"

#define LOCK "dovecot-uidlist.lock"
#define SECOND LOCK ".postern" /* the same file while it is ours */
#define ASIDE LOCK ".stale"

#define STALE_S 120
#define SAFE_MS 60000 /* long before another takes it for stale */
#define WAIT_FIRST_MS 2
#define WAIT_MOST_MS 50

enum take { TAKE_DONE, TAKE_BUSY, TAKE_FAILED };

static bool
look(int dirfd, const char *name, struct stat *st)
{
	return fstatat(dirfd, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Makes the file that becomes the lock. *made: as it is, with the time of the file system. */
static int
make_second(const struct dotlock *l, struct stat *made)
{
	char text[160];
	struct utsname host;
	int fd, n;

	(void)unlinkat(l->dirfd, SECOND, 0);
	fd = openat(l->dirfd, SECOND, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -1;
	n = snprintf(text, sizeof(text), "%ld:%s", (long)getpid(),
	             uname(&host) == 0 ? host.nodename : "localhost");
	(void)!write(fd, text, (size_t)n); /* on a full disk it holds without them, too */
	n = fstat(fd, made);
	close(fd);
	return n;
}

/* Moves it aside and looks whether it is that one; another's, made meanwhile, is put back. */
static void
break_lock(const struct dotlock *l, const struct stat *stale, const char *why)
{
	struct stat st;

	if (renameat(l->dirfd, LOCK, l->dirfd, ASIDE) != 0)
		return;
	if (!look(l->dirfd, ASIDE, &st) || !is_same(&st, stale) ||
	    st.st_mtim.tv_sec != stale->st_mtim.tv_sec)
		(void)!linkat(l->dirfd, ASIDE, l->dirfd, LOCK, 0);
	else
		l->host->log(l->host, PST_LOG_WARN, "maildir.stale_dotlock",
		             "file=" LOCK " age_s=%lld reason=\"%s\": removed",
		             (long long)(time(NULL) - stale->st_mtim.tv_sec), why);
	(void)unlinkat(l->dirfd, ASIDE, 0);
}

/* Somebody's lock is there. Its age is first guessed by our clock, then told by the file system's. */
static void
judge(const struct dotlock *l, const struct stat *lock)
{
	struct stat second;

	if (look(l->dirfd, SECOND, &second) && is_same(lock, &second))
		break_lock(l, lock, "of a session that died");
	else if (time(NULL) - lock->st_mtim.tv_sec > STALE_S && make_second(l, &second) == 0 &&
	         second.st_mtim.tv_sec - lock->st_mtim.tv_sec > STALE_S)
		break_lock(l, lock, "old");
}

static enum take
try_once(struct dotlock *l, struct pst_err *err)
{
	struct stat st;

	if (look(l->dirfd, LOCK, &st))
		judge(l, &st);
	if (look(l->dirfd, LOCK, &st)) {
		errno = EEXIST;
	} else if (make_second(l, &st) == 0 && linkat(l->dirfd, SECOND, l->dirfd, LOCK, 0) == 0) {
		l->ino = st.st_ino;
		l->taken_ms = l->host->now_ms();
		l->is_held = true;
		return TAKE_DONE;
	}
	if (errno == EEXIST) {
		pst_err_set(err, PST_E_IN_USE, LOCK ": another program holds it");
		return TAKE_BUSY;
	}
	pst_err_sys(err, drop_kind_of_errno(), "create " LOCK);
	return TAKE_FAILED;
}

int
dotlock_take(struct dotlock *l, const struct pst_host *host, int dirfd, int64_t wait_ms,
             struct pst_err *err)
{
	int64_t until_ms = host->now_ms() + wait_ms;
	long pause_ms = WAIT_FIRST_MS;
	enum take result;

	*l = (struct dotlock){ .host = host, .dirfd = dirfd };
	while ((result = try_once(l, err)) == TAKE_BUSY && host->now_ms() < until_ms) {
		struct timespec pause = { .tv_nsec = pause_ms * 1000000 };

		(void)nanosleep(&pause, NULL);
		pause_ms = pause_ms < WAIT_MOST_MS ? pause_ms * 2 : WAIT_MOST_MS;
	}
	if (result == TAKE_DONE)
		return 0;
	(void)unlinkat(dirfd, SECOND, 0);
	return -1;
}

bool
dotlock_holds(const struct dotlock *l)
{
	struct stat st;

	return l->is_held && l->host->now_ms() - l->taken_ms < SAFE_MS &&
	       look(l->dirfd, LOCK, &st) && st.st_ino == l->ino;
}

void
dotlock_free(struct dotlock *l)
{
	struct stat st;

	if (!l->is_held)
		return;
	if (look(l->dirfd, LOCK, &st) && st.st_ino == l->ino)
		(void)unlinkat(l->dirfd, LOCK, 0);
	(void)unlinkat(l->dirfd, SECOND, 0);
	l->is_held = false;
}
