/* SPDX-License-Identifier: MIT */
/* A libconfig file into flat texts. The one file that knows libconfig; see texts.h. */
#include <inttypes.h>
#include <libconfig.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config/scan.h"
#include "config/texts.h"
#include "ipc/message.h"

#define DEPTH_MAX 8 /* of groups; nothing of ours is deeper than three */

struct reader {
	const char *path; /* of the file that includes the others */
	struct conf_texts *texts;
	struct conf_problems *problems;
};

static const char *
file_of(const struct reader *r, config_setting_t *s)
{
	const char *file = config_setting_source_file(s);

	return file != NULL ? file : r->path;
}

static void
complain(const struct reader *r, config_setting_t *s, const char *path, const char *what)
{
	conf_problems_add(r->problems, file_of(r, s), (unsigned)config_setting_source_line(s),
	                  "%s: %s", path, what);
}

/* Numbers and booleans as they stand in the file. false: not a single value. */
static bool
scalar_text(config_setting_t *s, struct pst_arena *arena, const char **text_out)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		*text_out = pst_arena_printf(arena, "%d", config_setting_get_int(s));
		return true;
	case CONFIG_TYPE_INT64:
		*text_out = pst_arena_printf(arena, "%lld", config_setting_get_int64(s));
		return true;
	case CONFIG_TYPE_BOOL:
		*text_out = config_setting_get_bool(s) != 0 ? "true" : "false";
		return true;
	case CONFIG_TYPE_STRING:
		*text_out = config_setting_get_string(s);
		return *text_out != NULL;
	default:
		return false;
	}
}

static void
set_text(struct reader *r, config_setting_t *s, const char *path, struct pst_str value)
{
	if (value.n >= MSG_MAX_OCTETS) {
		complain(r, s, path, "the value is longer than 65535 octets");
		return;
	}
	conf_texts_set(r->texts, pst_str_c(path), value, file_of(r, s),
	               (unsigned)config_setting_source_line(s));
}

static void
read_scalar(struct reader *r, config_setting_t *s, const char *path)
{
	const char *text;

	if (scalar_text(s, r->texts->arena, &text))
		set_text(r, s, path, pst_str_c(text));
	else
		complain(r, s, path, "a number with a fraction: write it as a string");
}

/* Words joined by spaces; so a word must not hold one. */
static void
read_list(struct reader *r, config_setting_t *s, const char *path)
{
	struct pst_buf joined;
	struct pst_err err;
	int i;

	pst_buf_init(&joined, MSG_MAX_OCTETS);
	for (i = 0; i < config_setting_length(s); i++) {
		const char *word;

		if (!scalar_text(config_setting_get_elem(s, (unsigned)i), r->texts->arena, &word)) {
			complain(r, s, path, "a list can hold single values only");
			goto out;
		}
		if (word[0] == '\0' || strpbrk(word, " \t\r\n") != NULL) {
			complain(r, s, path, "a word of a list cannot be empty or hold a blank");
			goto out;
		}
		if (pst_buf_addf(&joined, &err, "%s%s", i > 0 ? " " : "", word) != 0) {
			complain(r, s, path, "the list is longer than 65535 octets");
			goto out;
		}
	}
	set_text(r, s, path, pst_buf_view(&joined));
out:
	pst_buf_clear(&joined);
}

static void read_group(struct reader *r, config_setting_t *group, const char *path, unsigned depth);

static void
read_setting(struct reader *r, config_setting_t *s, const char *path, unsigned depth)
{
	if (!config_setting_is_group(s)) {
		if (config_setting_is_aggregate(s))
			read_list(r, s, path);
		else
			read_scalar(r, s, path);
	} else if (config_setting_length(s) == 0) {
		set_text(r, s, path, PST_LIT(CONF_EMPTY_GROUP)); /* that it is there may matter */
	} else if (depth == DEPTH_MAX) {
		complain(r, s, path, "groups within groups, too deep");
	} else {
		read_group(r, s, path, depth + 1);
	}
}

static void
read_group(struct reader *r, config_setting_t *group, const char *path, unsigned depth)
{
	int i;

	for (i = 0; i < config_setting_length(group); i++) {
		config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(s);
		const char *whole =
			path[0] == '\0' ? name
					: pst_arena_printf(r->texts->arena, "%s.%s", path, name);

		read_setting(r, s, whole, depth);
	}
}

/* The folder of a path, so that what the file includes is found beside it. */
static const char *
folder_of(struct pst_arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return ".";
	if (slash == path)
		return "/";
	return pst_arena_copy(arena, (struct pst_str){ path, (size_t)(slash - path) });
}

static void
read_libconfig(struct reader *r, const char *folder)
{
	config_t config;

	config_init(&config);
	config_set_include_dir(&config, folder);
	if (config_read_file(&config, r->path) != CONFIG_TRUE) {
		const char *file = config_error_file(&config);

		conf_problems_add(r->problems, file != NULL ? file : r->path,
		                  (unsigned)config_error_line(&config), "%s",
		                  config_error_text(&config));
	} else {
		read_group(r, config_root_setting(&config), "", 0);
	}
	config_destroy(&config);
}

static void
apply_set(const char *set, struct conf_texts *t, struct conf_problems *p)
{
	const char *equals = strchr(set, '=');

	if (equals == NULL || equals == set) {
		conf_problems_add(p, "", 0, "\"%s\" is not of the form PATH=VALUE", set);
		return;
	}
	conf_texts_set(t, (struct pst_str){ set, (size_t)(equals - set) }, pst_str_c(equals + 1),
	               "", 0);
}

void
conf_file_read(const char *path, const char *const *sets, size_t set_count, struct conf_texts *t,
               struct conf_problems *p)
{
	struct reader r = { .path = path, .texts = t, .problems = p };
	size_t i;

	if (path != NULL) {
		const char *folder = folder_of(t->arena, path);

		if (conf_scan(path, folder, p))
			read_libconfig(&r, folder);
	}
	for (i = 0; i < set_count; i++)
		apply_set(sets[i], t, p);
}
