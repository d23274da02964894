/* SPDX-License-Identifier: MIT */
/* The last of a session's maildrop, in the pool: marks messages as seen, removes or holds what is to
 * go, writes the line of history, lets go what was held long enough, and closes. What is not the
 * client's business does not change its answer. */
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "ipc/history.h"
#include "mail/maildrop.h"

#define DAY_S 86400
#define UNTOLD_ROOM 24 /* octets of " untold=4294967295", and some */

/* What else went wrong: the first of it. */
static struct pst_err *
set_aside(struct maildrop_job *job, struct pst_err *other)
{
	return job->aside == NULL ? &job->aside_err : other;
}

static void
note_aside(struct maildrop_job *job, const char *what)
{
	if (job->aside == NULL)
		job->aside = what;
}

/* The 0-based places of all set bits but those of without (NULL: none), ascending. */
static uint32_t *
list_bits(const struct maildrop *d, const uint64_t *bits, const uint64_t *without, uint32_t *n_out)
{
	uint32_t words = (d->count + MAILDROP_BITS - 1) / MAILDROP_BITS, word, n = 0;
	uint32_t *idx;

	for (word = 0; word < words; word++)
		n += (uint32_t)__builtin_popcountll(bits[word]);
	idx = pst_new_array(uint32_t, n == 0 ? 1 : n);
	for (word = 0, n = 0; word < words; word++) {
		uint64_t left = bits[word] & ~(without == NULL ? 0 : without[word]);

		for (; left != 0; left &= left - 1)
			idx[n++] = word * MAILDROP_BITS + (uint32_t)__builtin_ctzll(left);
	}
	*n_out = n;
	return idx;
}

/* Before others are removed: their files are where they were. What is to go is not worth it. */
static void
mark_seen(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	struct pst_err other;
	uint32_t *idx, n;

	if (d->seen == NULL || d->storage->mark_seen == NULL)
		return;
	idx = list_bits(d, d->seen, job->has_commit ? d->marks : NULL, &n);
	if (n > 0 && d->storage->mark_seen(d->drop, idx, n, set_aside(job, &other)) != 0)
		note_aside(job, "mark_seen");
	free(idx);
}

static void
remove_marked(struct maildrop_job *job, const uint32_t *idx, uint32_t n)
{
	struct maildrop *d = job->of;
	const struct pst_hold how = { .now_s = time(NULL), .session = d->session };

	if (d->closing.hold_days == 0)
		job->rc = d->storage->commit(d->drop, idx, n, &job->removed, &job->err);
	else if (d->storage->hold != NULL)
		job->rc = d->storage->hold(d->drop, idx, n, &how, &job->removed, &job->err);
	else
		job->rc = pst_err_set(&job->err, PST_E_PERM,
		                      "hold_days is set, and this storage plugin cannot keep what "
		                      "is removed");
	if (job->rc != 0)
		maildrop_judge(&job->err);
}

static int
add_uidls(struct maildrop *d, const uint32_t *idx, uint32_t n, struct pst_err *err)
{
	struct pst_buf *note = &d->closing.note;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct pst_message m;

		maildrop_message(d, idx[i] + 1, &m);
		if (note->max - note->len < 3 * m.uidl.n + sizeof(" uidl=") + UNTOLD_ROOM)
			return history_untold(note, n - i, err);
		if (history_uidl(note, m.uidl, err) != 0)
			return -1;
	}
	return 0;
}

static void
write_note(struct maildrop_job *job, const uint32_t *idx, uint32_t n)
{
	struct maildrop *d = job->of;
	struct pst_buf *note = &d->closing.note;
	const struct history h = {
		.deleted = job->removed,
		.asked = n,
		.is_held = d->closing.hold_days > 0,
	};
	struct pst_err other, *err = set_aside(job, &other);

	if (note->len == 0)
		return;
	if ((n > 0 && (history_deleted(note, &h, err) != 0 || add_uidls(d, idx, n, err) != 0)) ||
	    d->storage->note(d->drop, pst_buf_view(note), d->closing.note_octets, err) != 0)
		note_aside(job, "history");
}

/* Of what is held, what is too old: once a day. */
static void
let_go(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	const struct pst_held which = {
		.until_s = time(NULL) - (int64_t)d->closing.hold_days * DAY_S,
		.once_a_day = true,
	};
	struct pst_err other;
	uint32_t n;

	if (d->closing.hold_days == 0 || d->storage->let_go == NULL)
		return;
	if (d->storage->let_go(d->drop, &which, &n, set_aside(job, &other)) != 0)
		note_aside(job, "let_go");
}

void
maildrop_run_close(struct maildrop_job *job)
{
	struct maildrop *d = job->of;
	uint32_t *idx = NULL, n = 0;

	if (job->has_commit && d->marked > 0)
		idx = list_bits(d, d->marks, NULL, &n);
	mark_seen(job);
	if (n > 0)
		remove_marked(job, idx, n);
	write_note(job, idx, n);
	let_go(job);
	free(idx);
	d->storage->close(d->drop);
	d->drop = NULL;
}
