/* SPDX-License-Identifier: MIT */
/* What the tests of configurations share: files in a folder of their own, and what was said. */
#ifndef TESTS_CONF_KIT_H
#define TESTS_CONF_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "config/settings.h"

static struct pst_arena *arena;
static struct conf_texts texts;
static struct conf_problems problems;
static struct settings settings;
static char folder[64];

static int
open_kit(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/postern-test-conf-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	arena = pst_arena_create();
	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	memset(&settings, 0, sizeof(settings));
	return 0;
}

static int
close_kit(void **state)
{
	char command[128];

	(void)state;
	pst_arena_destroy(arena);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static inline const char *
path_of(const char *name)
{
	return pst_arena_printf(arena, "%s/%s", folder, name);
}

static inline void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Reads text as a file, and sets, which ends with NULL and may be NULL. */
static inline void
read_text(const char *text, const char *const *sets)
{
	size_t n = 0;

	while (sets != NULL && sets[n] != NULL)
		n++;
	write_file("postern.conf", text);
	conf_file_read(path_of("postern.conf"), sets, n, &texts, &problems);
}

static inline void
load_text(const char *text, const char *const *sets)
{
	read_text(text, sets);
	settings_load(&texts, &settings, &problems);
}

static inline const char *
value_of(const char *path)
{
	const struct conf_text *t = conf_texts_get(&texts, path);

	return t != NULL ? t->value : NULL;
}

/* Is there a problem that holds this text? */
static inline bool
has_problem(const char *text)
{
	size_t i;

	for (i = 0; i < problems.n; i++)
		if (strstr(problems.v[i], text) != NULL)
			return true;
	return false;
}

static inline void
expect_problem(const char *text)
{
	size_t i;

	if (has_problem(text))
		return;
	for (i = 0; i < problems.n; i++)
		print_message("there is: %s\n", problems.v[i]);
	fail_msg("no problem holds \"%s\"", text);
}

static inline void
expect_no_problems(void)
{
	size_t i;

	for (i = 0; i < problems.n; i++)
		print_message("there is: %s\n", problems.v[i]);
	assert_int_equal(problems.n, 0);
}

#define KIT_TEST(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

#endif
