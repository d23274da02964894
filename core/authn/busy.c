/* SPDX-License-Identifier: MIT */
/* See busy.h. Nobody asked for what the clerk does: the asker's incarnation is none. */
#include "authn/busy.h"

#include <stdio.h>

#include "base/clock.h"

void
busy_begin(const struct worker_env *env, const char *backend, const char *call)
{
	struct slot_row *row = env->self;
	char doing[sizeof(row->doing)];

	(void)snprintf(doing, sizeof(doing), "clerk: %s: %s", backend, call);
	slot_doing(row, pst_str_c(doing));
	atomic_store(&row->asker_incarnation, 0);
	atomic_store(&row->state, SLOT_BUSY);
	atomic_store(&row->busy_since_ms, pst_now_ms());
}

void
busy_end(const struct worker_env *env)
{
	atomic_store(&env->self->busy_since_ms, 0);
	atomic_store(&env->self->state, SLOT_READY);
	slot_doing(env->self, PST_LIT("clerk"));
}
