/* SPDX-License-Identifier: MIT */
/* The index file of a Maildir: where it is, what of it may be trusted, when it is written. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "storage/maildir/drop.h"

char *
drop_path_in(const struct pst_maildrop *d, const char *dir, const char *suffix)
{
	size_t n = strlen(d->path), room = strlen(dir) + strlen(suffix) + 80;
	char *path = mem_new(room);
	uint8_t sum[32];
	char hex[64];

	while (n > 1 && d->path[n - 1] == '/')
		n--;
	d->self->host->sha256(d->path, n, sum);
	(void)snprintf(path, room, "%s/%.*s%s", dir, PST_ARG(uidl_hex(sum, sizeof(sum), hex)),
	               suffix);
	return path;
}

/* Beside the mail, or in the common folder under a hash of the path. */
void
drop_locate_index(struct pst_maildrop *d)
{
	const char *dir = d->self->conf->index_dir;

	d->file = (struct index_file){ d->root, DROP_INDEX_NAME, DROP_INDEX_SPARE, false };
	if (*dir == '\0')
		return;
	d->index_name = drop_path_in(d, dir, "");
	d->index_spare = drop_path_in(d, dir, ".spare");
	d->file = (struct index_file){ AT_FDCWD, d->index_name, d->index_spare, true };
}

/* As large as an index of so many messages can get. */
static size_t
largest(const struct pst_maildrop *d)
{
	uint64_t messages = (uint64_t)d->self->conf->max_messages * 2 + 1000;
	uint64_t octets = messages * 400;

	return octets > SIZE_MAX / 4 ? SIZE_MAX / 4 : (size_t)octets;
}

enum index_load
drop_load_index(struct pst_maildrop *d, struct index *ix)
{
	const char *why = NULL;
	enum index_load load;

	load = index_load(ix, &d->file, largest(d), &why);
	if (load == INDEX_LOADED && ix->head.driver != INDEX_MAILDIR) {
		index_clear(ix);
		why = "of another kind of maildrop";
		load = INDEX_BAD;
	}
	if (why != NULL)
		d->self->host->log(
			d->self->host, why == index_other_version ? PST_LOG_DEBUG : PST_LOG_WARN,
			"maildir.index_bad", "path=%s file=%s reason=\"%s\": %s", d->path,
			d->file.name, why,
			load == INDEX_LOADED ? "the one before serves" : "it is made anew");
	return load;
}

/* The time at which a place was read, by the clock that stamps it: where the file system's clock (of
 * another host, perhaps) is behind ours, its time counts. */
static int64_t
in_place_time(const struct index_writer *w, const struct index_place *place, int64_t started_ns,
              int64_t now_ns)
{
	int64_t there = w->fs_now_ns - (now_ns - started_ns);

	return w->dev == place->dev && there < started_ns ? there : started_ns;
}

static void
trust_places(const struct pst_maildrop *d, struct index *ix, const struct index_writer *w,
             const int64_t started_ns[PLACE_BOTH], int64_t now_ns)
{
	unsigned i;

	for (i = 0; i < PLACE_BOTH; i++) {
		struct index_place *place = &ix->head.places[i];

		if (place->is_trusted && started_ns[i] != 0)
			place->is_trusted = index_place_is_settled(
				place, in_place_time(w, place, started_ns[i], now_ns),
				d->self->margin_ns);
	}
}

void
drop_save_index(const struct pst_maildrop *d, struct index *ix,
                const int64_t started_ns[PLACE_BOTH])
{
	struct index_writer w;
	struct pst_err err;
	int64_t now_ns;
	unsigned i;

	if (index_write_begin(&w, &d->file, ix, &err) != 0)
		goto fail;
	now_ns = maildir_wall_ns();
	trust_places(d, ix, &w, started_ns, now_ns);
	ix->head.driver = INDEX_MAILDIR;
	ix->head.generation++;
	ix->head.written_ns = now_ns;
	if (index_write_end(&w, ix, &err) != 0)
		goto fail;
	return;
fail:
	for (i = 0; i < PLACE_BOTH; i++)
		if (started_ns[i] != 0)
			ix->head.places[i].is_trusted = false;
	d->self->host->log(d->self->host, PST_LOG_WARN, "maildir.index_unwritten",
	                   "path=%s reason=\"%s\": the next session reads the directories again",
	                   d->path, err.text);
}

static size_t
strings_without_removed(const struct pst_maildrop *d, uint32_t *listed_out)
{
	struct index_message m;
	size_t octets = 0;
	uint32_t i, total = d->index.listed + d->index.kept;

	*listed_out = 0;
	for (i = 0; i < total; i++) {
		if (i < d->index.listed && drop_bit(d->removed, i))
			continue;
		if (i < d->index.listed)
			(*listed_out)++;
		index_at(&d->index, i, &m);
		octets += index_message_strings(&m);
	}
	return octets;
}

static void
add_without_removed(const struct pst_maildrop *d, struct index_builder *b)
{
	struct index_message m;
	uint32_t i, listed = d->index.listed;

	for (i = 0; i < listed + d->index.kept; i++) {
		if (i < listed && drop_bit(d->removed, i))
			continue;
		index_at(&d->index, i, &m);
		if (i < listed && drop_bit(d->stale, i))
			m.flags |= INDEX_UNMEASURED;
		index_add(b, &m, i < listed ? 0 : index_missed_ns(&d->index, i - listed));
	}
}

/* A place that still looks as it was trusted to look is trusted; any other is read next time. */
static void
look_for_changes(const struct pst_maildrop *d, struct index_head *head)
{
	struct index_place now;
	struct pst_err err;
	unsigned i;

	for (i = 0; i < PLACE_BOTH; i++)
		if (index_place_look(d->root, maildir_places[i], &now, &err) != 0 ||
		    !index_place_same(&now, &head->places[i]))
			head->places[i].is_trusted = false;
}

void
drop_write_back(struct pst_maildrop *d)
{
	const int64_t not_read[PLACE_BOTH] = { 0, 0 };
	struct index next = { .octets = 0 };
	struct index_builder b;
	struct pst_err err;
	uint32_t listed;
	size_t strings = strings_without_removed(d, &listed);
	unsigned i;

	if (d->is_rewritten) /* what is removed is missed, the next time */
		return;
	index_load_prints(&d->index, &d->file);
	if (index_build(&b, &next, listed, d->index.kept, strings, &err) != 0)
		return; /* the old one stays, and its places no longer match */
	add_without_removed(d, &b);
	next.head = d->index.head;
	look_for_changes(d, &next.head);
	if (d->is_doubtful)
		for (i = 0; i < PLACE_BOTH; i++)
			next.head.places[i].is_trusted = false;
	drop_save_index(d, &next, not_read);
	d->stale_count = 0;
	index_clear(&next);
}
