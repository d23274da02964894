/* SPDX-License-Identifier: MIT */
/* Checks all configured plugins; see check.h. */
#include "plugin/check.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "config/table.h"
#include "plugin/instance.h"

#define PLUGINS_MAX 256

/* Where the instance is named: the line to blame when its plugin cannot be loaded. */
static const struct conf_text *
find_line(const struct conf_texts *t, enum pst_kind kind, const char *prefix)
{
	static const char *const lists[] = { [PST_AUTH] = "auth.backends",
		                             [PST_STORAGE] = "mail.location",
		                             [PST_POLICY] = "policy.order" };
	char path[300];
	const struct conf_text *line;

	(void)snprintf(path, sizeof(path), "%s.plugin", prefix);
	line = conf_texts_get(t, path);
	return line != NULL ? line : conf_texts_get(t, lists[kind]);
}

static int
is_shared_object(const struct dirent *e)
{
	const size_t n = strlen(e->d_name);

	return n > 3 && strcmp(e->d_name + n - 3, ".so") == 0 ? 1 : 0;
}

/* The plugin of the folder whose name is nearest to one that is not there, or NULL. */
static const char *
find_near_plugin(const char *dir, const char *name, struct pst_arena *arena)
{
	const char *names[PLUGINS_MAX];
	struct dirent **files = NULL;
	int n = scandir(dir, &files, is_shared_object, alphasort);
	size_t known = 0;
	int i;

	for (i = 0; i < n; i++) {
		const size_t len = strlen(files[i]->d_name) - 3;

		if (known < PLUGINS_MAX)
			names[known++] =
				pst_arena_copy(arena, (struct pst_str){ files[i]->d_name, len });
		free(files[i]);
	}
	free(files);
	return conf_nearest(names, known, name);
}

static void
report_unloadable(const struct settings *s, const struct conf_texts *t, enum pst_kind kind,
                  struct pst_str instance, const char *why, struct conf_problems *problems)
{
	const struct plugin_section *section = settings_section(s, kind, instance);
	const char *prefix = plugin_instance_prefix(kind, instance, problems->arena);
	const struct conf_text *line = find_line(t, kind, prefix);
	const char *name =
		section != NULL ? section->plugin : pst_arena_copy(problems->arena, instance);
	const char *file =
		pst_arena_printf(problems->arena, "%s/%s.so", s->server.plugin_dir, name);
	const char *near = NULL;

	if (access(file, F_OK) != 0)
		near = find_near_plugin(s->server.plugin_dir, name, problems->arena);
	conf_problems_add(problems, line != NULL ? line->file : NULL, line != NULL ? line->line : 0,
	                  "%s: %s%s%s%s", prefix, why, near != NULL ? "; did you mean " : "",
	                  near != NULL ? near : "", near != NULL ? "?" : "");
}

static void
check_one(const struct settings *s, const struct conf_texts *t, enum pst_kind kind,
          struct pst_str instance, struct conf_problems *problems)
{
	struct pst_err err;
	struct plugin *p = plugin_load_instance(s, kind, instance, &err);

	if (p == NULL) {
		report_unloadable(s, t, kind, instance, err.text, problems);
		return;
	}
	plugin_configure(p, plugin_instance_prefix(kind, instance, problems->arena), t, problems);
	plugin_unload(p);
}

static void
check_list(const struct settings *s, const struct conf_texts *t, enum pst_kind kind,
           const char *instances, struct conf_problems *problems)
{
	struct pst_str word;

	while (settings_next_word(&instances, &word))
		check_one(s, t, kind, word, problems);
}

/* Those that are backends as well are looked at already. */
static void
check_masters(const struct settings *s, const struct conf_texts *t, struct conf_problems *problems)
{
	const char *masters = s->auth.master_backends;
	struct pst_str word, other;

	while (settings_next_word(&masters, &word)) {
		const char *backends = s->auth.backends;
		bool is_new = true;

		while (is_new && settings_next_word(&backends, &other))
			is_new = !pst_str_eq(word, other);
		if (is_new)
			check_one(s, t, PST_AUTH, word, problems);
	}
}

struct pst_str
plugin_location_storage(const char *location)
{
	const char *colon = strchr(location, ':');

	return (struct pst_str){ location, colon != NULL ? (size_t)(colon - location) : 0 };
}

void
plugin_check_all(const struct settings *s, const struct conf_texts *t,
                 struct conf_problems *problems)
{
	struct pst_str location = plugin_location_storage(s->mail.location);
	size_t i;

	check_list(s, t, PST_AUTH, s->auth.backends, problems);
	check_masters(s, t, problems);
	check_list(s, t, PST_POLICY, s->policy_order, problems);
	if (location.n > 0)
		check_one(s, t, PST_STORAGE, location, problems);
	for (i = 0; i < s->section_count; i++) {
		struct pst_str instance = pst_str_c(s->sections[i].instance);

		if (s->sections[i].kind == PST_STORAGE && !pst_str_eq(instance, location))
			check_one(s, t, PST_STORAGE, instance, problems);
	}
}
