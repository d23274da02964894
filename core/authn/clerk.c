/* SPDX-License-Identifier: MIT */
/* The clerk's loop; see clerk.h. */
#include "authn/clerk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/wire.h"
#include "plugin/registry.h"

enum { AT_INBOX, AT_AUTH_NOTES, AT_MAIL_NOTES, ENDS };

struct clerk {
	const struct worker_env *env;
	bool stop;
	uint8_t in[MSG_MAX_OCTETS];
};

/* One message of an end into in; its length, 0 where there is none (any more). */
static size_t
take(struct clerk *c, int end)
{
	struct pst_err err;
	ssize_t n = channel_recv(end, c->in, sizeof(c->in), NULL, &err);

	if (n < 0)
		pst_log_error(NULL, "clerk.message", "reason=\"%s\"", err.text);
	return n > 0 ? (size_t)n : 0;
}

static void
obey(struct clerk *c)
{
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;
	size_t n = take(c, c->env->inbox);

	if (n == 0)
		return;
	if (wire_order_decode((struct pst_str){ (const char *)c->in, n }, &head, &order, &err) != 0)
		pst_log_error(NULL, "clerk.message", "reason=\"%s\"", err.text);
	else if (order.order == ORDER_STOP)
		c->stop = true;
}

static void
take_note(struct clerk *c, int end)
{
	size_t n = take(c, end);

	pst_wipe(c->in, n);
}

static int
serve(struct clerk *c)
{
	struct pollfd at[ENDS] = {
		[AT_INBOX] = { .fd = c->env->inbox, .events = POLLIN },
		[AT_AUTH_NOTES] = { .fd = c->env->auth_notes, .events = POLLIN },
		[AT_MAIL_NOTES] = { .fd = c->env->mail_notes, .events = POLLIN },
	};

	while (!c->stop) {
		if (poll(at, ENDS, -1) < 0 && errno != EINTR) {
			pst_log_error(NULL, "clerk.loop", "reason=\"%s\"", strerror(errno));
			return 1;
		}
		if ((at[AT_INBOX].revents & (POLLHUP | POLLERR)) != 0)
			return 1; /* the master is gone */
		if (at[AT_INBOX].revents != 0)
			obey(c);
		if (at[AT_AUTH_NOTES].revents != 0)
			take_note(c, c->env->auth_notes);
		if (at[AT_MAIL_NOTES].revents != 0)
			take_note(c, c->env->mail_notes);
	}
	return 0;
}

int
clerk_run(const struct worker_env *env)
{
	struct clerk *c;
	struct pst_err err;
	int status;

	if (registry_start(env->plugins, "auth", &err) != 0) {
		slot_failure(env->self, pst_str_c(err.text));
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", env->slot, err.text);
		return 1;
	}
	c = pst_new(struct clerk);
	c->env = env;
	env_tell_state(env, SLOT_READY);
	slot_doing(env->self, PST_LIT("clerk"));
	status = serve(c);
	pst_wipe(c->in, sizeof(c->in));
	free(c);
	return status;
}
