/* SPDX-License-Identifier: MIT */
/* From an instance to its plugin; see instance.h. */
#include "plugin/instance.h"

#include "base/arena.h"

const char *
plugin_instance_prefix(enum pst_kind kind, struct pst_str instance, struct pst_arena *arena)
{
	return pst_arena_printf(arena, "%s.%.*s", settings_kind_group(kind), PST_ARG(instance));
}

struct plugin *
plugin_load_instance(const struct settings *s, enum pst_kind kind, struct pst_str instance,
                     struct pst_err *err)
{
	const struct plugin_section *section = settings_section(s, kind, instance);
	char name[SETTINGS_NAME_MAX + 1];

	if (!settings_is_name(instance)) {
		pst_err_set(err, PST_E_PERM, "\"%.*s\" is not a plugin's name", PST_ARG(instance));
		return NULL;
	}
	(void)snprintf(name, sizeof(name), "%.*s", PST_ARG(instance)); /* it fits: it is a name */
	return plugin_load(s->server.plugin_dir, section != NULL ? section->plugin : name, name,
	                   kind, err);
}
