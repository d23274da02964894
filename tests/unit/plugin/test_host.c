/* SPDX-License-Identifier: MIT */
/* The functions that a plugin is given. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/log.h"
#include "plugin/host.h"

static struct plugin_host h;
static char log_path[] = "/tmp/postern-test-host-XXXXXX";

static int
open_host(void **state)
{
	struct pst_err err;
	int fd = mkstemp(log_path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	plugin_host_init(&h, "mine", "auth", "conf");
	return pst_log_open(log_path, &err);
}

static int
close_host(void **state)
{
	struct pst_err err;

	(void)state;
	(void)unlink(log_path);
	return pst_log_open("stderr", &err);
}

static void
test_table_is_whole_and_bears_its_size(void **state)
{
	const struct pst_host *host = &h.host;

	(void)state;
	assert_int_equal(host->size, sizeof(struct pst_host));
	assert_string_equal(host->worker, "auth");
	assert_string_equal(host->conf, "conf");
	assert_true(host->log != NULL && host->copy != NULL && host->alloc != NULL &&
	            host->random != NULL && host->sha256 != NULL && host->equal != NULL &&
	            host->now_ms != NULL && host->measure != NULL);
}

static void
test_log_line_bears_the_plugins_name_and_stays_one_line(void **state)
{
	char text[4096] = "";
	FILE *f;

	(void)state;
	h.host.log(&h.host, PST_LOG_WARN, "my.event", "a=%d b=%s", 5, "x\ny");
	h.host.log(&h.host, PST_LOG_DEBUG, "not.wanted", "a=1");
	h.host.log(&h.host, PST_LOG_INFO, "bare", "%s", "");
	f = fopen(log_path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_non_null(strstr(text, " warn my.event "));
	assert_non_null(strstr(text, " plugin=mine a=5 b=x\\x0ay\n"));
	assert_non_null(fgets(text, sizeof(text), f));
	assert_non_null(strstr(text, " info bare "));
	assert_non_null(strstr(text, " plugin=mine\n"));
	assert_null(fgets(text, sizeof(text), f));
	fclose(f);
}

static void
test_memory_random_digest_and_comparison_work(void **state)
{
	static const uint8_t of_abc[] = { 0xba, 0x78, 0x16, 0xbf }; /* FIPS 180-2, appendix B */
	struct pst_arena *arena = pst_arena_create();
	uint8_t digest[32], a[32] = { 0 }, b[32] = { 0 };
	const char *zeroed = h.host.alloc(arena, 100);
	size_t i;

	(void)state;
	assert_string_equal(h.host.copy(arena, (struct pst_str){ "abcd", 2 }), "ab");
	for (i = 0; i < 100; i++)
		assert_int_equal(zeroed[i], 0);
	h.host.sha256("abc", 3, digest);
	assert_memory_equal(digest, of_abc, sizeof(of_abc));
	h.host.md5("abc", 3, digest); /* RFC 1321, appendix A.5 */
	assert_memory_equal(digest,
	                    "\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72", 16);
	h.host.random(a, sizeof(a));
	h.host.random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_true(h.host.equal(PST_LIT("ab"), PST_LIT("ab")));
	assert_false(h.host.equal(PST_LIT("ab"), PST_LIT("abc")));
	assert_true(h.host.now_ms() > 0);
	pst_arena_destroy(arena);
}

static int
file_with(struct pst_str octets, size_t before)
{
	char path[] = "/tmp/postern-test-body-XXXXXX";
	int fd = mkstemp(path);
	size_t i;

	assert_true(fd >= 0);
	(void)unlink(path);
	for (i = 0; i < before; i++)
		assert_int_equal(write(fd, "\n", 1), 1);
	assert_int_equal(write(fd, octets.p, octets.n), octets.n);
	return fd;
}

static void
test_measure_counts_octets_of_the_wire_and_knows_pure_crlf(void **state)
{
	static const struct {
		struct pst_str stored;
		uint64_t octets;
		bool crlf;
	} rows[] = {
		{ PST_LIT("a\r\nb\r\n"), 6, true },  { PST_LIT("\r\n"), 2, true },
		{ PST_LIT(".\r\n..\r\n"), 7, true }, { PST_LIT("a\0\r\n\xff\r\n"), 7, true },
		{ PST_LIT("a\nb\n"), 6, false },     { PST_LIT("a\r\nb\n"), 6, false },
		{ PST_LIT("a\r\nb"), 6, false },     { PST_LIT("a"), 3, false },
	};
	size_t i, before;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (before = 0; before < 3; before++) {
			int fd = file_with(rows[i].stored, before);
			struct pst_err err;
			uint64_t octets = 0;
			bool crlf = !rows[i].crlf;

			assert_int_equal(
				h.host.measure(fd, before, rows[i].stored.n, &octets, &crlf, &err),
				0);
			if (octets != rows[i].octets || crlf != rows[i].crlf)
				fail_msg("row %zu: %u octets, crlf %d", i, (unsigned)octets, crlf);
			close(fd);
		}
}

static void
test_measure_reads_a_file_of_many_pieces(void **state)
{
	const size_t lines = 30000;
	char *text = malloc(lines * 7);
	struct pst_err err;
	uint64_t octets;
	bool crlf;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < lines; i++)
		memcpy(text + i * 7, "abcde\r\n", 7);
	fd = file_with((struct pst_str){ text, lines * 7 }, 0);
	assert_int_equal(h.host.measure(fd, 0, lines * 7, &octets, &crlf, &err), 0);
	assert_int_equal(octets, lines * 7);
	assert_true(crlf);
	assert_int_equal(h.host.measure(fd, 1, lines * 7 - 2, &octets, &crlf, &err), 0);
	assert_int_equal(octets, lines * 7 - 1 + 1); /* ends with CR alone: CRLF is added */
	assert_false(crlf);
	close(fd);
	free(text);
}

static void
test_measure_of_nothing_and_past_the_end(void **state)
{
	int fd = file_with(PST_LIT("abc"), 0);
	struct pst_err err = { 0 };
	uint64_t octets = 9;
	bool crlf = true;

	(void)state;
	assert_int_equal(h.host.measure(fd, 0, 0, &octets, &crlf, &err), 0);
	assert_false(crlf);
	assert_int_equal(h.host.measure(fd, 0, 4, &octets, &crlf, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_int_equal(h.host.measure(fd, UINT64_MAX, 1, &octets, &crlf, &err), -1);
	assert_int_equal(h.host.measure(fd, 1, INT64_MAX, &octets, &crlf, &err), -1);
	assert_int_equal(h.host.measure(-1, 0, 1, &octets, &crlf, &err), -1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_whole_and_bears_its_size),
		cmocka_unit_test(test_log_line_bears_the_plugins_name_and_stays_one_line),
		cmocka_unit_test(test_memory_random_digest_and_comparison_work),
		cmocka_unit_test(test_measure_counts_octets_of_the_wire_and_knows_pure_crlf),
		cmocka_unit_test(test_measure_reads_a_file_of_many_pieces),
		cmocka_unit_test(test_measure_of_nothing_and_past_the_end),
	};

	return cmocka_run_group_tests(tests, open_host, close_host);
}
