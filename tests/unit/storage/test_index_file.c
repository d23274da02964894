/* SPDX-License-Identifier: MIT */
/* Index files: at every moment the name leads to a whole one, and no file in the way does harm. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/index/index.h"
#include "tests/unit/storage/kit.h"

#define MAX ((size_t)1 << 24)

struct box {
	struct kit kit;
	struct index_file file;
	char name[512], spare[512];
};

static int
set_up(void **state)
{
	struct box *b = calloc(1, sizeof(*b));

	kit_init(&b->kit);
	kit_path(&b->kit, "i", b->name);
	kit_path(&b->kit, "s", b->spare);
	b->file = (struct index_file){ AT_FDCWD, b->name, b->spare, false };
	*state = b;
	return 0;
}

static int
tear_down(void **state)
{
	struct box *b = *state;

	kit_clear(&b->kit);
	free(b);
	return 0;
}

/* An index of n messages with names of 50 octets. */
static void
make(struct index *ix, uint32_t n, uint64_t generation)
{
	struct index_message m = { .wire_octets = 5 };
	struct index_builder b;
	struct pst_err err;
	char name[64];
	uint32_t i;

	*ix = (struct index){ .octets = 0 };
	assert_int_equal(index_build(&b, ix, n, 0, (size_t)n * 50, &err), 0);
	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%050u", i);
		m.name = m.identity = m.uidl = (struct pst_str){ name, 50 };
		index_add(&b, &m, 0);
	}
	ix->head.generation = generation;
}

static int
write_index(const struct box *b, uint32_t n, uint64_t generation, struct pst_err *err)
{
	struct index_writer w;
	struct index ix;
	int rc;

	make(&ix, n, generation);
	rc = index_write_begin(&w, &b->file, &ix, err);
	if (rc == 0)
		rc = index_write_end(&w, &ix, err);
	index_clear(&ix);
	return rc;
}

static void
must_write(const struct box *b, uint32_t n, uint64_t generation)
{
	struct pst_err err;

	if (write_index(b, n, generation, &err) != 0)
		fail_msg("%s", err.text);
}

static void
assert_loads(const struct box *b, uint32_t n, uint64_t generation)
{
	struct index ix = { .octets = 0 };
	struct index_message m;
	const char *why = NULL;
	char name[64];

	assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_LOADED);
	assert_int_equal(ix.listed, n);
	assert_int_equal(ix.head.generation, generation);
	if (n > 0) {
		index_at(&ix, n - 1, &m);
		(void)snprintf(name, sizeof(name), "%050u", n - 1);
		assert_memory_equal(m.name.p, name, 50);
	}
	index_clear(&ix);
}

static void
assert_refused(const struct box *b)
{
	struct index ix = { .octets = 0 };
	const char *why = NULL;

	assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_BAD);
	assert_non_null(why);
	assert_null(ix.mem.p);
}

static void
test_file_of_any_length_is_written_over_and_read(void **state)
{
	static const uint32_t counts[] = { 0, 1, 50, 189, 190, 191, 192, 5000, 3, 0, 200, 1 };
	const struct box *b = *state;
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		must_write(b, counts[i], i);
		assert_loads(b, counts[i], i);
	}
	must_write(b, 1, 100);
	must_write(b, 1, 101);
	assert_int_equal(stat(b->name, &st), 0);
	assert_true(st.st_size < 100000); /* what 5,000 messages took was given back */
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
test_file_not_there_is_none_and_the_spare_does_not_count(void **state)
{
	const struct box *b = *state;
	struct index ix = { .octets = 0 };
	const char *why = NULL;

	assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_NONE);
	must_write(b, 3, 1);
	must_write(b, 4, 2);
	assert_int_equal(unlink(b->name), 0); /* an admin wants it made anew */
	assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_NONE);
}

static void
test_file_torn_by_a_crash_leaves_the_spare(void **state)
{
	const struct box *b = *state;
	struct index ix = { .octets = 0 };
	const char *why = NULL;

	must_write(b, 3, 1);
	must_write(b, 4, 2);
	assert_loads(b, 4, 2);
	assert_int_equal(truncate(b->name, 0), 0);
	assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_LOADED);
	assert_non_null(why); /* so that it is logged */
	assert_int_equal(ix.listed, 3);
	index_clear(&ix);
	must_write(b, 5, 3);
	assert_loads(b, 5, 3);
}

static void
test_file_of_other_kinds_is_refused_at_once(void **state)
{
	const struct box *b = *state;

	assert_int_equal(mkfifo(b->name, 0600), 0);
	assert_refused(b);
	assert_int_equal(unlink(b->name), 0);
	assert_int_equal(symlink("/dev/zero", b->name), 0);
	assert_refused(b);
	assert_int_equal(unlink(b->name), 0);
	assert_int_equal(mkdir(b->name, 0700), 0);
	assert_refused(b);
	assert_int_equal(rmdir(b->name), 0);
	kit_spew(b->name, "", 0);
	assert_refused(b);
	kit_spew(b->name, "PSTINDEX", 8);
	assert_refused(b);
}

static void
test_file_that_says_it_is_huge_takes_no_memory(void **state)
{
	const struct box *b = *state;
	char *text;
	size_t n;

	must_write(b, 400, 1); /* more than the first read */
	n = kit_slurp(b->name, &text);
	memset(text + 16, 0xff, 6); /* its length */
	kit_spew(b->name, text, n);
	assert_refused(b);
	memset(text + 16, 0, 8);
	memset(text + 18, 0x40, 1); /* 4 MiB: below the limit, beyond the file */
	kit_spew(b->name, text, n);
	assert_refused(b);
	free(text);
}

/* Something stands where the spare is written. */
static void
test_file_is_written_past_what_is_in_the_way(void **state)
{
	const struct box *b = *state;
	char *text, victim[512];

	kit_path(&b->kit, "cur/victim", victim);
	kit_spew(victim, "mail", 4);
	assert_int_equal(link(victim, b->spare), 0); /* a second name of a message */
	must_write(b, 2, 1);
	assert_loads(b, 2, 1);
	assert_int_equal(kit_slurp(victim, &text), 4);
	assert_string_equal(text, "mail");
	free(text);
	(void)unlink(b->spare);

	assert_int_equal(symlink(victim, b->spare), 0);
	must_write(b, 3, 2);
	assert_loads(b, 3, 2);
	assert_int_equal(kit_slurp(victim, &text), 4);
	free(text);
	(void)unlink(b->spare);

	assert_int_equal(mkfifo(b->spare, 0600), 0);
	must_write(b, 4, 3);
	assert_loads(b, 4, 3);

	(void)unlink(b->spare);
	kit_spew(b->spare, "left by a writer that died", 26);
	must_write(b, 5, 4);
	assert_loads(b, 5, 4);
}

static void
test_file_owner_is_checked_in_a_shared_folder(void **state)
{
	struct box *b = *state;

	if (geteuid() != 0)
		skip(); /* only root can give files away */
	b->file.check_owner = true;
	must_write(b, 3, 1);
	assert_loads(b, 3, 1);
	assert_int_equal(chown(b->name, 12345, 12345), 0);
	assert_refused(b);
	must_write(b, 4, 2); /* the stranger's file is now the spare */
	assert_loads(b, 4, 2);
	must_write(b, 5, 3); /* and is not written to */
	assert_loads(b, 5, 3);
}

static void
test_file_write_that_fails_leaves_the_old_one(void **state)
{
	const struct box *b = *state;
	struct rlimit old, small;
	struct pst_err err;
	struct stat st;

	must_write(b, 10, 1);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(write_index(b, 5000, 2, &err), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_loads(b, 10, 1);
	assert_int_not_equal(stat(b->spare, &st), 0); /* it gave its room back */
	must_write(b, 11, 3);
	assert_loads(b, 11, 3);
}

static void
test_file_write_into_a_missing_folder_fails(void **state)
{
	struct box *b = *state;
	struct pst_err err;

	kit_path(&b->kit, "none/i", b->name);
	kit_path(&b->kit, "none/s", b->spare);
	assert_int_equal(write_index(b, 1, 1, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
}

/* kill -9 at any time: a reader always finds a whole one, and generations never go back. */
static void
test_file_is_whole_whenever_its_writer_is_killed(void **state)
{
	const struct box *b = *state;
	uint64_t last = 0;
	int round;

	must_write(b, 700, 0);
	for (round = 0; round < 60; round++) {
		struct index ix = { .octets = 0 };
		const char *why = NULL;
		struct timespec ts = { 0, round * 41000 };
		int wrote[2];
		char octet;
		pid_t pid;

		assert_int_equal(pipe(wrote), 0);
		pid = fork();
		if (pid == 0) {
			struct pst_err err;
			uint64_t g;

			for (g = last + 1;; g++)
				if (write_index(b, 700 + (uint32_t)(g % 3) * 100, g, &err) != 0 ||
				    (g == last + 1 && write(wrote[1], "x", 1) != 1))
					_exit(1);
		}
		assert_int_equal(read(wrote[0], &octet, 1), 1);
		close(wrote[0]);
		close(wrote[1]);
		(void)nanosleep(&ts, NULL); /* so that it dies at many places */
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(index_load(&ix, &b->file, MAX, &why), INDEX_LOADED);
		assert_null(why);
		assert_true(ix.head.generation > last);
		assert_int_equal(ix.listed, 700 + ix.head.generation % 3 * 100);
		last = ix.head.generation;
		index_clear(&ix);
	}
	assert_true(last >= 60);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_file_of_any_length_is_written_over_and_read),
		T(test_file_not_there_is_none_and_the_spare_does_not_count),
		T(test_file_torn_by_a_crash_leaves_the_spare),
		T(test_file_of_other_kinds_is_refused_at_once),
		T(test_file_that_says_it_is_huge_takes_no_memory),
		T(test_file_is_written_past_what_is_in_the_way),
		T(test_file_owner_is_checked_in_a_shared_folder),
		T(test_file_write_that_fails_leaves_the_old_one),
		T(test_file_write_into_a_missing_folder_fails),
		T(test_file_is_whole_whenever_its_writer_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
