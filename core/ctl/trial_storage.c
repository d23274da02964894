/* SPDX-License-Identifier: MIT */
/* What a storage plugin is tried with, as long as nothing is changed: the rules of
 * <postern/storage.h>. Each case has a copy of the maildrop. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "ctl/trial_drop.h"
#include "pop3/stored.h"

#define ROUNDS 40
#define AT_ONCE 8
#define HOLDER_MS 5000

/* ---- One session ---- */

static void
nothing_is_there(struct trial *t)
{
	struct trial_drop d;

	if (!trial_drop_begin_absent(t, &d))
		return;
	if (trial_drop_open(&d) && d.storage->count(d.open) != 0)
		trial_fail(t, "a maildrop that is not there yet has %u messages",
		           d.storage->count(d.open));
	trial_drop_end(&d);
}

static void
lists_and_fetches(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing first, again;

	if (!trial_drop_begin(t, &d))
		return;
	if (trial_drop_open(&d) && trial_drop_read(&d, true, &first)) {
		if (first.n == 0)
			trial_skip(t, "the maildrop has no message: use one with some");
		else if (trial_drop_read(&d, true, &again))
			(void)trial_listing_is(t, &again, &first, NULL, "read twice");
	}
	trial_drop_end(&d);
}

/* In any order, one after the other open at the same time. */
static void
fetches_in_any_order(struct trial *t)
{
	struct trial_drop d;
	struct pst_body body[4];
	uint32_t n, i, k = 0;

	if (!trial_drop_begin(t, &d))
		return;
	if (!trial_drop_open(&d))
		goto out;
	n = d.storage->count(d.open);
	for (i = 0; i < 4 && i < n; i++, k++) {
		trial_drop_forget_reason(&d);
		body[i] = (struct pst_body){ .fd = -1 };
		if (d.storage->fetch(d.open, n - 1 - i, 0, &body[i], &d.err) != PST_FETCH_OK) {
			trial_fail(t, "message %u, before others: fetch: %s", n - 1 - i,
			           d.err.text);
			break;
		}
	}
	for (i = 0; i < k; i++)
		pop3_stored_release(&body[i]);
out:
	trial_drop_end(&d);
}

static void
check_now(struct trial_drop *d, const struct trial_listing *want)
{
	struct pst_body body = { .fd = -1 };
	struct trial_listing now;
	uint32_t i;

	if (!trial_drop_read(d, true, &now) ||
	    !trial_listing_is(d->t, &now, want, NULL, "opened by open_now"))
		return;
	for (i = 0; i < want->n; i++) {
		trial_drop_forget_reason(d);
		switch (d->storage->fetch(d->open, i, PST_FETCH_NOWAIT, &body, &d->err)) {
		case PST_FETCH_OK:
			pop3_stored_release(&body);
			break;
		case PST_FETCH_WAIT:
			break;
		default:
			trial_fail(d->t, "message %u: fetch without waiting: %s", i, d->err.text);
			return;
		}
	}
}

/* What may not block answers, or says that it would. */
static void
answers_at_once(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing want;
	struct pst_maildrop_spec spec;

	if (!trial_drop_begin(t, &d))
		return;
	if (!trial_drop_list(&d, &want))
		goto out;
	if (d.storage->open_now == NULL) {
		trial_skip(t, "it has no open_now");
		goto out;
	}
	spec = trial_drop_spec(&d);
	trial_drop_forget_reason(&d);
	switch (d.storage->open_now(d.self, &spec, &d.open, &d.err)) {
	case PST_FETCH_OK:
		check_now(&d, &want);
		if (t->why[0] == '\0')
			(void)trial_drop_is_in_use(&d, "a session that open_now opened");
		break;
	case PST_FETCH_WAIT:
		d.open = NULL;
		(void)trial_drop_list(&d, &want); /* nothing is held */
		break;
	default:
		d.open = NULL;
		trial_fail(t, "open_now: %s", d.err.text);
	}
out:
	trial_drop_end(&d);
}

/* ---- One after the other ---- */

static void
stays_the_same(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing first, next;
	int round;

	if (!trial_drop_begin(t, &d))
		return;
	if (trial_drop_list(&d, &first))
		for (round = 0; round < 3 && t->why[0] == '\0'; round++)
			if (trial_drop_list(&d, &next))
				(void)trial_listing_is(t, &next, &first, NULL,
				                       "in the next session");
	trial_drop_end(&d);
}

/* Another worker has no memory of this one. */
static void
stays_the_same_elsewhere(struct trial *t)
{
	struct trial_drop d, other;
	struct trial_listing first, next;
	struct plugin *p = NULL;
	struct pst_err err;

	if (!trial_drop_begin(t, &d))
		return;
	if (!trial_drop_list(&d, &first))
		goto out;
	p = trial_load(t);
	if (p == NULL)
		goto out;
	if (plugin_start(p, "mail", &err) != 0) {
		trial_fail(t, "start: %s", err.text);
		goto out;
	}
	other = d;
	other.self = plugin_self(p);
	if (trial_drop_list(&other, &next))
		(void)trial_listing_is(t, &next, &first, NULL, "in another worker");
out:
	plugin_unload(p);
	trial_drop_end(&d);
}

/* ---- The lock ---- */

static void
locks(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing unused;

	if (!trial_drop_begin(t, &d))
		return;
	if (trial_drop_open(&d) && trial_drop_is_in_use(&d, "a session of the same worker")) {
		trial_drop_close(&d);
		(void)trial_drop_list(&d, &unused);
	}
	trial_drop_end(&d);
}

static void PST_NORETURN
hold(struct trial_drop *d, int fd)
{
	(void)alarm(60); /* whatever becomes of the parent */
	if (trial_drop_open(d) && write(fd, "+", 1) == 1)
		for (;;)
			(void)pause();
	_exit(1);
}

/* Opens the maildrop in a process of its own; its id, or -1. */
static pid_t
start_holder(struct trial_drop *d)
{
	struct pollfd ready;
	int ends[2];
	char octet;
	pid_t pid;

	if (pipe(ends) != 0)
		return -1;
	pid = fork();
	if (pid == 0)
		hold(d, ends[1]);
	close(ends[1]);
	ready = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	if (pid > 0 && (poll(&ready, 1, HOLDER_MS) != 1 || read(ends[0], &octet, 1) != 1)) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		pid = -1;
	}
	close(ends[0]);
	return pid;
}

/* What its holder's death leaves behind must not keep the user out. */
static void
lock_dies_with_its_holder(struct trial *t)
{
	struct trial_drop d;
	struct trial_listing unused;
	pid_t pid;

	if (!trial_drop_begin(t, &d))
		return;
	pid = start_holder(&d);
	if (pid < 0) {
		trial_fail(t, "it cannot be opened in a process that was forked after start");
		goto out;
	}
	if (trial_drop_is_in_use(&d, "another worker")) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		(void)trial_drop_list(&d, &unused);
	} else {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
out:
	trial_drop_end(&d);
}

/* ---- Many ---- */

struct many {
	struct trial_drop d;
	struct trial mine; /* each thread tells for itself */
	pthread_t thread;
};

static void *
one_of_many(void *arg)
{
	struct many *m = arg;
	struct trial_listing l;
	int round;

	for (round = 0; round < ROUNDS / AT_ONCE && m->mine.why[0] == '\0'; round++)
		(void)trial_drop_list(&m->d, &l);
	return NULL;
}

/* Sessions of one worker lie side by side, whatever the threads do. */
static void
open_side_by_side(struct many *many, int n)
{
	struct trial_listing want, now;
	int i;

	if (n == 0 || !trial_drop_list(&many[0].d, &want))
		return;
	for (i = 0; i < n; i++)
		(void)trial_drop_open(&many[i].d);
	for (i = 0; i < n; i++)
		if (many[i].d.open != NULL && trial_drop_read(&many[i].d, true, &now))
			(void)trial_listing_is(many[i].d.t, &now, &want, NULL, "beside others");
	for (i = 0; i < n; i++)
		trial_drop_close(&many[i].d);
}

/* Calls for different maildrops come from many threads at once. */
static void
many_at_once(struct trial *t)
{
	static struct many many[AT_ONCE];
	int i, n = 0, started;

	for (i = 0; i < AT_ONCE && trial_drop_begin(t, &many[i].d); i++) {
		many[i].mine = (struct trial){ .subject = t->subject,
			                       .plugin = t->plugin,
			                       .arena = pst_arena_create() };
		n++;
	}
	open_side_by_side(many, n);
	for (started = 0; n == AT_ONCE && started < n; started++) {
		many[started].d.t = &many[started].mine;
		if (pthread_create(&many[started].thread, NULL, one_of_many, &many[started]) != 0)
			break;
	}
	for (i = 0; i < started; i++) {
		(void)pthread_join(many[i].thread, NULL);
		if (many[i].mine.why[0] != '\0')
			trial_fail(t, "%d at once: %s", AT_ONCE, many[i].mine.why);
	}
	for (i = 0; i < n; i++) {
		many[i].d.t = t;
		trial_drop_end(&many[i].d);
		pst_arena_destroy(many[i].mine.arena);
	}
}

static void
list_often(struct trial_drop *d)
{
	struct trial_listing l;
	int round;

	for (round = 0; round < ROUNDS && d->t->why[0] == '\0'; round++)
		(void)trial_drop_list(d, &l);
}

static void
keeps_nothing(struct trial *t)
{
	struct trial_drop d;
	struct pst_arena *ours = t->arena; /* what the listings take is not the plugin's */
	size_t descriptors, before, after;

	if (!trial_drop_begin(t, &d))
		return;
	t->arena = pst_arena_create();
	list_often(&d);
	pst_arena_destroy(t->arena);
	t->arena = pst_arena_create();
	descriptors = trial_descriptors();
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	list_often(&d);
	pst_arena_destroy(t->arena);
	t->arena = pst_arena_create();
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	if (trial_descriptors() > descriptors)
		trial_fail(t, "%zu descriptors more after %d sessions",
		           trial_descriptors() - descriptors, ROUNDS);
	else if (after > before + ROUNDS * 16)
		trial_fail(t, "%zu octets more after %d sessions", after - before, ROUNDS);
	pst_arena_destroy(t->arena);
	t->arena = ours;
	trial_drop_end(&d);
}

const struct trial_case trial_storage_cases[] = {
	{ "a maildrop that is not there yet is an empty one", true, nothing_is_there },
	{ "lists, and fetches as many octets as it says", true, lists_and_fetches },
	{ "fetches in any order, several at once", true, fetches_in_any_order },
	{ "answers at once or says that it would wait", true, answers_at_once },
	{ "order, UIDLs and octets stay", true, stays_the_same },
	{ "they stay in another worker", true, stays_the_same_elsewhere },
	{ "a maildrop in use is PST_E_IN_USE", true, locks },
	{ "the lock dies with its holder", true, lock_dies_with_its_holder },
	{ "many maildrops at once", true, many_at_once },
	{ "sessions keep neither memory nor descriptors", true, keeps_nothing },
	{ .name = NULL },
};
