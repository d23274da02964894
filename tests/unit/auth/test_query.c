/* SPDX-License-Identifier: MIT */
/* Queries with named parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/sql/query.h"

static const struct {
	const char *source;
	char mark;
	const char *text;   /* NULL: refused */
	const char *params; /* by number: u user, l local_part, d domain, r remote_ip, p password */
} queries[] = {
	{ "SELECT :user", '?', "SELECT ?1", "u" },
	{ "SELECT :user, :domain", '$', "SELECT $1, $2", "ud" },
	{ "SELECT :domain, :user, :domain", '?', "SELECT ?1, ?2, ?1", "du" },
	{ ":user", '?', "?1", "u" },
	{ ":user:domain", '?', "?1?2", "ud" },
	{ "(:user)", '?', "(?1)", "u" },
	{ "SELECT 1", '?', "SELECT 1", "" },
	/* A type in PostgreSQL, and a slice of an array. */
	{ "SELECT :user::text, a[1:2]", '$', "SELECT $1::text, a[1:2]", "u" },
	{ "SELECT 'a'::user", '$', "SELECT 'a'::user", "" },
	/* What stands in quotes or comments is no parameter. */
	{ "SELECT ':user', \":user\", `:user`, :user", '?',
	  "SELECT ':user', \":user\", `:user`, ?1", "u" },
	{ "SELECT 'it''s :user' || :user", '?', "SELECT 'it''s :user' || ?1", "u" },
	{ "SELECT '' || :user || ''", '?', "SELECT '' || ?1 || ''", "u" },
	{ "-- :user\nSELECT :user -- :user", '?', "-- :user\nSELECT ?1 -- :user", "u" },
	{ "/* :user ' */ SELECT :user", '?', "/* :user ' */ SELECT ?1", "u" },
	{ "SELECT 4 - -2 / 2, :user", '?', "SELECT 4 - -2 / 2, ?1", "u" },
	{ "SELECT ':", '?', NULL, NULL },
	{ "SELECT \"x", '?', NULL, NULL },
	{ "SELECT /* x", '?', NULL, NULL },
	/* PostgreSQL's own quotes and comments. */
	{ "SELECT $$:user'$$, :user", '$', "SELECT $$:user'$$, $1", "u" },
	{ "SELECT $q$ $$ :user $r$ $q$, :user", '$', "SELECT $q$ $$ :user $r$ $q$, $1", "u" },
	{ "SELECT $_9$:user$_9$||:user", '$', "SELECT $_9$:user$_9$||$1", "u" },
	{ "SELECT $\xc3\xa4$:user$\xc3\xa4$, :user", '$', "SELECT $\xc3\xa4$:user$\xc3\xa4$, $1",
	  "u" },
	{ "SELECT a$b$, :user, c$b$", '$', "SELECT a$b$, $1, c$b$", "u" },
	{ "SELECT a $ :user", '$', "SELECT a $ $1", "u" },
	{ "SELECT $x", '$', "SELECT $x", "" },
	{ "SELECT $q$:user$Q$", '$', NULL, NULL },
	{ "SELECT $$:user", '$', NULL, NULL },
	{ "SELECT $1, :user", '$', NULL, NULL },
	{ "SELECT a$1, :user", '$', "SELECT a$1, $1", "u" },
	{ "SELECT E'\\' :user', :user", '$', "SELECT E'\\' :user', $1", "u" },
	{ "SELECT e'\\\\', :user, ''", '$', "SELECT e'\\\\', $1, ''", "u" },
	{ "SELECT E'it''s \\' :user', :user", '$', "SELECT E'it''s \\' :user', $1", "u" },
	{ "SELECT E'a'\n '\\' :user', :user", '$', "SELECT E'a'\n '\\' :user', $1", "u" },
	{ "SELECT E'a' '\\', :user, ''", '$', "SELECT E'a' '\\', $1, ''", "u" },
	{ "SELECT one'\\', :user, ''", '$', "SELECT one'\\', $1, ''", "u" },
	{ "SELECT E'\\", '$', NULL, NULL },
	{ "SELECT E'\\'", '$', NULL, NULL },
	{ "SELECT '\\', :user, ''", '$', "SELECT '\\', $1, ''", "u" },
	{ "SELECT /* /* :user */ :user */ :user", '$', "SELECT /* /* :user */ :user */ $1", "u" },
	{ "SELECT /* /* :user */", '$', NULL, NULL },
	{ "SELECT /*/ :user */ :user", '$', "SELECT /*/ :user */ $1", "u" },
	{ "SELECT ` :user", '$', "SELECT ` $1", "u" },
	{ "SELECT f(a := :user)", '$', "SELECT f(a := $1)", "u" },
	/* Which SQLite does not have. */
	{ "SELECT $$:user, '$$'", '?', "SELECT $$?1, '$$'", "u" },
	{ "SELECT E'\\', :user, ''", '?', "SELECT E'\\', ?1, ''", "u" },
	{ "SELECT /* /* */ :user", '?', "SELECT /* /* */ ?1", "u" },
	{ "SELECT /*/ :user */ :user", '?', "SELECT /*/ :user */ ?1", "u" },
	{ "SELECT `:user`, :user", '?', "SELECT `:user`, ?1", "u" },
	/* Names are whole, and known. */
	{ "SELECT :users", '?', NULL, NULL },
	{ "SELECT :use", '?', NULL, NULL },
	{ "SELECT :USER", '?', NULL, NULL },
	{ "SELECT :password", '?', NULL, NULL },
	{ "SELECT :_", '?', NULL, NULL },
	{ "SELECT : user", '?', "SELECT : user", "" },
	{ "SELECT :", '?', "SELECT :", "" },
};

static char
letter_of(enum sql_param param)
{
	static const char letters[SQL_PARAMS + 1] = "uldr-spmig-x";

	return letters[param];
}

static void
test_named_parameters_become_numbered_placeholders(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct sql_query q;
		struct pst_err err = { 0, "" };
		int rc = sql_query_parse(&q, queries[i].source, SQL_ASKER, queries[i].mark, &err);

		if (rc != (queries[i].text == NULL ? -1 : 0))
			fail_msg("%s: %d %s", queries[i].source, rc, err.text);
		if (rc != 0) {
			assert_int_equal(err.kind, PST_E_CLIENT);
			assert_null(q.text);
			continue;
		}
		assert_string_equal(q.text, queries[i].text);
		assert_int_equal(q.param_count, strlen(queries[i].params));
		for (k = 0; k < q.param_count; k++)
			assert_int_equal(letter_of(q.params[k]), queries[i].params[k]);
		sql_query_clear(&q);
	}
}

static void
test_an_unknown_parameter_names_those_that_there_are(void **state)
{
	struct sql_query q;
	struct pst_err err;

	(void)state;
	assert_int_equal(sql_query_parse(&q, "SELECT :usr", SQL_NAME, '?', &err), -1);
	assert_string_equal(err.text,
	                    "there is no parameter :usr here, only :user :local_part :domain");
}

static void
test_all_parameters_together_fit(void **state)
{
	struct sql_query q;
	struct pst_err err;

	(void)state;
	assert_int_equal(
		sql_query_parse(&q,
	                        ":user,:local_part,:domain,:remote_ip,:local_ip,:sni,:password,"
	                        ":maildrop,:uid,:gid,:enabled,:reason",
	                        ~0u, '?', &err),
		0);
	assert_string_equal(q.text, "?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12");
	sql_query_clear(&q);
	/* Placeholders of three octets for the shortest name, to the end of the text. */
	assert_int_equal(
		sql_query_parse(&q,
	                        ":user:local_part:domain:remote_ip:local_ip:password:maildrop:"
	                        "gid:enabled:reason:sni:uid:uid:uid:uid:at:at:at:at",
	                        ~0u, '?', &err),
		0);
	assert_int_equal(strlen(q.text), 9 * 2 + 10 * 3);
	sql_query_clear(&q);
}

static void
test_an_empty_text_is_no_query(void **state)
{
	struct sql_query q;
	struct pst_err err;

	(void)state;
	assert_int_equal(sql_query_parse(&q, "", SQL_ASKER, '?', &err), 0);
	assert_null(q.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_named_parameters_become_numbered_placeholders),
		cmocka_unit_test(test_an_unknown_parameter_names_those_that_there_are),
		cmocka_unit_test(test_all_parameters_together_fit),
		cmocka_unit_test(test_an_empty_text_is_no_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
