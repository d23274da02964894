/* SPDX-License-Identifier: MIT */
/* What a worker's files are; see paths.h. Runs as root where the server does. */
#include "master/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/mem.h"
#include "plugin/registry.h"

#define PLUGIN_PATHS 32 /* of one plugin */

static void
add_path(struct path_list *list, struct pst_str path, enum landlock_access access)
{
	pst_assert(list->n < PATHS_MAX);
	list->v[list->n].path = pst_arena_copy(list->arena, path);
	list->v[list->n].access = access;
	list->n++;
}

/* "maildir:/srv/mail/%{domain}/x" lies below /srv/mail. */
static struct pst_str
fixed_folder(const char *location)
{
	const char *colon = strchr(location, ':');
	const char *path = colon != NULL ? colon + 1 : location;
	size_t n = strcspn(path, "%");

	while (n > 1 && path[n - 1] != '/' && path[n] != '\0')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return (struct pst_str){ path, n };
}

/* A folder itself, of a template the one that is the same for all users; else the folder that holds
 * the file: a rule stays with the inode, and a file
 * that is replaced by rename(2) is a new one. SQLite makes its journal beside the database. */
static void
add_file_or_folder(struct path_list *list, const char *path, enum landlock_access access)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (path[0] == '\0')
		return;
	if (strchr(path, '%') != NULL)
		add_path(list, fixed_folder(path), access);
	else if ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || slash == NULL)
		add_path(list, pst_str_c(path), access);
	else
		add_path(list, (struct pst_str){ path, slash == path ? 1 : (size_t)(slash - path) },
		         access);
}

static void
add_plugin_paths(struct path_list *list, const struct registry *r)
{
	size_t i, k;

	for (i = 0; i < registry_count(r); i++) {
		const char *paths[PLUGIN_PATHS];
		enum pst_conf_type types[PLUGIN_PATHS];
		const struct plugin *p = registry_at(r, i);
		bool runs = (plugin_descriptor(p)->needs & PST_NEEDS_SYSTEM) != 0;
		size_t n = plugin_paths(p, paths, types, PLUGIN_PATHS);

		pst_assert(n <= PLUGIN_PATHS);
		for (k = 0; k < n; k++)
			add_file_or_folder(list, paths[k],
			                   types[k] == PST_CONF_T_WRITE_PATH ? LANDLOCK_WRITE
			                   : runs                            ? LANDLOCK_RUN
			                                                     : LANDLOCK_READ);
	}
}

static void
add_mail_roots(struct path_list *list, const struct mail_settings *mail)
{
	const char *roots = mail->roots;
	struct pst_str word;

	if (roots[0] == '\0' && mail->location[0] != '\0')
		add_path(list, fixed_folder(mail->location), LANDLOCK_WRITE);
	while (settings_next_word(&roots, &word))
		add_path(list, word, LANDLOCK_WRITE);
}

/* certbot's files in live/NAME are links into archive/NAME, beside live. */
static void
add_certificates(struct path_list *list, const char *directory)
{
	static const char live[] = "/live";
	size_t n = strlen(directory);

	while (n > 1 && directory[n - 1] == '/')
		n--;
	add_path(list, (struct pst_str){ directory, n }, LANDLOCK_READ);
	if (n < sizeof(live) ||
	    strncmp(directory + n - (sizeof(live) - 1), live, sizeof(live) - 1) != 0)
		return;
	add_path(list,
	         pst_str_c(pst_arena_printf(list->arena, "%.*s/archive",
	                                    (int)(n - (sizeof(live) - 1)), directory)),
	         LANDLOCK_READ);
}

/* What programs and PAM's modules find anywhere: files that this user may read in any case, or not.
 * /proc stays closed: the environment of this user's other processes is in it. */
static void
add_system(struct path_list *list)
{
	static const struct {
		const char *path;
		enum landlock_access access;
	} system[] = {
		{ "/bin", LANDLOCK_RUN },         { "/sbin", LANDLOCK_RUN },
		{ "/lib", LANDLOCK_RUN },         { "/lib32", LANDLOCK_RUN },
		{ "/lib64", LANDLOCK_RUN },       { "/usr", LANDLOCK_RUN },
		{ "/etc", LANDLOCK_READ },        { "/run", LANDLOCK_READ },
		{ "/dev/null", LANDLOCK_WRITE },  { "/dev/zero", LANDLOCK_READ },
		{ "/dev/random", LANDLOCK_READ },
	};
	size_t i;

	for (i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		add_path(list, pst_str_c(system[i].path), system[i].access);
}

/* What the C library reads to find a host's address. Often resolv.conf is a link, and who writes it puts
 * a new file in its place: then the folder that holds it is opened, unless that is /etc. */
static void
add_resolver(struct path_list *list)
{
	static const char *const files[] = { "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf",
		                             "/etc/gai.conf", "/etc/resolv.conf" };
	char *real = realpath("/etc/resolv.conf", NULL);
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		add_path(list, pst_str_c(files[i]), LANDLOCK_READ);
	if (real != NULL && strncmp(real, "/run/", 5) == 0)
		add_file_or_folder(list, real, LANDLOCK_READ);
	free(real);
}

/* For their reports. */
static void
add_for_sanitizers(struct path_list *list)
{
#ifdef PST_SANITIZE
	add_path(list, PST_LIT("/proc"), LANDLOCK_READ);
#else
	(void)list;
#endif
}

void
paths_of_worker(struct path_list *list, const struct worker_env *env)
{
	add_plugin_paths(list, env->plugins);
	switch (env->kind) {
	case WORKER_KEYS:
		add_certificates(list, env->settings->tls.directory);
		break;
	case WORKER_AUTH:
		add_path(list, PST_LIT("/dev/urandom"), LANDLOCK_READ); /* SQLite's seed */
		if ((registry_needs(env->plugins) & PST_NEEDS_NET) != 0)
			add_resolver(list);
		if ((registry_needs(env->plugins) & PST_NEEDS_SYSTEM) != 0)
			add_system(list);
		break;
	case WORKER_MAIL:
		add_mail_roots(list, &env->settings->mail);
		break;
	case WORKER_LOGIN:
	case WORKER_KINDS:
		break;
	}
	add_for_sanitizers(list);
}

void
paths_of_maildrop(struct path_list *list, const struct worker_env *env, const char *path)
{
	add_file_or_folder(list, path, LANDLOCK_WRITE);
	add_plugin_paths(list, env->plugins);
	add_for_sanitizers(list);
}

bool
paths_missing_root(const struct mail_settings *mail, struct pst_arena *arena, const char **path_out)
{
	struct path_list list = { .arena = arena };
	struct stat st;
	size_t i;

	add_mail_roots(&list, mail);
	for (i = 0; i < list.n; i++)
		if (stat(list.v[i].path, &st) != 0 && errno == ENOENT) {
			*path_out = list.v[i].path;
			return true;
		}
	return false;
}
