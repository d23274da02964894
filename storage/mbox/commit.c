/* SPDX-License-Identifier: MIT */
/* Removing messages for good, at QUIT. Under the mail's locks it is made sure where they are now;
 * then rewrite.h takes them out. All of them or none. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/mbox/hold.h"
#include "storage/mbox/mbox.h"
#include "storage/mbox/rewrite.h"
#include "storage/mbox/uidls.h"

#define NONE UINT32_MAX
#define MAX_ATTEMPTS 3

struct removal {
	struct pst_maildrop *d;
	const struct pst_hold *how; /* NULL: nothing is kept */
	struct hold_area area;
	struct hold_batch batch;
	int fd;
	struct lock lock;
	const struct index *index; /* what the file holds now: the session's, or next */
	struct index next;
	struct mem mem_at, mem_ranges;
	uint32_t *at; /* places in index of what is to go, ascending; NONE: gone already */
};

/* mbox_open sees to an unfinished removal, unless it was opened from the kernel's caches. */
static int
recover(struct removal *r, struct pst_err *err)
{
	const struct rewrite rw = { r->d->self->host, r->d->path, r->fd, r->d->session_fd,
		                    &r->lock };

	return rewrite_is_pending(rw.note_fd) ? rewrite_recover(&rw, err) : 0;
}

/* Opens and locks; -1 with err, 1 where there is no file any more. */
static int
begin(struct removal *r, struct pst_err *err)
{
	const struct pst_maildrop *d = r->d;
	const struct mbox *self = d->self;
	int attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		r->fd = mbox_open_file(d, O_RDWR);
		if (r->fd < 0 && errno == ENOENT)
			return 1;
		if (r->fd < 0)
			return pst_err_sys(err, mbox_kind_of_errno(), "%s: remove messages",
			                   d->path);
		if (lock_take(&r->lock, &self->plan, self->host, d->path, r->fd, d->session_fd,
		              true, err) != 0)
			return -1;
		if (mbox_is_at_path(d, r->fd)) {
			if (recover(r, err) == 0)
				return 0;
			lock_free(&r->lock);
			return -1;
		}
		lock_free(&r->lock);
		close(r->fd);
		r->fd = -1;
	}
	return pst_err_set(err, PST_E_TEMP, "%s: replaced again and again", d->path);
}

/* Where the messages are now. */
static int
locate(struct removal *r, const uint32_t *idx, uint32_t n, struct index_place *now,
       struct pst_err *err)
{
	struct pst_maildrop *d = r->d;
	bool moved = false, same;
	uint32_t i;

	if (index_place_look(r->fd, "", now, err) != 0)
		return -1;
	if (mem_get(&r->mem_at, n * sizeof(*r->at)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to remove messages");
	r->at = r->mem_at.p;
	r->index = &d->index;
	if (index_place_same(now, &d->seen)) {
		memcpy(r->at, idx, n * sizeof(*idx));
		return 0;
	}
	for (i = 0; i < n && !moved; i++)
		moved = mbox_is_there(d, r->fd, &d->index, idx[i], now->octets, false) != 1;
	if (mbox_list(d, r->fd, &d->index, now, moved, &r->next, &same, err) != 0)
		return -1;
	r->index = &r->next;
	return mbox_find(&r->next, &d->index, idx, n, r->at, err);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int
rewrite(struct removal *r, uint32_t n, struct pst_err *err)
{
	const struct rewrite rw = { r->d->self->host, r->d->path, r->fd, r->d->session_fd,
		                    &r->lock };
	struct rewrite_range *ranges;
	struct index_message im;
	struct mbox_message m;
	uint32_t i, count = 0;

	if (mem_get(&r->mem_ranges, n * sizeof(*ranges)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to remove messages");
	ranges = r->mem_ranges.p;
	for (i = 0; i < n && r->at[i] != NONE; i++) {
		mbox_at(r->index, r->at[i], &im, &m);
		if (count > 0 && ranges[count - 1].end == m.offset)
			ranges[count - 1].end = mbox_end(&m);
		else
			ranges[count++] = (struct rewrite_range){ m.offset, mbox_end(&m) };
	}
	return rewrite_remove(&rw, ranges, count, err);
}

/* What goes is copied before. A copy of what did not go is of no use, unless the next session may see to
 * its going. */
static int
keep_and_rewrite(struct removal *r, uint32_t n, struct pst_err *err)
{
	uint32_t there = 0;

	if (r->how == NULL)
		return rewrite(r, n, err);
	while (there < n && r->at[there] != NONE)
		there++;
	if (there == 0)
		return 0;
	mbox_locate_hold(r->d, &r->area);
	if (mbox_keep(r->d, r->fd, r->index, r->at, there, &r->area, r->how, &r->batch, err) == 0 &&
	    rewrite(r, n, err) == 0)
		return 0;
	if (r->batch.fd >= 0 && !rewrite_is_pending(r->d->session_fd))
		hold_undo(&r->area, &r->batch);
	return -1;
}

/* The index of what is left. */
static void
write_back(struct removal *r, uint32_t n)
{
	struct index rest = { .octets = 0 };
	const struct index *ix = r->index;
	struct index_message im;
	struct index_builder b;
	struct mbox_message m;
	struct pst_err err;
	char name[MBOX_NAME];
	uint32_t i, next = 0, gone = 0;
	uint64_t less = 0;
	size_t strings = 0;

	index_load_prints(&r->d->index, &r->d->file);
	for (i = 0; i < n; i++)
		gone += r->at[i] != NONE;
	for (i = 0; i < ix->listed; i++) {
		index_at(ix, i, &im);
		strings += index_message_strings(&im); /* some too many: they stay free */
	}
	if (index_build(&b, &rest, ix->listed - gone, 0, strings, &err) != 0)
		return; /* the old one stays, and the file no longer looks like it */
	for (i = 0; i < ix->listed; i++) {
		mbox_at(ix, i, &im, &m);
		if (next < gone && r->at[next] == i) {
			less += mbox_end(&m) - m.offset;
			next++;
			continue;
		}
		m.offset -= less;
		mbox_encode(&m, &im, name);
		index_add(&b, &im, 0);
	}
	rest.head = ix->head;
	if (index_place_look(r->fd, "", &rest.head.places[0], &err) == 0)
		mbox_save(r->d, &rest);
	index_clear(&rest);
}

static int
remove_messages(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, const struct pst_hold *how,
                uint32_t *removed_out, struct pst_err *err)
{
	struct removal r = { .d = d, .how = how, .batch = { .fd = -1 }, .fd = -1 };
	struct index_place now;
	int rc;

	*removed_out = 0;
	if (n == 0)
		return 0;
	rc = begin(&r, err);
	if (rc == 0) {
		rc = locate(&r, idx, n, &now, err);
		if (rc == 0) {
			qsort(r.at, n, sizeof(*r.at), compare); /* NONE comes last */
			rc = keep_and_rewrite(&r, n, err);
		}
		if (rc == 0) {
			if (how == NULL)
				mbox_uidls_removed(d, r.index, r.at, n);
			write_back(&r, n);
			d->is_doubtful = false;
		}
		lock_free(&r.lock);
	} else if (rc == 1) { /* whoever removed the file removed them, too */
		rc = 0;
	}
	if (rc == 0)
		*removed_out = n;
	if (r.fd >= 0)
		close(r.fd);
	hold_close(&r.batch);
	index_clear(&r.next);
	mem_drop(&r.mem_at);
	mem_drop(&r.mem_ranges);
	return rc;
}

int
mbox_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
            struct pst_err *err)
{
	return remove_messages(d, idx, n, NULL, removed_out, err);
}

int
mbox_hold(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, const struct pst_hold *how,
          uint32_t *removed_out, struct pst_err *err)
{
	return remove_messages(d, idx, n, how, removed_out, err);
}
