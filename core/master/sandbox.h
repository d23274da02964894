/* SPDX-License-Identifier: MIT */
/* master/sandbox.h - a worker gives up what it does not need, after its plugins are loaded and
 * before a client's first octet.
 *
 * As root: the kind's own user, no capabilities, for login an empty folder as root. For all:
 * no_new_privs, death with the master, Landlock, seccomp. What the kernel does not have is left
 * out and shows in the slot's row; what fails though the kernel has it ends the worker. */
#ifndef MASTER_SANDBOX_H
#define MASTER_SANDBOX_H

#include <sys/types.h>

#include <postern/err.h>

#include "ipc/env.h"

struct sandbox_plan {
	bool is_root;
	uid_t uid; /* whom a worker of this kind becomes, as root */
	gid_t gid;
	pid_t master;
};

/* Fills env->self->sandbox and landlock_abi. mail with run_as = "user" stays root here, with the
 * two capabilities that it takes to become somebody, and closes itself in by sandbox_confine. */
int sandbox_close(const struct worker_env *env, const struct sandbox_plan *plan,
                  struct pst_err *err);

/* env->confine. Refuses ids under mail.first_uid and mail.first_gid. -1: nothing is known about
 * what holds by now; the process must serve nobody. */
int sandbox_confine(const struct worker_env *env, uid_t uid, gid_t gid, const char *path,
                    struct pst_err *err);

/* What this system lacks, in words for the log ("own users and chroot (not started as root),
 * Landlock"), or empty. */
void sandbox_missing(bool is_root, char *out, size_t cap);

/* "nnp seccomp landlock:7 chroot user" */
void sandbox_describe(const struct slot_row *row, char *out, size_t cap);

#endif
