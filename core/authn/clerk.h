/* SPDX-License-Identifier: MIT */
/* authn/clerk.h - the auth worker that nobody waits for: it tells the backends who logged in and what
 * sessions did, stores passwords anew, and hears from them what changed. */
#ifndef AUTHN_CLERK_H
#define AUTHN_CLERK_H

#include "ipc/env.h"

/* The worker's run; see ipc/env.h. */
int clerk_run(const struct worker_env *env);

#endif
