/* SPDX-License-Identifier: MIT */
/* plugin/registry.c - the plugins of one worker; what a plugin is and how it is loaded is
 * loader.c's. */
#include "plugin/registry.h"

#include "base/arena.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/env.h"
#include "plugin/instance.h"

struct registry {
	struct plugin *v[REGISTRY_MAX]; /* owned */
	uint32_t place[REGISTRY_MAX];   /* of an auth plugin, 1 + its place among them; else 0 */
	const char *left_out[REGISTRY_MAX];
	size_t left_count;
	uint32_t auth_count; /* auth plugins, those that were left out too */
	size_t n;
	size_t started;          /* v[0 … started-1] are */
	struct slot_row *self;   /* borrowed, may be NULL */
	struct pst_arena *arena; /* names, and what conf_problems needs */
};

struct registry *
registry_create(struct slot_row *self)
{
	struct registry *r = pst_new(struct registry);

	r->self = self;
	r->arena = pst_arena_create();
	return r;
}

void
registry_destroy(struct registry *r)
{
	if (r == NULL)
		return;
	while (r->n > 0)
		plugin_unload(r->v[--r->n]);
	pst_arena_destroy(r->arena);
	free(r);
}

bool
registry_is_retiring(const struct registry *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (plugin_is_retiring(r->v[i]))
			return true;
	return false;
}

uint32_t
registry_needs(const struct registry *r)
{
	uint32_t needs = 0;
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct pst_plugin *d = plugin_descriptor(r->v[i]);

		needs |= d->needs == 0 && d->kind == PST_AUTH ? (uint32_t)PST_NEEDS_NET : d->needs;
	}
	return needs;
}

size_t
registry_count(const struct registry *r)
{
	return r->n;
}

struct plugin *
registry_at(const struct registry *r, size_t idx)
{
	pst_assert(idx < r->n);
	return r->v[idx];
}

struct plugin *
registry_find(const struct registry *r, enum pst_kind kind, struct pst_str instance)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (plugin_descriptor(r->v[i])->kind == kind &&
		    pst_str_eq(pst_str_c(plugin_instance(r->v[i])), instance))
			return r->v[i];
	return NULL;
}

/* The section is the same one that `posternctl config check` looked at; a problem here means that
 * the .so was changed since. All of them are named, as far as err has room. */
static int
configure(struct registry *r, struct plugin *p, const char *prefix, const struct conf_texts *t,
          struct pst_err *err)
{
	struct conf_problems problems;

	conf_problems_init(&problems, r->arena);
	plugin_configure(p, prefix, t, &problems);
	if (problems.n > 0)
		return pst_err_set(err, PST_E_PERM, "%s%s", problems.v[0],
		                   problems.n > 1 ? " (and more)" : "");
	return 0;
}

/* If the plugin ends the process, this is how the master knows which one did. */
static void
tell_beginning(struct registry *r, uint32_t place, const char *verb, const char *instance)
{
	if (r->self == NULL)
		return;
	if (place > 0)
		slot_doing(r->self,
		           pst_str_c(pst_arena_printf(r->arena, "%s plugin %s", verb, instance)));
	atomic_store(&r->self->beginning, place);
}

const char *
registry_left_out(const struct registry *r, struct pst_str instance)
{
	size_t i;

	for (i = 0; i < r->left_count; i++)
		if (pst_str_eq(pst_str_c(r->left_out[i]), instance))
			return r->left_out[i];
	return NULL;
}

static int
load_one(const struct worker_env *env, enum pst_kind kind, struct pst_str instance,
         struct pst_err *err)
{
	struct registry *r = env->plugins;
	const char *prefix = plugin_instance_prefix(kind, instance, r->arena);
	const char *name = pst_arena_copy(r->arena, instance);
	uint32_t place = 0;
	struct plugin *p;

	if (registry_find(r, kind, instance) != NULL ||
	    (kind == PST_AUTH && registry_left_out(r, instance) != NULL))
		return 0;
	if (r->n + r->left_count >= REGISTRY_MAX)
		return pst_err_set(err, PST_E_PERM, "more than %d plugins in one worker",
		                   REGISTRY_MAX);
	if (kind == PST_AUTH)
		place = ++r->auth_count;
	if (place > 0 && place <= 32 && (env->left_out >> (place - 1) & 1) != 0) {
		r->left_out[r->left_count++] = name;
		return 0;
	}
	tell_beginning(r, place, "loading", name);
	p = plugin_load_instance(env->settings, kind, instance, err);
	if (p == NULL)
		return -1;
	if (configure(r, p, prefix, env->sections, err) != 0) {
		plugin_unload(p);
		return -1;
	}
	tell_beginning(r, 0, "", name);
	r->place[r->n] = place;
	r->v[r->n++] = p;
	return 0;
}

int
registry_load(const struct worker_env *env, enum pst_kind kind, const char *instances,
              struct pst_err *err)
{
	struct pst_str word;

	while (settings_next_word(&instances, &word))
		if (load_one(env, kind, word, err) != 0)
			return -1;
	return 0;
}

int
registry_load_sections(const struct worker_env *env, enum pst_kind kind, struct pst_err *err)
{
	size_t i;

	for (i = 0; i < env->settings->section_count; i++) {
		const struct plugin_section *s = &env->settings->sections[i];

		if (s->kind == kind && load_one(env, kind, pst_str_c(s->instance), err) != 0)
			return -1;
	}
	return 0;
}

int
registry_start(struct registry *r, const char *worker, struct pst_err *err)
{
	for (; r->started < r->n; r->started++) {
		tell_beginning(r, r->place[r->started], "starting",
		               plugin_instance(r->v[r->started]));
		if (plugin_start(r->v[r->started], worker, err) != 0) {
			if (r->self != NULL)
				slot_failure(r->self, pst_str_c(err->text));
			return -1;
		}
	}
	tell_beginning(r, 0, "", "");
	return 0;
}
