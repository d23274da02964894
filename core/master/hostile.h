/* SPDX-License-Identifier: MIT */
/* master/hostile.h - a test build (--enable-hostile) whose workers try forbidden steps. */
#ifndef MASTER_HOSTILE_H
#define MASTER_HOSTILE_H

#include <sys/types.h>

#include "ipc/env.h"

#ifdef PST_HOSTILE
/* Where the environment has POSTERN_HOSTILE_TARGETS ("maildrop=/x key=/y database=/z other=/o
 * port=110"): tries each step that the kind has no right to and logs one "hostile.step" line for
 * each, "result=refused" or "result=ALLOWED". */
void hostile_steps(const struct worker_env *env, pid_t master);

/* The same in a mail process that has become a user, other= being somebody else's mail; one more
 * step, "own", must be allowed. */
void hostile_steps_confined(const struct worker_env *env);
#else
static inline void
hostile_steps(const struct worker_env *env, pid_t master)
{
	(void)env, (void)master;
}

static inline void
hostile_steps_confined(const struct worker_env *env)
{
	(void)env;
}
#endif

#endif
