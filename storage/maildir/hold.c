/* SPDX-License-Identifier: MIT */
/* What is kept of a Maildir: its journals, what is still there, letting it go; see hold.h. hold_back.c
 * brings it back. */
#include "storage/maildir/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "storage/index/names.h"
#include "storage/maildir/name.h"

void
drop_locate_hold(const struct pst_maildrop *d, int curfd, struct hold_area *area_out)
{
	*area_out = (struct hold_area){ curfd, DROP_HOLD_NAME, d->path, d->self->host };
}

/* ---- Keeping ---- */

static int
add_records(const struct pst_maildrop *d, const uint32_t *idx, uint32_t n, struct hold_batch *batch,
            struct pst_err *err)
{
	struct index_message m, before;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct hold_record r = { .before = { "", 0 } };

		index_at(&d->index, idx[i], &m);
		if (idx[i] > 0) {
			index_at(&d->index, idx[i] - 1, &before);
			r.before = before.uidl;
		}
		r.wire_octets = m.wire_octets;
		r.stored_octets = m.stored_octets;
		r.surrogate_octets = m.surrogate_octets;
		r.surrogate_rules = m.surrogate_rules;
		r.flags = m.flags &
		          (INDEX_PLACE_MASK | INDEX_CRLF | INDEX_NO_HEADER_END | INDEX_UNMEASURED);
		if (drop_bit(d->stale, idx[i]))
			r.flags |= INDEX_UNMEASURED;
		r.uidl = m.uidl;
		r.name = m.name;
		if (hold_add(batch, &r, err) != 0)
			return -1;
	}
	return 0;
}

int
drop_write_journal(const struct pst_maildrop *d, const struct hold_area *area, const uint32_t *idx,
                   uint32_t n, const struct pst_hold *how, struct hold_batch *batch_out,
                   struct pst_err *err)
{
	if (hold_begin(area, how, batch_out, err) != 0 ||
	    add_records(d, idx, n, batch_out, err) != 0)
		return -1;
	return hold_seal(area, batch_out, err);
}

/* ---- What is there ---- */

static int
add_file(void *arg, struct pst_str name, struct pst_err *err)
{
	struct hold_dir *dir = arg;

	if (!maildir_is_message(name))
		return 0;
	if (mem_grow(&dir->mem_text, dir->used + name.n, UINT32_MAX) != 0 ||
	    mem_grow(&dir->mem_files, ((size_t)dir->count + 1) * sizeof(*dir->files),
	             SIZE_MAX / 4) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list what is kept");
	memcpy((char *)dir->mem_text.p + dir->used, name.p, name.n);
	dir->files = dir->mem_files.p;
	dir->files[dir->count++] = (struct hold_dir_file){ (uint32_t)dir->used, (uint16_t)name.n };
	dir->used += name.n;
	return 0;
}

int
hold_dir_read(struct hold_dir *dir, const struct hold_batch *batch, struct pst_err *err)
{
	uint32_t i;

	*dir = (struct hold_dir){ .count = 0 };
	if (hold_files(batch, add_file, dir, err) != 0 ||
	    names_init(&dir->by_base, dir->count, err) != 0)
		return -1;
	for (i = 0; i < dir->count; i++)
		(void)names_add(&dir->by_base, maildir_base(hold_dir_name(dir, i)), i);
	return 0;
}

struct pst_str
hold_dir_name(const struct hold_dir *dir, uint32_t file)
{
	return (struct pst_str){ (const char *)dir->mem_text.p + dir->files[file].at,
		                 dir->files[file].octets };
}

void
hold_dir_clear(struct hold_dir *dir)
{
	names_clear(&dir->by_base);
	mem_drop(&dir->mem_text);
	mem_drop(&dir->mem_files);
	*dir = (struct hold_dir){ .count = 0 };
}

static int
tell_batch(const struct hold_batch *b, void (*each)(void *arg, const struct pst_held_message *msg),
           void *arg, struct pst_err *err)
{
	struct hold_dir dir;
	uint32_t i;
	int rc = hold_dir_read(&dir, b, err);

	for (i = 0; rc == 0 && i < b->count; i++) {
		const struct hold_record *r = &b->records[i];
		const struct pst_held_message msg = { r->uidl, r->wire_octets, b->removed_s,
			                              b->session };

		if (names_find(&dir.by_base, maildir_base(r->name)) != NAMES_NONE)
			each(arg, &msg);
	}
	hold_dir_clear(&dir);
	return rc;
}

int
drop_held(struct pst_maildrop *d, const struct pst_held *which,
          void (*each)(void *arg, const struct pst_held_message *msg), void *arg,
          struct pst_err *err)
{
	struct hold_list list;
	struct hold_area area;
	struct hold_batch b;
	int dirfd[PLACE_BOTH], rc;
	uint32_t i;

	if (d->root < 0)
		return 0;
	if (drop_open_places(d, dirfd, err) != 0)
		return -1;
	drop_locate_hold(d, dirfd[PLACE_CUR], &area);
	rc = dirfd[PLACE_CUR] < 0 ? 0 : hold_list(&area, which, &list, err);
	if (rc == 0 && dirfd[PLACE_CUR] >= 0) {
		for (i = 0; rc == 0 && i < list.count; i++) {
			enum hold_read found = hold_read(&area, list.names[i], which, &b, err);

			if (found == HOLD_FAILED)
				rc = -1;
			if (found != HOLD_READ)
				continue;
			rc = tell_batch(&b, each, arg, err);
			hold_close(&b);
		}
		hold_list_clear(&list);
	}
	drop_close_places(dirfd);
	return rc;
}

/* ---- Letting go ---- */

int
drop_let_go(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
            struct pst_err *err)
{
	struct hold_area area;
	int curfd, rc;

	*messages_out = 0;
	if (d->root < 0)
		return 0;
	curfd = openat(d->root, maildir_places[PLACE_CUR],
	               O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (curfd < 0)
		return errno == ENOENT
		               ? 0
		               : pst_err_sys(err, drop_kind_of_errno(), "open %s/cur", d->path);
	drop_locate_hold(d, curfd, &area);
	rc = hold_let_go(&area, which, true, messages_out, err);
	close(curfd);
	return rc;
}
