/* SPDX-License-Identifier: MIT */
/* Bringing removed messages back, with their names, times, flags and UIDLs, to their old places in the
 * listing.
 *
 * First the index is written with them as messages that are missing, so that a file that comes back
 * meets its UIDL whenever the next session looks; then the files are moved; then the index is written
 * with them in their places. Without that last step they are listed by the time in their names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/maildir/hold.h"
#include "storage/maildir/name.h"
#include "storage/maildir/quota.h"
#include "storage/maildir/rename.h"

#define NONE UINT32_MAX

/* A removal that is looked at. Its folder is not open between steps: there may be many. */
struct source {
	struct hold_batch batch;
	struct hold_dir dir;
};

struct comer {
	uint32_t source, record, file;
	unsigned place;
	bool is_back;
	bool is_loose; /* what it stood behind is not there any more */
};

struct back {
	struct pst_maildrop *d;
	const struct pst_held *which;
	int dirfd[PLACE_BOTH];
	struct hold_area area;
	struct hold_list list;
	struct source *sources; /* the newest removal first */
	uint32_t source_count;
	struct comer *comers; /* in this order, and in that of the listing in each removal */
	uint32_t comer_count, skipped;
	struct names uidls, bases; /* of what is listed and of comers */
	struct mem mem_sources, mem_comers;
};

static const struct hold_record *
record_of(const struct back *b, const struct comer *c)
{
	return &b->sources[c->source].batch.records[c->record];
}

static struct pst_str
name_of(const struct back *b, const struct comer *c)
{
	return hold_dir_name(&b->sources[c->source].dir, c->file);
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
		enum hold_read found =
			hold_read(&b->area, b->list.names[i - 1], b->which, &s->batch, err);
		int rc;

		if (found == HOLD_FAILED)
			return -1;
		if (found == HOLD_PASS)
			continue;
		b->source_count++;
		rc = hold_dir_read(&s->dir, &s->batch, err);
		close(s->batch.fd);
		s->batch.fd = -1;
		if (rc != 0)
			return -1;
	}
	return 0;
}

static int
take_listed(struct back *b, uint64_t more, struct pst_err *err)
{
	const struct index *ix = &b->d->index;
	struct index_message m;
	uint32_t i;

	if (names_init(&b->uidls, ix->listed + more, err) != 0 ||
	    names_init(&b->bases, ix->listed + more, err) != 0)
		return -1;
	for (i = 0; i < ix->listed; i++) {
		index_at(ix, i, &m);
		(void)names_add(&b->uidls, m.uidl, i);
		(void)names_add(&b->bases, m.identity, i);
	}
	return 0;
}

/* With flags it belongs into cur/. */
static unsigned
place_of(const struct back *b, struct pst_str name, unsigned flags)
{
	if (maildir_base(name).n < name.n || b->dirfd[PLACE_NEW] < 0)
		return PLACE_CUR;
	return flags & INDEX_PLACE_MASK;
}

/* A UIDL or a name that is there again: the message came back by another way. */
static void
consider(struct back *b, uint32_t source, uint32_t record)
{
	struct source *s = &b->sources[source];
	const struct hold_record *r = &s->batch.records[record];
	uint32_t file = names_find(&s->dir.by_base, maildir_base(r->name));
	uint32_t node = b->d->index.listed + b->comer_count;

	if (file == NAMES_NONE)
		return;
	if (names_find(&b->uidls, r->uidl) != NAMES_NONE ||
	    names_find(&b->bases, maildir_base(r->name)) != NAMES_NONE) {
		b->skipped++;
		return;
	}
	(void)names_add(&b->uidls, r->uidl, node);
	(void)names_add(&b->bases, maildir_base(r->name), node);
	b->comers[b->comer_count++] = (struct comer){
		.source = source,
		.record = record,
		.file = file,
		.place = place_of(b, hold_dir_name(&s->dir, file), r->flags),
	};
}

static int
choose(struct back *b, struct pst_err *err)
{
	uint64_t records = 0;
	uint32_t i, k;

	for (i = 0; i < b->source_count; i++)
		records += b->sources[i].batch.count;
	if (take_listed(b, records, err) != 0)
		return -1;
	if (records > UINT32_MAX / 2 ||
	    mem_get(&b->mem_comers, (size_t)records * sizeof(*b->comers)) != 0)
		return no_memory(err);
	b->comers = b->mem_comers.p;
	for (i = 0; i < b->source_count; i++)
		for (k = 0; k < b->sources[i].batch.count; k++)
			consider(b, i, k);
	return 0;
}

/* ---- The index ---- */

static void
describe(const struct back *b, const struct comer *c, struct index_message *m)
{
	const struct hold_record *r = record_of(b, c);

	*m = (struct index_message){
		.wire_octets = r->wire_octets,
		.stored_octets = r->stored_octets,
		.surrogate_octets = r->surrogate_octets,
		.surrogate_rules = (uint8_t)r->surrogate_rules,
		.name = name_of(b, c),
		.uidl = r->uidl,
		.flags = (r->flags & (INDEX_CRLF | INDEX_NO_HEADER_END | INDEX_UNMEASURED)) |
		         c->place,
	};
	m->identity = maildir_base(m->name);
}

/* Whether a message that is missing is one of those that come. */
static bool
comes_back(const struct back *b, uint32_t kept)
{
	struct index_message m;

	index_at(&b->d->index, b->d->index.listed + kept, &m);
	return names_find(&b->bases, m.identity) != NAMES_NONE;
}

static int
save(const struct back *b, struct index *ix, struct pst_err *err)
{
	const struct pst_maildrop *d = b->d;
	struct index_writer w;
	unsigned i;

	if (index_write_begin(&w, &d->file, ix, err) != 0)
		return -1;
	for (i = 0; i < PLACE_BOTH; i++)
		ix->head.places[i].is_trusted = false;
	ix->head.driver = INDEX_MAILDIR;
	ix->head.generation++;
	ix->head.written_ns = maildir_wall_ns();
	return index_write_end(&w, ix, err);
}

/* order: of the listing, nodes: listed ones, then comers; n of them. Comers that are not back are
 * missing. */
static int
write_index(const struct back *b, const uint32_t *order, uint32_t n, struct pst_err *err)
{
	const struct index *ix = &b->d->index;
	const int64_t now_ns = maildir_wall_ns();
	struct index next = { .octets = 0 };
	struct index_builder builder;
	struct index_message m;
	size_t strings = 0;
	uint32_t i, kept = 0;
	int rc;

	for (i = 0; i < ix->listed + ix->kept; i++) {
		index_at(ix, i, &m);
		strings += index_message_strings(&m); /* some too many: they stay free */
		kept += i >= ix->listed && !comes_back(b, i - ix->listed);
	}
	for (i = 0; i < b->comer_count; i++) {
		describe(b, &b->comers[i], &m);
		strings += index_message_strings(&m);
		kept += !b->comers[i].is_back;
	}
	if (index_build(&builder, &next, n, kept, strings, err) != 0)
		return -1;
	next.head = ix->head;
	next.head.uidl_policy = 0; /* the UIDLs that come may be on no record */
	for (i = 0; i < n; i++) {
		if (order[i] < ix->listed)
			index_at(ix, order[i], &m);
		else
			describe(b, &b->comers[order[i] - ix->listed], &m);
		index_add(&builder, &m, 0);
	}
	for (i = 0; i < ix->kept; i++) {
		if (comes_back(b, i))
			continue;
		index_at(ix, ix->listed + i, &m);
		index_add(&builder, &m, index_missed_ns(ix, i));
	}
	for (i = 0; i < b->comer_count; i++) {
		if (b->comers[i].is_back)
			continue;
		describe(b, &b->comers[i], &m);
		index_add(&builder, &m, now_ns);
	}
	rc = save(b, &next, err);
	index_clear(&next);
	return rc;
}

/* ---- The order ---- */

struct loose {
	struct maildir_key key;
	uint32_t node;
};

static int
compare_loose(const void *a, const void *b)
{
	const struct loose *x = a, *y = b;

	return maildir_key_compare(&x->key, &y->key);
}

static struct pst_str
base_of_node(const struct back *b, uint32_t node)
{
	struct index_message m;

	if (node >= b->d->index.listed)
		return maildir_base(record_of(b, &b->comers[node - b->d->index.listed])->name);
	index_at(&b->d->index, node, &m);
	return m.identity;
}

/* next[node]: what follows it; next[head]: the first. Each comer goes behind what it stood behind. */
static void
link_comers(struct back *b, uint32_t *next, uint32_t head)
{
	const uint32_t listed = b->d->index.listed;
	uint32_t i;

	for (i = 0; i < listed; i++)
		next[i] = i + 1 < listed ? i + 1 : NONE;
	next[head] = listed > 0 ? 0 : NONE;
	for (i = 0; i < b->comer_count; i++) {
		struct comer *c = &b->comers[i];
		const struct hold_record *r = record_of(b, c);
		uint32_t after = r->before.n == 0 ? head : names_find(&b->uidls, r->before);

		if (!c->is_back)
			continue;
		c->is_loose = after == NAMES_NONE ||
		              (after != head && after >= listed &&
		               (after - listed >= i || !b->comers[after - listed].is_back ||
		                b->comers[after - listed].is_loose));
		if (c->is_loose)
			continue;
		next[listed + i] = next[after];
		next[after] = listed + i;
	}
}

/* Puts the others between, by the times in their names. */
static uint32_t
merge_loose(const struct back *b, const uint32_t *next, uint32_t head, struct loose *loose,
            uint32_t *order)
{
	const uint32_t listed = b->d->index.listed;
	uint32_t i, n = 0, loose_count = 0, done = 0, node;
	struct maildir_key key;

	for (i = 0; i < b->comer_count; i++) {
		if (!b->comers[i].is_back || !b->comers[i].is_loose)
			continue;
		loose[loose_count].node = listed + i;
		maildir_key(base_of_node(b, listed + i), &loose[loose_count].key);
		loose_count++;
	}
	if (loose_count > 0)
		qsort(loose, loose_count, sizeof(*loose), compare_loose);
	for (node = next[head]; node != NONE; node = next[node]) {
		if (done < loose_count)
			maildir_key(base_of_node(b, node), &key);
		while (done < loose_count && maildir_key_compare(&loose[done].key, &key) < 0)
			order[n++] = loose[done++].node;
		order[n++] = node;
	}
	while (done < loose_count)
		order[n++] = loose[done++].node;
	return n;
}

static int
write_order(struct back *b, struct pst_err *err)
{
	const uint32_t nodes = b->d->index.listed + b->comer_count;
	struct mem next = { NULL, 0 }, order = { NULL, 0 }, loose = { NULL, 0 };
	uint32_t n;
	int rc = -1;

	if (mem_get(&next, ((size_t)nodes + 1) * sizeof(uint32_t)) != 0 ||
	    mem_get(&order, (size_t)nodes * sizeof(uint32_t)) != 0 ||
	    mem_get(&loose, (size_t)b->comer_count * sizeof(struct loose)) != 0) {
		no_memory(err);
	} else {
		link_comers(b, next.p, nodes);
		n = merge_loose(b, next.p, nodes, loose.p, order.p);
		rc = write_index(b, order.p, n, err);
	}
	mem_drop(&next);
	mem_drop(&order);
	mem_drop(&loose);
	return rc;
}

/* As it is, with all comers as missing ones. */
static int
announce(const struct back *b, struct pst_err *err)
{
	const uint32_t listed = b->d->index.listed;
	struct mem order = { NULL, 0 };
	uint32_t i;
	int rc;

	if (mem_get(&order, (size_t)listed * sizeof(uint32_t)) != 0)
		return no_memory(err);
	for (i = 0; i < listed; i++)
		((uint32_t *)order.p)[i] = i;
	rc = write_index(b, order.p, listed, err);
	mem_drop(&order);
	return rc;
}

/* ---- The files ---- */

static void
copy_name(struct pst_str name, char out[INDEX_NAME_MAX + 1])
{
	memcpy(out, name.p, name.n); /* <= INDEX_NAME_MAX: maildir_is_message */
	out[name.n] = '\0';
}

static int
move_files(struct back *b, uint32_t *messages_out, struct pst_err *err)
{
	static const struct pst_held any = { .since_s = 0 };
	struct hold_batch open = { .fd = -1 };
	uint32_t i, source = NONE;
	int64_t octets = 0;
	int rc = 0;

	for (i = 0; i < b->comer_count && rc == 0; i++) {
		struct comer *c = &b->comers[i];
		const struct hold_record *r = record_of(b, c);
		char name[INDEX_NAME_MAX + 1];

		if (c->source != source) {
			source = c->source;
			hold_close(&open);
			if (hold_read(&b->area, b->sources[source].batch.name, &any, &open, err) ==
			    HOLD_FAILED)
				rc = -1;
		}
		copy_name(name_of(b, c), name);
		if (open.fd < 0)
			continue;
		if (rename_to_free(open.fd, name, b->dirfd[c->place], name) == 0) {
			c->is_back = true;
			octets += (int64_t)quota_octets(maildir_base(r->name), r->stored_octets);
			(*messages_out)++;
		} else if (errno == EEXIST) {
			b->skipped++;
		} else if (errno != ENOENT) {
			rc = pst_err_sys(err, drop_kind_of_errno(), "%s: bring %s back", b->d->path,
			                 name);
		}
	}
	hold_close(&open);
	quota_tell(b->d, octets, *messages_out);
	return rc;
}

static void
forget_empty(const struct back *b)
{
	static const struct pst_held any = { .since_s = 0 };
	struct hold_batch batch;
	struct pst_err err;
	uint32_t i;

	for (i = 0; i < b->source_count; i++) {
		if (hold_read(&b->area, b->sources[i].batch.name, &any, &batch, &err) != HOLD_READ)
			continue;
		hold_forget(&b->area, &batch);
		hold_close(&batch);
	}
}

/* ---- All ---- */

static void
tell_skipped(const struct back *b)
{
	const struct pst_host *host = b->d->self->host;

	if (b->skipped > 0)
		host->log(host, PST_LOG_WARN, "maildir.held_there_already",
		          "path=%s messages=%u: they are in the maildrop already, and stay where "
		          "they are kept, too",
		          b->d->path, b->skipped);
}

static int
bring_back(struct back *b, uint32_t *messages_out, struct pst_err *err)
{
	struct pst_err order_err;
	int rc;

	if (read_sources(b, err) != 0 || choose(b, err) != 0)
		return -1;
	tell_skipped(b);
	if (b->comer_count == 0)
		return 0;
	if (announce(b, err) != 0)
		return -1;
	b->d->is_rewritten = true;
	b->skipped = 0;
	rc = move_files(b, messages_out, err);
	tell_skipped(b);
	if (write_order(b, &order_err) != 0)
		b->d->self->host->log(b->d->self->host, PST_LOG_WARN, "maildir.index_unwritten",
		                      "path=%s reason=\"%s\": what came back is listed by its time",
		                      b->d->path, order_err.text);
	forget_empty(b);
	return rc;
}

int
drop_bring_back(struct pst_maildrop *d, const struct pst_held *which, uint32_t *messages_out,
                struct pst_err *err)
{
	struct back b = { .d = d, .which = which };
	uint32_t i;
	int rc = 0;

	*messages_out = 0;
	if (d->root < 0)
		return 0;
	if (drop_open_places(d, b.dirfd, err) != 0)
		return -1;
	drop_locate_hold(d, b.dirfd[PLACE_CUR], &b.area);
	if (b.dirfd[PLACE_CUR] >= 0)
		rc = bring_back(&b, messages_out, err);
	for (i = 0; i < b.source_count; i++) {
		hold_dir_clear(&b.sources[i].dir);
		hold_close(&b.sources[i].batch);
	}
	mem_drop(&b.mem_sources);
	mem_drop(&b.mem_comers);
	names_clear(&b.uidls);
	names_clear(&b.bases);
	hold_list_clear(&b.list);
	drop_close_places(b.dirfd);
	return rc;
}
