/* SPDX-License-Identifier: MIT */
/* Times as people write them, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/when.h"

#define NOW INT64_C(1795334400) /* 2026-11-22T08:00:00Z */

static void
test_times_that_there_are(void **state)
{
	static const struct {
		const char *text;
		int64_t at_s;
	} rows[] = {
		{ "2026-11-22T08:00:00Z", NOW },
		{ "2026-11-22t08:00:00z", NOW },
		{ "2026-11-22 08:00Z", NOW },
		{ "2026-11-22T09:00:00+01:00", NOW },
		{ "2026-11-22T02:30:00.123-05:30", NOW },
		{ "2026-11-22T10:00:00", NOW },    /* local, two hours ahead */
		{ "2026-11-22", NOW - 10 * 3600 }, /* likewise */
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "now", NOW },
		{ "Today", NOW - 10 * 3600 },
		{ "yesterday", NOW - 34 * 3600 },
		{ "1 second", NOW - 1 },
		{ "90 minutes", NOW - 5400 },
		{ "2 hours ago", NOW - 7200 },
		{ "2hours", NOW - 7200 },
		{ "3 DAYS", NOW - 259200 },
		{ "1 week", NOW - 604800 },
		{ "0 days", NOW },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t at_s = -1;

		if (!pst_when(pst_str_c(rows[i].text), NOW, &at_s) || at_s != rows[i].at_s)
			fail_msg("\"%s\" is %lld", rows[i].text, (long long)at_s);
	}
}

static void
test_what_is_no_time(void **state)
{
	static const char *const wrong[] = {
		"",
		" ",
		"soon",
		"3",
		"days",
		"-1 day",
		"1 month",
		"1 day before",
		"1  day",
		"2026-11-31",
		"2023-02-29",
		"2026-13-01",
		"2026-00-01",
		"2026-1-1",
		"26-01-01",
		"2026-11-22T",
		"2026-11-22T08",
		"2026-11-22T24:00:00Z",
		"2026-11-22T08:60:00Z",
		"2026-11-22T08:00:00X",
		"2026-11-22T08:00:00+1:00",
		"2026-11-22T08:00:00+25:00",
		"2026-11-22T08:00:00Zz",
		"99999999999999999999 days",
		"9999999999999 weeks",
	};
	int64_t at_s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (pst_when(pst_str_c(wrong[i]), NOW, &at_s))
			fail_msg("\"%s\" passes as %lld", wrong[i], (long long)at_s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_that_there_are),
		cmocka_unit_test(test_what_is_no_time),
	};

	if (setenv("TZ", "TST-2", 1) != 0)
		return 1;
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
