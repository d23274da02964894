/* SPDX-License-Identifier: MIT */
/* The plugin sqlite with databases that are missing, locked, broken or replaced, and with queries of an
 * admin's own, right and wrong. */
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

/* ---- Databases that are not as they should be ---- */

static void
test_a_missing_database_is_temporary_and_over_when_it_is_there(void **state)
{
	struct kit *f = *state;

	assert_int_equal(kit_load(f, "auth", NULL), 0);
	kit_assert_temp(f, "alice@b.test", "is not there");
	kit_assert_temp(f, "alice@b.test", f->db);
	assert_int_equal(access(f->db, F_OK), -1); /* a look-up makes none */
	kit_sql(f->db, "CREATE TABLE other (x)");
	kit_assert_temp(f, "alice@b.test", "lookup_query: ");
	kit_assert_temp(f, "alice@b.test", "no such table");
	kit_sql(f->db,
	        "CREATE TABLE domains (name, enabled, reason);"
	        "CREATE TABLE users (domain, local_part, password, maildrop, uid, gid, enabled, reason);"
	        "INSERT INTO domains VALUES ('b.test', 1, NULL);"
	        "INSERT INTO users (domain, local_part, password, enabled)"
	        " VALUES ('b.test', 'alice', '" HASH "', 1)");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_folder_that_is_missing_is_temporary_too(void **state)
{
	struct kit *f = *state;

	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "no/such/users.db"));
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	kit_assert_temp(f, "alice@b.test", "No such file");
	assert_int_equal(f->auth->create(f->self, &f->err), -1);
}

static void
test_a_locked_database_is_temporary_and_over_when_it_is_free(void **state)
{
	struct kit *f = *state;
	sqlite3 *h;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_unload(f);
	kit_sql(f->db,
	        "PRAGMA journal_mode = DELETE"); /* in WAL mode nobody can keep readers out */
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	kit_assert_temp(f, "alice@b.test", "locked");
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(h);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_writer_does_not_keep_look_ups_waiting(void **state)
{
	struct kit *f = *state;
	sqlite3 *h;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN IMMEDIATE; UPDATE users SET password = 'x'", NULL,
	                              NULL, NULL),
	                 SQLITE_OK);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "x"); /* at once */
	sqlite3_close(h);
}

static void
write_file(const char *path, const char *octets, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, n), n);
	close(fd);
}

static void
test_a_file_that_is_no_database_is_temporary_and_over_when_it_is_mended(void **state)
{
	static const char junk[] = "this is not a database, and long enough to be looked at: "
				   "------------------------------------------------------------";
	struct kit *f = *state;

	write_file(f->db, junk, sizeof(junk));
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	kit_assert_temp(f, "alice@b.test", "not a database");
	assert_int_equal(unlink(f->db), 0);
	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

/* Writes over the file's pages, or writes them again as they were. */
static void
write_pages(const char *path, const char *octets, size_t n)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, n, 0), n);
	close(fd);
}

static void
test_a_database_that_breaks_while_it_is_open_is_temporary_until_it_is_restored(void **state)
{
	struct kit *f = *state;
	char good[3 * 4096], bad[sizeof(good)];
	int fd;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_unload(f);
	kit_sql(f->db, "PRAGMA journal_mode = DELETE");
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	fd = open(f->db, O_RDONLY);
	assert_int_equal(pread(fd, good, sizeof(good), 0), sizeof(good));
	close(fd);
	/* Pages 2 and 3 are the tables; the change counter makes the reader look again. */
	memcpy(bad, good, sizeof(bad));
	memset(bad + 24, 0x7f, 4);
	memset(bad + 4096, 0xee, 2 * 4096);
	write_pages(f->db, bad, sizeof(bad));
	kit_assert_temp(f, "alice@b.test", "malformed");
	kit_assert_temp(f, "alice@b.test", "malformed");
	/* Restored in place, with the very counter that the reader saw last. */
	memset(good + 24, 0x7f, 4);
	write_pages(f->db, good, sizeof(good));
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
}

static void
test_a_database_that_is_replaced_is_taken_up_at_the_next_look_up(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", "{PLAIN}old"), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "new.db"));
	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", "{PLAIN}new"), 0);
	assert_int_equal(kit_add(f, "bob@b.test", HASH), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "users.db"));
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_UNKNOWN);
	/* As an admin would: nothing of the old journal is left beside the new file. */
	kit_sql(kit_path_of(f, "new.db"), "PRAGMA journal_mode = DELETE");
	assert_int_equal(rename(kit_path_of(f, "new.db"), f->db), 0);
	(void)unlink(kit_path_of(f, "users.db-wal"));
	(void)unlink(kit_path_of(f, "users.db-shm"));
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_OK);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}new");
	assert_int_equal(unlink(f->db), 0);
	kit_assert_temp(f, "alice@b.test", "is not there");
}

static void
test_a_link_to_a_folder_is_followed_and_a_link_to_a_file_is_not(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(symlink("users.db", kit_path_of(f, "link.db")), 0);
	assert_int_equal(symlink(".", kit_path_of(f, "here")), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "here/users.db"));
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	(void)snprintf(f->db, sizeof(f->db), "%s", kit_path_of(f, "link.db"));
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	kit_assert_temp(f, "alice@b.test", "symbolic link");
}

/* ---- Queries of an admin's own ---- */

static void
on_shown(void *arg, const struct pst_auth_user *stored, bool is_domain)
{
	(void)arg, (void)stored, (void)is_domain;
	fail_msg("a user is shown");
}

static void
test_a_home_grown_schema_is_used_as_it_is(void **state)
{
	static const char *const settings[] = {
		"lookup_query",
		"SELECT crypt AS password, 'maildir:' || maildir AS maildrop, active AS enabled, "
		"'u' || id || '@x' AS user, :remote_ip || :local_ip || :sni AS reason "
		"FROM accounts WHERE email = :user",
		"user_password",
		"UPDATE accounts SET crypt = :password WHERE email = :user",
		"user_insert",
		"",
		"user_delete",
		"",
		"user_enable",
		"",
		"user_list",
		"",
		"domain_insert",
		"",
		NULL,
	};
	static const struct pst_auth_user alice = { .name = { "alice@b.test", 12 }, .uid = 5 };
	struct kit *f = *state;

	kit_sql(f->db,
	        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, email, crypt, maildir, active);"
	        "INSERT INTO accounts VALUES (7, 'alice@b.test', 'old', '/m/a', 'yes');"
	        "INSERT INTO accounts VALUES (8, 'bob@b.test', 'old', '/m/b', 'no')");
	assert_int_equal(kit_load(f, "ctl", settings), 0);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.user, "u7@x");
	assert_text(f->record.location, "maildir:/m/a");
	assert_text(f->record.reason, "192.0.2.7192.0.2.1mail.example.org");
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_DISABLED);
	assert_int_equal(
		f->auth->user_passwd(f->self, PST_LIT("alice@b.test"), PST_LIT("new"), &f->err), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "new");
	assert_int_equal(kit_add(f, "x@b.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "user_insert"));
	/* What is for our own tables has nothing to say of these. */
	assert_int_equal(
		f->auth->user_show(f->self, PST_LIT("alice@b.test"), on_shown, NULL, &f->err), -1);
	assert_non_null(strstr(f->err.text, "user_show: there is no such query"));
	assert_int_equal(f->auth->user_set(f->self, &alice, 0, &f->err), -1);
	assert_non_null(strstr(f->err.text, "user_set: there is no such query"));
}

static const struct {
	const char *setting, *text;
	const char *says; /* by probe, or by a look-up */
} wrong[] = {
	{ "lookup_query", "SELECT password FROM user", "no such table" },
	{ "lookup_query", "SELECT pasword FROM users", "no such column" },
	{ "lookup_query", "SELEC 1", "syntax error" },
	{ "lookup_query", "SELECT 1 AS password; SELECT 2", "one statement" },
	{ "lookup_query", " -- nothing", "one statement" },
	{ "lookup_query", "SELECT password FROM users WHERE local_part = ?", ":name" },
	{ "lookup_query", "SELECT password FROM users WHERE local_part = $x", ":name" },
	{ "lookup_query", "SELECT password FROM users WHERE local_part = @x", ":name" },
	{ "lookup_query", "SELECT password, 0 AS enabeld FROM users", "enabeld" },
	{ "lookup_query", "SELECT 'x'", "not known" },
	{ "user_list", "SELECT created FROM users", "column created is not known" },
	{ "user_list", "SELECT domain FROM users", "no column user" },
	{ "lookup_query", "SELECT password, domain, 'x' AS domain FROM users", "the same thing" },
	{ "app_password_query", "SELECT label FROM app_passwords", "no column password" },
	{ "app_password_query", "SELECT password, 1 AS uid FROM app_passwords",
	  "uid is not known" },
	{ "user_rehash", "UPDATE users SET pasword = :password", "no such column" },
	{ "login_note", "INSERT INTO logins VALUES (:at)", "no such table" },
	{ "app_note", "UPDATE app_passwords SET used = :at", "no such column" },
	{ "session_note", "UPDATE activity SET octets = :octets WHERE", "incomplete input" },
	{ "user_list", "SELECT uid FROM users", "no column user" },
	{ "lookup_query", "SELECT uid FROM users", "no column password" },
	{ "user_delete", "DELETE FROM usrs", "no such table" },
	{ "user_show", "SELECT maildrop FROM users", "no column password" },
	{ "domain_show", "SELECT name FROM domains", "column name is not known" },
	{ "user_set", "UPDATE users SET uidd = :uid", "no such column" },
};

static void
test_probe_names_the_setting_and_what_is_wrong_with_it(void **state)
{
	struct kit *f = *state;
	size_t i;

	kit_load_new(f);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *settings[] = { wrong[i].setting, wrong[i].text, NULL };

		assert_int_equal(kit_load(f, "ctl", settings), 0);
		if (f->auth->probe(f->self, &f->err) != -1)
			fail_msg("%s passes", wrong[i].text);
		if (strstr(f->err.text, wrong[i].says) == NULL ||
		    strncmp(f->err.text, wrong[i].setting, strlen(wrong[i].setting)) != 0)
			fail_msg("%s: %s", wrong[i].text, f->err.text);
	}
}

static const struct {
	const char *text;
	const char *says;
} bad_answers[] = {
	{ "SELECT password, 'perhaps' AS enabled FROM users", "neither 1 nor 0" },
	{ "SELECT password, -1 AS uid FROM users", "no id" },
	{ "SELECT password, 4294967295 AS gid FROM users", "no id" },
	{ "SELECT 'a' || char(0) || 'b' AS password", "NUL" },
	{ "SELECT password FROM users UNION ALL SELECT password FROM users", "more than one row" },
	{ "SELECT password, 1 AS enabeld FROM users", "enabeld" },
	/* A worker that only looks up changes nothing, whatever the query says. */
	{ "UPDATE users SET password = 'x' RETURNING password", "readonly" },
	{ "DELETE FROM users", "readonly" },
};

static void
test_an_answer_that_cannot_be_meant_is_no_answer(void **state)
{
	struct kit *f = *state;
	size_t i;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	for (i = 0; i < sizeof(bad_answers) / sizeof(bad_answers[0]); i++) {
		const char *settings[] = { "lookup_query", bad_answers[i].text, NULL };

		assert_int_equal(kit_load(f, "auth", settings), 0);
		kit_assert_temp(f, "alice@b.test", bad_answers[i].says);
	}
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
}

static void
test_settings_that_cannot_work_are_problems(void **state)
{
	static const char *const bad[][2] = {
		{ "lookup_query", "" },
		{ "lookup_query", "SELECT :usr" },
		{ "lookup_query", "SELECT :password" },
		{ "lookup_query", "SELECT 'open" },
		{ "user_list", "SELECT :user" },
		{ "user_show", "SELECT :unset" },
		{ "user_set", "UPDATE users SET uid = :uuid" },
		{ "database", "users.db" },
		{ "databse", "/x" },
	};
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *settings[] = { bad[i][0], bad[i][1], NULL };

		if (kit_load(f, "auth", settings) != 1)
			fail_msg("%s = %s is taken", bad[i][0], bad[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_a_missing_database_is_temporary_and_over_when_it_is_there),
		T(test_a_folder_that_is_missing_is_temporary_too),
		T(test_a_locked_database_is_temporary_and_over_when_it_is_free),
		T(test_a_writer_does_not_keep_look_ups_waiting),
		T(test_a_file_that_is_no_database_is_temporary_and_over_when_it_is_mended),
		T(test_a_database_that_breaks_while_it_is_open_is_temporary_until_it_is_restored),
		T(test_a_database_that_is_replaced_is_taken_up_at_the_next_look_up),
		T(test_a_link_to_a_folder_is_followed_and_a_link_to_a_file_is_not),
		T(test_a_home_grown_schema_is_used_as_it_is),
		T(test_probe_names_the_setting_and_what_is_wrong_with_it),
		T(test_an_answer_that_cannot_be_meant_is_no_answer),
		T(test_settings_that_cannot_work_are_problems),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
