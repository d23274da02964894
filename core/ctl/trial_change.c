/* SPDX-License-Identifier: MIT */
/* What a storage plugin is tried with where it changes a maildrop: always a copy. A plugin that only
 * reads says so when it is asked, and changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ctl/trial_drop.h"

/* ---- Removing ---- */

/* Which of n messages are removed: each third, the first and the last. */
static uint32_t *
choose(struct trial *t, uint32_t n, bool **gone_out, uint32_t *k_out)
{
	uint32_t *idx = pst_arena_alloc(t->arena, ((size_t)n + 1) * sizeof(*idx));
	bool *gone = pst_arena_alloc(t->arena, (size_t)n + 1);
	uint32_t i, k = 0;

	for (i = 0; i < n; i++)
		if (i % 3 == 0 || i == n - 1) {
			gone[i] = true;
			idx[k++] = i;
		}
	*gone_out = gone;
	*k_out = k;
	return idx;
}

/* A copy that was listed once, with what it has. false: the case is over. */
static bool
begin(struct trial *t, struct trial_drop *d, struct trial_listing *before)
{
	if (!trial_drop_begin(t, d))
		return false;
	if (trial_drop_list(d, before) && before->n >= 3)
		return true;
	trial_skip(t, "the maildrop has fewer than three messages");
	trial_drop_end(d);
	return false;
}

/* The call said no: then nothing may have changed. */
static void
must_be_untouched(struct trial_drop *d, const struct trial_listing *before, const char *call)
{
	struct trial_listing now;
	struct pst_err err = d->err;

	if (!trial_drop_has_reason(d, call))
		return;
	trial_drop_close(d);
	if (trial_drop_list(d, &now) &&
	    trial_listing_is(d->t, &now, before, NULL, "after a call that failed"))
		trial_skip(d->t, "%s says: %s", call, err.text);
}

static void
removes(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, after;
	bool *gone;
	uint32_t *idx, k, removed = UINT32_MAX;

	if (!begin(t, &d, &before))
		return;
	idx = choose(t, before.n, &gone, &k);
	if (!trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->commit(d.open, idx, k, &removed, &d.err) != 0) {
		must_be_untouched(&d, &before, "commit");
		goto out;
	}
	if (removed != k)
		trial_fail(t, "commit returned 0 for %u messages and counted %u", k, removed);
	trial_drop_close(&d);
	if (t->why[0] == '\0' && trial_drop_list(&d, &after) &&
	    trial_listing_is(t, &after, &before, gone, "after commit") &&
	    trial_drop_list(&d, &after))
		(void)trial_listing_is(t, &after, &before, gone, "in the session after that");
out:
	trial_drop_end(&d);
}

static void
removes_all(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, after;
	uint32_t *idx, i, removed = 0;

	if (!begin(t, &d, &before))
		return;
	idx = pst_arena_alloc(t->arena, before.n * sizeof(*idx));
	for (i = 0; i < before.n; i++)
		idx[i] = i;
	if (!trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->commit(d.open, idx, before.n, &removed, &d.err) != 0) {
		must_be_untouched(&d, &before, "commit");
		goto out;
	}
	trial_drop_close(&d);
	if (trial_drop_list(&d, &after) && after.n != 0)
		trial_fail(t, "all were removed, and %u are listed", after.n);
out:
	trial_drop_end(&d);
}

/* A session that ends without commit, whatever it fetched. */
static void
close_changes_nothing(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, now;
	int round;

	if (!begin(t, &d, &before))
		return;
	for (round = 0; round < 2 && t->why[0] == '\0'; round++) {
		if (!trial_drop_open(&d) || !trial_drop_read(&d, true, &now))
			break;
		trial_drop_close(&d);
		if (trial_drop_list(&d, &now))
			(void)trial_listing_is(t, &now, &before, NULL, "without commit");
	}
	trial_drop_end(&d);
}

/* ---- Adding ---- */

static const struct pst_str odd_messages[] = {
	PST_LIT("Subject: LF\n\nbody\n"),
	PST_LIT("Subject: CRLF\r\n\r\nbody\r\n"),
	PST_LIT("Subject: mixed\r\n\none\r\ntwo\nthree"),
	PST_LIT("Subject: dots\n\n.\n..\n.x\n"),
	PST_LIT("Subject: NUL and 8 bit\n\n\0\377\303\244\n"),
	PST_LIT("Subject: From_\n\nFrom ann@example.test Thu Jan  1 00:00:00 1970\n>From here\n"),
	PST_LIT("Subject: no body\n"),
	PST_LIT("no header at all"),
	PST_LIT("\n\n\n"),
	PST_LIT("\r"),
};

#define ODD (sizeof(odd_messages) / sizeof(odd_messages[0]))

static int
open_odd(void *arg, struct pst_body *body_out, struct pst_err *err)
{
	const struct pst_str *s = arg;
	int fd = memfd_create("message", MFD_CLOEXEC);

	if (fd < 0 || write(fd, s->p, s->n) != (ssize_t)s->n)
		return pst_err_sys(err, PST_E_TEMP, "memfd");
	*body_out = (struct pst_body){ .fd = fd, .length = s->n };
	return 0;
}

static void
adds(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, after;
	struct pst_new_message msgs[ODD];
	uint32_t i;

	if (!begin(t, &d, &before))
		return;
	if (d.storage->add == NULL) {
		trial_skip(t, "it has no add");
		goto out;
	}
	for (i = 0; i < ODD; i++)
		msgs[i] = (struct pst_new_message){
			.open = open_odd,
			.arg = (void *)(uintptr_t)&odd_messages[i],
			.uidl = trial_guarded(
				pst_str_c(pst_arena_printf(t->arena, "trial.%u~!odd", i))),
			.received_s = 1000000000 + i,
		};
	if (!trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->add(d.open, msgs, ODD, &d.err) != 0) {
		must_be_untouched(&d, &before, "add");
		goto out;
	}
	trial_drop_close(&d);
	if (!trial_drop_list(&d, &after))
		goto out;
	if (after.n != before.n + ODD) {
		trial_fail(t, "%zu added to %u: %u are listed", ODD, before.n, after.n);
		goto out;
	}
	for (i = 0; i < ODD; i++) {
		const struct trial_message *m = &after.v[before.n + i];

		if (!pst_str_eq(m->uidl, msgs[i].uidl))
			trial_fail(t, "the added message %u has the UIDL %.*s, not %.*s", i,
			           PST_ARG(m->uidl), PST_ARG(msgs[i].uidl));
		else if (!trial_is_message(m, odd_messages[i]))
			trial_fail(t, "the added message %u does not come out as it went in", i);
	}
	after.n = before.n;
	(void)trial_listing_is(t, &after, &before, NULL, "after add, those before");
out:
	trial_drop_end(&d);
}

/* ---- Order ---- */

static void
rearranges(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, want, after;
	struct pst_place *places;
	uint32_t i;

	if (!begin(t, &d, &before))
		return;
	if (d.storage->rearrange == NULL) {
		trial_skip(t, "it has no rearrange");
		goto out;
	}
	places = pst_arena_alloc(t->arena, before.n * sizeof(*places));
	want.n = before.n;
	want.v = pst_arena_alloc(t->arena, before.n * sizeof(*want.v));
	for (i = 0; i < before.n; i++) {
		want.v[i] = before.v[before.n - 1 - i];
		want.v[i].uidl = pst_str_c(pst_arena_printf(t->arena, "trial-%u", i));
		places[i] = (struct pst_place){ before.n - 1 - i, trial_guarded(want.v[i].uidl) };
	}
	if (!trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->rearrange(d.open, places, before.n, &d.err) != 0) {
		must_be_untouched(&d, &before, "rearrange");
		goto out;
	}
	trial_drop_close(&d);
	if (trial_drop_list(&d, &after))
		(void)trial_listing_is(t, &after, &want, NULL, "after rearrange");
out:
	trial_drop_end(&d);
}

/* ---- What is held ---- */

static bool
hold_some(struct trial_drop *d, const struct trial_listing *before, bool **gone_out)
{
	const struct pst_hold how = { .now_s = time(NULL), .session = PST_LIT("trial1") };
	struct trial_listing after;
	uint32_t *idx, k, removed = UINT32_MAX;

	idx = choose(d->t, before->n, gone_out, &k);
	if (!trial_drop_open(d))
		return false;
	trial_drop_forget_reason(d);
	if (d->storage->hold(d->open, idx, k, &how, &removed, &d->err) != 0) {
		must_be_untouched(d, before, "hold");
		return false;
	}
	if (removed != k)
		trial_fail(d->t, "hold returned 0 for %u messages and counted %u", k, removed);
	trial_drop_close(d);
	return trial_drop_list(d, &after) &&
	       trial_listing_is(d->t, &after, before, *gone_out, "after hold");
}

static void
holds(struct trial *t)
{
	const struct pst_held other = { .session = PST_LIT("trial2") };
	const struct pst_held ours = { .session = PST_LIT("trial1") };
	struct trial_drop d;
	struct trial_listing before, after;
	bool *gone;
	uint32_t n = 0;

	if (!begin(t, &d, &before))
		return;
	if (d.storage->hold == NULL || d.storage->bring_back == NULL) {
		trial_skip(t, "it has no hold, or no bring_back");
		goto out;
	}
	if (!hold_some(&d, &before, &gone) || !trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->bring_back(d.open, &other, &n, &d.err) != 0 || n != 0)
		trial_fail(t, "bring_back of another session's gave %u messages", n);
	else if (d.storage->bring_back(d.open, &ours, &n, &d.err) != 0)
		trial_fail(t, "bring_back: %s", d.err.text);
	trial_drop_close(&d);
	if (t->why[0] == '\0' && trial_drop_list(&d, &after))
		(void)trial_listing_is(t, &after, &before, NULL, "after bring_back");
out:
	trial_drop_end(&d);
}

static void
lets_go(struct trial *t)
{
	const struct pst_held all = { .until_s = 0 };
	struct trial_drop d;
	struct trial_listing before, after;
	bool *gone;
	uint32_t n = 0;

	if (!begin(t, &d, &before))
		return;
	if (d.storage->hold == NULL || d.storage->let_go == NULL) {
		trial_skip(t, "it has no hold, or no let_go");
		goto out;
	}
	if (!hold_some(&d, &before, &gone) || !trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->let_go(d.open, &all, &n, &d.err) != 0)
		trial_fail(t, "let_go: %s", d.err.text);
	else if (n == 0)
		trial_fail(t, "let_go found nothing of what was held");
	else if (d.storage->bring_back != NULL &&
	         (d.storage->bring_back(d.open, &all, &n, &d.err) != 0 || n != 0))
		trial_fail(t, "after let_go, bring_back gave %u messages", n);
	trial_drop_close(&d);
	if (t->why[0] == '\0' && trial_drop_list(&d, &after))
		(void)trial_listing_is(t, &after, &before, gone, "after let_go");
out:
	trial_drop_end(&d);
}

/* ---- The rest ---- */

static void
knows_when(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before;
	int64_t at;
	uint32_t i;

	if (!begin(t, &d, &before))
		return;
	if (d.storage->received == NULL) {
		trial_skip(t, "it has no received");
		goto out;
	}
	if (!trial_drop_open(&d))
		goto out;
	for (i = 0; i < before.n && t->why[0] == '\0'; i++) {
		at = INT64_MIN;
		trial_drop_forget_reason(&d);
		if (d.storage->received(d.open, i, &at, &d.err) != 0)
			trial_fail(t, "message %u: received: %s", i, d.err.text);
		else if (at < 0 || at > time(NULL) + INT64_C(10) * 366 * 86400)
			trial_fail(t, "message %u came at %lld seconds since 1970", i,
			           (long long)at);
	}
out:
	trial_drop_end(&d);
}

static void
marks_seen(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing before, after;
	bool *gone;
	uint32_t *idx, k;

	if (!begin(t, &d, &before))
		return;
	idx = choose(t, before.n, &gone, &k);
	if (d.storage->mark_seen == NULL) {
		trial_skip(t, "it has no mark_seen");
		goto out;
	}
	if (!trial_drop_open(&d))
		goto out;
	trial_drop_forget_reason(&d);
	if (d.storage->mark_seen(d.open, idx, k, &d.err) != 0) {
		must_be_untouched(&d, &before, "mark_seen");
		goto out;
	}
	trial_drop_close(&d);
	if (trial_drop_list(&d, &after))
		(void)trial_listing_is(t, &after, &before, NULL, "after mark_seen");
out:
	trial_drop_end(&d);
}

const struct trial_case trial_change_cases[] = {
	{ "a session without commit changes nothing", true, close_changes_nothing },
	{ "commit removes what it is given and nothing else", true, removes },
	{ "commit of all messages", true, removes_all },
	{ "add: octets, order and UIDLs", true, adds },
	{ "rearrange: order and UIDLs", true, rearranges },
	{ "hold and bring back", true, holds },
	{ "hold and let go", true, lets_go },
	{ "knows when messages came", true, knows_when },
	{ "marking as seen changes no UIDL", true, marks_seen },
	{ .name = NULL },
};
