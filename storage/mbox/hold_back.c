/* SPDX-License-Identifier: MIT */
/* Bringing removed messages of an mbox back. They are put behind the others, octet by octet as they were,
 * all or none; then the messages are put into their old order, and the index is written. Without that last
 * part they are the last ones: their UIDLs are in the mail itself, or in the ledger. All this is done
 * under the mail's locks. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/index/body.h"
#include "storage/index/names.h"
#include "storage/mbox/hold.h"
#include "storage/mbox/parse.h"
#include "storage/mbox/rewrite.h"

#define NONE UINT32_MAX
#define COPY_OCTETS ((size_t)64 * 1024)

struct source {
	struct hold_batch batch;
	uint32_t skipped;
};

struct comer {
	uint32_t source, record;
	uint64_t at, end;     /* in the source's file */
	unsigned newlines;    /* that it lacks for an empty line at its end */
	char name[MBOX_NAME]; /* of the index; the place in it does not count */
};

struct back {
	struct pst_maildrop *d;
	const struct pst_held *which;
	struct hold_area area;
	struct hold_list list;
	int fd;
	struct lock lock;
	struct index now;       /* what the mbox holds */
	struct source *sources; /* the newest removal first */
	struct comer *comers;
	uint32_t source_count, comer_count, skipped;
	struct names uidls; /* of the listed ones, then of comers */
	uint64_t octets;    /* that comers take */
	struct mem mem_sources, mem_comers;
};

static const struct hold_record *
record_of(const struct back *b, uint32_t comer)
{
	const struct comer *c = &b->comers[comer];

	return &b->sources[c->source].batch.records[c->record];
}

static int
no_memory(struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP, "no memory to bring messages back");
}

/* ---- Who comes back ---- */

static int
read_sources(struct back *b, struct pst_err *err)
{
	uint32_t i;

	if (hold_list(&b->area, b->which, &b->list, err) != 0)
		return -1;
	if (mem_get(&b->mem_sources, (size_t)b->list.count * sizeof(*b->sources)) != 0)
		return no_memory(err);
	b->sources = b->mem_sources.p;
	for (i = b->list.count; i > 0; i--) {
		struct source *s = &b->sources[b->source_count];

		switch (hold_read(&b->area, b->list.names[i - 1], b->which, &s->batch, err)) {
		case HOLD_READ:
			close(s->batch.fd); /* there may be many */
			s->batch.fd = -1;
			b->source_count++;
			break;
		case HOLD_PASS:
			break;
		case HOLD_FAILED:
			return -1;
		}
	}
	return 0;
}

/* The place in the source's file, from what mbox_keep made of it. */
static bool
read_record(const struct hold_record *r, struct comer *c)
{
	struct index_message im = { .wire_octets = r->wire_octets,
		                    .stored_octets = r->stored_octets };
	struct mbox_message m;

	if (r->name.n != MBOX_NAME)
		return false;
	memcpy(c->name, r->name.p, MBOX_NAME);
	im.name = (struct pst_str){ c->name, MBOX_NAME };
	im.identity = (struct pst_str){ c->name, MBOX_IDENTITY };
	mbox_decode(&im, &m);
	c->at = m.offset;
	c->end = mbox_end(&m);
	return true;
}

static int
choose(struct back *b, struct pst_err *err)
{
	struct index_message im;
	uint64_t records = 0;
	uint32_t i, k;

	for (i = 0; i < b->source_count; i++)
		records += b->sources[i].batch.count;
	if (names_init(&b->uidls, b->now.listed + records, err) != 0)
		return -1;
	if (records > UINT32_MAX / 2 ||
	    mem_get(&b->mem_comers, (size_t)records * sizeof(*b->comers)) != 0)
		return no_memory(err);
	b->comers = b->mem_comers.p;
	for (i = 0; i < b->now.listed; i++) {
		index_at(&b->now, i, &im);
		(void)names_add(&b->uidls, im.uidl, i);
	}
	for (i = 0; i < b->source_count; i++)
		for (k = 0; k < b->sources[i].batch.count; k++) {
			struct comer *c = &b->comers[b->comer_count];

			*c = (struct comer){ .source = i, .record = k };
			if (read_record(&b->sources[i].batch.records[k], c) &&
			    names_add(&b->uidls, b->sources[i].batch.records[k].uidl,
			              b->now.listed + b->comer_count)) {
				b->comer_count++;
			} else {
				b->sources[i].skipped++;
				b->skipped++;
			}
		}
	return 0;
}

/* ---- Putting them behind the others ---- */

static int
open_mail(const struct back *b, uint32_t source, struct pst_err *err)
{
	static const struct pst_held any = { .since_s = 0 };
	struct hold_batch batch;
	int fd;

	if (hold_read(&b->area, b->sources[source].batch.name, &any, &batch, err) != HOLD_READ)
		return pst_err_set(err, PST_E_TEMP, "%s: what is kept has gone", b->d->path);
	fd = openat(batch.fd, MBOX_HOLD_MAIL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		pst_err_sys(err, PST_E_TEMP, "%s: open what is kept", b->d->path);
	hold_close(&batch);
	return fd;
}

/* Its octets to the mbox; fd -1: they are only counted. */
static int
put_one(struct back *b, struct comer *c, int from, int fd, uint64_t *to_at, char *buf,
        struct pst_err *err)
{
	char end[3] = { 'x', 'x', 'x' };
	uint64_t at = c->at;
	size_t n = c->end - c->at < 3 ? (size_t)(c->end - c->at) : 3;

	if (!mbox_read(from, end + 3 - n, n, c->end - n, false))
		return pst_err_sys(err, PST_E_TEMP, "%s: read what is kept", b->d->path);
	if (end[2] != '\n')
		c->newlines = 2;
	else
		c->newlines = end[1] == '\n' || (end[1] == '\r' && end[0] == '\n') ? 0 : 1;
	for (; fd >= 0 && at < c->end; at += n) {
		n = c->end - at < COPY_OCTETS ? (size_t)(c->end - at) : COPY_OCTETS;
		if (!mbox_read(from, buf, n, at, false) ||
		    !body_write(fd, buf, n, *to_at + (at - c->at)))
			return pst_err_sys(err, PST_E_TEMP, "%s: bring messages back", b->d->path);
	}
	*to_at += c->end - c->at;
	if (fd >= 0 && !body_write(fd, "\n\n", c->newlines, *to_at))
		return pst_err_sys(err, PST_E_TEMP, "%s: bring messages back", b->d->path);
	*to_at += c->newlines;
	lock_keep(&b->lock);
	return 0;
}

static int
put_all(struct back *b, int fd, uint64_t *to_at, struct pst_err *err)
{
	char *buf = mem_new(COPY_OCTETS);
	uint32_t i, source = NONE;
	int from = -1, rc = 0;

	for (i = 0; i < b->comer_count && rc == 0; i++) {
		if (b->comers[i].source != source) {
			if (from >= 0)
				close(from);
			source = b->comers[i].source;
			from = open_mail(b, source, err);
		}
		rc = from < 0 ? -1 : put_one(b, &b->comers[i], from, fd, to_at, buf, err);
	}
	if (from >= 0)
		close(from);
	free(buf);
	return rc;
}

static int
append(struct back *b, const struct rewrite *rw, uint64_t size, struct pst_err *err)
{
	int newlines = rewrite_newlines(rw, size);
	uint64_t at = 0;

	if (newlines < 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: read", rw->path);
	if (put_all(b, -1, &b->octets, err) != 0 ||
	    rewrite_add_begin(rw, (uint64_t)newlines + b->octets, &at, err) != 0)
		return -1;
	if (!body_write(rw->fd, "\n\n", (size_t)newlines, at)) {
		pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
		goto undo;
	}
	at += (uint64_t)newlines;
	if (put_all(b, rw->fd, &at, err) != 0)
		goto undo;
	return rewrite_add_end(rw, err);
undo:
	rewrite_add_undo(rw);
	return -1;
}

/* ---- Their order, and the index ---- */

/* Behind what each stood behind, as far as that is there; else at the end. nodes: listed ones, then
 * comers. */
static void
make_order(const struct back *b, uint32_t *next, uint32_t *order)
{
	const uint32_t listed = b->now.listed, nodes = listed + b->comer_count, head = nodes;
	uint32_t i, n = 0, last = listed > 0 ? listed - 1 : head;

	for (i = 0; i < listed; i++)
		next[i] = i + 1 < listed ? i + 1 : NONE;
	next[head] = listed > 0 ? 0 : NONE;
	for (i = 0; i < b->comer_count; i++) {
		const struct hold_record *r = record_of(b, i);
		uint32_t after = r->before.n == 0 ? head : names_find(&b->uidls, r->before);

		if (after == NAMES_NONE || (after != head && after >= listed + i))
			after = last;
		next[listed + i] = next[after];
		next[after] = listed + i;
		if (after == last)
			last = listed + i;
	}
	for (i = next[head]; i != NONE; i = next[i])
		order[n++] = i;
}

/* What is known: of the mbox, and of the comers, in an order. */
static int
make_known(const struct back *b, const uint32_t *order, struct index *out, struct pst_err *err)
{
	const uint32_t nodes = b->now.listed + b->comer_count;
	struct index_builder builder;
	struct index_message im;
	size_t strings = 0;
	uint32_t i, node;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		if (pass == 1 && index_build(&builder, out, nodes, 0, strings, err) != 0)
			return -1;
		for (i = 0; i < nodes; i++) {
			node = order == NULL ? i : order[i];
			if (node < b->now.listed) {
				index_at(&b->now, node, &im);
			} else {
				const struct hold_record *r = record_of(b, node - b->now.listed);

				im = (struct index_message){
					.wire_octets = r->wire_octets,
					.stored_octets = r->stored_octets,
					.surrogate_octets = r->surrogate_octets,
					.surrogate_rules = (uint8_t)r->surrogate_rules,
					.uidl = r->uidl,
					.flags = r->flags &
					         (INDEX_CRLF | INDEX_GAPS | INDEX_NO_HEADER_END),
				};
				im.name.p = b->comers[node - b->now.listed].name;
				im.name.n = MBOX_NAME;
				im.identity = (struct pst_str){ im.name.p, MBOX_IDENTITY };
			}
			if (pass == 0)
				strings += index_message_strings(&im);
			else
				index_add(&builder, &im, 0);
		}
	}
	out->head = b->now.head;
	out->head.uidl_policy = 0; /* the UIDLs that come may be on no record */
	return 0;
}

/* Reads the whole file with what is known. */
static int
list_anew(const struct back *b, const uint32_t *order, struct index *next, struct pst_err *err)
{
	struct index known = { .octets = 0 };
	struct index_place now;
	bool same;
	int rc = -1;

	if (index_place_look(b->fd, "", &now, err) == 0 && make_known(b, order, &known, err) == 0)
		rc = mbox_list(b->d, b->fd, &known, &now, true, next, &same, err);
	index_clear(&known);
	return rc;
}

static int
arrange(const struct back *b, const struct rewrite *rw, const struct index *behind,
        const uint32_t *order, struct rewrite_range *pieces, struct pst_err *err)
{
	const uint32_t nodes = b->now.listed + b->comer_count;
	struct index_message im;
	struct mbox_message m;
	uint32_t i, n = 0;
	uint64_t front;

	if (behind->listed != nodes) /* another program's mail, or messages without a UIDL */
		return pst_err_set(err, PST_E_TEMP, "%s: %u messages, not %u", rw->path,
		                   behind->listed, nodes);
	mbox_at(behind, 0, &im, &m);
	front = m.offset; /* a message that is none may stand before them */
	if (front > 0)
		pieces[n++] = (struct rewrite_range){ 0, front };
	for (i = 0; i < nodes; i++) {
		mbox_at(behind, order[i], &im, &m);
		if (n > 0 && pieces[n - 1].end == m.offset)
			pieces[n - 1].end = mbox_end(&m);
		else
			pieces[n++] = (struct rewrite_range){ m.offset, mbox_end(&m) };
	}
	return rewrite_arrange(rw, pieces, n, err);
}

/* Whatever goes wrong here: all messages are there. */
static int
put_in_order(struct back *b, const struct rewrite *rw, struct pst_err *err)
{
	const size_t nodes = (size_t)b->now.listed + b->comer_count;
	struct index behind = { .octets = 0 }, next = { .octets = 0 };
	struct mem links = { NULL, 0 }, order = { NULL, 0 }, pieces = { NULL, 0 };
	int rc = -1;

	if (mem_get(&links, (nodes + 1) * sizeof(uint32_t)) != 0 ||
	    mem_get(&order, nodes * sizeof(uint32_t)) != 0 ||
	    mem_get(&pieces, (nodes + 1) * sizeof(struct rewrite_range)) != 0) {
		no_memory(err);
		goto out;
	}
	make_order(b, links.p, order.p);
	if (list_anew(b, NULL, &behind, err) != 0)
		goto out;
	mbox_save(b->d, &behind);
	if (arrange(b, rw, &behind, order.p, pieces.p, err) != 0 ||
	    list_anew(b, order.p, &next, err) != 0)
		goto out;
	mbox_save(b->d, &next);
	rc = 0;
out:
	index_clear(&behind);
	index_clear(&next);
	mem_drop(&links);
	mem_drop(&order);
	mem_drop(&pieces);
	return rc;
}

/* ---- All ---- */

static void
forget_sources(const struct back *b)
{
	static const struct pst_held any = { .since_s = 0 };
	struct hold_batch batch;
	struct pst_err err;
	uint32_t i;

	for (i = 0; i < b->source_count; i++) {
		if (b->sources[i].skipped > 0 ||
		    hold_read(&b->area, b->sources[i].batch.name, &any, &batch, &err) != HOLD_READ)
			continue;
		hold_undo(&b->area, &batch);
		hold_close(&batch);
	}
}

static int
bring_back(struct back *b, uint32_t *messages_out, struct pst_err *err)
{
	const struct pst_host *host = b->d->self->host;
	const struct rewrite rw = { host, b->d->path, b->fd, b->d->session_fd, &b->lock };
	struct index_place now;
	struct pst_err order_err;
	bool same;

	if ((rewrite_is_pending(rw.note_fd) && rewrite_recover(&rw, err) != 0) ||
	    index_place_look(b->fd, "", &now, err) != 0 ||
	    mbox_list(b->d, b->fd, &b->d->index, &now, false, &b->now, &same, err) != 0 ||
	    choose(b, err) != 0)
		return -1;
	if (b->skipped > 0)
		host->log(host, PST_LOG_WARN, "mbox.held_there_already",
		          "path=%s messages=%u: they are in the maildrop already, and stay where "
		          "they are kept, too",
		          b->d->path, b->skipped);
	if (b->comer_count == 0)
		return 0;
	if (append(b, &rw, now.octets, err) != 0)
		return -1;
	*messages_out = b->comer_count;
	b->d->is_doubtful = false;
	if (put_in_order(b, &rw, &order_err) != 0)
		host->log(host, PST_LOG_WARN, "mbox.held_comes_last",
		          "path=%s reason=\"%s\": what came back stands behind the other mail",
		          b->d->path, order_err.text);
	forget_sources(b);
	return 0;
}

/* -1 with err, or the file open and locked. */
static int
begin(struct back *b, struct pst_err *err)
{
	const struct mbox *self = b->d->self;

	if (b->d->fd < 0 && b->d->session_fd < 0)
		return pst_err_set(err, PST_E_PERM,
		                   "%s is not there: make an empty file, then try again",
		                   b->d->path);
	b->fd = mbox_open_file(b->d, O_RDWR);
	if (b->fd < 0)
		return pst_err_sys(err, mbox_kind_of_errno(), "%s: bring messages back",
		                   b->d->path);
	if (lock_take(&b->lock, &self->plan, self->host, b->d->path, b->fd, b->d->session_fd, true,
	              err) != 0)
		return -1;
	if (!mbox_is_at_path(b->d, b->fd))
		return pst_err_set(err, PST_E_TEMP, "%s: another file is there now", b->d->path);
	return 0;
}

int
mbox_bring_back(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                struct pst_err *err)
{
	struct back b = { .d = d, .which = which, .fd = -1 };
	uint32_t i;
	int rc;

	*messages_out = 0;
	mbox_locate_hold(d, &b.area);
	rc = read_sources(&b, err);
	if (rc == 0 && b.source_count > 0) {
		rc = begin(&b, err);
		if (rc == 0)
			rc = bring_back(&b, messages_out, err);
		lock_free(&b.lock);
	}
	if (b.fd >= 0)
		close(b.fd);
	for (i = 0; i < b.source_count; i++)
		hold_close(&b.sources[i].batch);
	index_clear(&b.now);
	names_clear(&b.uidls);
	hold_list_clear(&b.list);
	mem_drop(&b.mem_sources);
	mem_drop(&b.mem_comers);
	return rc;
}
