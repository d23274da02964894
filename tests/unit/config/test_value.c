/* SPDX-License-Identifier: MIT */
/* One value of each type: what is taken, as what, and what is refused. */
#include "tests/unit/config/conf_kit.h"

#include "config/table.h"
#include "config/value.h"

struct all {
	int64_t number, size, time, choice, bounded;
	bool flag;
	const char *text, *path, *written, *secret;
};

static const struct pst_conf_key keys[] = {
	{ "number", PST_CONF_INT(struct all, number), "1", 0, 0, NULL, "A." },
	{ "size", PST_CONF_SIZE(struct all, size), "1K", 0, 0, NULL, "A." },
	{ "time", PST_CONF_TIME(struct all, time), "1s", 0, 0, NULL, "A." },
	{ "choice", PST_CONF_CHOICE(struct all, choice), "off", 0, 0, "off|report|on", "A." },
	{ "bounded", PST_CONF_TIME(struct all, bounded), "1m", 1000, 3600000, NULL, "A." },
	{ "flag", PST_CONF_BOOL(struct all, flag), "true", 0, 0, NULL, "A." },
	{ "text", PST_CONF_TEXT(struct all, text), "abc", 2, 5, NULL, "A." },
	{ "path", PST_CONF_READ_PATH(struct all, path), "/a", 0, 0, NULL, "A." },
	{ "written", PST_CONF_WRITE_PATH(struct all, written), "", 0, 0, NULL, "A." },
	{ "secret", PST_CONF_SECRET(struct all, secret), NULL, 3, 8, NULL, "A." },
	{ .key = NULL },
};

static struct all all;

static const struct pst_conf_key *
key_of(const char *name)
{
	const struct pst_conf_key *key = conf_table_find(keys, pst_str_c(name));

	assert_non_null(key);
	return key;
}

static void
test_numbers_of_every_unit_are_read_exactly(void **state)
{
	static const struct {
		const char *key, *text;
		int64_t value;
	} rows[] = {
		{ "number", "0", 0 },
		{ "number", "-7", -7 },
		{ "number", "007", 7 },
		{ "number", "9223372036854775807", INT64_MAX },
		{ "number", "-9223372036854775807", -INT64_MAX },
		{ "size", "0", 0 },
		{ "size", "1000", 1000 },
		{ "size", "10M", 10 << 20 },
		{ "size", "10m", 10 << 20 },
		{ "size", "5000000000", 5000000000 },
		{ "size", "3G", (int64_t)3 << 30 },
		{ "size", "2T", (int64_t)2 << 40 },
		{ "size", "8388607T", (int64_t)8388607 << 40 },
		{ "time", "0", 0 },
		{ "time", "15ms", 15 },
		{ "time", "30s", 30000 },
		{ "time", "10m", 600000 },
		{ "time", "6H", 21600000 },
		{ "time", "7d", 604800000 },
		{ "bounded", "1000ms", 1000 },
		{ "bounded", "1h", 3600000 },
		{ "choice", "off", 0 },
		{ "choice", "report", 1 },
		{ "choice", "on", 2 },
	};
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pst_conf_key *key = key_of(rows[i].key);

		if (conf_value_parse(key, pst_str_c(rows[i].text), arena, &all, &err) != 0)
			fail_msg("%s = %s: %s", rows[i].key, rows[i].text, err.text);
		assert_true(*(int64_t *)((char *)&all + key->offset) == rows[i].value);
	}
}

static void
test_values_that_are_no_value_of_their_type_are_refused(void **state)
{
	static const struct {
		const char *key, *text, *says;
	} rows[] = {
		{ "number", "", "not a whole number" },
		{ "number", "-", "not a whole number" },
		{ "number", "1.5", "not a whole number" },
		{ "number", " 1", "not a whole number" },
		{ "number", "1 ", "not a whole number" },
		{ "number", "0x10", "not a whole number" },
		{ "number", "10M", "not a whole number" },
		{ "number", "9223372036854775808", "not a whole number" },
		{ "number", "99999999999999999999999", "not a whole number" },
		{ "size", "10X", "\"10X\" is not a size" },
		{ "size", "10 M", "not a size" },
		{ "size", "M", "not a size" },
		{ "size", "-1M", "not a size" },
		{ "size", "10MB", "not a size" },
		{ "size", "8388608T", "out of bounds" },
		{ "time", "30", "not a time" },
		{ "time", "5x", "\"5x\" is not a time" },
		{ "time", "1h30m", "not a time" },
		{ "time", "-5s", "not a time" },
		{ "time", "999999999999999d", "out of bounds" },
		{ "bounded", "999ms", "1s to 1h" },
		{ "bounded", "2h", "1s to 1h" },
		{ "bounded", "0", "1s to 1h" },
		{ "flag", "on", "not true or false" },
		{ "flag", "1", "not true or false" },
		{ "flag", "", "not true or false" },
		{ "choice", "ON", "off|report|on" },
		{ "choice", "repor", "off|report|on" },
		{ "choice", "off|report", "off|report|on" },
		{ "choice", "", "off|report|on" },
		{ "text", "a", "2 to 5" },
		{ "text", "abcdef", "2 to 5" },
		{ "text", "a\x1b[2J", "control character" },
		{ "text", "a\rb", "control character" },
		{ "path", "relative/x", "not an absolute path" },
		{ "written", "./x", "not an absolute path" },
		{ "secret", "hunter2hunter2", "3 to 8" },
	};
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err.text[0] = '\0';
		if (conf_value_parse(key_of(rows[i].key), pst_str_c(rows[i].text), arena, &all,
		                     &err) != -1)
			fail_msg("%s = \"%s\" was taken", rows[i].key, rows[i].text);
		assert_int_equal(err.kind, PST_E_CLIENT);
		if (strstr(err.text, rows[i].says) == NULL)
			fail_msg("%s = \"%s\": \"%s\" does not say \"%s\"", rows[i].key,
			         rows[i].text, err.text, rows[i].says);
	}
}

static void
test_secret_that_is_refused_is_not_repeated(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(
		conf_value_parse(key_of("secret"), PST_LIT("hunter2hunter2"), arena, &all, &err),
		-1);
	assert_null(strstr(err.text, "hunter"));
	assert_int_equal(conf_value_parse(key_of("secret"), PST_LIT("hun\x01"), arena, &all, &err),
	                 -1);
	assert_null(strstr(err.text, "hun\x01"));
}

static void
test_booleans_and_texts_are_read_as_they_are(void **state)
{
	static const char *const yes[] = { "true", "yes", "TRUE", "Yes" };
	static const char *const no[] = { "false", "no", "False" };
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		all.flag = false;
		assert_int_equal(
			conf_value_parse(key_of("flag"), pst_str_c(yes[i]), arena, &all, &err), 0);
		assert_true(all.flag);
	}
	for (i = 0; i < 3; i++) {
		all.flag = true;
		assert_int_equal(
			conf_value_parse(key_of("flag"), pst_str_c(no[i]), arena, &all, &err), 0);
		assert_false(all.flag);
	}
	assert_int_equal(conf_value_parse(key_of("text"), PST_LIT("a\n\tb"), arena, &all, &err), 0);
	assert_string_equal(all.text, "a\n\tb");
	assert_int_equal(conf_value_parse(key_of("path"), PST_LIT("/a b"), arena, &all, &err), 0);
	assert_string_equal(all.path, "/a b");
	assert_int_equal(conf_value_parse(key_of("path"), PST_LIT(""), arena, &all, &err), 0);
	assert_string_equal(all.path, "");
}

static void
test_number_is_written_as_it_would_be_read(void **state)
{
	static const struct {
		enum pst_conf_type type;
		int64_t value;
		const char *text;
	} rows[] = {
		{ PST_CONF_T_INT, -5, "-5" },
		{ PST_CONF_T_SIZE, 0, "0" },
		{ PST_CONF_T_SIZE, 10 << 20, "10M" },
		{ PST_CONF_T_SIZE, 1500, "1500" },
		{ PST_CONF_T_TIME, 600000, "10m" },
		{ PST_CONF_T_TIME, 1500, "1500ms" },
		{ PST_CONF_T_TIME, 86400000, "1d" },
		{ PST_CONF_T_TIME, 90000, "90s" },
		{ PST_CONF_T_INT, INT64_MIN, "-9223372036854775808" },
	};
	char text[CONF_NUMBER_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		conf_number_text(rows[i].type, rows[i].value, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void
test_table_takes_values_defaults_and_says_every_problem(void **state)
{
	static const char *const set[][2] = {
		{ "p.q.number", "12" },    { "p.q.size", "x" },      { "p.q.flag", "maybe" },
		{ "p.q.text", "toolong" }, { "p.other.time", "9s" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		conf_texts_set(&texts, pst_str_c(set[i][0]), pst_str_c(set[i][1]), "f.conf",
		               (unsigned)i + 1);
	conf_table_fill(keys, "p.q", &texts, &all, &problems);
	assert_int_equal(problems.n, 4);
	expect_problem("f.conf:2: p.q.size: \"x\" is not a size");
	expect_problem("f.conf:3: p.q.flag: \"maybe\" is not true or false");
	expect_problem("f.conf:4: p.q.text: ");
	expect_problem("f.conf:1: p.q.secret: must be set. A.");
	assert_int_equal(all.number, 12);
	assert_int_equal(all.size, 1024); /* the default in place of a bad value */
	assert_int_equal(all.time, 1000);
	assert_true(all.flag);
	assert_string_equal(all.text, "abc");
	assert_string_equal(all.secret, ""); /* never NULL */
}

static void
test_unknown_key_of_a_table_is_told_with_the_nearest(void **state)
{
	(void)state;
	conf_texts_set(&texts, PST_LIT("p.q.numbr"), PST_LIT("1"), "f.conf", 1);
	conf_texts_set(&texts, PST_LIT("p.q.plugin"), PST_LIT("1"), "f.conf", 2);
	conf_texts_set(&texts, PST_LIT("p.q.zzzzzz"), PST_LIT("1"), "f.conf", 3);
	conf_texts_set(&texts, PST_LIT("p.qq.numbr"), PST_LIT("1"), "f.conf", 4);
	conf_texts_set(&texts, PST_LIT("p.q.time"), PST_LIT("1s"), "f.conf", 5);
	conf_table_check_names(keys, NULL, "p.q", "plugin", &texts, &problems);
	assert_int_equal(problems.n, 2);
	assert_string_equal(problems.v[0],
	                    "f.conf:1: p.q.numbr: unknown setting; did you mean p.q.number?");
	assert_string_equal(problems.v[1], "f.conf:3: p.q.zzzzzz: unknown setting");
}

static void
test_nearest_name_is_near_or_none(void **state)
{
	static const char *const names[] = { "workers", "timeout", "handshake_timeout", "tls",
		                             "max_connections" };
	static const struct {
		const char *typed, *near;
	} rows[] = {
		{ "worker", "workers" },
		{ "wrokers", "workers" },
		{ "WORKERS", "workers" },
		{ "timout", "timeout" },
		{ "time_out", "timeout" },
		{ "tsl", "tls" },
		{ "banana", NULL },
		{ "", NULL },
		{ "x", NULL },
		{ "max_conections", "max_connections" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *near = conf_nearest(names, 5, rows[i].typed);

		if (rows[i].near == NULL)
			assert_null(near);
		else if (near == NULL)
			fail_msg("nothing is near to \"%s\"", rows[i].typed);
		else
			assert_string_equal(near, rows[i].near);
	}
	assert_null(conf_nearest(NULL, 0, "x"));
}

static void
test_very_long_name_is_near_to_nothing(void **state)
{
	char longer[5000];
	const char *const names[] = { longer, "workers" };

	(void)state;
	memset(longer, 'w', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(conf_nearest(names, 2, longer));
	assert_string_equal(conf_nearest(names, 2, "worker"), "workers");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_numbers_of_every_unit_are_read_exactly),
		KIT_TEST(test_values_that_are_no_value_of_their_type_are_refused),
		KIT_TEST(test_secret_that_is_refused_is_not_repeated),
		KIT_TEST(test_booleans_and_texts_are_read_as_they_are),
		KIT_TEST(test_number_is_written_as_it_would_be_read),
		KIT_TEST(test_table_takes_values_defaults_and_says_every_problem),
		KIT_TEST(test_unknown_key_of_a_table_is_told_with_the_nearest),
		KIT_TEST(test_nearest_name_is_near_or_none),
		KIT_TEST(test_very_long_name_is_near_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
