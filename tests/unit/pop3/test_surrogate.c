/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pop3/body.h"
#include "pop3/stored.h"
#include "pop3/surrogate.h"
#include "pop3/survey.h"

struct row {
	const char *stored;
	const char *made; /* NULL: it has no surrogate */
};

static void
check(const struct row *row)
{
	struct pst_buf out;
	bool has;

	pst_buf_init(&out, POP3_SURROGATE_MAX);
	has = pop3_surrogate(pst_str_c(row->stored), &out);
	if (has != (row->made != NULL))
		fail_msg("%s: %s", row->stored, has ? "has one" : "has none");
	if (has && (out.len != strlen(row->made) || memcmp(out.data, row->made, out.len) != 0))
		fail_msg("%s gave\n%.*s instead of\n%s", row->stored, (int)out.len, out.data,
		         row->made);
	if (!has)
		assert_int_equal(out.len, 0);
	pst_buf_clear(&out);
}

#define CHECK(rows)                                                                                \
	do {                                                                                       \
		size_t row_;                                                                       \
		for (row_ = 0; row_ < sizeof(rows) / sizeof((rows)[0]); row_++)                    \
			check(&(rows)[row_]);                                                      \
	} while (0)

static void
test_header_without_utf8_has_none(void **state)
{
	static const struct row rows[] = {
		{ "", NULL },
		{ "\n", NULL },
		{ "Subject: plain\r\n\r\n", NULL },
		{ "Subject: =?UTF-8?Q?=C3=BC?=\n\n", NULL },
		{ "Subject: \xfc\n\n", NULL },           /* Latin-1 */
		{ "Subject: \xc3\xbc \xff\n\n", NULL },  /* both */
		{ "Subject: \xc0\xaf\n", NULL },         /* overlong */
		{ "Subject: \xed\xa0\x80\n", NULL },     /* half of a pair */
		{ "Subject: \xf4\x90\x80\x80\n", NULL }, /* beyond Unicode */
		{ "Subject: \xc3", NULL },               /* cut */
	};

	(void)state;
	CHECK(rows);
}

static void
test_text_becomes_encoded_words(void **state)
{
	static const struct row rows[] = {
		{ "Subject: Köln\n\n", "Subject: =?UTF-8?Q?K=C3=B6ln?=\n\n" },
		{ "Subject: a Köln b\r\n", "Subject: a =?UTF-8?Q?K=C3=B6ln?= b\r\n" },
		{ "X-A: ä  ö c\n", "X-A: =?UTF-8?B?w6QgIMO2?= c\n" },
		{ "Subject:ü", "Subject: =?UTF-8?Q?=C3=BC?=" },
		{ "subject : ü\n", "subject: =?UTF-8?Q?=C3=BC?=\n" },
		{ "A: x\n\tü\n y\nB: c\n", "A: x =?UTF-8?Q?=C3=BC?= y\nB: c\n" },
		/* Blanks between two encoded-words are not shown: they are encoded. */
		{ "A: =?UTF-8?Q?x?= ü =?UTF-8?Q?y?=\n",
		  "A: =?UTF-8?Q?x?= =?UTF-8?Q?_=C3=BC_?= =?UTF-8?Q?y?=\n" },
		/* Other fields stay, and so do those that are no UTF-8. */
		{ "A: \xfc\nB:  as  it is\nC: ü\n",
		  "A: \xfc\nB:  as  it is\nC: =?UTF-8?Q?=C3=BC?=\n" },
		{ "A: ü\x01\n", "A: =?UTF-8?B?w7wB?=\n" },
		{ "no field ü\n", "Downgraded-Line: =?UTF-8?Q?no_field_=C3=BC?=\n" },
		{ ": ü\n", "Downgraded-Line: =?UTF-8?Q?=3A_=C3=BC?=\n" },
	};

	(void)state;
	CHECK(rows);
}

static void
test_addresses_stay_usable_or_become_empty_groups(void **state)
{
	static const struct row rows[] = {
		{ "From: Jörg <a@b.example>\n", "From: =?UTF-8?Q?J=C3=B6rg?= <a@b.example>\n" },
		{ "From: \"Jörg, \\\"M\\\"\" <a@b.example>\n",
		  "From: =?UTF-8?Q?J=C3=B6rg=2C_=22M=22?= <a@b.example>\n" },
		{ "To: a@b.example, Ö <c@d.example>, \"x, y\" <e@f.example>\n",
		  "To: a@b.example, =?UTF-8?Q?=C3=96?= <c@d.example>, \"x, y\" <e@f.example>\n" },
		{ "To: a@bücher.example\n", "To: a@xn--bcher-kva.example\n" },
		{ "To: <a@Bücher.Example>\n", "To: <a@xn--bcher-kva.example>\n" },
		{ "Cc: <jörg@b.example>\n", "Cc: =?UTF-8?Q?=3Cj=C3=B6rg=40b=2Eexample=3E?= :;\n" },
		{ "Cc: J <ü@b.example>, c@d.example\n",
		  "Cc: =?UTF-8?Q?J_=3C=C3=BC=40b=2Eexample=3E?= :;, c@d.example\n" },
		{ "Bcc: \"ü\"@b.example\n", "Bcc: =?UTF-8?Q?=C3=BC=40b=2Eexample?= :;\n" },
		{ "To: Grüppe: a@b.example, ü@c.example;\n",
		  "To: =?UTF-8?Q?Gr=C3=BCppe?=: a@b.example,\n (=?UTF-8?Q?=C3=BC=40c=2Eexample?=);\n" },
		{ "To: a@b.example (ü)\n", "To: a@b.example (=?UTF-8?Q?=C3=BC?=)\n" },
		{ "To: (ü) a@b.example\n", "To: (=?UTF-8?Q?=C3=BC?=) a@b.example\n" },
		{ "To: ü\n", "To: =?UTF-8?Q?=C3=BC?= :;\n" },
		{ "To: ü <>\n", "To: =?UTF-8?Q?=C3=BC?= <>\n" },
		{ "To: a@ü b.example\n", "To: =?UTF-8?Q?a=40=C3=BC_b=2Eexample?= :;\n" },
	};

	(void)state;
	CHECK(rows);
}

static void
test_structured_fields(void **state)
{
	static const struct row rows[] = {
		{ "Date: Mon, 5 Jan 2026 10:00:00 +0100 (ü)\n",
		  "Date: Mon, 5 Jan 2026 10:00:00 +0100 (=?UTF-8?Q?=C3=BC?=)\n" },
		{ "Message-ID: <ü@b.example>\n",
		  "Downgraded-Message-ID: =?UTF-8?Q?=3C=C3=BC=40b=2Eexample=3E?=\n" },
		{ "Return-Path: <ü@b>\n", "Downgraded-Return-Path: =?UTF-8?B?PMO8QGI+?=\n" },
		{ "Content-Type: text/plain; charset=utf-8; name=\"ü;\\\".txt\"\n",
		  "Content-Type: text/plain; charset=utf-8; name*=UTF-8''%C3%BC%3B%22.txt\n" },
		{ "Content-Disposition: attachment; filename=ß.txt; size=7\n",
		  "Content-Disposition: attachment; filename*=UTF-8''%C3%9F.txt; size=7\n" },
		{ "Content-Disposition: attachment; filename*=UTF-8''ß%20.txt\n",
		  "Content-Disposition: attachment; filename*=UTF-8''%C3%9F%20.txt\n" },
		{ "Content-Disposition: attachment; filename*0=\"ß\"; filename*1=\"x\"\n",
		  "Content-Disposition: attachment; filename*0*=UTF-8''%C3%9F; filename*1=\"x\"\n" },
		{ "Content-Type: text/ü; ü=x; y=z\n", "Content-Type: text/\?\?; y=z\n" },
	};

	(void)state;
	CHECK(rows);
}

static void
test_long_names_of_files_are_cut_into_pieces(void **state)
{
	static const struct row row = {
		"Content-Type: a/b; name=\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddüüüüüü\"\n",
		"Content-Type: a/b; name*0*=UTF-8''aaaaaaaaaabbbbbbbbbbccccccccccddddddddd;\n"
		" name*1*=d%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC%C3%BC\n",
	};

	(void)state;
	check(&row);
}

/* No line of a long field gets too long, and no character is cut. */
static void
test_long_fields_are_folded(void **state)
{
	static const char *const units[] = { "ü", "名", "😀", "ü ", "aü", "a ü b " };
	static const char *const names[] = { "Subject", "To", "Date", "List-Id" };
	size_t u, f, n, i, col;

	(void)state;
	for (u = 0; u < sizeof(units) / sizeof(*units); u++) {
		for (f = 0; f < sizeof(names) / sizeof(*names); f++) {
			struct pst_buf in, out;
			struct pst_err err;

			pst_buf_init(&in, 65536);
			pst_buf_init(&out, POP3_SURROGATE_MAX);
			assert_int_equal(pst_buf_addf(&in, &err, "%s: ", names[f]), 0);
			for (n = 0; n < 300; n++)
				assert_int_equal(pst_buf_add(&in, pst_str_c(units[u]), &err), 0);
			assert_int_equal(pst_buf_add(&in, PST_LIT("\r\n"), &err), 0);
			assert_true(pop3_surrogate(pst_buf_view(&in), &out));
			for (i = 0, col = 0; i < out.len; i++) {
				assert_true((out.data[i] & 0x80) == 0);
				col = out.data[i] == '\n' ? 0 : col + 1;
				if (col > 79) /* with the CR */
					fail_msg("%s of %s: %.*s", names[f], units[u], 90,
					         out.data + i - col);
			}
			pst_buf_clear(&in);
			pst_buf_clear(&out);
		}
	}
}

static void
test_header_ends_at_the_first_empty_line(void **state)
{
	(void)state;
	assert_int_equal(pop3_header_octets(PST_LIT("")), 0);
	assert_int_equal(pop3_header_octets(PST_LIT("a: b\n")), 0);
	assert_int_equal(pop3_header_octets(PST_LIT("a: b\n\nc\n\n")), 6);
	assert_int_equal(pop3_header_octets(PST_LIT("a: b\r\n\r\nc")), 8);
	assert_int_equal(pop3_header_octets(PST_LIT("a\n \n\r\r\n\nx")), 8);
	assert_int_equal(pop3_header_octets(PST_LIT("\n")), 1);
	assert_int_equal(pop3_header_octets(PST_LIT("\r\n")), 2);
}

/* ---- Surveys ---- */

static int
store(const char *p, size_t n)
{
	int fd = memfd_create("message", 0);

	assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	return fd;
}

static void
survey(const char *text, const struct pst_gap *gaps, uint32_t count, uint64_t hidden,
       struct pst_measured *out)
{
	struct pst_err err;
	const struct pst_body body = { .fd = store(text, strlen(text)),
		                       .length = strlen(text) - hidden,
		                       .gaps = gaps,
		                       .gap_count = count };

	assert_int_equal(pop3_survey(&body, out, &err), 0);
	close(body.fd);
}

static void
test_survey_counts_both_forms(void **state)
{
	static const struct pst_gap gap = { 0, 8 };
	struct pst_measured m;

	(void)state;
	survey("Subject: a\n\nü\n", NULL, 0, 0, &m);
	assert_int_equal(m.size_octets, 18);
	assert_int_equal(m.surrogate_octets, 0);
	assert_false(m.crlf);
	survey("Subject: ü\r\n\r\nü\r\n", NULL, 0, 0, &m);
	assert_int_equal(m.size_octets, 19);
	assert_int_equal(m.surrogate_octets, 19 - 2 + 18);
	assert_true(m.crlf);
	survey("Subject: ü", NULL, 0, 0, &m); /* no line end anywhere */
	assert_int_equal(m.size_octets, 13);
	assert_int_equal(m.surrogate_octets, 13 - 2 + 18);
	survey("X-Ü: ü\nSubject: a\n\nb", &gap, 1, 8, &m); /* hidden */
	assert_int_equal(m.surrogate_octets, 0);
}

/* The header may be longer than what is read at a time, up to a bound. */
static void
test_survey_of_long_headers(void **state)
{
	static const size_t fields[] = { 10, 3000, 6000, 52428, 60000 };
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const bool fits = fields[i] * 20 + 13 <= POP3_HEAD_MAX;
		char *text = malloc((fields[i] + 2) * 20), *p = text;
		struct pst_measured m;

		for (n = 0; n < fields[i]; n++, p += 20)
			memcpy(p, "X-Field: some words\n", 20);
		memcpy(p, "Subject: \xc3\xbc\n\nbody\n", 19);
		survey(text, NULL, 0, 0, &m);
		assert_int_equal(m.surrogate_octets != 0, fits);
		if (fits)
			assert_int_equal(m.surrogate_octets, m.size_octets - 2 + 18);
		free(text);
	}
}

/* By the rule of pop3_header_octets, wherever the pieces of a message end. */
static void
test_survey_tells_whether_the_header_has_an_end(void **state)
{
	static const char likely[] = "\n\n\n\r\r\ra \0\xc3\xbc";
	char text[24], room[24];
	struct pst_measured m;
	unsigned long round;
	size_t i, n, step;
	unsigned seed = 5, without = 0;
	struct pst_err err;

	(void)state;
	for (round = 0; round < 3000; round++) {
		struct pst_body body = { .offset = 0 };

		n = round % sizeof(text);
		for (i = 0; i < n; i++) {
			seed = seed * 1103515245u + 12345u;
			text[i] = likely[(seed >> 16) % (sizeof(likely) - 1)];
		}
		body.fd = store(text, n);
		body.length = n;
		for (step = 1; step <= sizeof(room); step += 1 + step / 3) {
			assert_int_equal(pop3_survey_in(&body, room, step, &m, &err), 0);
			assert_int_equal(m.has_no_header_end,
			                 pop3_header_octets((struct pst_str){ text, n }) == 0);
		}
		without += m.has_no_header_end;
		close(body.fd);
	}
	assert_in_range(without, 300, 2700); /* of both kinds enough */
}

/* The empty line may come, or not, behind all that a surrogate is made of. */
static void
test_survey_looks_for_the_header_end_in_all_of_a_large_message(void **state)
{
	const size_t n = 2 * POP3_HEAD_MAX;
	char *text = malloc(n + 1);
	struct pst_measured m;
	size_t i;

	(void)state;
	for (i = 0; i < n; i++)
		text[i] = i % 64 == 63 ? '\n' : 'x';
	text[n] = '\0';
	survey(text, NULL, 0, 0, &m);
	assert_true(m.has_no_header_end);
	text[n - 2] = '\n';
	survey(text, NULL, 0, 0, &m);
	assert_false(m.has_no_header_end);
	text[n - 3] = '\n';
	text[n - 2] = '\r';
	survey(text, NULL, 0, 0, &m);
	assert_false(m.has_no_header_end);
	free(text);
}

static void
test_survey_of_a_cut_file_fails(void **state)
{
	struct pst_err err;
	struct pst_measured m;
	struct pst_body body = { .fd = store("Subject: \xc3\xbc\n", 12), .length = 13 };

	(void)state;
	assert_int_equal(pop3_survey(&body, &m, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	body.offset = UINT64_MAX;
	assert_int_equal(pop3_survey(&body, &m, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	close(body.fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_without_utf8_has_none),
		cmocka_unit_test(test_text_becomes_encoded_words),
		cmocka_unit_test(test_addresses_stay_usable_or_become_empty_groups),
		cmocka_unit_test(test_structured_fields),
		cmocka_unit_test(test_long_names_of_files_are_cut_into_pieces),
		cmocka_unit_test(test_long_fields_are_folded),
		cmocka_unit_test(test_header_ends_at_the_first_empty_line),
		cmocka_unit_test(test_survey_counts_both_forms),
		cmocka_unit_test(test_survey_of_long_headers),
		cmocka_unit_test(test_survey_tells_whether_the_header_has_an_end),
		cmocka_unit_test(test_survey_looks_for_the_header_end_in_all_of_a_large_message),
		cmocka_unit_test(test_survey_of_a_cut_file_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
