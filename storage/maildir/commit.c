/* SPDX-License-Identifier: MIT */
/* Removing messages at QUIT, for good or into the hold area: their files, their octets from the quota
 * file, their records.
 *
 * No fsync of what is removed: a removal that a crash undoes brings a message back, which is allowed;
 * the other way round would not be. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/maildir/drop.h"
#include "storage/maildir/hold.h"
#include "storage/maildir/name.h"
#include "storage/maildir/quota.h"

#define MAX_ATTEMPTS 3
#define COMPARE_OCTETS ((size_t)16 * 1024)

enum fate { FATE_MISSING, FATE_REMOVED, FATE_GONE, FATE_FAILED };

struct removal {
	struct pst_maildrop *d;
	const uint32_t *idx;
	uint32_t n;
	uint8_t *fates;                 /* enum fate, of each of the n */
	const struct hold_batch *batch; /* where they go; NULL: nowhere */
	int dirfd[PLACE_BOTH];
	uint32_t missing, failed;
	uint64_t quota_octets; /* what the quota file counts for the removed ones */
	uint32_t quota_files;
	struct pst_err first; /* failure */
};

/* ---- Files ---- */

static void
note_failure(struct removal *r, const struct drop_file *f)
{
	if (r->failed++ == 0)
		pst_err_sys(&r->first, drop_kind_of_errno(), "%s: %s %s/%.100s", r->d->path,
		            r->batch == NULL ? "unlink" : "hold", maildir_places[f->place],
		            f->name);
}

/* Into the hold area under the name that it has now. Nothing there can have it: the folder is new. */
static bool
take_away(const struct removal *r, const struct drop_file *f)
{
	if (r->batch == NULL)
		return unlinkat(r->dirfd[f->place], f->name, 0) == 0;
	return renameat(r->dirfd[f->place], f->name, r->batch->fd, f->name) == 0;
}

static void
remove_one(struct removal *r, uint32_t i)
{
	struct index_message m;
	struct drop_file f;

	drop_file(r->d, r->idx[i], &f);
	errno = ENOENT;
	if (r->dirfd[f.place] >= 0 && strchr(f.name, '/') == NULL && take_away(r, &f)) {
		r->fates[i] = FATE_REMOVED;
		index_at(&r->d->index, r->idx[i], &m);
		r->quota_octets += quota_octets(m.identity, m.stored_octets);
		r->quota_files++;
	} else if (errno == ENOENT || errno == ESTALE) {
		r->fates[i] = FATE_MISSING;
		r->missing++;
	} else {
		r->fates[i] = FATE_FAILED;
		note_failure(r, &f);
	}
}

/* One attempt at all that are missing. */
static void
remove_missing(struct removal *r)
{
	uint32_t i;

	r->missing = 0;
	for (i = 0; i < r->n; i++) {
		if (r->fates[i] != FATE_MISSING)
			continue;
		if (drop_bit(r->d->gone, r->idx[i]))
			r->fates[i] = FATE_GONE;
		else
			remove_one(r, i);
	}
}

static void
remove_all(struct removal *r)
{
	struct pst_maildrop *d = r->d;
	struct pst_err err;
	int attempt;

	free(d->gone); /* what was looked for in vain is looked for once more */
	d->gone = NULL;
	remove_missing(r);
	for (attempt = 0; attempt < MAX_ATTEMPTS && r->missing > 0; attempt++) {
		if (drop_look_again(d, &err) != 0)
			break;
		remove_missing(r);
	}
	if (r->missing > 0 && r->failed == 0)
		pst_err_set(&r->first, PST_E_TEMP, "%s: renamed again and again", d->path);
	r->failed += r->missing;
}

/* ---- Twins ---- */

static bool
have_same_octets(int a, int b)
{
	char x[COMPARE_OCTETS], y[COMPARE_OCTETS];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(a, x, sizeof(x), at);

		if (n < 0 || pread(b, y, sizeof(y), at) != n)
			return false;
		if (n == 0)
			return true;
		if (memcmp(x, y, (size_t)n) != 0)
			return false;
		at += n;
	}
}

static int
open_regular(const struct removal *r, uint32_t place, struct pst_str name, struct stat *st_out)
{
	char path[INDEX_NAME_MAX + 1];
	int fd;

	memcpy(path, name.p, name.n);
	path[name.n] = '\0';
	fd = r->dirfd[place] < 0 ? -1
	                         : openat(r->dirfd[place], path,
	                                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, st_out) != 0 || !S_ISREG(st_out->st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Whether a twin is the same mail: then it goes with the other one. If it is another mail under the
 * same name, nobody has seen it yet: it stays, and is listed next time. */
static bool
is_same_mail(const struct removal *r, const struct scan *s, const struct scan_twin *t)
{
	struct stat a, b;
	uint32_t place;
	struct pst_str name = scan_name(s, t->id, &place);
	int fd_a = open_regular(r, place, name, &a);
	int fd_b = open_regular(r, s->files[t->file].place, scan_file_name(s, t->file), &b);
	bool same = false;

	if (fd_a >= 0 && fd_b >= 0)
		same = (a.st_dev == b.st_dev && a.st_ino == b.st_ino) ||
		       (a.st_size == b.st_size && have_same_octets(fd_a, fd_b));
	if (fd_a >= 0)
		close(fd_a);
	if (fd_b >= 0)
		close(fd_b);
	return same;
}

static int
compare_idx(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool
is_to_go(const struct removal *r, uint32_t id)
{
	return bsearch(&id, r->idx, r->n, sizeof(id), compare_idx) !=
	       NULL; /* ascending: storage.h */
}

static void
remove_twin(struct removal *r, const struct scan *s, const struct scan_twin *t)
{
	struct drop_file f = { .place = s->files[t->file].place };
	struct pst_str name = scan_file_name(s, t->file);
	struct stat st;

	if (t->id >= r->d->index.listed || !is_to_go(r, t->id) || !is_same_mail(r, s, t))
		return;
	memcpy(f.name, name.p, name.n);
	f.name[name.n] = '\0';
	if (fstatat(r->dirfd[f.place], f.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    unlinkat(r->dirfd[f.place], f.name, 0) == 0) {
		r->quota_octets += quota_octets(maildir_base(name), (uint64_t)st.st_size);
		r->quota_files++;
	} else if (errno != ENOENT) {
		note_failure(r, &f);
	}
}

static bool
has_twins(const struct removal *r)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < r->n; i++) {
		index_at(&r->d->index, r->idx[i], &m);
		if ((m.flags & INDEX_TWIN) != 0)
			return true;
	}
	return false;
}

/* Before the messages themselves go, so that they can be compared. Where the directories cannot be
 * read the twins stay. */
static void
remove_twins(struct removal *r)
{
	struct pst_err err;
	struct scan s;
	uint32_t i;

	if (!has_twins(r))
		return;
	r->d->is_doubtful = true; /* a twin that stays is in no index */
	if (scan_init(&s, r->d->self, &r->d->index, r->dirfd, &err) == 0) {
		s.known_only = true;
		if (scan_round(&s, (1u << PLACE_BOTH) - 1, &err) == 0) {
			scan_settle_twins(&s);
			for (i = 0; i < s.twin_count; i++)
				remove_twin(r, &s, &s.twins[i]);
		}
	}
	scan_clear(&s);
}

/* ---- All ---- */

static uint32_t
mark_removed(struct removal *r)
{
	uint32_t i, removed = 0;

	for (i = 0; i < r->n; i++) {
		if (r->fates[i] != FATE_REMOVED && r->fates[i] != FATE_GONE)
			continue;
		drop_set_bit(r->d, &r->d->removed, r->idx[i]);
		removed++;
	}
	return removed;
}

/* batch: made, with its journal. dirfd is open. */
static int
remove_messages(struct removal *r, uint32_t *removed_out, struct pst_err *err)
{
	struct pst_maildrop *d = r->d;

	r->fates = mem_new(r->n);
	remove_twins(r);
	remove_all(r);
	*removed_out = mark_removed(r);
	quota_tell(d, -(int64_t)r->quota_octets, -(int64_t)r->quota_files);
	if (*removed_out > 0)
		drop_write_back(d);
	if (r->failed > 0)
		pst_err_set(err, r->first.kind, "%u of %u messages were not removed: %.180s",
		            r->n - *removed_out, r->n, r->first.text);
	free(r->fates);
	return r->failed > 0 ? -1 : 0;
}

int
drop_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
            struct pst_err *err)
{
	struct removal r = { .d = d, .idx = idx, .n = n };
	int rc;

	*removed_out = 0;
	if (n == 0)
		return 0;
	if (drop_open_places(d, r.dirfd, err) != 0)
		return -1;
	rc = remove_messages(&r, removed_out, err);
	drop_close_places(r.dirfd);
	return rc;
}

int
drop_hold(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, const struct pst_hold *how,
          uint32_t *removed_out, struct pst_err *err)
{
	struct removal r = { .d = d, .idx = idx, .n = n };
	struct hold_batch batch = { .fd = -1 };
	struct hold_area area;
	int rc = -1;

	*removed_out = 0;
	if (n == 0)
		return 0;
	if (drop_open_places(d, r.dirfd, err) != 0)
		return -1;
	drop_locate_hold(d, r.dirfd[PLACE_CUR], &area);
	if (r.dirfd[PLACE_CUR] < 0)
		pst_err_set(err, PST_E_PERM, "%s: has no cur/, in which removed messages are kept",
		            d->path);
	else if (drop_write_journal(d, &area, idx, n, how, &batch, err) == 0) {
		r.batch = &batch;
		rc = remove_messages(&r, removed_out, err);
	}
	if (batch.fd >= 0)
		hold_forget(&area, &batch); /* unless something is in it */
	hold_close(&batch);
	drop_close_places(r.dirfd);
	return rc;
}
