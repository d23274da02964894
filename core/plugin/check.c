/* SPDX-License-Identifier: MIT */
/* Checks all configured plugins; see check.h. */
#include "plugin/check.h"

#include "base/arena.h"
#include "plugin/loader.h"

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

static void
check_one(const struct settings *s, const struct conf_texts *t, enum pst_kind kind,
          struct pst_str instance, struct conf_problems *problems)
{
	const struct plugin_section *section = settings_section(s, kind, instance);
	const char *name = pst_arena_copy(problems->arena, instance);
	const char *prefix = section != NULL ? section->prefix
	                                     : pst_arena_printf(problems->arena, "%s.%s",
	                                                        settings_kind_group(kind), name);
	const struct conf_text *line = find_line(t, kind, prefix);
	struct plugin *p;
	struct pst_err err;

	p = plugin_load(s->server.plugin_dir, section != NULL ? section->plugin : name, name, kind,
	                &err);
	if (p == NULL) {
		conf_problems_add(problems, line != NULL ? line->file : NULL,
		                  line != NULL ? line->line : 0, "%s: %s", prefix, err.text);
		return;
	}
	plugin_configure(p, prefix, t, problems);
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
	check_list(s, t, PST_POLICY, s->policy_order, problems);
	if (location.n > 0)
		check_one(s, t, PST_STORAGE, location, problems);
	for (i = 0; i < s->section_count; i++) {
		struct pst_str instance = pst_str_c(s->sections[i].instance);

		if (s->sections[i].kind == PST_STORAGE && !pst_str_eq(instance, location))
			check_one(s, t, PST_STORAGE, instance, problems);
	}
}
