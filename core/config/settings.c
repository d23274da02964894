/* SPDX-License-Identifier: MIT */
/* From flat texts to struct settings: which names are known, the listeners, the plugin sections.
 * The tables are in keys.c, what joins two settings is in joint.c; see settings.h. */
#include "config/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "config/joint.h"
#include "config/table.h"

#define PARTS_MAX 3
#define NAMES_MAX 64
#define NO_KIND ((enum pst_kind)0)

/* What a file without a listener gets: the two ports of POP3 (RFC 1939, RFC 8314). */
const struct settings_builtin settings_builtins[] = {
	{ "listener.pop3.port", "110" },
	{ "listener.pop3.tls", "stls" },
	{ "listener.pop3s.port", "995" },
	{ "listener.pop3s.tls", "implicit" },
	{ NULL, NULL },
};

static const struct {
	const char *group;
	enum pst_kind kind;
} kinds[] = {
	{ "auth", PST_AUTH },
	{ "storage", PST_STORAGE },
	{ "policy", PST_POLICY },
};

/* "auth.sqlite.database" in its first two names and the rest. Borrowed from the path. */
struct parts {
	struct pst_str v[PARTS_MAX];
	size_t n;
};

static struct parts
split(const char *path)
{
	struct parts parts = { .n = 0 };

	while (parts.n < PARTS_MAX) {
		size_t n = parts.n == PARTS_MAX - 1 ? strlen(path) : strcspn(path, ".");

		parts.v[parts.n++] = (struct pst_str){ path, n };
		if (path[n] == '\0')
			break;
		path += n + 1;
	}
	return parts;
}

static const struct settings_group *
find_group(struct pst_str name)
{
	const struct settings_group *g;

	for (g = settings_groups; g->name != NULL; g++)
		if (pst_str_eq(pst_str_c(g->name), name))
			return g;
	return NULL;
}

/* PST_AUTH, …, or NO_KIND where the group has no plugin sections. */
static enum pst_kind
kind_of(struct pst_str group)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (pst_str_eq(pst_str_c(kinds[i].group), group))
			return kinds[i].kind;
	return NO_KIND;
}

static bool
is_listener(struct pst_str group)
{
	return pst_str_eq(group, PST_LIT("listener"));
}

static bool
is_empty_group(const struct conf_text *text)
{
	return strcmp(text->value, CONF_EMPTY_GROUP) == 0;
}

/* ---- Sections and listeners: groups whose names the admin chooses ---- */

static bool
check_instance(const struct conf_text *text, struct pst_str name, struct conf_problems *p)
{
	if (settings_is_name(name))
		return true;
	conf_problems_add(
		p, text->file, text->line,
		"%s: \"%.*s\" is not a name: a to z, then a to z, 0 to 9 and _, at most 63",
		text->path, PST_ARG(name));
	return false;
}

static void
add_section(const struct conf_texts *t, const struct conf_text *text, const struct parts *parts,
            struct settings *out, struct conf_problems *p)
{
	const enum pst_kind kind = kind_of(parts->v[0]);
	struct plugin_section *s;
	const struct conf_text *plugin;

	if (settings_section(out, kind, parts->v[1]) != NULL ||
	    !check_instance(text, parts->v[1], p))
		return;
	if (out->section_count == SETTINGS_MAX_SECTIONS) {
		conf_problems_add(p, text->file, text->line, "%s: more than %d plugin sections",
		                  text->path, SETTINGS_MAX_SECTIONS);
		return;
	}
	s = &out->sections[out->section_count++];
	s->kind = kind;
	s->instance = pst_arena_copy(t->arena, parts->v[1]);
	s->prefix = pst_arena_printf(t->arena, "%.*s.%s", PST_ARG(parts->v[0]), s->instance);
	plugin = conf_texts_get(t, pst_arena_printf(t->arena, "%s.plugin", s->prefix));
	s->plugin = plugin != NULL ? plugin->value : s->instance;
	if (plugin != NULL)
		(void)check_instance(plugin, pst_str_c(plugin->value), p);
	conf_table_fill(settings_section_keys(s->prefix), s->prefix, t, &s->rules, p);
}

static void
add_listener(const struct conf_texts *t, const struct conf_text *text, struct pst_str name,
             struct settings *out, struct conf_problems *p)
{
	struct listener_settings *l;
	const char *prefix;
	size_t i;

	for (i = 0; i < out->listener_count; i++)
		if (pst_str_eq(pst_str_c(out->listeners[i].name), name))
			return;
	if (!check_instance(text, name, p))
		return;
	if (out->listener_count == SETTINGS_MAX_LISTENERS) {
		conf_problems_add(p, text->file, text->line, "%s: more than %d listeners",
		                  text->path, SETTINGS_MAX_LISTENERS);
		return;
	}
	l = &out->listeners[out->listener_count++];
	l->name = pst_arena_copy(t->arena, name);
	prefix = pst_arena_printf(t->arena, "listener.%s", l->name);
	conf_table_check_names(settings_listener_keys, NULL, prefix, NULL, t, p);
	conf_table_fill(settings_listener_keys, prefix, t, l, p);
}

static void
add_builtin_listeners(struct pst_arena *arena, struct settings *out, struct conf_problems *p)
{
	const struct settings_builtin *b;
	struct conf_texts texts;
	size_t i;

	conf_texts_init(&texts, arena);
	for (b = settings_builtins; b->path != NULL; b++)
		conf_texts_set(&texts, pst_str_c(b->path), pst_str_c(b->value), "", 0);
	for (i = 0; i < texts.n; i++)
		add_listener(&texts, &texts.v[i], split(texts.v[i].path).v[1], out, p);
}

/* ---- Which names are known ---- */

static void
report_group(const struct conf_text *text, struct pst_str group, struct pst_arena *arena,
             struct conf_problems *p)
{
	const char *names[NAMES_MAX];
	const struct settings_group *g;
	const char *typed = pst_arena_copy(arena, group);
	const char *near;
	size_t n = 0;

	for (g = settings_groups; g->name != NULL; g++)
		names[n++] = g->name;
	near = conf_nearest(names, n, typed);
	if (near == NULL)
		conf_problems_add(p, text->file, text->line, "%s: unknown group", typed);
	else
		conf_problems_add(p, text->file, text->line, "%s: unknown group; did you mean %s?",
		                  typed, near);
}

static void
report_key(const struct conf_text *text, const struct settings_group *g, struct pst_arena *arena,
           struct conf_problems *p)
{
	const char *names[NAMES_MAX];
	const struct pst_conf_key *key;
	size_t n = 0;

	for (key = g->keys; key->key != NULL; key++)
		names[n++] = key->key;
	conf_unknown_add(text, pst_arena_copy(arena, pst_str_c(text->path + strlen(g->name) + 1)),
	                 names, n, g->name, p);
}

/* One text: a core setting whose value conf_table_fill will read, or part of a named group, which
 * is added here, or unknown. */
static void
place_text(const struct conf_texts *t, const struct conf_text *text, struct settings *out,
           struct conf_problems *p)
{
	const struct parts parts = split(text->path);
	const struct settings_group *g = find_group(parts.v[0]);
	const struct pst_conf_key *key;

	if (g == NULL) {
		report_group(text, parts.v[0], t->arena, p);
		return;
	}
	if (parts.n == 1) {
		if (!is_empty_group(text))
			conf_problems_add(p, text->file, text->line, "%s: is a group: %s: { … };",
			                  text->path, text->path);
		return;
	}
	if (is_listener(parts.v[0])) {
		if (parts.n == 3 || is_empty_group(text))
			add_listener(t, text, parts.v[1], out, p);
		else
			conf_problems_add(p, text->file, text->line,
			                  "%s: a listener is a group: %.*s: { port = 110; };",
			                  text->path, PST_ARG(parts.v[1]));
		return;
	}
	key = conf_table_find(g->keys, parts.v[1]);
	if (key != NULL && (parts.n == 3 || is_empty_group(text)))
		conf_problems_add(p, text->file, text->line,
		                  "%.*s.%s: is a single value, not a group", PST_ARG(parts.v[0]),
		                  key->key);
	else if (key == NULL && kind_of(parts.v[0]) != NO_KIND &&
	         (parts.n == 3 || is_empty_group(text)))
		add_section(t, text, &parts, out, p);
	else if (key == NULL)
		report_key(text, g, t->arena, p);
}

/* The texts of a group with a bad name follow each other: one problem is enough. */
static bool
repeats_a_problem(const struct conf_texts *t, size_t idx)
{
	struct parts now = split(t->v[idx].path);
	struct parts before;

	if (idx == 0)
		return false;
	before = split(t->v[idx - 1].path);
	if (!pst_str_eq(now.v[0], before.v[0]))
		return false;
	if (find_group(now.v[0]) == NULL)
		return true;
	return now.n == PARTS_MAX && before.n == PARTS_MAX && !settings_is_name(now.v[1]) &&
	       pst_str_eq(now.v[1], before.v[1]);
}

void
settings_load(const struct conf_texts *t, struct settings *out, struct conf_problems *p)
{
	const struct settings_group *g;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < t->n; i++)
		if (!repeats_a_problem(t, i))
			place_text(t, &t->v[i], out, p);
	for (g = settings_groups; g->name != NULL; g++)
		if (!is_listener(pst_str_c(g->name)))
			conf_table_fill(g->keys, g->name, t, (char *)out + g->offset, p);
	if (out->listener_count == 0)
		add_builtin_listeners(t->arena, out, p);
	settings_check_joint(t, out, p);
}

const struct pst_conf_key *
settings_section_keys(const char *section)
{
	return kind_of(split(section).v[0]) == PST_AUTH ? settings_backend_keys : NULL;
}

const struct plugin_section *
settings_section(const struct settings *s, enum pst_kind kind, struct pst_str instance)
{
	size_t i;

	for (i = 0; i < s->section_count; i++)
		if (s->sections[i].kind == kind &&
		    pst_str_eq(pst_str_c(s->sections[i].instance), instance))
			return &s->sections[i];
	return NULL;
}

bool
settings_next_word(const char **list, struct pst_str *word_out)
{
	const char *p = *list + strspn(*list, " \t\r\n");
	size_t n = strcspn(p, " \t\r\n");

	*word_out = (struct pst_str){ p, n };
	*list = p + n;
	return n > 0;
}

bool
settings_is_name(struct pst_str name)
{
	size_t i;

	if (name.n == 0 || name.n > SETTINGS_NAME_MAX || name.p[0] < 'a' || name.p[0] > 'z')
		return false;
	for (i = 0; i < name.n; i++)
		if (!pst_is_digit(name.p[i]) && (name.p[i] < 'a' || name.p[i] > 'z') &&
		    name.p[i] != '_')
			return false;
	return true;
}

const char *
settings_kind_group(enum pst_kind kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].group;
	return "?";
}
