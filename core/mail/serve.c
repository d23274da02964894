/* SPDX-License-Identifier: MIT */
/* The event loop of a mail process; see serve.h. */
#include "mail/serve.h"

#include <malloc.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/changes.h"
#include "ipc/channel.h"
#include "ipc/usage.h"
#include "ipc/wire.h"
#include "mail/takeover.h"

#define TICK_MS 1000
#define INBOX_TURN 32    /* messages looked at before sessions have their turn */
#define POOL_THREADS "8" /* that wait for storage at the same time */

struct server {
	const struct worker_env *env;
	struct handoff_desk *desk;
	bool has_only; /* one session */
	uint32_t max_sessions;
	uv_loop_t loop;
	uv_poll_t inbox;
	uv_timer_t timer;
	struct mail mail;
	bool is_draining; /* ends when the last session does */
	bool is_trimmed;  /* memory was given back since the last session */
	int status;
	uint8_t message[MSG_MAX_OCTETS];
};

static void
take_handoff(struct server *sv, struct pst_str message, int fd)
{
	struct handoff h;
	struct pst_err err;

	if (handoff_read(sv->desk, message, fd, &h, &err) != 0) {
		pst_log_error(NULL, "mail.message", "reason=\"%s\"", err.text);
		return;
	}
	sv->is_trimmed = false;
	if (sv->has_only || sv->mail.is_stopping)
		pst_err_set(&err, PST_E_TEMP, "this process takes no more sessions");
	else if (sv->mail.drop_count >= sv->max_sessions)
		pst_err_set(&err, PST_E_TEMP, "mail.max_sessions are open");
	else {
		handoff_start(sv->env, &sv->mail, &h);
		return;
	}
	handoff_refuse(&sv->mail, &h, &err);
}

static void
stop(struct server *sv)
{
	sv->is_draining = true;
	mail_stop(&sv->mail);
}

static void
obey(struct server *sv, struct pst_str message)
{
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;

	if (wire_order_decode(message, &head, &order, &err) != 0) {
		pst_log_error(NULL, "mail.message", "reason=\"%s\"", err.text);
		return;
	}
	switch (order.order) {
	case ORDER_DRAIN:
		sv->is_draining = true;
		atomic_store(&sv->env->self->state, SLOT_DRAINING);
		break;
	case ORDER_STOP:
		stop(sv);
		break;
	case ORDER_END_SESSION:
		if (!mail_end_row(&sv->mail, order.row))
			pst_log_debug(NULL, "order.late", "row=%u", order.row);
		break;
	case ORDER_CLAIMED:
		mail_takeover_asked(&sv->mail, order.row);
		break;
	case ORDER_CHANGED: /* the clerk's */
		break;
	}
}

/* false: none waits. */
static bool
take_message(struct server *sv)
{
	struct pst_str message = { (const char *)sv->message, 0 };
	struct pst_err err;
	int fd = -1;
	ssize_t n = channel_recv(sv->env->inbox, sv->message, sizeof(sv->message), &fd, &err);

	if (n == 0)
		return false;
	if (n < 0) {
		if (err.kind != PST_E_CLOSED) {
			pst_log_error(NULL, "mail.message", "reason=\"%s\"", err.text);
			return true;
		}
		/* The master keeps both ends: it is gone, and its workers with it in a moment. */
		sv->status = 1;
		(void)uv_poll_stop(&sv->inbox);
		stop(sv);
		return false;
	}
	message.n = (size_t)n;
	if (wire_type(message) == MSG_HANDOFF) {
		take_handoff(sv, message, fd);
		return true;
	}
	if (fd >= 0)
		close(fd);
	obey(sv, message);
	return true;
}

/* A hand-off may have come before the order to drain was looked at, or after it. */
static void
stop_if_done(struct server *sv)
{
	while (sv->is_draining && sv->mail.session_count == 0)
		if (sv->status != 0 || !take_message(sv)) {
			uv_stop(&sv->loop);
			return;
		}
}

static void
on_inbox(uv_poll_t *handle, int status, int events)
{
	struct server *sv = handle->data;
	int i;

	(void)status, (void)events; /* an error shows itself in the receiving */
	for (i = 0; i < INBOX_TURN; i++)
		if (!take_message(sv))
			break;
	stop_if_done(sv);
}

static void
on_emptied(void *arg)
{
	stop_if_done(arg);
}

static void
on_tick(uv_timer_t *handle)
{
	struct server *sv = handle->data;

	mail_tick(&sv->mail, (int64_t)uv_now(&sv->loop));
	if (sv->mail.session_count == 0 && !sv->is_trimmed) {
		sv->is_trimmed = true;
		(void)malloc_trim(0); /* what a thousand sessions took would stay for ever */
	}
}

static void
open_loop(struct server *sv)
{
	const struct worker_env *env = sv->env;
	const struct mail_settings *set = &env->settings->mail;
	const struct mail_limits limits = {
		.idle_ms = set->timeout,
		.linger_ms = MAIL_LINGER_MS,
		.max_bad_commands = (uint32_t)set->max_bad_commands,
		.max_listed = (uint32_t)set->max_listed,
		.hides_nuls = set->hide_nuls,
		.ends_headers = set->end_headers,
		.has_last = set->last,
		.prefetch = set->prefetch,
		.takeover_ms = set->takeover ? set->takeover_after : 0,
	};
	int rc;

	/* All threads start with the first job. */
	(void)setenv("UV_THREADPOOL_SIZE", sv->has_only ? "1" : POOL_THREADS, 1);
	(void)mallopt(M_ARENA_MAX, 2); /* one a thread would keep some 100 KB each */
	rc = uv_loop_init(&sv->loop);
	if (rc == 0)
		rc = uv_poll_init(&sv->loop, &sv->inbox, env->inbox);
	if (rc == 0)
		rc = uv_poll_start(&sv->inbox, UV_READABLE, on_inbox);
	if (rc == 0)
		rc = uv_timer_init(&sv->loop, &sv->timer);
	if (rc == 0)
		rc = uv_timer_start(&sv->timer, on_tick, TICK_MS, TICK_MS);
	pst_assert(rc == 0); /* out of descriptors at the start: there is nothing to serve with */
	sv->inbox.data = sv;
	sv->timer.data = sv;
	mail_init(&sv->mail, &sv->loop, &limits);
	sv->mail.keeping = (struct mail_keeping){
		.expire_days = (uint32_t)set->expire_days,
		.expire_least = (uint32_t)set->expire_least,
		.hold_days = (uint32_t)set->hold_days,
		.mark_seen = set->mark_seen,
		.history = (int)set->history,
		.history_octets = (uint64_t)set->history_size,
	};
	sv->mail.board = env->board;
	sv->mail.self = env->self;
	sv->mail.slot = env->slot;
	sv->mail.changes = env->changes;
	if (env->settings->mail.locks == LOCKS_LEASE)
		sv->mail.lease_ms = env->settings->mail.lease_time;
	sv->mail.changes_at = changes_now(env->changes);
	sv->mail.notes = env->mail_notes;
	sv->mail.language = (uint8_t)env->settings->server.language;
	sv->mail.has_no_surrogates = !set->surrogates;
	sv->mail.usage = env->usage;
	sv->mail.usage_owner = usage_owner(env->generation, env->slot);
	sv->mail.holders = env->holders;
	sv->mail.wake_fd = env->wake_fd;
	sv->mail.emptied = on_emptied;
	sv->mail.arg = sv;
}

static void
close_loop(struct server *sv)
{
	int rc;

	uv_close((uv_handle_t *)&sv->inbox, NULL);
	uv_close((uv_handle_t *)&sv->timer, NULL);
	mail_clear(&sv->mail);
	(void)uv_run(&sv->loop, UV_RUN_DEFAULT);
	rc = uv_loop_close(&sv->loop);
	pst_assert(rc == 0); /* every handle is closed */
}

/* mail.max_sessions is for all mail workers together. */
static uint32_t
own_share(const struct worker_env *env)
{
	int64_t workers = env->mail_count == 0 ? 1 : env->mail_count;
	int64_t share = (env->settings->mail.max_sessions + workers - 1) / workers;

	return (uint32_t)share;
}

int
mail_serve(const struct worker_env *env, struct handoff_desk *desk, const struct handoff *only)
{
	struct server *sv = pst_new(struct server);
	int status;

	sv->env = env;
	sv->desk = desk;
	sv->max_sessions = own_share(env);
	sv->has_only = only != NULL;
	open_loop(sv);
	if (only != NULL) {
		sv->is_draining = true;
		handoff_start(env, &sv->mail, only);
	} else {
		env_tell_state(env, SLOT_READY);
	}
	(void)uv_run(&sv->loop, UV_RUN_DEFAULT);
	close_loop(sv);
	status = sv->status;
	free(sv);
	return status;
}
