/* SPDX-License-Identifier: MIT */
/* What of a Maildir's UIDLs goes into the ledger, and the guard; see record.h. */
#include "storage/maildir/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/index/guard.h"
#include "storage/maildir/renamed.h"

/* ---- The file ---- */

void
record_locate(struct pst_maildrop *d)
{
	const char *dir = d->self->conf->ledger_dir;

	if (d->ledger_file.name != NULL)
		return;
	d->ledger_file = (struct ledger_file){ d->root, RECORD_NAME, RECORD_SPARE, false };
	if (*dir == '\0')
		return;
	d->ledger_name = drop_path_in(d, dir, ".uidls");
	d->ledger_spare = drop_path_in(d, dir, ".uidls.spare");
	d->ledger_file = (struct ledger_file){ AT_FDCWD, d->ledger_name, d->ledger_spare, true };
}

static struct guard
guard_of(const struct pst_maildrop *d)
{
	return (struct guard){
		.host = d->self->host,
		.event = "maildir.uidls_would_change",
		.path = d->path,
		.user = d->user,
		.flags = d->open_flags,
		.share = d->self->conf->guard_share,
		.min = d->self->conf->guard_min,
	};
}

/* As large as a ledger of so many messages can get. */
static size_t
largest(const struct pst_maildrop *d)
{
	uint64_t octets = (uint64_t)d->self->conf->max_messages * 1000 + 10000000;

	return octets > SIZE_MAX / 4 ? SIZE_MAX / 4 : (size_t)octets;
}

int
record_load(struct pst_maildrop *d, struct ledger *l, struct pst_err *err)
{
	struct guard g = guard_of(d);
	struct pst_err why;
	bool is_bad;

	record_locate(d);
	if (ledger_load(l, &d->ledger_file, largest(d), &is_bad, &why) != 0) {
		if (!is_bad) {
			*err = why;
			return -1;
		}
		return guard_ledger(&g, why.text, err);
	}
	if (l->damaged > 0)
		d->self->host->log(d->self->host, PST_LOG_WARN, "maildir.ledger_damaged",
		                   "path=%s file=%s places=%u: the other records count", d->path,
		                   d->ledger_file.name, l->damaged);
	return 0;
}

/* ---- The guard ---- */

/* Whether a message that has no UIDL yet was there, by its name or its file's time, when the maildrop
 * was last listed: then it is no new mail. */
static bool
is_old_mail(const struct pst_maildrop *d, const struct scan *s, uint32_t fresh)
{
	int64_t then = d->index.head.written_ns;
	struct maildir_key key;
	uint32_t place;

	maildir_key(maildir_base(scan_name(s, s->known_count + fresh, &place)), &key);
	return s->fresh[fresh].mtime_ns < then ||
	       (key.seconds > 0 && key.seconds < (uint64_t)(then / 1000000000));
}

/* What comes out new. */
struct news {
	uint32_t count, old;
	int64_t first_ns, last_ns; /* times of the files */
};

static void
count_news(const struct pst_maildrop *d, const struct scan *s, const struct uidls *u,
           struct news *n)
{
	uint32_t i;

	*n = (struct news){ .count = 0 };
	for (i = 0; i < s->fresh_count; i++) {
		const struct scan_fresh *f = &s->fresh[i];
		const struct uidl_choice *c = uidls_choice(u, i);

		/* What the old server's list has was moved here through IMAP, perhaps. */
		if (f->known != SCAN_NONE || f->state != FRESH_MEASURED ||
		    (c != NULL && (c->origin == UIDL_FROM_LEDGER || c->origin == UIDL_RENAMED ||
		                   c->origin == UIDL_FROM_LIST)))
			continue;
		if (n->count == 0 || f->mtime_ns < n->first_ns)
			n->first_ns = f->mtime_ns;
		if (n->count == 0 || f->mtime_ns > n->last_ns)
			n->last_ns = f->mtime_ns;
		n->count++;
		n->old += is_old_mail(d, s, i);
	}
}

/* As many as are missing, all written at one go: a program did that. */
static bool
is_replacement(const struct news *n, uint32_t missing)
{
	uint32_t apart = n->count > missing ? n->count - missing : missing - n->count;
	int64_t at_most_ns = (int64_t)n->count * 100000000 + INT64_C(5000000000);

	return apart <= missing / 20 && n->last_ns - n->first_ns <= at_most_ns;
}

/* New mail comes, and mail is taken away through IMAP, in one maildrop between two sessions: that is
 * everyday life. So new messages count where they are old mail, or as a whole where they took the
 * place of the missing ones. */
int
record_guard(const struct pst_maildrop *d, const struct scan *s, const struct uidls *u,
             struct pst_err *err)
{
	struct guard g = guard_of(d);
	uint32_t missing = renamed_missing(s), changed;
	struct news n;

	count_news(d, s, u, &n);
	if (u->ledger->damaged > 0 && s->known->listed == 0)
		return guard_check(&g, n.count + u->ledger->count, n.count, err);
	if (missing == 0 || n.count == 0)
		return 0;
	changed = is_replacement(&n, missing) ? n.count : n.old;
	if (changed > missing)
		changed = missing;
	return guard_check(&g, s->known->listed, changed, err);
}

/* ---- Writing ---- */

struct writing {
	struct ledger_entry *entries;
	uint32_t count;
	uint32_t must; /* of them: else not shown */
	struct mem mem;
};

static bool
is_for_ledger(const struct scan *s, const struct uidls *u, uint32_t fresh)
{
	const struct uidl_choice *c = uidls_choice(u, fresh);

	return c != NULL && c->uidl.n > 0 && s->fresh[fresh].state == FRESH_MEASURED &&
	       (c->origin == UIDL_GIVEN || c->origin == UIDL_RENAMED ||
	        c->origin == UIDL_FROM_LIST);
}

static void
add_fresh(struct writing *w, const struct scan *s, const struct uidls *u, uint32_t fresh)
{
	const struct uidl_choice *c = uidls_choice(u, fresh);
	const struct ledger_entry *was = ledger_of_uidl(u->ledger, c->uidl);
	uint32_t place;

	w->entries[w->count++] = (struct ledger_entry){
		.order = was == NULL ? 0 : was->order, /* its name changes, its place does not */
		.key = maildir_base(scan_name(s, s->known_count + fresh, &place)),
		.uidl = c->uidl,
		.print = s->fresh[fresh].print,
		.uid = c->uid,
		.validity = c->validity,
	};
	w->must += c->origin != UIDL_FROM_LIST;
}

/* Known ones that the mail does not tell under the present policy. */
static void
add_known(struct writing *w, const struct pst_maildrop *d, struct scan *s)
{
	const struct uidl_policy *policy = &d->self->policy;
	struct index_message m;
	uint32_t i;

	if (s->known->head.uidl_policy == policy->id)
		return;
	for (i = 0; i < s->known_count; i++) {
		index_at(s->known, i, &m);
		if ((m.flags & INDEX_LEDGER) != 0 || s->marks[i].is_renamed ||
		    uidls_is_told(d->self, &m))
			continue;
		w->entries[w->count++] = (struct ledger_entry){ .key = m.identity,
			                                        .uidl = m.uidl,
			                                        .print = m.print };
		s->marks[i].is_recorded = true;
	}
}

/* None of what is in w is on record. */
static void
give_up(const struct pst_maildrop *d, struct scan *s, const struct uidls *u,
        const struct pst_err *why)
{
	const struct pst_host *host = d->self->host;
	uint32_t i, n = 0;

	for (i = 0; i < s->known_count; i++)
		s->marks[i].is_recorded = false;
	for (i = 0; i < s->fresh_count; i++) {
		struct uidl_choice *c = uidls_choice(u, i);

		if (!is_for_ledger(s, u, i) || c->origin == UIDL_FROM_LIST)
			continue;
		s->fresh[i].state = FRESH_UNNAMED;
		n++;
	}
	host->log(host, PST_LOG_WARN, "maildir.ledger_unwritten",
	          "path=%s reason=\"%.120s\" messages=%u: not listed until their UIDLs can be "
	          "written down",
	          d->path, why->text, n);
}

/* Messages that are there, of the ledger's entries. */
static uint32_t
count_live(const struct scan *s, const struct uidls *u, const struct ledger *l, uint8_t *live)
{
	struct index_message m;
	uint32_t i, n = 0;

	for (i = 0; i < s->known_count + s->fresh_count; i++) {
		struct uidl_choice *c =
			i < s->known_count ? NULL : uidls_choice(u, i - s->known_count);
		const struct ledger_entry *e = NULL;

		if (i < s->known_count && !s->marks[i].is_renamed) {
			index_at(s->known, i, &m);
			e = ledger_of_uidl(l, m.uidl);
		} else if (c != NULL && c->uidl.n > 0) {
			e = ledger_of_uidl(l, c->uidl);
		}
		if (e != NULL && !live[e - l->entries]) {
			live[e - l->entries] = 1;
			n++;
		}
	}
	return n;
}

static int
append(const struct scan *s, const struct uidls *u, struct ledger *l, const struct writing *w,
       struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	uint32_t live;
	int rc;

	if (!ledger_wants_rewrite(l, 0) || mem_get(&mem, (size_t)l->count + 1) != 0)
		return ledger_append(l, w->entries, w->count, w->must > 0, err);
	live = count_live(s, u, l, mem.p);
	if (ledger_wants_rewrite(l, live + w->count))
		rc = ledger_compact(l, mem.p, w->entries, w->count, err);
	else
		rc = ledger_append(l, w->entries, w->count, w->must > 0, err);
	mem_drop(&mem);
	return rc;
}

static void
mark_recorded(const struct scan *s, const struct uidls *u)
{
	uint32_t i;

	for (i = 0; i < s->fresh_count; i++)
		if (is_for_ledger(s, u, i))
			uidls_choice(u, i)->is_recorded = true;
}

int
record_write(const struct pst_maildrop *d, struct scan *s, const struct uidls *u, struct ledger *l,
             bool *is_complete_out, struct pst_err *err)
{
	struct writing w = { .count = 0 };
	struct pst_err why;
	uint64_t most = (uint64_t)s->known_count + s->fresh_count;
	uint32_t i;

	*is_complete_out = true;
	if (u->chosen == NULL && s->known->head.uidl_policy == d->self->policy.id)
		return 0;
	if (mem_get(&w.mem, (size_t)most * sizeof(*w.entries)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	w.entries = w.mem.p;
	for (i = 0; i < s->fresh_count; i++)
		if (is_for_ledger(s, u, i))
			add_fresh(&w, s, u, i);
	add_known(&w, d, s);
	if (w.count > 0) {
		if (append(s, u, l, &w, &why) == 0) {
			mark_recorded(s, u);
		} else {
			*is_complete_out = false;
			give_up(d, s, u, &why);
		}
	}
	mem_drop(&w.mem);
	return 0;
}
