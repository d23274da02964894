/* SPDX-License-Identifier: MIT */
/* Watching a password file; see file.h. */
#include "auth/passwdfile/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file that is written in place, or that does not end with a line's end, is believed when nobody has
 * written to it for so long. One that came by rename(2) is whole from its first moment. */
#define QUIET_MS 700

/* Whether a file is the one that was read. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct passwd_file {
	const struct pst_host *host;
	const char *path;
	int64_t max_octets;
	struct passwd_table *table; /* NULL until one was read */
	struct identity read;       /* of the table */
	struct identity refused;    /* of a later one that was not good; all zero: none */
	bool is_failing;            /* it is not there or cannot be read, and the log knows */
	struct pst_err why;         /* of the last failure or refusal */
};

struct passwd_file *
passwd_file_create(const struct pst_host *host, const char *path, int64_t max_octets)
{
	struct passwd_file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->host = host;
	f->path = path;
	f->max_octets = max_octets;
	return f;
}

void
passwd_file_destroy(struct passwd_file *f)
{
	if (f == NULL)
		return;
	passwd_table_destroy(f->table);
	free(f);
}

static struct identity
identity_of(const struct stat *st)
{
	return (struct identity){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
is_same(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       is_same_time(&a->modified, &b->modified) && is_same_time(&a->changed, &b->changed);
}

/* By the wall clock, as the file's times are; where the two disagree by more, it counts as quiet. */
static bool
is_quiet(const struct identity *id)
{
	struct timespec now;
	int64_t ms;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	ms = ((int64_t)now.tv_sec - id->modified.tv_sec) * 1000 +
	     (now.tv_nsec - id->modified.tv_nsec) / 1000000;
	return ms > QUIET_MS || ms < -QUIET_MS;
}

/* ---- Reading ---- */

static int
read_all(int fd, char *text, size_t octets, struct pst_err *err)
{
	size_t got = 0;

	while (got < octets) {
		ssize_t n = read(fd, text + got, octets - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pst_err_sys(err, PST_E_TEMP, "read");
		if (n == 0)
			return pst_err_set(err, PST_E_TEMP, "it got shorter while it was read");
		got += (size_t)n;
	}
	return 0;
}

static int
check_kind(const struct passwd_file *f, const struct stat *st, struct pst_err *err)
{
	if (!S_ISREG(st->st_mode))
		return pst_err_set(err, PST_E_TEMP, "not a regular file");
	if (st->st_size > f->max_octets)
		return pst_err_set(err, PST_E_TEMP, "%lld octets are more than max_size allows",
		                   (long long)st->st_size);
	return 0;
}

/* *text_out is of malloc. */
static int
load(const struct passwd_file *f, char **text_out, struct identity *id_out, struct pst_err *err)
{
	struct identity after;
	struct stat st;
	char *text = NULL;
	int rc = -1;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "open");
	if (fstat(fd, &st) != 0) {
		pst_err_sys(err, PST_E_TEMP, "fstat");
		goto out;
	}
	*id_out = identity_of(&st);
	if (check_kind(f, &st, err) != 0)
		goto out;
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL) {
		pst_err_set(err, PST_E_TEMP, "no memory");
		goto out;
	}
	if (read_all(fd, text, (size_t)st.st_size, err) != 0)
		goto out;
	if (fstat(fd, &st) != 0) {
		pst_err_sys(err, PST_E_TEMP, "fstat");
		goto out;
	}
	after = identity_of(&st);
	if (!is_same(id_out, &after)) {
		pst_err_set(err, PST_E_TEMP, "it changed while it was read");
		goto out;
	}
	*text_out = text;
	text = NULL;
	rc = 0;
out:
	free(text);
	close(fd);
	return rc;
}

static void
tell(const struct passwd_file *f, int64_t began_ms)
{
	const struct pst_host *h = f->host;
	const char *first;
	size_t problems = passwd_table_problems(f->table, &first);

	h->log(h, PST_LOG_DEBUG, "passwdfile.read", "file=\"%s\" users=%zu octets=%zu took_ms=%lld",
	       f->path, passwd_table_count(f->table), passwd_table_octets(f->table),
	       (long long)(h->now_ms() - began_ms));
	if (problems > 0)
		h->log(h, PST_LOG_WARN, "passwdfile.problems", "count=%zu first=\"%s\"", problems,
		       first);
}

/* Whether more of it may be to come, though it is another file than the one before. */
static bool
is_unfinished(const struct passwd_file *f, const struct identity *id, const char *text)
{
	return f->table != NULL && !is_quiet(id) && (id->size == 0 || text[id->size - 1] != '\n');
}

static bool
is_written_in_place(const struct passwd_file *f, const struct identity *id)
{
	return f->table != NULL && id->dev == f->read.dev && id->ino == f->read.ino &&
	       !is_quiet(id);
}

enum outcome {
	TAKEN = 1,
	FAILED,  /* could not be read: tried again each time */
	REFUSED, /* was read, and is not good: tried again when it is another */
	LATER,
};

static enum outcome
take(struct passwd_file *f, bool may_wait, struct pst_err *err)
{
	const int64_t began_ms = f->host->now_ms();
	struct passwd_table *table;
	struct identity id = { 0 };
	char *text = NULL;
	struct pst_err why;
	uint32_t seed;

	if (load(f, &text, &id, &why) != 0) {
		pst_err_set(err, PST_E_TEMP, "%.120s: %.120s", f->path, why.text);
		return FAILED;
	}
	if (may_wait && is_unfinished(f, &id, text)) {
		explicit_bzero(text, (size_t)id.size);
		free(text);
		return LATER;
	}
	f->host->random(&seed, sizeof(seed));
	table = passwd_table_create(text, (size_t)id.size, f->path, seed, err);
	if (table == NULL) {
		f->refused = id;
		return REFUSED;
	}
	passwd_table_destroy(f->table);
	f->table = table;
	f->read = id;
	f->refused = (struct identity){ 0 };
	f->is_failing = false;
	tell(f, began_ms);
	return TAKEN;
}

int
passwd_file_read(struct passwd_file *f, struct pst_err *err)
{
	return take(f, false, err) == TAKEN ? 0 : -1;
}

static void
tell_kept(const struct passwd_file *f)
{
	if (f->table != NULL)
		f->host->log(f->host, PST_LOG_WARN, "passwdfile.kept",
		             "reason=\"%s\" what=\"the users read before stay in force\"",
		             f->why.text);
}

static void
note_failing(struct passwd_file *f)
{
	if (!f->is_failing)
		tell_kept(f);
	f->is_failing = true;
}

static void
look(struct passwd_file *f)
{
	struct identity now;
	struct stat st;

	if (stat(f->path, &st) != 0) {
		pst_err_sys(&f->why, PST_E_TEMP, "%.200s", f->path);
		note_failing(f);
		return;
	}
	now = identity_of(&st);
	if (f->table != NULL && is_same(&now, &f->read)) {
		f->is_failing = false;
		return;
	}
	if (is_same(&now, &f->refused) || is_written_in_place(f, &now))
		return;
	switch (take(f, true, &f->why)) {
	case FAILED:
		note_failing(f);
		break;
	case REFUSED:
		tell_kept(f);
		break;
	case TAKEN:
	case LATER:
		break;
	}
}

const struct passwd_table *
passwd_file_table(struct passwd_file *f, struct pst_err *err)
{
	look(f);
	if (f->table == NULL)
		*err = f->why;
	return f->table;
}
