/* SPDX-License-Identifier: MIT */
/* The AUTHORIZATION state as dialogues: what goes in, and what comes out with what is wished for. Each
 * is fed at once and octet by octet, with the same outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "login/dialog.h"
#include "pop3/command.h"

#define PROMPT "+OK send PASS\r\n"
#define REFUSED "-ERR [AUTH] authentication failed\r\n"
#define CLEARTEXT                                                                                  \
	"-ERR [SYS/PERM] cleartext login is not allowed here: use TLS (STLS, or port 995)\r\n"

#define DEFAULT (MECH_BIT(MECH_USER) | MECH_BIT(MECH_PLAIN) | MECH_BIT(MECH_LOGIN))

static const struct mechanism_facts with_tls = { .tls = true };

static const struct dialog_rules open_rules = {
	.mechanisms = DEFAULT,
	.plaintext_login = true,
	.can_stls = true,
	.max_bad_commands = 10,
	.max_auth_failures = 3,
};
static const struct dialog_rules strict_rules = {
	.mechanisms = DEFAULT,
	.plaintext_login = false,
	.can_stls = true,
	.max_bad_commands = 10,
	.max_auth_failures = 3,
};
static const struct dialog_rules no_tls_rules = {
	.mechanisms = DEFAULT,
	.plaintext_login = true,
	.can_stls = false,
	.max_bad_commands = 10,
	.max_auth_failures = 3,
};

struct transcript {
	char text[262144];
	size_t n;
};

static void PST_PRINTF(2, 3) note(struct transcript *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->text + t->n, sizeof(t->text) - t->n, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
	assert_true(t->n < sizeof(t->text));
}

static void
note_attempt(struct transcript *t, struct dialog *d, struct pst_buf *out)
{
	const struct attempt *a = d->attempt;
	struct pst_err why = { .kind = PST_E_AUTH, .text = "for the log" };

	assert_non_null(a);
	note(t, "{%s %.*s/%.*s%s%.*s%s}", mechanisms[a->mechanism].name, (int)a->user_n, a->user,
	     (int)a->password_n, a->password, a->authzid_n > 0 ? " for " : "", (int)a->authzid_n,
	     a->authzid, a->is_hopeless ? " hopeless" : "");
	pst_buf_reset(out);
	if (dialog_failed(d, &why, NULL, out) == DIALOG_CLOSE) {
		note(t, "%.*s{CLOSE}", (int)out->len, out->data);
		d->step = DIALOG_CLOSE;
		return;
	}
	assert_null(d->attempt);
	note(t, "%.*s", (int)out->len, out->data);
}

/* Feeds n octets in pieces of at most piece, as a client's input comes. */
static void
run(const struct dialog_rules *rules, bool tls, const char *in, size_t n, size_t piece,
    struct transcript *t)
{
	char held[DIALOG_INPUT_MAX * 2];
	size_t held_n = 0;
	size_t at = 0;
	bool is_over = false;
	struct dialog d;
	struct pst_buf out;

	t->n = 0;
	t->text[0] = '\0';
	pst_buf_init(&out, 65536);
	dialog_init(&d, rules, tls);
	while (!is_over && at < n) {
		size_t take = n - at < piece ? n - at : piece;
		enum dialog_step step;

		memcpy(held + held_n, in + at, take);
		held_n += take;
		at += take;
		do {
			struct pst_str rest = { held, held_n };

			pst_buf_reset(&out);
			step = dialog_feed(&d, &rest, &out);
			note(t, "%.*s", (int)out.len, out.data);
			memmove(held, rest.p, rest.n);
			held_n = rest.n;
			if (step == DIALOG_ATTEMPT) {
				note_attempt(t, &d, &out);
				is_over = d.step == DIALOG_CLOSE;
			} else if (step == DIALOG_STLS) {
				note(t, "{STLS}");
				dialog_tls(&d, &with_tls);
			} else if (step == DIALOG_INJECTED || step == DIALOG_CLOSE) {
				note(t, step == DIALOG_CLOSE ? "{CLOSE}" : "{INJECTED}");
				is_over = true;
			}
		} while (!is_over && (step == DIALOG_FULL || step == DIALOG_ATTEMPT));
		assert_true(held_n <= DIALOG_INPUT_MAX);
	}
	dialog_clear(&d);
	pst_buf_clear(&out);
}

static void
expect_str(const struct dialog_rules *rules, bool tls, struct pst_str in, const char *expected)
{
	static const size_t pieces[] = { 16384, 1, 7 };
	struct transcript *t = pst_new(struct transcript);
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		run(rules, tls, in.p, in.n, pieces[i], t);
		assert_string_equal(t->text, expected);
	}
	free(t);
}

static void
expect(const struct dialog_rules *rules, bool tls, const char *in, const char *expected)
{
	expect_str(rules, tls, pst_str_c(in), expected);
}

static void
expect_capa(const struct dialog_rules *rules, bool tls, const char *const *has,
            const char *const *lacks)
{
	struct transcript *t = pst_new(struct transcript);

	run(rules, tls, "CAPA\r\n", 6, 6, t);
	for (; *has != NULL; has++)
		if (strstr(t->text, *has) == NULL)
			fail_msg("no %s in %s", *has, t->text);
	for (; *lacks != NULL; lacks++)
		if (strstr(t->text, *lacks) != NULL)
			fail_msg("%s in %s", *lacks, t->text);
	free(t);
}

static void
test_capa_shows_what_is_true_now(void **state)
{
	static const char *const login[] = { "\r\nUSER\r\n",           "\r\nSASL PLAIN LOGIN\r\n",
		                             "\r\nPIPELINING\r\n",     "\r\nRESP-CODES\r\n",
		                             "\r\nAUTH-RESP-CODE\r\n", NULL };
	static const char *const stls_and_login[] = { "\r\nSTLS\r\n", "\r\nUSER\r\n",
		                                      "\r\nSASL PLAIN LOGIN\r\n", NULL };
	static const char *const stls[] = { "\r\nSTLS\r\n", NULL };
	static const char *const no_login[] = { "\r\nUSER\r\n", "SASL", "IMPLEMENTATION", NULL };
	static const char *const no_stls[] = { "STLS", "IMPLEMENTATION", "APOP", NULL };
	static const char *const nothing[] = { "IMPLEMENTATION", NULL };

	(void)state;
	expect_capa(&open_rules, false, stls_and_login, nothing);
	expect_capa(&open_rules, true, login, no_stls);
	expect_capa(&strict_rules, false, stls, no_login);
	expect_capa(&strict_rules, true, login, no_stls);
	expect_capa(&no_tls_rules, false, login, no_stls);
}

static void
test_user_pass_and_quit(void **state)
{
	(void)state;
	expect(&open_rules, false, "USER alice@example.test\r\nPASS secret\r\nQUIT\r\n",
	       PROMPT "{USER alice@example.test/secret}" REFUSED "+OK goodbye\r\n{CLOSE}");
	/* Any case, bare LF, spaces that belong to the password. */
	expect(&open_rules, false, "user alice\npass  two  words \nquit\n",
	       PROMPT "{USER alice/ two  words }" REFUSED "+OK goodbye\r\n{CLOSE}");
	/* The last USER counts, and a PASS uses it up. */
	expect(&open_rules, false, "USER a\r\nUSER b\r\nPASS x\r\nPASS x\r\n",
	       PROMPT PROMPT "{USER b/x}" REFUSED "-ERR send USER first\r\n");
	expect(&open_rules, false, "PASS x\r\n", "-ERR send USER first\r\n");
	expect(&open_rules, false, "USER \xc3\xbc\r\nPASS \xc3\xa4\xff\r\n",
	       PROMPT "{USER \xc3\xbc/\xc3\xa4\xff}" REFUSED);
}

static void
test_capa_between_user_and_pass_keeps_the_user(void **state)
{
	struct transcript *t = pst_new(struct transcript);
	const char *in = "USER alice\r\nCAPA\r\nNONSENSE\r\nAUTH\r\nPASS x\r\n";

	(void)state;
	run(&open_rules, false, in, strlen(in), 1, t);
	assert_non_null(strstr(t->text, "{USER alice/x}"));
	free(t);
}

static void
test_an_empty_password_is_refused_like_a_wrong_one(void **state)
{
	(void)state;
	expect(&open_rules, false, "USER alice\r\nPASS \r\n",
	       PROMPT "{USER alice/ hopeless}" REFUSED);
	expect(&open_rules, false, "AUTH PLAIN\r\nAGFsaWNlAA==\r\n", /* NUL alice NUL */
	       "+ \r\n{PLAIN alice/ hopeless}" REFUSED);
	expect(&open_rules, false, "AUTH PLAIN AABzZWNyZXQ=\r\n", /* NUL NUL secret */
	       "{PLAIN /secret hopeless}" REFUSED);
	expect(&open_rules, false, "AUTH LOGIN\r\n\r\nc2VjcmV0\r\n",
	       "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{LOGIN /secret hopeless}" REFUSED);
}

static void
test_cleartext_login_is_refused_with_a_code_and_a_hint(void **state)
{
	(void)state;
	expect(&strict_rules, false,
	       "USER alice\r\nUSER nobody\r\nPASS x\r\nAUTH\r\nAUTH PLAIN AGEAYg==\r\nAUTH LOGIN\r\n",
	       CLEARTEXT CLEARTEXT CLEARTEXT CLEARTEXT CLEARTEXT CLEARTEXT);
	expect(&strict_rules, true, "USER alice\r\nPASS x\r\n", PROMPT "{USER alice/x}" REFUSED);
}

static void
test_stls_forgets_the_user_and_is_not_offered_again(void **state)
{
	struct transcript *t = pst_new(struct transcript);
	struct pst_buf out;
	struct dialog d;
	struct pst_str in = PST_LIT("USER alice\r\nSTLS\r\n");

	(void)state;
	pst_buf_init(&out, 65536);
	dialog_init(&d, &open_rules, false);
	assert_int_equal(dialog_feed(&d, &in, &out), DIALOG_STLS);
	assert_int_equal(out.len, strlen(PROMPT "+OK begin TLS\r\n"));
	assert_memory_equal(out.data, PROMPT "+OK begin TLS\r\n", out.len);
	dialog_tls(&d, &with_tls);
	assert_null(d.user);
	pst_buf_reset(&out);
	in = PST_LIT("PASS x\r\nSTLS\r\n");
	assert_int_equal(dialog_feed(&d, &in, &out), DIALOG_MORE);
	assert_int_equal(out.len, strlen("-ERR send USER first\r\n-ERR TLS is on already\r\n"));
	assert_memory_equal(out.data, "-ERR send USER first\r\n-ERR TLS is on already\r\n",
	                    out.len);
	dialog_clear(&d);
	pst_buf_clear(&out);
	expect(&no_tls_rules, false, "STLS\r\n", "-ERR TLS is not offered here\r\n");
	run(&open_rules, false, "STLS x\r\nSTLS\r\n", 14, 14,
	    t); /* no argument: RFC 2595 section 4 */
	assert_non_null(strstr(t->text, "-ERR"));
	assert_non_null(strstr(t->text, "{STLS}"));
	free(t);
}

static void
test_octets_behind_stls_end_the_connection(void **state)
{
	static const char *const rows[] = { "STLS\r\nUSER x\r\n", "STLS\r\nUS", "STLS\r\n\r\n",
		                            "stls\nQUIT\n", "STLS\r\n\x16\x03\x01" };
	struct transcript *t = pst_new(struct transcript);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run(&open_rules, false, rows[i], strlen(rows[i]), 16384, t);
		assert_string_equal(t->text, "-ERR octets behind STLS, goodbye\r\n{INJECTED}");
	}
	free(t);
}

static void
test_sasl_plain(void **state)
{
	(void)state;
	/* "\0alice\0secret", with and without an initial response. */
	expect(&open_rules, false, "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
	       "{PLAIN alice/secret}" REFUSED);
	expect(&open_rules, false, "auth plain\r\nAGFsaWNlAHNlY3JldA==\r\n",
	       "+ \r\n{PLAIN alice/secret}" REFUSED);
	/* "alice\0alice\0secret": for oneself. "bob\0alice\0secret": for another. */
	expect(&open_rules, false, "AUTH PLAIN YWxpY2UAYWxpY2UAc2VjcmV0\r\n",
	       "{PLAIN alice/secret}" REFUSED);
	expect(&open_rules, false, "AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==\r\n",
	       "{PLAIN alice/secret for bob}" REFUSED);
	/* No NUL, one, three: "alice", "alice\0secret", "\0alice\0sec\0ret". */
	expect(&open_rules, false, "AUTH PLAIN YWxpY2U=\r\nAUTH PLAIN YWxpY2UAc2VjcmV0\r\n",
	       "-ERR not a PLAIN message\r\n-ERR not a PLAIN message\r\n");
	expect(&open_rules, false, "AUTH PLAIN AGFsaWNlAHNlYwByZXQ=\r\n",
	       "-ERR not a PLAIN message\r\n");
	expect(&open_rules, false, "AUTH PLAIN =\r\n", "-ERR not a PLAIN message\r\n");
}

static void
test_sasl_login(void **state)
{
	(void)state;
	expect(&open_rules, false, "AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
	       "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n{LOGIN alice/secret}" REFUSED);
	expect(&open_rules, false, "AUTH LOGIN YWxpY2U=\r\nc2VjcmV0\r\n",
	       "+ UGFzc3dvcmQ6\r\n{LOGIN alice/secret}" REFUSED);
	expect(&open_rules, false, "AUTH LOGIN =\r\nc2VjcmV0\r\n",
	       "+ UGFzc3dvcmQ6\r\n{LOGIN /secret hopeless}" REFUSED);
	/* A NUL within is refused, not cut: "alice\0x", then "sec\0ret". */
	expect(&open_rules, false, "AUTH LOGIN YWxpY2UAeA==\r\nc2VjcmV0\r\n",
	       "+ UGFzc3dvcmQ6\r\n{LOGIN alice/secret hopeless}" REFUSED);
}

static void
test_sasl_is_cancelled_and_bad_base64_is_no_guess(void **state)
{
	static const char *const bad[] = { "!",
		                           "AGFsaWNlAHNlY3JldA",
		                           "AGFsaWNlAHNlY3JldA=",
		                           "AGFsaWNlAHNlY3JldA===",
		                           "AGFs aWNlAHNlY3JldA==",
		                           "AGFsaWNlAHNlY3JldB==",
		                           "=",
		                           "AGFsaWNlAHNlY3JldA==x" };
	char in[200];
	size_t i;

	(void)state;
	expect(&open_rules, false, "AUTH PLAIN\r\n*\r\nQUIT\r\n",
	       "+ \r\n-ERR authentication cancelled\r\n+OK goodbye\r\n{CLOSE}");
	expect(&open_rules, false, "AUTH LOGIN\r\nYWxpY2U=\r\n*\r\nPASS x\r\n",
	       "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\n-ERR authentication cancelled\r\n"
	       "-ERR send USER first\r\n");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(in, sizeof(in), "AUTH PLAIN\r\n%s\r\nQUIT\r\n", bad[i]);
		expect(&open_rules, false, in, "+ \r\n-ERR not base64\r\n+OK goodbye\r\n{CLOSE}");
	}
}

static void
test_auth_alone_lists_and_unknown_mechanisms_are_refused(void **state)
{
	(void)state;
	expect(&open_rules, false, "AUTH\r\nauth\n",
	       "+OK mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n"
	       "+OK mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n");
	expect(&open_rules, false, "AUTH CRAM-MD5\r\nAUTH PLAI\r\nAUTH PLAINX\r\n",
	       "-ERR CRAM-MD5 is not offered here\r\n-ERR unknown mechanism\r\n"
	       "-ERR unknown mechanism\r\n");
	expect(&open_rules, false, "APOP alice c4c9334bac560ecc979e58001b3e22fb\r\n",
	       "-ERR APOP is not offered here\r\n");
}

static void
test_nul_octets_are_refused_everywhere(void **state)
{
	(void)state;
	expect_str(&open_rules, false, PST_LIT("USER alice\0x\r\n"),
	           "-ERR NUL octet in command\r\n");
	expect_str(&open_rules, false, PST_LIT("USER alice\r\nPASS a\0b\r\nPASS a\r\n"),
	           PROMPT "-ERR NUL octet in command\r\n{USER alice/a}" REFUSED);
	expect_str(&open_rules, false, PST_LIT("\0\r\n"), "-ERR unknown command\r\n");
	/* PLAIN has its own NULs; one more is too many. */
	expect_str(&open_rules, false, PST_LIT("AUTH PLAIN\r\nAG\0F\r\n"),
	           "+ \r\n-ERR not base64\r\n");
}

static void
test_commands_of_the_other_state_and_nonsense(void **state)
{
	(void)state;
	expect(&open_rules, false, "STAT\r\nRETR 1\r\nDELE 1\r\n",
	       "-ERR command not valid in this state\r\n-ERR command not valid in this state\r\n"
	       "-ERR command not valid in this state\r\n");
	expect(&open_rules, false, "\r\n:\r\n \r\nX\r\nABCDEFGHI\r\n",
	       "-ERR unknown command\r\n-ERR unknown command\r\n-ERR unknown command\r\n"
	       "-ERR unknown command\r\n-ERR unknown command\r\n");
}

static void
test_too_many_bad_commands_end_it(void **state)
{
	struct dialog_rules rules = open_rules;

	(void)state;
	rules.max_bad_commands = 3;
	expect(&rules, false, "A\r\nCAP\r\nB\r\nUSER x\r\n",
	       "-ERR unknown command\r\n-ERR unknown command\r\n"
	       "-ERR too many bad commands, goodbye\r\n{CLOSE}");
}

static void
test_too_many_failures_end_it(void **state)
{
	(void)state;
	expect(&open_rules, false,
	       "USER a\r\nPASS 1\r\nUSER a\r\nPASS 2\r\nUSER a\r\nPASS 3\r\nUSER a\r\nPASS 4\r\n",
	       PROMPT "{USER a/1}" REFUSED PROMPT "{USER a/2}" REFUSED PROMPT
	              "{USER a/3}-ERR [AUTH] authentication failed too often, goodbye\r\n{CLOSE}");
}

static struct pst_str
repeat(const char *head, char c, size_t n, const char *tail)
{
	size_t head_n = strlen(head);
	size_t tail_n = strlen(tail);
	char *p = pst_alloc(head_n + n + tail_n + 1);

	memcpy(p, head, head_n);
	memset(p + head_n, c, n);
	memcpy(p + head_n + n, tail, tail_n);
	return (struct pst_str){ p, head_n + n + tail_n };
}

static void
test_long_lines_have_one_answer_and_cost_nothing(void **state)
{
	struct pst_str in;

	(void)state;
	in = repeat("USER ", 'a', POP3_LINE_MAX - 7, "\r\n"); /* the longest that is read at all */
	expect_str(&open_rules, false, in, "-ERR user name too long\r\n");
	free((char *)(uintptr_t)in.p);
	in = repeat("USER ", 'a', POP3_LINE_MAX - 6, "\r\nQUIT\r\n");
	expect_str(&open_rules, false, in, "-ERR line too long\r\n+OK goodbye\r\n{CLOSE}");
	free((char *)(uintptr_t)in.p);
	in = repeat("", 'a', 1000000, "\r\nQUIT\r\n");
	expect_str(&open_rules, false, in, "-ERR line too long\r\n+OK goodbye\r\n{CLOSE}");
	free((char *)(uintptr_t)in.p);
	in = repeat("USER ", 'a', WIRE_USER, "\r\n");
	expect_str(&open_rules, false, in, PROMPT);
	free((char *)(uintptr_t)in.p);
}

static void
test_a_sasl_line_may_be_long_but_not_without_end(void **state)
{
	struct pst_str in;

	(void)state;
	/* 12,288 octets without a NUL, then one line more than that is too long. */
	in = repeat("AUTH PLAIN\r\n", 'Q', POP3_SASL_LINE_MAX - 4, "\r\nQUIT\r\n");
	expect_str(&open_rules, false, in,
	           "+ \r\n-ERR not a PLAIN message\r\n+OK goodbye\r\n{CLOSE}");
	free((char *)(uintptr_t)in.p);
	in = repeat("AUTH PLAIN\r\n", 'Q', POP3_SASL_LINE_MAX - 1, "\r\nQUIT\r\n");
	expect_str(&open_rules, false, in, "+ \r\n-ERR line too long\r\n+OK goodbye\r\n{CLOSE}");
	free((char *)(uintptr_t)in.p);
	/* A password of more than WIRE_PASSWORD is hopeless, and not cut to one that may be right. */
	in = repeat("AUTH LOGIN YWxpY2U=\r\n", 'Q', 1368, "\r\n");
	{
		struct transcript *t = pst_new(struct transcript);

		run(&open_rules, false, in.p, in.n, 100, t);
		assert_non_null(strstr(t->text, " hopeless}" REFUSED));
		free(t);
	}
	free((char *)(uintptr_t)in.p);
}

static void
test_a_thousand_commands_in_one_piece(void **state)
{
	struct transcript *whole = pst_new(struct transcript);
	struct transcript *single = pst_new(struct transcript);
	char in[6000 + 1];
	const char *p;
	unsigned count = 0;
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		memcpy(in + 6 * i, "CAPA\r\n", 6);
	run(&open_rules, false, in, 6000, 6000, whole);
	run(&open_rules, false, in, 6000, 1, single);
	assert_string_equal(whole->text, single->text);
	for (p = whole->text; (p = strstr(p, "+OK")) != NULL; p++)
		count++;
	assert_int_equal(count, 1000);
	free(whole);
	free(single);
}

/* Answers that wait are bounded however many commands there are. */
static void
test_output_stops_when_there_is_enough(void **state)
{
	char in[6000];
	struct pst_str rest = { in, sizeof(in) };
	struct pst_buf out;
	struct dialog d;
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		memcpy(in + 6 * i, "CAPA\r\n", 6);
	pst_buf_init(&out, 32768);
	dialog_init(&d, &open_rules, false);
	assert_int_equal(dialog_feed(&d, &rest, &out), DIALOG_FULL);
	assert_true(rest.n > 0 && out.len < 16384);
	dialog_clear(&d);
	pst_buf_clear(&out);
}

static void
test_other_failures_have_their_own_codes(void **state)
{
	static const struct {
		enum pst_err_kind kind;
		const char *text;
		const char *reply;
	} rows[] = {
		{ PST_E_AUTH, NULL, REFUSED },
		{ PST_E_TEMP, NULL, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
		{ PST_E_PERM, "account is suspended", "-ERR [SYS/PERM] account is suspended\r\n" },
		{ PST_E_IN_USE, NULL, "-ERR [IN-USE] maildrop is in use by another session\r\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pst_err why = { .kind = rows[i].kind, .text = "secret reason" };
		struct pst_str in = PST_LIT("USER a\r\nPASS b\r\n");
		struct pst_buf out;
		struct dialog d;

		pst_buf_init(&out, 65536);
		dialog_init(&d, &open_rules, false);
		assert_int_equal(dialog_feed(&d, &in, &out), DIALOG_ATTEMPT);
		pst_buf_reset(&out);
		assert_int_equal(dialog_failed(&d, &why, rows[i].text, &out), DIALOG_MORE);
		assert_int_equal(out.len, strlen(rows[i].reply));
		assert_memory_equal(out.data, rows[i].reply, out.len);
		dialog_clear(&d);
		pst_buf_clear(&out);
	}
}

/* ---- Mechanisms that are off by default ---- */

static const struct dialog_rules all_rules = {
	.mechanisms = MECH_BIT(MECH_COUNT) - 1,
	.plaintext_login = true,
	.can_stls = true,
	.max_bad_commands = 10,
	.max_auth_failures = 3,
};

struct talk {
	struct dialog d;
	struct pst_buf out;
};

static void
open_talk(struct talk *t)
{
	pst_buf_init(&t->out, 65536);
	dialog_init(&t->d, &all_rules, false);
}

static void
close_talk(struct talk *t)
{
	dialog_clear(&t->d);
	pst_buf_clear(&t->out);
}

/* What the dialog wishes for; what it says is in t->out. */
static enum dialog_step
say(struct talk *t, const char *line)
{
	struct pst_str in = pst_str_c(line);

	pst_buf_reset(&t->out);
	return dialog_feed(&t->d, &in, &t->out);
}

static void
assert_said(const struct talk *t, const char *text)
{
	if (!pst_str_eq(pst_buf_view(&t->out), pst_str_c(text)))
		fail_msg("%.*s", (int)t->out.len, t->out.data);
}

static void
test_apop_answers_the_greeting_and_no_other(void **state)
{
	char greeting[ATTEMPT_CHALLENGE + 1];
	struct talk t;

	(void)state;
	open_talk(&t);
	assert_int_equal(say(&t, "APOP alice abc\r\n"), DIALOG_MORE);
	assert_said(&t, "-ERR APOP is not offered here\r\n");
	dialog_greeting(&t.d, greeting);
	assert_memory_equal(greeting, " <", 2);
	assert_int_equal(say(&t, "APOP alice abc\r\n"), DIALOG_ATTEMPT);
	assert_int_equal(t.d.attempt->mechanism, MECH_APOP);
	assert_string_equal(t.d.attempt->challenge, greeting + 1);
	assert_true(pst_str_eq(t.d.attempt->response, PST_LIT("abc")));
	dialog_forget_attempt(&t.d);
	dialog_tls(&t.d, &with_tls);
	assert_int_equal(say(&t, "APOP alice abc\r\n"), DIALOG_MORE);
	assert_said(&t, "-ERR APOP is not offered here\r\n");
	close_talk(&t);
}

static void
test_cram_md5_asks_first(void **state)
{
	struct talk t;

	(void)state;
	open_talk(&t);
	assert_int_equal(say(&t, "AUTH CRAM-MD5 YSBi\r\n"), DIALOG_MORE);
	assert_said(&t, "-ERR CRAM-MD5 has no initial response\r\n");
	assert_int_equal(say(&t, "AUTH cram-md5\r\n"), DIALOG_MORE);
	assert_memory_equal(t.out.data, "+ P", 3);
	assert_int_equal(say(&t, "YSBiIGNk\r\n"), DIALOG_ATTEMPT); /* "a b cd" */
	assert_int_equal(t.d.attempt->user_n, 3);
	assert_true(pst_str_eq(t.d.attempt->response, PST_LIT("cd")));
	assert_int_equal(t.d.attempt->challenge[0], '<');
	close_talk(&t);
}

static void
test_the_answer_to_a_challenge_is_given_on_whatever_it_is(void **state)
{
	static const struct {
		const char *line, *response; /* NULL: the worker hears that it was none */
	} rows[] = {
		{ "Yz1iaXdz\r\n", "c=biws" }, { "\r\n", "" },       { "*\r\n", NULL },
		{ "QUIT\r\n", "AB\x13" },     { "!!!!\r\n", NULL }, { "YQ\r\n", NULL },
	};
	char *longest = pst_alloc(POP3_SASL_LINE_MAX + 3);
	struct talk t;
	size_t i;

	(void)state;
	open_talk(&t);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t.d.auth_failures = 0;
		assert_int_equal(say(&t, "AUTH SCRAM-SHA-256 =\r\n"), DIALOG_ATTEMPT);
		assert_int_equal(t.d.attempt->response.n, 0);
		pst_buf_reset(&t.out);
		assert_int_equal(dialog_challenge(&t.d, PST_LIT("r=x"), &t.out), DIALOG_MORE);
		assert_said(&t, "+ cj14\r\n");
		assert_null(t.d.attempt);
		assert_int_equal(say(&t, rows[i].line), DIALOG_RESPONSE);
		if (rows[i].response == NULL)
			assert_null(t.d.response.p);
		else
			assert_true(pst_str_eq(t.d.response, pst_str_c(rows[i].response)));
		dialog_forget_attempt(&t.d);
	}
	assert_int_equal(dialog_challenge(&t.d, PST_LIT(""), &t.out), DIALOG_MORE);
	memset(longest, 'A', POP3_SASL_LINE_MAX + 1);
	assert_int_equal(say(&t, longest), DIALOG_RESPONSE);
	assert_null(t.d.response.p);
	assert_int_equal(say(&t, "AAA\r\nCAPA\r\n"), DIALOG_MORE); /* the rest is thrown away */
	assert_memory_equal(t.out.data, "+OK cap", 7);
	close_talk(&t);
	free(longest);
}

static void
test_a_long_challenge_is_one_line(void **state)
{
	const size_t sizes[] = { 0, 1, 767, 768, 769, 4096 };
	char *challenge = pst_alloc(4096);
	struct talk t;
	size_t i;

	(void)state;
	open_talk(&t);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pst_buf_reset(&t.out);
		assert_int_equal(
			dialog_challenge(&t.d, (struct pst_str){ challenge, sizes[i] }, &t.out),
			DIALOG_MORE);
		assert_int_equal(t.out.len, 2 + (sizes[i] + 2) / 3 * 4 + 2);
		assert_ptr_equal(memchr(t.out.data, '\n', t.out.len), t.out.data + t.out.len - 1);
	}
	close_talk(&t);
	free(challenge);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capa_shows_what_is_true_now),
		cmocka_unit_test(test_user_pass_and_quit),
		cmocka_unit_test(test_capa_between_user_and_pass_keeps_the_user),
		cmocka_unit_test(test_an_empty_password_is_refused_like_a_wrong_one),
		cmocka_unit_test(test_cleartext_login_is_refused_with_a_code_and_a_hint),
		cmocka_unit_test(test_stls_forgets_the_user_and_is_not_offered_again),
		cmocka_unit_test(test_octets_behind_stls_end_the_connection),
		cmocka_unit_test(test_sasl_plain),
		cmocka_unit_test(test_sasl_login),
		cmocka_unit_test(test_sasl_is_cancelled_and_bad_base64_is_no_guess),
		cmocka_unit_test(test_auth_alone_lists_and_unknown_mechanisms_are_refused),
		cmocka_unit_test(test_nul_octets_are_refused_everywhere),
		cmocka_unit_test(test_commands_of_the_other_state_and_nonsense),
		cmocka_unit_test(test_too_many_bad_commands_end_it),
		cmocka_unit_test(test_too_many_failures_end_it),
		cmocka_unit_test(test_long_lines_have_one_answer_and_cost_nothing),
		cmocka_unit_test(test_a_sasl_line_may_be_long_but_not_without_end),
		cmocka_unit_test(test_a_thousand_commands_in_one_piece),
		cmocka_unit_test(test_output_stops_when_there_is_enough),
		cmocka_unit_test(test_apop_answers_the_greeting_and_no_other),
		cmocka_unit_test(test_cram_md5_asks_first),
		cmocka_unit_test(test_the_answer_to_a_challenge_is_given_on_whatever_it_is),
		cmocka_unit_test(test_a_long_challenge_is_one_line),
		cmocka_unit_test(test_other_failures_have_their_own_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
