/* SPDX-License-Identifier: MIT */
/* The hash queue, from both ends; see answer.h. What waits there is bounded by its room and by time:
 * more than can be served in time would only make everybody's answer late. */
#include "authn/answer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"

#define QUIET_MS 10000 /* without a refusal: then it is over */

/* A storm brings many: it is told of when it begins and when it is over. */
static void
refuse_overload(struct request *r, const char *reason)
{
	struct authn *a = r->a;
	const int64_t now = pst_now_ms();

	atomic_fetch_add(&a->env->self->overloaded, 1);
	if (a->overloaded_ms == 0)
		pst_log_warn(NULL, "auth.overload",
		             "reason=\"%s\" hint=\"logins that take a hash are told to try later; "
		             "see auth.hash_workers\"",
		             reason);
	a->overloaded_ms = now;
	r->reply = (struct wire_auth_reply){
		.kind = PST_E_TEMP,
		.delay_ms = (uint32_t)r->policy_delay_ms,
	};
}

static void
note_room(struct authn *a)
{
	if (a->overloaded_ms == 0 || pst_now_ms() - a->overloaded_ms < QUIET_MS)
		return;
	a->overloaded_ms = 0;
	pst_log_info(NULL, "auth.overload_over", "refused=%llu",
	             (unsigned long long)atomic_load(&a->env->self->overloaded));
}

bool
forward_try(struct request *r)
{
	struct authn *a = r->a;
	struct wire_auth_request m = r->wire;
	struct pst_err err;
	size_t n;
	int rc;

	m.is_forwarded = true;
	m.started_ms = (uint64_t)r->started_ms;
	m.policy_delay_ms = (uint32_t)r->policy_delay_ms;
	n = wire_auth_request_encode(&m, r->head.incarnation, r->head.request, a->out);
	pst_assert(n > 0); /* it came in one like it */
	rc = channel_send(a->env->hash_queue, a->out, n, -1, &err);
	pst_wipe(a->out, n);
	r->is_forwarded = rc == 0;
	return r->is_forwarded;
}

void
forward_send(struct request *r)
{
	if (forward_try(r))
		note_room(r->a);
	else
		refuse_overload(r, "the hash queue is full");
}

/* login waits for auth.timeout and a little more; a check may take as long as that. */
bool
forward_is_late(struct request *r)
{
	if (r->taken_ms - r->started_ms > r->a->env->settings->auth.timeout / 2) {
		refuse_overload(r, "requests wait too long in the hash queue");
		return true;
	}
	note_room(r->a);
	return false;
}
