/* SPDX-License-Identifier: MIT */
/* login/worker.h - the process that clients meet first: TLS and the AUTHORIZATION state, for
 * thousands of them in one event loop. It sees no mail, no hash and no private key. */
#ifndef LOGIN_WORKER_H
#define LOGIN_WORKER_H

#include "ipc/env.h"

extern const struct worker_code login_worker;

#endif
