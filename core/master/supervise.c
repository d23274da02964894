/* SPDX-License-Identifier: MIT */
/* The workers of a generation: started, watched, replaced on the same wires, drained. Runs as root
 * where the server does; of its children it believes only what waitpid says, and what it reads in
 * shared memory is checked before it is used. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"
#include "master/master.h"
#include "master/spawn.h"

#define QUICK_MS 1000  /* a worker that ends sooner, and was never READY, is in trouble */
#define BACKOFF_MS 100 /* doubled each time */
#define BACKOFF_MAX_MS 5000
#define START_DEATHS 3 /* of one slot: then the generation cannot start */
#define START_LIMIT_MS 30000
#define STOP_GRACE_MS 2000  /* between the order to stop and SIGKILL */
#define AUTH_GRACE_MS 500   /* the worker's own deadline comes first */
#define STARTING_TICK_MS 20 /* in case a worker's wake-up is lost */

/* ---- Starting one worker ---- */

struct fd_list {
	int *v;
	size_t n, cap;
};

static void
keep_fd(struct fd_list *l, int fd)
{
	if (fd < 0)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap > 0 ? l->cap * 2 : 32;
		l->v = pst_realloc_array(l->v, l->cap, sizeof(*l->v));
	}
	l->v[l->n++] = fd;
}

static void
equip_login(struct master *m, struct generation *g, const struct slot *s, struct spawn *sp,
            struct fd_list *fds, struct env_listener *listeners, size_t cap)
{
	struct worker_env *env = &sp->env;
	uint32_t i;

	pst_assert(listeners != NULL);
	env->mail_slots = g->slots[WORKER_MAIL][0].row;
	env->board = g->board;
	env->tls = m->tls;
	env->auth_queue = g->auth_queue[1];
	env->keys = g->keys[s->idx][0];
	env->mail_queue = g->mail_queue[1];
	env->mail_inboxes = generation_is_pooled(g) ? NULL : g->mail_inboxes;
	for (i = 0; env->mail_inboxes != NULL && i < g->counts[WORKER_MAIL]; i++)
		keep_fd(fds, g->mail_inboxes[i]);
	env->listeners = listeners;
	env->listener_count = listen_of_slot(m->listens, &g->conf->settings, s->idx,
	                                     g->counts[WORKER_LOGIN], listeners, cap);
	for (i = 0; i < env->listener_count; i++)
		keep_fd(fds, listeners[i].fd);
	sp->keep[1] = g->board;
	sp->keep[2] = m->tls;
	sp->images[CONF_POLICY] = g->conf->images[CONF_POLICY];
}

static void
equip_auth(struct generation *g, struct spawn *sp, struct fd_list *fds)
{
	uint32_t i;

	sp->env.tickets = g->tickets;
	sp->env.auth_queue = g->auth_queue[0];
	sp->env.login_inboxes = g->login_inboxes;
	for (i = 0; i < g->counts[WORKER_LOGIN]; i++)
		keep_fd(fds, g->login_inboxes[i]);
	sp->keep[1] = g->tickets;
	sp->images[CONF_AUTH] = g->conf->images[CONF_AUTH];
	sp->images[CONF_POLICY] = g->conf->images[CONF_POLICY];
}

static void
equip_mail(struct generation *g, struct spawn *sp)
{
	sp->env.board = g->board;
	sp->env.tickets = g->tickets;
	sp->env.mail_queue = g->mail_queue[0];
	sp->env.confine = generation_is_pooled(g) ? sandbox_confine : NULL;
	sp->keep[1] = g->board;
	sp->keep[2] = g->tickets;
	sp->images[CONF_STORAGE] = g->conf->images[CONF_STORAGE];
}

static void
equip(struct master *m, struct generation *g, struct slot *s, struct spawn *sp, struct fd_list *fds,
      struct env_listener *listeners, size_t cap)
{
	*sp = (struct spawn){
		.code = m->codes[s->kind],
		.env = { .kind = s->kind,
		         .slot = s->idx,
		         .incarnation = s->incarnation,
		         .generation = g->number,
		         .settings = &g->conf->settings,
		         .self = s->row,
		         .login_count = g->counts[WORKER_LOGIN],
		         .auth_count = g->counts[WORKER_AUTH],
		         .mail_count = g->counts[WORKER_MAIL],
		         .inbox = s->inbox[0],
		         .auth_queue = -1,
		         .keys = -1,
		         .mail_queue = -1,
		         .wake_fd = m->wake_fd },
		.sandbox = { .is_root = m->is_root,
		             .uid = g->conf->users[s->kind].uid,
		             .gid = g->conf->users[s->kind].gid,
		             .master = m->pid },
		.regions = &m->regions,
		.keep = { g->rows },
	};
	switch (s->kind) {
	case WORKER_LOGIN:
		equip_login(m, g, s, sp, fds, listeners, cap);
		break;
	case WORKER_KEYS:
		sp->env.keys = g->keys[s->idx][1];
		break;
	case WORKER_AUTH:
		equip_auth(g, sp, fds);
		break;
	case WORKER_MAIL:
		equip_mail(g, sp);
		break;
	case WORKER_KINDS:
		break;
	}
	keep_fd(fds, sp->env.inbox);
	keep_fd(fds, sp->env.auth_queue);
	keep_fd(fds, sp->env.keys);
	keep_fd(fds, sp->env.mail_queue);
	keep_fd(fds, sp->env.wake_fd);
}

static void
reset_row(struct slot *s, int64_t now_ms)
{
	struct slot_row *row = s->row;

	atomic_store(&row->incarnation, s->incarnation);
	atomic_store(&row->sandbox, 0);
	atomic_store(&row->landlock_abi, 0);
	atomic_store(&row->sessions, 0);
	atomic_store(&row->busy_since_ms, 0);
	atomic_store(&row->started_ms, now_ms);
	slot_doing(row, PST_LIT("starting"));
	slot_failure(row, PST_LIT(""));
	atomic_store(&row->state, SLOT_STARTING);
}

/* A process that serves one session gets an inbox of its own, so that it never reads an order that
 * was meant for the one before. */
static int
renew_inbox(struct slot *s, struct pst_err *err)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (s->inbox[i] >= 0)
			close(s->inbox[i]);
		s->inbox[i] = -1;
	}
	return channel_create(s->inbox, 65536, err);
}

static void
start_slot(struct master *m, struct generation *g, struct slot *s, int64_t now_ms)
{
	const size_t cap = (size_t)SETTINGS_MAX_LISTENERS * BOARD_MAX_PARTS;
	struct env_listener *listeners = NULL;
	struct fd_list fds = { NULL, 0, 0 };
	struct spawn sp;
	struct pst_err err;

	if (s->kind == WORKER_MAIL && generation_is_pooled(g) && renew_inbox(s, &err) != 0)
		goto failed;
	if (s->kind == WORKER_LOGIN)
		listeners = pst_new_array(struct env_listener, cap);
	s->incarnation++;
	s->told = s->killed = false;
	s->start_at_ms = -1;
	s->started_ms = now_ms;
	reset_row(s, now_ms);
	equip(m, g, s, &sp, &fds, listeners, cap);
	sp.fds = fds.v;
	sp.fd_count = fds.n;
	s->pid = spawn_worker(&sp, &err);
	if (s->pid > 0) {
		atomic_store(&s->row->pid, s->pid);
		goto out;
	}
	s->pid = 0;
failed:
	atomic_store(&s->row->state, SLOT_EMPTY);
	pst_log_error(NULL, "worker.not_started", "worker=%s slot=%u reason=\"%s\"",
	              worker_kind_names[s->kind], s->idx, err.text);
	s->start_at_ms = now_ms + BACKOFF_MAX_MS;
out:
	free(listeners);
	free(fds.v);
}

/* ---- The end of one worker ---- */

static void
describe_end(int status, char *out, size_t cap)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, cap, "signal %d (%s)", WTERMSIG(status),
		               strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, cap, "status %d", WEXITSTATUS(status));
}

/* Whoever waits for the answer to what the worker had in hand is told that there is none. */
static void
tell_asker(struct generation *g, const struct slot *s)
{
	const uint32_t login = atomic_load(&s->row->asker_slot);
	struct wire_auth_reply reply = { .ok = false, .kind = PST_E_TEMP };
	uint8_t message[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n;

	if (atomic_load(&s->row->busy_since_ms) == 0 || login >= g->counts[WORKER_LOGIN])
		return;
	n = wire_auth_reply_encode(&reply, atomic_load(&s->row->asker_incarnation),
	                           atomic_load(&s->row->asker_request), message);
	if (channel_send(g->login_inboxes[login], message, n, -1, &err) != 0)
		pst_log_warn(NULL, "auth.reply_lost", "login_slot=%u reason=\"%s\"", login,
		             err.text);
}

static bool
row_is_ready(const struct slot *s)
{
	uint32_t state = atomic_load(&s->row->state);

	return state == SLOT_READY || state == SLOT_BUSY || state == SLOT_DRAINING;
}

/* 0 at once, then 100 ms, 200 ms, … 5 s, for a worker that dies again and again at its start. */
static int64_t
backoff_ms(uint32_t quick_deaths)
{
	int64_t ms = BACKOFF_MS;

	if (quick_deaths <= 1)
		return 0;
	while (--quick_deaths > 1 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static bool
is_wanted(const struct generation *g, const struct slot *s)
{
	switch (g->phase) {
	case GEN_STARTING:
	case GEN_OPENING:
	case GEN_LIVE:
		/* The pool of one-session processes is filled by its own rule. */
		return s->kind != WORKER_MAIL || !generation_is_pooled(g);
	case GEN_DRAINING: /* its clients may still log in */
		return s->kind != WORKER_LOGIN && g->kill_at_ms == 0 &&
		       (s->kind != WORKER_MAIL || !generation_is_pooled(g));
	case GEN_EMPTYING:
	case GEN_FAILED:
		break;
	}
	return false;
}

static void
note_death(struct generation *g, struct slot *s, const char *how, int64_t now_ms)
{
	bool is_quick = !row_is_ready(s) && now_ms - s->started_ms < QUICK_MS;
	char doing[sizeof(s->row->doing)];
	char failure[sizeof(s->row->failure)];

	memcpy(doing, s->row->doing, sizeof(doing));
	doing[sizeof(doing) - 1] = '\0';
	memcpy(failure, s->row->failure, sizeof(failure));
	failure[sizeof(failure) - 1] = '\0';
	(void)atomic_fetch_add(&s->row->deaths, 1);
	s->quick_deaths = is_quick ? s->quick_deaths + 1 : 0;
	pst_log_error(NULL, "worker.died",
	              "worker=%s slot=%u pid=%d how=\"%s\" age_ms=%lld sessions=%u doing=\"%s\"",
	              worker_kind_names[s->kind], s->idx, (int)s->pid, how,
	              (long long)(now_ms - s->started_ms), atomic_load(&s->row->sessions), doing);
	if (is_quick && s->quick_deaths >= START_DEATHS &&
	    (g->phase == GEN_STARTING || g->phase == GEN_OPENING)) {
		g->phase = GEN_FAILED;
		(void)snprintf(g->failure, sizeof(g->failure), "%s worker cannot start: %s",
		               worker_kind_names[s->kind], failure[0] != '\0' ? failure : how);
	}
}

static void
bury(struct generation *g, struct slot *s, int status, int64_t now_ms)
{
	bool is_end = s->told || s->killed ||
	              (WIFEXITED(status) && WEXITSTATUS(status) == 0 && s->kind == WORKER_MAIL &&
	               generation_is_pooled(g));
	uint32_t rows = 0;
	char how[96];

	describe_end(status, how, sizeof(how));
	/* A worker that was told to end and crashed on its way has a fault all the same. */
	if (!is_end || (WIFSIGNALED(status) && !s->killed && WTERMSIG(status) != SIGTERM))
		note_death(g, s, how, now_ms);
	if (s->kind == WORKER_AUTH)
		tell_asker(g, s);
	if (s->kind == WORKER_LOGIN || s->kind == WORKER_MAIL)
		rows = board_sweep(g->board, s->kind, s->idx);
	pst_log_debug(NULL, "worker.ended", "worker=%s slot=%u pid=%d how=\"%s\" rows=%u",
	              worker_kind_names[s->kind], s->idx, (int)s->pid, how, rows);
	s->pid = 0;
	atomic_store(&s->row->pid, 0);
	atomic_store(&s->row->sessions, 0);
	atomic_store(&s->row->busy_since_ms, 0);
	atomic_store(&s->row->state, SLOT_EMPTY);
	s->start_at_ms = is_wanted(g, s) ? now_ms + backoff_ms(s->quick_deaths) : -1;
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
					bury(g, &g->slots[kind][i], status, now_ms);
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

static bool
all_ready(const struct generation *g, enum worker_kind kind)
{
	uint32_t wanted = g->counts[kind], ready = 0, i;

	if (kind == WORKER_MAIL && generation_is_pooled(g) &&
	    g->conf->settings.mail.spare_processes < wanted)
		wanted = (uint32_t)g->conf->settings.mail.spare_processes;
	for (i = 0; i < g->counts[kind]; i++)
		ready += g->slots[kind][i].pid != 0 && row_is_ready(&g->slots[kind][i]);
	return ready >= wanted;
}

static void
advance_start(struct generation *g, int64_t now_ms)
{
	if (g->phase == GEN_STARTING) {
		each_slot(g, WORKER_KEYS, want_now);
		each_slot(g, WORKER_AUTH, want_now);
		if (!generation_is_pooled(g))
			each_slot(g, WORKER_MAIL, want_now);
		if (all_ready(g, WORKER_KEYS) && all_ready(g, WORKER_AUTH) &&
		    all_ready(g, WORKER_MAIL))
			g->phase = GEN_OPENING;
	}
	if (g->phase == GEN_OPENING) {
		each_slot(g, WORKER_LOGIN, want_now);
		if (all_ready(g, WORKER_LOGIN)) {
			g->phase = GEN_LIVE;
			return;
		}
	}
	if (now_ms - g->made_ms > START_LIMIT_MS) {
		g->phase = GEN_FAILED;
		(void)snprintf(g->failure, sizeof(g->failure),
		               "not all workers were ready after %d seconds",
		               START_LIMIT_MS / 1000);
	}
}

void
supervise_stop_now(struct generation *g, int64_t now_ms)
{
	int kind;

	if (g->kill_at_ms != 0)
		return;
	if (g->phase != GEN_EMPTYING && g->phase != GEN_FAILED)
		g->phase = GEN_DRAINING;
	g->kill_at_ms = now_ms + STOP_GRACE_MS;
	for (kind = 0; kind < WORKER_KINDS; kind++)
		each_slot(g, (enum worker_kind)kind, order_stop);
}

void
supervise_drain(struct generation *g, int64_t now_ms)
{
	if (g->phase == GEN_DRAINING || g->phase == GEN_EMPTYING || g->phase == GEN_FAILED)
		return;
	if (g->phase != GEN_LIVE) { /* nobody was let in */
		g->phase = GEN_FAILED;
		(void)snprintf(g->failure, sizeof(g->failure), "the server was told to stop");
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
		each_slot(g, WORKER_AUTH, order_stop);
		each_slot(g, WORKER_MAIL, order_drain);
	}
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

static void
end_slow_auth(struct generation *g, int64_t now_ms)
{
	int64_t limit = g->conf->settings.auth.timeout + AUTH_GRACE_MS;
	uint32_t i;

	for (i = 0; i < g->counts[WORKER_AUTH]; i++) {
		struct slot *s = &g->slots[WORKER_AUTH][i];
		int64_t since = atomic_load(&s->row->busy_since_ms);

		if (s->pid == 0 || s->killed || since == 0 || now_ms - since < limit)
			continue;
		pst_log_error(NULL, "auth.timeout", "slot=%u pid=%d took_ms=%lld doing=\"%.63s\"",
		              s->idx, (int)s->pid, (long long)(now_ms - since), s->row->doing);
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
		s->start_at_ms = now_ms + backoff_ms(s->quick_deaths);
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
				start_slot(m, g, s, now_ms);
		}
}

void
supervise_tick(struct master *m, struct generation *g, int64_t now_ms)
{
	int kind;

	if (g->phase == GEN_STARTING || g->phase == GEN_OPENING)
		advance_start(g, now_ms);
	if (g->phase == GEN_DRAINING || g->phase == GEN_EMPTYING)
		advance_drain(g, now_ms);
	if (g->phase == GEN_FAILED) {
		for (kind = 0; kind < WORKER_KINDS; kind++)
			each_slot(g, (enum worker_kind)kind, kill_slot);
		return;
	}
	end_slow_auth(g, now_ms);
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
	for (kind = 0; kind < WORKER_KINDS; kind++)
		for (i = 0; i < g->counts[kind]; i++)
			if (g->slots[kind][i].pid == 0 && g->slots[kind][i].start_at_ms >= 0)
				due = earlier(due, g->slots[kind][i].start_at_ms);
	return due;
}
