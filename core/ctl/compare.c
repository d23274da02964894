/* SPDX-License-Identifier: MIT */
/* Comparing a maildrop on two servers; see compare.h. */
#include "ctl/compare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/octets.h"
#include "ctl/pairs.h"

/* What one server sent for one message. */
struct sent {
	struct octets_digest digest;
	bool is_there; /* else it was refused, or not asked for */
};

struct work {
	const struct compare *c;
	const struct migrate_user *user;
	struct compare_result *r;
	struct pop3client *old_client, *new_client;
	struct pop3listing old, new;
	struct pairs pairs;
	uint32_t *asked; /* old indices whose octets are compared */
	uint32_t asked_n;
	struct sent *old_sent, *new_sent; /* by place in asked */
};

/* ---- Lines ---- */

struct difference {
	uint32_t
		number; /* of the old listing, or of the new one where it is not in the old; 0: of none */
	const char *what;
	const char *why; /* explained; NULL: it is not */
};

/* Begins a line; the values follow. */
static struct pst_buf *
begin_line(struct work *w, const struct difference *d)
{
	struct pst_buf *to = &w->r->text;

	if (d->why != NULL)
		w->r->explained++;
	else
		w->r->differences++;
	migrate_text(to, w->user->name);
	if (d->number == 0)
		migrate_printf(to, "\t-\t%s\t", d->what);
	else
		migrate_printf(to, "\t%" PRIu32 "\t%s\t", d->number, d->what);
	return to;
}

static void
end_line(struct pst_buf *to, const struct difference *d)
{
	if (d->why != NULL)
		migrate_printf(to, "\texplained: %s", d->why);
	migrate_printf(to, "\n");
}

static void
tell_numbers(struct work *w, const struct difference *d, uint64_t old, uint64_t new)
{
	struct pst_buf *to = begin_line(w, d);

	migrate_printf(to, "%" PRIu64 "\t%" PRIu64, old, new);
	end_line(to, d);
}

/* A '-' stands for what is not there. */
static void
tell_texts(struct work *w, const struct difference *d, struct pst_str old, struct pst_str new)
{
	struct pst_buf *to = begin_line(w, d);

	migrate_text(to, old.n == 0 ? PST_LIT("-") : old);
	migrate_printf(to, "\t");
	migrate_text(to, new.n == 0 ? PST_LIT("-") : new);
	end_line(to, d);
}

/* ---- UIDLs and order ---- */

static void
compare_uidl(struct work *w, uint32_t i)
{
	const struct pair *pair = &w->pairs.of_old[i];
	struct difference d = { i + 1, "uidl", NULL };
	struct pst_str old = pop3listing_uidl(&w->old, i);
	struct pst_str none = { "", 0 };

	if (pair->by_uidl && pair->is_moved) {
		d.what = "order";
		tell_numbers(w, &d, i + 1, pair->with + (uint64_t)1);
	}
	if (pair->by_uidl)
		return;
	if (pair->with == PAIRS_NONE) {
		d.what = "missing";
		tell_texts(w, &d, old, none);
		return;
	}
	if (pair->is_repeated)
		d.why = "the old server shows one UIDL for two messages";
	else if (w->old.all[i].has_uidl && !w->old.all[i].is_valid)
		d.why = "the old server's is none that POP3 allows";
	tell_texts(w, &d, old, pop3listing_uidl(&w->new, pair->with));
}

static void
compare_uidls(struct work *w)
{
	struct difference d = { 0, "uidl", "the old server has no UIDL" };
	uint32_t i;

	if (!w->old.has_uidls && w->old.count > 0)
		tell_texts(w, &d, PST_LIT("no"), PST_LIT("yes"));
	for (i = 0; i < w->old.count; i++)
		if (w->old.has_uidls || w->pairs.of_old[i].with == PAIRS_NONE)
			compare_uidl(w, i);
	d = (struct difference){ 0, "extra", NULL };
	for (i = 0; i < w->new.count; i++)
		if (w->pairs.of_new[i].with == PAIRS_NONE) {
			d.number = i + 1;
			tell_texts(w, &d, (struct pst_str){ "", 0 }, pop3listing_uidl(&w->new, i));
		}
}

/* ---- Octets ---- */

struct gather {
	struct sent *sent;
	const uint32_t *which; /* ascending */
	uint32_t at;
	struct octets *running;
};

static void
on_begin(void *arg, uint32_t i)
{
	struct gather *g = arg;

	(void)i;
	g->running = octets_begin();
}

static void
on_octets(void *arg, struct pst_str piece)
{
	struct gather *g = arg;

	octets_feed(g->running, piece);
}

static void
on_end(void *arg, uint32_t i, bool refused)
{
	struct gather *g = arg;
	struct sent *sent =
		&g->sent[g->at++]; /* they come in the order in which they were asked for */

	(void)i;
	sent->is_there = !refused;
	if (!refused)
		octets_end(g->running, &sent->digest);
	g->running = NULL;
}

static int
gather(struct pop3client *client, enum pop3part part, const uint32_t *which, uint32_t n,
       struct sent *sent, struct pst_err *err)
{
	struct gather g = { .sent = sent, .which = which };
	const struct pop3sink sink = { &g, on_begin, on_octets, on_end };
	struct octets_digest lost;
	int rc = pop3client_fetch(client, part, which, n, &sink, err);

	if (g.running != NULL)
		octets_end(g.running, &lost);
	return rc;
}

/* Both servers' octets of these messages of the old listing. */
static int
gather_both(struct work *w, enum pop3part part, const uint32_t *which, uint32_t n,
            struct sent *old_sent, struct sent *new_sent, struct pst_err *err)
{
	uint32_t *there = pst_new_array(uint32_t, n + (size_t)1);
	uint32_t i;
	int rc;

	for (i = 0; i < n; i++)
		there[i] = w->pairs.of_old[which[i]].with;
	rc = gather(w->old_client, part, which, n, old_sent, err);
	if (rc == 0)
		rc = gather(w->new_client, part, there, n, new_sent, err);
	free(there);
	return rc;
}

/* Why the two sizes differ although the message is the same one; NULL: nothing explains it. The
 * octets that were sent are the proof: what LIST says is only a number. */
static const char *
explain_size(const struct work *w, uint32_t i, const struct sent *old, const struct sent *new)
{
	uint64_t listed = w->old.all[i].octets;

	if (!old->is_there || !new->is_there ||
	    new->digest.count != w->new.all[w->pairs.of_old[i].with].octets)
		return NULL;
	if (memcmp(old->digest.exact, new->digest.exact, sizeof(old->digest.exact)) == 0) {
		if (listed + 2 == old->digest.count)
			return "the old server does not count the last line end that it adds";
		return "the old server's size is wrong: it sends what this one lists";
	}
	if (memcmp(old->digest.plain, new->digest.plain, sizeof(old->digest.plain)) == 0)
		return "the old server sends other line ends: CR CR LF for CR LF";
	if (old->digest.count < new->digest.count && old->digest.count != listed)
		return "the old server sends less than it lists: a wrong size in the file's name";
	return NULL;
}

static void
tell_octets(struct work *w, uint32_t i, enum pop3part part, const struct sent *old,
            const struct sent *new, const char *why)
{
	const struct difference d = { i + 1, part == POP3_HEADER ? "top" : "octets", why };
	struct pst_str gone = PST_LIT("refused");
	char texts[2][2 * 8 + 1];
	unsigned k;

	for (k = 0; k < 8; k++) {
		(void)snprintf(texts[0] + 2 * k, 3, "%02x", old->digest.exact[k]);
		(void)snprintf(texts[1] + 2 * k, 3, "%02x", new->digest.exact[k]);
	}
	tell_texts(w, &d, old->is_there ? pst_str_c(texts[0]) : gone,
	           new->is_there ? pst_str_c(texts[1]) : gone);
}

/* Sizes that differ, and octets that do: both bodies say why. k: the message's place in asked, or -1. */
static int
look_closer(struct work *w, uint32_t i, enum pop3part part, const struct sent *old,
            const struct sent *new, struct pst_err *err)
{
	const struct difference size = { i + 1, "size", NULL };
	struct difference d = size;
	struct sent whole[2] = { { .is_there = false }, { .is_there = false } };
	uint64_t listed = w->old.all[i].octets, here;

	here = w->new.all[w->pairs.of_old[i].with].octets;
	if (gather_both(w, POP3_WHOLE, &i, 1, &whole[0], &whole[1], err) != 0)
		return -1;
	d.why = explain_size(w, i, &whole[0], &whole[1]);
	if (listed != here)
		tell_numbers(w, &d, listed, here);
	if (old != NULL)
		tell_octets(w, i, part, old, new, d.why);
	return 0;
}

static bool
is_same(const struct sent *a, const struct sent *b)
{
	return a->is_there && b->is_there &&
	       memcmp(a->digest.exact, b->digest.exact, sizeof(a->digest.exact)) == 0;
}

/* Evenly from all that are on both servers. */
static void
choose_asked(struct work *w)
{
	uint32_t *all = pst_new_array(uint32_t, w->old.count + (size_t)1);
	uint64_t i, n = 0, wanted;

	for (i = 0; i < w->old.count; i++)
		if (w->pairs.of_old[i].with != PAIRS_NONE)
			all[n++] = (uint32_t)i;
	wanted = w->c->sample == 0 || w->c->sample > n ? n : w->c->sample;
	if (w->c->depth == COMPARE_LISTS)
		wanted = 0;
	for (i = 0; i < wanted; i++)
		all[i] = all[i * n / wanted];
	w->asked = all;
	w->asked_n = (uint32_t)wanted;
	w->old_sent = pst_new_array(struct sent, (size_t)wanted + 1);
	w->new_sent = pst_new_array(struct sent, (size_t)wanted + 1);
}

static int
compare_octets(struct work *w, struct pst_err *err)
{
	enum pop3part part = w->c->depth == COMPARE_WHOLE ? POP3_WHOLE : POP3_HEADER;
	uint32_t i, k = 0;
	int rc = 0;

	if (part == POP3_HEADER &&
	    !(pop3client_may_top(w->old_client) && pop3client_may_top(w->new_client)))
		part = POP3_WHOLE;
	choose_asked(w);
	if (gather_both(w, part, w->asked, w->asked_n, w->old_sent, w->new_sent, err) != 0)
		return -1;
	for (i = 0; i < w->old.count && rc == 0; i++) {
		const bool is_asked = k < w->asked_n && w->asked[k] == i;
		const struct sent *old = &w->old_sent[k], *new = &w->new_sent[k];
		const bool differs = is_asked && !is_same(old, new);
		uint32_t with = w->pairs.of_old[i].with;

		k += is_asked;
		if (with != PAIRS_NONE &&
		    (differs || w->old.all[i].octets != w->new.all[with].octets))
			rc = look_closer(w, i, part, differs ? old : NULL, new, err);
	}
	return rc;
}

/* ---- STAT ---- */

static uint64_t
sum(const struct pop3listing *l)
{
	uint64_t octets = 0;
	uint32_t i;

	for (i = 0; i < l->count; i++)
		octets += l->all[i].octets;
	return octets;
}

static void
compare_stat(struct work *w)
{
	struct difference d = { 0, "stat", NULL };

	if (w->new.octets != sum(&w->new)) {
		d.what = "stat-sum";
		tell_numbers(w, &d, sum(&w->new), w->new.octets);
		d.what = "stat";
	}
	if (w->old.count != w->new.count) {
		d.what = "count";
		tell_numbers(w, &d, w->old.count, w->new.count);
		d.what = "stat";
	}
	if (w->old.octets == w->new.octets)
		return;
	if (w->old.octets != sum(&w->old))
		d.why = "the old server's STAT is not the sum of its LIST";
	else if (w->r->differences == 0)
		d.why = "it follows from the sizes";
	tell_numbers(w, &d, w->old.octets, w->new.octets);
}

static int
open_both(struct work *w, struct pst_err *err)
{
	w->old_client = migrate_login(w->c->old, w->user, err);
	if (w->old_client == NULL || pop3client_list(w->old_client, &w->old, err) != 0)
		return -1;
	w->new_client = migrate_login(w->c->new, w->user, err);
	if (w->new_client == NULL || pop3client_list(w->new_client, &w->new, err) != 0)
		return -1;
	return 0;
}

int
compare_user(const struct compare *c, const struct migrate_user *user, struct compare_result *r,
             struct pst_err *err)
{
	struct work w = { .c = c, .user = user, .r = r };
	int rc = -1;

	pst_buf_init(&r->text, COMPARE_TEXT_MAX);
	if (open_both(&w, err) == 0) {
		r->messages = w.old.count;
		pairs_make(&w.pairs, &w.old, &w.new);
		compare_uidls(&w);
		rc = compare_octets(&w, err);
		if (rc == 0)
			compare_stat(&w);
	}
	pop3client_close(w.old_client);
	pop3client_close(w.new_client);
	pairs_clear(&w.pairs);
	pop3listing_clear(&w.old);
	pop3listing_clear(&w.new);
	free(w.asked);
	free(w.old_sent);
	free(w.new_sent);
	return rc;
}
