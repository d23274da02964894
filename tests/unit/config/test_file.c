/* SPDX-License-Identifier: MIT */
/* Files: what libconfig reads becomes flat texts, and what it does badly is found before. */
#include "tests/unit/config/conf_kit.h"

#include <sys/stat.h>

static void
test_values_of_every_form_become_texts_with_their_line(void **state)
{
	(void)state;
	read_text("a: {\n"
	          "  number = 5; negative = -3; hex = 0x1F; wide = 5000000000L;\n"
	          "  yes = true; no = FALSE;\n"
	          "  text = \"x \\\"y\\\" \\\\\"; joined = \"a\" \"b\"\n"
	          "         \"c\";\n"
	          "  words = [ \"a\", \"b\", \"c\" ]; mixed = ( 1, \"x\", true ); none = [ ];\n"
	          "  inner: { deep = \"d\"; empty: { }; };\n"
	          "};\n",
	          NULL);
	expect_no_problems();
	assert_string_equal(value_of("a.number"), "5");
	assert_string_equal(value_of("a.negative"), "-3");
	assert_string_equal(value_of("a.hex"), "31");
	assert_string_equal(value_of("a.wide"), "5000000000");
	assert_string_equal(value_of("a.yes"), "true");
	assert_string_equal(value_of("a.no"), "false");
	assert_string_equal(value_of("a.text"), "x \"y\" \\");
	assert_string_equal(value_of("a.joined"), "abc");
	assert_string_equal(value_of("a.words"), "a b c");
	assert_string_equal(value_of("a.mixed"), "1 x true");
	assert_string_equal(value_of("a.none"), "");
	assert_string_equal(value_of("a.inner.deep"), "d");
	assert_string_equal(value_of("a.inner.empty"), CONF_EMPTY_GROUP);
	assert_int_equal(conf_texts_get(&texts, "a.number")->line, 2);
	assert_int_equal(conf_texts_get(&texts, "a.inner.deep")->line, 7);
	assert_string_equal(conf_texts_get(&texts, "a.number")->file, path_of("postern.conf"));
}

static void
test_integer_that_would_be_cut_is_a_problem_with_its_line(void **state)
{
	static const char *const bad[] = { "5000000000",           "2147483648",
		                           "+2147483648",          "0x80000000",
		                           "0xFFFFFFFFFF",         "-5000000000",
		                           "99999999999999999999", "99999999999999999999L",
		                           "0x1FFFFFFFFFFFFFFFFL" };
	static const char *const good[] = { "2147483647", "0x7FFFFFFF", "5000000000L",
		                            "-7",         "007",        "0x7FFFFFFFFFFFFFFFL" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		conf_problems_init(&problems, arena);
		read_text(pst_arena_printf(arena,
		                           "# 1\na: { x = \"9999999999\"; // 9999999999\n k = %s; "
		                           "};",
		                           bad[i]),
		          NULL);
		assert_int_equal(problems.n, 1);
		expect_problem(pst_arena_printf(arena,
		                                "postern.conf:3: the number %.*s would be cut; "
		                                "write it as a string: \"%.*s\"",
		                                (int)strcspn(bad[i], "L"), bad[i],
		                                (int)strcspn(bad[i], "L"), bad[i]));
	}
	conf_problems_init(&problems, arena);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		read_text(pst_arena_printf(arena, "a: { k1 = %s; };", good[i]), NULL);
	expect_no_problems();
}

static void
test_numbers_in_texts_comments_and_names_are_left_alone(void **state)
{
	(void)state;
	read_text(
		"/* 9999999999 \" */ a: { k9999999999 = \"9999999999 \\\" 9999999999\"; # 9999999999\n"
		"// 9999999999\n"
		"b-9999999999 = 1; };",
		NULL);
	expect_no_problems();
	assert_string_equal(value_of("a.b-9999999999"), "1");
}

static void
test_included_file_is_read_and_its_problems_bear_its_name(void **state)
{
	assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
	write_file("conf.d/more.conf", "\nb: { k = 7000000000; t = 1.5; };\n");
	read_text("a = 1;\n  @include \"conf.d/more.conf\"\nc = 3;\n", NULL);
	(void)state;
	assert_string_equal(value_of("a"), "1");
	assert_string_equal(value_of("c"), "3");
	assert_int_equal(problems.n, 2);
	expect_problem("conf.d/more.conf:2: the number 7000000000 would be cut");
	expect_problem("conf.d/more.conf:2: b.t: a number with a fraction");
}

static void
test_include_that_cannot_be_read_is_named_with_its_reason(void **state)
{
	(void)state;
	read_text("@include \"nowhere.conf\"\n@include \"/etc/passwd\"\n@include \".\"\n", NULL);
	assert_int_equal(problems.n, 3);
	expect_problem("nowhere.conf: cannot be opened: No such file");
	expect_problem("postern.conf:2: @include \"/etc/passwd\": give the name relative to");
	expect_problem(".: is not a file");
	assert_int_equal(texts.n, 0);
}

static void
test_files_that_include_each_other_end(void **state)
{
	(void)state;
	write_file("b.conf", "@include \"postern.conf\"\n");
	read_text("@include \"b.conf\"\n", NULL);
	expect_problem("more than 10 files include each other");
}

static void
test_include_in_a_comment_or_text_is_none(void **state)
{
	(void)state;
	read_text("# @include \"x\"\n/*\n@include \"x\"\n*/\na = \"\n@include y\";\n", NULL);
	expect_no_problems();
}

static void
test_file_that_cannot_be_read_is_a_problem(void **state)
{
	(void)state;
	conf_file_read(path_of("none.conf"), NULL, 0, &texts, &problems);
	conf_file_read(folder, NULL, 0, &texts, &problems);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	conf_file_read(path_of("fifo"), NULL, 0, &texts, &problems); /* and is not waited for */
	assert_int_equal(problems.n, 3);
	expect_problem("none.conf: cannot be opened: No such file");
	expect_problem(pst_arena_printf(arena, "%s: is not a file", folder));
	expect_problem("fifo: is not a file");
}

static void
test_file_that_is_too_large_is_a_problem(void **state)
{
	FILE *f = fopen(path_of("large.conf"), "w");
	size_t i;

	(void)state;
	assert_non_null(f);
	for (i = 0; i < 1 << 19; i++)
		fputs("# 234567\n", f);
	fclose(f);
	conf_file_read(path_of("large.conf"), NULL, 0, &texts, &problems);
	expect_problem("large.conf: is larger than 4 MiB");
}

static void
test_syntax_error_and_duplicate_are_told_with_their_line(void **state)
{
	(void)state;
	read_text("a = 1;\nb = = 2;\n", NULL);
	expect_problem("postern.conf:2: syntax error");
	conf_problems_init(&problems, arena);
	read_text("a = 1;\nb = 2;\na = 3;\n", NULL);
	expect_problem("postern.conf:3: duplicate setting name");
}

static void
test_lists_that_would_lose_their_words_are_refused(void **state)
{
	(void)state;
	read_text("a = [ \"x y\" ];\nb = [ \"\" ];\nc = ( { d = 1; } );\ne = ( ( 1 ) );\n", NULL);
	assert_int_equal(problems.n, 4);
	expect_problem("postern.conf:1: a: a word of a list cannot be empty or hold a blank");
	expect_problem("postern.conf:2: b: a word of a list cannot be empty");
	expect_problem("postern.conf:3: c: a list can hold single values only");
	expect_problem("postern.conf:4: e: a list can hold single values only");
}

static void
test_text_with_an_escaped_nul_is_refused(void **state)
{
	(void)state;
	read_text("a = \"x\\x00y\";\nb = \"x\\\\x00y\";\n", NULL);
	assert_int_equal(problems.n, 1);
	expect_problem("postern.conf:1: a string cannot hold the octet \\x00");
	assert_string_equal(value_of("b"), "x\\x00y");
}

static void
test_sets_take_the_place_of_the_file_and_may_hold_equals_signs(void **state)
{
	const char *const sets[] = { "a.k=2", "a.new=x=y", "a.empty=", "bad", "=bad", NULL };

	(void)state;
	read_text("a: { k = 1; };\n", sets);
	assert_string_equal(value_of("a.k"), "2");
	assert_string_equal(value_of("a.new"), "x=y");
	assert_string_equal(value_of("a.empty"), "");
	assert_string_equal(conf_texts_get(&texts, "a.k")->file, "");
	assert_int_equal(problems.n, 2);
	expect_problem("command line: \"bad\" is not of the form PATH=VALUE");
	expect_problem("command line: \"=bad\" is not of the form");
}

static void
test_without_a_file_there_are_the_sets_alone(void **state)
{
	const char *const sets[] = { "a.k=2" };

	(void)state;
	conf_file_read(NULL, sets, 1, &texts, &problems);
	expect_no_problems();
	assert_int_equal(texts.n, 1);
}

static void
test_empty_file_is_a_good_one(void **state)
{
	(void)state;
	read_text("", NULL);
	conf_file_read("/dev/null", NULL, 0, &texts, &problems);
	expect_no_problems();
	assert_int_equal(texts.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_values_of_every_form_become_texts_with_their_line),
		KIT_TEST(test_integer_that_would_be_cut_is_a_problem_with_its_line),
		KIT_TEST(test_numbers_in_texts_comments_and_names_are_left_alone),
		KIT_TEST(test_included_file_is_read_and_its_problems_bear_its_name),
		KIT_TEST(test_include_that_cannot_be_read_is_named_with_its_reason),
		KIT_TEST(test_files_that_include_each_other_end),
		KIT_TEST(test_include_in_a_comment_or_text_is_none),
		KIT_TEST(test_file_that_cannot_be_read_is_a_problem),
		KIT_TEST(test_file_that_is_too_large_is_a_problem),
		KIT_TEST(test_syntax_error_and_duplicate_are_told_with_their_line),
		KIT_TEST(test_lists_that_would_lose_their_words_are_refused),
		KIT_TEST(test_text_with_an_escaped_nul_is_refused),
		KIT_TEST(test_sets_take_the_place_of_the_file_and_may_hold_equals_signs),
		KIT_TEST(test_without_a_file_there_are_the_sets_alone),
		KIT_TEST(test_empty_file_is_a_good_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
