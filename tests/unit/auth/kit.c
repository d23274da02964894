/* SPDX-License-Identifier: MIT */
/* See kit.h. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/arena.h"
#include "base/mem.h"
#include "tests/unit/auth/kit.h"

const char *
kit_path_of(const struct kit *f, const char *name)
{
	return pst_arena_printf(f->arena, "%s/%s", f->folder, name);
}

int
kit_set_up(void **state)
{
	struct kit *f = pst_new(struct kit);

	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/postern-sqlite-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->arena = pst_arena_create();
	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "users.db"));
	*state = f;
	return 0;
}

static void
remove_folder(const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
	closedir(d);
	assert_int_equal(rmdir(folder), 0);
}

void
kit_unload(struct kit *f)
{
	plugin_unload(f->p);
	f->p = NULL;
}

int
kit_tear_down(void **state)
{
	struct kit *f = *state;

	kit_unload(f);
	pst_arena_destroy(f->arena);
	remove_folder(f->folder);
	free(f);
	return 0;
}

size_t
kit_load(struct kit *f, const char *worker, const char *const *settings)
{
	struct conf_problems problems;
	struct conf_texts t;

	kit_unload(f);
	conf_texts_init(&t, f->arena);
	conf_problems_init(&problems, f->arena);
	conf_texts_set(&t, PST_LIT("auth.sqlite.database"), pst_str_c(f->db), "", 0);
	for (; settings != NULL && settings[0] != NULL; settings += 2)
		conf_texts_set(&t,
		               pst_str_c(pst_arena_printf(f->arena, "auth.sqlite.%s", settings[0])),
		               pst_str_c(settings[1]), "", 0);
	f->p = plugin_load(TEST_BUILDDIR "/auth/.libs", "sqlite", "sqlite", PST_AUTH, &f->err);
	if (f->p == NULL)
		fail_msg("%s", f->err.text);
	plugin_configure(f->p, "auth.sqlite", &t, &problems);
	if (problems.n > 0)
		return problems.n;
	assert_int_equal(plugin_start(f->p, worker, &f->err), 0);
	f->auth = plugin_descriptor(f->p)->auth;
	f->self = plugin_self(f->p);
	return 0;
}

void
kit_load_new(struct kit *f)
{
	assert_int_equal(kit_load(f, "ctl", NULL), 0);
	if (f->auth->create(f->self, &f->err) != 0)
		fail_msg("%s", f->err.text);
}

void
kit_sql(const char *db, const char *text)
{
	sqlite3 *h;
	char *why = NULL;

	assert_int_equal(sqlite3_open(db, &h), SQLITE_OK);
	if (sqlite3_exec(h, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(h);
}

int
kit_add(struct kit *f, const char *name, const char *credential)
{
	const struct pst_auth_user user = {
		.name = pst_str_c(name),
		.credential = pst_str_c(credential),
		.enabled = true,
	};

	return f->auth->user_add(f->self, &user, &f->err);
}

enum pst_auth_result
kit_lookup(struct kit *f, const char *name)
{
	const char *at = strrchr(name, '@');
	size_t local = at == NULL ? strlen(name) : (size_t)(at - name);
	const struct pst_auth_query query = {
		.user = pst_str_c(name),
		.local_part = { name, local },
		.domain = pst_str_c(at == NULL ? "" : at + 1),
		.remote_ip = PST_LIT("192.0.2.7"),
		.local_ip = PST_LIT("192.0.2.1"),
		.sni = PST_LIT("mail.example.org"),
		.mechanism = PST_LIT("USER"),
	};

	f->record = (struct pst_auth_record){ .arena = f->arena };
	f->err.text[0] = '\0';
	return f->auth->lookup(f->self, &query, &f->record, &f->err);
}

void
kit_assert_temp(struct kit *f, const char *name, const char *says)
{
	enum pst_auth_result result = kit_lookup(f, name);

	if (result != PST_AUTH_TEMP)
		fail_msg("result %d, expected \"%s\"", (int)result, says);
	assert_int_equal(f->err.kind, PST_E_TEMP);
	if (strstr(f->err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->err.text, says);
}
