/* SPDX-License-Identifier: MIT */
/* Reading new messages for their size, once in their life.
 *
 * The ",S=" and ",W=" of a name are not believed: a wrong one cannot be told from a right one without
 * reading the file, and a wrong size cuts a message off. The server that does believe them sends
 * empty bodies. A name that lies is told to the operator, because other servers will stumble. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/storage.h>

#include "storage/index/stale.h"
#include "storage/maildir/name.h"
#include "storage/maildir/scan.h"

#define ROOM_OCTETS ((size_t)64 * 1024)
#define AHEAD 24 /* messages whose names are fetched from memory while others are read */

struct trouble {
	uint32_t refused, lying;
	struct pst_err first_refused; /* with the name */
	char first_lying[80];
};

/* In the order of the inodes, which is near that of the disk. */
struct job {
	uint64_t ino;
	uint32_t fresh;
};

static int
compare_jobs(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* This process's want, not the file's fault. */
static bool
is_our_want(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static enum scan_state
state_of_errno(void)
{
	switch (errno) {
	case ENOENT:
		return FRESH_GONE;
	case ESTALE:
		return FRESH_STALE;
	case ELOOP:
	case ENXIO:
		return FRESH_NO_FILE;
	default:
		return FRESH_REFUSED;
	}
}

static void
note_lie(struct trouble *t, struct pst_str name, uint64_t stored, uint64_t wire)
{
	struct pst_str base = maildir_base(name);
	uint64_t said;

	/* ",W=" may leave out the line end that is added to a message without one. */
	if (!(maildir_field(base, 'S', &said) && said != stored) &&
	    !(maildir_field(base, 'W', &said) && said != wire && said + 2 != wire))
		return;
	if (t->lying++ == 0)
		(void)snprintf(t->first_lying, sizeof(t->first_lying), "%.*s", PST_ARG(name));
}

static enum scan_state
measure_fd(const struct scan *s, int fd, struct pst_str name, char *room, struct scan_fresh *f,
           struct trouble *t)
{
	struct pst_body body = { .fd = fd };
	struct pst_measured measured;
	struct pst_err err;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return errno == ESTALE ? FRESH_STALE : FRESH_REFUSED;
	if (!S_ISREG(st.st_mode))
		return FRESH_NO_FILE;
	f->stored_octets = (uint64_t)st.st_size;
	f->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	body.length = f->stored_octets;
	if (s->self->host->survey_in(&body, room, ROOM_OCTETS, &measured, &err) != 0) {
		if (stale_is(&err))
			return FRESH_STALE;
		if (t->refused++ == 0)
			pst_err_set(&t->first_refused, err.kind, "%.*s: %.160s", PST_ARG(name),
			            err.text);
		return FRESH_REFUSED;
	}
	f->wire_octets = measured.size_octets;
	f->surrogate_octets = measured.surrogate_octets;
	f->is_crlf = measured.crlf;
	f->has_no_header_end = measured.has_no_header_end;
	note_lie(t, name, f->stored_octets, f->wire_octets);
	return FRESH_MEASURED;
}

/* What of the message lies in the room: all of it, or nothing. */
static struct pst_str
text_of(const struct scan_fresh *f, const char *room)
{
	bool is_whole = f->stored_octets <= ROOM_OCTETS;

	return (struct pst_str){ room, is_whole ? (size_t)f->stored_octets : 0 };
}

static int
measure_once(struct scan *s, uint32_t i, char *room, struct trouble *t, struct pst_err *err)
{
	struct scan_fresh *f = &s->fresh[i];
	uint32_t place;
	struct pst_str name = scan_name(s, s->known_count + i, &place);
	char path[INDEX_NAME_MAX + 1];
	int fd = -1, rc = 0;

	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	errno = ENOENT;
	if (s->dirfd[place] >= 0)
		fd = openat(s->dirfd[place], path,
		            O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && is_our_want(errno))
		return pst_err_sys(err, PST_E_TEMP, "open %s", path);
	if (fd < 0) {
		f->state = (uint8_t)state_of_errno();
		if (f->state == FRESH_REFUSED && t->refused++ == 0)
			pst_err_sys(&t->first_refused, PST_E_TEMP, "open %.160s", path);
		return 0;
	}
	f->state = (uint8_t)measure_fd(s, fd, name, room, f, t);
	if (f->state == FRESH_MEASURED)
		rc = scan_content(s, fd, text_of(f, room), f, err); /* name may lie elsewhere now */
	close(fd);
	return rc;
}

static int
measure_one(struct scan *s, uint32_t i, char *room, struct trouble *t, struct pst_err *err)
{
	struct scan_fresh *f = &s->fresh[i];
	unsigned attempt;
	int rc = 0;

	for (attempt = 0; attempt < STALE_ATTEMPTS; attempt++) {
		rc = measure_once(s, i, room, t, err);
		if (rc == 0 ? f->state != FRESH_STALE : !stale_is(err))
			break;
	}
	if (f->state == FRESH_STALE)
		f->state = FRESH_GONE; /* the directories are read again */
	return rc;
}

uint32_t
scan_count_fresh(const struct scan *s, enum scan_state state)
{
	uint32_t i, n = 0;

	for (i = 0; i < s->fresh_count; i++)
		n += s->fresh[i].state == state;
	return n;
}

static void
tell(const struct scan *s, const struct trouble *t)
{
	const struct pst_host *host = s->self->host;

	if (t->refused > 0)
		host->log(host, PST_LOG_WARN, "maildir.unreadable",
		          "files=%u first=\"%s\": not listed until they can be read", t->refused,
		          t->first_refused.text);
	if (t->lying > 0)
		host->log(host, PST_LOG_INFO, "maildir.wrong_size_in_name",
		          "files=%u first=\"%s\": counted, not believed", t->lying, t->first_lying);
}

/* The order of the inodes is not that of the names in memory, which are many. */
static void
fetch_ahead(const struct scan *s, const struct job *jobs, uint32_t i, uint32_t n)
{
	const struct scan_fresh *f;

	if (i + AHEAD < n)
		__builtin_prefetch(&s->fresh[jobs[i + AHEAD].fresh], 1);
	if (i + AHEAD / 2 < n) {
		f = &s->fresh[jobs[i + AHEAD / 2].fresh];
		if (f->file != SCAN_NONE)
			__builtin_prefetch(&s->files[f->file]);
	}
	if (i + AHEAD / 4 < n) {
		f = &s->fresh[jobs[i + AHEAD / 4].fresh];
		if (f->file != SCAN_NONE)
			__builtin_prefetch(s->text + s->files[f->file].text);
	}
}

int
scan_measure(struct scan *s, struct pst_err *err)
{
	struct trouble trouble = { .refused = 0 };
	struct mem mem = { NULL, 0 }, room = { NULL, 0 };
	uint32_t i, n = 0, todo = scan_count_fresh(s, FRESH_UNMEASURED);
	struct job *jobs;
	int rc = 0;

	if (todo == 0)
		return 0;
	if (mem_get(&mem, todo * sizeof(*jobs)) != 0 || mem_get(&room, ROOM_OCTETS) != 0) {
		mem_drop(&mem);
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	}
	jobs = mem.p;
	for (i = 0; i < s->fresh_count; i++)
		if (s->fresh[i].state == FRESH_UNMEASURED)
			jobs[n++] = (struct job){ s->fresh[i].ino, i };
	qsort(jobs, n, sizeof(*jobs), compare_jobs);
	for (i = 0; i < n && rc == 0; i++) {
		fetch_ahead(s, jobs, i, n);
		rc = measure_one(s, jobs[i].fresh, room.p, &trouble, err);
	}
	mem_drop(&room);
	mem_drop(&mem);
	tell(s, &trouble);
	return rc;
}
