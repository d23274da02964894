/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pop3/body.h"
#include "tests/unit/pop3/naive_body.h"

#define RETR UINT64_MAX

static void
start(struct pop3_body *b, uint64_t lines)
{
	if (lines == RETR)
		pop3_body_retr(b);
	else
		pop3_body_top(b, lines);
}

/* Feeds in pieces of in_step octets into outputs of out_step octets, all of them of exactly that
 * size on the heap, so that a sanitizer sees one octet too much. */
static size_t
run_cut(struct pst_str in, uint64_t lines, size_t in_step, size_t out_step, char *out,
        uint64_t *octets_out)
{
	char *piece_out = malloc(out_step);
	struct pop3_body b;
	size_t at = 0, n = 0;
	char end[POP3_BODY_END];

	start(&b, lines);
	while (at < in.n && !b.done) {
		size_t len = in.n - at < in_step ? in.n - at : in_step;
		char *piece_in = malloc(len);
		struct pst_str view = { piece_in, len };

		memcpy(piece_in, in.p + at, len);
		while (view.n > 0 && !b.done) {
			size_t before = view.n;
			size_t got = pop3_body_feed(&b, &view, piece_out, out_step);

			assert_true(got <= out_step);
			assert_true(got > 0 || view.n < before); /* never stuck */
			memcpy(out + n, piece_out, got);
			n += got;
		}
		at += len;
		free(piece_in);
	}
	at = pop3_body_end(&b, end);
	memcpy(out + n, end, at);
	free(piece_out);
	*octets_out = b.octets;
	return n + at;
}

struct body_case {
	const char *name;
	struct pst_str in;
	uint64_t lines;
	struct pst_str out;
	uint64_t octets;
};

static const struct body_case cases[] = {
#define CASE(name, in, lines, out, octets)                                                         \
	{                                                                                          \
		name, PST_LIT(in), lines, PST_LIT(out), octets                                     \
	}
	CASE("empty message", "", RETR, ".\r\n", 0),
	CASE("LF", "a\nb\n", RETR, "a\r\nb\r\n.\r\n", 6),
	CASE("CRLF stays, no CR CR LF", "a\r\nb\r\n", RETR, "a\r\nb\r\n.\r\n", 6),
	CASE("mixed", "a\nb\r\nc\n", RETR, "a\r\nb\r\nc\r\n.\r\n", 9),
	CASE("bare CR passes", "a\rb\n", RETR, "a\rb\r\n.\r\n", 5),
	CASE("CR CR LF", "a\r\r\n", RETR, "a\r\r\n.\r\n", 4),
	CASE("no line end at the end", "a\nb", RETR, "a\r\nb\r\n.\r\n", 6),
	CASE("CR at the end is not half a line end", "a\r", RETR, "a\r\r\n.\r\n", 4),
	CASE("first octet a dot", ".a\n", RETR, "..a\r\n.\r\n", 4),
	CASE("lone dot first", ".\n", RETR, "..\r\n.\r\n", 3),
	CASE("lone dot without line end", ".", RETR, "..\r\n.\r\n", 3),
	CASE("lone dots", "a\n.\r\n.\n..\n", RETR, "a\r\n..\r\n..\r\n...\r\n.\r\n", 13),
	CASE("dot after a bare LF", "a\n.b", RETR, "a\r\n..b\r\n.\r\n", 7),
	CASE("dot after a bare CR is text", "a\r.b\n", RETR, "a\r.b\r\n.\r\n", 6),
	CASE("NUL and 8-bit pass", "a\0b\xff\xfe\n", RETR, "a\0b\xff\xfe\r\n.\r\n", 7),
	CASE("only line ends", "\n\n\r\n", RETR, "\r\n\r\n\r\n.\r\n", 6),
	CASE("TOP 0", "h\n\na\nb\n", 0, "h\r\n\r\n.\r\n", 5),
	CASE("TOP 0, CRLF", "h\r\n\r\na\r\nb\r\n", 0, "h\r\n\r\n.\r\n", 5),
	CASE("TOP 1", "h\n\na\nb\n", 1, "h\r\n\r\na\r\n.\r\n", 8),
	CASE("TOP of more than there is", "h\n\na\nb", 99, "h\r\n\r\na\r\nb\r\n.\r\n", 11),
	CASE("TOP of all that a number can say", "h\n\na\nb", UINT64_MAX - 1,
	     "h\r\n\r\na\r\nb\r\n.\r\n", 11),
	CASE("TOP without body", "h\n\n", 5, "h\r\n\r\n.\r\n", 5),
	CASE("TOP without blank line", "h\ni\n", 0, "h\r\ni\r\n.\r\n", 6),
	CASE("TOP without blank line or line end", "h\ni", 0, "h\r\ni\r\n.\r\n", 6),
	CASE("TOP of an empty message", "", 0, ".\r\n", 0),
	CASE("TOP, message starts with the blank line", "\na\nb\n", 1, "\r\na\r\n.\r\n", 5),
	CASE("TOP, a line of one CR is no blank line", "h\n\r\r\n\na\n", 0, "h\r\n\r\r\n\r\n.\r\n",
	     8),
	CASE("TOP, empty body lines count", "h\n\n\n\na\n", 2, "h\r\n\r\n\r\n\r\n.\r\n", 9),
	CASE("TOP, dots", ".h\n\n.\n.b\n", 1, "..h\r\n\r\n..\r\n.\r\n", 9),
#undef CASE
};

static void
test_body_gives_the_wire_form_wherever_it_is_cut(void **state)
{
	static const size_t in_steps[] = { 1, 2, 3, 7, 1000 };
	static const size_t out_steps[] = { 4, 5, 6, 7, 11, 1000 };
	size_t i, k, m;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (k = 0; k < 5; k++) {
			for (m = 0; m < 6; m++) {
				const struct body_case *c = &cases[i];
				uint64_t octets = 0;
				char out[64];
				size_t n = run_cut(c->in, c->lines, in_steps[k], out_steps[m], out,
				                   &octets);

				if (n != c->out.n || memcmp(out, c->out.p, n) != 0)
					fail_msg("%s: in %zu out %zu gave \"%.*s\"", c->name,
					         in_steps[k], out_steps[m], (int)n, out);
				assert_int_equal(octets, c->octets);
			}
		}
	}
}

static void
test_naive_reference_agrees_with_the_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct naive_reply r = naive_body(cases[i].in.p, cases[i].in.n, cases[i].lines);

		assert_int_equal(r.n, cases[i].out.n);
		assert_memory_equal(r.p, cases[i].out.p, r.n);
		assert_int_equal(r.octets, cases[i].octets);
		free(r.p);
	}
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Octets that matter are likely. */
static void
make_text(char *p, size_t n, uint32_t *seed)
{
	static const char likely[] = "\n\n\r\r\n..a\0\x80";
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = likely[next_random(seed) % (sizeof(likely) - 1)];
}

static void
test_body_equals_the_naive_reference_on_random_texts(void **state)
{
	static const uint64_t lines[] = { RETR, 0, 1, 2, 5, 1000 };
	uint32_t seed = 1;
	unsigned round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		char in[48], out[160];
		size_t n = next_random(&seed) % sizeof(in);
		uint64_t limit = lines[next_random(&seed) % 6];
		uint64_t octets = 0;
		struct naive_reply r;
		size_t got;

		make_text(in, n, &seed);
		r = naive_body(in, n, limit);
		got = run_cut((struct pst_str){ in, n }, limit, 1 + next_random(&seed) % 9,
		              4 + next_random(&seed) % 9, out, &octets);
		assert_int_equal(got, r.n);
		assert_memory_equal(out, r.p, got);
		assert_int_equal(octets, r.octets);
		free(r.p);
	}
}

static void
test_line_of_100_kb_passes_whole(void **state)
{
	const size_t n = 100000;
	char *in = malloc(n), *out = malloc(n + 16);
	uint64_t octets = 0;

	(void)state;
	memset(in, 'x', n);
	assert_int_equal(run_cut((struct pst_str){ in, n }, RETR, 4096, 4096, out, &octets), n + 5);
	assert_int_equal(octets, n + 2);
	assert_memory_equal(out, in, n);
	assert_memory_equal(out + n, "\r\n.\r\n", 5);
	free(in);
	free(out);
}

static void
test_top_takes_no_octet_beyond_its_last_line(void **state)
{
	struct pst_str in = PST_LIT("h\r\n\r\na\r\nb\r\n");
	struct pop3_body b;
	char out[64];

	(void)state;
	pop3_body_top(&b, 1);
	assert_int_equal(pop3_body_feed(&b, &in, out, sizeof(out)), 8);
	assert_true(b.done);
	assert_int_equal(in.n, 3);
	assert_int_equal(pop3_body_feed(&b, &in, out, sizeof(out)), 0);
}

static void
test_size_is_what_retr_sends_wherever_it_is_cut(void **state)
{
	uint32_t seed = 7;
	unsigned round;

	(void)state;
	for (round = 0; round < 20000; round++) {
		char in[48];
		size_t n = next_random(&seed) % sizeof(in), at = 0;
		struct naive_reply r;
		struct pop3_size s;

		make_text(in, n, &seed);
		r = naive_body(in, n, RETR);
		pop3_size_init(&s);
		while (at < n) {
			size_t len = 1 + next_random(&seed) % 9;

			if (len > n - at)
				len = n - at;
			pop3_size_feed(&s, (struct pst_str){ in + at, len });
			at += len;
		}
		assert_int_equal(pop3_size_end(&s), r.octets);
		assert_int_equal(pop3_size_end(&s), r.octets); /* asking twice adds nothing */
		free(r.p);
	}
}

/* Wherever RETR or TOP stop: behind the line end that is sent for a last line without one. */
static void
test_line_that_is_added_is_behind_all_others_and_counts(void **state)
{
	static const struct {
		struct pst_str in;
		const char *out;
		uint64_t octets;
	} texts[] = {
		{ PST_LIT(""), "\r\n.\r\n", 2 },
		{ PST_LIT("h\n"), "h\r\n\r\n.\r\n", 5 },
		{ PST_LIT("h\r\n"), "h\r\n\r\n.\r\n", 5 },
		{ PST_LIT("h\ni"), "h\r\ni\r\n\r\n.\r\n", 8 },
		{ PST_LIT("h\r"), "h\r\r\n\r\n.\r\n", 6 },
		{ PST_LIT("."), "..\r\n\r\n.\r\n", 5 },
	};
	static const uint64_t lines[] = { RETR, 0, 1, 1000 };
	struct pop3_body b;
	char out[64];
	size_t i, k, n;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (k = 0; k < 4; k++) {
			struct pst_str in = texts[i].in;

			start(&b, lines[k]);
			b.adds_line = true;
			n = pop3_body_feed(&b, &in, out, sizeof(out));
			n += pop3_body_end(&b, out + n);
			assert_int_equal(n, strlen(texts[i].out));
			assert_memory_equal(out, texts[i].out, n);
			assert_int_equal(b.octets, texts[i].octets);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_gives_the_wire_form_wherever_it_is_cut),
		cmocka_unit_test(test_naive_reference_agrees_with_the_table),
		cmocka_unit_test(test_body_equals_the_naive_reference_on_random_texts),
		cmocka_unit_test(test_line_of_100_kb_passes_whole),
		cmocka_unit_test(test_top_takes_no_octet_beyond_its_last_line),
		cmocka_unit_test(test_line_that_is_added_is_behind_all_others_and_counts),
		cmocka_unit_test(test_size_is_what_retr_sends_wherever_it_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
