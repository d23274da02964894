/* SPDX-License-Identifier: MIT */
/* Allocation: zeroed, checked, and a process that ends where it must. Clocks too. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static void
test_memory_is_zeroed_and_strings_are_ended(void **state)
{
	char *p = pst_alloc(4096);
	int *a = pst_new_array(int, 100);
	char *s = pst_strdup("abc");
	char *t = pst_str_dup((struct pst_str){ "a\0bc", 3 });
	size_t i;

	(void)state;
	for (i = 0; i < 4096; i++)
		assert_int_equal(p[i], 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(a[i], 0);
	assert_string_equal(s, "abc");
	assert_memory_equal(t, "a\0b", 4);
	a[99] = 7;
	a = pst_realloc_array(a, 1000, sizeof(int));
	assert_int_equal(a[99], 7);
	free(p);
	free(a);
	free(s);
	free(t);
	p = pst_realloc(pst_alloc(0), 0); /* never NULL */
	assert_non_null(p);
	free(p);
}

/* Runs what must end the process; returns the signal that did. */
static int
signal_of(void (*run)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		int null = open("/dev/null", O_WRONLY);

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)dup2(null, STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
overflow(void)
{
	(void)pst_alloc_array(SIZE_MAX / 2, 3);
}

static void
overflow_again(void)
{
	(void)pst_realloc_array(NULL, SIZE_MAX / 2, 3);
}

static void
break_assertion(void)
{
	volatile int two = 2;

	pst_assert(two + two == 5);
}

static void
keep_assertion(void)
{
	volatile int two = 2;

	pst_assert(two + two == 4);
}

static void
test_product_that_overflows_and_broken_assertion_end_the_process(void **state)
{
	(void)state;
	assert_int_equal(signal_of(overflow), SIGABRT);
	assert_int_equal(signal_of(overflow_again), SIGABRT);
	assert_int_equal(signal_of(break_assertion), SIGABRT);
	assert_int_equal(signal_of(keep_assertion), 0);
}

static void
test_wipe_leaves_zeros(void **state)
{
	char p[32];
	const char zeros[32] = { 0 };

	(void)state;
	memset(p, 'x', sizeof(p));
	pst_wipe(p, sizeof(p));
	assert_memory_equal(p, zeros, sizeof(p));
}

static void
test_clocks_go_forward_in_milliseconds(void **state)
{
	int64_t before = pst_now_ms();
	const struct timespec wait = { 0, 20000000 };
	int64_t wall = pst_wall_ms();

	(void)state;
	assert_int_equal(nanosleep(&wait, NULL), 0);
	assert_in_range(pst_now_ms() - before, 19, 60000);
	assert_true(wall > INT64_C(1577836800000)); /* the year 2020 */
	assert_in_range(wall / 1000 - (int64_t)time(NULL) + 5, 4, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_zeroed_and_strings_are_ended),
		cmocka_unit_test(test_product_that_overflows_and_broken_assertion_end_the_process),
		cmocka_unit_test(test_wipe_leaves_zeros),
		cmocka_unit_test(test_clocks_go_forward_in_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
