/* SPDX-License-Identifier: MIT */
/* ctl/remote_private.h - how remote.c answers and remote_ask.c reads that. The first line is one of
 * three; behind a good one come so many lines as it says, and the end. */
#ifndef CTL_REMOTE_PRIVATE_H
#define CTL_REMOTE_PRIVATE_H

#include "ctl/remote.h"

#define REMOTE_ERROR "error "     /* the err's kind and text */
#define REMOTE_NAMES "names "     /* how many; a name each */
#define REMOTE_LISTING "listing " /* how many, whether there are UIDLs */
#define REMOTE_END "end"

/* A message: octets, own octets, flags, two digests in hexadecimal, the UIDL or nothing. */
enum { REMOTE_KNOWN = 1, REMOTE_HEADER = 2, REMOTE_LETTER = 4 };

#define REMOTE_NAME_MAX 512

int remote_ask_names(int fd, char ***names_out, size_t *n_out, struct pst_err *err);

#endif
