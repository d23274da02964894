/* SPDX-License-Identifier: MIT */
/* UIDLs of an mbox's new messages; see uidls.h.
 *
 * The ledger knows messages by their identity. Equal messages have equal ones: then the entries are
 * theirs in the order in which they were made. */
#include "storage/mbox/uidls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/guard.h"
#include "storage/index/names.h"

enum { KNOWN_FOUND = 1, KNOWN_RECORDED = 2, KNOWN_MATCHED = 4 };

/* From_ lines tell no zone: so far may their times be off. */
#define ZONES_S INT64_C(50400)

/* ---- The ledger ---- */

static bool
is_writable(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *dir = strndup(name, slash == NULL ? 0 : (size_t)(slash - name) + 1);
	bool is;

	if (dir == NULL)
		abort();
	is = faccessat(AT_FDCWD, *dir == '\0' ? "." : dir, W_OK, AT_EACCESS) == 0;
	free(dir);
	return is;
}

/* Beside the mbox; where we may not make files there, as in /var/mail, with the index. */
void
mbox_uidls_locate(struct pst_maildrop *d)
{
	const char *dir = d->self->conf->ledger_dir;

	if (d->ledger_file.name != NULL)
		return;
	d->ledger_name = mbox_path(d, dir, ".postern.uidls");
	if (*dir == '\0' && *d->self->conf->index_dir != '\0' &&
	    access(d->ledger_name, F_OK) != 0 && !is_writable(d->ledger_name)) {
		free(d->ledger_name);
		dir = d->self->conf->index_dir;
		d->ledger_name = mbox_path(d, dir, ".postern.uidls");
	}
	d->ledger_spare = mbox_path(d, dir, ".postern.uidls.spare");
	d->ledger_file = (struct ledger_file){ AT_FDCWD, d->ledger_name, d->ledger_spare, true };
}

static struct guard
guard_of(const struct pst_maildrop *d)
{
	return (struct guard){
		.host = d->self->host,
		.event = "mbox.uidls_would_change",
		.path = d->path,
		.user = d->user,
		.flags = d->open_flags,
		.share = d->self->conf->guard_share,
		.min = d->self->conf->guard_min,
	};
}

int
mbox_uidls_load(struct pst_maildrop *d, struct ledger *l, struct pst_err *err)
{
	uint64_t octets = (uint64_t)d->self->conf->max_messages * 400 + 10000000;
	struct guard g = guard_of(d);
	struct pst_err why;
	bool is_bad;

	mbox_uidls_locate(d);
	if (ledger_load(l, &d->ledger_file, octets > SIZE_MAX / 4 ? SIZE_MAX / 4 : (size_t)octets,
	                &is_bad, &why) == 0)
		return 0;
	if (is_bad)
		return guard_ledger(&g, why.text, err);
	*err = why;
	return -1;
}

/* ---- Choosing ---- */

struct choice {
	struct mbox_uidls *u;
	struct names used; /* UIDLs that are somebody's */
	uint8_t *taken;    /* entries of the ledger whose message was found */
	struct mem mem_taken;
	bool has_numbers;
	int64_t now_s;
};

static struct pst_str
own_of(const struct mbox_message *m)
{
	return (struct pst_str){ m->own_uidl, m->own_uidl_octets };
}

static void
take_known(struct choice *c)
{
	const struct mbox_uidls *u = c->u;
	const struct ledger_entry *e;
	struct index_message im;
	uint32_t i;

	for (i = 0; i < u->known->listed; i++) {
		index_at(u->known, i, &im);
		(void)names_add(&c->used, im.uidl, 0);
		e = ledger_of_uidl(&u->ledger, im.uidl);
		if (e != NULL)
			c->taken[e - u->ledger.entries] = 1;
	}
}

/* The oldest entry of its identity that nobody has. */
static bool
choose_recorded(struct choice *c, struct mbox_message *m)
{
	const struct ledger *l = &c->u->ledger;
	struct pst_str identity = { m->identity, MBOX_IDENTITY };
	const struct ledger_entry *e = NULL, *found = NULL;

	while ((e = ledger_find(l, identity, e)) != NULL)
		if (!c->taken[e - l->entries])
			found = e;
	if (found == NULL)
		return false;
	c->taken[found - l->entries] = 1;
	memcpy(m->own_uidl, found->uidl.p, found->uidl.n);
	m->own_uidl_octets = (uint8_t)found->uidl.n; /* <= LEDGER_UIDL_MAX */
	m->origin = MBOX_UIDL_RECORDED;
	return true;
}

static void
take_recorded(struct choice *c)
{
	const struct ledger *l = &c->u->ledger;
	uint32_t i;

	for (i = 0; i < l->count; i++)
		(void)names_add(&c->used, l->entries[i].uidl, 0);
}

static bool
next_number(struct choice *c, uint32_t *uid_out)
{
	struct ledger *l = &c->u->ledger;
	const struct index_head *head = &c->u->known->head;
	bool is_bare = !c->u->d->self->policy.has_validity;

	if (!c->has_numbers)
		ledger_numbers(l, head->uid_validity, head->next_uid, c->now_s, is_bare);
	c->has_numbers = true;
	if (ledger_next(l, uid_out))
		return true;
	ledger_numbers(l, 0, 0, c->now_s, is_bare);
	return ledger_next(l, uid_out);
}

static bool
choose_number(struct choice *c, struct mbox_message *m)
{
	const struct mbox *self = c->u->d->self;
	struct uidl_values v = { .header_md5 = { m->header_md5, 32 }, .md5 = self->host->md5 };
	struct pst_err err;
	int n;

	while (next_number(c, &v.uid)) {
		v.validity = c->u->ledger.validity;
		n = uidl_render(self->policy.format, &v, m->own_uidl, UIDL_MAX, &err);
		m->own_uidl_octets = (uint8_t)(n < 0 ? 0 : n);
		if (!uidl_is_valid(own_of(m)))
			return false;
		if (!names_add(&c->used, own_of(m), 0))
			continue;
		m->origin = MBOX_UIDL_GIVEN;
		m->uid = v.uid;
		m->validity = v.validity;
		return true;
	}
	return false;
}

/* Its identity, or that with a number. */
static void
choose_identity(struct choice *c, struct mbox_message *m)
{
	uint32_t number = 1;
	int n;

	memcpy(m->own_uidl, m->identity, MBOX_IDENTITY);
	m->own_uidl_octets = MBOX_IDENTITY;
	while (!names_add(&c->used, own_of(m), 0)) {
		n = snprintf(m->own_uidl, sizeof(m->own_uidl), "%.*s-%u", MBOX_IDENTITY,
		             m->identity, ++number);
		m->own_uidl_octets = (uint8_t)n; /* at most 43 */
		m->origin = MBOX_UIDL_GIVEN;
	}
}

static void
choose(struct choice *c, struct mbox_message *m)
{
	const struct uidl_policy *policy = &c->u->d->self->policy;
	bool has_own = m->own_uidl_octets > 0;

	m->origin = MBOX_UIDL_TOLD;
	if (has_own && names_add(&c->used, own_of(m), 0))
		return;
	if (policy->has_uid && !policy->from_mail && choose_number(c, m))
		return;
	/* What the mail says of itself goes to the first who says so. */
	if (has_own || (policy->has_uid && !policy->from_mail))
		m->origin = MBOX_UIDL_GIVEN;
	choose_identity(c, m);
}

static uint32_t
count_new(const struct mbox_uidls *u)
{
	uint32_t i, n = 0;

	for (i = 0; i < u->count; i++)
		n += u->of[i] == MBOX_NEW;
	return n;
}

static int
choose_all(struct choice *c, struct pst_err *err)
{
	struct mbox_uidls *u = c->u;
	uint32_t i;

	if (names_init(&c->used, (uint64_t)u->known->listed + u->ledger.count + u->count, err) != 0)
		return -1;
	if (mem_get(&c->mem_taken, (size_t)u->ledger.count + 1) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	c->taken = c->mem_taken.p;
	take_known(c);
	for (i = 0; i < u->count; i++)
		if (u->of[i] == MBOX_NEW && !choose_recorded(c, &u->messages[i]))
			u->messages[i].origin = 0;
	take_recorded(c);
	for (i = 0; i < u->count; i++)
		if (u->of[i] == MBOX_NEW && u->messages[i].origin == 0)
			choose(c, &u->messages[i]);
	return 0;
}

/* ---- The guard ---- */

static bool
is_old(const struct mbox_uidls *u, const struct mbox_message *m)
{
	char line[MBOX_FROM_MAX];
	struct pst_str sender;
	int64_t when_s = 0;

	if (m->from > sizeof(line) || !mbox_read(u->fd, line, m->from, m->offset, false))
		return false;
	mbox_from_parts((struct pst_str){ line, m->from }, &sender, &when_s);
	return when_s + ZONES_S < u->known->head.written_ns / 1000000000;
}

/* New messages count where they bear the From_ line of one that is missing, or an old date: a program
 * wrote the mbox anew. Mail that came, while other mail went through IMAP, has neither. */
static uint32_t
count_changed(struct mbox_uidls *u, uint32_t *missing_out)
{
	const struct index *k = u->known;
	struct names prints;
	struct index_message im;
	struct mem mem = { NULL, 0 };
	struct pst_err err;
	uint64_t *keys;
	uint32_t i, at, changed = 0, missing = 0;

	*missing_out = 0;
	if (names_init(&prints, k->listed, &err) != 0)
		return 0;
	if (mem_get(&mem, (size_t)k->listed * sizeof(*keys)) != 0) {
		names_clear(&prints);
		return 0;
	}
	keys = mem.p;
	for (i = u->prefix; i < k->listed; i++) {
		if ((u->fates[i] & KNOWN_FOUND) != 0)
			continue;
		index_at(k, i, &im);
		keys[i] = im.print;
		missing++;
		(void)names_add(&prints, (struct pst_str){ (const char *)&keys[i], 8 }, i);
	}
	for (i = 0; i < u->count && missing >= u->d->self->conf->guard_min; i++) {
		const struct mbox_message *m = &u->messages[i];

		if (u->of[i] != MBOX_NEW || m->origin == MBOX_UIDL_RECORDED)
			continue;
		at = names_find(&prints, (struct pst_str){ (const char *)&m->print, 8 });
		changed += (m->print != 0 && at != NAMES_NONE) || is_old(u, m);
	}
	names_clear(&prints);
	mem_drop(&mem);
	*missing_out = missing;
	return changed < missing ? changed : missing;
}

static int
check(struct mbox_uidls *u, struct pst_err *err)
{
	struct guard g = guard_of(u->d);
	uint32_t missing, changed, fresh = count_new(u);

	if (u->ledger.damaged > 0 && u->known->listed == 0)
		return guard_check(&g, u->ledger.count + fresh, fresh, err);
	changed = count_changed(u, &missing);
	return guard_check(&g, u->known->listed, changed, err);
}

/* ---- Writing ---- */

static bool
is_told(const struct mbox *self, const struct index_message *im)
{
	return self->policy.kind == UIDL_NAME && pst_str_eq(im->uidl, im->identity);
}

struct writing {
	struct ledger_entry *entries;
	uint32_t count, must;
};

static void
add_new(struct writing *w, const struct mbox_message *m)
{
	if (m->origin != MBOX_UIDL_GIVEN)
		return;
	w->must++;
	w->entries[w->count++] = (struct ledger_entry){
		.key = { m->identity, MBOX_IDENTITY },
		.uidl = own_of(m),
		.uid = m->uid,
		.validity = m->validity,
	};
}

static void
add_known(struct mbox_uidls *u, struct writing *w)
{
	struct index_message im;
	uint32_t i;

	if (u->known->head.uidl_policy == u->d->self->policy.id)
		return;
	for (i = 0; i < u->known->listed; i++) {
		index_at(u->known, i, &im);
		if ((im.flags & INDEX_LEDGER) != 0 || is_told(u->d->self, &im))
			continue;
		w->entries[w->count++] =
			(struct ledger_entry){ .key = im.identity, .uidl = im.uidl };
		u->fates[i] |= KNOWN_RECORDED;
	}
}

static void
leave_out(struct mbox_uidls *u, const struct pst_err *why)
{
	const struct pst_host *host = u->d->self->host;
	uint32_t i, n = 0;

	for (i = 0; i < u->known->listed; i++)
		u->fates[i] &= (uint8_t)~KNOWN_RECORDED;
	for (i = 0; i < u->count; i++) {
		if (u->of[i] == MBOX_NEW && u->messages[i].origin == MBOX_UIDL_GIVEN)
			continue;
		u->messages[n] = u->messages[i];
		u->of[n++] = u->of[i];
	}
	u->left_out = u->count - n;
	u->count = n;
	u->head.uidl_policy = 0;
	host->log(host, PST_LOG_WARN, "mbox.ledger_unwritten",
	          "path=%s reason=\"%.120s\" messages=%u: not listed until their UIDLs can be "
	          "written down",
	          u->d->path, why->text, u->left_out);
}

static int
append(struct mbox_uidls *u, const uint8_t *taken, const struct writing *w, struct pst_err *err)
{
	struct ledger *l = &u->ledger;

	if (ledger_wants_rewrite(l, u->prefix + u->count))
		return ledger_compact(l, taken, w->entries, w->count, err);
	return ledger_append(l, w->entries, w->count, w->must > 0, err);
}

static int
write_down(struct mbox_uidls *u, const uint8_t *taken, struct pst_err *err)
{
	struct writing w = { .count = 0 };
	struct pst_err why;
	uint32_t i;

	if (mem_get(&u->mem_entries, ((size_t)u->known->listed + u->count) * sizeof(*w.entries)) !=
	    0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	w.entries = u->mem_entries.p;
	for (i = 0; i < u->count; i++)
		if (u->of[i] == MBOX_NEW)
			add_new(&w, &u->messages[i]);
	add_known(u, &w);
	if (w.count == 0)
		return 0;
	if (append(u, taken, &w, &why) != 0) {
		leave_out(u, &why);
		return 0;
	}
	for (i = 0; i < u->count; i++)
		if (u->of[i] == MBOX_NEW && u->messages[i].origin == MBOX_UIDL_GIVEN)
			u->messages[i].origin = MBOX_UIDL_RECORDED;
	return 0;
}

int
mbox_uidls_choose(struct mbox_uidls *u, struct pst_err *err)
{
	struct choice c = { .u = u };
	struct timespec ts = { 0, 0 };
	uint32_t i, policy = u->d->self->policy.id;
	int rc = -1;

	u->head = u->known->head;
	if (mem_get(&u->mem_known, (size_t)u->known->listed + 1) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	u->fates = u->mem_known.p;
	for (i = 0; i < u->count; i++)
		if (u->of[i] != MBOX_NEW)
			u->fates[u->of[i]] |= KNOWN_FOUND;
	if (count_new(u) == 0 && u->head.uidl_policy == policy)
		return 0;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	c.now_s = ts.tv_sec;
	u->head.uidl_policy = policy;
	if (mbox_uidls_load(u->d, &u->ledger, err) != 0 || choose_all(&c, err) != 0 ||
	    check(u, err) != 0 || write_down(u, c.taken, err) != 0)
		goto out;
	if (u->ledger.validity != 0) {
		u->head.uid_validity = u->ledger.validity;
		u->head.next_uid = u->ledger.next_uid;
	}
	rc = 0;
out:
	names_clear(&c.used);
	mem_drop(&c.mem_taken);
	return rc;
}

void
mbox_uidls_clear(struct mbox_uidls *u)
{
	ledger_clear(&u->ledger);
	mem_drop(&u->mem_known);
	mem_drop(&u->mem_entries);
}

unsigned
mbox_uidls_flags(const struct mbox_uidls *u, uint32_t known, unsigned flags)
{
	return (flags & INDEX_LEDGER) |
	       ((u->fates[known] & KNOWN_RECORDED) != 0 ? INDEX_LEDGER : 0);
}

/* Not synchronised with the disk: what a crash forgets is that a message is gone which is gone. */
void
mbox_uidls_removed(struct pst_maildrop *d, const struct index *ix, const uint32_t *idx, uint32_t n)
{
	struct ledger l = { .count = 0 };
	struct mem mem = { NULL, 0 };
	struct ledger_entry *gone;
	struct index_message im;
	struct pst_err err;
	uint32_t i, count = 0;

	if (mem_get(&mem, (size_t)n * sizeof(*gone)) != 0)
		return;
	gone = mem.p;
	for (i = 0; i < n && idx[i] < ix->listed; i++) {
		index_at(ix, idx[i], &im);
		if ((im.flags & INDEX_LEDGER) != 0)
			gone[count++] = (struct ledger_entry){ .key = im.identity,
				                               .uidl = im.uidl,
				                               .is_gone = true };
	}
	if (count > 0 && mbox_uidls_load(d, &l, &err) == 0 && l.is_there &&
	    ledger_append(&l, gone, count, false, &err) != 0)
		d->self->host->log(d->self->host, PST_LOG_WARN, "mbox.ledger_unwritten",
		                   "path=%s reason=\"%.120s\"", d->path, err.text);
	ledger_clear(&l);
	mem_drop(&mem);
}
