/* SPDX-License-Identifier: MIT */
/* The log: a line is one line and its pairs are its own, whatever a client sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static char path[] = "/tmp/postern-test-log-XXXXXX";

static int
open_file(void **state)
{
	struct pst_err err;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	return pst_log_open(path, &err);
}

static int
remove_file(void **state)
{
	struct pst_err err;

	(void)state;
	(void)unlink(path);
	return pst_log_open("stderr", &err);
}

/* All that was logged since the last call. */
static const char *
logged(void)
{
	static char text[8192];
	static off_t seen;
	ssize_t n;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	n = pread(fileno(f), text, sizeof(text) - 1, seen);
	fclose(f);
	assert_true(n >= 0);
	text[n] = '\0';
	seen += n;
	return text;
}

static void
test_line_has_event_worker_context_and_pairs_in_order(void **state)
{
	const struct pst_log ctx = { .sid = "9f2c", .peer = "192.0.2.1", .user = PST_LIT("a@b") };
	const char *line;
	char pid[40];

	(void)state;
	pst_log_set_worker("login");
	pst_log_info(&ctx, "login.ok", "mech=%s took_ms=%d", "PLAIN", 3);
	line = logged();
	(void)snprintf(pid, sizeof(pid), "Z info login.ok pid=%d ", (int)getpid());
	assert_non_null(strstr(line, pid));
	assert_non_null(strstr(line, " worker=login sid=9f2c peer=192.0.2.1 user=a@b mech=PLAIN "
	                             "took_ms=3\n"));
}

static void
test_user_name_with_spaces_makes_no_pair_of_its_own(void **state)
{
	const struct pst_log ctx = { .user = PST_LIT("x peer=198.51.100.7") };
	const char *line;

	(void)state;
	pst_log_info(&ctx, "login.failed", "mech=%s", "USER");
	line = logged();
	assert_null(strstr(line, " peer="));
	assert_non_null(strstr(line, " user=x\\x20peer=198.51.100.7 mech=USER\n"));
}

static void
test_control_characters_and_backslashes_make_no_line_of_their_own(void **state)
{
	const struct pst_log ctx = { .user = PST_LIT("a\r\nb\x1b[2J\\x7f\x7f") };
	const char *line;

	(void)state;
	pst_log_info(&ctx, "login.failed", "text=%s", "c\nd");
	line = logged();
	assert_non_null(strstr(line, " user=a\\x0d\\x0ab\\x1b[2J\\x5cx7f\\x7f text=c\\x0ad\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void
test_text_that_is_too_long_is_cut_and_the_line_still_ends(void **state)
{
	char text[4000];
	const char *line;
	size_t n;

	(void)state;
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	pst_log_error(NULL, "x.y", "%s", text);
	line = logged();
	n = strlen(line);
	assert_in_range(n, 1000, 2048);
	assert_int_equal(line[n - 1], '\n');
	assert_ptr_equal(strchr(line, '\n'), line + n - 1);
}

static void
test_level_below_the_threshold_is_not_written(void **state)
{
	(void)state;
	pst_log_set_level(PST_LOG_WARN);
	pst_log_info(NULL, "quiet", "a=1");
	pst_log_debug(NULL, "quiet", "a=1");
	pst_log_warn(NULL, "loud", "a=1");
	pst_log_set_level(PST_LOG_INFO);
	assert_null(strstr(logged(), "quiet"));
}

static void
test_destination_that_cannot_be_opened_leaves_the_sink_before(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(pst_log_open("/nonexistent/log", &err), -1);
	assert_non_null(strstr(err.text, "/nonexistent/log"));
	pst_log_warn(NULL, "still.here", "a=1");
	assert_non_null(strstr(logged(), "still.here"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_has_event_worker_context_and_pairs_in_order),
		cmocka_unit_test(test_user_name_with_spaces_makes_no_pair_of_its_own),
		cmocka_unit_test(test_control_characters_and_backslashes_make_no_line_of_their_own),
		cmocka_unit_test(test_text_that_is_too_long_is_cut_and_the_line_still_ends),
		cmocka_unit_test(test_level_below_the_threshold_is_not_written),
		cmocka_unit_test(test_destination_that_cannot_be_opened_leaves_the_sink_before),
	};

	return cmocka_run_group_tests(tests, open_file, remove_file);
}
