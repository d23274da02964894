/* SPDX-License-Identifier: MIT */
/* Keeping what is removed: folders and their journals; see hold.h. hold_find.c reads them. */
#include "storage/index/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/escape.h"

#define MAX_ATTEMPTS 100 /* folders of one session in one second */
#define SESSION_SHOWN 64 /* octets of a session's id in a name */
#define JOURNAL_MAX ((size_t)1 << 30)

static enum pst_err_kind
kind_of_errno(void)
{
	return errno == EACCES || errno == EPERM || errno == EROFS || errno == ENOTDIR ||
	                       errno == ELOOP
	               ? PST_E_PERM
	               : PST_E_TEMP;
}

static int
fail(const struct hold_area *area, const char *what, struct pst_err *err)
{
	return pst_err_sys(err, kind_of_errno(), "%s: keep what is removed: %s", area->path, what);
}

static bool
is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '-' || c == '_';
}

/* "00001700000000.123456.SESSION", then ".2" and so on where that is there: names are in the order of the
 * removals. */
static void
name_batch(const struct pst_hold *how, unsigned attempt, char out[HOLD_NAME_MAX + 1])
{
	char session[SESSION_SHOWN + 1];
	struct timespec ts = { 0, 0 };
	unsigned micros = 999999; /* the second that how says is over */
	size_t i;

	if (clock_gettime(CLOCK_REALTIME, &ts) == 0 && ts.tv_sec == how->now_s)
		micros = (unsigned)(ts.tv_nsec / 1000);

	for (i = 0; i < how->session.n && i < SESSION_SHOWN; i++)
		session[i] = is_plain(how->session.p[i]) ? how->session.p[i] : '_';
	session[i] = '\0';
	if (attempt == 0)
		(void)snprintf(out, HOLD_NAME_MAX + 1, "%014" PRId64 ".%06u.%s", how->now_s, micros,
		               session);
	else
		(void)snprintf(out, HOLD_NAME_MAX + 1, "%014" PRId64 ".%06u.%s.%u", how->now_s,
		               micros, session, attempt + 1);
}

static int
make_area(const struct hold_area *area, struct pst_err *err)
{
	int fd;

	if (mkdirat(area->dirfd, area->name, 0700) != 0 && errno != EEXIST)
		return fail(area, "make a folder", err);
	fd = openat(area->dirfd, area->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail(area, "open its folder", err);
	return fd;
}

static int
make_batch(const struct hold_area *area, int areafd, const struct pst_hold *how,
           struct hold_batch *b, struct pst_err *err)
{
	unsigned attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		name_batch(how, attempt, b->name);
		if (mkdirat(areafd, b->name, 0700) == 0)
			break;
		if (errno != EEXIST)
			return fail(area, "make a folder", err);
	}
	if (attempt == MAX_ATTEMPTS)
		return fail(area, "make a folder", err);
	b->fd = openat(areafd, b->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (b->fd < 0) {
		fail(area, "open a folder", err);
		(void)unlinkat(areafd, b->name, AT_REMOVEDIR);
		return -1;
	}
	return 0;
}

static int
add_text(struct hold_batch *b, struct pst_str s, struct pst_err *err)
{
	if (mem_grow(&b->mem_text, b->used + s.n, JOURNAL_MAX) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to keep what is removed");
	memcpy((char *)b->mem_text.p + b->used, s.p, s.n);
	b->used += s.n;
	return 0;
}

static int
add_word(struct hold_batch *b, struct pst_str word, const char *after, struct pst_err *err)
{
	if (mem_grow(&b->mem_text, b->used + ESCAPED_MAX(word.n), JOURNAL_MAX) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to keep what is removed");
	b->used += escape_word(word, (char *)b->mem_text.p + b->used);
	return add_text(b, pst_str_c(after), err);
}

int
hold_begin(const struct hold_area *area, const struct pst_hold *how, struct hold_batch *b,
           struct pst_err *err)
{
	char head[64];
	int areafd, rc;

	*b = (struct hold_batch){ .fd = -1, .removed_s = how->now_s };
	(void)snprintf(head, sizeof(head), "PSTHOLD 1\nremoved %" PRId64 " ", how->now_s);
	if (add_text(b, pst_str_c(head), err) != 0 || add_word(b, how->session, "\n", err) != 0)
		return -1;
	areafd = make_area(area, err);
	if (areafd < 0)
		return -1;
	rc = make_batch(area, areafd, how, b, err);
	close(areafd);
	return rc;
}

int
hold_add(struct hold_batch *b, const struct hold_record *r, struct pst_err *err)
{
	char numbers[128];

	(void)snprintf(numbers, sizeof(numbers), "m %" PRIu64 " %" PRIu64 " %" PRIu64 " %u %u ",
	               r->wire_octets, r->stored_octets, r->surrogate_octets, r->surrogate_rules,
	               r->flags);
	if (add_text(b, pst_str_c(numbers), err) != 0 || add_word(b, r->uidl, " ", err) != 0 ||
	    add_word(b, r->before, " ", err) != 0 || add_word(b, r->name, "\n", err) != 0)
		return -1;
	b->count++;
	return 0;
}

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t got = write(fd, p, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		n -= (size_t)got;
	}
	return true;
}

int
hold_seal(const struct hold_area *area, struct hold_batch *b, struct pst_err *err)
{
	char end[32];
	int fd, rc = -1;

	(void)snprintf(end, sizeof(end), "end %" PRIu32 "\n", b->count);
	if (add_text(b, pst_str_c(end), err) != 0)
		return -1;
	fd = openat(b->fd, HOLD_JOURNAL, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0)
		return fail(area, "make the journal", err);
	if (!write_all(fd, b->mem_text.p, b->used) || fdatasync(fd) != 0 || fsync(b->fd) != 0)
		fail(area, "write the journal", err);
	else
		rc = 0;
	close(fd);
	return rc;
}

static int
on_message(void *arg, struct pst_str name, struct pst_err *err)
{
	(void)arg, (void)name, (void)err;
	return 1;
}

void
hold_forget(const struct hold_area *area, const struct hold_batch *b)
{
	struct pst_err err;
	int areafd =
		openat(area->dirfd, area->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	/* A folder that holds a message cannot be removed, and then it must have its journal. */
	if (areafd < 0)
		return;
	if (hold_files(b, on_message, NULL, &err) == 0) {
		(void)unlinkat(b->fd, HOLD_JOURNAL, 0);
		(void)unlinkat(areafd, b->name, AT_REMOVEDIR);
	}
	close(areafd);
}

static int
unlink_message(void *arg, struct pst_str name, struct pst_err *err)
{
	const struct hold_batch *b = arg;

	(void)err;
	(void)unlinkat(b->fd, name.p, 0); /* a C string: hold_find.c */
	return 0;
}

void
hold_undo(const struct hold_area *area, const struct hold_batch *b)
{
	struct pst_err err;

	(void)unlinkat(b->fd, HOLD_JOURNAL, 0);
	(void)hold_files(b, unlink_message, (void *)(uintptr_t)b, &err);
	hold_forget(area, b);
}

void
hold_close(struct hold_batch *b)
{
	if (b->fd >= 0)
		close(b->fd);
	mem_drop(&b->mem_text);
	mem_drop(&b->mem_records);
	*b = (struct hold_batch){ .fd = -1 };
}
