/* SPDX-License-Identifier: MIT */
/* Lines that are kept with a maildrop: all whole ones are read, never more than the room, and no others'
 * files are touched. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/index/notes.h"
#include "tests/unit/storage/faults.h"
#include "tests/unit/storage/kit.h"

struct got {
	char text[65536];
	size_t n;
	unsigned lines;
};

static void
on_line(void *arg, struct pst_str line)
{
	struct got *g = arg;

	assert_true(g->n + line.n + 1 < sizeof(g->text));
	memcpy(g->text + g->n, line.p, line.n);
	g->n += line.n;
	g->text[g->n++] = '\n';
	g->text[g->n] = '\0';
	g->lines++;
}

static struct notes_file
file_of(const struct kit *k, int *dirfd)
{
	*dirfd = open(k->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*dirfd >= 0);
	return (struct notes_file){ *dirfd, "h", "h.old", false };
}

static int
add(const struct kit *k, const char *line, uint64_t max, struct pst_err *err)
{
	int dirfd, rc;
	struct notes_file f = file_of(k, &dirfd);

	rc = notes_add(&f, pst_str_c(line), max, err);
	close(dirfd);
	return rc;
}

static void
assert_notes(const struct kit *k, const char *want)
{
	static struct got g;
	struct pst_err err;
	int dirfd;
	struct notes_file f = file_of(k, &dirfd);

	g = (struct got){ .n = 0 };
	assert_int_equal(notes_read(&f, on_line, &g, &err), 0);
	close(dirfd);
	assert_string_equal(g.text, want);
}

static void
spew(const struct kit *k, const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", k->root, name);
	kit_spew(path, text, strlen(text));
}

static void
test_lines_are_read_in_their_order(void **state)
{
	struct kit *k = *state;
	struct pst_err err;

	assert_notes(k, "");
	assert_int_equal(add(k, "one", 10000, &err), 0);
	assert_int_equal(add(k, "", 10000, &err), 0);
	assert_int_equal(add(k, "two words .", 10000, &err), 0);
	assert_notes(k, "one\n\ntwo words .\n");
}

static void
test_never_more_than_the_room_and_the_oldest_goes(void **state)
{
	struct kit *k = *state;
	struct pst_err err;
	char line[40], path[256];
	struct stat st;
	int dirfd, i;
	static struct got g;
	struct notes_file f;

	for (i = 0; i < 300; i++) {
		(void)snprintf(line, sizeof(line), "line %04d 0123456789", i);
		assert_int_equal(add(k, line, 1000, &err), 0);
		(void)snprintf(path, sizeof(path), "%s/h", k->root);
		assert_int_equal(stat(path, &st), 0);
		assert_in_range(st.st_size, 1, 500);
	}
	f = file_of(k, &dirfd);
	g = (struct got){ .n = 0 };
	assert_int_equal(notes_read(&f, on_line, &g, &err), 0);
	close(dirfd);
	assert_in_range(g.lines, 20, 45);
	assert_string_equal(g.text + g.n - 21, "line 0299 0123456789\n");
}

static void
test_torn_lines_are_passed_over(void **state)
{
	struct kit *k = *state;
	struct pst_err err;

	spew(k, "h", "whole .\ntorn\nshort .\nbell\a .\n .\nlast to");
	assert_notes(k, "whole\nshort\n\n");
	assert_int_equal(add(k, "next", 10000, &err), 0);
	assert_notes(k, "whole\nshort\n\nnext\n");
}

static void
test_control_characters_are_refused(void **state)
{
	struct kit *k = *state;
	struct pst_err err;

	assert_int_equal(add(k, "one\ntwo", 10000, &err), -1);
	assert_int_equal(add(k, "bell\a", 10000, &err), -1);
	assert_notes(k, "");
}

static void
test_links_and_fifos_are_left_alone(void **state)
{
	struct kit *k = *state;
	struct pst_err err;
	char path[256], other[256];

	(void)snprintf(path, sizeof(path), "%s/h", k->root);
	(void)snprintf(other, sizeof(other), "%s/other", k->root);
	spew(k, "other", "x");
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(add(k, "one", 10000, &err), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(other, path), 0);
	assert_int_equal(add(k, "one", 10000, &err), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(add(k, "one", 10000, &err), -1);
}

static int
add_in_child(struct kit *k, const char *line, enum fault_how how, int at)
{
	struct pst_err err;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fault_set(how, at);
		(void)add(k, line, 20, &err);
		_exit(how == FAULT_NONE ? fault_calls() : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* One line before, which the next one makes the old file of. */
static void
test_wherever_it_dies_the_line_before_is_there_and_the_next_is_whole(void **state)
{
	static const enum fault_how hows[] = { FAULT_DIE_BEFORE, FAULT_DIE_HALFWAY, FAULT_DIE_AFTER,
		                               FAULT_FULL, FAULT_FULL_HALFWAY };
	struct kit *k = *state;
	struct pst_err err;
	char path[256];
	int at, calls;
	size_t i;

	spew(k, "h", "before .\n");
	calls = add_in_child(k, "second", FAULT_NONE, 0);
	assert_int_equal(calls, 4); /* open, rename, open, write */
	for (i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		for (at = 0; at < calls; at++) {
			char *text;

			(void)snprintf(path, sizeof(path), "%s/h.old", k->root);
			(void)unlink(path);
			spew(k, "h", "before .\n");
			(void)add_in_child(k, "second", hows[i], at);
			assert_int_equal(add(k, "third", 1000, &err), 0);
			(void)snprintf(path, sizeof(path), "%s/h", k->root);
			kit_slurp(path, &text);
			assert_non_null(strstr(text, "third .\n"));
			free(text);
			{
				static struct got g;
				int dirfd;
				struct notes_file f = file_of(k, &dirfd);

				g = (struct got){ .n = 0 };
				assert_int_equal(notes_read(&f, on_line, &g, &err), 0);
				close(dirfd);
				if (strcmp(g.text, "before\nsecond\nthird\n") != 0)
					assert_string_equal(g.text, "before\nthird\n");
			}
		}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_lines_are_read_in_their_order),
		TEST(test_never_more_than_the_room_and_the_oldest_goes),
		TEST(test_torn_lines_are_passed_over),
		TEST(test_control_characters_are_refused),
		TEST(test_links_and_fifos_are_left_alone),
		TEST(test_wherever_it_dies_the_line_before_is_there_and_the_next_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
