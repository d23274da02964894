/* SPDX-License-Identifier: MIT */
/* The plugin sqlite: users and their administration, and hostile texts in every field. */
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
#include "base/log.h"
#include "tests/unit/auth/kit.h"

/* ---- Users ---- */

static void
test_create_makes_a_private_database_in_wal_mode_and_only_once(void **state)
{
	struct kit *f = *state;
	struct stat st;

	kit_load_new(f);
	assert_int_equal(stat(f->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* Nothing is open: the files may change hands now. */
	assert_int_equal(access(kit_path_of(f, "users.db-wal"), F_OK), -1);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(access(kit_path_of(f, "users.db-wal"), F_OK), 0);
	assert_int_equal(f->auth->create(f->self, &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_create_adds_nothing_to_a_database_of_somebody_else(void **state)
{
	struct kit *f = *state;

	kit_sql(f->db, "CREATE TABLE theirs (x)");
	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), -1);
	assert_non_null(strstr(f->err.text, "no such table"));
}

static int
count_row(void *arg, int n, char **values, char **names)
{
	(void)n, (void)names;
	(void)snprintf(strchr(arg, '\0'), 65536 - strlen(arg), "%s\n", values[0]);
	return 0;
}

static void
dump_schema(const char *db, char *out)
{
	sqlite3 *h;

	out[0] = '\0';
	assert_int_equal(sqlite3_open(db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "SELECT sql FROM sqlite_master WHERE sql <> '' ORDER BY 1",
	                              count_row, out, NULL),
	                 SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "PRAGMA journal_mode", count_row, out, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "PRAGMA user_version", count_row, out, NULL), SQLITE_OK);
	sqlite3_close(h);
}

static void
test_the_schema_file_and_create_make_the_same(void **state)
{
	static char text[65536], theirs[65536], ours[65536];
	struct kit *f = *state;
	int fd = open(TEST_SRCDIR "/contrib/schema/sqlite.sql", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n > 0);
	close(fd);
	text[n] = '\0';
	kit_sql(kit_path_of(f, "other.db"), text);
	kit_sql(kit_path_of(f, "other.db"), text); /* twice is harmless */
	kit_load_new(f);
	dump_schema(kit_path_of(f, "other.db"), theirs);
	dump_schema(f->db, ours);
	assert_string_equal(ours, theirs);
	assert_non_null(strstr(ours, "CREATE TABLE users"));
	assert_non_null(strstr(ours, "wal\n3\n"));
}

static void
test_a_user_is_found_with_all_that_was_said(void **state)
{
	struct kit *f = *state;
	const struct pst_auth_user bob = {
		.name = PST_LIT("bob@b.test"),
		.credential = PST_LIT("{PLAIN}x y"),
		.location = PST_LIT("maildir:/srv/%{local}"),
		.uid = 1000,
		.gid = 4294967294u,
		.enabled = true,
	};

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice", HASH), 0); /* no domain */
	assert_int_equal(f->auth->user_add(f->self, &bob, &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_int_equal(f->record.location.n, 0);
	assert_int_equal(f->record.user.n, 0);
	assert_int_equal(f->record.uid, 0);
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}x y");
	assert_text(f->record.location, "maildir:/srv/%{local}");
	assert_int_equal(f->record.uid, 1000);
	assert_int_equal(f->record.gid, 4294967294u);
	assert_int_equal(kit_lookup(f, "bob"), PST_AUTH_UNKNOWN);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(kit_lookup(f, ""), PST_AUTH_UNKNOWN);
}

static void
test_administration_says_what_is_there_and_what_is_not(void **state)
{
	struct kit *f = *state;
	struct pst_str name = PST_LIT("alice@b.test");

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "already"));
	assert_int_equal(f->auth->user_passwd(f->self, name, PST_LIT("{PLAIN}new"), &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}new");
	assert_int_equal(
		f->auth->user_enable(f->self, name, false, PST_LIT("did not pay"), &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "did not pay");
	assert_text(f->record.credential, "{PLAIN}new"); /* the server tells guesses apart */
	assert_int_equal(f->auth->user_enable(f->self, name, true, PST_LIT(""), &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.reason.n, 0);
	assert_int_equal(f->auth->user_delete(f->self, name, &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(f->auth->user_delete(f->self, name, &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_int_equal(f->auth->user_passwd(f->self, name, PST_LIT("x"), &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_int_equal(f->auth->user_enable(f->self, name, true, PST_LIT(""), &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
}

static void
test_a_user_that_breaks_a_rule_of_the_schema_leaves_nothing_behind(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	/* The server folds names; the schema holds anybody else to it. The domain went in first. */
	assert_int_equal(kit_add(f, "Alice@new.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "CHECK"));
	assert_int_equal(kit_add(f, "alice@new.test", HASH), 0);
	kit_sql(f->db, "DELETE FROM users; DELETE FROM domains");
	assert_int_equal(kit_add(f, "Alice@new.test", HASH), -1);
	kit_sql(f->db,
	        "CREATE TEMP TABLE t AS SELECT CASE count(*) WHEN 0 THEN 1 END AS ok FROM domains;"
	        "CREATE TEMP TABLE must (x NOT NULL); INSERT INTO must SELECT ok FROM t");
}

static void
test_a_disabled_domain_shuts_all_its_users_out(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "alice@c.test", HASH), 0);
	kit_sql(f->db, "UPDATE domains SET enabled = 0, reason = 'moved' WHERE name = 'b.test'");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "moved");
	assert_int_equal(kit_lookup(f, "alice@c.test"), PST_AUTH_OK);
}

static void
test_a_user_without_a_password_cannot_log_in(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, "UPDATE users SET password = NULL");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "no password is stored");
	kit_sql(f->db, "UPDATE users SET password = ''");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
}

static void
on_user(void *arg, const struct pst_auth_user *u)
{
	char *out = arg;

	assert_int_equal(u->credential.n, 0);
	(void)snprintf(strchr(out, '\0'), 1024 - strlen(out), "%.*s %d %u:%u %.*s|",
	               PST_ARG(u->name), u->enabled, u->uid, u->gid, PST_ARG(u->reason));
}

static void
test_users_are_listed_by_name_all_or_of_one_domain(void **state)
{
	struct kit *f = *state;
	char out[1024] = "";

	kit_load_new(f);
	assert_int_equal(kit_add(f, "zoe@a.test", HASH), 0);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "root", HASH), 0);
	assert_int_equal(f->auth->user_enable(f->self, PST_LIT("alice@b.test"), false,
	                                      PST_LIT("left"), &f->err),
	                 0);
	assert_int_equal(f->auth->user_list(f->self, PST_LIT(""), on_user, out, &f->err), 0);
	assert_string_equal(out, "alice@b.test 0 0:0 left|root 1 0:0 |zoe@a.test 1 0:0 |");
	out[0] = '\0';
	assert_int_equal(f->auth->user_list(f->self, PST_LIT("b.test"), on_user, out, &f->err), 0);
	assert_string_equal(out, "alice@b.test 0 0:0 left|");
	out[0] = '\0';
	assert_int_equal(f->auth->user_list(f->self, PST_LIT("none"), on_user, out, &f->err), 0);
	assert_string_equal(out, "");
}

/* ---- Hostile texts ---- */

static const char *const hostile[] = {
	"'; drop table users; --",
	"\" or \"\"=\"",
	"' or '1'='1",
	"a\\' or 1=1 --",
	"%",
	"_",
	"*",
	"x'); delete from users; --",
	"/* */",
	"-- ",
	"$1",
	"?1",
	":user",
	"@x",
	"\xff\xfe\x80",
	"a' union select password from users --",
	"{plain}",
	"%n%s%x",
};

static void
test_sql_in_any_field_is_only_text(void **state)
{
	struct kit *f = *state;
	size_t i;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *name = pst_arena_printf(f->arena, "%s@%s", hostile[i], "d.test");
		const char *domain = pst_arena_printf(f->arena, "alice@%s", hostile[i]);
		const struct pst_auth_user user = {
			.name = pst_str_c(name),
			.credential = pst_str_c(hostile[i]),
			.location = pst_str_c(hostile[i]),
			.enabled = true,
		};

		assert_int_equal(kit_lookup(f, hostile[i]), PST_AUTH_UNKNOWN);
		assert_int_equal(kit_lookup(f, name), PST_AUTH_UNKNOWN);
		assert_int_equal(kit_lookup(f, domain), PST_AUTH_UNKNOWN);
		if (f->auth->user_add(f->self, &user, &f->err) != 0)
			fail_msg("%s: %s", hostile[i], f->err.text);
		assert_int_equal(f->auth->user_enable(f->self, user.name, false,
		                                      pst_str_c(hostile[i]), &f->err),
		                 0);
		assert_int_equal(kit_lookup(f, name), PST_AUTH_DISABLED);
		assert_text(f->record.reason, hostile[i]);
		assert_text(f->record.credential, hostile[i]);
		assert_text(f->record.location, hostile[i]);
		assert_int_equal(f->auth->user_delete(f->self, user.name, &f->err), 0);
	}
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
}

static void
test_a_long_name_is_whole(void **state)
{
	struct kit *f = *state;
	char name[256];

	memset(name, 'a', sizeof(name));
	memcpy(name + 120, "@", 1);
	name[255] = '\0';
	kit_load_new(f);
	assert_int_equal(kit_add(f, name, HASH), 0);
	assert_int_equal(kit_lookup(f, name), PST_AUTH_OK);
	name[254] = '\0';
	assert_int_equal(kit_lookup(f, name), PST_AUTH_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_create_makes_a_private_database_in_wal_mode_and_only_once),
		T(test_create_adds_nothing_to_a_database_of_somebody_else),
		T(test_the_schema_file_and_create_make_the_same),
		T(test_a_user_is_found_with_all_that_was_said),
		T(test_administration_says_what_is_there_and_what_is_not),
		T(test_a_user_that_breaks_a_rule_of_the_schema_leaves_nothing_behind),
		T(test_a_disabled_domain_shuts_all_its_users_out),
		T(test_a_user_without_a_password_cannot_log_in),
		T(test_users_are_listed_by_name_all_or_of_one_domain),
		T(test_sql_in_any_field_is_only_text),
		T(test_a_long_name_is_whole),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
