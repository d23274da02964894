/* SPDX-License-Identifier: MIT */
/* One worker: what it is given, its start, its end. Runs as root where the server does; of its
 * children the master believes only what waitpid says, and what it reads in shared memory is
 * checked before it is used. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "master/master.h"
#include "master/spawn.h"

#define QUICK_MS 1000  /* a worker that ends sooner, and was never READY, is in trouble */
#define BACKOFF_MS 100 /* doubled each time */
#define BACKOFF_MAX_MS 5000
#define START_DEATHS 3 /* of one slot: then the generation cannot start */

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
	env->board = &g->board;
	env->tls = m->tls;
	env->auth_queue = g->auth_queue[1];
	env->keys = g->keys[s->idx][0];
	env->mail_queue = g->mail_queue[1];
	env->mail_inboxes = generation_is_pooled(g) ? NULL : g->mail_inboxes;
	for (i = 0; env->mail_inboxes != NULL && i < g->counts[WORKER_MAIL]; i++)
		keep_fd(fds, g->mail_inboxes[i]);
	env->auth_inboxes = g->auth_inboxes;
	for (i = 0; i < g->counts[WORKER_AUTH]; i++)
		keep_fd(fds, g->auth_inboxes[i]);
	env->listeners = listeners;
	env->listener_count = listen_of_slot(m->listens, &g->conf->settings, s->idx,
	                                     g->counts[WORKER_LOGIN], listeners, cap);
	for (i = 0; i < env->listener_count; i++)
		keep_fd(fds, listeners[i].fd);
	sp->keep[1] = g->board_rows;
	sp->keep[2] = m->tls;
	sp->images[CONF_POLICY] = g->conf->images[CONF_POLICY];
}

static void
equip_clerk(struct generation *g, struct spawn *sp)
{
	sp->env.auth_notes = g->auth_notes[0];
	sp->env.mail_notes = g->mail_notes[0];
	sp->env.changes = g->changes;
	sp->keep[1] = g->changes;
}

static void
equip_auth(struct generation *g, const struct slot *s, struct spawn *sp, struct fd_list *fds)
{
	const bool is_hash = generation_auth_role(g, s->idx) == AUTH_HASH;
	uint32_t i;

	sp->env.tickets = g->tickets;
	sp->env.changes = g->changes;
	sp->env.verified = g->marks != NULL ? g->marks->verified : NULL;
	sp->env.auth_queue = is_hash ? -1 : g->auth_queue[0];
	sp->env.hash_queue = g->hash_queue[is_hash ? 0 : 1];
	sp->env.auth_notes = g->auth_notes[1];
	sp->env.login_inboxes = g->login_inboxes;
	for (i = 0; i < g->counts[WORKER_LOGIN]; i++)
		keep_fd(fds, g->login_inboxes[i]);
	sp->keep[1] = g->tickets;
	sp->keep[2] = g->changes;
	sp->keep[3] = sp->env.verified;
	sp->env.away = g->away;
	sp->keep[4] = g->away;
}

static void
equip_mail(struct master *m, struct generation *g, struct spawn *sp)
{
	sp->env.changes = g->changes;
	sp->env.usage = m->usage;
	sp->env.holders = m->holders;
	sp->env.mail_notes = g->mail_notes[1];
	sp->env.board = &g->board;
	sp->env.tickets = g->tickets;
	sp->env.mail_queue = g->mail_queue[0];
	sp->env.confine = generation_is_pooled(g) ? sandbox_confine : NULL;
	sp->keep[1] = g->board_rows;
	sp->keep[2] = g->tickets;
	sp->keep[3] = g->changes;
	sp->keep[4] = m->usage;
	sp->keep[5] = m->holders;
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
		         .hash_queue = -1,
		         .auth_notes = -1,
		         .mail_notes = -1,
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
		sp->env.role = generation_auth_role(g, s->idx);
		sp->env.left_out = s->left_out;
		if (sp->env.role == AUTH_CLERK)
			equip_clerk(g, sp);
		else
			equip_auth(g, s, sp, fds);
		sp->images[CONF_AUTH] = g->conf->images[CONF_AUTH];
		sp->images[CONF_POLICY] = g->conf->images[CONF_POLICY];
		break;
	case WORKER_MAIL:
		equip_mail(m, g, sp);
		break;
	case WORKER_KINDS:
		break;
	}
	keep_fd(fds, sp->env.inbox);
	keep_fd(fds, sp->env.auth_queue);
	keep_fd(fds, sp->env.hash_queue);
	keep_fd(fds, sp->env.auth_notes);
	keep_fd(fds, sp->env.mail_notes);
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
	atomic_store(&row->beginning, 0);
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

void
slot_start(struct master *m, struct generation *g, struct slot *s, int64_t now_ms)
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
	s->left_out = s->kind == WORKER_AUTH && s != g->left_trial ? g->left_out : 0;
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

bool
slot_is_ready(const struct slot *s)
{
	uint32_t state = atomic_load(&s->row->state);

	return state == SLOT_READY || state == SLOT_BUSY || state == SLOT_DRAINING;
}

/* 0 at once, then 100 ms, 200 ms, … 5 s, for a worker that dies again and again at its start. */
int64_t
slot_backoff_ms(const struct slot *s)
{
	int64_t ms = BACKOFF_MS;
	uint32_t i;

	if (s->quick_deaths <= 1)
		return 0;
	for (i = 2; i < s->quick_deaths && ms < BACKOFF_MAX_MS; i++)
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
	case GEN_EMPTYING: /* sessions go on, and what they do is still to be written down */
		return s->kind == WORKER_AUTH && generation_auth_role(g, s->idx) == AUTH_CLERK &&
		       g->kill_at_ms == 0 && !s->told && generation_running(g, WORKER_MAIL) > 0;
	case GEN_FAILED:
		break;
	}
	return false;
}

static void
note_death(struct generation *g, struct slot *s, const char *how, int64_t now_ms)
{
	bool is_quick = !slot_is_ready(s) && now_ms - s->started_ms < QUICK_MS;
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
	if (s->kind == WORKER_AUTH && !slot_is_ready(s) && g->phase == GEN_LIVE)
		leave_out_note(g, s, now_ms);
}

/* Whose end with status 0 is as it should be, though nobody gave an order. */
static bool
has_finished(const struct generation *g, const struct slot *s)
{
	if (s->kind == WORKER_AUTH)
		return atomic_load(&s->row->state) == SLOT_RETIRING;
	return s->kind == WORKER_MAIL && generation_is_pooled(g);
}

void
slot_bury(struct generation *g, struct slot *s, int status, int64_t now_ms)
{
	bool is_end = s->told || s->killed ||
	              (WIFEXITED(status) && WEXITSTATUS(status) == 0 && has_finished(g, s));
	uint32_t rows = 0;
	char how[96];

	describe_end(status, how, sizeof(how));
	/* A worker that was told to end and crashed on its way has a fault all the same. */
	if (!is_end || (WIFSIGNALED(status) && !s->killed && WTERMSIG(status) != SIGTERM))
		note_death(g, s, how, now_ms);
	if (s->kind == WORKER_AUTH)
		tell_asker(g, s);
	if (s->kind == WORKER_LOGIN || s->kind == WORKER_MAIL)
		rows = board_sweep(&g->board, s->kind, s->idx);
	pst_log_debug(NULL, "worker.ended", "worker=%s slot=%u pid=%d how=\"%s\" rows=%u",
	              worker_kind_names[s->kind], s->idx, (int)s->pid, how, rows);
	s->pid = 0;
	atomic_store(&s->row->pid, 0);
	atomic_store(&s->row->sessions, 0);
	atomic_store(&s->row->busy_since_ms, 0);
	atomic_store(&s->row->state, SLOT_EMPTY);
	s->start_at_ms = is_wanted(g, s) ? now_ms + slot_backoff_ms(s) : -1;
}
