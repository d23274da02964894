/* SPDX-License-Identifier: MIT */
/* Passwords that were right: what hits and what does not, what gives way to what, and what stands when
 * many write at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "credentials/verified.h"

#define DAY_MS 86400000
#define HASH PST_LIT("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA")
#define ROW_MARKS 8 /* as in verified.c: marks that share a row */

static int64_t now_ms;

/* In place of the clock: pst_now_ms, by the linker's --wrap. */
int64_t __wrap_pst_now_ms(void);

int64_t
__wrap_pst_now_ms(void)
{
	return __atomic_load_n(&now_ms, __ATOMIC_RELAXED);
}

static struct verified *
make(int64_t octets)
{
	const size_t n = verified_octets(octets);
	struct verified *v = malloc(n);

	assert_non_null(v);
	verified_init(v, n);
	now_ms = 1000000;
	return v;
}

static void
add(struct verified *v, const char *user, const char *password)
{
	verified_add(v, pst_str_c(user), HASH, pst_str_c(password));
}

static bool
is(struct verified *v, const char *user, const char *password)
{
	return verified_is(v, pst_str_c(user), HASH, pst_str_c(password), DAY_MS);
}

static void
test_only_the_same_three_are_known(void **state)
{
	struct verified *v = make(65536);

	(void)state;
	assert_false(is(v, "ann", "secret"));
	add(v, "ann", "secret");
	assert_true(is(v, "ann", "secret"));
	assert_false(is(v, "bob", "secret")); /* who may have the same hash stored */
	assert_false(is(v, "ann", "Secret"));
	assert_false(is(v, "ann", "secret "));
	assert_false(is(v, "ann", ""));
	/* Another hash of the same length, as after a change to the same password. */
	assert_false(verified_is(v, PST_LIT("ann"),
	                         PST_LIT("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaB"),
	                         PST_LIT("secret"), DAY_MS));
	assert_false(verified_is(v, PST_LIT("ann"), PST_LIT(""), PST_LIT("secret"), DAY_MS));
	free(v);
}

static void
test_what_stands_in_one_does_not_run_into_the_next(void **state)
{
	struct verified *v = make(65536);

	(void)state;
	verified_add(v, PST_LIT("ann"), PST_LIT("hash"), PST_LIT("secret"));
	assert_false(verified_is(v, PST_LIT("annh"), PST_LIT("ash"), PST_LIT("secret"), DAY_MS));
	assert_false(verified_is(v, PST_LIT("ann"), PST_LIT("hashs"), PST_LIT("ecret"), DAY_MS));
	assert_false(verified_is(v, PST_LIT(""), PST_LIT("annhash"), PST_LIT("secret"), DAY_MS));
	verified_add(v, PST_LIT("a"), PST_LIT("\0\0\0\0\0\0\0\0b"), PST_LIT("c"));
	assert_false(
		verified_is(v, PST_LIT("a\0\0\0\0\0\0\0\0"), PST_LIT("b"), PST_LIT("c"), DAY_MS));
	free(v);
}

static void
test_a_mark_grows_old_and_is_renewed(void **state)
{
	struct verified *v = make(65536);

	(void)state;
	add(v, "ann", "secret");
	now_ms += DAY_MS;
	assert_true(is(v, "ann", "secret"));
	now_ms++;
	assert_false(is(v, "ann", "secret"));
	add(v, "ann", "secret"); /* the hash was checked again */
	assert_true(is(v, "ann", "secret"));
	now_ms += DAY_MS;
	assert_true(is(v, "ann", "secret"));
	free(v);
}

/* One row: what is asked for writes nothing, and the oldest success gives way to a new one. */
static void
test_only_successes_push_out_and_the_oldest_first(void **state)
{
	struct verified *v = make(0);
	char name[32];
	int i;

	(void)state;
	for (i = 0; i < ROW_MARKS; i++, now_ms++) {
		(void)snprintf(name, sizeof(name), "user%d", i);
		add(v, name, "secret");
	}
	for (i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "guess%d", i);
		assert_false(is(v, "user0", name));
	}
	for (i = 0; i < ROW_MARKS; i++) {
		(void)snprintf(name, sizeof(name), "user%d", i);
		assert_true(is(v, name, "secret"));
	}
	add(v, "user1", "secret"); /* again: in its own place, and now the youngest */
	assert_true(is(v, "user0", "secret"));
	now_ms++;
	add(v, "one more", "secret");
	assert_true(is(v, "one more", "secret"));
	assert_false(is(v, "user0", "secret"));
	for (i = 1; i < ROW_MARKS; i++) {
		(void)snprintf(name, sizeof(name), "user%d", i);
		assert_true(is(v, name, "secret"));
	}
	free(v);
}

static void
test_each_memory_has_a_key_of_its_own(void **state)
{
	const size_t n = verified_octets(4096);
	struct verified *one = make(4096), *other = make(4096);

	(void)state;
	add(one, "ann", "secret");
	add(other, "ann", "secret");
	assert_memory_not_equal(one, other, n);
	/* A new start: the same memory, another key, nothing left. */
	verified_init(one, n);
	assert_false(is(one, "ann", "secret"));
	free(one);
	free(other);
}

/* Neither the password nor what is stored lies in it, and once the key is gone the marks say nothing. */
static void
test_it_holds_no_secret_and_is_wiped(void **state)
{
	const size_t n = verified_octets(4096);
	struct verified *v = make(4096);
	const uint8_t *octets = (const uint8_t *)v;
	uint8_t zeros[32] = { 0 };

	(void)state;
	add(v, "ann@example.test", "a-long-password");
	assert_null(memmem(octets, n, "a-long-password", 15));
	assert_null(memmem(octets, n, "argon2id", 8));
	assert_null(memmem(octets, n, "ann@example", 11));
	assert_memory_not_equal(octets, zeros, sizeof(zeros)); /* the key comes first */
	verified_wipe(v);
	assert_memory_equal(octets, zeros, sizeof(zeros));
	assert_false(is(v, "ann@example.test", "a-long-password"));
	verified_wipe(NULL);
	free(v);
}

static void
test_without_memory_nothing_is_known(void **state)
{
	(void)state;
	verified_add(NULL, PST_LIT("ann"), HASH, PST_LIT("secret"));
	assert_false(is(NULL, "ann", "secret"));
}

/* ---- Many at once ---- */

#define WRITERS 4
#define ROUNDS 20000
#define NAMES 24 /* three times what the one row holds */

struct writer {
	struct verified *v;
	unsigned number;
	unsigned false_hits, hits;
};

static void *
write_and_ask(void *arg)
{
	struct writer *w = arg;
	unsigned at = w->number;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		char name[32];

		at = at * 1103515245u + 12345u;
		(void)snprintf(name, sizeof(name), "user%u", at / 65536 % NAMES);
		(void)__atomic_add_fetch(&now_ms, 1, __ATOMIC_RELAXED);
		if (i % 3 == 0)
			add(w->v, name, "secret");
		w->hits += is(w->v, name, "secret");
		w->false_hits += is(w->v, name, "wrong");
	}
	return NULL;
}

static void
test_nobody_is_let_in_by_two_who_write_at_once(void **state)
{
	struct verified *v = make(0);
	struct writer w[WRITERS];
	pthread_t thread[WRITERS];
	unsigned hits = 0;
	size_t i;

	(void)state;
	for (i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ .v = v, .number = (unsigned)i + 1 };
		assert_int_equal(pthread_create(&thread[i], NULL, write_and_ask, &w[i]), 0);
	}
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(w[i].false_hits, 0);
		hits += w[i].hits;
	}
	assert_true(hits > WRITERS * ROUNDS / 5); /* it was of use all the same */
	/* Whatever they left behind, the row takes new ones. */
	for (i = 0; i < ROW_MARKS; i++) {
		char name[32];

		now_ms++;
		(void)snprintf(name, sizeof(name), "after%zu", i);
		add(v, name, "secret");
	}
	for (i = 0; i < ROW_MARKS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "after%zu", i);
		assert_true(is(v, name, "secret"));
	}
	free(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_same_three_are_known),
		cmocka_unit_test(test_what_stands_in_one_does_not_run_into_the_next),
		cmocka_unit_test(test_a_mark_grows_old_and_is_renewed),
		cmocka_unit_test(test_only_successes_push_out_and_the_oldest_first),
		cmocka_unit_test(test_each_memory_has_a_key_of_its_own),
		cmocka_unit_test(test_it_holds_no_secret_and_is_wiped),
		cmocka_unit_test(test_without_memory_nothing_is_known),
		cmocka_unit_test(test_nobody_is_let_in_by_two_who_write_at_once),
	};

	return cmocka_run_group_tests_name("credentials/verified", tests, NULL, NULL);
}
