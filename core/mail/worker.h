/* SPDX-License-Identifier: MIT */
/* mail/worker.h - the mail worker: serves TRANSACTION and UPDATE for users who have logged in. */
#ifndef MAIL_WORKER_H
#define MAIL_WORKER_H

#include "ipc/env.h"

extern const struct worker_code mail_worker;

#endif
