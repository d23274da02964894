/* SPDX-License-Identifier: MIT */
/* authn/busy.h - what the master sees of the clerk: in which call of which backend it is, so that a call
 * that takes longer than auth.timeout has the clerk ended, and the log names the backend. */
#ifndef AUTHN_BUSY_H
#define AUTHN_BUSY_H

#include "ipc/env.h"

void busy_begin(const struct worker_env *env, const char *backend, const char *call);
void busy_end(const struct worker_env *env);

#endif
