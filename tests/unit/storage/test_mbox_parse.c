/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/mbox/parse.h"

static const char *const good[] = {
	"From a@example.test Thu Nov  9 22:06:57 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 2023\r\n",
	"From a@example.test Thu Nov  9 22:06 2023\n",
	"From a@example.test Thu Nov 09 2:06:57 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 EST 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 MET DST 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 +0100 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 2023 +0100\n",
	"From a@example.test Thu Nov  9 22:06:57 2023 remote from somewhere\n",
	"From a@example.test Thu, 9 Nov 2002 22:06:57\n",
	"From a@example.test Thu, 9 Nov 2002 22:06:57 -0500\n",
	"From \"a b c\"@example.test Thu Nov  9 22:06:57 2023\n",
	"From a Thu b Thu Nov  9 22:06:57 2023\n",
	"From - Thu Nov  9 22:06:57 2023\n",
	"From  Thu Nov  9 22:06:57 2023\n",
	"From MAILER-DAEMON thu nov 9 22:06:57 2023\n",
};

static const char *const bad[] = {
	"",
	"From ",
	"From \n",
	"From here to there\n",
	"From Thursday on, Nov 9 22:06:57 2023\n",
	"From a@example.test Thu Nov  9 2023\n",
	"From a@example.test Thu Nov  9 22:06:57\n",
	"From a@example.test Nov  9 22:06:57 2023\n",
	"From a@example.test Thu Nov  9 22-06-57 2023\n",
	"From a@example.test Thu Foo  9 22:06:57 2023\n",
	"From a@example.test Thu Nov  9 22:06:57 3023\n",
	"From a@example.test Thu Nov  9 22:06:57 2023", /* no line end */
	"from a@example.test Thu Nov  9 22:06:57 2023\n",
	">From a@example.test Thu Nov  9 22:06:57 2023\n",
	"From: a@example.test Thu Nov  9 22:06:57 2023\n",
};

static void
test_from_lines_of_every_dialect(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (mbox_from_line(pst_str_c(good[i])) != strlen(good[i]))
			fail_msg("not taken: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mbox_from_line(pst_str_c(bad[i])) != 0)
			fail_msg("taken: %s", bad[i]);
}

static void
test_from_line_that_is_too_long_is_none(void **state)
{
	static const char date[] = " Thu Nov  9 22:06:57 2023\n";
	char line[MBOX_FROM_MAX + 64];
	size_t n = sizeof(date) - 1;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "From ", 5);
	memcpy(line + MBOX_FROM_MAX - n, date, n);
	assert_int_equal(mbox_from_line((struct pst_str){ line, MBOX_FROM_MAX }), MBOX_FROM_MAX);
	memcpy(line + MBOX_FROM_MAX - n, "xx", 2);
	memcpy(line + MBOX_FROM_MAX + 1 - n, date, n);
	assert_int_equal(mbox_from_line((struct pst_str){ line, sizeof(line) }), 0);
}

#define FROM "From a Thu Nov  9 22:06:57 2023\n"

/* The header as it is shown. */
static char *
shown(const char *text, struct mbox_header *h)
{
	char *out = calloc(1, strlen(text) + 1);
	size_t at, n = 0;
	uint32_t gap = 0;

	mbox_header(pst_str_c(text), true, h);
	text += h->from_octets;
	for (at = 0; at < h->header_octets; at++) {
		if (gap < h->gap_count && at == h->gaps[gap].at) {
			at += h->gaps[gap++].length - 1;
			continue;
		}
		out[n++] = text[at];
	}
	return out;
}

static const struct {
	const char *text, *shown;
} headers[] = {
	{ FROM "A: 1\n\nbody", "A: 1\n\n" },
	{ FROM "Status: RO\nA: 1\n\nbody", "A: 1\n\n" },
	{ FROM "A: 1\nstatus : RO\nX-STATUS:\nB: 2\n\n", "A: 1\nB: 2\n\n" },
	{ FROM "A: 1\nX-Keywords: a\n b\n\tc\nB: 2\n\n", "A: 1\nB: 2\n\n" },
	{ FROM "A: 1\r\nX-UID: 7\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n" },
	{ FROM "X-IMAPbase: 1 2\nContent-Length: 5\nX-IMAP: 1 2\n\n", "\n" },
	{ FROM "X-UIDL: abc\nX-UIDs: no\nStatusX: no\nXStatus: no\n\n",
	  "X-UIDL: abc\nX-UIDs: no\nStatusX: no\nXStatus: no\n\n" },
	{ FROM "Status: RO", "" },
	{ FROM "A: 1\n\nStatus: RO\n", "A: 1\n\n" },
	{ FROM "A: 1\n Status: RO\n\n", "A: 1\n Status: RO\n\n" },
	{ FROM, "" },
	{ FROM "\n", "\n" },
};

static void
test_private_headers_are_hidden_and_no_others(void **state)
{
	struct mbox_header h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		char *text = shown(headers[i].text, &h);

		assert_string_equal(text, headers[i].shown);
		assert_int_equal(h.header_octets - h.hidden_octets, strlen(headers[i].shown));
		free(text);
	}
}

static void
test_more_hidden_runs_than_there_is_room_for_are_shown(void **state)
{
	char text[8192] = FROM;
	size_t n = strlen(text);
	struct mbox_header h;
	unsigned i;
	char *out;

	(void)state;
	for (i = 0; i < MBOX_GAPS + 3; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "Status: RO\nA: 1\n");
	(void)snprintf(text + n, sizeof(text) - n, "\n");
	out = shown(text, &h);
	assert_int_equal(h.gap_count, MBOX_GAPS);
	assert_int_equal(strlen(out), (MBOX_GAPS + 3) * 5 + 3 * 11 + 1);
	free(out);
}

static void
test_values_of_private_headers(void **state)
{
	struct mbox_header h;

	(void)state;
	mbox_header(pst_str_c(FROM "X-IMAPbase: 1699 0000000012\nX-UID: 12 \nX-UIDL:  a!b\n"
	                           "Content-Length: 42\n\n"),
	            true, &h);
	assert_true(pst_str_eq(h.x_imapbase, PST_LIT("1699 0000000012")));
	assert_true(pst_str_eq(h.x_uid, PST_LIT("12")));
	assert_true(pst_str_eq(h.x_uidl, PST_LIT("a!b")));
	assert_true(h.has_length && h.content_length == 42 && h.is_complete);
	mbox_header(pst_str_c(FROM "Content-Length: 42x\n\n"), true, &h);
	assert_false(h.has_length);
}

static void
test_notes_about_the_folder_are_no_message(void **state)
{
	static const char note[] =
		FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
		     "X-IMAP: 1 2\n\nThis text is part of the internal format\n";
	struct mbox_header h;

	(void)state;
	mbox_header(pst_str_c(note), true, &h);
	assert_true(h.is_internal);
	mbox_header(pst_str_c(note), false, &h); /* not behind another message */
	assert_false(h.is_internal);
	mbox_header(pst_str_c(FROM "Subject: hello\nX-IMAP: 1 2\n\n"), true, &h);
	assert_false(h.is_internal); /* anybody can write that into a mail */
	mbox_header(pst_str_c(FROM "Subject: DON'T DELETE THIS MESSAGE\n\n"), true, &h);
	assert_false(h.is_internal);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_lines_of_every_dialect),
		cmocka_unit_test(test_from_line_that_is_too_long_is_none),
		cmocka_unit_test(test_private_headers_are_hidden_and_no_others),
		cmocka_unit_test(test_more_hidden_runs_than_there_is_room_for_are_shown),
		cmocka_unit_test(test_values_of_private_headers),
		cmocka_unit_test(test_notes_about_the_folder_are_no_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
