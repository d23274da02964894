/* SPDX-License-Identifier: MIT */
/* A whole table of settings into its struct; see table.h. What is written of a table (manual,
 * sample, show) is in docs.c. */
#include "config/table.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "config/value.h"

#define NAMES_MAX 256

/* The member as it is where there is no good value: strings are never NULL. */
static void
set_empty(const struct pst_conf_key *key, void *base)
{
	void *at = (char *)base + key->offset;

	if (conf_is_string(key->type))
		*(const char **)at = "";
	else if (key->type == PST_CONF_T_BOOL)
		*(bool *)at = false;
	else
		*(int64_t *)at = 0;
}

static void
set_default(const struct pst_conf_key *key, struct pst_arena *arena, void *base)
{
	struct pst_err err;

	if (key->def == NULL || conf_value_parse(key, pst_str_c(key->def), arena, base, &err) != 0)
		set_empty(key, base);
}

static void
report_missing(const struct pst_conf_key *key, const char *path, const char *prefix,
               const struct conf_texts *t, struct conf_problems *p)
{
	const struct conf_text *near = conf_texts_first(t, prefix);

	const char *end = strstr(key->doc, ". "); /* of its first sentence */

	conf_problems_add(p, near != NULL ? near->file : NULL, near != NULL ? near->line : 0,
	                  "%s: must be set. %.*s", path,
	                  end != NULL ? (int)(end + 1 - key->doc) : (int)strlen(key->doc),
	                  key->doc);
}

void
conf_table_fill(const struct pst_conf_key *keys, const char *prefix, const struct conf_texts *t,
                void *base, struct conf_problems *p)
{
	const struct pst_conf_key *key;

	for (key = keys; key != NULL && key->key != NULL; key++) {
		const char *path = pst_arena_printf(t->arena, "%s.%s", prefix, key->key);
		const struct conf_text *text = conf_texts_get(t, path);
		struct pst_err err;

		set_default(key, t->arena, base);
		if (text == NULL && key->def == NULL)
			report_missing(key, path, prefix, t, p);
		if (text == NULL ||
		    conf_value_parse(key, pst_str_c(text->value), t->arena, base, &err) == 0)
			continue;
		conf_problems_add(p, text->file, text->line, "%s: %s", path, err.text);
		set_default(key, t->arena, base);
	}
}

const struct pst_conf_key *
conf_table_find(const struct pst_conf_key *keys, struct pst_str key)
{
	for (; keys != NULL && keys->key != NULL; keys++)
		if (pst_str_eq(pst_str_c(keys->key), key))
			return keys;
	return NULL;
}

void
conf_unknown_add(const struct conf_text *text, const char *typed, const char *const *names,
                 size_t n, const char *prefix, struct conf_problems *p)
{
	const char *near = conf_nearest(names, n, typed);

	if (near == NULL)
		conf_problems_add(p, text->file, text->line, "%s: unknown setting", text->path);
	else
		conf_problems_add(p, text->file, text->line,
		                  "%s: unknown setting; did you mean %s%s%s?", text->path, prefix,
		                  prefix[0] == '\0' ? "" : ".", near);
}

void
conf_table_check_names(const struct pst_conf_key *keys, const struct pst_conf_key *more,
                       const char *prefix, const char *also, const struct conf_texts *t,
                       struct conf_problems *p)
{
	const size_t prefix_len = strlen(prefix);
	const char *names[NAMES_MAX];
	const struct pst_conf_key *key;
	size_t n = 0;
	size_t i;

	for (key = keys; key != NULL && key->key != NULL && n < NAMES_MAX - 1; key++)
		names[n++] = key->key;
	for (key = more; key != NULL && key->key != NULL && n < NAMES_MAX - 1; key++)
		names[n++] = key->key;
	if (also != NULL)
		names[n++] = also;
	for (i = 0; i < t->n; i++) {
		const char *name = t->v[i].path + prefix_len + 1;

		if (strncmp(t->v[i].path, prefix, prefix_len) != 0 ||
		    t->v[i].path[prefix_len] != '.')
			continue;
		if (conf_table_find(keys, pst_str_c(name)) == NULL &&
		    conf_table_find(more, pst_str_c(name)) == NULL &&
		    (also == NULL || strcmp(name, also) != 0))
			conf_unknown_add(&t->v[i], name, names, n, prefix, p);
	}
}
