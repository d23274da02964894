/* SPDX-License-Identifier: MIT */
/* authn/worker.h - the auth worker: takes attempts to log in off the auth queue, one at a time. */
#ifndef AUTHN_WORKER_H
#define AUTHN_WORKER_H

#include "ipc/env.h"

extern const struct worker_code auth_worker;

#endif
