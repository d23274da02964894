/* SPDX-License-Identifier: MIT */
/* The files of a user database that is not there yet; see create.h. */
#include "ctl/create.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/auth.h>

#include "base/arena.h"

#define PATHS_MAX 16

struct missing {
	const char *paths[PATHS_MAX];
	size_t n;
};

/* The files that the plugin writes and that are not there, or empty. */
static void
find_missing(const struct plugin *p, struct missing *m)
{
	enum pst_conf_type types[PATHS_MAX];
	const char *paths[PATHS_MAX];
	size_t n = plugin_paths(p, paths, types, PATHS_MAX);
	size_t i;

	m->n = 0;
	for (i = 0; i < n && i < PATHS_MAX; i++) {
		struct stat st;
		bool is_there = stat(paths[i], &st) == 0 && st.st_size > 0;

		if (types[i] == PST_CONF_T_WRITE_PATH && paths[i][0] == '/' && !is_there)
			m->paths[m->n++] = paths[i];
	}
}

/* Auth workers have given root up: what root makes here must be theirs. Whoever may write in the
 * folder might have put something else there meanwhile: only what is ours and has no other name. */
static void
give_to_auth_user(const struct ctl *c, const char *path)
{
	const char *name = c->settings.server.auth_user;
	const struct passwd *pw = geteuid() == 0 ? getpwnam(name) : NULL;
	struct stat st;
	int fd;

	if (pw == NULL)
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != 0 ||
	    !(S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1)) ||
	    fchown(fd, pw->pw_uid, pw->pw_gid) != 0)
		ctl_fail("%s could not be given to %s", path, name);
	if (fd >= 0)
		close(fd);
}

static bool
may_write(const struct stat *st, const struct passwd *pw)
{
	return (st->st_uid == pw->pw_uid && (st->st_mode & S_IWUSR) != 0) ||
	       (st->st_gid == pw->pw_gid && (st->st_mode & S_IWGRP) != 0) ||
	       (st->st_mode & S_IWOTH) != 0;
}

/* The folder of a file that is about to be made; made too where its own parent is there. */
static int
need_folder(const struct ctl *c, const char *path)
{
	const size_t n = (size_t)(strrchr(path, '/') - path);
	const char *name = c->settings.server.auth_user;
	const struct passwd *pw = geteuid() == 0 ? getpwnam(name) : NULL;
	const char *folder = n == 0 ? "/" : pst_arena_copy(c->arena, (struct pst_str){ path, n });
	struct stat st;

	if (mkdir(folder, 0750) == 0) {
		give_to_auth_user(c, folder);
		printf("made %s\n", folder);
	} else if (errno != EEXIST) {
		return ctl_fail("%s: %s", folder, strerror(errno));
	}
	if (pw != NULL && stat(folder, &st) == 0 && !may_write(&st, pw))
		fprintf(stderr,
		        "note: %s is not writable for %s, which may need it for a journal\n",
		        folder, name);
	return CTL_OK;
}

int
ctl_create_missing(struct ctl *c, struct plugin *p)
{
	const struct pst_auth *auth = plugin_descriptor(p)->auth;
	struct pst_err err;
	struct missing m;
	struct stat st;
	size_t i;

	find_missing(p, &m);
	if (m.n == 0 || auth->create == NULL)
		return CTL_OK;
	for (i = 0; i < m.n; i++)
		if (need_folder(c, m.paths[i]) != CTL_OK)
			return CTL_FAILED;
	if (auth->create(plugin_self(p), &err) != 0)
		return ctl_fail("%s", err.text);
	for (i = 0; i < m.n; i++)
		if (stat(m.paths[i], &st) == 0) {
			give_to_auth_user(c, m.paths[i]);
			printf("made %s\n", m.paths[i]);
		}
	return CTL_OK;
}
