/* SPDX-License-Identifier: MIT */
/* Groups and their tables; see sections.h. */
#include "ctl/sections.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "plugin/check.h"
#include "plugin/instance.h"

#define GROUPS_MAX 128

struct sections {
	struct pst_arena *arena; /* borrowed */
	struct docs_group groups[GROUPS_MAX];
	size_t n;
	struct plugin *plugins[GROUPS_MAX]; /* owned: their tables are in the groups */
	size_t plugin_count;
};

static struct sections *
create(struct pst_arena *arena)
{
	struct sections *s = pst_new(struct sections);
	const struct settings_group *g;

	s->arena = arena;
	for (g = settings_groups; g->name != NULL; g++)
		s->groups[s->n++] = (struct docs_group){ g->name, g->keys, g->doc };
	return s;
}

static bool
has_group(const struct sections *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->groups[i].name, name) == 0)
			return true;
	return false;
}

/* Takes the plugin. */
static void
add(struct sections *s, struct plugin *p)
{
	const struct pst_plugin *d = plugin_descriptor(p);
	const char *name = plugin_instance_prefix(d->kind, pst_str_c(plugin_instance(p)), s->arena);

	if (has_group(s, name) || s->n == GROUPS_MAX) {
		plugin_unload(p);
		return;
	}
	s->plugins[s->plugin_count++] = p;
	s->groups[s->n++] = (struct docs_group){
		.name = name,
		.keys = d->keys,
		.doc = pst_arena_printf(
			s->arena, "Settings of the plugin %s.%s", d->name,
			d->keys == NULL || d->keys->key == NULL ? " It has none of its own." : ""),
	};
}

static void
add_instance(struct sections *s, const struct settings *settings, enum pst_kind kind,
             struct pst_str instance, struct conf_problems *problems)
{
	const char *name = plugin_instance_prefix(kind, instance, s->arena);
	struct pst_err err;
	struct plugin *p;

	if (has_group(s, name))
		return;
	p = plugin_load_instance(settings, kind, instance, &err);
	if (p != NULL)
		add(s, p);
	else
		conf_problems_add(problems, NULL, 0, "%s: %s", name, err.text);
}

static void
add_list(struct sections *s, const struct settings *settings, enum pst_kind kind, const char *list,
         struct conf_problems *problems)
{
	struct pst_str word;

	while (settings_next_word(&list, &word))
		add_instance(s, settings, kind, word, problems);
}

struct sections *
sections_of_config(struct ctl *c, struct conf_problems *problems)
{
	const struct settings *settings = &c->settings;
	struct sections *s = create(c->arena);
	struct pst_str storage = plugin_location_storage(settings->mail.location);
	size_t i;

	add_list(s, settings, PST_AUTH, settings->auth.backends, problems);
	add_list(s, settings, PST_AUTH, settings->auth.master_backends, problems);
	add_list(s, settings, PST_POLICY, settings->policy_order, problems);
	if (storage.n > 0)
		add_instance(s, settings, PST_STORAGE, storage, problems);
	for (i = 0; i < settings->section_count; i++)
		add_instance(s, settings, settings->sections[i].kind,
		             pst_str_c(settings->sections[i].instance), problems);
	return s;
}

static int
is_shared_object(const struct dirent *e)
{
	const size_t n = strlen(e->d_name);

	return n > 3 && strcmp(e->d_name + n - 3, ".so") == 0 ? 1 : 0;
}

struct sections *
sections_of_folder(struct ctl *c, const char *folder, struct conf_problems *problems)
{
	struct sections *s = create(c->arena);
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_shared_object, alphasort);
	int i;

	if (n < 0)
		conf_problems_add(problems, NULL, 0, "%s: %s", folder, strerror(errno));
	for (i = 0; i < n; i++) {
		const char *path = pst_arena_printf(c->arena, "%s/%s", folder, names[i]->d_name);
		struct pst_err err;
		struct plugin *p = plugin_load_file(path, NULL, &err);

		if (p != NULL)
			add(s, p);
		else
			conf_problems_add(problems, NULL, 0, "%s", err.text);
		free(names[i]);
	}
	free(names);
	return s;
}

void
sections_destroy(struct sections *s)
{
	if (s == NULL)
		return;
	while (s->plugin_count > 0)
		plugin_unload(s->plugins[--s->plugin_count]);
	free(s);
}

const struct docs_group *
sections_groups(const struct sections *s, size_t *n_out)
{
	*n_out = s->n;
	return s->groups;
}
