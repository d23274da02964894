/* SPDX-License-Identifier: MIT */
/* Who may see which text; see parts.h. */
#include "config/parts.h"

#include <string.h>

#include "config/settings.h"
#include "config/table.h"

static enum conf_part
part_of(const char *path)
{
	static const struct {
		const char *prefix;
		enum conf_part part;
	} prefixes[] = { { "auth.", CONF_AUTH },
		         { "storage.", CONF_STORAGE },
		         { "policy.", CONF_POLICY } };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t n = strlen(prefixes[i].prefix);

		/* "auth.workers" is the core's, "auth.sqlite.database" is not. */
		if (strncmp(path, prefixes[i].prefix, n) == 0 && strchr(path + n, '.') != NULL)
			return prefixes[i].part;
	}
	return CONF_CORE;
}

/* A setting of a section that is not the plugin's. */
static bool
is_servers_own(const char *path)
{
	const char *key = strrchr(path, '.') + 1;

	return strcmp(key, "plugin") == 0 ||
	       conf_table_find(settings_section_keys(path), pst_str_c(key)) != NULL;
}

void
conf_texts_part(const struct conf_texts *all, struct conf_texts parts[CONF_PARTS])
{
	size_t i;

	for (i = 0; i < CONF_PARTS; i++)
		conf_texts_init(&parts[i], all->arena);
	for (i = 0; i < all->n; i++) {
		const struct conf_text *t = &all->v[i];
		enum conf_part part = part_of(t->path);

		conf_texts_set(&parts[part], pst_str_c(t->path), pst_str_c(t->value), t->file,
		               t->line);
		if (part != CONF_CORE)
			conf_texts_set(&parts[CONF_CORE], pst_str_c(t->path),
			               pst_str_c(is_servers_own(t->path) ? t->value : ""), t->file,
			               t->line);
	}
}
