/* SPDX-License-Identifier: MIT */
/* What is kept of an mbox, its removed messages and its history; see hold.h. hold_back.c brings messages
 * back. */
#include "storage/mbox/hold.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/index/body.h"
#include "storage/index/notes.h"
#include "storage/mbox/uidls.h"

#define COPY_OCTETS ((size_t)64 * 1024)
#define LEDGER_SUFFIX ".uidls"

/* A file beside the ledger. malloc'ed. */
static char *
beside_ledger(struct pst_maildrop *d, const char *suffix)
{
	size_t n, room;
	char *path;

	mbox_uidls_locate(d);
	n = strlen(d->ledger_name) - (sizeof(LEDGER_SUFFIX) - 1);
	room = n + strlen(suffix) + 1;
	path = mem_new(room);
	(void)snprintf(path, room, "%.*s%s", (int)n, d->ledger_name, suffix);
	return path;
}

void
mbox_locate_hold(struct pst_maildrop *d, struct hold_area *area_out)
{
	if (d->hold_name == NULL)
		d->hold_name = beside_ledger(d, ".hold");
	*area_out = (struct hold_area){ AT_FDCWD, d->hold_name, d->path, d->self->host };
}

/* ---- Keeping ---- */

static int
copy(const struct pst_maildrop *d, int from, uint64_t at, uint64_t end, int to, uint64_t *to_at,
     struct pst_err *err)
{
	char *buf = mem_new(COPY_OCTETS);
	int rc = 0;

	while (rc == 0 && at < end) {
		size_t n = end - at < COPY_OCTETS ? (size_t)(end - at) : COPY_OCTETS;

		if (!mbox_read(from, buf, n, at, false))
			rc = pst_err_set(err, PST_E_TEMP, "%s: shorter than it was", d->path);
		else if (!body_write(to, buf, n, *to_at))
			rc = pst_err_sys(err, PST_E_TEMP, "%s: keep what is removed", d->path);
		at += n;
		*to_at += n;
	}
	free(buf);
	return rc;
}

static int
keep_one(const struct pst_maildrop *d, int fd, const struct index *ix, uint32_t i, int to,
         uint64_t *to_at, struct hold_batch *b, struct pst_err *err)
{
	struct hold_record r = { .before = { "", 0 } };
	struct index_message im, before;
	struct mbox_message m;
	char name[MBOX_NAME];
	uint64_t at;

	mbox_at(ix, i, &im, &m);
	if (i > 0) {
		index_at(ix, i - 1, &before);
		r.before = before.uidl;
	}
	at = m.offset;
	m.offset = *to_at;
	r.uidl = im.uidl;
	r.surrogate_octets = im.surrogate_octets;
	r.surrogate_rules = im.surrogate_rules;
	mbox_encode(&m, &im, name);
	r.wire_octets = im.wire_octets;
	r.stored_octets = im.stored_octets;
	r.flags = im.flags & (INDEX_CRLF | INDEX_GAPS | INDEX_NO_HEADER_END);
	r.name = im.name;
	if (hold_add(b, &r, err) != 0)
		return -1;
	return copy(d, fd, at, at + (mbox_end(&m) - m.offset), to, to_at, err);
}

int
mbox_keep(const struct pst_maildrop *d, int fd, const struct index *ix, const uint32_t *at,
          uint32_t n, const struct hold_area *area, const struct pst_hold *how,
          struct hold_batch *batch_out, struct pst_err *err)
{
	uint64_t to_at = 0;
	uint32_t i;
	int to, rc = 0;

	if (hold_begin(area, how, batch_out, err) != 0)
		return -1;
	to = openat(batch_out->fd, MBOX_HOLD_MAIL,
	            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (to < 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: keep what is removed", d->path);
	for (i = 0; i < n && rc == 0; i++)
		rc = keep_one(d, fd, ix, at[i], to, &to_at, batch_out, err);
	if (rc == 0 && fdatasync(to) != 0)
		rc = pst_err_sys(err, PST_E_TEMP, "%s: keep what is removed", d->path);
	close(to);
	return rc != 0 ? -1 : hold_seal(area, batch_out, err);
}

/* ---- Telling and letting go ---- */

int
mbox_held(struct pst_maildrop *d, const struct pst_held *which,
          void (*each)(void *arg, const struct pst_held_message *msg), void *arg,
          struct pst_err *err)
{
	struct hold_list list;
	struct hold_area area;
	struct hold_batch b;
	uint32_t i, k;
	int rc = 0;

	mbox_locate_hold(d, &area);
	if (hold_list(&area, which, &list, err) != 0)
		return -1;
	for (i = 0; rc == 0 && i < list.count; i++) {
		enum hold_read found = hold_read(&area, list.names[i], which, &b, err);

		if (found == HOLD_FAILED)
			rc = -1;
		if (found != HOLD_READ)
			continue;
		for (k = 0; k < b.count; k++) {
			const struct pst_held_message msg = { b.records[k].uidl,
				                              b.records[k].wire_octets, b.removed_s,
				                              b.session };

			each(arg, &msg);
		}
		hold_close(&b);
	}
	hold_list_clear(&list);
	return rc;
}

int
mbox_let_go(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
            struct pst_err *err)
{
	struct hold_area area;

	mbox_locate_hold(d, &area);
	return hold_let_go(&area, which, false, messages_out, err);
}

/* ---- History ---- */

static struct notes_file
notes_of(struct pst_maildrop *d, char **name, char **old)
{
	*name = beside_ledger(d, ".history");
	*old = beside_ledger(d, ".history.old");
	return (struct notes_file){ AT_FDCWD, *name, *old, true };
}

int
mbox_note(struct pst_maildrop *d, struct pst_str line, uint64_t max_octets, struct pst_err *err)
{
	char *name, *old;
	const struct notes_file file = notes_of(d, &name, &old);
	int rc = notes_add(&file, line, max_octets, err);

	free(name);
	free(old);
	return rc;
}

int
mbox_notes(struct pst_maildrop *d, void (*each)(void *arg, struct pst_str line), void *arg,
           struct pst_err *err)
{
	char *name, *old;
	const struct notes_file file = notes_of(d, &name, &old);
	int rc = notes_read(&file, each, arg, err);

	free(name);
	free(old);
	return rc;
}
