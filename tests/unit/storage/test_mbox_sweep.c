/* SPDX-License-Identifier: MIT */
/* What goes over many octets at a time finds what a loop over single ones does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/mbox/sweep.h"
#include "tests/unit/storage/mboxkit.h"

#define FROM "From a@example.test Thu Nov  9 22:06:57 2023\n"
#define READ_AT_ONCE ((size_t)256 * 1024) /* of scan.c: there its buffer ends */

static uint32_t seed;

static uint32_t
any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* ---- Memory ---- */

static uint64_t
plain_bare(const char *p, size_t n)
{
	uint64_t bare = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] == '\n' && *(p + i - 1) != '\r')
			bare++;
	return bare;
}

static size_t
plain_to_from(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const char *f = p + i;

		if (*f == 'F' && f[-1] == '\n' && (f[-2] == '\n' || f[-2] == '\r'))
			break;
	}
	return i;
}

/* At all distances from the strides, with all lengths of up to some of them. */
static void
test_sweeps_are_those_of_a_plain_loop(void **state)
{
	static const char letters[] = "\n\n\n\r\rFFrom xyz\0.\x8a\x8d\xc6";
	char text[SWEEP_BEFORE + 700];
	unsigned round;

	(void)state;
	for (round = 0; round < 60000; round++) {
		size_t at = SWEEP_BEFORE + any(140), n = any(400), i, want;
		uint32_t rare = 1 + any(80); /* one of so many is no plain text */
		uint64_t bare = 7;

		for (i = 0; i < sizeof(text); i++)
			text[i] = any(rare) == 0 ? letters[any(sizeof(letters) - 1)] : 'x';
		for (i = any(300); i + 3 < sizeof(text); i += 1 + any(300))
			memcpy(text + i, any(2) == 0 ? "\n\nF" : "\r\nF", 3);
		assert_int_equal(sweep_bare(text + at, n), plain_bare(text + at, n));
		want = plain_to_from(text + at, n);
		assert_int_equal(sweep_to_from(text + at, n, &bare), want);
		assert_int_equal(bare, 7 + plain_bare(text + at, want));
	}
}

static void
test_one_octet_beyond_ascii_is_found_anywhere(void **state)
{
	char text[64];
	size_t n, i;

	(void)state;
	memset(text, 0x7f, sizeof(text));
	for (n = 0; n <= sizeof(text); n++) {
		assert_true(sweep_is_ascii((struct pst_str){ text, n }));
		for (i = 0; i < n; i++) {
			text[i] = '\x80';
			assert_false(sweep_is_ascii((struct pst_str){ text, n }));
			text[i] = 0x7f;
		}
	}
}

/* ---- A file ---- */

struct part {
	size_t at, end, next;
	uint64_t wire;
};

static bool
is_next(const char *text, size_t n, size_t at)
{
	return mbox_from_line((struct pst_str){ text + at, n - at }) > 0;
}

/* A line of the message at a time: from p to an empty line that parts it from the next, or to the end.
 * There is no Content-Length, and no header that is hidden. */
static struct part
plain_part(const char *text, size_t n, size_t at)
{
	static struct mbox_header h;
	struct part part = { .at = at };
	size_t content, line, end, i;
	bool after_empty, is_header = true;

	mbox_header((struct pst_str){ text + at, n - at }, false, &h);
	assert_true(h.from_octets > 0 && h.gap_count == 0);
	content = at + h.from_octets;
	line = content + h.header_octets;
	after_empty = h.is_complete;
	part.end = line;
	while (line < n && !(after_empty && text[line - 1] == '\n' && is_next(text, n, line))) {
		for (end = line; end < n && text[end] != '\n'; end++)
			;
		end += end < n;
		after_empty = text[line - 1] == '\n' && text[end - 1] == '\n' &&
		              (end - line == 1 || (end - line == 2 && text[line] == '\r'));
		part.end = after_empty ? line : end;
		line = end;
		is_header = false;
	}
	part.next = line;
	if (is_header)
		part.end = line;
	for (i = content; i < part.end; i++)
		part.wire += 1 + (text[i] == '\n' && text[i - 1] != '\r');
	if (part.end > content && text[part.end - 1] != '\n')
		part.wire += 2;
	return part;
}

static void
check_file(struct mboxkit *k, const char *text, size_t n)
{
	struct mbox_scan s = {
		.host = &k->host,
		.policy = &k->self.policy,
		.path = "sweep",
		.max_messages = 100000,
	};
	int fd = memfd_create("mbox", MFD_CLOEXEC);
	struct pst_err err;
	size_t at = 0;
	uint32_t i;

	assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	assert_int_equal(mbox_scan(&s, fd, 0, n, &err), 0);
	for (i = 0; i < s.count; i++) {
		const struct mbox_message *m = &s.messages[i];
		struct part want = plain_part(text, n, at);

		assert_int_equal(m->offset, want.at);
		assert_int_equal(mbox_content_at(m) + m->content, want.end);
		assert_int_equal(mbox_end(m), want.next);
		assert_int_equal(m->wire, want.wire);
		at = want.next;
	}
	assert_int_equal(at, n);
	mbox_scan_clear(&s);
	close(fd);
}

static const char *const pieces[] = {
	"\n",        "\n",
	"\r\n",      "\r",
	"\n\n",      "\r\n\r\n",
	"\n\r\n",    "F",
	"From ",     "Fro\n",
	FROM,        ">" FROM,
	"\n" FROM,   "\r\n" FROM,
	"x",         "\n\n" FROM "A: 1\n\n",
	"\r" FROM,   "From a Thu Nov  9 22:06:57 2023\r\n",
	"For all\n", "A: 1\n",
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

static size_t
put(char *text, size_t at, const char *piece)
{
	size_t n = strlen(piece);

	memcpy(text + at, piece, n);
	return at + n;
}

static void
test_files_are_parted_as_by_lines(void **state)
{
	struct mboxkit *k = *state;
	static char text[16384];
	unsigned round;

	for (round = 0; round < 6000; round++) {
		size_t n = put(text, 0, FROM "A: 1\n");
		uint32_t count = any(60), plain = any(6) * 40;

		while (count-- > 0) {
			n = put(text, n, pieces[any(PIECES)]);
			if (plain > 0 && any(3) == 0) {
				uint32_t run = any(plain);

				memset(text + n, any(20) == 0 ? '\0' : 'y', run);
				n += run;
			}
		}
		check_file(k, text, n);
	}
}

/* Wherever the buffer ends in what parts two messages. */
static void
test_the_end_of_the_buffer_changes_nothing(void **state)
{
	static const char *const ends[] = {
		"\n\n" FROM "B: 2\n\ny\n",
		"\r\n\r\nFrom b Thu Nov  9 22:06:57 2023\r\nB: 2\r\n\r\ny\r\n",
		"\n\r\n" FROM "B: 2\r\n\n\n",
		"\n" FROM "no empty line\n\n\nFrom here to there\n\r\r\n" FROM "\n" FROM "B: 2",
	};
	struct mboxkit *k = *state;
	char *text = malloc(READ_AT_ONCE + 4096);
	size_t n, i, back;

	assert_non_null(text);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		for (back = 0; back < 1200; back += back < 200 ? 1 : 37) {
			n = put(text, 0, FROM "A: 1\n\n");
			memset(text + n, 'x', READ_AT_ONCE);
			text[n + 1000] = text[READ_AT_ONCE - 1300] = '\n';
			n = put(text, READ_AT_ONCE + 3 - back, ends[i]);
			check_file(k, text, n);
			check_file(k, text, READ_AT_ONCE); /* and where the file does */
		}
	}
	free(text);
}

/* A header that is longer than what is looked at first, and one that is longer than is searched. */
static void
test_long_headers_end_where_they_end(void **state)
{
	static const size_t about[] = { 8192, 65536 };
	struct mboxkit *k = *state;
	char *text = malloc(READ_AT_ONCE);
	size_t n, i, lines;
	int around;

	assert_non_null(text);
	for (i = 0; i < sizeof(about) / sizeof(about[0]); i++) {
		for (around = -80; around < 80; around++) {
			n = put(text, 0, FROM);
			for (lines = 0; lines < about[i] / 64 - 20; lines++)
				n = put(text, n,
				        "A: 3456789 123456789 123456789 123456789 123456789 "
				        "1234567890\r\n");
			while (n <
			       about[i] + (size_t)(strlen(FROM) + (size_t)(around + 80)) - 80 - 4)
				n = put(text, n, "b");
			n = put(text, n, "\r\n\r\n\r\n" FROM "B: 2\n\nFoo\n\n" FROM "C: 3\n\nx");
			check_file(k, text, n);
		}
	}
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, mboxkit_set_up, mboxkit_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweeps_are_those_of_a_plain_loop),
		cmocka_unit_test(test_one_octet_beyond_ascii_is_found_anywhere),
		TEST(test_files_are_parted_as_by_lines),
		TEST(test_the_end_of_the_buffer_changes_nothing),
		TEST(test_long_headers_end_where_they_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
