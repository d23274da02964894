/* SPDX-License-Identifier: MIT */
/* The index of an mbox: where it is, what of it may be trusted, when it is written. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storage/index/hash.h"
#include "storage/mbox/mbox.h"

static char *
join(const char *dir, size_t dir_octets, const char *before, struct pst_str name, const char *after)
{
	size_t room = dir_octets + strlen(before) + name.n + strlen(after) + 1;
	char *path = mem_new(room);

	(void)snprintf(path, room, "%.*s%s%.*s%s", (int)dir_octets, dir, before, PST_ARG(name),
	               after);
	return path;
}

char *
mbox_path(const struct pst_maildrop *d, const char *dir, const char *suffix)
{
	const char *slash = strrchr(d->path, '/');
	const char *name = slash == NULL ? d->path : slash + 1;
	uint8_t sum[32];
	char hex[64];

	if (*dir == '\0')
		return join(d->path, (size_t)(name - d->path), ".", pst_str_c(name), suffix);
	d->self->host->sha256(d->path, strlen(d->path), sum);
	return join(dir, strlen(dir), "/", uidl_hex(sum, sizeof(sum), hex), suffix);
}

/* Beside the mail as .NAME.postern.*, or in the common folder under a hash of the path. */
void
mbox_locate(struct pst_maildrop *d)
{
	const char *dir = d->self->conf->index_dir;

	d->index_name = mbox_path(d, dir, ".postern.index");
	d->index_spare = mbox_path(d, dir, ".postern.index.spare");
	d->session_name = mbox_path(d, dir, ".postern.lock");
	d->file = (struct index_file){ AT_FDCWD, d->index_name, d->index_spare, true };
}

void
mbox_decode(const struct index_message *im, struct mbox_message *m)
{
	const char *p = im->name.p + MBOX_IDENTITY; /* mbox_load has seen to its length */

	m->offset = index_get64(p);
	m->between = (uint8_t)p[8] | (uint32_t)(uint8_t)p[9] << 8 | (uint32_t)(uint8_t)p[10] << 16 |
	             (uint32_t)(uint8_t)p[11] << 24;
	m->from = (uint16_t)((uint8_t)p[12] | (unsigned)(uint8_t)p[13] << 8);
	m->content = im->stored_octets;
	m->wire = im->wire_octets;
	m->surrogate = im->surrogate_octets;
	m->surrogate_rules = im->surrogate_rules;
	m->has_gaps = (im->flags & INDEX_GAPS) != 0;
	m->is_crlf = (im->flags & INDEX_CRLF) != 0;
	m->has_no_header_end = (im->flags & INDEX_NO_HEADER_END) != 0;
	memcpy(m->identity, im->identity.p, MBOX_IDENTITY);
}

void
mbox_at(const struct index *ix, uint32_t i, struct index_message *im, struct mbox_message *m)
{
	index_at(ix, i, im);
	mbox_decode(im, m);
}

static void
put(char *p, uint64_t v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)(v >> 8 * i);
}

void
mbox_encode(const struct mbox_message *m, struct index_message *im, char name[MBOX_NAME])
{
	memcpy(name, m->identity, MBOX_IDENTITY);
	put(name + MBOX_IDENTITY, m->offset, 8);
	put(name + MBOX_IDENTITY + 8, m->between, 4);
	put(name + MBOX_IDENTITY + 12, m->from, 2);
	im->name = (struct pst_str){ name, MBOX_NAME };
	im->identity = (struct pst_str){ name, MBOX_IDENTITY };
	im->wire_octets = m->wire;
	im->surrogate_octets = m->surrogate;
	im->surrogate_rules = m->surrogate_rules;
	im->stored_octets = m->content;
	im->flags &= INDEX_LEDGER;
	im->flags |= (m->has_gaps ? INDEX_GAPS : 0) | (m->is_crlf ? INDEX_CRLF : 0) |
	             (m->has_no_header_end ? INDEX_NO_HEADER_END : 0);
}

/* Messages one behind the other, and none past the end of the file. */
bool
mbox_is_sound(const struct index *ix)
{
	struct index_message im;
	struct mbox_message m;
	uint64_t at = 0;
	uint32_t i;

	if (ix->head.driver != INDEX_MBOX)
		return false;
	for (i = 0; i < ix->listed; i++) {
		index_at(ix, i, &im);
		if (im.name.n != MBOX_NAME || im.identity.n != MBOX_IDENTITY)
			return false;
		mbox_at(ix, i, &im, &m);
		if (m.offset < at || m.content > ix->head.places[0].octets ||
		    mbox_end(&m) > ix->head.places[0].octets)
			return false;
		at = mbox_end(&m);
	}
	return true;
}

/* As large as an index of so many messages can get. */
static size_t
largest(const struct pst_maildrop *d)
{
	uint64_t octets = (uint64_t)d->self->conf->max_messages * 200 + 100000;

	return octets > SIZE_MAX / 4 ? SIZE_MAX / 4 : (size_t)octets;
}

void
mbox_load(struct pst_maildrop *d, struct index *ix)
{
	const struct pst_host *host = d->self->host;
	const char *why = NULL;
	bool is_good = index_load(ix, &d->file, largest(d), &why) == INDEX_LOADED;

	if (is_good && !mbox_is_sound(ix)) {
		index_clear(ix);
		is_good = false;
		why = "of another kind of maildrop";
	}
	if (why != NULL)
		host->log(host, why == index_other_version ? PST_LOG_DEBUG : PST_LOG_WARN,
		          "mbox.index_bad", "path=%s file=%s reason=\"%s\": %s", d->path,
		          d->file.name, why, is_good ? "the one before serves" : "it is made anew");
}

bool
mbox_is_unchanged(const struct mbox *self, const struct index *ix, const struct index_place *now)
{
	uint32_t policy = ix->head.uidl_policy;

	/* An index of before there were policies is right under the plain one as it ever was. */
	if (policy != self->policy.id && (policy != 0 || self->policy.id != UIDL_PLAIN_ID))
		return false;
	return ix->octets > 0 && ix->head.places[0].is_trusted &&
	       index_place_same(&ix->head.places[0], now);
}

void
mbox_save(const struct pst_maildrop *d, struct index *ix)
{
	struct index_place *place = &ix->head.places[0];
	struct index_writer w;
	struct timespec ts;
	struct pst_err err;
	int64_t now_ns, there_ns;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	now_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	if (index_write_begin(&w, &d->file, ix, &err) != 0)
		goto fail;
	there_ns = w.dev == place->dev && w.fs_now_ns < now_ns ? w.fs_now_ns : now_ns;
	place->is_trusted = index_place_is_settled(place, there_ns, d->self->margin_ns);
	ix->head.driver = INDEX_MBOX;
	ix->head.generation++;
	ix->head.written_ns = now_ns;
	if (index_write_end(&w, ix, &err) == 0)
		return;
fail:
	place->is_trusted = false;
	d->self->host->log(d->self->host, PST_LOG_WARN, "mbox.index_unwritten",
	                   "path=%s reason=\"%s\": the next session reads the mbox again", d->path,
	                   err.text);
}
