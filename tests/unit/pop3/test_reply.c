/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pop3/reply.h"

static struct pst_buf out;
static struct pst_err err;

static int
setup(void **state)
{
	(void)state;
	pst_buf_init(&out, 4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pst_buf_clear(&out);
	return 0;
}

static void
assert_sent(const char *text)
{
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
	pst_buf_reset(&out);
}

static void
test_ok_is_one_line(void **state)
{
	(void)state;
	assert_int_equal(pop3_reply_ok(&out, &err, "%d messages", 3), 0);
	assert_sent("+OK 3 messages\r\n");
	assert_int_equal(pop3_reply_ok(&out, &err, "%s", ""), 0);
	assert_sent("+OK\r\n");
}

static void
test_text_cannot_break_the_line_or_look_like_a_code(void **state)
{
	(void)state;
	assert_int_equal(pop3_reply_ok(&out, &err, "%s", "a\r\n-ERR\tb\x7f"), 0);
	assert_sent("+OK a?\?-ERR?b?\r\n");
	assert_int_equal(pop3_reply_ok(&out, &err, "%s", "[AUTH] x"), 0);
	assert_sent("+OK ?AUTH] x\r\n");
}

static void
test_line_is_at_most_512_octets(void **state)
{
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(pop3_reply_ok(&out, &err, "%s", text), 0);
	assert_int_equal(out.len, 512);
	assert_memory_equal(out.data + 508, "xx\r\n", 4);
}

static void
test_each_kind_has_its_code(void **state)
{
	static const struct {
		enum pst_err_kind kind;
		const char *sent;
	} rows[] = {
		{ PST_E_TEMP, "-ERR [SYS/TEMP] temporary failure, try again later\r\n" },
		{ PST_E_PERM, "-ERR [SYS/PERM] not possible, ask the administrator\r\n" },
		{ PST_E_AUTH, "-ERR [AUTH] authentication failed\r\n" },
		{ PST_E_IN_USE, "-ERR [IN-USE] maildrop is in use by another session\r\n" },
		{ PST_E_CLIENT, "-ERR secret path /x\r\n" },
		{ PST_E_LIMIT, "-ERR secret path /x\r\n" },
		{ PST_E_CLOSED, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pst_err why;

		pst_err_set(&why, rows[i].kind, "secret path /x");
		assert_int_equal(pop3_reply_err(&out, &why, NULL, &err), 0);
		assert_sent(rows[i].sent);
	}
}

static void
test_callers_text_takes_the_place_of_the_kinds_words(void **state)
{
	struct pst_err why;

	(void)state;
	pst_err_set(&why, PST_E_TEMP, "disk on fire");
	assert_int_equal(pop3_reply_err(&out, &why, "[not now", &err), 0);
	assert_sent("-ERR [SYS/TEMP] ?not now\r\n");
	pst_err_set(&why, PST_E_CLIENT, "[x] \r\nwrong");
	assert_int_equal(pop3_reply_err(&out, &why, "unused", &err), 0);
	assert_sent("-ERR ?x] ?\?wrong\r\n");
}

static void
test_a_code_of_its_own_stands_before_a_text_that_stays_text(void **state)
{
	(void)state;
	assert_int_equal(pop3_reply_code(&out, "LOGIN-DELAY", "[AUTH] not\r\nyet", &err), 0);
	assert_sent("-ERR [LOGIN-DELAY] ?AUTH] not??yet\r\n");
}

static void
test_full_buffer_is_an_error_and_adds_nothing(void **state)
{
	struct pop3_facts facts = { .state = POP3_AUTH };
	struct pst_buf small;

	(void)state;
	pst_buf_init(&small, 40);
	assert_int_equal(pop3_reply_capa(&small, &facts, &err), -1);
	assert_int_equal(err.kind, PST_E_LIMIT);
	assert_int_equal(small.len, 0);
	pst_buf_clear(&small);
}

static void
test_capa_shows_what_is_true(void **state)
{
	static const struct {
		struct pop3_facts facts;
		const char *sent;
	} rows[] = {
		{ { POP3_AUTH, true, false, "", NULL, 0, 0,
		    false }, /* before TLS, no cleartext login */
		  "+OK capability list follows\r\nSTLS\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\nRESP-CODES\r\n"
		  "AUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n.\r\n" },
		{ { POP3_AUTH, false, true, "PLAIN LOGIN", NULL, 0, 0, false }, /* in TLS */
		  "+OK capability list follows\r\nUSER\r\nSASL PLAIN LOGIN\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\n"
		  "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n.\r\n" },
		{ { POP3_TRANS, false, true, "PLAIN LOGIN", "Postern", 600, 0,
		    false }, /* after login */
		  "+OK capability list follows\r\nUSER\r\nSASL PLAIN LOGIN\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\n"
		  "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
		  "LOGIN-DELAY 600\r\nIMPLEMENTATION Postern\r\n.\r\n" },
		{ { POP3_AUTH, true, false, "", NULL, 0, 30, true }, /* nobody's yet */
		  "+OK capability list follows\r\nSTLS\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\nRESP-CODES\r\n"
		  "AUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE 30 USER\r\n.\r\n" },
		{ { POP3_TRANS, false, false, "", "Postern", 0, 60, false },
		  "+OK capability list follows\r\nTOP\r\nUIDL\r\n"
		  "UTF8 USER\r\nLANG\r\nRESP-CODES\r\n"
		  "AUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE 60\r\nIMPLEMENTATION Postern\r\n.\r\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pop3_reply_capa(&out, &rows[i].facts, &err), 0);
		assert_sent(rows[i].sent);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ok_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text_cannot_break_the_line_or_look_like_a_code,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_is_at_most_512_octets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_kind_has_its_code, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_callers_text_takes_the_place_of_the_kinds_words, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_code_of_its_own_stands_before_a_text_that_stays_text, setup,
			teardown),
		cmocka_unit_test(test_full_buffer_is_an_error_and_adds_nothing),
		cmocka_unit_test_setup_teardown(test_capa_shows_what_is_true, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
