/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pop3/command.h"

/* What the last handler was given. */
static struct {
	unsigned calls;
	struct pop3_args args;
} seen;

static int
note(void *session, const struct pop3_args *args, struct pst_err *err)
{
	(void)session, (void)err;
	seen.calls++;
	seen.args = *args;
	return 0;
}

static pop3_handler *const all[POP3_VERBS] = {
	[0 ... POP3_VERBS - 1] = note,
};

static bool
is_third(void *session, uint32_t msg)
{
	(void)session;
	return msg == 3;
}

static const struct pop3_context in_auth = { POP3_AUTH, all, NULL, 0, NULL };
static const struct pop3_context in_trans = { POP3_TRANS, all, NULL, 9, is_third };

static int
dispatch(const struct pop3_context *ctx, struct pst_str line, enum pop3_verb *verb_out,
         struct pst_err *err)
{
	char *exact = malloc(line.n + 1); /* the octet after it is not the line's */
	unsigned before = seen.calls;
	int rc;

	memcpy(exact, line.p, line.n);
	exact[line.n] = 'Z';
	seen.args = (struct pop3_args){ 0 };
	rc = pop3_dispatch(ctx, (struct pst_str){ exact, line.n }, verb_out, err);
	assert_int_equal(seen.calls - before, rc == 0 ? 1 : 0);
	if (rc != 0)
		assert_int_equal(err->kind, PST_E_CLIENT);
	free(exact);
	return rc;
}

static void
test_each_row_is_served_in_its_states_and_refused_in_the_others(void **state)
{
	static const char *const arguments[POP3_VERBS] = {
		[POP3_USER] = " alice", [POP3_PASS] = " secret", [POP3_APOP] = " alice 0123",
		[POP3_RETR] = " 1",     [POP3_DELE] = " 1",      [POP3_TOP] = " 1 0",
	};
	const struct pop3_context *const contexts[] = { &in_auth, &in_trans };
	unsigned v, c;

	(void)state;
	for (v = 0; v < POP3_VERBS; v++) {
		for (c = 0; c < 2; c++) {
			bool allowed = (pop3_commands[v].states & contexts[c]->state) != 0;
			enum pop3_verb verb;
			struct pst_err err;
			char line[64];

			(void)snprintf(line, sizeof(line), "%s%s", pop3_commands[v].name,
			               arguments[v] == NULL ? "" : arguments[v]);
			assert_int_equal(dispatch(contexts[c], pst_str_c(line), &verb, &err),
			                 allowed ? 0 : -1);
			assert_int_equal(verb, v);
			if (!allowed)
				assert_string_equal(err.text, "command not valid in this state");
		}
	}
}

static void
test_command_without_a_handler_is_refused(void **state)
{
	static pop3_handler *const none[POP3_VERBS] = { NULL };
	struct pop3_context ctx = in_trans;
	enum pop3_verb verb;
	struct pst_err err;

	(void)state;
	ctx.handlers = none;
	assert_int_equal(dispatch(&ctx, PST_LIT("NOOP"), &verb, &err), -1);
	assert_int_equal(verb, POP3_NOOP);
}

static void
test_every_row_is_whole(void **state)
{
	unsigned v;

	(void)state;
	for (v = 0; v < POP3_VERBS; v++) {
		assert_int_equal(strlen(pop3_commands[v].name), 4 - (v == POP3_TOP));
		assert_true(pop3_commands[v].states != 0);
		assert_int_equal(pop3_commands[v].args[2], ARG_END);
		assert_non_null(pop3_commands[v].rfc);
	}
}

struct line_case {
	struct pst_str line;
	const char *error; /* NULL: taken */
};

#define OK(line)                                                                                   \
	{                                                                                          \
		PST_LIT(line), NULL                                                                \
	}
#define BAD(line, error)                                                                           \
	{                                                                                          \
		PST_LIT(line), error                                                               \
	}

static void
check(const struct pop3_context *ctx, const struct line_case *cases, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		enum pop3_verb verb;
		struct pst_err err = { 0 };
		int rc = dispatch(ctx, cases[i].line, &verb, &err);

		if (rc != (cases[i].error == NULL ? 0 : -1))
			fail_msg("\"%.*s\" gave %d %s", PST_ARG(cases[i].line), rc, err.text);
		if (rc != 0)
			assert_string_equal(err.text, cases[i].error);
	}
}

static void
test_lines_that_are_no_command_are_unknown(void **state)
{
	static const struct line_case cases[] = {
		BAD("", "unknown command"),
		BAD(":", "unknown command"),
		BAD("\r", "unknown command"),
		BAD(" ", "unknown command"),
		BAD(" NOOP", "unknown command"),
		BAD("\xff\xfe", "unknown command"),
		BAD("N", "unknown command"),
		BAD("NOO", "unknown command"),
		BAD("NOOPS", "unknown command"),
		BAD("ABCDEFGHI", "unknown command"),
		BAD("NOOP\r", "unknown command"),
		BAD("NOOP\t", "unknown command"),
		BAD("LIST\t1", "unknown command"),
		BAD("NO\0OP", "unknown command"),
		BAD("NOOP\0", "unknown command"),
		BAD("\0", "unknown command"),
		BAD("LIST 1\0", "NUL octet in command"),
		BAD("NOOP \0", "NUL octet in command"),
		BAD("XTND XLST", "unknown command"),
		OK("NOOP"),
		OK("noop"),
		OK("nOoP"),
	};

	(void)state;
	check(&in_trans, cases, sizeof(cases) / sizeof(cases[0]));
}

static void
test_spaces_and_counts_of_arguments(void **state)
{
	static const struct line_case cases[] = {
		OK("NOOP "),
		OK("NOOP   "),
		BAD("NOOP x", "too many arguments"),
		BAD("NOOP  x", "too many arguments"),
		OK("LIST"),
		OK("LIST "),
		OK("LIST 1"),
		OK("LIST 1  "),
		BAD("LIST  1", "one space before an argument"),
		BAD("LIST 1 2", "too many arguments"),
		BAD("RETR", "argument missing"),
		BAD("RETR ", "argument missing"),
		BAD("TOP", "argument missing"),
		BAD("TOP 1", "argument missing"),
		BAD("TOP 1 ", "argument missing"),
		OK("TOP 1 0 "),
		BAD("TOP 1  0", "one space before an argument"),
		BAD("TOP 1 0 0", "too many arguments"),
	};

	(void)state;
	check(&in_trans, cases, sizeof(cases) / sizeof(cases[0]));
}

static void
test_message_numbers(void **state)
{
	static const struct line_case cases[] = {
		OK("LIST 1"),
		OK("LIST 9"),
		OK("LIST 01"), /* decimal all the same; refusing it would help nobody */
		OK("LIST 0000000000000000000000000000009"),
		BAD("LIST 0", "no such message"),
		BAD("LIST 00", "no such message"),
		BAD("LIST 10", "no such message"),
		BAD("LIST -1", "not a message number"),
		BAD("LIST +1", "not a message number"),
		BAD("LIST 1x", "not a message number"),
		BAD("LIST 1\t", "not a message number"),
		BAD("LIST 0x1", "not a message number"),
		BAD("LIST x", "not a message number"),
		BAD("LIST 1.0", "not a message number"),
		BAD("LIST 4294967295", "no such message"),
		BAD("LIST 4294967296", "message number too large"),
		BAD("LIST 4294967297", "message number too large"),
		BAD("LIST 18446744073709551617", "message number too large"),
		BAD("LIST 3", "message is deleted"),
		BAD("RETR 3", "message is deleted"),
		BAD("TOP 3 0", "message is deleted"),
		BAD("UIDL 3", "message is deleted"),
		BAD("DELE 3", "message is deleted"),
	};

	(void)state;
	check(&in_trans, cases, sizeof(cases) / sizeof(cases[0]));
}

static void
test_line_counts_of_top(void **state)
{
	static const struct line_case bad[] = {
		BAD("TOP 1 -1", "not a number of lines"),
		BAD("TOP 1 +1", "not a number of lines"),
		BAD("TOP 1 1x", "not a number of lines"),
		BAD("TOP 1 x", "not a number of lines"),
	};
	static const struct {
		const char *line;
		uint64_t lines;
	} good[] = {
		{ "TOP 2 0", 0 },
		{ "TOP 2 10", 10 },
		{ "TOP 2 4294967297", 4294967297 },
		{ "TOP 2 18446744073709551615", UINT64_MAX },
		{ "TOP 2 18446744073709551616", UINT64_MAX },
		{ "TOP 2 99999999999999999999999999999999999999", UINT64_MAX },
	};
	enum pop3_verb verb;
	struct pst_err err;
	size_t i;

	(void)state;
	check(&in_trans, bad, sizeof(bad) / sizeof(bad[0]));
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(dispatch(&in_trans, pst_str_c(good[i].line), &verb, &err), 0);
		assert_int_equal(seen.args.msg, 2);
		assert_int_equal(seen.args.lines, good[i].lines);
	}
}

static void
assert_text(const char *line, const char *text, const char *text2)
{
	char copy[600];
	enum pop3_verb verb;
	struct pst_err err;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	seen.args = (struct pop3_args){ 0 };
	assert_int_equal(pop3_dispatch(&in_auth, pst_str_c(copy), &verb, &err), 0);
	assert_int_equal(seen.args.text.n, strlen(text));
	assert_int_equal(seen.args.text2.n, strlen(text2));
	assert_memory_equal(seen.args.text.n == 0 ? "" : seen.args.text.p, text, strlen(text));
	assert_memory_equal(seen.args.text2.n == 0 ? "" : seen.args.text2.p, text2, strlen(text2));
}

static void
test_pass_takes_the_whole_rest_of_the_line(void **state)
{
	static const struct line_case cases[] = {
		BAD("PASS", "argument missing"),
		BAD("PASS a\0b", "NUL octet in command"),
		BAD("PASSx", "unknown command"),
	};
	char line[220] = "PASS ";

	(void)state;
	check(&in_auth, cases, sizeof(cases) / sizeof(cases[0]));
	assert_text("PASS x", "x", "");
	assert_text("PASS ", "", "");
	assert_text("PASS   a  b  ", "  a  b  ", "");
	assert_text("pass \xc3\xa4\xff", "\xc3\xa4\xff", "");
	memset(line + 5, 'p', 200);
	assert_text(line, line + 5, "");
}

static void
test_words(void **state)
{
	static const struct line_case cases[] = {
		BAD("USER", "argument missing"),
		BAD("USER ", "argument missing"),
		BAD("USER  alice", "one space before an argument"),
		BAD("USER a b", "too many arguments"),
		BAD("USER alice\0x", "NUL octet in command"),
		BAD("APOP a", "argument missing"),
		BAD("AUTH a b c", "too many arguments"),
		BAD("STLS x", "too many arguments"),
	};

	(void)state;
	check(&in_auth, cases, sizeof(cases) / sizeof(cases[0]));
	assert_text("USER alice@example.org", "alice@example.org", "");
	assert_text("USER alice ", "alice", "");
	assert_text("APOP alice 0a1b", "alice", "0a1b");
	assert_text("AUTH", "", "");
	assert_text("AUTH PLAIN", "PLAIN", "");
	assert_text("AUTH PLAIN =", "PLAIN", "=");
}

static void
test_line_next_takes_crlf_and_lf(void **state)
{
	struct pst_str in = PST_LIT("a\r\nb\n\r\n\n\r\r\nhalf\r");
	static const char *const want[] = { "a", "b", "", "", "\r" };
	struct pst_str line;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_int_equal(pop3_line_next(&in, 100, &line), POP3_LINE_READY);
		assert_int_equal(line.n, strlen(want[i]));
		assert_memory_equal(line.p, want[i], line.n);
	}
	assert_int_equal(pop3_line_next(&in, 100, &line), POP3_LINE_MORE);
	assert_int_equal(in.n, 5);
}

static void
test_line_next_holds_the_limit_to_the_octet(void **state)
{
	char text[POP3_LINE_MAX + 2];
	struct pst_str in, line;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[POP3_LINE_MAX - 1] = '\n'; /* with its end exactly the limit */
	in = (struct pst_str){ text, sizeof(text) };
	assert_int_equal(pop3_line_next(&in, POP3_LINE_MAX, &line), POP3_LINE_READY);
	assert_int_equal(line.n, POP3_LINE_MAX - 1);
	assert_int_equal(in.n, 2);

	text[POP3_LINE_MAX - 1] = 'x';
	text[POP3_LINE_MAX] = '\n'; /* one more */
	in = (struct pst_str){ text, sizeof(text) };
	assert_int_equal(pop3_line_next(&in, POP3_LINE_MAX, &line), POP3_LINE_TOO_LONG);
	assert_int_equal(in.n, sizeof(text)); /* not moved */
	in.n = POP3_LINE_MAX - 1;
	assert_int_equal(pop3_line_next(&in, POP3_LINE_MAX, &line), POP3_LINE_MORE);
	in.n = 0;
	assert_int_equal(pop3_line_next(&in, POP3_LINE_MAX, &line), POP3_LINE_MORE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_is_served_in_its_states_and_refused_in_the_others),
		cmocka_unit_test(test_command_without_a_handler_is_refused),
		cmocka_unit_test(test_every_row_is_whole),
		cmocka_unit_test(test_lines_that_are_no_command_are_unknown),
		cmocka_unit_test(test_spaces_and_counts_of_arguments),
		cmocka_unit_test(test_message_numbers),
		cmocka_unit_test(test_line_counts_of_top),
		cmocka_unit_test(test_pass_takes_the_whole_rest_of_the_line),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_line_next_takes_crlf_and_lf),
		cmocka_unit_test(test_line_next_holds_the_limit_to_the_octet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
