/* SPDX-License-Identifier: MIT */
/* A login worker's life: made before the sandbox, run after it, drained or stopped by order. */
#include "login/worker.h"

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "login/asker.h"
#include "login/client.h"
#include "plugin/registry.h"

#define TICK_MS 1000
/* Beyond auth.timeout, after which the master has killed the auth worker. */
#define AUTH_GRACE_MS 2000
#define STOP_GRACE_MS 1500 /* for what mail workers still say through relays */
#define TRIM_AFTER 128     /* connections closed, before memory is worth giving back */
#define TRIM_QUIET 16      /* new ones in a second, up to which the burst is over */
#define TRIM_MS 60000      /* after so long it is given back in any case: milliseconds for 10 MB */
#define MESSAGES_AT_ONCE 64

static struct login *loaded; /* from load to run; there is one worker in a process */

/* ---- Waiting ---- */

int64_t
login_now(const struct login *l)
{
	return (int64_t)uv_now(&l->loop);
}

static struct client *
client_of(struct deadline *d)
{
	return (struct client *)((char *)d - offsetof(struct client, deadline));
}

static void
on_penalty(uv_timer_t *timer)
{
	struct login *l = timer->data;
	struct deadline *d;

	while ((d = deadline_take_due(&l->penalties, login_now(l))) != NULL)
		client_delay_over(client_of(d));
	if (l->penalties.first != NULL) {
		int64_t wait = l->penalties.first->due_ms - login_now(l);

		(void)uv_timer_start(&l->penalty, on_penalty, wait > 0 ? (uint64_t)wait : 0, 0);
	}
}

void
login_delay(struct client *c, int64_t delay_ms)
{
	struct login *l = c->login;

	deadline_set_at(&l->penalties, &c->deadline, login_now(l) + delay_ms);
	if (l->penalties.first == &c->deadline)
		(void)uv_timer_start(&l->penalty, on_penalty, (uint64_t)delay_ms, 0);
}

/* Heap that a burst of connections has left. Under steady load it would be asked for again at once. */
static void
give_memory_back(struct login *l)
{
	const size_t opened = l->opened;

	l->opened = 0;
	if (l->closed < TRIM_AFTER ||
	    (opened > TRIM_QUIET && login_now(l) - l->trimmed_ms < TRIM_MS))
		return;
	l->closed = 0;
	l->trimmed_ms = login_now(l);
	(void)malloc_trim(0);
}

static void
accept_again(struct login *l)
{
	size_t i;

	if (l->is_accepting || l->is_draining)
		return;
	l->is_accepting = true;
	for (i = 0; i < l->listener_count; i++)
		listener_poll(&l->listeners[i], true);
}

static void
on_tick(uv_timer_t *timer)
{
	struct login *l = timer->data;
	struct deadline *d;
	size_t i;

	for (i = 0; i < WAIT_KINDS; i++)
		while ((d = deadline_take_due(&l->waits[i], login_now(l))) != NULL)
			client_overdue(client_of(d));
	accept_again(l);
	give_memory_back(l);
	if (l->is_stopping && login_now(l) >= l->stop_ms)
		uv_stop(&l->loop);
}

/* ---- Orders ---- */

static void
drain(struct login *l)
{
	size_t i;

	l->is_draining = true;
	atomic_store(&l->env->self->state, SLOT_DRAINING);
	/* Not closed: the worker after this one accepts on the same sockets. */
	for (i = 0; i < l->listener_count; i++)
		listener_poll(&l->listeners[i], false);
	if (l->client_count == 0)
		uv_stop(&l->loop);
}

static void
stop(struct login *l)
{
	struct client *c, *next;

	l->is_stopping = true;
	l->stop_ms = login_now(l) + STOP_GRACE_MS;
	for (c = l->clients; c != NULL; c = next) {
		next = c->next;
		client_shut_down(c);
	}
	drain(l);
}

static void
end_session(struct login *l, uint32_t row)
{
	struct client *c;

	for (c = l->clients; c != NULL; c = c->next)
		if (c->owns_row && c->row == row)
			break;
	if (c != NULL)
		client_shut_down(c);
}

static void
take_order(struct login *l, struct pst_str data)
{
	struct wire_order_msg m;
	struct msg_head head;
	struct pst_err err;

	if (wire_order_decode(data, &head, &m, &err) != 0) {
		pst_log_error(NULL, "login.message", "reason=\"%s\"", err.text);
		return;
	}
	switch (m.order) {
	case ORDER_DRAIN:
		drain(l);
		break;
	case ORDER_STOP:
		stop(l);
		break;
	case ORDER_END_SESSION:
		end_session(l, m.row);
		break;
	case ORDER_CHANGED: /* the clerk's */
	case ORDER_CLAIMED: /* mail's */
		break;
	}
}

static void
take_message(struct login *l, struct pst_str data)
{
	switch (wire_type(data)) {
	case MSG_AUTH_REPLY:
		handoff_reply(l, data);
		break;
	case MSG_ORDER:
		take_order(l, data);
		break;
	default:
		pst_log_error(NULL, "login.message", "reason=\"a message that is not for login\"");
	}
}

/* A buffer of its own: what a message leads to is written into l->message. */
static void
on_inbox(uv_poll_t *handle, int status, int events)
{
	struct login *l = handle->data;
	uint8_t *data = l->letter;
	unsigned i;

	(void)status, (void)events;
	for (i = 0; i < MESSAGES_AT_ONCE; i++) {
		struct pst_err err;
		ssize_t n = channel_recv(l->env->inbox, data, MSG_MAX_OCTETS, NULL, &err);

		if (n == 0)
			return;
		if (n < 0) {
			/* The master keeps both ends: it is gone, and its workers with it in a moment. */
			if (err.kind == PST_E_CLOSED)
				(void)uv_poll_stop(&l->inbox);
			else
				pst_log_error(NULL, "login.inbox", "reason=\"%s\"", err.text);
			return;
		}
		take_message(l, (struct pst_str){ (const char *)data, (size_t)n });
	}
}

/* ---- Before the sandbox ---- */

/* As many connections as the system lets this process have. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* How long mail stays, whosever it is. */
static uint32_t
least_days(const struct mail_settings *s)
{
	const int64_t least = s->expire_least;

	return (uint32_t)(least > 0 && (s->expire_days == 0 || least < s->expire_days)
	                          ? least
	                          : s->expire_days);
}

static void
make_listeners(struct login *l)
{
	const struct settings *s = l->env->settings;
	size_t i;

	l->mechanisms = mechanism_set(s->auth.mechanisms);
	l->listener_count = l->env->listener_count;
	l->listeners = pst_new_array(struct listener, l->listener_count);
	for (i = 0; i < l->listener_count; i++) {
		struct listener *li = &l->listeners[i];

		li->login = l;
		li->fd = l->env->listeners[i].fd;
		li->settings = &s->listeners[l->env->listeners[i].listener];
		li->rules = (struct dialog_rules){
			.mechanisms = l->mechanisms,
			.has_guest = mechanism_guest(&s->auth, PST_LIT("")).n > 0,
			.plaintext_login = li->settings->plaintext_login,
			.can_stls = li->settings->tls == TLS_STLS,
			.max_bad_commands = s->login.max_bad_commands,
			.max_auth_failures = s->login.max_auth_failures,
			.language = (uint8_t)s->server.language,
			.expire_days = least_days(&s->mail),
			.expire_is_least = s->mail.expire_least > 0,
		};
	}
}

static void
make_waits(struct login *l)
{
	const struct settings *s = l->env->settings;

	deadline_list_init(&l->waits[WAIT_HANDSHAKE], s->login.handshake_timeout);
	deadline_list_init(&l->waits[WAIT_COMMAND], s->login.timeout);
	deadline_list_init(&l->waits[WAIT_AUTH], s->auth.timeout + AUTH_GRACE_MS);
	deadline_list_init(&l->waits[WAIT_LINGER], LOGIN_LINGER_MS);
	deadline_list_init(&l->waits[WAIT_STALLED], s->mail.timeout);
	deadline_list_init(&l->penalties, 0);
}

static void
destroy(struct login *l)
{
	tls_server_destroy(l->tls);
	asker_destroy(l->asker);
	pst_buf_clear(&l->reply);
	pst_wipe(l->letter, MSG_MAX_OCTETS);
	free(l->letter);
	free(l->message);
	free(l->scratch);
	free(l->listeners);
	free(l);
}

static int
login_load(const struct worker_env *env, struct pst_err *err)
{
	struct tls_oracle oracle;
	struct tls_stream *trial;
	struct login *l = pst_new(struct login);

	l->env = env;
	l->scratch = pst_alloc(LOGIN_SCRATCH_OCTETS);
	l->message = pst_alloc(MSG_MAX_OCTETS);
	l->letter = pst_alloc(MSG_MAX_OCTETS);
	pst_buf_init(&l->reply, LOGIN_REPLY_OCTETS);
	pst_random(&l->request, sizeof(l->request));
	l->request >>= 1; /* never 0 within this process's life */
	raise_descriptor_limit();
	make_listeners(l);
	make_waits(l);
	l->asker = asker_create(env->keys, env->incarnation);
	oracle = asker_oracle(l->asker);
	l->tls = tls_server_create(&env->settings->tls, env->tls, &oracle, err);
	if (l->tls == NULL ||
	    registry_load(env, PST_POLICY, env->settings->policy_order, err) != 0) {
		destroy(l);
		return -1;
	}
	/* Whatever a first session opens, it opens now. */
	trial = tls_stream_open(l->tls, -1, err);
	tls_stream_close(trial);
	tzset();
	loaded = l;
	return 0;
}

/* ---- After it ---- */

static int
start_loop(struct login *l, struct pst_err *err)
{
	size_t i;
	int rc;

	(void)uv_timer_init(&l->loop, &l->tick);
	(void)uv_timer_init(&l->loop, &l->penalty);
	l->tick.data = l->penalty.data = l->inbox.data = l;
	(void)uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
	rc = uv_poll_init(&l->loop, &l->inbox, l->env->inbox);
	if (rc != 0)
		return pst_err_set(err, PST_E_PERM, "inbox: %s", uv_strerror(rc));
	(void)uv_poll_start(&l->inbox, UV_READABLE, on_inbox);
	l->is_accepting = true;
	for (i = 0; i < l->listener_count; i++)
		if (listener_start(&l->listeners[i], err) != 0)
			return -1;
	return 0;
}

static void
close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Frees all, so that a leak checker finds what was forgotten. */
static void
end_loop(struct login *l)
{
	while (l->clients != NULL)
		client_free(l->clients);
	uv_walk(&l->loop, close_handle, NULL);
	do { /* a uv_stop that came late ends a run before it has begun */
		(void)uv_run(&l->loop, UV_RUN_DEFAULT);
	} while (uv_loop_close(&l->loop) == UV_EBUSY);
}

static int
serve(struct login *l, struct pst_err *err)
{
	if (registry_start(l->env->plugins, "login", err) != 0 || start_loop(l, err) != 0)
		return -1;
	env_tell_state(l->env, SLOT_READY);
	(void)uv_run(&l->loop, UV_RUN_DEFAULT);
	return 0;
}

static int
login_run(const struct worker_env *env)
{
	struct login *l = loaded;
	struct pst_err err;
	int rc;

	pst_assert(l != NULL && l->env == env);
	rc = uv_loop_init(&l->loop);
	if (rc == 0) {
		rc = serve(l, &err);
		end_loop(l);
	} else {
		pst_err_set(&err, PST_E_PERM, "event loop: %s", uv_strerror(rc));
	}
	if (rc != 0)
		pst_log_error(NULL, "login.start", "reason=\"%s\"", err.text);
	destroy(l);
	loaded = NULL;
	return rc == 0 ? 0 : 1;
}

const struct worker_code login_worker = { .load = login_load, .run = login_run };
