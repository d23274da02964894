/* SPDX-License-Identifier: MIT */
/* mail/single.h - run_as = "user": a process that waits, becomes the user, serves one session and
 * ends. Until then it is root. */
#ifndef MAIL_SINGLE_H
#define MAIL_SINGLE_H

#include "ipc/env.h"

int mail_single_run(const struct worker_env *env); /* the process's exit status */

#endif
