/* SPDX-License-Identifier: MIT */
/* Flat texts: order and replacement, and their image, which is taken whole or not at all. */
#include "tests/unit/config/conf_kit.h"

static uint8_t image[8192];

static void
fill(void)
{
	conf_texts_set(&texts, PST_LIT("login.workers"), PST_LIT("2"), "a.conf", 3);
	conf_texts_set(&texts, PST_LIT("login.greeting"), PST_LIT(""), "a.conf", 4);
	conf_texts_set(&texts, PST_LIT("auth.sqlite.database"), PST_LIT("/x y"), "b.conf", 70000);
	conf_texts_set(&texts, PST_LIT("storage.maildir"), PST_LIT("{}"), "", 0);
}

static void
test_later_text_takes_the_place_of_the_earlier(void **state)
{
	(void)state;
	fill();
	conf_texts_set(&texts, PST_LIT("login.workers"), PST_LIT("9"), "", 0);
	assert_int_equal(texts.n, 4);
	assert_string_equal(texts.v[0].path, "login.workers");
	assert_string_equal(texts.v[0].value, "9");
	assert_string_equal(texts.v[0].file, "");
	assert_null(conf_texts_get(&texts, "login.worker"));
	assert_null(conf_texts_get(&texts, "login"));
}

static void
test_first_text_of_a_group_is_found_by_whole_names_only(void **state)
{
	(void)state;
	fill();
	assert_string_equal(conf_texts_first(&texts, "auth")->path, "auth.sqlite.database");
	assert_string_equal(conf_texts_first(&texts, "auth.sqlite")->path, "auth.sqlite.database");
	assert_string_equal(conf_texts_first(&texts, "storage.maildir")->path, "storage.maildir");
	assert_null(conf_texts_first(&texts, "auth.sql"));
}

static void
test_texts_grow_past_any_first_size(void **state)
{
	char path[32];
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		(void)snprintf(path, sizeof(path), "g.k%u", i);
		conf_texts_set(&texts, pst_str_c(path), pst_str_c(path), "f", i);
	}
	assert_int_equal(texts.n, 1000);
	assert_string_equal(conf_texts_get(&texts, "g.k0")->value, "g.k0");
	assert_int_equal(conf_texts_get(&texts, "g.k999")->line, 999);
}

static void
test_image_gives_the_same_texts(void **state)
{
	struct conf_texts other;
	struct pst_err err;
	size_t n, i;

	(void)state;
	fill();
	n = conf_texts_encode(&texts, image, sizeof(image));
	assert_int_not_equal(n, 0);
	conf_texts_init(&other, arena);
	assert_int_equal(conf_texts_decode(&other, (struct pst_str){ (char *)image, n }, &err), 0);
	assert_int_equal(other.n, texts.n);
	for (i = 0; i < texts.n; i++) {
		assert_string_equal(other.v[i].path, texts.v[i].path);
		assert_string_equal(other.v[i].value, texts.v[i].value);
		assert_string_equal(other.v[i].file, texts.v[i].file);
		assert_int_equal(other.v[i].line, texts.v[i].line);
	}
}

static int
decode(const uint8_t *p, size_t n)
{
	struct conf_texts other;
	struct pst_err err;
	uint8_t *copy = malloc(n == 0 ? 1 : n); /* so that a sanitizer sees a read past it */
	int rc;

	memcpy(copy, p, n);
	conf_texts_init(&other, arena);
	rc = conf_texts_decode(&other, (struct pst_str){ (char *)copy, n }, &err);
	free(copy);
	return rc;
}

static void
test_image_that_is_cut_or_too_long_is_refused(void **state)
{
	size_t n, i;

	(void)state;
	fill();
	n = conf_texts_encode(&texts, image, sizeof(image));
	assert_int_equal(decode(image, n), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(decode(image, i), -1);
	image[n] = 0;
	assert_int_equal(decode(image, n + 1), -1);
}

static void
test_image_with_a_bad_head_a_nul_or_no_path_is_refused(void **state)
{
	size_t n;
	uint8_t *slash;

	(void)state;
	fill();
	n = conf_texts_encode(&texts, image, sizeof(image));
	image[0]++; /* version */
	assert_int_equal(decode(image, n), -1);
	image[0]--;
	image[1] = 0x7f; /* the count: not so many can be there */
	assert_int_equal(decode(image, n), -1);
	image[1] = 0;
	slash = memchr(image, '/', n);
	*slash = '\0'; /* a value with a NUL would be cut */
	assert_int_equal(decode(image, n), -1);
	conf_texts_set(&texts, PST_LIT(""), PST_LIT("x"), "f", 1);
	n = conf_texts_encode(&texts, image, sizeof(image));
	assert_int_equal(decode(image, n), -1);
}

static void
test_image_without_room_is_none(void **state)
{
	size_t n, cap;

	(void)state;
	fill();
	n = conf_texts_encode(&texts, image, sizeof(image));
	for (cap = 0; cap < n; cap++)
		assert_int_equal(conf_texts_encode(&texts, image, cap), 0);
	assert_int_equal(conf_texts_encode(&texts, image, n), n);
}

static void
test_problem_is_one_line_with_its_place(void **state)
{
	(void)state;
	conf_problems_add(&problems, "a.conf", 12, "x: %s", "bad\nvalue\x1b[2J");
	conf_problems_add(&problems, "a.conf", 0, "gone");
	conf_problems_add(&problems, "", 0, "wrong");
	conf_problems_add(&problems, NULL, 0, "missing");
	assert_int_equal(problems.n, 4);
	assert_string_equal(problems.v[0], "a.conf:12: x: bad?value?[2J");
	assert_string_equal(problems.v[1], "a.conf: gone");
	assert_string_equal(problems.v[2], "command line: wrong");
	assert_string_equal(problems.v[3], "missing");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_later_text_takes_the_place_of_the_earlier),
		KIT_TEST(test_first_text_of_a_group_is_found_by_whole_names_only),
		KIT_TEST(test_texts_grow_past_any_first_size),
		KIT_TEST(test_image_gives_the_same_texts),
		KIT_TEST(test_image_that_is_cut_or_too_long_is_refused),
		KIT_TEST(test_image_with_a_bad_head_a_nul_or_no_path_is_refused),
		KIT_TEST(test_image_without_room_is_none),
		KIT_TEST(test_problem_is_one_line_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
