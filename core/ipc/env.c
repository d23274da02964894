/* SPDX-License-Identifier: MIT */
/* What every kind of worker says of itself; see env.h. */
#include "ipc/env.h"

#include <unistd.h>

void
env_tell_state(const struct worker_env *env, enum slot_state state)
{
	const uint64_t one = 1;

	if (state == SLOT_READY)
		slot_doing(env->self, PST_LIT("waiting"));
	atomic_store(&env->self->state, state);
	if (env->wake_fd >= 0 && write(env->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is at its end: the master is awake already */
}
