/* SPDX-License-Identifier: MIT */
/* The workers of a generation as a whole: its phases from start to drain, what takes too long, what
 * must be there before it is needed. One worker is slot.c's. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "ipc/holders.h"
#include "ipc/usage.h"
#include "master/master.h"

#define START_LIMIT_MS 30000
#define START_LIMIT_TEXT "30 seconds"
#define STOP_GRACE_MS 2000  /* between the order to stop and SIGKILL */
#define AUTH_GRACE_MS 500   /* the worker's own deadline comes first */
#define STARTING_TICK_MS 20 /* in case a worker's wake-up is lost */

/* Of a mail worker that is gone. One that ended as it should has left nothing behind. */
static void
forget_sessions(struct master *m, uint64_t owner, int status)
{
	(void)usage_sweep(m->usage, owner);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		(void)holders_sweep(m->holders, owner);
}

bool
supervise_reap(struct master *m, pid_t pid, int status, int64_t now_ms)
{
	struct generation *g;
	int kind;
	uint32_t i;

	for (g = m->newest; g != NULL; g = g->older)
		for (kind = 0; kind < WORKER_KINDS; kind++)
			for (i = 0; i < g->counts[kind]; i++)
				if (g->slots[kind][i].pid == pid) {
					slot_bury(g, &g->slots[kind][i], status, now_ms);
					if (kind == WORKER_MAIL)
						forget_sessions(m, usage_owner(g->number, i),
						                status);
					return true;
				}
	return false;
}

/* ---- The phases of a generation ---- */

static void
kill_slot(struct slot *s)
{
	if (s->pid == 0 || s->killed)
		return;
	s->killed = true;
	(void)kill(s->pid, SIGKILL);
}

static void
each_slot(struct generation *g, enum worker_kind kind, void (*fn)(struct slot *s))
{
	uint32_t i;

	for (i = 0; i < g->counts[kind]; i++)
		fn(&g->slots[kind][i]);
}

static void
want_now(struct slot *s)
{
	if (s->pid == 0 && s->start_at_ms < 0)
		s->start_at_ms = 0;
}

static void
order_drain(struct slot *s)
{
	if (!s->told)
		generation_order(s, ORDER_DRAIN, 0);
	s->start_at_ms = -1;
}

static void
order_stop(struct slot *s)
{
	generation_order(s, ORDER_STOP, 0);
	s->start_at_ms = -1;
}

/* All auth workers but the clerk: that one is told when nobody is left who has something for it. */
static void
stop_auth(struct generation *g)
{
	uint32_t i;

	for (i = 0; i < g->counts[WORKER_AUTH]; i++)
		if (generation_auth_role(g, i) != AUTH_CLERK)
			order_stop(&g->slots[WORKER_AUTH][i]);
}

static void
stop_clerk(struct generation *g)
{
	struct slot *clerk = &g->slots[WORKER_AUTH][g->counts[WORKER_AUTH] - 1];

	if (!clerk->told)
		order_stop(clerk);
	clerk->start_at_ms = -1;
}

static bool
all_ready(const struct generation *g, enum worker_kind kind)
{
	uint32_t wanted = g->counts[kind], ready = 0, i;

	if (kind == WORKER_MAIL && generation_is_pooled(g) &&
	    g->conf->settings.mail.spare_processes < wanted)
		wanted = (uint32_t)g->conf->settings.mail.spare_processes;
	for (i = 0; i < g->counts[kind]; i++)
		ready += g->slots[kind][i].pid != 0 && slot_is_ready(&g->slots[kind][i]);
	return ready >= wanted;
}

static void
fail_start(struct generation *g, const char *reason)
{
	g->phase = GEN_FAILED;
	(void)snprintf(g->failure, sizeof(g->failure), "%s", reason);
}

static void
advance_start(struct master *m, struct generation *g, int64_t now_ms)
{
	struct pst_err err;

	if (g->phase == GEN_STARTING) {
		each_slot(g, WORKER_KEYS, want_now);
		each_slot(g, WORKER_AUTH, want_now);
		if (!generation_is_pooled(g))
			each_slot(g, WORKER_MAIL, want_now);
		if (all_ready(g, WORKER_KEYS) && all_ready(g, WORKER_AUTH) &&
		    all_ready(g, WORKER_MAIL)) {
			g->phase = GEN_OPENING;
			if (listen_start(m->listens, &g->conf->settings, &err) != 0)
				fail_start(g, err.text);
		}
	}
	if (g->phase == GEN_OPENING) {
		each_slot(g, WORKER_LOGIN, want_now);
		if (all_ready(g, WORKER_LOGIN)) {
			g->phase = GEN_LIVE;
			return;
		}
	}
	if (now_ms - g->made_ms > START_LIMIT_MS)
		fail_start(g, "not all workers were ready after " START_LIMIT_TEXT);
}

void
supervise_stop_now(struct generation *g, int64_t now_ms)
{
	if (g->kill_at_ms != 0)
		return;
	if (g->phase != GEN_EMPTYING && g->phase != GEN_FAILED)
		g->phase = GEN_DRAINING;
	g->kill_at_ms = now_ms + STOP_GRACE_MS;
	each_slot(g, WORKER_LOGIN, order_stop);
	each_slot(g, WORKER_KEYS, order_stop);
	each_slot(g, WORKER_MAIL, order_stop);
	stop_auth(g);
	if (g->phase == GEN_FAILED)
		stop_clerk(g);
}

void
supervise_drain(struct generation *g, int64_t now_ms)
{
	if (g->phase == GEN_DRAINING || g->phase == GEN_EMPTYING || g->phase == GEN_FAILED)
		return;
	if (g->phase != GEN_LIVE) { /* nobody was let in */
		fail_start(g, "the server was told to stop");
		return;
	}
	g->phase = GEN_DRAINING;
	g->drain_ms = now_ms;
	g->deadline_ms = now_ms + g->conf->settings.server.drain_timeout;
	each_slot(g, WORKER_LOGIN, order_drain);
}

static void
advance_drain(struct generation *g, int64_t now_ms)
{
	int kind;

	if (g->phase == GEN_DRAINING && generation_running(g, WORKER_LOGIN) == 0) {
		g->phase = GEN_EMPTYING;
		each_slot(g, WORKER_KEYS, order_stop);
		stop_auth(g);
		each_slot(g, WORKER_MAIL, order_drain);
	}
	if (g->phase == GEN_EMPTYING && generation_running(g, WORKER_MAIL) == 0)
		stop_clerk(g);
	if (g->kill_at_ms == 0 && now_ms >= g->deadline_ms) {
		pst_log_info(NULL, "generation.timeout", "generation=%u workers=%u", g->number,
		             generation_running_all(g));
		supervise_stop_now(g, now_ms);
	}
	if (g->kill_at_ms != 0 && now_ms >= g->kill_at_ms)
		for (kind = 0; kind < WORKER_KINDS; kind++)
			each_slot(g, (enum worker_kind)kind, kill_slot);
}

/* ---- What may take too long, and what must be there before it is needed ---- */

/* When this worker's request has taken too long; INT64_MAX where it has none. */
static int64_t
auth_deadline_ms(const struct generation *g, const struct slot *s)
{
	int64_t since = atomic_load(&s->row->busy_since_ms);

	/* The worker writes it: nonsense must not overflow. */
	if (s->pid == 0 || s->killed || since <= 0 || since > pst_now_ms())
		return INT64_MAX;
	return since + g->conf->settings.auth.timeout + AUTH_GRACE_MS;
}

/* A plugin's start may hang. That counts as a death at start. */
static void
end_stuck_start(struct slot *s, int64_t now_ms)
{
	if (s->pid == 0 || slot_is_ready(s) || now_ms - s->started_ms < START_LIMIT_MS)
		return;
	pst_log_error(NULL, "auth.start_timeout", "slot=%u pid=%d doing=\"%.63s\"", s->idx,
	              (int)s->pid, s->row->doing);
	s->started_ms = now_ms; /* not told of again at once */
	(void)kill(s->pid, SIGKILL);
}

static void
end_slow_auth(struct generation *g, int64_t now_ms)
{
	uint32_t i;

	for (i = 0; i < g->counts[WORKER_AUTH]; i++) {
		struct slot *s = &g->slots[WORKER_AUTH][i];

		if (g->phase == GEN_LIVE)
			end_stuck_start(s, now_ms);
		if (now_ms < auth_deadline_ms(g, s))
			continue;
		pst_log_error(NULL, "auth.timeout", "slot=%u pid=%d took_ms=%lld doing=\"%.63s\"",
		              s->idx, (int)s->pid,
		              (long long)(now_ms - atomic_load(&s->row->busy_since_ms)),
		              s->row->doing);
		kill_slot(s);
	}
}

/* run_as = "user": as many READY (or on their way to be) as spare_processes says. */
static void
fill_pool(struct generation *g, int64_t now_ms)
{
	uint32_t spare = 0, i;
	uint32_t wanted = (uint32_t)g->conf->settings.mail.spare_processes;

	if (!generation_is_pooled(g) || g->phase > GEN_DRAINING || g->kill_at_ms != 0)
		return;
	for (i = 0; i < g->counts[WORKER_MAIL]; i++) {
		struct slot *s = &g->slots[WORKER_MAIL][i];
		uint32_t state = atomic_load(&s->row->state);

		spare += (s->pid != 0 && (state == SLOT_STARTING || state == SLOT_READY)) ||
		         s->start_at_ms >= 0;
	}
	for (i = 0; i < g->counts[WORKER_MAIL] && spare < wanted; i++) {
		struct slot *s = &g->slots[WORKER_MAIL][i];

		if (s->pid != 0 || s->start_at_ms >= 0)
			continue;
		s->start_at_ms = now_ms + slot_backoff_ms(s);
		spare++;
	}
}

static void
start_due(struct master *m, struct generation *g, int64_t now_ms)
{
	int kind;
	uint32_t i;

	for (kind = 0; kind < WORKER_KINDS; kind++)
		for (i = 0; i < g->counts[kind]; i++) {
			struct slot *s = &g->slots[kind][i];

			if (s->pid == 0 && s->start_at_ms >= 0 && s->start_at_ms <= now_ms)
				slot_start(m, g, s, now_ms);
		}
}

void
supervise_tick(struct master *m, struct generation *g, int64_t now_ms)
{
	int kind;

	if (g->phase == GEN_STARTING || g->phase == GEN_OPENING)
		advance_start(m, g, now_ms);
	if (g->phase == GEN_DRAINING || g->phase == GEN_EMPTYING)
		advance_drain(g, now_ms);
	if (g->phase == GEN_FAILED) {
		for (kind = 0; kind < WORKER_KINDS; kind++)
			each_slot(g, (enum worker_kind)kind, kill_slot);
		return;
	}
	end_slow_auth(g, now_ms);
	leave_out_tick(g, now_ms);
	fill_pool(g, now_ms);
	start_due(m, g, now_ms);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t
supervise_due(const struct generation *g)
{
	int64_t due = INT64_MAX;
	int kind;
	uint32_t i;

	if (g->phase == GEN_STARTING || g->phase == GEN_OPENING)
		return pst_now_ms() + STARTING_TICK_MS;
	if (g->phase == GEN_DRAINING || g->phase == GEN_EMPTYING)
		due = g->kill_at_ms != 0 ? g->kill_at_ms : g->deadline_ms;
	due = earlier(due, leave_out_due(g));
	for (i = 0; i < g->counts[WORKER_AUTH]; i++) {
		const struct slot *s = &g->slots[WORKER_AUTH][i];

		due = earlier(due, auth_deadline_ms(g, s));
		if (s->pid != 0 && !slot_is_ready(s))
			due = earlier(due, s->started_ms + START_LIMIT_MS);
	}
	for (kind = 0; kind < WORKER_KINDS; kind++)
		for (i = 0; i < g->counts[kind]; i++)
			if (g->slots[kind][i].pid == 0 && g->slots[kind][i].start_at_ms >= 0)
				due = earlier(due, g->slots[kind][i].start_at_ms);
	return due;
}
