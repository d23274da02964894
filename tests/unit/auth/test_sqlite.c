/* SPDX-License-Identifier: MIT */
/* The plugin sqlite, loaded as the server loads it, with real databases: users and their
 * administration, hostile texts, and databases that are missing, locked, broken or replaced. */
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

#include <postern/auth.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/loader.h"

#define FOLDER "test_sqlite.d"
#define HASH "{PLAIN}secret"

struct fixture {
	char db[4096];
	char *cwd;
	struct pst_arena *arena;
	struct plugin *p;
	const struct pst_auth *auth;
	void *self;
	struct pst_auth_record record;
	struct pst_err err;
};

static const char *
path_of(const struct fixture *f, const char *name)
{
	return pst_arena_printf(f->arena, "%s/" FOLDER "/%s", f->cwd, name);
}

static void
remove_all(void)
{
	assert_int_equal(system("rm -rf " FOLDER), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = pst_new(struct fixture);

	remove_all();
	assert_int_equal(mkdir(FOLDER, 0700), 0);
	f->cwd = getcwd(NULL, 0);
	f->arena = pst_arena_create();
	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "users.db"));
	*state = f;
	return 0;
}

static void
unload(struct fixture *f)
{
	plugin_unload(f->p);
	f->p = NULL;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	unload(f);
	pst_arena_destroy(f->arena);
	free(f->cwd);
	free(f);
	remove_all();
	return 0;
}

/* settings: pairs of key and value, ended by NULL. Returns the problems that there are. */
static size_t
load(struct fixture *f, const char *worker, const char *const *settings)
{
	struct conf_problems problems;
	struct conf_texts t;

	unload(f);
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

/* A new database with the default queries, for administration. */
static void
load_new(struct fixture *f)
{
	assert_int_equal(load(f, "ctl", NULL), 0);
	if (f->auth->create(f->self, &f->err) != 0)
		fail_msg("%s", f->err.text);
}

static void
sql(const char *db, const char *text)
{
	sqlite3 *h;
	char *why = NULL;

	assert_int_equal(sqlite3_open(db, &h), SQLITE_OK);
	if (sqlite3_exec(h, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(h);
}

static int
add(struct fixture *f, const char *name, const char *credential)
{
	const struct pst_auth_user user = {
		.name = pst_str_c(name),
		.credential = pst_str_c(credential),
		.enabled = true,
	};

	return f->auth->user_add(f->self, &user, &f->err);
}

static enum pst_auth_result
lookup(struct fixture *f, const char *name)
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

static void
assert_temp(struct fixture *f, const char *name, const char *says)
{
	enum pst_auth_result result = lookup(f, name);

	if (result != PST_AUTH_TEMP)
		fail_msg("result %d, expected \"%s\"", (int)result, says);
	assert_int_equal(f->err.kind, PST_E_TEMP);
	if (strstr(f->err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->err.text, says);
}

#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

/* ---- Users ---- */

static void
test_create_makes_a_private_database_in_wal_mode_and_only_once(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	load_new(f);
	assert_int_equal(stat(f->db, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* Nothing is open: the files may change hands now. */
	assert_int_equal(access(path_of(f, "users.db-wal"), F_OK), -1);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(access(path_of(f, "users.db-wal"), F_OK), 0);
	assert_int_equal(f->auth->create(f->self, &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_create_adds_nothing_to_a_database_of_somebody_else(void **state)
{
	struct fixture *f = *state;

	sql(f->db, "CREATE TABLE theirs (x)");
	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), -1);
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
	struct fixture *f = *state;
	int fd = open(TEST_SRCDIR "/contrib/schema/sqlite.sql", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n > 0);
	close(fd);
	text[n] = '\0';
	sql(path_of(f, "other.db"), text);
	sql(path_of(f, "other.db"), text); /* twice is harmless */
	load_new(f);
	dump_schema(path_of(f, "other.db"), theirs);
	dump_schema(f->db, ours);
	assert_string_equal(ours, theirs);
	assert_non_null(strstr(ours, "CREATE TABLE users"));
	assert_non_null(strstr(ours, "wal\n1\n"));
}

static void
test_a_user_is_found_with_all_that_was_said(void **state)
{
	struct fixture *f = *state;
	const struct pst_auth_user bob = {
		.name = PST_LIT("bob@b.test"),
		.credential = PST_LIT("{PLAIN}x y"),
		.location = PST_LIT("maildir:/srv/%{local}"),
		.uid = 1000,
		.gid = 4294967294u,
		.enabled = true,
	};

	load_new(f);
	assert_int_equal(add(f, "alice", HASH), 0); /* no domain */
	assert_int_equal(f->auth->user_add(f->self, &bob, &f->err), 0);
	assert_int_equal(lookup(f, "alice"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_int_equal(f->record.location.n, 0);
	assert_int_equal(f->record.user.n, 0);
	assert_int_equal(f->record.uid, 0);
	assert_int_equal(lookup(f, "bob@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}x y");
	assert_text(f->record.location, "maildir:/srv/%{local}");
	assert_int_equal(f->record.uid, 1000);
	assert_int_equal(f->record.gid, 4294967294u);
	assert_int_equal(lookup(f, "bob"), PST_AUTH_UNKNOWN);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(lookup(f, ""), PST_AUTH_UNKNOWN);
}

static void
test_administration_says_what_is_there_and_what_is_not(void **state)
{
	struct fixture *f = *state;
	struct pst_str name = PST_LIT("alice@b.test");

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(add(f, "alice@b.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "already"));
	assert_int_equal(f->auth->user_passwd(f->self, name, PST_LIT("{PLAIN}new"), &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}new");
	assert_int_equal(
		f->auth->user_enable(f->self, name, false, PST_LIT("did not pay"), &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "did not pay");
	assert_text(f->record.credential, "{PLAIN}new"); /* the server tells guesses apart */
	assert_int_equal(f->auth->user_enable(f->self, name, true, PST_LIT(""), &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.reason.n, 0);
	assert_int_equal(f->auth->user_delete(f->self, name, &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_UNKNOWN);
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
	struct fixture *f = *state;

	load_new(f);
	/* The server folds names; the schema holds anybody else to it. The domain went in first. */
	assert_int_equal(add(f, "Alice@new.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "CHECK"));
	assert_int_equal(add(f, "alice@new.test", HASH), 0);
	sql(f->db, "DELETE FROM users; DELETE FROM domains");
	assert_int_equal(add(f, "Alice@new.test", HASH), -1);
	sql(f->db,
	    "CREATE TEMP TABLE t AS SELECT CASE count(*) WHEN 0 THEN 1 END AS ok FROM domains;"
	    "CREATE TEMP TABLE must (x NOT NULL); INSERT INTO must SELECT ok FROM t");
}

static void
test_a_disabled_domain_shuts_all_its_users_out(void **state)
{
	struct fixture *f = *state;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(add(f, "alice@c.test", HASH), 0);
	sql(f->db, "UPDATE domains SET enabled = 0, reason = 'moved' WHERE name = 'b.test'");
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "moved");
	assert_int_equal(lookup(f, "alice@c.test"), PST_AUTH_OK);
}

static void
test_a_user_without_a_password_cannot_log_in(void **state)
{
	struct fixture *f = *state;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	sql(f->db, "UPDATE users SET password = NULL");
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "no password is stored");
	sql(f->db, "UPDATE users SET password = ''");
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
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
	struct fixture *f = *state;
	char out[1024] = "";

	load_new(f);
	assert_int_equal(add(f, "zoe@a.test", HASH), 0);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(add(f, "root", HASH), 0);
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
	struct fixture *f = *state;
	size_t i;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		const char *name = pst_arena_printf(f->arena, "%s@%s", hostile[i], "d.test");
		const char *domain = pst_arena_printf(f->arena, "alice@%s", hostile[i]);
		const struct pst_auth_user user = {
			.name = pst_str_c(name),
			.credential = pst_str_c(hostile[i]),
			.location = pst_str_c(hostile[i]),
			.enabled = true,
		};

		assert_int_equal(lookup(f, hostile[i]), PST_AUTH_UNKNOWN);
		assert_int_equal(lookup(f, name), PST_AUTH_UNKNOWN);
		assert_int_equal(lookup(f, domain), PST_AUTH_UNKNOWN);
		if (f->auth->user_add(f->self, &user, &f->err) != 0)
			fail_msg("%s: %s", hostile[i], f->err.text);
		assert_int_equal(f->auth->user_enable(f->self, user.name, false,
		                                      pst_str_c(hostile[i]), &f->err),
		                 0);
		assert_int_equal(lookup(f, name), PST_AUTH_DISABLED);
		assert_text(f->record.reason, hostile[i]);
		assert_text(f->record.credential, hostile[i]);
		assert_text(f->record.location, hostile[i]);
		assert_int_equal(f->auth->user_delete(f->self, user.name, &f->err), 0);
	}
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
}

static void
test_a_long_name_is_whole(void **state)
{
	struct fixture *f = *state;
	char name[256];

	memset(name, 'a', sizeof(name));
	memcpy(name + 120, "@", 1);
	name[255] = '\0';
	load_new(f);
	assert_int_equal(add(f, name, HASH), 0);
	assert_int_equal(lookup(f, name), PST_AUTH_OK);
	name[254] = '\0';
	assert_int_equal(lookup(f, name), PST_AUTH_UNKNOWN);
}

/* ---- Databases that are not as they should be ---- */

static void
test_a_missing_database_is_temporary_and_over_when_it_is_there(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "auth", NULL), 0);
	assert_temp(f, "alice@b.test", "is not there");
	assert_temp(f, "alice@b.test", f->db);
	assert_int_equal(access(f->db, F_OK), -1); /* a look-up makes none */
	sql(f->db, "CREATE TABLE other (x)");
	assert_temp(f, "alice@b.test", "lookup_query: ");
	assert_temp(f, "alice@b.test", "no such table");
	sql(f->db,
	    "CREATE TABLE domains (name, enabled, reason);"
	    "CREATE TABLE users (domain, local_part, password, maildrop, uid, gid, enabled, reason);"
	    "INSERT INTO domains VALUES ('b.test', 1, NULL);"
	    "INSERT INTO users (domain, local_part, password, enabled)"
	    " VALUES ('b.test', 'alice', '" HASH "', 1)");
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_folder_that_is_missing_is_temporary_too(void **state)
{
	struct fixture *f = *state;

	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "no/such/users.db"));
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_temp(f, "alice@b.test", "No such file");
	assert_int_equal(f->auth->create(f->self, &f->err), -1);
}

static void
test_a_locked_database_is_temporary_and_over_when_it_is_free(void **state)
{
	struct fixture *f = *state;
	sqlite3 *h;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	unload(f);
	sql(f->db, "PRAGMA journal_mode = DELETE"); /* in WAL mode nobody can keep readers out */
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_temp(f, "alice@b.test", "locked");
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(h);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_writer_does_not_keep_look_ups_waiting(void **state)
{
	struct fixture *f = *state;
	sqlite3 *h;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	assert_int_equal(sqlite3_exec(h, "BEGIN IMMEDIATE; UPDATE users SET password = 'x'", NULL,
	                              NULL, NULL),
	                 SQLITE_OK);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_int_equal(sqlite3_exec(h, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
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
	struct fixture *f = *state;

	write_file(f->db, junk, sizeof(junk));
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_temp(f, "alice@b.test", "not a database");
	assert_int_equal(unlink(f->db), 0);
	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_database_that_breaks_while_it_is_open_is_temporary(void **state)
{
	struct fixture *f = *state;
	char page[4096];
	int fd;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	unload(f);
	sql(f->db, "PRAGMA journal_mode = DELETE");
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	/* Pages 2 and 3 are the tables; the change counter makes the reader look again. */
	fd = open(f->db, O_RDWR);
	assert_int_equal(pread(fd, page, sizeof(page), 0), sizeof(page));
	memset(page + 24, 0x7f, 4);
	assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	memset(page, 0xee, sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 4096), sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 8192), sizeof(page));
	close(fd);
	assert_temp(f, "alice@b.test", "malformed");
	assert_temp(f, "alice@b.test", "malformed");
}

static void
test_a_database_that_is_replaced_is_taken_up_at_the_next_look_up(void **state)
{
	struct fixture *f = *state;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", "{PLAIN}old"), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "new.db"));
	load_new(f);
	assert_int_equal(add(f, "alice@b.test", "{PLAIN}new"), 0);
	assert_int_equal(add(f, "bob@b.test", HASH), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "users.db"));
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(lookup(f, "bob@b.test"), PST_AUTH_UNKNOWN);
	/* As an admin would: nothing of the old journal is left beside the new file. */
	sql(path_of(f, "new.db"), "PRAGMA journal_mode = DELETE");
	assert_int_equal(rename(path_of(f, "new.db"), f->db), 0);
	(void)unlink(path_of(f, "users.db-wal"));
	(void)unlink(path_of(f, "users.db-shm"));
	assert_int_equal(lookup(f, "bob@b.test"), PST_AUTH_OK);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}new");
	assert_int_equal(unlink(f->db), 0);
	assert_temp(f, "alice@b.test", "is not there");
}

static void
test_a_link_to_a_folder_is_followed_and_a_link_to_a_file_is_not(void **state)
{
	struct fixture *f = *state;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	assert_int_equal(symlink("users.db", path_of(f, "link.db")), 0);
	assert_int_equal(symlink(".", path_of(f, "here")), 0);
	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "here/users.db"));
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	(void)snprintf(f->db, sizeof(f->db), "%s", path_of(f, "link.db"));
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_temp(f, "alice@b.test", "symbolic link");
}

/* ---- Queries of an admin's own ---- */

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
	struct fixture *f = *state;

	sql(f->db, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, email, crypt, maildir, active);"
	           "INSERT INTO accounts VALUES (7, 'alice@b.test', 'old', '/m/a', 'yes');"
	           "INSERT INTO accounts VALUES (8, 'bob@b.test', 'old', '/m/b', 'no')");
	assert_int_equal(load(f, "ctl", settings), 0);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.user, "u7@x");
	assert_text(f->record.location, "maildir:/m/a");
	assert_text(f->record.reason, "192.0.2.7192.0.2.1mail.example.org");
	assert_int_equal(lookup(f, "bob@b.test"), PST_AUTH_DISABLED);
	assert_int_equal(
		f->auth->user_passwd(f->self, PST_LIT("alice@b.test"), PST_LIT("new"), &f->err), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "new");
	assert_int_equal(add(f, "x@b.test", HASH), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "user_insert"));
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
	{ "user_list", "SELECT domain FROM users", "column domain is not known" },
	{ "user_list", "SELECT uid FROM users", "no column user" },
	{ "lookup_query", "SELECT uid FROM users", "no column password" },
	{ "user_delete", "DELETE FROM usrs", "no such table" },
};

static void
test_probe_names_the_setting_and_what_is_wrong_with_it(void **state)
{
	struct fixture *f = *state;
	size_t i;

	load_new(f);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *settings[] = { wrong[i].setting, wrong[i].text, NULL };

		assert_int_equal(load(f, "ctl", settings), 0);
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
	struct fixture *f = *state;
	size_t i;

	load_new(f);
	assert_int_equal(add(f, "alice@b.test", HASH), 0);
	for (i = 0; i < sizeof(bad_answers) / sizeof(bad_answers[0]); i++) {
		const char *settings[] = { "lookup_query", bad_answers[i].text, NULL };

		assert_int_equal(load(f, "auth", settings), 0);
		assert_temp(f, "alice@b.test", bad_answers[i].says);
	}
	assert_int_equal(load(f, "auth", NULL), 0);
	assert_int_equal(lookup(f, "alice@b.test"), PST_AUTH_OK);
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
		{ "database", "users.db" },
		{ "databse", "/x" },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *settings[] = { bad[i][0], bad[i][1], NULL };

		if (load(f, "auth", settings) != 1)
			fail_msg("%s = %s is taken", bad[i][0], bad[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
		T(test_a_missing_database_is_temporary_and_over_when_it_is_there),
		T(test_a_folder_that_is_missing_is_temporary_too),
		T(test_a_locked_database_is_temporary_and_over_when_it_is_free),
		T(test_a_writer_does_not_keep_look_ups_waiting),
		T(test_a_file_that_is_no_database_is_temporary_and_over_when_it_is_mended),
		T(test_a_database_that_breaks_while_it_is_open_is_temporary),
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
