/* SPDX-License-Identifier: MIT */
/* master/rundir.h - server.runtime_dir: made at start, locked for as long as the server runs. */
#ifndef MASTER_RUNDIR_H
#define MASTER_RUNDIR_H

#include <postern/err.h>

/* Looks whether a server runs with this folder already. -1 with err (which says its pid) where one
 * does; changes nothing. */
int rundir_probe(const char *path, struct pst_err *err);

/* Makes the folder and the empty one in it where they are missing, and takes the lock. *dir_out
 * and *lock_out are the caller's to close; the lock goes with the last descriptor, that is with
 * the process. */
int rundir_open(const char *path, int *dir_out, int *lock_out, struct pst_err *err);

#endif
