/* SPDX-License-Identifier: MIT */
/* The master's loop: signals, children, reloads, the end. Runs as root where the server does. */
#include "master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/holders.h"
#include "ipc/usage.h"
#include "master/control.h"
#include "master/notify.h"
#include "master/paths.h"
#include "master/rundir.h"
#include "master/sandbox.h"

#define TICK_MS 1000 /* how late a slow auth worker is noticed at most */
#define TICKET_KEY_MS (24 * 3600 * (int64_t)1000)
#define STOP_POLLING_MS 2000 /* for login workers to leave the listeners */

int
master_watch(struct master *m, int fd, uint32_t events, struct watch *w, struct pst_err *err)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_ctl");
	return 0;
}

/* ---- Generations ---- */

static void
remove_generation(struct master *m, struct generation *gone)
{
	struct generation **at = &m->newest;

	while (*at != gone)
		at = &(*at)->older;
	*at = gone->older;
	generation_destroy(&m->regions, gone);
}

/* Do all workers that could accept from what s does not name know that they must not? */
static bool
elders_left_listeners(const struct master *m, int64_t now_ms)
{
	const struct generation *g;
	uint32_t i;

	for (g = m->newest; g != NULL; g = g->older) {
		bool waited = g->drain_ms != 0 && now_ms - g->drain_ms > STOP_POLLING_MS;

		if (g->phase == GEN_LIVE && (m->stopping || g != m->newest))
			return false;
		for (i = 0; g->phase == GEN_DRAINING && !waited && i < g->counts[WORKER_LOGIN]; i++)
			if (g->slots[WORKER_LOGIN][i].pid != 0 &&
			    atomic_load(&g->slots[WORKER_LOGIN][i].row->state) != SLOT_DRAINING)
				return false;
	}
	return true;
}

static void
close_old_listeners(struct master *m, int64_t now_ms)
{
	if (m->listens_closed || m->newest == NULL || !elders_left_listeners(m, now_ms))
		return;
	m->listens_closed = true;
	listen_close_others(m->listens, m->stopping ? NULL : &m->newest->conf->settings);
}

static void
log_ready(const struct master *m)
{
	const struct generation *g = m->newest;
	char listeners[600];

	listen_describe(&g->conf->settings, listeners, sizeof(listeners));
	pst_log_info(NULL, "server.ready",
	             "version=%s generation=%u login=%u auth=%u mail=%u took_ms=%lld %s",
	             PACKAGE_VERSION, g->number, g->counts[WORKER_LOGIN], g->counts[WORKER_AUTH],
	             g->counts[WORKER_MAIL], (long long)(pst_now_ms() - g->made_ms), listeners);
}

static void
on_live(struct master *m, int64_t now_ms)
{
	struct generation *g;

	log_ready(m);
	listen_commit(m->listens);
	m->listens_closed = false;
	for (g = m->newest->older; g != NULL; g = g->older)
		supervise_drain(g, now_ms);
	notify_state("READY=1");
	if (m->was_ready)
		control_reload_done(m->control, m->reload_serial, true, "");
	m->was_ready = true;
}

static void
on_failed(struct master *m, struct generation *g)
{
	char text[sizeof(g->failure) + 1];

	(void)snprintf(text, sizeof(text), "%s\n", g->failure);
	if (!m->was_ready) {
		if (!m->stopping) {
			pst_log_error(NULL, "server.not_started", "reason=\"%s\"", g->failure);
			m->exit_status = 1;
		}
		m->stopping = true;
		return;
	}
	listen_rollback(m->listens);
	pst_log_error(NULL, "reload.failed", "reason=\"%s\" still=%u", g->failure,
	              g->older != NULL ? g->older->number : 0);
	control_reload_done(m->control, m->reload_serial, false, text);
	notify_state("READY=1");
}

/* ---- Signals ---- */

void
master_stop(struct master *m)
{
	struct generation *g;
	int64_t now_ms = pst_now_ms();

	if (m->stopping) {
		m->stopping_now = true;
		for (g = m->newest; g != NULL; g = g->older)
			supervise_stop_now(g, now_ms);
		return;
	}
	m->stopping = true;
	m->listens_closed = false;
	notify_state("STOPPING=1");
	for (g = m->newest; g != NULL; g = g->older)
		supervise_drain(g, now_ms);
}

static void
reap_all(struct master *m)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (m->reading != NULL && pid == conf_reading_pid(m->reading))
			reload_read(m, status);
		else if (!supervise_reap(m, pid, status, pst_now_ms()))
			pst_log_debug(NULL, "child.unknown", "pid=%d", (int)pid);
	}
}

static void
on_signal(void *arg, uint32_t events)
{
	struct master *m = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(m->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch ((int)si.ssi_signo) {
		case SIGHUP:
			pst_log_info(NULL, "server.reload", "by=signal");
			(void)master_reload(m);
			break;
		case SIGUSR1:
			if (m->newest != NULL)
				reload_reopen_log(m);
			break;
		case SIGTERM:
		case SIGINT:
			pst_log_info(NULL, "server.stop", "by=signal again=%d", m->stopping);
			master_stop(m);
			break;
		default: /* SIGCHLD: signals of one kind become one, so reap_all is always asked */
			break;
		}
	}
	reap_all(m);
}

/* Mail workers that are asked for a maildrop are told so. At most as many as there can be: a broken
 * worker that asks for ever holds nobody up. */
static void
pass_asks_on(struct master *m)
{
	uint32_t place;
	uint64_t owner;
	int i;

	for (i = 0; i < HOLDERS_ASKS && holders_next_ask(m->holders, &m->asks_seen, &place, &owner);
	     i++) {
		const uint32_t number = usage_owner_generation(owner),
			       slot = usage_owner_slot(owner);
		struct generation *g;

		for (g = m->newest; g != NULL && g->number != number; g = g->older)
			;
		if (g != NULL && slot < g->counts[WORKER_MAIL])
			generation_order(&g->slots[WORKER_MAIL][slot], ORDER_CLAIMED, place);
	}
}

static void
on_wake(void *arg, uint32_t events)
{
	struct master *m = arg;
	uint64_t count;

	(void)events;
	if (read(m->wake_fd, &count, sizeof(count)) < 0)
		return; /* somebody's change is seen at this turn of the loop in any case */
	pass_asks_on(m);
}

/* ---- The loop ---- */

static void
renew_ticket_key(struct master *m, int64_t now_ms)
{
	if (now_ms < m->tls_renew_ms)
		return;
	tls_share_renew(m->tls);
	m->tls_renew_ms = now_ms + TICKET_KEY_MS;
}

static void
tick_generations(struct master *m, int64_t now_ms)
{
	struct generation *g, *older;

	for (g = m->newest; g != NULL; g = older) {
		enum generation_phase before = g->phase;

		older = g->older;
		supervise_tick(m, g, now_ms);
		if (before != GEN_LIVE && g->phase == GEN_LIVE)
			on_live(m, now_ms);
		if (g->phase == GEN_FAILED && !g->failure_told) {
			g->failure_told = true;
			on_failed(m, g);
		}
		if ((g->phase == GEN_EMPTYING || g->phase == GEN_FAILED) &&
		    generation_running_all(g) == 0) {
			pst_log_info(NULL, "generation.end", "generation=%u", g->number);
			remove_generation(m, g);
		}
	}
}

static int
wait_ms(struct master *m, int64_t now_ms)
{
	const struct generation *g;
	int64_t due = control_tick(m->control, now_ms);
	int64_t left;

	for (g = m->newest; g != NULL; g = g->older) {
		int64_t d = supervise_due(g);

		due = d < due ? d : due;
	}
	left = due - now_ms;
	if (left < 0)
		return 0;
	return left < TICK_MS ? (int)left : TICK_MS;
}

static void
turn(struct master *m)
{
	struct epoll_event events[16];
	int64_t now_ms = pst_now_ms();
	int n, i;

	n = epoll_wait(m->epoll_fd, events, 16, wait_ms(m, now_ms));
	for (i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		w->ready(w->arg, events[i].events);
	}
	now_ms = pst_now_ms();
	renew_ticket_key(m, now_ms);
	tick_generations(m, now_ms);
	close_old_listeners(m, now_ms);
	reload_tick(m);
}

static void
warn_sandbox(const struct master *m, const struct settings *s)
{
	char missing[256];

	if (s->server.sandbox == SANDBOX_OFF)
		pst_log_warn(
			NULL, "sandbox.off",
			"hint=\"server.sandbox is off: system calls and files are not bounded\"");
	sandbox_missing(m->is_root, missing, sizeof(missing));
	if (missing[0] != '\0')
		pst_log_warn(NULL, "sandbox.partial", "missing=\"%s\"", missing);
}

static void
warn_missing_root(const struct mail_settings *mail)
{
	struct pst_arena *arena = pst_arena_create();
	const char *path;

	if (paths_missing_root(mail, arena, &path))
		pst_log_warn(NULL, "mail.missing",
		             "path=\"%s\" hint=\"make it and reload: mail workers cannot see a "
		             "folder that is made later\"",
		             path);
	pst_arena_destroy(arena);
}

static int
start(struct master *m, struct conf *conf, struct pst_err *err)
{
	const struct settings *s = &conf->settings;

	if (rundir_probe(s->server.runtime_dir, err) != 0 ||
	    reload_begin_generation(m, conf, err) != 0)
		return -1;
	if (rundir_open(s->server.runtime_dir, &m->runtime_fd, &m->lock_fd, err) != 0)
		return -1;
	m->control = control_open(m, err);
	if (m->control == NULL || reload_adopt_settings(s, err) != 0)
		return -1;
	warn_sandbox(m, s);
	warn_missing_root(&s->mail);
	return 0;
}

int
master_run(struct master *m, struct conf *conf)
{
	struct pst_err err;

	if (start(m, conf, &err) != 0) {
		(void)fprintf(stderr, "postern: %s\n", err.text);
		if (m->newest == NULL)
			conf_destroy(&m->regions, conf);
		return 1;
	}
	while (m->newest != NULL)
		turn(m);
	if (m->was_ready)
		pst_log_info(NULL, "server.end", "ran_s=%lld",
		             (long long)((pst_now_ms() - m->started_ms) / 1000));
	control_flush(m->control);
	return m->exit_status;
}

/* ---- Beginning and end ---- */

static int
open_signals(struct master *m, struct pst_err *err)
{
	static const int numbers[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1 };
	sigset_t set;
	size_t i;

	(void)sigemptyset(&set);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		(void)sigaddset(&set, numbers[i]);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return pst_err_sys(err, PST_E_PERM, "sigprocmask");
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signal_fd < 0)
		return pst_err_sys(err, PST_E_PERM, "signalfd");
	m->on_signal = (struct watch){ on_signal, m };
	return master_watch(m, m->signal_fd, EPOLLIN, &m->on_signal, err);
}

int
master_init(struct master *m, struct pst_err *err)
{
	tzset(); /* reads /etc/localtime, which workers cannot */
	m->pid = getpid();
	m->is_root = geteuid() == 0;
	m->started_ms = pst_now_ms();
	m->epoll_fd = m->signal_fd = m->wake_fd = m->lock_fd = m->runtime_fd = -1;
	m->listens = listen_create();
	listen_adopt(m->listens);
	m->tls = region_create(&m->regions, sizeof(*m->tls));
	renew_ticket_key(m, m->started_ms);
	m->usage = region_create(&m->regions, sizeof(*m->usage));
	usage_init(m->usage);
	m->holders = region_create(&m->regions, sizeof(*m->holders));
	holders_init(m->holders);
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll_fd < 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_create1");
	m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->wake_fd < 0)
		return pst_err_sys(err, PST_E_PERM, "eventfd");
	m->on_wake = (struct watch){ on_wake, m };
	if (master_watch(m, m->wake_fd, EPOLLIN, &m->on_wake, err) != 0)
		return -1;
	return open_signals(m, err);
}

void
master_clear(struct master *m)
{
	const int fds[] = { m->epoll_fd, m->signal_fd, m->wake_fd, m->runtime_fd, m->lock_fd };
	size_t i;

	while (m->newest != NULL)
		remove_generation(m, m->newest);
	control_close(m->control);
	listen_destroy(m->listens);
	pst_wipe(m->tls, sizeof(*m->tls));
	region_destroy(&m->regions, m->tls);
	region_destroy(&m->regions, m->usage);
	region_destroy(&m->regions, m->holders);
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}
