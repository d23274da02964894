/* SPDX-License-Identifier: MIT */
/* mail/serve.h - the event loop of a mail process, with its inbox and its clock. */
#ifndef MAIL_SERVE_H
#define MAIL_SERVE_H

#include "ipc/env.h"
#include "mail/handoff.h"

#define MAIL_LINGER_MS 3000

/* Serves until it is told to stop or drain, and all sessions have ended. only: the one session
 * that there will be (run_as = "user"), or NULL: as many as are handed over. The plugins have
 * started. Returns the process's exit status. */
int mail_serve(const struct worker_env *env, struct handoff_desk *desk, const struct handoff *only);

#endif
