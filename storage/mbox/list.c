/* SPDX-License-Identifier: MIT */
/* From the file to the listing. Where the old part is as it was only what came behind it is read;
 * else all is, and messages are known again by their identity, equal ones in their order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/index/hash.h"
#include "storage/mbox/mbox.h"
#include "storage/mbox/uidls.h"

#define NONE UINT32_MAX
#define SPOT_CHECKS 8 /* of the old part, before it is believed */

/* ---- A table of strings, each with a number ---- */

struct entry {
	const char *p; /* NULL: free */
	uint32_t n, id;
};

struct table {
	struct mem mem;
	struct entry *slots;
	size_t mask;
};

static int
table_init(struct table *t, uint64_t room, struct pst_err *err)
{
	size_t slots = 16;

	*t = (struct table){ .mask = 0 };
	while (slots < room * 2)
		slots *= 2;
	if (mem_get(&t->mem, slots * sizeof(*t->slots)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	t->slots = t->mem.p;
	t->mask = slots - 1;
	return 0;
}

/* The slot of s, or the free one where it would be. after: not this one but the next equal one. */
static struct entry *
table_find(const struct table *t, struct pst_str s, const struct entry *after)
{
	size_t i = after == NULL ? (size_t)index_hash(s.p, s.n, 1) & t->mask
	                         : ((size_t)(after - t->slots) + 1) & t->mask;

	while (t->slots[i].p != NULL &&
	       (t->slots[i].n != s.n || memcmp(t->slots[i].p, s.p, s.n) != 0))
		i = (i + 1) & t->mask;
	return &t->slots[i];
}

/* Behind those that are equal. s stays where it is. */
static void
table_add(struct table *t, struct pst_str s, uint32_t id)
{
	struct entry *e = table_find(t, s, NULL);

	while (e->p != NULL)
		e = table_find(t, s, e);
	*e = (struct entry){ s.p, (uint32_t)s.n, id };
}

/* ---- One message where it lay ---- */

struct glance {
	struct mbox_header header;
	char text[MBOX_FROM_MAX + MBOX_HEADER_MAX + MBOX_SAMPLE];
	char essence[MBOX_HEADER_MAX + MBOX_SAMPLE];
};

/* What a delivery that is being written begins with: a From_ line that has no end yet. */
static bool
is_begun(struct pst_str s)
{
	static const struct pst_str from = { "From ", 5 };
	const size_t n = s.n < from.n ? s.n : from.n;

	if (memchr(s.p, '\n', s.n) != NULL)
		return false;
	return memcmp(s.p, from.p, n) == 0 || pst_str_eq(s, PST_LIT("\r"));
}

/* The end of the file, or empty lines and a From_ line, as far as it is there: this is asked without a
 * lock, too. */
static int
is_end(int fd, uint64_t at, uint64_t size, bool nowait)
{
	char text[4 + MBOX_FROM_MAX];
	size_t n = size - at < sizeof(text) ? (size_t)(size - at) : sizeof(text), skip;
	struct pst_str s = { text, n };
	unsigned i;

	if (!mbox_read(fd, text, n, at, nowait))
		return nowait ? -1 : 0;
	for (i = 0; i < 2 && (skip = mbox_empty_line(s)) > 0; i++) {
		s.p += skip;
		s.n -= skip;
	}
	if (at + n == size && (s.n == 0 || is_begun(s)))
		return 1;
	return mbox_from_line(s) > 0;
}

int
mbox_is_there(const struct pst_maildrop *d, int fd, const struct index *known, uint32_t i,
              uint64_t size, bool nowait)
{
	struct index_message im;
	struct mbox_message m;
	struct glance *g;
	char identity[MBOX_IDENTITY];
	struct pst_str content;
	size_t n;
	int rc = 0;

	mbox_at(known, i, &im, &m);
	if (mbox_content_at(&m) + m.content > size)
		return 0;
	g = mem_new(sizeof(*g));
	n = m.from + m.content < sizeof(g->text) ? (size_t)(m.from + m.content) : sizeof(g->text);
	if (!mbox_read(fd, g->text, n, m.offset, nowait)) {
		rc = nowait ? -1 : 0;
		goto out;
	}
	mbox_header((struct pst_str){ g->text, n }, false, &g->header);
	if (g->header.from_octets != m.from)
		goto out;
	(void)mbox_header_settle(&g->header, m.content);
	content = (struct pst_str){ g->text + m.from, n - m.from };
	mbox_identify(d->self->host, g->essence, mbox_essence(&g->header, content, g->essence),
	              m.wire, identity);
	if (memcmp(identity, m.identity, MBOX_IDENTITY) == 0 &&
	    (g->header.gap_count > 0) == m.has_gaps)
		rc = is_end(fd, mbox_content_at(&m) + m.content, size, nowait);
out:
	free(g);
	return rc;
}

/* ---- The listing ---- */

struct listing {
	struct pst_maildrop *d;
	int fd;
	const struct index *known;
	const struct index_place *now;
	uint32_t prefix; /* so many known ones are taken as they are */
	struct mbox_scan scan;
	struct mem mem_of;
	uint32_t *of; /* which known one each found one is; NONE: it is new */
	struct mbox_uidls uidls;
};

/* Whether the known part is still there, so that reading from its last message on will do. */
static bool
is_grown(const struct listing *l)
{
	const struct index *k = l->known;
	const struct index_place *was = &k->head.places[0];
	struct index_message first;
	uint32_t i;

	if (k->octets == 0 || k->listed < 2 || !was->is_there || was->dev != l->now->dev ||
	    was->ino != l->now->ino)
		return false;
	if (l->now->octets < was->octets ||
	    (l->now->octets == was->octets && l->now->mtime_ns != was->mtime_ns))
		return false; /* changed, and not by a delivery */
	index_at(k, 0, &first);
	if (first.surrogate_rules != l->d->self->host->surrogate_rules)
		return false; /* read by an older program */
	for (i = 0; i < SPOT_CHECKS; i++)
		if (mbox_is_there(l->d, l->fd, k,
		                  (uint32_t)((uint64_t)(k->listed - 2) * i / (SPOT_CHECKS - 1)),
		                  l->now->octets, false) != 1)
			return false;
	return true;
}

static int
scan_from(struct listing *l, uint64_t at, struct pst_err *err)
{
	l->scan = (struct mbox_scan){
		.host = l->d->self->host,
		.policy = &l->d->self->policy,
		.path = l->d->path,
		.max_messages = (uint64_t)l->d->self->conf->max_messages - l->prefix,
	};
	return mbox_scan(&l->scan, l->fd, at, l->now->octets, err);
}

/* From the last known message on: it must be the first one found. */
static bool
read_tail(struct listing *l)
{
	uint32_t last = l->known->listed - 1;
	struct index_message im;
	struct mbox_message m;
	struct pst_err err;

	mbox_at(l->known, last, &im, &m);
	l->prefix = last;
	if (scan_from(l, m.offset, &err) == 0 && l->scan.count > 0 &&
	    memcmp(l->scan.messages[0].identity, m.identity, MBOX_IDENTITY) == 0 &&
	    l->scan.messages[0].content == m.content)
		return true;
	mbox_scan_clear(&l->scan);
	l->prefix = 0;
	return false;
}

static int
match(struct listing *l, struct pst_err *err)
{
	const struct index *k = l->known;
	struct index_message im;
	struct table t;
	uint32_t i;

	if (mem_get(&l->mem_of, l->scan.count * sizeof(*l->of)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	l->of = l->mem_of.p;
	if (table_init(&t, k->listed - l->prefix, err) != 0)
		return -1;
	for (i = l->prefix; i < k->listed; i++) {
		index_at(k, i, &im);
		table_add(&t, im.identity, i);
	}
	for (i = 0; i < l->scan.count; i++) {
		struct pst_str identity = { l->scan.messages[i].identity, MBOX_IDENTITY };
		struct entry *e = table_find(&t, identity, NULL);

		while (e->p != NULL && e->id == NONE) /* the first that nobody took */
			e = table_find(&t, identity, e);
		l->of[i] = e->p == NULL ? NONE : e->id;
		e->id = NONE;
	}
	mem_drop(&t.mem);
	return 0;
}

static void
describe(const struct listing *l, uint32_t i, struct index_message *im, char name[MBOX_NAME])
{
	const struct mbox_message *m = &l->scan.messages[i];

	if (l->of[i] == NONE) {
		im->uidl = (struct pst_str){ m->own_uidl, m->own_uidl_octets };
		im->flags = m->origin == MBOX_UIDL_RECORDED ? INDEX_LEDGER : 0;
	} else {
		index_at(l->known, l->of[i], im);
		im->flags = mbox_uidls_flags(&l->uidls, l->of[i], im->flags);
	}
	im->print = m->print;
	mbox_encode(m, im, name);
}

static int
build(const struct listing *l, struct index *next, struct pst_err *err)
{
	struct index_builder b;
	struct index_message im;
	char name[MBOX_NAME];
	size_t strings = 0;
	uint32_t i;

	for (i = 0; i < l->prefix; i++) {
		index_at(l->known, i, &im);
		strings += index_message_strings(&im);
	}
	for (i = 0; i < l->scan.count; i++) {
		describe(l, i, &im, name);
		strings += index_message_strings(&im);
	}
	if (index_build(&b, next, l->prefix + l->scan.count, 0, strings, err) != 0)
		return -1;
	for (i = 0; i < l->prefix; i++) {
		index_at(l->known, i, &im);
		im.flags |= mbox_uidls_flags(&l->uidls, i, im.flags);
		index_add(&b, &im, 0);
	}
	for (i = 0; i < l->scan.count; i++) {
		describe(l, i, &im, name);
		index_add(&b, &im, 0);
	}
	return 0;
}

static int
choose_uidls(struct listing *l, struct pst_err *err)
{
	l->uidls = (struct mbox_uidls){
		.d = l->d,
		.fd = l->fd,
		.known = l->known,
		.prefix = l->prefix,
		.messages = l->scan.messages,
		.count = l->scan.count,
		.of = l->of,
	};
	if (l->known == &l->d->index)
		index_load_prints(&l->d->index, &l->d->file);
	if (mbox_uidls_choose(&l->uidls, err) != 0)
		return -1;
	l->scan.count = l->uidls.count;
	return 0;
}

static bool
is_same(const struct index *a, const struct index *b)
{
	return a->octets == b->octets && a->head_octets == b->head_octets &&
	       memcmp((const char *)a->mem.p + a->head_octets,
	              (const char *)b->mem.p + b->head_octets, a->octets - a->head_octets) == 0;
}

int
mbox_list(struct pst_maildrop *d, int fd, const struct index *known, const struct index_place *now,
          bool from_start, struct index *next, bool *same_out, struct pst_err *err)
{
	struct listing l = { .d = d, .fd = fd, .known = known, .now = now };
	int rc = -1;

	if ((from_start || !is_grown(&l) || !read_tail(&l)) && scan_from(&l, 0, err) != 0)
		goto out;
	if (match(&l, err) != 0 || choose_uidls(&l, err) != 0 || build(&l, next, err) != 0)
		goto out;
	next->head = l.uidls.head;
	next->head.places[0] = *now;
	if (l.uidls.left_out > 0)
		next->head.places[0].ino = 0; /* no file has that: all is read next time */
	*same_out = is_same(known, next) && known->head.uidl_policy == next->head.uidl_policy &&
	            l.uidls.left_out == 0;
	rc = 0;
out:
	mbox_uidls_clear(&l.uidls);
	mbox_scan_clear(&l.scan);
	mem_drop(&l.mem_of);
	return rc;
}

int
mbox_find(const struct index *in, const struct index *from, const uint32_t *idx, uint32_t n,
          uint32_t *found_out, struct pst_err *err)
{
	struct index_message im;
	struct table t;
	uint32_t i;

	if (table_init(&t, in->listed, err) != 0)
		return -1;
	for (i = 0; i < in->listed; i++) {
		index_at(in, i, &im);
		table_add(&t, im.uidl, i);
	}
	for (i = 0; i < n; i++) {
		const struct entry *e;

		index_at(from, idx[i], &im);
		e = table_find(&t, im.uidl, NULL);
		found_out[i] = e->p == NULL ? NONE : e->id;
	}
	mem_drop(&t.mem);
	return 0;
}
