/* SPDX-License-Identifier: MIT */
/* What an old or hostile POP3 server may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/pop3reply.h"

static void
test_status_lines_are_told_apart(void **state)
{
	static const struct {
		const char *line;
		bool is_good, is_ok, is_more;
		const char *code, *text;
	} cases[] = {
		{ "+OK", true, true, false, "", "" },
		{ "+ok ready", true, true, false, "", "ready" },
		{ "-ERR [IN-USE] later", true, false, false, "IN-USE", "[IN-USE] later" },
		{ "-ERR  [SYS/TEMP]", true, false, false, "SYS/TEMP", "[SYS/TEMP]" },
		{ "-ERR [a b] x", true, false, false, "", "[a b] x" },
		{ "-ERR [] x", true, false, false, "", "[] x" },
		{ "-ERR [open", true, false, false, "", "[open" },
		{ "+ ", true, false, true, "", "" },
		{ "+", true, false, true, "", "" },
		{ "+ Zm9v", true, false, true, "", "Zm9v" },
		{ "+OKAY", false, false, false, NULL, NULL },
		{ "-ERROR", false, false, false, NULL, NULL },
		{ "* OK IMAP4", false, false, false, NULL, NULL },
		{ "-", false, false, false, NULL, NULL },
		{ "", false, false, false, NULL, NULL },
	};
	struct pop3reply r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(pop3reply_parse(pst_str_c(cases[i].line), &r), cases[i].is_good);
		if (!cases[i].is_good)
			continue;
		assert_int_equal(r.is_ok, cases[i].is_ok);
		assert_int_equal(r.is_more, cases[i].is_more);
		assert_true(pst_str_eq(r.code, pst_str_c(cases[i].code)));
		assert_true(pst_str_eq(r.text, pst_str_c(cases[i].text)));
	}
}

static void
test_numbers_are_checked_before_they_are_believed(void **state)
{
	uint64_t a = 0, b = 0;

	(void)state;
	assert_true(pop3reply_stat(PST_LIT("2 320"), &a, &b));
	assert_int_equal(a, 2);
	assert_int_equal(b, 320);
	assert_true(pop3reply_list(PST_LIT("18446744073709551615 1 more"), &a, &b));
	assert_true(a == UINT64_MAX);
	assert_false(pop3reply_stat(PST_LIT("18446744073709551616 1"), &a, &b));
	assert_false(pop3reply_stat(PST_LIT("1"), &a, &b));
	assert_false(pop3reply_stat(PST_LIT("1  2"), &a, &b));
	assert_false(pop3reply_stat(PST_LIT("-1 2"), &a, &b));
	assert_false(pop3reply_stat(PST_LIT(""), &a, &b));
	assert_false(pop3reply_list(PST_LIT("1\t2"), &a, &b));
}

static void
test_a_uidl_is_all_that_stands_behind_the_number(void **state)
{
	struct pst_str uidl;
	uint64_t number;
	char longest[72];

	(void)state;
	assert_true(pop3reply_uidl(PST_LIT("7 two words "), &number, &uidl));
	assert_int_equal(number, 7);
	assert_true(pst_str_eq(uidl, PST_LIT("two words ")));
	assert_false(pop3reply_is_uidl(uidl));
	assert_true(pop3reply_uidl(PST_LIT("7"), &number, &uidl));
	assert_false(pop3reply_is_uidl(uidl)); /* empty */
	assert_false(pop3reply_uidl(PST_LIT("x 7"), &number, &uidl));
	assert_true(pop3reply_is_uidl(PST_LIT("!~")));
	assert_false(pop3reply_is_uidl(PST_LIT("a\x7f")));
	assert_false(pop3reply_is_uidl(PST_LIT("a\xc3\xa4")));
	memset(longest, 'x', sizeof(longest));
	assert_true(pop3reply_is_uidl((struct pst_str){ longest, 70 }));
	assert_false(pop3reply_is_uidl((struct pst_str){ longest, 71 }));
}

static void
test_capabilities_are_words_and_not_parts_of_words(void **state)
{
	struct pop3capa c = { .is_known = true };

	(void)state;
	pop3capa_line(&c, PST_LIT("TOPPING"));
	pop3capa_line(&c, PST_LIT("SASL LOGIN PLAINER"));
	pop3capa_line(&c, PST_LIT("X-STLS STLS"));
	assert_false(c.top || c.sasl_plain || c.stls);
	pop3capa_line(&c, PST_LIT("top"));
	pop3capa_line(&c, PST_LIT("SASL CRAM-MD5 plain"));
	pop3capa_line(&c, PST_LIT("STLS"));
	pop3capa_line(&c, PST_LIT("PIPELINING"));
	assert_true(c.top && c.sasl_plain && c.stls && c.pipelining);
}

/* Fed in two pieces cut at every place, and octet by octet. */
static void
check_undot(struct pst_str sent, struct pst_str text, struct pst_str left)
{
	size_t cut, step;

	for (cut = 0; cut <= sent.n + 1; cut++) {
		struct pop3undot u = { .is_done = false };
		char out[256];
		size_t n = 0, at = 0;

		while (at < sent.n && !u.is_done) {
			struct pst_str in = { sent.p + at, 1 };

			step = cut > sent.n ? 1 : at < cut ? cut - at : sent.n - at;
			in.n = step;
			n += pop3undot_feed(&u, &in, out + n);
			at += step - in.n;
		}
		assert_true(u.is_done);
		assert_int_equal(n, text.n);
		assert_memory_equal(out, text.p, n);
		assert_int_equal(sent.n - at, left.n);
	}
}

static void
test_dots_are_taken_out_wherever_the_pieces_end(void **state)
{
	(void)state;
	check_undot(PST_LIT(".\r\n"), PST_LIT(""), PST_LIT(""));
	check_undot(PST_LIT("a\r\n.\r\n+OK"), PST_LIT("a\r\n"), PST_LIT("+OK"));
	check_undot(PST_LIT("..\r\n..a\r\n...\r\n.\r\n"), PST_LIT(".\r\n.a\r\n..\r\n"),
	            PST_LIT(""));
	check_undot(PST_LIT(".\rx\r\n.\r\n"), PST_LIT("\rx\r\n"), PST_LIT(""));
	check_undot(PST_LIT(".\r\r\n.\r\n"), PST_LIT("\r\r\n"), PST_LIT(""));
	check_undot(PST_LIT("x.\r\n.y\r\n.\r\n"), PST_LIT("x.\r\ny\r\n"), PST_LIT(""));
	check_undot(PST_LIT("a\r\r\n.\r\n"), PST_LIT("a\r\r\n"), PST_LIT(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_lines_are_told_apart),
		cmocka_unit_test(test_numbers_are_checked_before_they_are_believed),
		cmocka_unit_test(test_a_uidl_is_all_that_stands_behind_the_number),
		cmocka_unit_test(test_capabilities_are_words_and_not_parts_of_words),
		cmocka_unit_test(test_dots_are_taken_out_wherever_the_pieces_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
