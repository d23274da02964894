/* SPDX-License-Identifier: MIT */
/* A session's line: what went in comes out, whatever a client said, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ipc/history.h"

struct got {
	char uidls[1024];
	size_t n;
};

static void
on_uidl(void *arg, struct pst_str uidl)
{
	struct got *g = arg;

	memcpy(g->uidls + g->n, uidl.p, uidl.n);
	g->n += uidl.n;
	g->uidls[g->n++] = '\n';
}

static bool
parse(const char *line, struct history *h)
{
	static char scratch[4096];
	struct got g = { .n = 0 };

	return history_parse(pst_str_c(line), scratch, h, on_uidl, &g);
}

static void
test_what_goes_in_comes_out(void **state)
{
	static char scratch[4096];
	const struct history in = {
		.at_s = 1700000000,
		.took_ms = 1234,
		.sid = PST_LIT("abc"),
		.ip = PST_LIT("2001:db8::1"),
		.mechanism = PST_LIT("PLAIN"),
		.app = PST_LIT("my phone=100% \n v=1 \x7f\xc3\xa4"),
		.master = PST_LIT("support"),
		.reason = PST_LIT("quit"),
		.is_tls = true,
		.is_held = true,
		.retrieved = 3,
		.tops = 4,
		.octets = UINT64_C(5000000000),
		.deleted = 2,
		.asked = 3,
	};
	struct got g = { .n = 0 };
	struct pst_buf line;
	struct pst_err err;
	struct history out;
	size_t i;

	(void)state;
	pst_buf_init(&line, 4096);
	assert_int_equal(history_begin(&line, &in, &err), 0);
	assert_int_equal(history_deleted(&line, &in, &err), 0);
	assert_int_equal(history_uidl(&line, PST_LIT("a%b=c"), &err), 0);
	assert_int_equal(history_uidl(&line, PST_LIT("uidl-2"), &err), 0);
	assert_int_equal(history_untold(&line, 7, &err), 0);
	for (i = 0; i < line.len; i++)
		assert_in_range(line.data[i], 0x20, 0x7e);
	assert_true(history_parse(pst_buf_view(&line), scratch, &out, on_uidl, &g));
	assert_int_equal(out.at_s, in.at_s);
	assert_int_equal(out.took_ms, in.took_ms);
	assert_true(pst_str_eq(out.sid, in.sid));
	assert_true(pst_str_eq(out.ip, in.ip));
	assert_true(pst_str_eq(out.mechanism, in.mechanism));
	assert_true(pst_str_eq(out.app, in.app));
	assert_true(pst_str_eq(out.master, in.master));
	assert_true(pst_str_eq(out.reason, in.reason));
	assert_true(out.is_tls && out.is_held);
	assert_int_equal(out.retrieved, 3);
	assert_int_equal(out.tops, 4);
	assert_true(out.octets == in.octets);
	assert_int_equal(out.deleted, 2);
	assert_int_equal(out.asked, 3);
	assert_int_equal(out.untold, 7);
	g.uidls[g.n] = '\0';
	assert_string_equal(g.uidls, "a%b=c\nuidl-2\n");
	pst_buf_clear(&line);
}

static void
test_line_that_finds_no_room_is_refused(void **state)
{
	const struct history in = { .at_s = 1, .sid = PST_LIT("0123456789") };
	struct pst_buf line;
	struct pst_err err;

	(void)state;
	pst_buf_init(&line, 30);
	assert_int_equal(history_begin(&line, &in, &err), -1);
	pst_buf_clear(&line);
}

static void
test_later_keys_are_passed_over_and_later_versions_are_not_read(void **state)
{
	struct history h;

	(void)state;
	assert_true(parse("v=1 at=5 mood=good retr=2", &h));
	assert_int_equal(h.retrieved, 2);
	assert_false(parse("v=2 at=5", &h));
	assert_false(parse("at=5", &h));
}

static void
test_what_is_no_line_is_not_taken_for_one(void **state)
{
	static const char *const wrong[] = {
		"",
		"v=1",
		"v=1 ",
		"v=1 at=",
		"v=1 at=x",
		"v=1 at=5 x",
		"v=1 at=5 sid=%",
		"v=1 at=5 sid=%4",
		"v=1 at=5 sid=%GG",
		"v=1 at=5 retr=4294967296",
		"v=1 at=99999999999999999999",
		"v=1 at=5  sid=a",
	};
	struct history h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (parse(wrong[i], &h))
			fail_msg("\"%s\" passes", wrong[i]);
	assert_true(parse("v=1 at=5", &h));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_goes_in_comes_out),
		cmocka_unit_test(test_line_that_finds_no_room_is_refused),
		cmocka_unit_test(test_later_keys_are_passed_over_and_later_versions_are_not_read),
		cmocka_unit_test(test_what_is_no_line_is_not_taken_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
