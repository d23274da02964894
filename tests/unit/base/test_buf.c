/* SPDX-License-Identifier: MIT */
/* The growable buffer and the arena: ceilings, growth, wiping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

static void
assert_holds(const struct pst_buf *b, const char *octets, size_t n)
{
	struct pst_str v = pst_buf_view(b);

	assert_int_equal(v.n, n);
	assert_memory_equal(v.p, octets, n);
}

static void
test_buffer_takes_exactly_its_ceiling_and_not_one_octet_more(void **state)
{
	struct pst_buf b;
	struct pst_err err;

	(void)state;
	pst_buf_init(&b, 5);
	assert_int_equal(pst_buf_add(&b, PST_LIT("abc"), &err), 0);
	assert_int_equal(pst_buf_add(&b, PST_LIT("def"), &err), -1);
	assert_int_equal(err.kind, PST_E_LIMIT);
	assert_holds(&b, "abc", 3);
	assert_int_equal(pst_buf_add(&b, PST_LIT("\0e"), &err), 0);
	assert_holds(&b, "abc\0e", 5);
	assert_null(pst_buf_reserve(&b, 1, &err));
	assert_null(pst_buf_reserve(&b, SIZE_MAX, &err));
	pst_buf_clear(&b);
}

static void
test_formatted_text_may_fill_the_buffer_to_its_ceiling(void **state)
{
	struct pst_buf b;
	struct pst_err err;

	(void)state;
	pst_buf_init(&b, 130);
	assert_int_equal(pst_buf_addf(&b, &err, "%0128d", 7), 0);
	assert_int_equal(pst_buf_addf(&b, &err, "%s", "xyz"), -1);
	assert_int_equal(b.len, 128);
	assert_int_equal(pst_buf_addf(&b, &err, "%s", "xy"), 0);
	assert_int_equal(b.len, 130);
	assert_memory_equal(b.data + 126, "07xy", 4);
	pst_buf_clear(&b);
}

static void
test_growth_keeps_what_is_held(void **state)
{
	struct pst_buf b;
	struct pst_err err;
	size_t i;

	(void)state;
	pst_buf_init(&b, 1 << 20);
	for (i = 0; i < 100000; i++) {
		char octet = (char)(i % 251);

		assert_int_equal(pst_buf_add(&b, (struct pst_str){ &octet, 1 }, &err), 0);
	}
	for (i = 0; i < 100000; i++)
		if (b.data[i] != (char)(i % 251))
			fail_msg("octet %zu is wrong", i);
	assert_true(b.cap <= b.max);
	pst_buf_clear(&b);
}

static void
test_take_drops_the_front_and_frees_an_empty_buffer(void **state)
{
	struct pst_buf b;
	struct pst_err err;

	(void)state;
	pst_buf_init(&b, 100);
	assert_int_equal(pst_buf_add(&b, PST_LIT("hello"), &err), 0);
	pst_buf_take(&b, 2);
	assert_holds(&b, "llo", 3);
	pst_buf_take(&b, 3);
	assert_holds(&b, "", 0);
	assert_null(b.data);
	assert_int_equal(pst_buf_add(&b, PST_LIT("again"), &err), 0);
	assert_holds(&b, "again", 5);
	pst_buf_clear(&b);
}

static void
test_arena_gives_zeroed_aligned_memory_of_any_size(void **state)
{
	struct pst_arena *a = pst_arena_create();
	size_t n;

	(void)state;
	for (n = 0; n < 5000; n = n * 2 + 1) {
		unsigned char *p = pst_arena_alloc(a, n);
		size_t i;

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	pst_arena_reset(a);
	assert_string_equal(pst_arena_copy(a, (struct pst_str){ "abcd", 3 }), "abc");
	assert_string_equal(pst_arena_copy(a, (struct pst_str){ NULL, 0 }), "");
	assert_string_equal(pst_arena_printf(a, "%s=%d", "n", 5), "n=5");
	pst_arena_destroy(a);
	pst_arena_destroy(NULL);
}

static void
test_secret_that_is_too_long_is_refused_and_clear_wipes(void **state)
{
	static char octets[PST_SECRET_MAX + 1];
	static const char zeros[PST_SECRET_MAX];
	struct pst_secret s = { 0 };

	(void)state;
	memset(octets, 'x', sizeof(octets));
	assert_true(pst_secret_set(&s, (struct pst_str){ octets, PST_SECRET_MAX }));
	assert_int_equal(pst_secret_view(&s).n, PST_SECRET_MAX);
	assert_false(pst_secret_set(&s, (struct pst_str){ octets, PST_SECRET_MAX + 1 }));
	assert_int_equal(s.n, 0);
	assert_memory_equal(s.p, zeros, sizeof(zeros));
}

static void
test_secrets_are_equal_only_in_every_octet_and_in_length(void **state)
{
	(void)state;
	assert_true(pst_secret_equal(PST_LIT("a\0b"), PST_LIT("a\0b")));
	assert_true(pst_secret_equal(PST_LIT(""), PST_LIT("")));
	assert_false(pst_secret_equal(PST_LIT("a\0b"), PST_LIT("a\0c")));
	assert_false(pst_secret_equal(PST_LIT("abc"), PST_LIT("ab")));
	assert_false(pst_secret_equal(PST_LIT("xbc"), PST_LIT("abc")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffer_takes_exactly_its_ceiling_and_not_one_octet_more),
		cmocka_unit_test(test_formatted_text_may_fill_the_buffer_to_its_ceiling),
		cmocka_unit_test(test_growth_keeps_what_is_held),
		cmocka_unit_test(test_take_drops_the_front_and_frees_an_empty_buffer),
		cmocka_unit_test(test_arena_gives_zeroed_aligned_memory_of_any_size),
		cmocka_unit_test(test_secret_that_is_too_long_is_refused_and_clear_wipes),
		cmocka_unit_test(test_secrets_are_equal_only_in_every_octet_and_in_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
