/* SPDX-License-Identifier: MIT */
/* Rows read as users and app passwords: our columns, Dovecot's, and values that cannot be meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/sql/user.h"

#define ASKED PST_LIT("alice@b.test")

static struct pst_err err;

static int
read_pairs(const char *const *pairs, struct sql_user *u)
{
	const char *names[SQL_COLUMNS];
	struct sql_value values[SQL_COLUMNS];
	struct sql_row row = { 0, names, values };

	for (; pairs[0] != NULL; pairs += 2, row.n++) {
		names[row.n] = pairs[0];
		values[row.n] = (struct sql_value){ pst_str_c(pairs[1]), pairs[1] == NULL };
	}
	err.text[0] = '\0';
	return sql_user_read(&row, ASKED, u, &err);
}

/* NULL ends the pairs: "" is a value. */
#define READ(u, ...) read_pairs((const char *const[]){ __VA_ARGS__, NULL }, (u))

static int
read_one(const char *column, const char *value, struct sql_user *u)
{
	const char *names[1] = { column };
	const struct sql_value values[1] = { { pst_str_c(value), value == NULL } };
	const struct sql_row row = { 1, names, values };

	err.text[0] = '\0';
	return sql_user_read(&row, ASKED, u, &err);
}

static void
assert_str(struct pst_str s, const char *text)
{
	if (s.n != strlen(text) || (s.n > 0 && memcmp(s.p, text, s.n) != 0))
		fail_msg("\"%.*s\" is not \"%s\"", PST_ARG(s), text);
}

/* The column is named in the reason, and the kind is a temporary failure. */
static void
assert_bad(const char *column, const char *value)
{
	struct sql_user u;

	if (read_one(column, value, &u) != -1)
		fail_msg("%s = \"%s\" is taken", column, value);
	assert_int_equal(err.kind, PST_E_TEMP);
	if (strstr(err.text, column) == NULL)
		fail_msg("%s is not named: %s", column, err.text);
}

/* ---- Our own ---- */

static void
test_yes_and_no_and_nothing_else(void **state)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "y", "yes" };
	static const char *const no[] = { "0", "f", "F", "false", "n", "No" };
	static const char *const bad[] = {
		"", "2", "on", "off", "00", "01", "1 ", "tru", "disabled"
	};
	static const struct {
		const char *name;
		size_t offset;
		bool if_null;
	} columns[] = {
		{ "enabled", offsetof(struct sql_user, enabled), true },
		{ "pop3_enabled", offsetof(struct sql_user, pop3_enabled), true },
		{ "read_only", offsetof(struct sql_user, read_only), false },
	};
	struct sql_user u;
	size_t c, i;

	(void)state;
	for (c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
		const bool *value = (const bool *)((const char *)&u + columns[c].offset);
		const char *name = columns[c].name;

		for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
			assert_int_equal(read_one(name, yes[i], &u), 0);
			assert_true(*value);
		}
		for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
			assert_int_equal(read_one(name, no[i], &u), 0);
			assert_false(*value);
		}
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			assert_bad(name, bad[i]);
		assert_int_equal(read_one(name, NULL, &u), 0);
		assert_int_equal(*value, columns[c].if_null);
	}
}

static void
test_ids_are_numbers_that_the_kernel_takes(void **state)
{
	static const char *const bad[] = { "4294967295", "4294967296",          "-1", "1.0", "x",
		                           " 1",         "18446744073709551617" };
	struct sql_user u;
	size_t i;

	(void)state;
	assert_int_equal(read_one("uid", "4294967294", &u), 0);
	assert_int_equal(u.uid, 4294967294u);
	assert_int_equal(read_one("gid", "7", &u), 0);
	assert_int_equal(u.gid, 7);
	assert_int_equal(read_one("gid", NULL, &u), 0);
	assert_int_equal(u.gid, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad("uid", bad[i]);
}

static void
test_limits_are_numbers_in_their_bounds(void **state)
{
	static const struct {
		const char *column;
		const char *least, *most, *too_much;
		size_t offset;
	} rows[] = {
		{ "max_sessions", "1", "1000000", "1000001",
		  offsetof(struct sql_user, max_sessions) },
		{ "min_poll", "1", "604800", "604801", offsetof(struct sql_user, min_poll) },
		{ "max_listed", "1", "2147483647", "2147483648",
		  offsetof(struct sql_user, max_listed) },
	};
	static const char *const bad[] = { "",     "0",  "-1",  "1.5",
		                           "many", "5 ", "0x5", "99999999999999999999" };
	struct sql_user u;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint32_t *value =
			(const uint32_t *)(const void *)((const char *)&u + rows[i].offset);

		assert_int_equal(read_one(rows[i].column, rows[i].least, &u), 0);
		assert_int_equal(*value, 1);
		assert_int_equal(read_one(rows[i].column, rows[i].most, &u), 0);
		assert_int_equal(*value, strtoul(rows[i].most, NULL, 10));
		assert_int_equal(read_one(rows[i].column, NULL, &u), 0);
		assert_int_equal(*value, 0);
		assert_bad(rows[i].column, rows[i].too_much);
		for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
			assert_bad(rows[i].column, bad[k]);
	}
}

static void
test_words_are_those_that_there_are(void **state)
{
	static const char *const bad_tls[] = { "", "1", "1.1", "12", "TLS1.2", "ANY", "yes" };
	static const char *const bad_rehash[] = { "", "ON", "true", "1" };
	struct sql_user u;
	size_t i;

	(void)state;
	assert_int_equal(read_one("min_tls", "any", &u), 0);
	assert_int_equal(u.min_tls, 10);
	assert_int_equal(read_one("min_tls", "1.2", &u), 0);
	assert_int_equal(u.min_tls, 12);
	assert_int_equal(read_one("min_tls", "1.3", &u), 0);
	assert_int_equal(u.min_tls, 13);
	assert_int_equal(read_one("rehash", "report", &u), 0);
	assert_str(u.rehash, "report");
	for (i = 0; i < sizeof(bad_tls) / sizeof(bad_tls[0]); i++)
		assert_bad("min_tls", bad_tls[i]);
	for (i = 0; i < sizeof(bad_rehash) / sizeof(bad_rehash[0]); i++)
		assert_bad("rehash", bad_rehash[i]);
	assert_int_equal(read_one("home", "/home/a", &u), 0);
	assert_bad("home", "home/a");
}

static void
test_a_nul_is_in_no_text(void **state)
{
	static const char *const texts[] = { "password",     "user",      "maildrop", "reason",
		                             "allow_nets",   "home",      "rehash",   "alias",
		                             "app_password", "app_label", "mail",     "username",
		                             "domain",       "host" };
	struct sql_user u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct sql_value value = { { "/a\0b", 4 }, false };

		assert_int_equal(
			sql_user_read(&(struct sql_row){ 1, &texts[i], &value }, ASKED, &u, &err),
			-1);
		assert_int_equal(err.kind, PST_E_TEMP);
	}
}

static void
test_a_column_that_is_not_known_is_an_error(void **state)
{
	static const char *const unknown[] = {
		"enabeld", "passwd",       "userdb_", "userdb_password", "userdb_enabled",
		"quot",    "user:default", "",        "userdb_nosuch"
	};
	struct sql_user u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_bad(unknown[i], "0");
		assert_int_equal(read_one(unknown[i], NULL, &u), -1);
		assert_null(sql_column_use(SQL_COLUMNS_USER, unknown[i]));
	}
	assert_non_null(sql_column_use(SQL_COLUMNS_USER, "PASSWORD"));
}

/* ---- Dovecot's ---- */

static void
test_each_field_of_dovecot_is_used_or_ignored_or_refused(void **state)
{
	static const struct {
		const char *use, *names;
	} fields[] = {
		{ "used", "user username domain password allow_nets nologin reason fail proxy "
		          "proxy_maybe host port home uid gid mail mail_driver mail_path "
		          "mail_inbox_path userdb_home userdb_uid userdb_gid userdb_mail "
		          "userdb_mail_driver userdb_mail_path userdb_user" },
		{ "refused", "nopassword noauthenticate password_noscheme k5principals "
		             "allow_real_nets check_client_fp check_client_cert_fp "
		             "check_client_pubkey_fp login_user chroot userdb_chroot uidgid_file "
		             "userdb_uidgid_file userdb_import" },
		{ "ignored", "nodelay delay_until source_ip destuser protocol ssl starttls master "
		             "pass proxy_mech proxy_timeout proxy_nopipelining proxy_not_trusted "
		             "proxy_no_multiplex forward_x event_y nice userdb_nice "
		             "system_groups_user userdb_system_groups_user userdb_quota_rule "
		             "userdb_quota_rule2 quota_storage_size userdb_quota_storage_size" },
	};
	struct sql_user u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *p = fields[i].names;

		while (p[0] != '\0') {
			size_t n = strcspn(p, " ");
			char name[64];

			(void)snprintf(name, sizeof(name), "%.*s", (int)n, p);
			p += n + strspn(p + n, " ");
			if (sql_column_use(SQL_COLUMNS_USER, name) == NULL ||
			    strcmp(sql_column_use(SQL_COLUMNS_USER, name), fields[i].use) != 0)
				fail_msg("%s is not %s", name, fields[i].use);
			assert_int_equal(read_one(name, NULL, &u), 0);
			if (strcmp(fields[i].use, "refused") == 0)
				assert_int_equal(read_one(name, "", &u), -1);
			if (strcmp(fields[i].use, "ignored") == 0)
				assert_int_equal(read_one(name, "whatever", &u), 0);
		}
	}
}

static void
test_what_is_there_is_true_to_dovecot(void **state)
{
	static const char *const values[] = { "Y", "", "0", "no", "false" };
	struct sql_user u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_int_equal(read_one("nologin", values[i], &u), 0);
		assert_true(u.fails);
		assert_int_equal(read_one("fail", values[i], &u), 0);
		assert_true(u.fails);
		assert_int_equal(read_one("proxy", values[i], &u), 0);
		assert_str(u.proxy, "another server");
	}
	assert_int_equal(read_one("nologin", NULL, &u), 0);
	assert_false(u.fails);
	assert_int_equal(read_one("proxy", NULL, &u), 0);
	assert_int_equal(u.proxy.n, 0);
	assert_int_equal(READ(&u, "proxy", "y", "host", "pop.b.test", "port", "1110"), 0);
	assert_str(u.proxy, "pop.b.test:1110");
	assert_int_equal(READ(&u, "host", "pop.b.test"), 0);
	assert_int_equal(u.proxy.n, 0);
}

static void
test_a_name_may_come_in_parts(void **state)
{
	char part[300];
	struct sql_user u;

	(void)state;
	assert_int_equal(READ(&u, "username", "bob", "domain", "c.test"), 0);
	assert_str(u.name, "bob@c.test");
	assert_int_equal(READ(&u, "username", "bob"), 0);
	assert_str(u.name, "bob@b.test"); /* the domain that was asked for */
	assert_int_equal(READ(&u, "username", "bob@d.test"), 0);
	assert_str(u.name, "bob@d.test");
	assert_int_equal(READ(&u, "domain", "c.test"), 0);
	assert_str(u.name, "alice@c.test");
	assert_int_equal(READ(&u, "user", "bob@d.test", "domain", "c.test"), 0);
	assert_str(u.name, "bob@c.test");
	assert_int_equal(READ(&u, "user", "bob"), 0);
	assert_str(u.name, "bob");
	assert_int_equal(READ(&u, "userdb_user", "bob@d.test"), 0);
	assert_str(u.name, "bob@d.test");
	assert_int_equal(READ(&u, "password", "x"), 0);
	assert_int_equal(u.name.n, 0);
	memset(part, 'a', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	assert_int_equal(READ(&u, "username", part, "domain", part), -1);
	assert_non_null(strstr(err.text, "too long"));
}

static void
test_mail_becomes_a_location(void **state)
{
	static const struct {
		const char *mail, *location; /* NULL: refused */
	} rows[] = {
		{ "maildir:~/Maildir", "maildir:%{home}/Maildir" },
		{ "maildir:~", "maildir:%{home}" },
		{ "maildir:/srv/%d/%n", "maildir:/srv/%{domain}/%{local}" },
		{ "maildir:/srv/%Ld/%Ln/%Lu", "maildir:/srv/%{domain}/%{local}/%{user}" },
		{ "maildir:%h/m", "maildir:%{home}/m" },
		{ "maildir:/srv/100%%", "maildir:/srv/100%%" },
		{ "maildir:/srv/%{user | domain}/%{user|username}",
		  "maildir:/srv/%{domain}/%{local}" },
		{ "maildir:/srv/%{user | lower}", "maildir:/srv/%{user}" },
		{ "maildir:~/Maildir:LAYOUT=fs:INDEX=/var/i/%u", "maildir:%{home}/Maildir" },
		{ "mbox:~/mail:INBOX=/var/mail/%n", "mbox:/var/mail/%{local}" },
		{ "maildir:~/Maildir:UTF-8", "maildir:%{home}/Maildir" },
		{ "maildir:~bob/Maildir", "maildir:~bob/Maildir" }, /* then no absolute path */
		{ "", "" },
		{ "/var/mail/%n", NULL },
		{ "maildir:", NULL },
		{ ":/srv", NULL },
		{ "maildir:/srv/%1n", NULL },
		{ "maildir:/srv/%x", NULL },
		{ "maildir:/srv/%", NULL },
		{ "maildir:/srv/%{user", NULL },
		{ "maildir:/srv/%{nosuch}", NULL },
		{ "maildir:/srv/%{user | substr(0, 1)}", NULL },
		{ "maildir:/srv:NOSUCH=1", NULL },
		{ "maildir:/srv::x", NULL },
	};
	struct sql_user u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = read_one("userdb_mail", rows[i].mail, &u);

		if (rc != (rows[i].location == NULL ? -1 : 0))
			fail_msg("%s: %d %s", rows[i].mail, rc, err.text);
		if (rc == 0)
			assert_str(u.maildrop, rows[i].location);
		else
			assert_int_equal(err.kind, PST_E_TEMP);
	}
}

static void
test_mail_that_is_longer_than_a_path_is_refused(void **state)
{
	static char mail[SQL_PATH_MAX + 32];
	struct sql_user u;
	size_t n;

	(void)state;
	for (n = SQL_PATH_MAX - 16; n < SQL_PATH_MAX + 16; n++) {
		memset(mail, 'x', n);
		memcpy(mail, "maildir:/", 9);
		mail[n] = '\0';
		assert_int_equal(read_one("mail", mail, &u), n < SQL_PATH_MAX ? 0 : -1);
		/* Each %n grows by six octets. */
		memcpy(mail + n - 2, "%n", 2);
		assert_int_equal(read_one("mail", mail, &u), n + 6 < SQL_PATH_MAX ? 0 : -1);
	}
}

static void
test_what_dovecot_2_4_has_in_place_of_mail(void **state)
{
	struct sql_user u;

	(void)state;
	assert_int_equal(READ(&u, "mail_driver", "maildir", "mail_path", "~/Maildir"), 0);
	assert_str(u.maildrop, "maildir:%{home}/Maildir");
	assert_int_equal(READ(&u, "mail_driver", "mbox", "mail_path", "~/mail", "mail_inbox_path",
	                      "/var/mail/%{user | username}"),
	                 0);
	assert_str(u.maildrop, "mbox:/var/mail/%{local}");
	assert_int_equal(READ(&u, "mail_path", "~/Maildir"), -1);
	assert_non_null(strstr(err.text, "mail_driver"));
	assert_int_equal(READ(&u, "maildrop", "maildir:/ours", "mail", "maildir:/theirs"), 0);
	assert_str(u.maildrop, "maildir:/ours");
}

/* ---- App passwords, and the check ---- */

static int
read_app(const char *column, const char *value, struct sql_app *a)
{
	const struct sql_value v = { pst_str_c(value), value == NULL };

	err.text[0] = '\0';
	return sql_app_read(&(struct sql_row){ 1, &column, &v }, a, &err);
}

static void
test_an_app_passwords_row(void **state)
{
	static const char *const bad[] = { "", "0", "-1", "2026-01-01", "9223372036854775808" };
	struct sql_app a;
	size_t i;

	(void)state;
	assert_int_equal(read_app("expires", "9223372036854775807", &a), 0);
	assert_int_equal(a.expires, INT64_MAX);
	assert_true(a.enabled);
	assert_int_equal(read_app("enabled", "0", &a), 0);
	assert_false(a.enabled);
	assert_int_equal(read_app("label", "phone", &a), 0);
	assert_str(a.label, "phone");
	assert_int_equal(read_app("uid", "1", &a), -1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_app("expires", bad[i], &a), -1);
}

static int
check(enum sql_columns which, const char *const *names, const char *needed)
{
	struct sql_row row = { 0, names, NULL };

	while (names[row.n] != NULL)
		row.n++;
	err.text[0] = '\0';
	return sql_columns_check(which, &row, needed, &err);
}

#define CHECK(which, needed, ...)                                                                  \
	check((which), (const char *const[]){ __VA_ARGS__, NULL }, (needed))

static void
test_columns_are_checked_before_there_is_a_row(void **state)
{
	(void)state;
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "password", "Password", "uid", "nopassword"), 0);
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "password", "uid"), -1);
	assert_string_equal(err.text, "there is no column password");
	assert_int_equal(err.kind, PST_E_CLIENT);
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "password", "password", "enabeld"), -1);
	assert_non_null(strstr(err.text, "enabeld"));
	assert_int_equal(err.kind, PST_E_CLIENT);
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "password", "password", "home", "userdb_home"),
	                 -1);
	assert_non_null(strstr(err.text, "home and userdb_home"));
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "password", "password", "quota_a", "quota_b"), 0);
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "user", "username", "domain"), 0);
	assert_int_equal(CHECK(SQL_COLUMNS_USER, "user", "domain"), -1);
	assert_int_equal(CHECK(SQL_COLUMNS_APP, "password", "password", "label"), 0);
	assert_int_equal(CHECK(SQL_COLUMNS_APP, "password", "password", "user"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_yes_and_no_and_nothing_else),
		cmocka_unit_test(test_ids_are_numbers_that_the_kernel_takes),
		cmocka_unit_test(test_limits_are_numbers_in_their_bounds),
		cmocka_unit_test(test_words_are_those_that_there_are),
		cmocka_unit_test(test_a_nul_is_in_no_text),
		cmocka_unit_test(test_a_column_that_is_not_known_is_an_error),
		cmocka_unit_test(test_each_field_of_dovecot_is_used_or_ignored_or_refused),
		cmocka_unit_test(test_what_is_there_is_true_to_dovecot),
		cmocka_unit_test(test_a_name_may_come_in_parts),
		cmocka_unit_test(test_mail_becomes_a_location),
		cmocka_unit_test(test_mail_that_is_longer_than_a_path_is_refused),
		cmocka_unit_test(test_what_dovecot_2_4_has_in_place_of_mail),
		cmocka_unit_test(test_an_app_passwords_row),
		cmocka_unit_test(test_columns_are_checked_before_there_is_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
