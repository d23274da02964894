/* SPDX-License-Identifier: MIT */
/* ctl/password.h - a password for a command: from a file, from standard input, or typed. Never from
 * an argument, which every process of the system could read. */
#ifndef CTL_PASSWORD_H
#define CTL_PASSWORD_H

#include <postern/err.h>

#include "base/mem.h"

/* Where a command is told to take it from; the last one wins. */
struct ctl_password_source {
	const char *file; /* --password-file */
	bool use_stdin;   /* --password-stdin */
};

/* One line, its end taken off. Where the source names nothing it is asked for on the terminal,
 * without echo, twice if twice is set. -1 with err (PST_E_CLIENT); *out is empty then. */
int ctl_password_read(const struct ctl_password_source *source, const char *prompt, bool twice,
                      struct pst_secret *out, struct pst_err *err);

#endif
