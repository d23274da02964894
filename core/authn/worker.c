/* SPDX-License-Identifier: MIT */
/* The auth worker's loop; see worker.h. All idle auth workers wait for one queue, each in a plain
 * epoll_wait with EPOLLEXCLUSIVE, so that a message wakes one of them. Calls may block: the queue
 * balances. */
#include "authn/worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "authn/clerk.h"
#include "authn/exchange.h"
#include "authn/request.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/channel.h"
#include "ipc/wire.h"
#include "plugin/registry.h"

struct loop {
	const struct worker_env *env;
	struct authn *authn;
	int epoll;
	bool stop;
	uint8_t in[MSG_MAX_OCTETS]; /* wiped after each message: it held a password */
};

static int
load(const struct worker_env *env, struct pst_err *err)
{
	if (registry_load(env, PST_AUTH, env->settings->auth.backends, err) != 0 ||
	    registry_load(env, PST_AUTH, env->settings->auth.master_backends, err) != 0)
		return -1;
	return registry_load(env, PST_POLICY, env->settings->policy_order, err);
}

static int
watch(struct loop *l, int fd, uint32_t events, struct pst_err *err)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_ctl");
	return 0;
}

/* One message of at most cap octets into in; its length, 0 where there is none (any more). */
static size_t
take(struct loop *l, int end)
{
	struct pst_err err;
	ssize_t n = channel_recv(end, l->in, sizeof(l->in), NULL, &err);

	if (n < 0)
		pst_log_error(NULL, "auth.message", "reason=\"%s\"", err.text);
	return n > 0 ? (size_t)n : 0;
}

static int
queue_of(const struct worker_env *env)
{
	return env->role == AUTH_HASH ? env->hash_queue : env->auth_queue;
}

static void
serve_queue(struct loop *l)
{
	size_t n = take(l, queue_of(l->env));

	if (n == 0)
		return; /* another worker was faster */
	authn_serve(l->authn, (struct pst_str){ (const char *)l->in, n });
	pst_wipe(l->in, n);
}

/* A generation that drains still logs its clients in, until the master says stop. */
static void
obey(struct loop *l, struct pst_str data)
{
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;

	if (wire_order_decode(data, &head, &order, &err) != 0)
		pst_log_error(NULL, "auth.message", "reason=\"%s\"", err.text);
	else if (order.order == ORDER_STOP)
		l->stop = true;
}

static void
serve_inbox(struct loop *l)
{
	size_t n = take(l, l->env->inbox);
	const struct pst_str data = { (const char *)l->in, n };

	if (n == 0)
		return;
	if (wire_type(data) == MSG_AUTH_STEP)
		exchanges_step(l->authn, data);
	else
		obey(l, data);
	pst_wipe(l->in, n);
}

/* The master keeps both ends of each channel, so a hang-up means that it is gone. */
static int
serve(struct loop *l)
{
	const uint32_t gone = EPOLLHUP | EPOLLERR;

	while (!l->stop) {
		struct epoll_event ev[2];
		int n = epoll_wait(l->epoll, ev, 2, exchanges_sweep(l->authn));
		int i;

		if (n < 0 && errno != EINTR) {
			pst_log_error(NULL, "auth.loop", "reason=\"%s\"", strerror(errno));
			return 1;
		}
		for (i = 0; i < n && !l->stop; i++) {
			if ((ev[i].events & gone) != 0)
				return 1;
			if (ev[i].data.fd == l->env->inbox)
				serve_inbox(l);
			else
				serve_queue(l);
		}
		if (registry_is_retiring(l->env->plugins)) {
			env_tell_state(l->env, SLOT_RETIRING);
			return 0;
		}
	}
	return 0;
}

static int
prepare(struct loop *l, struct pst_err *err)
{
	if (registry_start(l->env->plugins, "auth", err) != 0)
		return -1;
	l->authn = authn_create(l->env, err);
	if (l->authn == NULL)
		return -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return pst_err_sys(err, PST_E_PERM, "epoll_create1");
	if (watch(l, l->env->inbox, EPOLLIN, err) != 0)
		return -1;
	return watch(l, queue_of(l->env), EPOLLIN | EPOLLEXCLUSIVE, err);
}

static int
run(const struct worker_env *env)
{
	struct loop *l;
	struct pst_err err;
	int status = 1;

	if (env->role == AUTH_CLERK)
		return clerk_run(env);
	l = pst_new(struct loop);
	l->env = env;
	l->epoll = -1;
	if (prepare(l, &err) == 0) {
		env_tell_state(env, SLOT_READY);
		status = serve(l);
	} else {
		slot_failure(env->self, pst_str_c(err.text));
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", env->slot, err.text);
	}
	if (l->epoll >= 0)
		close(l->epoll);
	authn_destroy(l->authn);
	pst_wipe(l->in, sizeof(l->in));
	free(l);
	return status;
}

const struct worker_code auth_worker = { .load = load, .run = run };
