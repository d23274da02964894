/* SPDX-License-Identifier: MIT */
/* master/paths.h - which files and folders a worker needs: what Landlock leaves open to it. */
#ifndef MASTER_PATHS_H
#define MASTER_PATHS_H

#include "config/settings.h"
#include "ipc/env.h"
#include "master/landlock.h"

#define PATHS_MAX 4096

struct path_list {
	struct pst_arena *arena; /* owns the texts */
	struct landlock_path v[PATHS_MAX];
	size_t n;
};

/* login: nothing at all; keys: tls.directory (and certbot's archive beside it); mail: the folders that hold the maildrops; and what
 * the settings of the worker's plugins name. */
void paths_of_worker(struct path_list *list, const struct worker_env *env);

/* A mail process that has become a user: this maildrop, and what its plugins name. Where the
 * maildrop is a file, its folder, for the lock and the next version; the user's rights bound that. */
void paths_of_maildrop(struct path_list *list, const struct worker_env *env, const char *path);

/* The first folder for maildrops that is not there, or false: made later, it stays closed to the
 * workers that are there. *path_out lives in arena. */
bool paths_missing_root(const struct mail_settings *mail, struct pst_arena *arena,
                        const char **path_out);

#endif
