/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pop3/language.h"
#include "pop3/reply.h"

/* The letters behind the % of a pattern. */
static void
open_pieces(const char *pattern, char out[16])
{
	size_t n = 0;

	for (; *pattern != '\0'; pattern++)
		if (*pattern == '%')
			out[n++] = *++pattern;
	out[n] = '\0';
}

static void
test_every_text_has_a_translation_with_the_same_pieces(void **state)
{
	const struct pop3_text *t, *other;

	(void)state;
	for (t = pop3_texts; t->english != NULL; t++) {
		char english[16], german[16];
		const char *p;

		assert_non_null(t->german);
		assert_true(t->german[0] != '\0' && t->german[0] != '[');
		open_pieces(t->english, english);
		open_pieces(t->german, german);
		assert_string_equal(english, german);
		for (p = t->english; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p <= '~');
		for (other = pop3_texts; other < t; other++)
			assert_string_not_equal(other->english, t->english);
	}
}

static void
test_ranges_find_the_nearest_language(void **state)
{
	static const struct {
		const char *range;
		int found;
	} rows[] = {
		{ "de", POP3_GERMAN },
		{ "DE", POP3_GERMAN },
		{ "de-AT", POP3_GERMAN },
		{ "de-Latn-CH", POP3_GERMAN },
		{ "en-GB", POP3_ENGLISH },
		{ "i-default", POP3_DEFAULT },
		{ "de-x-a", POP3_GERMAN },
		{ "*", POP3_GERMAN },
		{ "", -1 },
		{ "d", -1 },
		{ "deu", -1 },
		{ "fr", -1 },
		{ "-", -1 },
		{ "-de", -1 },
		{ "i", -1 },
		{ "i-klingon", -1 },
		{ "*-DE", -1 },
	};
	enum pop3_language got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bool found = pop3_language_find(pst_str_c(rows[i].range), POP3_GERMAN, &got);

		if (found != (rows[i].found >= 0) || (found && (int)got != rows[i].found))
			fail_msg("%s", rows[i].range);
	}
}

static void
test_replies_are_in_the_buffers_language(void **state)
{
	static const struct {
		uint8_t language;
		const char *text, *sent;
	} rows[] = {
		{ POP3_DEFAULT, "3 messages (120 octets)", "+OK 3 messages (120 octets)\r\n" },
		{ POP3_ENGLISH, "3 messages (120 octets)", "+OK 3 messages (120 octets)\r\n" },
		{ POP3_GERMAN, "3 messages (120 octets)", "+OK 3 Nachrichten (120 Oktette)\r\n" },
		{ POP3_GERMAN, "120 octets", "+OK 120 Oktette\r\n" },
		{ POP3_GERMAN, "x octets", "+OK x octets\r\n" },
		{ POP3_GERMAN, "3 120", "+OK 3 120\r\n" },
		{ POP3_GERMAN, "", "+OK\r\n" },
		{ POP3_GERMAN, "no such message", "+OK diese Nachricht gibt es nicht\r\n" },
		{ POP3_GERMAN, "no such message!", "+OK no such message!\r\n" },
		{ POP3_GERMAN, "SCRAM-SHA-1 is not offered here",
		  "+OK SCRAM-SHA-1 wird hier nicht angeboten\r\n" },
		{ POP3_DEFAULT, "gr\xc3\xbc\xc3\x9f", "+OK gr?\?\?\?\r\n" },
		{ POP3_ENGLISH, "gr\xc3\xbc\xc3\x9f", "+OK gr\xc3\xbc\xc3\x9f\r\n" },
	};
	struct pst_buf out;
	struct pst_err err;
	size_t i;

	(void)state;
	pst_buf_init(&out, 4096);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		pst_buf_reset(&out);
		out.language = rows[i].language;
		assert_int_equal(pop3_reply_ok(&out, &err, "%s", rows[i].text), 0);
		assert_int_equal(out.len, strlen(rows[i].sent));
		assert_memory_equal(out.data, rows[i].sent, out.len);
	}
	pst_buf_clear(&out);
}

/* The line's end falls on each octet of a character once. */
static void
test_long_replies_are_cut_between_characters(void **state)
{
	char text[600];
	struct pst_buf out;
	struct pst_err err;
	size_t lead, i;

	(void)state;
	pst_buf_init(&out, 4096);
	out.language = POP3_ENGLISH;
	for (lead = 0; lead < 4; lead++) {
		memset(text, 'a', lead);
		for (i = lead; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80", 4);
		text[i] = '\0';
		pst_buf_reset(&out);
		assert_int_equal(pop3_reply_ok(&out, &err, "%s", text), 0);
		assert_true(out.len <= 512 && out.len > 506);
		assert_int_equal((out.len - 6 - lead) % 4, 0);
	}
	pst_buf_clear(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_text_has_a_translation_with_the_same_pieces),
		cmocka_unit_test(test_ranges_find_the_nearest_language),
		cmocka_unit_test(test_replies_are_in_the_buffers_language),
		cmocka_unit_test(test_long_replies_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
