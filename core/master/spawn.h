/* SPDX-License-Identifier: MIT */
/* master/spawn.h - from the master to a worker: fork, and then drop everything that is not the
 * worker's own. */
#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <sys/types.h>

#include "ipc/env.h"
#include "master/conf.h"
#include "master/region.h"
#include "master/sandbox.h"

#define SPAWN_MAX_REGIONS 8

struct spawn {
	const struct worker_code *code;
	struct worker_env env; /* sections and plugins are filled in the child */
	struct sandbox_plan sandbox;

	/* The descriptors that the worker keeps, besides the standard ones and the log's. */
	const int *fds;
	size_t fd_count;

	/* The regions that it keeps, and those that hold its plugins' texts, dropped when decoded. */
	struct region_list *regions;
	void *keep[SPAWN_MAX_REGIONS];
	const struct conf_image *images[CONF_PARTS]; /* NULL: not this kind's */
};

/* Forks. The child never returns from it. -1: PST_E_TEMP. */
pid_t spawn_worker(struct spawn *s, struct pst_err *err);

/* Default actions and an empty mask, but the terminal's own signals are ignored: they are the
 * master's. */
void spawn_reset_signals(void);

#endif
