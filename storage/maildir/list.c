/* SPDX-License-Identifier: MIT */
/* From the directories to the listing: read them, measure what is new, put all in order, keep what
 * was missed in mind, write the index.
 *
 * A message that was listed before and is not seen now may be one that was renamed while we read:
 * the directories are read again at once unless nothing moved in them. Still missing, it is not
 * listed, but its record is kept for a while: when it shows up again nothing is new about it. */
#include <stdlib.h>
#include <string.h>

#include "storage/maildir/drop.h"
#include "storage/maildir/name.h"
#include "storage/maildir/record.h"
#include "storage/maildir/uidls.h"
#include "storage/maildir/writeback.h"

#define MAX_ROUNDS 3
#define MAX_OUTDATED                                                                               \
	1000 /* messages, in one listing: a hundredth of a second, if the disk is fast */

/* A message that must be put in its place: new, or back again. */
struct arrival {
	uint32_t order; /* that the ledger says; UINT32_MAX: none */
	struct foreign_key key;
	uint32_t id; /* as in struct scan_twin */
};

struct listing {
	struct pst_maildrop *d;
	struct scan scan;
	struct foreign foreign; /* what the old server left */
	struct uidls uidls;
	bool owes; /* the old server's list is still to be told of some */
	struct ledger ledger;
	bool is_recorded; /* all that the mail does not tell is in the ledger */
	int dirfd[PLACE_BOTH];
	unsigned read_mask; /* places that were read */
	int64_t now_ns;

	struct arrival *arrivals;
	uint32_t arrival_count;
	uint32_t again;  /* listed ones that were measured again */
	uint32_t *order; /* ids of the new listing */
	uint32_t listed;
	uint32_t *kept; /* ids of known ones */
	uint32_t kept_count;
	struct mem mem_arrivals, mem_order, mem_kept;
};

static const struct index *
known(const struct listing *l)
{
	return &l->d->index;
}

/* ---- Reading ---- */

static unsigned
places_to_read(const struct pst_maildrop *d, const struct index_place now[PLACE_BOTH])
{
	unsigned mask = 0, i;

	for (i = 0; i < PLACE_BOTH; i++)
		if (!d->index.head.places[i].is_trusted ||
		    !index_place_same(&d->index.head.places[i], &now[i]))
			mask |= 1u << i;
	return mask;
}

static bool
is_in_doubt(const struct scan *s)
{
	return (scan_misses_listed(s) || scan_count_fresh(s, FRESH_GONE) > 0) &&
	       !scan_is_conclusive(s);
}

static int
read_places(struct listing *l, unsigned mask, struct pst_err *err)
{
	struct scan *s = &l->scan;

	do {
		l->read_mask |= mask;
		if (scan_round(s, mask, err) != 0)
			return -1;
		scan_settle_twins(s);
		if (scan_measure(s, err) != 0)
			return -1;
		mask = (1u << PLACE_BOTH) - 1;
	} while (s->round < MAX_ROUNDS && is_in_doubt(s));
	return 0;
}

/* Known ones whose octets are not to be believed any more: they changed in place, or the file that
 * bears the name now may be the other one of two. And some of those that an older program measured,
 * which did not look for surrogates: never all at once. */
static int
measure_again(struct listing *l, struct pst_err *err)
{
	struct scan *s = &l->scan;
	uint32_t i, outdated = 0;
	struct index_message m;

	for (i = 0; i < s->known_count; i++) {
		bool is_other;

		index_at(s->known, i, &m);
		is_other = s->marks[i].file != SCAN_NONE &&
		           (s->marks[i].is_twin || (m.flags & INDEX_TWIN) != 0);
		if ((m.surrogate_rules != s->self->host->surrogate_rules ||
		     (m.print == 0 && m.stored_octets >= INDEX_PRINT_LEAST)) &&
		    outdated < MAX_OUTDATED && s->marks[i].round != 0) {
			outdated++;
			is_other = true;
		}
		if (s->marks[i].round != 0 && (is_other || (m.flags & INDEX_UNMEASURED) != 0) &&
		    scan_add_again(s, i, err) != 0)
			return -1;
	}
	return scan_measure(s, err);
}

static void
tell_twins(const struct listing *l)
{
	const struct pst_host *host = l->d->self->host;
	const struct scan *s = &l->scan;
	struct index_message m;
	uint32_t i, n = 0, first = 0;

	for (i = 0; i < s->twin_count; i++) {
		if (s->twins[i].id < s->known_count) {
			index_at(s->known, s->twins[i].id, &m);
			if ((m.flags & INDEX_TWIN) != 0)
				continue; /* told when it was found */
		}
		if (n++ == 0)
			first = s->twins[i].file;
	}
	if (n > 0)
		host->log(host, PST_LOG_WARN, "maildir.twins",
		          "path=%s files=%u first=\"%s/%.*s\": another has its name; listed once",
		          l->d->path, n, maildir_places[s->files[first].place],
		          PST_ARG(scan_file_name(s, first)));
}

/* ---- UIDLs ---- */

static bool
has_arrivals(const struct listing *l)
{
	const struct scan *s = &l->scan;
	uint32_t i;

	for (i = known(l)->listed; i < s->known_count; i++)
		if (s->marks[i].round != 0)
			return true;
	return scan_count_fresh(s, FRESH_MEASURED) > 0;
}

static bool
owes_from_before(const struct listing *l)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < known(l)->listed; i++) {
		index_at(known(l), i, &m);
		if ((m.flags & INDEX_OWED) != 0)
			return true;
	}
	return false;
}

/* The old server's list matters only where something is to be named or put in its place. */
static int
choose_uidls(struct listing *l, struct pst_err *err)
{
	const struct pst_host *host = l->d->self->host;
	const struct uidls *u = &l->uidls;

	l->is_recorded = true;
	if (!has_arrivals(l) && !owes_from_before(l) &&
	    known(l)->head.uidl_policy == l->d->self->policy.id)
		return 0;
	if (record_load(l->d, &l->ledger, err) != 0)
		return -1;
	if ((has_arrivals(l) || owes_from_before(l)) &&
	    foreign_load(&l->foreign, l->d, known(l)->listed == 0, err) != 0)
		return -1;
	if (uidls_choose(&l->uidls, &l->scan, &l->foreign, &l->ledger, err) != 0 ||
	    record_guard(l->d, &l->scan, &l->uidls, err) != 0 ||
	    writeback_run(l->d, &l->scan, &l->foreign, &l->uidls, &l->owes, err) != 0)
		return -1;
	if (u->renamed > 0)
		host->log(host, PST_LOG_INFO, "maildir.renamed",
		          "path=%s messages=%u: files have new names, their UIDLs stay", l->d->path,
		          u->renamed);
	if (u->refused > 0)
		host->log(host, PST_LOG_WARN, "maildir.uidl_duplicates",
		          "path=%s messages=%u: another message has the old server's UIDL",
		          l->d->path, u->refused);
	if (u->taken_over > 0)
		host->log(host, known(l)->listed == 0 ? PST_LOG_INFO : PST_LOG_DEBUG,
		          "maildir.uidls_taken_over", "path=%s messages=%u from=%s", l->d->path,
		          u->taken_over,
		          l->foreign.kind == FOREIGN_DOVECOT ? FOREIGN_DOVECOT_LIST
		                                             : FOREIGN_COURIER_LIST);
	return 0;
}

/* ---- Order ---- */

static int
compare_arrivals(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return foreign_key_compare(&x->key, &y->key);
}

static int
get_array(struct mem *m, uint64_t n, size_t octets, struct pst_err *err)
{
	if (n > SIZE_MAX / 8 / octets || mem_get(m, (size_t)n * octets) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	return 0;
}

/* Which place the ledger gives to a UIDL; UINT32_MAX: none. */
static uint32_t
order_of(const struct listing *l, struct pst_str uidl)
{
	const struct ledger_entry *e = NULL;

	if (l->ledger.has_order)
		e = ledger_of_uidl(&l->ledger, uidl);
	return e == NULL || e->order == 0 ? UINT32_MAX : e->order;
}

static void
add_arrival(struct listing *l, uint32_t id)
{
	struct arrival *a = &l->arrivals[l->arrival_count++];
	const struct uidl_choice *c = NULL;
	struct index_message m = { .uidl = { NULL, 0 } };
	uint32_t place, known_id = id;

	if (id >= l->scan.known_count)
		known_id = l->scan.fresh[id - l->scan.known_count].known;
	if (known_id != SCAN_NONE)
		index_at(known(l), known_id, &m);
	else
		c = uidls_choice(&l->uidls, id - l->scan.known_count);
	a->id = id;
	a->order = order_of(l, c == NULL ? m.uidl : c->uidl);
	foreign_key(&l->foreign, maildir_base(scan_name(&l->scan, id, &place)), &a->key);
}

/* The id under which a listed one is to be listed; SCAN_NONE: it is missing. */
static uint32_t
id_of_listed(const struct scan *s, uint32_t i)
{
	if (s->marks[i].round == 0)
		return SCAN_NONE;
	if (!s->marks[i].is_again)
		return i;
	return s->fresh[s->marks[i].again].state == FRESH_MEASURED
	               ? s->known_count + s->marks[i].again
	               : SCAN_NONE;
}

/* Listed ones to which Dovecot has given a higher number than to some behind them: it missed them for
 * a moment, and lists them by the new number. They are placed anew, or mail that comes now would go
 * before what has been there for long. */
static void
add_moved(struct listing *l)
{
	uint64_t least = UINT64_MAX;
	struct foreign_key key;
	struct index_message m;
	uint32_t i, id;

	if (l->foreign.kind != FOREIGN_DOVECOT || l->ledger.has_order)
		return;
	for (i = known(l)->listed; i > 0; i--) {
		uint64_t rank;

		id = id_of_listed(&l->scan, i - 1);
		if (id == SCAN_NONE)
			continue;
		index_at(known(l), i - 1, &m);
		foreign_key(&l->foreign, m.identity, &key);
		if (!key.is_listed)
			continue;
		rank = (uint64_t)key.class << 32 | key.number;
		if (rank < least) {
			least = rank;
		} else {
			l->scan.marks[i - 1].is_moved = true;
			add_arrival(l, id);
		}
	}
}

static int
sort_arrivals(struct listing *l, struct pst_err *err)
{
	const struct scan *s = &l->scan;
	uint32_t i;

	if (get_array(&l->mem_arrivals,
	              (uint64_t)s->fresh_count + known(l)->kept + known(l)->listed,
	              sizeof(*l->arrivals), err) != 0)
		return -1;
	l->arrivals = l->mem_arrivals.p;
	for (i = known(l)->listed; i < s->known_count; i++)
		if (s->marks[i].round != 0 && !s->marks[i].is_again)
			add_arrival(l, i);
	for (i = 0; i < s->fresh_count; i++) {
		if (s->fresh[i].state != FRESH_MEASURED)
			continue;
		if (s->fresh[i].known < known(l)->listed) /* below SCAN_NONE */
			l->again++;
		else
			add_arrival(l, s->known_count + i);
	}
	add_moved(l);
	qsort(l->arrivals, l->arrival_count, sizeof(*l->arrivals), compare_arrivals);
	return 0;
}

/* In the order of the listing. Who cannot be named for now is none of the arrivals any more. */
static int
name_arrivals(struct listing *l, struct pst_err *err)
{
	struct scan *s = &l->scan;
	uint32_t i, n = 0;

	for (i = 0; i < l->arrival_count; i++) {
		uint32_t id = l->arrivals[i].id;

		if (id >= s->known_count && s->fresh[id - s->known_count].known == SCAN_NONE)
			uidls_name(&l->uidls, id - s->known_count, l->now_ns / 1000000000);
	}
	if (l->uidls.s == NULL) /* nothing was to be chosen */
		return 0;
	if (record_write(l->d, s, &l->uidls, &l->ledger, &l->is_recorded, err) != 0)
		return -1;
	for (i = 0; i < l->arrival_count; i++) {
		uint32_t id = l->arrivals[i].id;

		if (id < s->known_count || s->fresh[id - s->known_count].state != FRESH_UNNAMED)
			l->arrivals[n++] = l->arrivals[i];
	}
	l->arrival_count = n;
	return 0;
}

static bool
goes_before(const struct arrival *arrival, const struct arrival *listed)
{
	if (arrival->order != listed->order)
		return arrival->order < listed->order;
	return foreign_goes_before(&arrival->key, &listed->key);
}

/* What was listed stays in its order; arrivals go between, by their keys. */
static int
merge(struct listing *l, struct pst_err *err)
{
	const struct scan *s = &l->scan;
	struct arrival here = { .order = 0 };
	struct index_message m;
	uint32_t i, id, next = 0;

	if (get_array(&l->mem_order, (uint64_t)known(l)->listed + l->arrival_count,
	              sizeof(*l->order), err) != 0)
		return -1;
	l->order = l->mem_order.p;
	for (i = 0; i < known(l)->listed; i++) {
		id = id_of_listed(s, i);
		if (id == SCAN_NONE || s->marks[i].is_moved)
			continue;
		if (next < l->arrival_count) {
			index_at(known(l), i, &m);
			here.order = order_of(l, m.uidl);
			foreign_key(&l->foreign, m.identity, &here.key);
		}
		while (next < l->arrival_count && goes_before(&l->arrivals[next], &here))
			l->order[l->listed++] = l->arrivals[next++].id;
		l->order[l->listed++] = id;
	}
	while (next < l->arrival_count)
		l->order[l->listed++] = l->arrivals[next++].id;
	return 0;
}

/* ---- What is missing ---- */

static int64_t
missed_since(const struct listing *l, uint32_t id)
{
	int64_t since;

	if (id < known(l)->listed)
		return l->now_ns;
	since = index_missed_ns(known(l), id - known(l)->listed);
	return since > l->now_ns ? l->now_ns : since; /* the clock was set back */
}

static int
keep_missing(struct listing *l, struct pst_err *err)
{
	struct scan *s = &l->scan;
	uint32_t i;

	for (i = 0; i < s->fresh_count; i++) /* measured again, in vain */
		if (s->fresh[i].known != SCAN_NONE && s->fresh[i].state != FRESH_MEASURED)
			s->marks[s->fresh[i].known].round = 0;
	if (get_array(&l->mem_kept, s->known_count, sizeof(*l->kept), err) != 0)
		return -1;
	l->kept = l->mem_kept.p;
	for (i = 0; i < s->known_count; i++)
		/* cppcheck-suppress arrayIndexThenCheck ; the comparison is not i's bound */
		if (s->marks[i].round == 0 && !s->marks[i].is_renamed &&
		    (i < known(l)->listed || l->now_ns - missed_since(l, i) < l->d->self->keep_ns))
			l->kept[l->kept_count++] = i;
	return 0;
}

/* ---- The new index ---- */

static bool
is_twin(const struct listing *l, uint32_t id, unsigned old_flags)
{
	if (id >= l->scan.known_count)
		return l->scan.fresh[id - l->scan.known_count].is_twin;
	return l->scan.marks[id].is_twin || /* or it could not be seen now */
	       ((old_flags & INDEX_TWIN) != 0 && l->read_mask != (1u << PLACE_BOTH) - 1);
}

static bool
is_owed(const struct listing *l, struct pst_str base)
{
	return l->owes && foreign_find(&l->foreign, base) == NULL;
}

static void
describe(const struct listing *l, uint32_t id, struct index_message *m,
         char uidl[MAILDIR_UIDL_ROOM])
{
	const struct scan *s = &l->scan;
	const struct scan_fresh *f = id < s->known_count ? NULL : &s->fresh[id - s->known_count];
	uint32_t place;
	struct pst_str name = scan_name(s, id, &place);
	unsigned flags = 0;

	if (id < s->known_count) {
		index_at(s->known, id, m);
		flags = m->flags &
		        (INDEX_CRLF | INDEX_NO_HEADER_END | INDEX_UNMEASURED | INDEX_LEDGER);
		flags |= s->marks[id].is_recorded ? INDEX_LEDGER : 0;
		flags |= is_twin(l, id, m->flags) ? INDEX_TWIN : 0;
	} else {
		const struct uidl_choice *c = NULL;

		if (f->known != SCAN_NONE) {
			index_at(s->known, f->known, m);
			flags = m->flags & INDEX_LEDGER;
			flags |= s->marks[f->known].is_recorded ? INDEX_LEDGER : 0;
		} else {
			m->uidl = uidls_of(&l->uidls, id - s->known_count, uidl);
			c = uidls_choice(&l->uidls, id - s->known_count);
			flags = c != NULL && c->is_recorded ? INDEX_LEDGER : 0;
		}
		m->wire_octets = f->wire_octets;
		m->stored_octets = f->stored_octets;
		m->surrogate_octets = f->surrogate_octets;
		m->surrogate_rules = (uint8_t)s->self->host->surrogate_rules;
		m->print = f->print;
		flags |= (f->is_crlf ? INDEX_CRLF : 0) | (f->is_twin ? INDEX_TWIN : 0) |
		         (f->has_no_header_end ? INDEX_NO_HEADER_END : 0);
	}
	m->name = name;
	m->identity = maildir_base(name);
	m->flags = flags | place | (is_owed(l, m->identity) ? INDEX_OWED : 0);
}

static bool
has_changed(const struct listing *l)
{
	struct index_message m;
	uint32_t i;

	if (l->arrival_count > 0 || l->again > 0 || l->listed != known(l)->listed ||
	    l->kept_count != known(l)->kept)
		return true;
	for (i = 0; i < known(l)->listed; i++) {
		index_at(known(l), i, &m);
		if (l->scan.marks[i].file != SCAN_NONE ||
		    is_twin(l, i, m.flags) != ((m.flags & INDEX_TWIN) != 0) ||
		    is_owed(l, m.identity) != ((m.flags & INDEX_OWED) != 0))
			return true;
	}
	return false;
}

static int
build(const struct listing *l, struct index *next, struct pst_err *err)
{
	char uidl[MAILDIR_UIDL_ROOM];
	struct index_builder b;
	struct index_message m;
	size_t strings = 0;
	uint32_t i;

	for (i = 0; i < l->listed + l->kept_count; i++) {
		describe(l, i < l->listed ? l->order[i] : l->kept[i - l->listed], &m, uidl);
		strings += index_message_strings(&m);
	}
	if (index_build(&b, next, l->listed, l->kept_count, strings, err) != 0)
		return -1;
	for (i = 0; i < l->listed; i++) {
		describe(l, l->order[i], &m, uidl);
		index_add(&b, &m, 0);
	}
	for (i = 0; i < l->kept_count; i++) {
		describe(l, l->kept[i], &m, uidl);
		index_add(&b, &m, missed_since(l, l->kept[i]));
	}
	return 0;
}

/* What may be trusted of the places as they were before they were read, and whether that is worth
 * writing down where nothing else changed. */
static bool
set_places(const struct listing *l, struct index_head *head, int64_t started_ns[PLACE_BOTH])
{
	const struct scan *s = &l->scan;
	bool is_complete =
		scan_count_fresh(s, FRESH_REFUSED) == 0 && scan_count_fresh(s, FRESH_UNNAMED) == 0;
	bool is_better = false;
	unsigned i;

	for (i = 0; i < PLACE_BOTH; i++) {
		struct index_place old = head->places[i], *place = &head->places[i];

		started_ns[i] = 0;
		if ((l->read_mask & 1u << i) != 0) {
			*place = s->before[i];
			place->is_trusted = true;
			started_ns[i] = s->started_ns[i];
		}
		if (!is_complete || l->owes) /* the next session is to try again */
			place->is_trusted = false;
		if (place->is_trusted && !(old.is_trusted && index_place_same(&old, place)) &&
		    index_place_is_settled(place, s->started_ns[i], l->d->self->margin_ns))
			is_better = true;
	}
	return is_better;
}

static int
finish(struct listing *l, struct pst_err *err)
{
	int64_t started_ns[PLACE_BOTH];
	struct index next = { .octets = 0 };
	struct index_head head = known(l)->head;
	bool is_better = set_places(l, &head, started_ns);
	bool changed = known(l)->octets == 0 || has_changed(l);

	head.uidl_policy = l->is_recorded ? l->d->self->policy.id : 0;
	if (l->ledger.validity != 0) {
		head.uid_validity = l->ledger.validity;
		head.next_uid = l->ledger.next_uid;
	}
	changed |= head.uidl_policy != known(l)->head.uidl_policy;

	if (changed && build(l, &next, err) != 0)
		return -1;
	if (changed) {
		index_clear(&l->d->index);
		l->d->index = next;
	}
	l->d->index.head = head;
	if (changed || is_better)
		drop_save_index(l->d, &l->d->index, started_ns);
	index_drop_prints(&l->d->index);
	return 0;
}

int
drop_list(struct pst_maildrop *d, const struct index_place now[PLACE_BOTH], struct pst_err *err)
{
	struct listing l = { .d = d, .now_ns = maildir_wall_ns() };
	int rc = -1;

	if (drop_open_places(d, l.dirfd, err) != 0)
		return -1;
	index_load_prints(&d->index, &d->file);
	if (scan_init(&l.scan, d->self, &d->index, l.dirfd, err) == 0 &&
	    read_places(&l, places_to_read(d, now), err) == 0 && measure_again(&l, err) == 0) {
		tell_twins(&l);
		if (choose_uidls(&l, err) == 0 && sort_arrivals(&l, err) == 0 &&
		    name_arrivals(&l, err) == 0 && merge(&l, err) == 0 &&
		    keep_missing(&l, err) == 0)
			rc = finish(&l, err);
	}
	uidls_clear(&l.uidls);
	ledger_clear(&l.ledger);
	foreign_clear(&l.foreign);
	scan_clear(&l.scan);
	drop_close_places(l.dirfd);
	mem_drop(&l.mem_arrivals);
	mem_drop(&l.mem_order);
	mem_drop(&l.mem_kept);
	return rc;
}
