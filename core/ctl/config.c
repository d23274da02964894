/* SPDX-License-Identifier: MIT */
/* posternctl config …: check, show, and what is made from the tables. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <postern/auth.h>

#include "base/arena.h"
#include "config/system.h"
#include "config/table.h"
#include "credentials/chain.h"
#include "credentials/mechanism.h"
#include "ctl/ctl.h"
#include "ctl/sections.h"
#include "plugin/check.h"
#include "plugin/instance.h"

/* ---- config check ---- */

/* Giving back what nobody has changes nothing, and shows whether leases can be kept. A backend that gives
 * none may serve master users alone. */
static int
probe_leases(const struct ctl *c, const struct pst_auth *auth, struct plugin *p,
             struct pst_err *err)
{
	const struct pst_auth_lease none = { .maildrop = { "", 0 } };

	if (c->settings.mail.locks != LOCKS_LEASE || auth->lease_end == NULL ||
	    auth->lease_end(plugin_self(p), &none, 1, err) == 0 || err->kind == PST_E_PERM)
		return 0;
	return -1;
}

static int
probe(struct ctl *c, struct plugin *p, const char *prefix, struct pst_err *err)
{
	const struct pst_auth *auth = plugin_descriptor(p)->auth;

	plugin_configure(p, prefix, &c->texts, &c->problems);
	if (plugin_start(p, "ctl", err) != 0)
		return -1;
	if (auth->probe != NULL && auth->probe(plugin_self(p), err) != 0)
		return -1;
	return probe_leases(c, auth, p, err);
}

/* The text that a plugin's words are about: they begin with the names of settings, "lookup_query: read:
 * …", and the last one is nearest to the cause. NULL: a default, or none. */
static const struct conf_text *
text_meant(struct ctl *c, const char *prefix, const char *words)
{
	const struct conf_text *found = NULL;

	for (;;) {
		size_t n = strcspn(words, ": ");
		const struct conf_text *t;

		if (n == 0 || words[n] != ':' || words[n + 1] != ' ')
			return found;
		t = conf_texts_get(&c->texts,
		                   pst_arena_printf(c->arena, "%s.%.*s", prefix, (int)n, words));
		found = t != NULL ? t : found;
		words += n + 2;
	}
}

static void
add_refusal(struct ctl *c, const char *prefix, const struct pst_err *err)
{
	const struct conf_text *t = text_meant(c, prefix, err->text);

	conf_problems_add(&c->problems, t == NULL ? NULL : t->file, t == NULL ? 0 : t->line,
	                  "%s: %s", prefix, err->text);
}

/* Called only where the configuration is good: each auth plugin loads and takes its section. */
static void
connect_backends(struct ctl *c)
{
	const char *list = pst_arena_printf(c->arena, "%s %s", c->settings.auth.backends,
	                                    c->settings.auth.master_backends);
	struct pst_str word;

	while (settings_next_word(&list, &word)) {
		const char *prefix = plugin_instance_prefix(PST_AUTH, word, c->arena);
		struct pst_err err;
		struct plugin *p = plugin_load_instance(&c->settings, PST_AUTH, word, &err);

		if (p == NULL || probe(c, p, prefix, &err) != 0)
			add_refusal(c, prefix, &err);
		plugin_unload(p);
	}
}

/* As root, what a server started by root would need. */
static void
check_system(struct ctl *c)
{
	struct settings_users users;

	settings_check_folders(&c->settings, &c->texts, &c->problems);
	if (geteuid() == 0)
		settings_find_users(&c->settings, &c->texts, &users, &c->problems);
}

static void
print_notes(struct ctl *c)
{
	struct conf_problems notes;
	size_t i;

	conf_problems_init(&notes, c->arena);
	settings_notes(&c->texts, &c->settings, &notes);
	for (i = 0; i < notes.n; i++)
		fprintf(stderr, "note: %s\n", notes.v[i]);
}

int
ctl_config_check(struct ctl *c, int argc, char **argv)
{
	const bool wants_connect = argc == 1 && strcmp(argv[0], "--connect") == 0;
	size_t unread;

	if (argc > (wants_connect ? 1 : 0))
		return CTL_USAGE;
	conf_texts_init(&c->texts, c->arena);
	conf_problems_init(&c->problems, c->arena);
	conf_file_read(c->config_path, c->sets, c->set_count, &c->texts, &c->problems);
	unread = c->problems.n;
	settings_load(&c->texts, &c->settings, &c->problems);
	if (unread == 0) { /* else what follows would be noise */
		check_system(c);
		chain_check_settings(&c->settings, &c->texts, &c->problems);
		mechanism_check_settings(&c->settings, &c->texts, &c->problems);
		plugin_check_all(&c->settings, &c->texts, &c->problems);
	}
	if (c->problems.n == 0 && wants_connect)
		connect_backends(c);
	ctl_print_problems(&c->problems);
	if (c->problems.n > 0)
		return CTL_FAILED;
	print_notes(c);
	printf("configuration is good\n");
	return CTL_OK;
}

/* ---- config show ---- */

/* path is the whole name of the row, or of a group that it is in. */
static bool
is_at_or_below(const char *prefix, const char *key, const char *path)
{
	const size_t n = strlen(prefix);
	const size_t path_n = strlen(path);

	if (strncmp(path, prefix, n) == 0 && path[n] == '.')
		return strcmp(path + n + 1, key) == 0;
	return strncmp(prefix, path, path_n) == 0 &&
	       (prefix[path_n] == '\0' || prefix[path_n] == '.');
}

static size_t
show_group(struct ctl *c, const char *prefix, const struct pst_conf_key *key, const char *path)
{
	size_t shown = 0;

	for (; key != NULL && key->key != NULL; key++) {
		if (path != NULL && !is_at_or_below(prefix, key->key, path))
			continue;
		conf_key_show(key, prefix, &c->texts, stdout);
		shown++;
	}
	return shown;
}

/* A listener's rows, with the values that it has though the file may not name it. */
static size_t
show_listeners(struct ctl *c, const char *path)
{
	const struct settings *s = &c->settings;
	const struct settings_builtin *b;
	size_t shown = 0;
	size_t i;

	if (conf_texts_first(&c->texts, "listener") == NULL)
		for (b = settings_builtins; b->path != NULL; b++)
			conf_texts_set(&c->texts, pst_str_c(b->path), pst_str_c(b->value), "", 0);
	for (i = 0; i < s->listener_count; i++)
		shown += show_group(c,
		                    pst_arena_printf(c->arena, "listener.%s", s->listeners[i].name),
		                    settings_listener_keys, path);
	return shown;
}

static size_t
show(struct ctl *c, const struct sections *sections, const char *path)
{
	const struct docs_group *groups;
	size_t n, i;
	size_t shown = 0;

	groups = sections_groups(sections, &n);
	for (i = 0; i < n; i++) {
		if (strcmp(groups[i].name, "listener") == 0)
			shown += show_listeners(c, path);
		else
			shown += show_group(c, groups[i].name, groups[i].keys, path) +
			         show_group(c, groups[i].name,
			                    settings_section_keys(groups[i].name), path);
	}
	return shown;
}

int
ctl_config_show(struct ctl *c, int argc, char **argv)
{
	struct sections *sections;
	int status = CTL_OK;
	int i;

	if (ctl_need_config(c) != 0)
		return CTL_FAILED;
	sections = sections_of_config(c, &c->problems);
	ctl_print_problems(&c->problems);
	if (argc == 0)
		(void)show(c, sections, NULL);
	for (i = 0; i < argc; i++)
		if (show(c, sections, argv[i]) == 0)
			status = ctl_fail("there is no setting \"%s\"", argv[i]);
	sections_destroy(sections);
	return status;
}

/* ---- config man, config sample ---- */

/* These are about the program, not about a configuration: the file counts only where it is named,
 * and -s server.plugin_dir. */
static int
write_docs(struct ctl *c, void (*write)(const struct docs_group *, size_t, FILE *))
{
	struct sections *sections;
	const struct docs_group *groups;
	size_t n;

	if (!c->config_given)
		c->config_path = NULL;
	if (ctl_need_config(c) != 0)
		return CTL_FAILED;
	sections = sections_of_folder(c, c->settings.server.plugin_dir, &c->problems);
	groups = sections_groups(sections, &n);
	write(groups, n, stdout);
	sections_destroy(sections);
	ctl_print_problems(&c->problems);
	return c->problems.n == 0 ? CTL_OK : CTL_FAILED;
}

int
ctl_config_man(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	return argc > 0 ? CTL_USAGE : write_docs(c, docs_man);
}

int
ctl_config_sample(struct ctl *c, int argc, char **argv)
{
	(void)argv;
	return argc > 0 ? CTL_USAGE : write_docs(c, docs_sample);
}
