/* SPDX-License-Identifier: MIT */
/* Messages that come from elsewhere. All are written to tmp/ first and to the disk; the index is told of
 * them as of messages that are missing, so that each has its UIDL whenever it appears; then they get
 * their names. A failure takes them back. A Maildir that is not there yet is made beside its place and
 * appears whole. */
#include "storage/maildir/add.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/body.h"
#include "storage/maildir/quota.h"
#include "storage/maildir/rename.h"

#define SYNC_EACH 64 /* of more than so many the whole file system is synced once */
#define TMP_ROOM 80

static const char *const folders[] = { "new", "cur", "tmp" };
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

static int
fail(const struct addition *a, const char *what, struct pst_err *err)
{
	return pst_err_sys(err, drop_kind_of_errno(), "%s: %s", a->d->path, what);
}

/* ---- The folders ---- */

/* Removes the files in it; closes fd. */
static void
empty_folder(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	if (dir == NULL) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, 0);
	closedir(dir);
}

/* What a broken-off attempt left; a folder with something else in it stays, and makes mkdir fail. */
static void
remove_hidden(const char *hidden)
{
	int root = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	size_t i;

	if (root < 0)
		return;
	if (flock(root, LOCK_EX | LOCK_NB) != 0) { /* somebody is at it */
		close(root);
		return;
	}
	for (i = 0; i < FOLDERS; i++) {
		int fd = openat(root, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd >= 0)
			empty_folder(fd);
		(void)unlinkat(root, folders[i], AT_REMOVEDIR);
	}
	(void)unlinkat(root, DROP_INDEX_NAME, 0);
	(void)unlinkat(root, DROP_INDEX_SPARE, 0);
	(void)rmdir(hidden);
	close(root);
}

static char *
hidden_path(const char *path)
{
	size_t n = strlen(path), room = n + sizeof("..postern.new") + 1, slash;
	char *out = mem_new(room);

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (slash = n; slash > 0 && path[slash - 1] != '/'; slash--)
		;
	(void)snprintf(out, room, "%.*s.%.*s.postern.new", (int)slash, path, (int)(n - slash),
	               path + slash);
	return out;
}

/* The lock is on it before it has its name, and stays. */
static int
make_hidden(struct addition *a, struct pst_err *err)
{
	struct pst_maildrop *d = a->d;

	a->hidden = hidden_path(d->path);
	remove_hidden(a->hidden);
	if (mkdir(a->hidden, 0700) != 0)
		return pst_err_sys(err, drop_kind_of_errno(), "make %s", a->hidden);
	d->root = open(a->hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (d->root < 0 || flock(d->root, LOCK_EX | LOCK_NB) != 0)
		return pst_err_sys(err, PST_E_TEMP, "lock %s", a->hidden);
	drop_locate_index(d);
	return 0;
}

static int
open_folders(struct addition *a, struct pst_err *err)
{
	size_t i;

	if (a->d->root < 0 && make_hidden(a, err) != 0)
		return -1;
	for (i = 0; i < FOLDERS; i++)
		if (mkdirat(a->d->root, folders[i], 0700) != 0 && errno != EEXIST)
			return fail(a, "make its folders", err);
	if (drop_open_places(a->d, a->dirfd, err) != 0)
		return -1;
	a->tmpfd = openat(a->d->root, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (a->tmpfd < 0 || a->dirfd[PLACE_NEW] < 0 || a->dirfd[PLACE_CUR] < 0)
		return fail(a, "open its folders", err);
	return 0;
}

/* ---- Files ---- */

static void
tmp_name(const struct addition *a, uint32_t i, char out[TMP_ROOM])
{
	(void)snprintf(out, TMP_ROOM, "%lld.P%ldA%u.postern", (long long)a->now_s, (long)getpid(),
	               i);
}

static int
finish_file(struct addition *a, uint32_t i, int fd, struct pst_err *err)
{
	struct newcomer *c = &a->comers[i];
	const int64_t when = a->msgs[i].received_s == 0 ? a->now_s : a->msgs[i].received_s;
	const struct timespec times[2] = { { .tv_sec = (time_t)when }, { .tv_sec = (time_t)when } };
	const struct pst_body body = { .fd = fd, .length = c->stored_octets };

	if (a->d->self->host->survey(&body, &c->measured, err) != 0)
		return -1;
	if (futimens(fd, times) != 0 || (a->n <= SYNC_EACH && fsync(fd) != 0))
		return fail(a, "write a message", err);
	return add_choose_name(a, i, err);
}

static int
write_file(struct addition *a, uint32_t i, struct pst_err *err)
{
	char name[TMP_ROOM];
	struct pst_body body;
	int rc = -1;
	int fd;

	if (body_open(&a->msgs[i], &body, err) != 0)
		return -1;
	tmp_name(a, i, name);
	fd = openat(a->tmpfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		fail(a, "write a message to tmp/", err);
		goto out;
	}
	a->comers[i].stored_octets = body.length;
	if (body_copy(&body, fd, 0, err) == 0)
		rc = finish_file(a, i, fd, err);
	close(fd);
out:
	body_close(&body);
	return rc;
}

static int
write_files(struct addition *a, struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < a->n; i++)
		if (write_file(a, i, err) != 0)
			return -1;
	if (a->n > SYNC_EACH && syncfs(a->d->root) != 0)
		return fail(a, "sync", err);
	return 0;
}

static int
place_files(struct addition *a, struct pst_err *err)
{
	char from[TMP_ROOM];
	uint32_t i;

	for (i = 0; i < a->n; i++) {
		struct newcomer *c = &a->comers[i];

		tmp_name(a, i, from);
		if (rename_to_free(a->tmpfd, from, a->dirfd[c->place], add_name(a, i).p) != 0)
			return fail(a, "give a message its name", err);
		c->is_placed = true;
	}
	if (fsync(a->dirfd[PLACE_NEW]) != 0 || fsync(a->dirfd[PLACE_CUR]) != 0)
		return fail(a, "sync", err);
	return 0;
}

static void
take_back(struct addition *a)
{
	char name[TMP_ROOM];
	uint32_t i;

	for (i = 0; i < a->n && a->comers != NULL; i++) {
		tmp_name(a, i, name);
		if (a->comers[i].is_placed)
			(void)unlinkat(a->dirfd[a->comers[i].place], add_name(a, i).p, 0);
		else if (a->tmpfd >= 0)
			(void)unlinkat(a->tmpfd, name, 0);
	}
}

/* ---- The index ---- */

static int
save(const struct addition *a, struct index *ix, struct pst_err *err)
{
	const struct pst_maildrop *d = a->d;
	struct index_writer w;
	unsigned i;

	if (index_write_begin(&w, &d->file, ix, err) != 0)
		return -1;
	for (i = 0; i < PLACE_BOTH; i++)
		ix->head.places[i].is_trusted = false; /* all is looked at next time */
	ix->head.driver = INDEX_MAILDIR;
	ix->head.generation++;
	ix->head.written_ns = maildir_wall_ns();
	ix->head.uidl_policy = 0; /* these UIDLs came from elsewhere */
	return index_write_end(&w, ix, err);
}

/* What is listed and what is missing, and those that come with a UIDL: listed too, or as if they were
 * missing. The plugin names the others when it sees them. */
static int
write_index(const struct addition *a, bool is_listed, struct pst_err *err)
{
	const struct index *ix = &a->d->index;
	struct index next = { .octets = 0 };
	struct index_builder b;
	struct index_message m;
	size_t strings = 0;
	uint32_t i, named = 0;
	int rc;

	for (i = 0; i < ix->listed + ix->kept; i++) {
		index_at(ix, i, &m);
		strings += index_message_strings(&m);
	}
	for (i = 0; i < a->n; i++) {
		add_describe(a, i, &m);
		named += m.uidl.n > 0;
		strings += m.uidl.n > 0 ? index_message_strings(&m) : 0;
	}
	if (named == 0)
		return 0;
	if (index_build(&b, &next, ix->listed + (is_listed ? named : 0),
	                ix->kept + (is_listed ? 0 : named), strings, err) != 0)
		return -1;
	next.head = ix->head;
	for (i = 0; i < ix->listed; i++) {
		index_at(ix, i, &m);
		index_add(&b, &m, 0);
	}
	for (i = 0; i < a->n && is_listed; i++) {
		add_describe(a, i, &m);
		if (m.uidl.n > 0)
			index_add(&b, &m, 0);
	}
	for (i = 0; i < ix->kept; i++) {
		index_at(ix, ix->listed + i, &m);
		index_add(&b, &m, index_missed_ns(ix, i));
	}
	for (i = 0; i < a->n && !is_listed; i++) {
		add_describe(a, i, &m);
		if (m.uidl.n > 0)
			index_add(&b, &m, maildir_wall_ns());
	}
	rc = save(a, &next, err);
	index_clear(&next);
	return rc;
}

/* ---- All ---- */

/* The new Maildir gets its name. */
static int
show(struct addition *a, struct pst_err *err)
{
	size_t n = strlen(a->hidden);
	int fd = -1;
	int rc = -1;

	if (fsync(a->d->root) != 0) /* what is in it is on the disk */
		return fail(a, "sync", err);
	if (rename_to_free(AT_FDCWD, a->hidden, AT_FDCWD, a->d->path) != 0)
		return fail(a, "give it its name", err);
	while (n > 1 && a->hidden[n - 1] != '/')
		n--;
	a->hidden[n] = '\0';
	fd = open(a->hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		fail(a, "sync its folder", err);
	else
		rc = 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
add_all(struct addition *a, struct pst_err *err)
{
	struct pst_err late;
	int64_t octets = 0;
	uint32_t i;

	if (add_check_uidls(a, err) != 0 || open_folders(a, err) != 0 || write_files(a, err) != 0 ||
	    write_index(a, false, err) != 0 || place_files(a, err) != 0)
		return -1;
	/* Whatever becomes of this: they are known, as missing ones. */
	if (write_index(a, true, &late) != 0)
		a->d->self->host->log(a->d->self->host, PST_LOG_WARN, "maildir.index_unwritten",
		                      "path=%s reason=\"%s\": what was added is listed by its name",
		                      a->d->path, late.text);
	if (a->hidden != NULL && show(a, err) != 0)
		return -1;
	for (i = 0; i < a->n; i++)
		octets += (int64_t)quota_octets(add_base(a, i), a->comers[i].stored_octets);
	quota_tell(a->d, octets, a->n);
	return 0;
}

static void
give_up_hidden(struct addition *a)
{
	struct pst_maildrop *d = a->d;

	drop_close_places(a->dirfd);
	if (d->root >= 0)
		close(d->root); /* and with it the lock */
	d->root = -1;
	if (a->hidden[strlen(a->hidden) - 1] != '/') /* else it has its name */
		remove_hidden(a->hidden);
}

int
drop_add(struct pst_maildrop *d, const struct pst_new_message *msgs, uint32_t n,
         struct pst_err *err)
{
	struct addition a = {
		.d = d,
		.msgs = msgs,
		.n = n,
		.now_s = (int64_t)time(NULL),
		.dirfd = { -1, -1 },
		.tmpfd = -1,
	};
	int rc = -1;

	if (n == 0)
		return 0;
	if (mem_get(&a.mem_comers, (size_t)n * sizeof(*a.comers)) != 0) {
		pst_err_set(err, PST_E_TEMP, "no memory to add messages");
	} else {
		a.comers = a.mem_comers.p;
		rc = add_all(&a, err);
		if (rc != 0)
			take_back(&a);
		d->is_rewritten = true;
	}
	if (a.hidden != NULL && rc != 0)
		give_up_hidden(&a);
	drop_close_places(a.dirfd);
	if (a.tmpfd >= 0)
		close(a.tmpfd);
	names_clear(&a.uidls);
	names_clear(&a.bases);
	mem_drop(&a.mem_comers);
	mem_drop(&a.mem_text);
	free(a.hidden);
	return rc;
}
