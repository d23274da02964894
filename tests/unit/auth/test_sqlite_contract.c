/* SPDX-License-Identifier: MIT */
/* The plugin sqlite: the account's contract, aliases, app passwords, notes, and tables of the first version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/arena.h"
#include "base/log.h"
#include "tests/unit/auth/kit.h"

static char answer[65536];

static int
add_row(void *arg, int n, char **values, char **names)
{
	int i;

	(void)arg, (void)names;
	for (i = 0; i < n; i++)
		(void)snprintf(strchr(answer, '\0'), sizeof(answer) - strlen(answer), "%s%s",
		               values[i] == NULL ? "-" : values[i], i + 1 < n ? " " : "|");
	return 0;
}

/* "a b|c d|" */
static const char *
ask(struct kit *f, const char *text)
{
	sqlite3 *h;
	char *why = NULL;

	answer[0] = '\0';
	assert_int_equal(sqlite3_open(f->db, &h), SQLITE_OK);
	if (sqlite3_exec(h, text, add_row, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
	sqlite3_close(h);
	return answer;
}

static enum pst_auth_result
lookup_app(struct kit *f, const char *local, const char *domain, const char *prefix)
{
	const char *user =
		domain[0] == '\0' ? local : pst_arena_printf(f->arena, "%s@%s", local, domain);
	const struct pst_auth_query query = {
		.user = pst_str_c(user),
		.local_part = pst_str_c(local),
		.domain = pst_str_c(domain),
		.remote_ip = PST_LIT("192.0.2.7"),
		.mechanism = PST_LIT("USER"),
		.app_prefix = pst_str_c(prefix),
	};

	f->record = (struct pst_auth_record){ .arena = f->arena };
	f->err.text[0] = '\0';
	return f->auth->lookup(f->self, &query, &f->record, &f->err);
}

/* ---- The contract ---- */

static void
test_what_the_user_does_not_say_the_domain_may(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, "UPDATE domains SET allow_nets = '192.0.2.0/24', max_sessions = 3,"
	               "min_poll = 60, max_listed = 100, min_tls = '1.2', rehash = 'on',"
	               "read_only = 1, maildrop = 'maildir:/d/%{local}', uid = 7, gid = 8,"
	               "expire_days = 30, hold_days = 0");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.allow_nets, "192.0.2.0/24");
	assert_int_equal(f->record.max_sessions, 3);
	assert_int_equal(f->record.min_poll_ms, 60000);
	assert_int_equal(f->record.max_listed, 100);
	assert_int_equal(f->record.min_tls, 12);
	assert_text(f->record.rehash, "on");
	assert_true(f->record.read_only);
	assert_text(f->record.location, "maildir:/d/%{local}");
	assert_int_equal(f->record.uid, 7);
	assert_int_equal(f->record.gid, 8);
	assert_int_equal(f->record.expire_days, 30);
	assert_int_equal(f->record.hold_days, PST_AUTH_NO_DAYS);
	assert_text(f->record.source, "lookup_query");
	kit_sql(f->db, "UPDATE users SET allow_nets = '2001:db8::/32', max_sessions = 1,"
	               "min_poll = 1, max_listed = 5, min_tls = 'any', rehash = 'off',"
	               "read_only = 0, maildrop = 'maildir:/u', uid = 70, gid = 80,"
	               "home = '/home/alice', expire_days = 0, hold_days = 7");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.allow_nets, "2001:db8::/32");
	assert_int_equal(f->record.max_sessions, 1);
	assert_int_equal(f->record.min_poll_ms, 1000);
	assert_int_equal(f->record.max_listed, 5);
	assert_int_equal(f->record.min_tls, 10);
	assert_text(f->record.rehash, "off");
	assert_false(f->record.read_only);
	assert_text(f->record.location, "maildir:/u");
	assert_text(f->record.home, "/home/alice");
	assert_int_equal(f->record.uid, 70);
	assert_int_equal(f->record.expire_days, PST_AUTH_NO_DAYS);
	assert_int_equal(f->record.hold_days, 7);
}

static void
test_pop3_can_be_switched_off_for_a_domain_and_on_for_one_of_it(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "bob@b.test", HASH), 0);
	kit_sql(f->db, "UPDATE domains SET pop3_enabled = 0;"
	               "UPDATE users SET pop3_enabled = 1 WHERE local_part = 'bob'");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "POP3 is switched off for this user");
	assert_text(f->record.credential, HASH);
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_OK);
}

static void
test_all_of_it_can_be_said_when_a_user_is_added(void **state)
{
	struct kit *f = *state;
	const struct pst_auth_user bob = {
		.name = PST_LIT("bob@b.test"),
		.credential = PST_LIT(HASH),
		.enabled = true,
		.home = PST_LIT("/h"),
		.allow_nets = PST_LIT("192.0.2.0/24"),
		.rehash = PST_LIT("report"),
		.min_tls = 13,
		.max_sessions = 2,
		.max_listed = 9,
		.min_poll_ms = 300000,
		.pop3_enabled = PST_AUTH_YES,
		.read_only = PST_AUTH_NO,
	};

	kit_load_new(f);
	assert_int_equal(f->auth->user_add(f->self, &bob, &f->err), 0);
	assert_string_equal(ask(f, "SELECT home, allow_nets, rehash, min_tls, max_sessions,"
	                           "max_listed, min_poll, pop3_enabled, read_only FROM users"),
	                    "/h 192.0.2.0/24 report 1.3 2 9 300 1 0|");
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_string_equal(ask(f, "SELECT home, allow_nets, rehash, min_tls, max_sessions,"
	                           "max_listed, min_poll, pop3_enabled, read_only FROM users "
	                           "WHERE local_part = 'alice'"),
	                    "- - - - - - - - -|");
}

/* ---- Aliases ---- */

static void
test_an_alias_leads_to_the_user_by_the_users_own_name(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "info@b.test", "{PLAIN}own"), 0);
	assert_int_equal(kit_add(f, "root", "{PLAIN}root"), 0);
	kit_sql(f->db, "INSERT INTO aliases (domain, local_part, user_domain, user_local_part)"
	               "VALUES ('b.test', 'sales', 'b.test', 'alice'),"
	               "('b.test', 'info', 'b.test', 'alice'), ('b.test', 'boss', '', 'root');"
	               "INSERT INTO domain_aliases (name, domain) VALUES ('c.test', 'b.test'),"
	               "('d.test', 'b.test')");
	assert_int_equal(kit_lookup(f, "sales@b.test"), PST_AUTH_OK);
	assert_text(f->record.user, "alice@b.test");
	assert_text(f->record.credential, HASH);
	assert_int_equal(kit_lookup(f, "boss@b.test"), PST_AUTH_OK);
	assert_text(f->record.user, "root");
	/* A user of that very name comes first. */
	assert_int_equal(kit_lookup(f, "info@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.user.n, 0);
	assert_text(f->record.credential, "{PLAIN}own");
	/* The domain's other name, for users and for aliases. */
	assert_int_equal(kit_lookup(f, "alice@c.test"), PST_AUTH_OK);
	assert_text(f->record.user, "alice@b.test");
	assert_int_equal(kit_lookup(f, "sales@d.test"), PST_AUTH_OK);
	assert_text(f->record.user, "alice@b.test");
	assert_int_equal(kit_lookup(f, "nobody@c.test"), PST_AUTH_UNKNOWN);
	kit_sql(f->db, "UPDATE aliases SET enabled = 0; UPDATE domain_aliases SET enabled = 0 "
	               "WHERE name = 'c.test'");
	assert_int_equal(kit_lookup(f, "sales@b.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(kit_lookup(f, "alice@c.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(kit_lookup(f, "alice@d.test"), PST_AUTH_OK);
}

static void
test_an_alias_is_never_followed_twice(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, "INSERT INTO domains (name) VALUES ('c.test');"
	               "INSERT INTO domain_aliases (name, domain) VALUES ('x.test', 'y.test'),"
	               "('y.test', 'b.test')");
	assert_int_equal(kit_lookup(f, "alice@y.test"), PST_AUTH_OK);
	assert_int_equal(kit_lookup(f, "alice@x.test"), PST_AUTH_UNKNOWN);
}

/* ---- App passwords ---- */

#define APP_INSERT                                                                                 \
	"INSERT INTO app_passwords (domain, local_part, prefix, label, password, allow_nets, "     \
	"expires) VALUES ('b.test', 'alice', "

static void
test_an_app_password_is_found_by_its_prefix(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_add(f, "bob@b.test", HASH), 0);
	kit_sql(f->db, APP_INSERT "'k7mw', 'phone', '{PLAIN}k7mw-a', '192.0.2.0/24', NULL)");
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mw"), PST_AUTH_OK);
	assert_text(f->record.app_credential, "{PLAIN}k7mw-a");
	assert_text(f->record.app_label, "phone");
	assert_text(f->record.app_nets, "192.0.2.0/24");
	assert_text(f->record.credential, HASH);
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mx"), PST_AUTH_OK);
	assert_int_equal(f->record.app_credential.n, 0);
	/* It is alice's alone. */
	assert_int_equal(lookup_app(f, "bob", "b.test", "k7mw"), PST_AUTH_OK);
	assert_int_equal(f->record.app_credential.n, 0);
	/* By an alias it is the user's. */
	kit_sql(f->db, "INSERT INTO aliases (domain, local_part, user_domain, user_local_part)"
	               "VALUES ('b.test', 'sales', 'b.test', 'alice')");
	assert_int_equal(lookup_app(f, "sales", "b.test", "k7mw"), PST_AUTH_OK);
	assert_text(f->record.app_credential, "{PLAIN}k7mw-a");
	kit_sql(f->db, "DELETE FROM app_passwords");
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mw"), PST_AUTH_OK);
	assert_int_equal(f->record.app_credential.n, 0);
}

static void
test_an_app_password_expires(void **state)
{
	struct kit *f = *state;
	const long now = (long)time(NULL);

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, pst_arena_printf(f->arena,
	                                APP_INSERT "'past', 'p', '{PLAIN}x', NULL, %ld);" APP_INSERT
	                                           "'soon', 's', '{PLAIN}x', NULL, %ld)",
	                                now - 1, now + 3600));
	assert_int_equal(lookup_app(f, "alice", "b.test", "past"), PST_AUTH_OK);
	assert_int_equal(f->record.app_credential.n, 0);
	assert_int_equal(lookup_app(f, "alice", "b.test", "soon"), PST_AUTH_OK);
	assert_text(f->record.app_credential, "{PLAIN}x");
}

static void
test_a_user_may_have_app_passwords_alone(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, "UPDATE users SET password = NULL;" APP_INSERT
	               "'k7mw', 'phone', '{PLAIN}x', NULL, NULL)");
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mw"), PST_AUTH_OK);
	assert_int_equal(f->record.credential.n, 0);
	assert_int_equal(lookup_app(f, "alice", "b.test", ""), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "no password is stored");
}

static void
test_an_app_passwords_value_that_cannot_be_meant_is_an_error(void **state)
{
	struct kit *f = *state;
	const char *settings[] = { "app_password_query",
		                   "SELECT password, 'soon' AS expires FROM app_passwords", NULL };

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, APP_INSERT "'k7mw', 'phone', '{PLAIN}x', NULL, NULL)");
	assert_int_equal(kit_load(f, "auth", settings), 0);
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mw"), PST_AUTH_TEMP);
	assert_non_null(strstr(f->err.text, "app_password_query: column expires"));
	assert_int_equal(lookup_app(f, "alice", "b.test", ""), PST_AUTH_OK);
}

/* ---- Notes and new hashes ---- */

static const struct pst_auth_note alice_login = {
	.event = PST_AUTH_LOGIN,
	.user = PST_LIT("alice@b.test"),
	.local_part = PST_LIT("alice"),
	.domain = PST_LIT("b.test"),
	.remote_ip = PST_LIT("192.0.2.7"),
	.mechanism = PST_LIT("PLAIN"),
	.app_prefix = PST_LIT("k7mw"),
	.at = 1700000000,
};
static const struct pst_auth_note alice_session = {
	.event = PST_AUTH_SESSION,
	.user = PST_LIT("alice@b.test"),
	.local_part = PST_LIT("alice"),
	.domain = PST_LIT("b.test"),
	.at = 1700000009,
	.retrieved = 3,
	.deleted = 2,
	.octets = 5000000000,
	.seconds = 9,
};

static void
test_notes_are_written_by_a_worker_that_only_looks_up_else(void **state)
{
	struct kit *f = *state;
	const struct pst_auth_note gone = { .event = PST_AUTH_LOGIN,
		                            .user = PST_LIT("gone@b.test"),
		                            .local_part = PST_LIT("gone"),
		                            .domain = PST_LIT("b.test"),
		                            .at = 1 };
	const struct pst_auth_note notes[] = { alice_login, gone, alice_session, alice_login,
		                               alice_session };

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	kit_sql(f->db, APP_INSERT "'k7mw', 'phone', '{PLAIN}x', NULL, NULL)");
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	if (f->auth->notes(f->self, notes, 5, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_string_equal(ask(f, "SELECT local_part, last_login, last_ip, last_mechanism, logins,"
	                           "sessions, retrieved, deleted, octets, seconds FROM activity"),
	                    "alice 1700000000 192.0.2.7 PLAIN 2 2 6 4 10000000000 18|");
	assert_string_equal(ask(f, "SELECT last_used FROM app_passwords"), "1700000000|");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_note_that_breaks_a_rule_keeps_no_other_from_being_written(void **state)
{
	struct kit *f = *state;
	const char *settings[] = { "login_note",
		                   "INSERT INTO activity (domain, local_part, last_login) "
		                   "VALUES (:domain, :local_part, :at)",
		                   NULL };
	struct pst_auth_note notes[3] = { alice_login, alice_login, alice_session };

	notes[0].local_part = PST_LIT("gone"); /* no such user: a foreign key */
	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_load(f, "auth", settings), 0);
	if (f->auth->notes(f->self, notes, 3, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_string_equal(ask(f, "SELECT local_part, last_login, sessions FROM activity"),
	                    "alice 1700000000 1|");
}

static void
test_notes_that_cannot_be_written_harm_no_login(void **state)
{
	struct kit *f = *state;
	const char *settings[] = { "session_note", "UPDATE nosuch SET x = :octets", NULL };
	const struct pst_auth_note notes[] = { alice_login, alice_session };

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_load(f, "auth", settings), 0);
	assert_int_equal(f->auth->notes(f->self, notes, 2, &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_TEMP);
	assert_non_null(strstr(f->err.text, "session_note"));
	/* All or nothing. */
	assert_string_equal(ask(f, "SELECT count(*) FROM activity"), "0|");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	kit_sql(f->db, "CREATE TABLE nosuch (x)");
	assert_int_equal(f->auth->notes(f->self, notes, 2, &f->err), 0);
	assert_string_equal(ask(f, "SELECT count(*) FROM activity"), "1|");
}

static void
test_a_database_that_may_only_be_read_still_lets_users_in(void **state)
{
	struct kit *f = *state;

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	/* SQLite's own way to say it, as root may write any file. */
	kit_sql(f->db, "CREATE TRIGGER no BEFORE INSERT ON activity BEGIN "
	               "SELECT RAISE(FAIL, 'read only here'); END");
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	(void)f->auth->notes(f->self, &alice_login, 1, &f->err);
	assert_string_equal(ask(f, "SELECT count(*) FROM activity"), "0|");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
}

static void
test_a_new_hash_takes_the_place_of_the_old_one_alone(void **state)
{
	struct kit *f = *state;
	const struct pst_str name = PST_LIT("alice@b.test");
	const struct pst_str next = PST_LIT("{PLAIN}next");

	kit_load_new(f);
	assert_int_equal(kit_add(f, "alice@b.test", HASH), 0);
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(f->auth->rehash(f->self, name, PST_LIT("{PLAIN}other"), next, &f->err),
	                 PST_AUTH_UNKNOWN);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_int_equal(f->auth->rehash(f->self, name, PST_LIT(HASH), next, &f->err), PST_AUTH_OK);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}next");
	assert_int_equal(f->auth->rehash(f->self, PST_LIT("gone@b.test"), next, next, &f->err),
	                 PST_AUTH_UNKNOWN);
}

/* With a lookup_query of one's own the default notes would be for tables that are not there. */
static void
test_own_tables_need_no_notes_and_no_app_passwords(void **state)
{
	struct kit *f = *state;
	const char *settings[] = { "lookup_query",
		                   "SELECT hash AS password FROM people WHERE name = :user",
		                   "domain_insert",
		                   "",
		                   "user_insert",
		                   "",
		                   "user_password",
		                   "",
		                   "user_enable",
		                   "",
		                   "user_delete",
		                   "",
		                   "user_list",
		                   "",
		                   NULL };

	kit_sql(f->db,
	        "CREATE TABLE people (name, hash); INSERT INTO people VALUES ('alice', 'x')");
	assert_int_equal(kit_load(f, "auth", settings), 0);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	assert_int_equal(lookup_app(f, "alice", "", "k7mw"), PST_AUTH_OK);
	assert_int_equal(f->auth->notes(f->self, &alice_login, 1, &f->err), 0);
	assert_int_equal(
		f->auth->rehash(f->self, PST_LIT("alice"), PST_LIT("x"), PST_LIT("y"), &f->err),
		PST_AUTH_UNKNOWN);
}

/* ---- Tables of the first version ---- */

static const char first_version[] =
	"PRAGMA journal_mode = WAL; BEGIN;"
	"CREATE TABLE domains (name TEXT NOT NULL PRIMARY KEY CHECK (name = lower(name)),"
	"enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)), reason TEXT,"
	"created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID;"
	"CREATE TABLE users (domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE,"
	"local_part TEXT NOT NULL CHECK (local_part = lower(local_part) AND local_part <> ''),"
	"password TEXT, enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)), reason TEXT,"
	"maildrop TEXT, uid INTEGER CHECK (uid BETWEEN 1 AND 4294967294),"
	"gid INTEGER CHECK (gid BETWEEN 1 AND 4294967294),"
	"created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (domain, local_part))"
	"WITHOUT ROWID; PRAGMA user_version = 1;"
	"INSERT INTO domains (name) VALUES ('b.test');"
	"INSERT INTO users (domain, local_part, password, maildrop) VALUES "
	"('b.test', 'alice', '{PLAIN}secret', 'maildir:/a'); COMMIT";

static void
on_shown(void *arg, const struct pst_auth_user *stored, bool is_domain)
{
	(void)arg, (void)stored, (void)is_domain;
	fail_msg("a user is shown");
}

static void
test_tables_of_the_first_version_are_used_as_they_are(void **state)
{
	struct kit *f = *state;
	const struct pst_auth_user limited = { .name = PST_LIT("x@b.test"),
		                               .credential = PST_LIT(HASH),
		                               .enabled = true,
		                               .max_sessions = 3 };
	const struct pst_auth_note notes[] = { alice_login, alice_session };

	kit_sql(f->db, first_version);
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	assert_int_equal(lookup_app(f, "alice", "b.test", "k7mw"), PST_AUTH_OK);
	assert_text(f->record.credential, HASH);
	assert_text(f->record.location, "maildir:/a");
	assert_int_equal(f->auth->notes(f->self, notes, 2, &f->err), 0);
	assert_int_equal(f->auth->rehash(f->self, PST_LIT("alice@b.test"), PST_LIT(HASH),
	                                 PST_LIT("{PLAIN}n"), &f->err),
	                 PST_AUTH_OK);
	assert_int_equal(kit_load(f, "ctl", NULL), 0);
	assert_int_equal(kit_add(f, "bob@b.test", HASH), 0);
	assert_int_equal(kit_lookup(f, "bob@b.test"), PST_AUTH_OK);
	assert_int_equal(f->auth->user_add(f->self, &limited, &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "posternctl user upgrade"));
	assert_int_equal(kit_lookup(f, "x@b.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(
		f->auth->user_show(f->self, PST_LIT("bob@b.test"), on_shown, NULL, &f->err), -1);
	assert_int_equal(f->err.kind, PST_E_CLIENT);
	assert_non_null(strstr(f->err.text, "posternctl user upgrade"));
	assert_int_equal(f->auth->user_set(f->self, &limited, 0, &f->err), -1);
	assert_non_null(strstr(f->err.text, "posternctl user upgrade"));
}

/* ---- Tables of the second version: all but two columns ---- */

static void
make_second_version(struct kit *f)
{
	kit_load_new(f);
	kit_sql(f->db, "ALTER TABLE users DROP COLUMN expire_days;"
	               "ALTER TABLE users DROP COLUMN hold_days;"
	               "ALTER TABLE domains DROP COLUMN expire_days;"
	               "ALTER TABLE domains DROP COLUMN hold_days; PRAGMA user_version = 2");
	assert_int_equal(kit_load(f, "ctl", NULL), 0);
}

static void
on_carol(void *arg, const struct pst_auth_user *stored, bool is_domain)
{
	unsigned *shown = arg;

	++*shown;
	if (!is_domain)
		assert_int_equal(stored->max_sessions, 4);
	assert_int_equal(stored->expire_days, 0);
}

static void
test_tables_of_the_second_version_are_used_as_they_are(void **state)
{
	struct kit *f = *state;
	struct pst_auth_user carol = { .name = PST_LIT("carol@b.test"),
		                       .credential = PST_LIT(HASH),
		                       .enabled = true,
		                       .max_sessions = 3 };
	unsigned shown = 0;

	make_second_version(f);
	assert_int_equal(f->auth->probe(f->self, &f->err), 0);
	assert_int_equal(f->auth->user_add(f->self, &carol, &f->err), 0);
	assert_int_equal(kit_lookup(f, "carol@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.max_sessions, 3);
	assert_int_equal(f->record.expire_days, 0);
	carol.max_sessions = 4;
	assert_int_equal(f->auth->user_set(f->self, &carol, 0, &f->err), 0);
	assert_int_equal(
		f->auth->user_show(f->self, PST_LIT("carol@b.test"), on_carol, &shown, &f->err), 0);
	assert_int_equal(shown, 2);
	carol.hold_days = 5;
	assert_int_equal(f->auth->user_set(f->self, &carol, 0, &f->err), -1);
	assert_non_null(strstr(f->err.text, "posternctl user upgrade"));
	carol.name = PST_LIT("dan@b.test");
	assert_int_equal(f->auth->user_add(f->self, &carol, &f->err), -1);
	assert_non_null(strstr(f->err.text, "posternctl user upgrade"));
}

static void
test_the_second_version_is_brought_up_to_date(void **state)
{
	struct kit *f = *state;

	make_second_version(f);
	assert_int_equal(kit_add(f, "carol@b.test", HASH), 0);
	assert_int_equal(f->auth->create(f->self, &f->err), 0);
	assert_string_equal(ask(f, "PRAGMA user_version"), "3|");
	kit_sql(f->db, "UPDATE users SET expire_days = 9; UPDATE domains SET hold_days = 3");
	assert_int_equal(kit_lookup(f, "carol@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.expire_days, 9);
	assert_int_equal(f->record.hold_days, 3);
}

#define COLUMNS                                                                                    \
	"SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m, "                \
	"pragma_table_info(m.name) c WHERE m.type IN ('table', 'index') ORDER BY m.name, c.name"

static void
test_an_upgrade_makes_what_a_new_database_has_and_keeps_what_was_there(void **state)
{
	static char fresh[sizeof(answer)];
	struct kit *f = *state;
	const char *old = kit_path_of(f, "old.db");

	kit_load_new(f);
	(void)snprintf(fresh, sizeof(fresh), "%s", ask(f, COLUMNS));
	assert_non_null(strstr(fresh, "users max_sessions INTEGER 0 0|"));
	kit_sql(old, first_version);
	kit_sql(old, "ALTER TABLE users ADD COLUMN home TEXT"); /* a run that did not end */
	(void)snprintf(f->db, sizeof(f->db), "%s", old);
	/* A worker that has the file open goes on with it. */
	assert_int_equal(kit_load(f, "ctl", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(f->auth->create(f->self, &f->err), 0);
	assert_string_equal(ask(f, COLUMNS), fresh);
	assert_string_equal(ask(f, "PRAGMA user_version"), "3|");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_text(f->record.location, "maildir:/a");
	kit_sql(f->db, "UPDATE domains SET max_sessions = 4");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.max_sessions, 4);
	assert_int_equal(f->auth->create(f->self, &f->err), 0); /* again is harmless */
	assert_string_equal(ask(f, COLUMNS), fresh);
}

static void
test_a_worker_takes_an_upgrade_up_while_it_runs(void **state)
{
	struct kit *f = *state;
	struct kit other;
	void *p = &other;

	kit_sql(f->db, first_version);
	assert_int_equal(kit_load(f, "auth", NULL), 0);
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(kit_set_up(&p), 0);
	(void)snprintf(((struct kit *)p)->db, sizeof(f->db), "%s", f->db);
	kit_load_new(p);
	assert_int_equal(kit_tear_down(&p), 0);
	kit_sql(f->db, "UPDATE users SET max_sessions = 4");
	assert_int_equal(kit_lookup(f, "alice@b.test"), PST_AUTH_OK);
	assert_int_equal(f->record.max_sessions, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_what_the_user_does_not_say_the_domain_may),
		T(test_pop3_can_be_switched_off_for_a_domain_and_on_for_one_of_it),
		T(test_all_of_it_can_be_said_when_a_user_is_added),
		T(test_an_alias_leads_to_the_user_by_the_users_own_name),
		T(test_an_alias_is_never_followed_twice),
		T(test_an_app_password_is_found_by_its_prefix),
		T(test_an_app_password_expires),
		T(test_a_user_may_have_app_passwords_alone),
		T(test_an_app_passwords_value_that_cannot_be_meant_is_an_error),
		T(test_notes_are_written_by_a_worker_that_only_looks_up_else),
		T(test_a_note_that_breaks_a_rule_keeps_no_other_from_being_written),
		T(test_notes_that_cannot_be_written_harm_no_login),
		T(test_a_database_that_may_only_be_read_still_lets_users_in),
		T(test_a_new_hash_takes_the_place_of_the_old_one_alone),
		T(test_own_tables_need_no_notes_and_no_app_passwords),
		T(test_tables_of_the_first_version_are_used_as_they_are),
		T(test_tables_of_the_second_version_are_used_as_they_are),
		T(test_the_second_version_is_brought_up_to_date),
		T(test_an_upgrade_makes_what_a_new_database_has_and_keeps_what_was_there),
		T(test_a_worker_takes_an_upgrade_up_while_it_runs),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
