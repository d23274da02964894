/* SPDX-License-Identifier: MIT */
/* Taking the locks of an mbox, with a limit to waiting; see lock.h. */
#include "storage/mbox/lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/mem.h"

#define WAIT_FIRST_MS 2
#define WAIT_MOST_MS 50
#define KEEP_MS 10000

static const struct {
	const char *word;
	enum lock_kind kind;
} words[] = {
	{ "fcntl", LOCK_FCNTL },
	{ "flock", LOCK_FLOCK },
	{ "dotlock", LOCK_DOT },
	{ "dotlock_try", LOCK_DOT_TRY },
};

static bool
is_dot(enum lock_kind kind)
{
	return kind == LOCK_DOT || kind == LOCK_DOT_TRY;
}

static bool
has_kind(const struct lock_plan *plan, enum lock_kind kind)
{
	unsigned i;

	for (i = 0; i < plan->count; i++)
		if (plan->kinds[i] == kind || (is_dot(kind) && is_dot(plan->kinds[i])))
			return true;
	return false;
}

int
lock_parse(const char *text, struct lock_plan *plan, struct pst_err *err)
{
	plan->count = 0;
	while (*text != '\0') {
		size_t n = strcspn(text, " "), i;

		for (i = 0; n > 0 && i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].word) == n && memcmp(words[i].word, text, n) == 0)
				break;
		if (n > 0 && i == sizeof(words) / sizeof(words[0]))
			return pst_err_set(err, PST_E_CLIENT,
			                   "locks: \"%.*s\" is none of fcntl, flock, dotlock, "
			                   "dotlock_try",
			                   (int)n, text);
		if (n > 0 && has_kind(plan, words[i].kind))
			return pst_err_set(err, PST_E_CLIENT, "locks: \"%.*s\" is there twice",
			                   (int)n, text);
		if (n > 0)
			plan->kinds[plan->count++] = words[i].kind; /* three kinds, each once */
		text += n + (text[n] == ' ');
	}
	if (plan->count == 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "locks: none; without a lock mail would be lost");
	return 0;
}

/* ---- The dotlock ---- */

enum take { TAKE_DONE, TAKE_BUSY, TAKE_FAILED };

/* Which dotlock is ours, in record_fd behind the note of a rewrite. An inode's number may come again;
 * with its time stamp it does not. */
#define RECORD_AT 1024

struct record {
	uint64_t dev, ino;
	int64_t mtime_s, mtime_ns;
};

static struct record
record_of(const struct stat *st)
{
	return (struct record){ st->st_dev, st->st_ino, st->st_mtim.tv_sec, st->st_mtim.tv_nsec };
}

static void
put_record(const struct lock *l, const struct stat *st)
{
	struct record r = { .dev = 0 };

	if (st != NULL)
		r = record_of(st);
	if (l->record_fd >= 0) /* where that fails, its age tells */
		(void)!pwrite(l->record_fd, &r, sizeof(r), RECORD_AT);
}

static bool
is_dead_sessions(const struct lock *l, const struct stat *dot)
{
	struct record want = record_of(dot), r;

	return l->record_fd >= 0 &&
	       pread(l->record_fd, &r, sizeof(r), RECORD_AT) == (ssize_t)sizeof(r) &&
	       memcmp(&r, &want, sizeof(r)) == 0;
}

static void
this_host(char out[128])
{
	struct utsname u;

	(void)snprintf(out, 128, "%s", uname(&u) == 0 ? u.nodename : "localhost");
}

/* Whether the dotlock is so old, and the mbox untouched for so long, that its holder must be gone.
 * Ages are by the file system's clock, so that another host's does not matter; its holder's pid is
 * not asked for: this process may not look at others. */
static bool
is_stale(const struct lock *l, const struct stat *dot)
{
	struct timespec now;
	struct stat mail;
	int64_t age_ms, mail_age_ms;

	if (fstat(l->fd, &mail) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
		return false;
	if (is_dead_sessions(l, dot))
		return true;
	age_ms = ((int64_t)now.tv_sec - dot->st_mtim.tv_sec) * 1000;
	mail_age_ms = ((int64_t)now.tv_sec - mail.st_mtim.tv_sec) * 1000;
	return age_ms >= l->plan->stale_ms && mail_age_ms >= l->plan->stale_ms;
}

/* Moves the stale dotlock aside and looks whether it is that one; another's, made meanwhile, is put
 * back. */
static void
break_stale(const struct lock *l, const char *dot, const struct stat *stale)
{
	size_t room = strlen(dot) + 40;
	char *aside = mem_new(room);
	struct stat st;

	(void)snprintf(aside, room, "%s.%ld.%p", dot, (long)getpid(), (const void *)l);
	if (rename(dot, aside) == 0) {
		if (stat(aside, &st) != 0 || st.st_ino != stale->st_ino ||
		    st.st_mtim.tv_sec != stale->st_mtim.tv_sec)
			(void)!link(aside, dot);
		else
			l->host->log(l->host, PST_LOG_WARN, "mbox.stale_dotlock",
			             "file=%s age_s=%lld: removed", dot,
			             (long long)(time(NULL) - stale->st_mtim.tv_sec));
		(void)unlink(aside);
	}
	free(aside);
}

/* Makes the file that becomes the dotlock, under another name that only the holder of the session's
 * lock uses, and writes it down: so it is known before it counts. */
static int
make_dot(struct lock *l, const char *aside)
{
	char host[128], text[160];
	struct stat st;
	int fd, n;

	(void)unlink(aside);
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -1;
	this_host(host);
	n = snprintf(text, sizeof(text), "%ld:%s", (long)getpid(), host);
	(void)!write(fd, text, (size_t)n); /* it holds without them, too */
	n = fstat(fd, &st);
	close(fd);
	if (n != 0)
		return -1;
	l->dot_ino = st.st_ino;
	put_record(l, &st);
	return 0;
}

static enum take
judge_dot(struct lock *l, enum lock_kind kind, const char *dot, struct pst_err *err)
{
	struct stat st;

	if (errno == EEXIST) {
		if (lstat(dot, &st) == 0 && is_stale(l, &st))
			break_stale(l, dot, &st);
		pst_err_set(err, PST_E_IN_USE, "%s: somebody holds it", dot);
		return TAKE_BUSY;
	}
	if (kind == LOCK_DOT_TRY && (errno == EACCES || errno == EPERM || errno == EROFS))
		return TAKE_DONE;
	pst_err_sys(err, errno == ENOSPC ? PST_E_TEMP : PST_E_PERM, "create %s", dot);
	return TAKE_FAILED;
}

static enum take
take_dot(struct lock *l, enum lock_kind kind, struct pst_err *err)
{
	size_t room = strlen(l->path) + sizeof(".lock.postern");
	char *dot = mem_new(room), *aside = mem_new(room);
	enum take result;
	struct stat st;

	(void)snprintf(dot, room, "%s.lock", l->path);
	(void)snprintf(aside, room, "%s.lock.postern", l->path);
	/* whose is there is looked at before our record is written over its */
	if (lstat(dot, &st) == 0)
		errno = EEXIST;
	else if (make_dot(l, aside) == 0 && link(aside, dot) == 0)
		l->dot = dot;
	if (l->dot != NULL) {
		dot = NULL;
		l->kept_ms = l->host->now_ms();
		result = TAKE_DONE;
	} else {
		result = judge_dot(l, kind, dot, err);
	}
	(void)unlink(aside);
	free(dot);
	free(aside);
	return result;
}

static void
free_dot(struct lock *l)
{
	struct stat st;

	if (l->dot == NULL)
		return;
	if (lstat(l->dot, &st) == 0 && st.st_ino == l->dot_ino)
		(void)unlink(l->dot); /* not another's, who took ours for stale */
	put_record(l, NULL);
	free(l->dot);
	l->dot = NULL;
}

void
lock_keep(struct lock *l)
{
	struct stat st;

	if (l->dot == NULL || l->host->now_ms() - l->kept_ms < KEEP_MS)
		return;
	(void)utimensat(AT_FDCWD, l->dot, NULL, AT_SYMLINK_NOFOLLOW);
	if (lstat(l->dot, &st) == 0 && st.st_ino == l->dot_ino)
		put_record(l, &st);
	l->kept_ms = l->host->now_ms();
}

/* ---- All ---- */

static enum take
take_fcntl(const struct lock *l, bool exclusive, struct pst_err *err)
{
	struct flock f = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (fcntl(l->fd, F_OFD_SETLK, &f) == 0)
		return TAKE_DONE;
	if (errno == EAGAIN || errno == EACCES || errno == EINTR) {
		pst_err_set(err, PST_E_IN_USE, "%s: another program has locked it (fcntl)",
		            l->path);
		return TAKE_BUSY;
	}
	pst_err_sys(err, PST_E_TEMP, "lock %s (fcntl)", l->path);
	return TAKE_FAILED;
}

static enum take
take_flock(const struct lock *l, bool exclusive, struct pst_err *err)
{
	if (flock(l->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return TAKE_DONE;
	if (errno == EWOULDBLOCK || errno == EINTR) {
		pst_err_set(err, PST_E_IN_USE, "%s: another program has locked it (flock)",
		            l->path);
		return TAKE_BUSY;
	}
	pst_err_sys(err, PST_E_TEMP, "lock %s (flock)", l->path);
	return TAKE_FAILED;
}

static enum take
take_all(struct lock *l, bool exclusive, struct pst_err *err)
{
	enum take result = TAKE_DONE;

	for (l->held = 0; l->held < l->plan->count; l->held++) {
		enum lock_kind kind = l->plan->kinds[l->held];

		if (kind == LOCK_FCNTL)
			result = take_fcntl(l, exclusive, err);
		else if (kind == LOCK_FLOCK)
			result = take_flock(l, exclusive, err);
		else
			result = take_dot(l, kind, err);
		if (result != TAKE_DONE)
			break;
	}
	return result;
}

static void
free_held(struct lock *l)
{
	struct flock f = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	while (l->held > 0) {
		enum lock_kind kind = l->plan->kinds[--l->held];

		if (kind == LOCK_FCNTL)
			(void)fcntl(l->fd, F_OFD_SETLK, &f);
		else if (kind == LOCK_FLOCK)
			(void)flock(l->fd, LOCK_UN);
		else
			free_dot(l);
	}
}

int
lock_take(struct lock *l, const struct lock_plan *plan, const struct pst_host *host,
          const char *path, int fd, int record_fd, bool exclusive, struct pst_err *err)
{
	int64_t until_ms = host->now_ms() + plan->timeout_ms;
	long wait_ms = WAIT_FIRST_MS;
	enum take result;

	*l = (struct lock){
		.plan = plan, .host = host, .path = path, .fd = fd, .record_fd = record_fd
	};
	while ((result = take_all(l, exclusive, err)) == TAKE_BUSY) {
		struct timespec pause = { .tv_nsec = wait_ms * 1000000 };

		free_held(l);
		if (host->now_ms() >= until_ms)
			break;
		(void)nanosleep(&pause, NULL);
		wait_ms = wait_ms < WAIT_MOST_MS ? wait_ms * 2 : WAIT_MOST_MS;
	}
	if (result == TAKE_DONE)
		return 0;
	free_held(l);
	return -1;
}

void
lock_free(struct lock *l)
{
	if (l->plan != NULL)
		free_held(l);
}
