/* SPDX-License-Identifier: MIT */
/* master/seccomp.h - which system calls a worker may still make. */
#ifndef MASTER_SECCOMP_H
#define MASTER_SECCOMP_H

#include <stdbool.h>

#include <postern/err.h>

#include "ipc/shm.h"

enum seccomp_stage {
	SECCOMP_FINAL,
	SECCOMP_SYSTEM,  /* auth, where a plugin runs programs or modules of the system: what nobody
	                  * of them has any business with is refused, the rest allowed */
	SECCOMP_WAITING, /* mail that will become a user: may still change ids and close itself in */
};

/* Loads the filter of the kind for the calling thread and all that it starts; sets no_new_privs.
 * What is known and not allowed gives EPERM, what is unknown ENOSYS, so that the C library falls
 * back. *on_out: false where the kernel has no seccomp filters, which is no failure. may_connect:
 * TCP and Unix sockets outward (auth, for databases). */
int seccomp_close(enum worker_kind kind, enum seccomp_stage stage, bool may_connect, bool *on_out,
                  struct pst_err *err);

#endif
