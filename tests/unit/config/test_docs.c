/* SPDX-License-Identifier: MIT */
/* What is written of settings: the sample reads as the defaults, the manual names every setting, and
 * no secret is shown. */
#include "tests/unit/config/conf_kit.h"

#include "config/docs.h"
#include "config/table.h"

struct plug {
	const char *text, *secret;
	int64_t size;
};

static const struct pst_conf_key plug_keys[] = {
	{ "text", PST_CONF_TEXT(struct plug, text), "a \"b\" \\ c\n\td", 0, 0, NULL,
	  ".Sh begins the text. It's 'quoted' \\fB and ends." },
	{ "secret", PST_CONF_SECRET(struct plug, secret), "default-secret", 0, 0, NULL, "Hidden." },
	{ "size", PST_CONF_SIZE(struct plug, size), "10M", 1, 1 << 30, NULL, "A size." },
	{ .key = NULL },
};

static struct docs_group groups[32];

static size_t
fill_groups(void)
{
	const struct settings_group *g;
	size_t n = 0;

	for (g = settings_groups; g->name != NULL; g++)
		groups[n++] = (struct docs_group){ g->name, g->keys, g->doc };
	groups[n++] = (struct docs_group){ "auth.plug", plug_keys, "Settings of the plugin plug." };
	return n;
}

static const char *
written(void (*write)(const struct docs_group *, size_t, FILE *))
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	const char *copy;

	write(groups, fill_groups(), to);
	fclose(to);
	copy = pst_arena_copy(arena, (struct pst_str){ text, n });
	free(text);
	return copy;
}

/* Takes away the '#' of every line "#name = value;", "#name: {" and "#};". */
static const char *
uncomment(const char *text)
{
	char *copy = pst_arena_copy(arena, pst_str_c(text));
	char *line = copy;

	while (line != NULL && *line != '\0') {
		char *c = line + strspn(line, "\t ");

		if (c[0] == '#' && c[1] != ' ' && c[1] != '\n')
			c[0] = ' ';
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return copy;
}

/* Same values: by number or by text, of every setting. */
static void
expect_same(const struct settings *a, const struct settings *b)
{
	const struct settings_group *g;
	const struct pst_conf_key *key;

	for (g = settings_groups; g->name != NULL; g++)
		for (key = g->keys; key->key != NULL; key++) {
			const char *in_a = (const char *)a + g->offset + key->offset;
			const char *in_b = (const char *)b + g->offset + key->offset;
			bool same;

			if (key->type == PST_CONF_T_BOOL)
				same = *(const bool *)in_a == *(const bool *)in_b;
			else if (key->type >= PST_CONF_T_TEXT && key->type != PST_CONF_T_CHOICE)
				same = strcmp(*(const char *const *)in_a,
				              *(const char *const *)in_b) == 0;
			else
				same = *(const int64_t *)in_a == *(const int64_t *)in_b;
			if (!same)
				fail_msg("%s.%s differs", g->name, key->key);
		}
	assert_int_equal(a->listener_count, b->listener_count);
	assert_int_equal(a->listeners[1].port, b->listeners[1].port);
	assert_int_equal(a->listeners[1].tls, b->listeners[1].tls);
}

static void
test_sample_reads_as_the_defaults_as_it_is_and_uncommented(void **state)
{
	const char *sample = written(docs_sample);
	struct settings defaults, plain;
	struct plug plug;

	(void)state;
	load_text("", NULL);
	defaults = settings;
	load_text(sample, NULL);
	expect_no_problems();
	plain = settings;
	expect_same(&defaults, &plain);
	assert_null(value_of("login.workers"));

	conf_texts_init(&texts, arena);
	load_text(uncomment(sample), NULL);
	expect_no_problems();
	expect_same(&defaults, &settings);
	assert_string_equal(value_of("login.workers"), "0");
	assert_string_equal(value_of("listener.pop3s.port"), "995");
	assert_non_null(settings_section(&settings, PST_AUTH, PST_LIT("plug")));
	conf_table_fill(plug_keys, "auth.plug", &texts, &plug, &problems);
	expect_no_problems();
	assert_string_equal(plug.text, "a \"b\" \\ c\n\td");
	assert_int_equal(plug.size, 10 << 20);
}

static void
test_sample_holds_every_setting(void **state)
{
	const char *sample = written(docs_sample);
	const struct settings_group *g;
	const struct pst_conf_key *key;

	(void)state;
	for (g = settings_groups; g->name != NULL; g++)
		for (key = g->keys; key->key != NULL; key++)
			if (strstr(sample, pst_arena_printf(arena, "#%s = ", key->key)) == NULL)
				fail_msg("%s.%s is missing", g->name, key->key);
}

static void
test_manual_names_every_setting_and_escapes_what_roff_would_take(void **state)
{
	const char *man = written(docs_man);
	const struct settings_group *g;
	const struct pst_conf_key *key;

	(void)state;
	for (g = settings_groups; g->name != NULL; g++)
		for (key = g->keys; key->key != NULL; key++) {
			const char *name =
				strcmp(g->name, "listener") == 0 ? "listener.NAME" : g->name;

			if (strstr(man, pst_arena_printf(arena, ".It Cm %s.%s\n", name,
			                                 key->key)) == NULL)
				fail_msg("%s.%s is missing", g->name, key->key);
		}
	assert_non_null(strstr(man, ".It Cm auth.plug.size\n"));
	for (key = settings_backend_keys; key->key != NULL; key++)
		if (strstr(man, pst_arena_printf(arena, ".It Cm auth.NAME.%s\n", key->key)) == NULL)
			fail_msg("auth.NAME.%s is missing", key->key);
	assert_non_null(strstr(man, "\n\\&.Sh begins the text.\nIt's 'quoted' \\efB and ends.\n"));
	assert_null(strstr(man, "\\fB"));
}

static const char *
shown(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	const char *copy;

	conf_table_show(plug_keys, "auth.plug", &texts, to);
	fclose(to);
	copy = pst_arena_copy(arena, (struct pst_str){ text, n });
	free(text);
	return copy;
}

static void
test_show_tells_values_and_hides_secrets(void **state)
{
	const char *text = shown();

	(void)state;
	assert_non_null(strstr(text, "auth.plug.secret = (not shown)  (the default; "));
	assert_null(strstr(text, "default-secret"));
	assert_non_null(strstr(text, "auth.plug.size = \"10M\"  (the default; size, 1 to 1G)\n# A "
	                             "size.\n"));
	conf_texts_set(&texts, PST_LIT("auth.plug.secret"), PST_LIT("hunter2"), "f", 1);
	conf_texts_set(&texts, PST_LIT("auth.plug.size"), PST_LIT("5K"), "f", 2);
	text = shown();
	assert_non_null(strstr(text, "auth.plug.secret = (not shown)  (not the default; "));
	assert_null(strstr(text, "hunter2"));
	assert_non_null(strstr(text, "auth.plug.size = \"5K\"  (default \"10M\"; "));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_sample_reads_as_the_defaults_as_it_is_and_uncommented),
		KIT_TEST(test_sample_holds_every_setting),
		KIT_TEST(test_manual_names_every_setting_and_escapes_what_roff_would_take),
		KIT_TEST(test_show_tells_values_and_hides_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
