/* SPDX-License-Identifier: MIT */
/* Loading real shared objects: a good one to its end, and each bad one with the rule it breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <postern/auth.h>

#include "base/arena.h"
#include "plugin/loader.h"

#define PLUGINS TEST_BUILDDIR "/tests/unit/plugin/.libs"

static struct pst_arena *arena;
static struct conf_texts texts;
static struct conf_problems problems;

static int
open_kit(void **state)
{
	(void)state;
	arena = pst_arena_create();
	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	return 0;
}

static int
close_kit(void **state)
{
	(void)state;
	pst_arena_destroy(arena);
	return 0;
}

static void
set(const char *path, const char *value)
{
	conf_texts_set(&texts, pst_str_c(path), pst_str_c(value), "f.conf", 7);
}

static struct plugin *
load_good(void)
{
	struct pst_err err;
	struct plugin *p = plugin_load(PLUGINS, "plug", "mine", PST_AUTH, &err);

	if (p == NULL)
		fail_msg("%s", err.text);
	return p;
}

static void
test_good_plugin_is_loaded_started_used_and_stopped(void **state)
{
	struct pst_auth_query query = { .user = PST_LIT("alice") };
	struct pst_auth_record record = { .arena = arena };
	struct pst_err err;
	char word[16] = "";
	struct plugin *p = load_good();
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_string_equal(plugin_instance(p), "mine");
	assert_string_equal(plugin_descriptor(p)->name, "plug");
	set("auth.mine.number", pst_arena_printf(arena, "%d", ends[1]));
	set("auth.mine.plugin", "plug");
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(problems.n, 0);
	assert_int_equal(plugin_start(p, "auth", &err), 0);
	assert_non_null(plugin_self(p));
	assert_int_equal(plugin_descriptor(p)->auth->lookup(plugin_self(p), &query, &record, &err),
	                 PST_AUTH_OK);
	assert_true(pst_str_eq(record.user, PST_LIT("alice")));
	plugin_unload(p);
	assert_int_equal(read(ends[0], word, sizeof(word)), 7);
	assert_string_equal(word, "stopped");
	close(ends[0]);
	close(ends[1]);
}

static void
test_plugin_that_was_not_started_is_not_stopped(void **state)
{
	struct pst_err err;
	struct plugin *p = load_good();

	(void)state;
	set("auth.mine.number", "99"); /* start refuses; stop would write to that descriptor */
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(plugin_start(p, "auth", &err), -1);
	assert_string_equal(err.text, "told not to");
	plugin_unload(p);
	plugin_unload(NULL);
}

static void
test_settings_that_are_wrong_are_all_problems(void **state)
{
	struct plugin *p = load_good();

	(void)state;
	set("auth.mine.numbr", "5");
	set("auth.mine.database", "relative");
	set("auth.mine.number", "101");
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(problems.n, 3);
	assert_string_equal(problems.v[0],
	                    "f.conf:7: auth.mine.numbr: unknown setting; did you mean "
	                    "auth.mine.number?");
	assert_non_null(
		strstr(problems.v[1], "auth.mine.number: \"101\" is out of bounds: -1 to 100"));
	assert_non_null(
		strstr(problems.v[2], "auth.mine.database: \"relative\" is not an absolute"));
	plugin_unload(p);
}

static void
test_plugins_own_check_is_asked_only_with_good_values(void **state)
{
	struct plugin *p = load_good();

	(void)state;
	set("auth.mine.number", "13");
	set("auth.mine.database", "relative");
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(problems.n, 1);
	conf_problems_init(&problems, arena);
	set("auth.mine.database", "/db");
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(problems.n, 1);
	assert_string_equal(problems.v[0],
	                    "f.conf:7: auth.mine: number: 13 does not go with anything");
	plugin_unload(p);
}

static void
test_paths_of_the_settings_are_told_with_their_types(void **state)
{
	const char *paths[4];
	enum pst_conf_type types[4];
	struct plugin *p = load_good();

	(void)state;
	assert_int_equal(plugin_paths(p, paths, types, 4), 0); /* not configured */
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(plugin_paths(p, paths, types, 4), 1); /* an empty path is none */
	assert_string_equal(paths[0], "/c");
	assert_int_equal(types[0], PST_CONF_T_READ_PATH);
	set("auth.mine.database", "/var/db");
	plugin_configure(p, "auth.mine", &texts, &problems);
	assert_int_equal(plugin_paths(p, paths, types, 4), 2);
	assert_string_equal(paths[0], "/var/db");
	assert_int_equal(types[0], PST_CONF_T_WRITE_PATH);
	paths[1] = NULL;
	assert_int_equal(plugin_paths(p, paths, types, 1), 2);
	assert_null(paths[1]); /* not beyond cap */
	plugin_unload(p);
}

static void
test_older_plugin_has_zeros_where_it_ends(void **state)
{
	struct pst_err err;
	struct plugin *p = plugin_load(PLUGINS, "older", "older", PST_AUTH, &err);

	(void)state;
	if (p == NULL)
		fail_msg("%s", err.text);
	assert_non_null(plugin_descriptor(p)->auth);
	assert_null(plugin_descriptor(p)->policy);
	plugin_unload(p);
}

static void
test_bad_plugin_is_refused_with_the_rule_it_breaks(void **state)
{
	static const struct {
		const char *name;
		enum pst_kind kind;
		const char *says;
	} rows[] = {
		{ "nowhere", PST_AUTH, "nowhere.so: rule 1: it cannot be loaded: cannot open" },
		{ "no_symbol", PST_AUTH, "rule 2: it exports no \"postern_plugin\"" },
		{ "function", PST_AUTH, "rule 2: \"postern_plugin\" is not a constant" },
		{ "abi", PST_AUTH, "rule 3: abi 2, this server speaks 1" },
		{ "larger", PST_AUTH, "rule 4: size " },
		{ "liar", PST_AUTH, "rule 4: size " },
		{ "misnamed", PST_AUTH,
		  "rule 5: it calls itself \"other\": its file must be other.so" },
		{ "plug", PST_STORAGE, "rule 6: is a plugin for auth, not for storage" },
		{ "plug", PST_POLICY, "rule 6: is a plugin for auth, not for policy" },
		{ "../plugin/plug", PST_AUTH, "\"../plugin/plug\" is not a plugin's name" },
		{ "", PST_AUTH, "is not a plugin's name" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pst_err err = { 0 };

		if (plugin_load(PLUGINS, rows[i].name, "x", rows[i].kind, &err) != NULL)
			fail_msg("\"%s\" was loaded", rows[i].name);
		assert_int_equal(err.kind, PST_E_PERM);
		if (strstr(err.text, rows[i].says) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].name, err.text,
			         rows[i].says);
	}
}

static void
test_file_that_is_no_shared_object_is_refused(void **state)
{
	char folder[] = "/tmp/postern-test-plugin-XXXXXX";
	const char *path;
	struct pst_err err;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = pst_arena_printf(arena, "%s/text.so", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("not ELF", f);
	fclose(f);
	assert_null(plugin_load(folder, "text", "text", PST_AUTH, &err));
	assert_non_null(strstr(err.text, "text.so: rule 1: it cannot be loaded: "));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void
test_file_is_loaded_by_its_path_whatever_its_kind(void **state)
{
	struct pst_err err;
	struct plugin *p = plugin_load_file(PLUGINS "/plug.so", NULL, &err);

	(void)state;
	if (p == NULL)
		fail_msg("%s", err.text);
	assert_string_equal(plugin_instance(p), "plug");
	assert_int_equal(plugin_descriptor(p)->kind, PST_AUTH);
	plugin_unload(p);
	assert_int_equal(chdir(PLUGINS), 0); /* a bare name is a file here, not the system's */
	p = plugin_load_file("plug.so", "mine", &err);
	if (p == NULL)
		fail_msg("%s", err.text);
	assert_string_equal(plugin_instance(p), "mine");
	plugin_unload(p);
	assert_null(plugin_load_file("libc.so", NULL, &err));
	assert_null(plugin_load_file("plug", NULL, &err));
	assert_non_null(strstr(err.text, "rule 5: plug: the file of a plugin is NAME.so"));
	assert_null(plugin_load_file(".so", NULL, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_good_plugin_is_loaded_started_used_and_stopped),
		TEST(test_plugin_that_was_not_started_is_not_stopped),
		TEST(test_settings_that_are_wrong_are_all_problems),
		TEST(test_plugins_own_check_is_asked_only_with_good_values),
		TEST(test_paths_of_the_settings_are_told_with_their_types),
		TEST(test_older_plugin_has_zeros_where_it_ends),
		TEST(test_bad_plugin_is_refused_with_the_rule_it_breaks),
		TEST(test_file_that_is_no_shared_object_is_refused),
		TEST(test_file_is_loaded_by_its_path_whatever_its_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
