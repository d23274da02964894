/* SPDX-License-Identifier: MIT */
/* master/landlock.h - the kernel's Landlock, by its raw calls: headers of the build system may be
 * older than the kernel the server runs on. */
#ifndef MASTER_LANDLOCK_H
#define MASTER_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include <postern/err.h>

enum landlock_access {
	LANDLOCK_READ,  /* read files, list folders */
	LANDLOCK_RUN,   /* and run the files as programs */
	LANDLOCK_WRITE, /* read, and write, make, remove and rename files and folders */
};

struct landlock_path {
	const char *path; /* a folder: all that is below it; a path that is not there is left out */
	enum landlock_access access;
};

struct landlock_rules {
	const struct landlock_path *paths;
	size_t path_count;
	bool may_connect; /* TCP, outward */
	bool may_signal;  /* processes outside */
};

/* What this kernel has: 0 where it has no Landlock or it is switched off. */
int landlock_abi(void);

/* Closes the calling thread and all that it starts in, for good: nothing but the rules' paths, no
 * TCP (ABI 4), no signal or abstract socket outward (ABI 6). *abi_out: what was used; 0: nothing,
 * which is no failure. no_new_privs must be set, or the process be root. */
int landlock_close(const struct landlock_rules *rules, int *abi_out, struct pst_err *err);

#endif
