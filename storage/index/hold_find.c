/* SPDX-License-Identifier: MIT */
/* What is kept: finding it, reading journals, letting it go for good; see hold.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/escape.h"
#include "storage/index/hold.h"

#define STAMP "expired"
#define DAY_S 86400
#define LIST_MAX ((size_t)1 << 30)
#define JOURNAL_MAX ((off_t)1 << 30)

static int
fail(const struct hold_area *area, const char *what, struct pst_err *err)
{
	return pst_err_sys(
		err, errno == EACCES || errno == EPERM || errno == EROFS ? PST_E_PERM : PST_E_TEMP,
		"%s: what is kept of it: %s", area->path, what);
}

/* ---- Folders ---- */

/* Calls on_name for each entry but "." and "..". Takes fd. */
static int
each_entry(int fd, hold_file *on_name, void *arg, struct pst_err *err)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (dir == NULL) {
		pst_err_sys(err, PST_E_TEMP, "read a folder of what is kept");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (rc == 0) {
		errno = 0;
		e = readdir(dir);
		if (e == NULL)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = on_name(arg, pst_str_c(e->d_name), err);
	}
	if (rc == 0 && errno != 0)
		rc = pst_err_sys(err, PST_E_TEMP, "read a folder of what is kept");
	closedir(dir);
	return rc;
}

struct filter {
	hold_file *on_file;
	void *arg;
};

static int
pass_files(void *arg, struct pst_str name, struct pst_err *err)
{
	const struct filter *f = arg;

	return pst_str_eq(name, PST_LIT(HOLD_JOURNAL)) ? 0 : f->on_file(f->arg, name, err);
}

int
hold_files(const struct hold_batch *b, hold_file *on_file, void *arg, struct pst_err *err)
{
	struct filter f = { on_file, arg };

	return each_entry(openat(b->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), pass_files, &f,
	                  err);
}

static int
open_area(const struct hold_area *area)
{
	return openat(area->dirfd, area->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- The list ---- */

struct search {
	const struct pst_held *which;
	struct hold_list *list;
};

/* The time that a removal's name begins with. */
static bool
read_time(struct pst_str name, int64_t *removed_s)
{
	struct pst_str digits = { name.p, 0 };
	uint64_t num;

	while (digits.n < name.n && pst_is_digit(name.p[digits.n]))
		digits.n++;
	if (digits.n == name.n || name.p[digits.n] != '.' || name.n > HOLD_NAME_MAX ||
	    !pst_str_u64(digits, &num) || num > INT64_MAX)
		return false;
	*removed_s = (int64_t)num;
	return true;
}

static int
add_name(void *arg, struct pst_str name, struct pst_err *err)
{
	const struct search *s = arg;
	struct hold_list *l = s->list;
	int64_t removed_s;

	if (!read_time(name, &removed_s) ||
	    (s->which->since_s != 0 && removed_s < s->which->since_s) ||
	    (s->which->until_s != 0 && removed_s >= s->which->until_s))
		return 0;
	if (mem_grow(&l->mem, ((size_t)l->count + 1) * sizeof(*l->names), LIST_MAX) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list what is kept");
	l->names = l->mem.p;
	memcpy(l->names[l->count], name.p, name.n);
	l->names[l->count][name.n] = '\0';
	l->count++;
	return 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

int
hold_list(const struct hold_area *area, const struct pst_held *which, struct hold_list *out,
          struct pst_err *err)
{
	struct search s = { which, out };
	int fd = open_area(area);

	*out = (struct hold_list){ .count = 0 };
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return fail(area, "open its folder", err);
	if (each_entry(fd, add_name, &s, err) != 0) {
		hold_list_clear(out);
		return -1;
	}
	if (out->count > 0)
		qsort(out->names, out->count, sizeof(*out->names), compare_names);
	return 0;
}

void
hold_list_clear(struct hold_list *l)
{
	mem_drop(&l->mem);
	*l = (struct hold_list){ .count = 0 };
}

/* ---- Journals ---- */

static bool
next_line(struct pst_str *text, struct pst_str *line)
{
	const char *end = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);

	if (end == NULL)
		return false;
	*line = (struct pst_str){ text->p, (size_t)(end - text->p) };
	*text = (struct pst_str){ end + 1, text->n - line->n - 1 };
	return true;
}

/* The word lies in memory that is ours to change. */
static bool
read_word(struct pst_str *line, struct pst_str *word)
{
	*word = escape_next(line);
	return escape_undo((char *)(uintptr_t)word->p, word);
}

static bool
read_record(struct pst_str line, struct hold_record *r)
{
	uint64_t rules, flags;

	if (!pst_str_eq(escape_next(&line), PST_LIT("m")) ||
	    !pst_str_u64(escape_next(&line), &r->wire_octets) ||
	    !pst_str_u64(escape_next(&line), &r->stored_octets) ||
	    !pst_str_u64(escape_next(&line), &r->surrogate_octets) ||
	    !pst_str_u64(escape_next(&line), &rules) || rules > UINT8_MAX ||
	    !pst_str_u64(escape_next(&line), &flags) || flags > UINT16_MAX)
		return false;
	r->surrogate_rules = (unsigned)rules;
	r->flags = (unsigned)flags;
	return read_word(&line, &r->uidl) && read_word(&line, &r->before) &&
	       read_word(&line, &r->name) && line.n == 0 && r->uidl.n > 0 &&
	       r->uidl.n <= PST_UIDL_MAX && r->before.n <= PST_UIDL_MAX;
}

static bool
read_end(struct pst_str line, uint32_t count)
{
	uint64_t num;

	return pst_str_eq(escape_next(&line), PST_LIT("end")) && pst_str_u64(line, &num) &&
	       num == count;
}

/* -1: no memory; 0: it is not whole. */
static int
parse(struct hold_batch *b)
{
	struct pst_str text = { b->mem_text.p, b->used }, line;
	uint64_t removed;

	if (!next_line(&text, &line) || !pst_str_eq(line, PST_LIT("PSTHOLD 1")))
		return 0;
	if (!next_line(&text, &line) || !pst_str_eq(escape_next(&line), PST_LIT("removed")) ||
	    !pst_str_u64(escape_next(&line), &removed) || removed > INT64_MAX ||
	    !read_word(&line, &b->session))
		return 0;
	b->removed_s = (int64_t)removed;
	while (next_line(&text, &line)) {
		if (text.n == 0)
			return read_end(line, b->count);
		if (mem_grow(&b->mem_records, ((size_t)b->count + 1) * sizeof(*b->records),
		             SIZE_MAX / 4) != 0)
			return -1;
		b->records = b->mem_records.p;
		if (!read_record(line, &b->records[b->count]))
			return 0;
		b->count++;
	}
	return 0;
}

/* 1, 0 (there is none), or -1 with err. */
static int
read_journal(const struct hold_area *area, struct hold_batch *b, struct pst_err *err)
{
	int fd = openat(b->fd, HOLD_JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int rc = -1;

	if (fd < 0)
		return errno == ENOENT ? 0 : fail(area, "open a journal", err);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > JOURNAL_MAX ||
	    mem_get(&b->mem_text, (size_t)st.st_size) != 0) {
		fail(area, "read a journal", err);
		goto out;
	}
	while (b->used < (size_t)st.st_size) {
		ssize_t n = read(fd, (char *)b->mem_text.p + b->used, (size_t)st.st_size - b->used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fail(area, "read a journal", err);
			goto out;
		}
		if (n == 0)
			break;
		b->used += (size_t)n;
	}
	rc = 1;
out:
	close(fd);
	return rc;
}

static void
tell_broken(const struct hold_area *area, const struct hold_batch *b)
{
	area->host->log(area->host, PST_LOG_WARN, "hold.journal_bad",
	                "path=%s folder=%s/%s: without a whole journal it is of a removal that did "
	                "not take place",
	                area->path, area->name, b->name);
}

enum hold_read
hold_read(const struct hold_area *area, const char *name, const struct pst_held *which,
          struct hold_batch *b, struct pst_err *err)
{
	int areafd = open_area(area), parsed;

	*b = (struct hold_batch){ .fd = -1 };
	if (areafd >= 0) {
		b->fd = openat(areafd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		close(areafd);
	}
	if (b->fd < 0)
		return HOLD_PASS; /* let go meanwhile, or no folder */
	memcpy(b->name, name, strlen(name) + 1);
	parsed = read_journal(area, b, err);
	if (parsed < 0) {
		hold_close(b);
		return HOLD_FAILED;
	}
	if (parsed == 1)
		parsed = parse(b);
	if (parsed < 0)
		pst_err_set(err, PST_E_TEMP, "no memory to read what is kept");
	if (parsed == 0)
		tell_broken(area, b);
	if (parsed == 1 && (which->session.n == 0 || pst_str_eq(which->session, b->session)))
		return HOLD_READ;
	hold_close(b);
	return parsed < 0 ? HOLD_FAILED : HOLD_PASS;
}

/* ---- Letting go ---- */

struct going {
	const struct hold_area *area;
	int areafd, fd;
	uint32_t files;
};

static int
remove_file(void *arg, struct pst_str name, struct pst_err *err)
{
	struct going *g = arg;

	if (unlinkat(g->fd, name.p, 0) != 0 && errno != ENOENT) /* name.p is a C string here */
		return fail(g->area, "remove a message", err);
	g->files++;
	return 0;
}

/* The messages first: a journal without messages does no harm. */
static int
remove_batch(struct going *g, const char *name, struct pst_err *err)
{
	struct hold_batch b = { .fd = openat(g->areafd, name,
		                             O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) };
	int rc;

	if (b.fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0
		                                           : fail(g->area, "open a folder", err);
	g->fd = b.fd;
	rc = hold_files(&b, remove_file, g, err);
	if (rc == 0 && unlinkat(b.fd, HOLD_JOURNAL, 0) != 0 && errno != ENOENT)
		rc = fail(g->area, "remove a journal", err);
	if (rc == 0 && unlinkat(g->areafd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		rc = fail(g->area, "remove a folder", err);
	close(b.fd);
	return rc;
}

/* Whether less than a day has passed. If not, the day begins now. */
static bool
was_done_today(int areafd)
{
	const time_t now = time(NULL);
	struct stat st;
	int fd;

	if (fstatat(areafd, STAMP, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime <= now &&
	    now - st.st_mtime < DAY_S)
		return true;
	fd = openat(areafd, STAMP, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd >= 0) {
		(void)futimens(fd, NULL);
		close(fd);
	}
	return false;
}

static int
let_all_go(struct going *g, const struct pst_held *which, const struct hold_list *list,
           bool is_file_each, uint32_t *messages_out, struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < list->count; i++) {
		uint32_t in_journal = 0;
		struct hold_batch b;
		enum hold_read found;

		if (which->session.n > 0 || !is_file_each) {
			found = hold_read(g->area, list->names[i], which, &b, err);
			if (found == HOLD_FAILED)
				return -1;
			if (found == HOLD_PASS && which->session.n > 0)
				continue;
			in_journal = b.count; /* 0 where there is none */
			hold_close(&b);
		}
		g->files = 0;
		if (remove_batch(g, list->names[i], err) != 0)
			return -1;
		*messages_out += is_file_each ? g->files : in_journal;
	}
	return 0;
}

int
hold_let_go(const struct hold_area *area, const struct pst_held *which, bool is_file_each,
            uint32_t *messages_out, struct pst_err *err)
{
	struct going g = { .area = area, .areafd = open_area(area) };
	struct hold_list list = { .count = 0 };
	int rc = 0;

	*messages_out = 0;
	if (g.areafd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail(area, "open its folder", err);
	if (!which->once_a_day || !was_done_today(g.areafd)) {
		rc = hold_list(area, which, &list, err);
		if (rc == 0)
			rc = let_all_go(&g, which, &list, is_file_each, messages_out, err);
		hold_list_clear(&list);
	}
	close(g.areafd);
	return rc;
}
