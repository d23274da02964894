/* SPDX-License-Identifier: MIT */
/* A Maildir that others change during a session, and while it is being read. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/kit.h"

/* So long that what a test just did is young, however busy the machine is. */
#define LONG_MARGIN_NS INT64_C(60000000000)

static void
assert_listing(const struct pst_maildrop *d, const char *want)
{
	char *got = kit_listing(d);

	assert_string_equal(got, want);
	free(got);
}

static void
assert_lists(struct kit *k, const char *want)
{
	struct pst_maildrop *d = kit_open(k);

	assert_listing(d, want);
	drop_close(d);
}

static void
assert_fetch(struct pst_maildrop *d, uint32_t idx, const char *want)
{
	struct pst_err err;
	size_t n;
	char *wire = kit_fetch(d, idx, &n, &err);

	if (wire == NULL)
		fail_msg("%s", err.text);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(wire, want, n);
	free(wire);
}

static void
assert_fetch_fails(struct pst_maildrop *d, uint32_t idx, enum pst_err_kind kind)
{
	struct pst_body body;
	struct pst_err err;

	assert_int_equal(drop_fetch(d, idx, 0, &body, &err), PST_FETCH_ERROR);
	assert_int_equal(err.kind, kind);
}

static void
test_renamed_messages_are_found_again(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	int round;

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	kit_puts(k, "cur", "3.c:2,", "c\n");
	d = kit_open(k);
	kit_rename(k, "new/1.a", "cur/1.a:2,S");
	kit_rename(k, "cur/3.c:2,", "cur/3.c:2,FS");
	for (round = 0; round < 2; round++) {
		assert_fetch(d, 2, "c\r\n.\r\n");
		assert_fetch(d, 0, "a\r\n.\r\n");
		assert_fetch(d, 1, "b\r\n.\r\n");
	}
	kit_rename(k, "new/2.b", "cur/2.b:2,");
	kit_rename(k, "cur/1.a:2,S", "new/1.a");
	assert_fetch(d, 0, "a\r\n.\r\n");
	assert_fetch(d, 1, "b\r\n.\r\n");
	assert_listing(d, "1.a 3\n2.b 3\n3.c 3\n");
	drop_close(d);
}

static void
test_vanished_message_is_an_error_and_the_session_goes_on(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_body body;
	struct pst_err err;

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	d = kit_open(k);
	kit_unlink(k, "new/1.a");
	assert_int_equal(drop_fetch(d, 0, PST_FETCH_NOWAIT, &body, &err), PST_FETCH_WAIT);
	assert_fetch_fails(d, 0, PST_E_PERM);
	assert_fetch_fails(d, 0, PST_E_PERM);
	assert_fetch(d, 1, "b\r\n.\r\n");
	assert_listing(d, "1.a 3\n2.b 3\n");
	drop_close(d);
	assert_lists(k, "2.b 3\n");
}

static void
test_message_that_comes_back_is_found_when_others_are_looked_for(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	d = kit_open(k);
	kit_rename(k, "new/1.a", "away");
	assert_fetch_fails(d, 0, PST_E_PERM);
	kit_rename(k, "away", "cur/1.a:2,");
	kit_rename(k, "new/2.b", "cur/2.b:2,");
	assert_fetch(d, 1, "b\r\n.\r\n");
	assert_fetch(d, 0, "a\r\n.\r\n");
	drop_close(d);
}

static void
test_message_changed_in_place_is_refused_and_counted_anew(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct index ix;
	char path[512];

	k->self.margin_ns = MAILDIR_MARGIN_NS;
	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	d = kit_open(k);
	kit_path(k, "new/1.a", path);
	kit_spew(path, "longer\n", 7);
	assert_fetch_fails(d, 0, PST_E_TEMP);
	assert_fetch_fails(d, 0, PST_E_TEMP);
	assert_fetch(d, 1, "b\r\n.\r\n");
	assert_int_equal(kit_message(d, 0).size_octets, 3); /* what was said stays said */
	drop_close(d);
	assert_true(kit_load_index(k, &ix));
	assert_false(ix.head.places[PLACE_NEW].is_trusted);
	index_clear(&ix);
	d = kit_open(k);
	assert_listing(d, "1.a 8\n2.b 3\n");
	assert_fetch(d, 0, "longer\r\n.\r\n");
	drop_close(d);
	assert_int_equal(k->measured, 3);
}

static void
test_message_replaced_by_something_else_is_refused(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	char path[512], target[512];

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	kit_puts(k, "cur", "3.c:2,", "c\n");
	d = kit_open(k);
	kit_path(k, "new/2.b", path);
	kit_path(k, "new/1.a", target);
	kit_unlink(k, "new/2.b");
	assert_int_equal(symlink(target, path), 0);
	assert_fetch_fails(d, 1, PST_E_PERM);
	d->no_openat2 = true;
	assert_fetch_fails(d, 1, PST_E_PERM);
	d->no_openat2 = false;
	kit_unlink(k, "new/2.b");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fetch_fails(d, 1, PST_E_TEMP);

	kit_path(k, "cur", path); /* a whole folder replaced by a link out of the Maildir */
	kit_path(k, "elsewhere", target);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_fetch_fails(d, 2, PST_E_PERM);
	d->no_openat2 = true;
	assert_fetch_fails(d, 2, PST_E_PERM);
	drop_close(d);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(target, path), 0);
}

static void
test_fetch_without_openat2_or_without_waiting_gives_the_same(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	enum pst_fetch_result result;
	struct pst_body body;
	struct pst_err err;
	bool was_cached = false;
	int i;

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "cur", "2.b:2,", "b\r\n");
	d = kit_open(k);
	for (i = 0; i < 4; i++) {
		result = drop_fetch(d, i % 2, PST_FETCH_NOWAIT, &body, &err);
		assert_true(result == PST_FETCH_OK || result == PST_FETCH_WAIT);
		if (result == PST_FETCH_OK) {
			was_cached = true;
			assert_int_equal(body.length, i % 2 + 2);
			assert_int_equal(body.crlf, i % 2 == 1);
			close(body.fd);
		}
	}
	(void)was_cached; /* some file systems never say so */
	d->no_openat2 = true;
	assert_int_equal(drop_fetch(d, 0, PST_FETCH_NOWAIT, &body, &err), PST_FETCH_WAIT);
	assert_fetch(d, 0, "a\r\n.\r\n");
	assert_fetch(d, 1, "b\r\n.\r\n");
	kit_rename(k, "new/1.a", "cur/1.a:2,");
	assert_fetch(d, 0, "a\r\n.\r\n");
	kit_unlink(k, "cur/1.a:2,");
	assert_fetch_fails(d, 0, PST_E_PERM);
	drop_close(d);
}

/* ---- While it is being read ---- */

#define BUSY 60

struct mover {
	struct kit *k;
	char names[BUSY][2][64]; /* where each is, and where it goes next */
	atomic_bool stop;
	unsigned long moves;
};

static void *
move_about(void *arg)
{
	struct mover *m = arg;
	static const struct {
		const char *sub, *flags;
	} forms[] = { { "new", "" }, { "cur", ":2," }, { "cur", ":2,S" }, { "cur", ":2,RS" } };
	unsigned step = 1;
	char to[64];
	int i;

	while (!m->stop) {
		for (i = 0; i < BUSY; i++) {
			unsigned f = (step + (unsigned)i) % 4;

			(void)snprintf(to, sizeof(to), "%s/%d.busy%s", forms[f].sub, 1000 + i,
			               forms[f].flags);
			if (strcmp(to, m->names[i][0]) == 0)
				continue;
			kit_rename(m->k, m->names[i][0], to);
			(void)snprintf(m->names[i][0], sizeof(m->names[i][0]), "%s", to);
			m->moves++;
		}
		step++;
	}
	return NULL;
}

static void
move_both(struct kit *k)
{
	kit_rename(k, "new/1.a", "cur/1.a:2,S");
	kit_rename(k, "new/2.b", "cur/2.b:2,S");
}

static void
test_new_message_that_moves_before_it_is_measured_is_listed(void **state)
{
	struct kit *k = *state;

	k->self.margin_ns = LONG_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	k->on_measure = move_both; /* when the first of them is open */
	assert_lists(k, "1.a 3\n2.b 3\n");
	assert_int_equal(k->measured, 2);
}

static void
remove_both(struct kit *k)
{
	kit_unlink(k, "new/1.a");
	kit_unlink(k, "new/2.b");
}

static void
test_new_message_that_vanishes_before_it_is_measured_is_not_listed(void **state)
{
	struct kit *k = *state;

	k->self.margin_ns = LONG_MARGIN_NS;
	kit_puts(k, "new", "1.a", "x\n");
	kit_puts(k, "new", "2.b", "x\n");
	kit_puts(k, "new", "3.c", "x\n");
	k->on_measure = remove_both;
	{
		struct pst_maildrop *d = kit_open(k);
		uint32_t n = drop_count(d);

		assert_true(n == 1 || n == 2); /* one was open when it was removed */
		drop_close(d);
	}
	assert_lists(k, "3.c 3\n");
}

/* What is seen is right; what the moving hides is known when it shows up again. */
static void
test_messages_on_the_move_keep_uidl_and_size(void **state)
{
	struct kit *k = *state;
	struct mover *m = calloc(1, sizeof(*m));
	struct pst_maildrop *d;
	char *all, *some;
	pthread_t thread;
	unsigned long hidden = 0;
	int i;

	k->self.margin_ns = MAILDIR_MARGIN_NS;
	k->self.keep_ns = INT64_C(60000000000);
	m->k = k;
	for (i = 0; i < BUSY; i++) {
		char text[100];

		(void)snprintf(m->names[i][0], sizeof(m->names[i][0]), "new/%d.busy", 1000 + i);
		memset(text, 'x', sizeof(text));
		kit_put(k, "new", m->names[i][0] + 4, text, (size_t)i + 1);
	}
	d = kit_open(k);
	all = kit_listing(d);
	drop_close(d);
	assert_int_equal(pthread_create(&thread, NULL, move_about, m), 0);
	for (i = 0; i < 300; i++) {
		char *line, *rest;

		d = kit_open(k);
		hidden += BUSY - drop_count(d);
		some = kit_listing(d);
		drop_close(d);
		for (rest = some; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
			assert_non_null(strstr(all, line));
		free(some);
	}
	m->stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	d = kit_open(k);
	some = kit_listing(d);
	drop_close(d);
	assert_string_equal(some, all);
	assert_int_equal(k->measured, BUSY); /* nothing was ever taken for new */
	assert_true(m->moves > 100);
	assert_true(hidden < 300); /* of 18,000 */
	free(some);
	free(all);
	free(m);
}

/* Many maildrops at once, one plugin. */
struct user {
	struct kit *k;
	char maildir[96];
	int failures;
};

static void *
use_maildrop(void *arg)
{
	struct user *u = arg;
	struct pst_maildrop_spec spec = { .path = u->maildir };
	struct pst_maildrop *d;
	struct pst_err err;
	int i;

	for (i = 0; i < 60; i++) {
		char from[160], to[160];
		uint32_t idx = 0, removed = 0, n = (uint32_t)(i % 4);

		(void)snprintf(from, sizeof(from), "%s/part", u->maildir);
		(void)snprintf(to, sizeof(to), "%s/new/%d.m", u->maildir, i);
		kit_spew(from, "some text\n", 10);
		u->failures += rename(from, to) != 0;
		if (drop_open(&u->k->self, &spec, &d, &err) != 0) {
			u->failures++;
			continue;
		}
		u->failures += drop_count(d) != n + 1;
		u->failures += kit_message(d, n).size_octets != 11;
		for (idx = 0; n == 3 && idx < 4; idx++) {
			struct pst_body body;

			if (drop_fetch(d, idx, 0, &body, &err) == PST_FETCH_OK)
				close(body.fd);
			else
				u->failures++;
		}
		if (n == 3) {
			const uint32_t all[] = { 0, 1, 2, 3 };

			u->failures += drop_commit(d, all, 4, &removed, &err) != 0 || removed != 4;
		}
		drop_close(d);
	}
	return NULL;
}

static void
test_many_maildrops_are_used_at_once(void **state)
{
	struct kit *k = *state;
	struct user users[8];
	pthread_t threads[8];
	char path[160];
	int i;

	k->self.margin_ns = MAILDIR_MARGIN_NS;
	for (i = 0; i < 8; i++) {
		users[i] = (struct user){ .k = k };
		(void)snprintf(users[i].maildir, sizeof(users[i].maildir), "%s/user%d", k->root, i);
		assert_int_equal(mkdir(users[i].maildir, 0700), 0);
		(void)snprintf(path, sizeof(path), "%s/new", users[i].maildir);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, use_maildrop, &users[i]), 0);
	}
	for (i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(users[i].failures, 0);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_renamed_messages_are_found_again),
		T(test_vanished_message_is_an_error_and_the_session_goes_on),
		T(test_message_that_comes_back_is_found_when_others_are_looked_for),
		T(test_message_changed_in_place_is_refused_and_counted_anew),
		T(test_message_replaced_by_something_else_is_refused),
		T(test_fetch_without_openat2_or_without_waiting_gives_the_same),
		T(test_new_message_that_moves_before_it_is_measured_is_listed),
		T(test_new_message_that_vanishes_before_it_is_measured_is_not_listed),
		T(test_messages_on_the_move_keep_uidl_and_size),
		T(test_many_maildrops_are_used_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
