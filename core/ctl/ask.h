/* SPDX-License-Identifier: MIT */
/* ctl/ask.h - one request to a running server over its control socket. */
#ifndef CTL_ASK_H
#define CTL_ASK_H

#include <stdbool.h>

#include <postern/err.h>

#include "base/buf.h"

/* Sends the line and takes the reply, without its first line, which is *ok_out. -1: no server
 * listens there (PST_E_CLOSED), it refuses this user, or it said nothing for two minutes. */
int ctl_ask(const char *runtime_dir, const char *request, bool *ok_out, struct pst_buf *reply,
            struct pst_err *err);

#endif
