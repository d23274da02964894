/* SPDX-License-Identifier: MIT */
/* What a Maildir keeps of removed messages: that it comes back as it was, that nothing is lost or
 * without its UIDL wherever the program dies or the disk is full, and that it goes in the end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/maildir/hold.h"
#include "storage/maildir/name.h"
#include "tests/unit/storage/faults.h"
#include "tests/unit/storage/kit.h"

#define AT 1700000000

static const struct pst_held all = { .since_s = 0 };

/* ---- A Maildir whose UIDLs and order nobody could guess ---- */

#define MESSAGES 7

static const struct {
	const char *place, *name, *text, *uidl;
} messages[MESSAGES] = {
	{ "cur", "50.e:2,S", "Subject: e\n\nee\n", "u-five" },
	{ "new", "10.a", "Subject: a\r\n\r\na\r\n", "u-one" },
	{ "cur", "20.b,S=17:2,FS", "Subject: b\n\nbbb\n\n", "u-two" },
	{ "new", "70.g", "g\n", "70.g" },
	{ "cur", "30.c:2,", "no end", "u-three" },
	{ "new", "60.f", "\n", "u-six" },
	{ "cur", "40.d:2,RS", "dddd\n", "u-four" },
};

static void
add_to_index(struct index_builder *b, const struct index *old, unsigned which)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < old->listed; i++) {
		index_at(old, i, &m);
		if (!pst_str_eq(m.name, pst_str_c(messages[which].name)))
			continue;
		m.uidl = pst_str_c(messages[which].uidl);
		index_add(b, &m, 0);
		return;
	}
	fail_msg("%s is not in the index", messages[which].name);
}

static void
fill(struct kit *k)
{
	struct index old = { .octets = 0 }, next = { .octets = 0 };
	struct index_builder b;
	struct pst_err err;
	unsigned i;

	for (i = 0; i < MESSAGES; i++)
		kit_puts(k, messages[i].place, messages[i].name, messages[i].text);
	drop_close(kit_open(k));
	assert_true(kit_load_index(k, &old));
	assert_int_equal(old.listed, MESSAGES);
	assert_int_equal(index_build(&b, &next, MESSAGES, 0, 4096, &err), 0);
	for (i = 0; i < MESSAGES; i++)
		add_to_index(&b, &old, i);
	next.head = old.head;
	kit_save_index(k, &next);
	index_clear(&old);
	index_clear(&next);
}

static void
start_over(struct kit *k)
{
	char path[512];

	kit_path(k, ".", path);
	kit_remove_tree(k->maildir);
	assert_int_equal(mkdir(k->maildir, 0700), 0);
	kit_path(k, "new", path);
	assert_int_equal(mkdir(path, 0700), 0);
	kit_path(k, "cur", path);
	assert_int_equal(mkdir(path, 0700), 0);
	kit_path(k, "tmp", path);
	(void)mkdir(path, 0700);
	fill(k);
}

static char *
listing_of(struct kit *k)
{
	struct pst_maildrop *d = kit_open(k);
	char *text = kit_listing(d);

	drop_close(d);
	return text;
}

static void
assert_lists(struct kit *k, const char *want)
{
	char *got = listing_of(k);

	assert_string_equal(got, want);
	free(got);
}

static int
try_hold(struct kit *k, const uint32_t *idx, uint32_t n, int64_t at_s, const char *session,
         uint32_t *removed, struct pst_err *err)
{
	const struct pst_hold how = { .now_s = at_s, .session = pst_str_c(session) };
	struct pst_maildrop *d = kit_open(k);
	int rc = drop_hold(d, idx, n, &how, removed, err);

	drop_close(d);
	return rc;
}

static void
hold(struct kit *k, const uint32_t *idx, uint32_t n, int64_t at_s, const char *session)
{
	struct pst_err err;
	uint32_t removed;

	if (try_hold(k, idx, n, at_s, session, &removed, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(removed, n);
}

static uint32_t
bring_back(struct kit *k, const struct pst_held *which)
{
	struct pst_maildrop *d = kit_open(k);
	struct pst_err err;
	uint32_t n;

	if (drop_bring_back(d, which, &n, &err) != 0)
		fail_msg("%s", err.text);
	drop_close(d);
	return n;
}

static uint32_t
let_go(struct kit *k, const struct pst_held *which)
{
	struct pst_maildrop *d = kit_open(k);
	struct pst_err err;
	uint32_t n;

	if (drop_let_go(d, which, &n, &err) != 0)
		fail_msg("%s", err.text);
	drop_close(d);
	return n;
}

struct text {
	char p[2048];
	size_t n;
};

static void
add_held(void *arg, const struct pst_held_message *msg)
{
	struct text *t = arg;

	t->n += (size_t)snprintf(t->p + t->n, sizeof(t->p) - t->n, "%.*s %llu %lld %.*s\n",
	                         PST_ARG(msg->uidl), (unsigned long long)msg->size_octets,
	                         (long long)msg->removed_s, PST_ARG(msg->session));
}

static void
get_held(struct kit *k, const struct pst_held *which, struct text *out)
{
	struct pst_maildrop *d = kit_open(k);
	struct pst_err err;

	*out = (struct text){ .n = 0 };
	if (drop_held(d, which, add_held, out, &err) != 0)
		fail_msg("%s", err.text);
	drop_close(d);
}

static void
assert_held(struct kit *k, const struct pst_held *which, const char *want)
{
	struct text got;

	get_held(k, which, &got);
	assert_string_equal(got.p, want);
}

static bool
has_area(const struct kit *k)
{
	return kit_exists(k, "cur/" DROP_HOLD_NAME);
}

/* ---- There and back ---- */

#define WHOLE "u-five 18\nu-one 17\nu-two 21\n70.g 3\nu-three 8\nu-six 2\nu-four 6\n"

static void
test_held_messages_are_gone_for_clients_and_told_to_admins(void **state)
{
	struct kit *k = *state;

	fill(k);
	assert_lists(k, WHOLE);
	hold(k, (const uint32_t[]){ 0, 3, 4 }, 3, AT, "s1");
	assert_lists(k, "u-one 17\nu-two 21\nu-six 2\nu-four 6\n");
	assert_held(k, &all,
	            "u-five 18 1700000000 s1\n70.g 3 1700000000 s1\nu-three 8 1700000000 s1\n");
	assert_false(kit_exists(k, "cur/50.e:2,S"));
	assert_int_equal(k->warned, 0);
}

static void
test_they_come_back_to_their_places_with_uidls_names_and_times(void **state)
{
	const struct timespec times[2] = { { 1234567890, 0 }, { 1234567890, 5000 } };
	struct kit *k = *state;
	struct stat st;
	char path[512];

	fill(k);
	kit_path(k, "cur/50.e:2,S", path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_lists(k, WHOLE);
	hold(k, (const uint32_t[]){ 0, 3, 4 }, 3, AT, "s1");
	assert_int_equal(bring_back(k, &all), 3);
	assert_lists(k, WHOLE);
	assert_true(kit_exists(k, "cur/50.e:2,S"));
	assert_true(kit_exists(k, "new/70.g"));
	assert_true(kit_exists(k, "cur/30.c:2,"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_held(k, &all, "");
	assert_int_equal(bring_back(k, &all), 0);
	assert_int_equal(k->warned, 0);
}

/* Not by reading them again. */
static void
test_what_was_found_of_them_comes_back(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;

	fill(k);
	hold(k, (const uint32_t[]){ 0, 3, 4 }, 3, AT, "s1");
	k->measured = 0;
	assert_int_equal(bring_back(k, &all), 3);
	d = kit_open(k);
	assert_int_equal(k->measured, 0);
	assert_false(kit_message(d, 0).has_no_header_end);
	assert_true(kit_message(d, 3).has_no_header_end);
	assert_true(kit_message(d, 4).has_no_header_end);
	assert_false(kit_message(d, 5).has_no_header_end); /* "\n" */
	drop_close(d);
}

static void
test_all_come_back_from_an_empty_maildrop(void **state)
{
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 0, 1, 2, 3, 4, 5, 6 }, 7, AT, "s1");
	assert_lists(k, "");
	assert_int_equal(bring_back(k, &all), 7);
	assert_lists(k, WHOLE);
}

/* What was deleted last is undone first: each goes behind what it stood behind. */
static void
test_removals_one_after_the_other_are_all_undone(void **state)
{
	struct kit *k = *state;
	int i;

	fill(k);
	for (i = 0; i < 5; i++)
		hold(k, (const uint32_t[]){ 1 }, 1, i < 2 ? AT : time(NULL), "s");
	assert_lists(k, "u-five 18\nu-four 6\n");
	hold(k, (const uint32_t[]){ 0, 1 }, 2, time(NULL), "s");
	assert_lists(k, "");
	assert_int_equal(bring_back(k, &all), 7);
	assert_lists(k, WHOLE);
}

static void
test_some_come_back_by_time_or_by_session(void **state)
{
	const struct pst_held late = { .since_s = AT + 50 }, early = { .until_s = AT + 50 };
	const struct pst_held s2 = { .session = PST_LIT("s/2") };
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 4 }, 1, AT, "s1");
	hold(k, (const uint32_t[]){ 1 }, 1, AT + 50, "s/2");
	hold(k, (const uint32_t[]){ 2 }, 1, AT + 60, "s3");
	assert_held(k, &late, "u-one 17 1700000050 s/2\n70.g 3 1700000060 s3\n");
	assert_held(k, &early, "u-three 8 1700000000 s1\n");
	assert_int_equal(bring_back(k, &s2), 1);
	assert_lists(k, "u-five 18\nu-one 17\nu-two 21\nu-six 2\nu-four 6\n");
	assert_int_equal(bring_back(k, &late), 1);
	assert_lists(k, "u-five 18\nu-one 17\nu-two 21\n70.g 3\nu-six 2\nu-four 6\n");
	assert_int_equal(bring_back(k, &early), 1);
	assert_lists(k, WHOLE);
}

/* Its neighbour is gone for good: by the time in its name, then. */
static void
test_without_its_neighbour_the_time_counts(void **state)
{
	const struct pst_held first = { .session = PST_LIT("s1") };
	struct kit *k = *state;

	kit_puts(k, "new", "1.a", "a\n");
	kit_puts(k, "new", "2.b", "b\n");
	kit_puts(k, "new", "3.c", "c\n");
	hold(k, (const uint32_t[]){ 1 }, 1, AT, "s1");
	hold(k, (const uint32_t[]){ 0 }, 1, AT + 1, "s2");
	assert_int_equal(bring_back(k, &first), 1);
	assert_lists(k, "2.b 3\n3.c 3\n");
}

static void
test_mail_that_came_meanwhile_stays_where_it_is(void **state)
{
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 5, 6 }, 2, AT, "s1");
	kit_puts(k, "new", "99.z", "z\n");
	assert_lists(k, "u-five 18\nu-one 17\nu-two 21\n70.g 3\nu-three 8\n99.z 3\n");
	assert_int_equal(bring_back(k, &all), 2);
	assert_lists(k, "u-five 18\nu-one 17\nu-two 21\n70.g 3\nu-three 8\nu-six 2\nu-four 6\n"
	                "99.z 3\n");
}

static void
test_flags_that_were_set_before_it_went_come_back(void **state)
{
	const struct pst_hold how = { .now_s = AT, .session = PST_LIT("s1") };
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t removed;

	fill(k);
	d = kit_open(k);
	kit_rename(k, "new/10.a", "cur/10.a:2,FS");
	assert_int_equal(drop_hold(d, (const uint32_t[]){ 1 }, 1, &how, &removed, &err), 0);
	assert_int_equal(removed, 1);
	drop_close(d);
	assert_int_equal(bring_back(k, &all), 1);
	assert_true(kit_exists(k, "cur/10.a:2,FS"));
	assert_lists(k, WHOLE);
}

static void
test_one_that_is_there_again_is_left_alone(void **state)
{
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 1, 2 }, 2, AT, "s1");
	kit_puts(k, "new", "10.a", "Subject: a\r\n\r\na\r\n"); /* from a backup */
	assert_int_equal(bring_back(k, &all), 1);
	assert_string_equal(k->last_event, "maildir.held_there_already");
	assert_held(k, &all, "u-one 17 1700000000 s1\n");
	assert_int_equal(bring_back(k, &all), 0);
}

/* ---- The quota file ---- */

static void
assert_quota(struct kit *k, const char *want)
{
	char path[512], *text;

	kit_path(k, "maildirsize", path);
	kit_slurp(path, &text);
	assert_string_equal(text, want);
	free(text);
}

static void
test_quota_counts_what_is_held_as_gone(void **state)
{
	struct kit *k = *state;
	char path[512];

	fill(k);
	kit_path(k, "maildirsize", path);
	kit_spew(path, "1000000S\n200 7\n", 15);
	hold(k, (const uint32_t[]){ 0, 2 }, 2, AT, "s1"); /* 15 octets, and 17 by its name */
	assert_quota(k, "1000000S\n200 7\n-32 -2\n");
	assert_int_equal(bring_back(k, &all), 2);
	assert_quota(k, "1000000S\n200 7\n-32 -2\n32 2\n");
}

static void
test_quota_file_is_not_made(void **state)
{
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 0 }, 1, AT, "s1");
	assert_int_equal(bring_back(k, &all), 1);
	assert_false(kit_exists(k, "maildirsize"));
}

/* ---- Letting go ---- */

static void
test_old_ones_go_for_good(void **state)
{
	const struct pst_held old = { .until_s = AT + 10 }, of_s3 = { .session = PST_LIT("s3") };
	struct kit *k = *state;

	fill(k);
	hold(k, (const uint32_t[]){ 0, 1 }, 2, AT, "s1");
	hold(k, (const uint32_t[]){ 0 }, 1, AT + 10, "s2");
	hold(k, (const uint32_t[]){ 0 }, 1, AT + 20, "s3");
	assert_int_equal(let_go(k, &old), 2);
	assert_held(k, &all, "u-two 21 1700000010 s2\n70.g 3 1700000020 s3\n");
	assert_int_equal(let_go(k, &of_s3), 1);
	assert_int_equal(let_go(k, &all), 1);
	assert_int_equal(let_go(k, &all), 0);
	assert_int_equal(bring_back(k, &all), 0);
	assert_lists(k, "u-three 8\nu-six 2\nu-four 6\n");
}

static void
test_once_a_day(void **state)
{
	const struct pst_held daily = { .once_a_day = true };
	const struct timespec yesterday[2] = { { time(NULL) - 86500, 0 },
		                               { time(NULL) - 86500, 0 } };
	struct kit *k = *state;
	char path[512];

	fill(k);
	assert_int_equal(let_go(k, &daily), 0);
	assert_false(has_area(k)); /* nothing is made where nothing is held */
	hold(k, (const uint32_t[]){ 0 }, 1, AT, "s1");
	assert_int_equal(let_go(k, &daily), 1);
	hold(k, (const uint32_t[]){ 0 }, 1, AT, "s1");
	assert_int_equal(let_go(k, &daily), 0);
	kit_path(k, "cur/" DROP_HOLD_NAME "/expired", path);
	assert_int_equal(utimensat(AT_FDCWD, path, yesterday, 0), 0);
	assert_int_equal(let_go(k, &daily), 1);
	assert_int_equal(let_go(k, &daily), 0);
}

/* ---- Where nothing may be written ---- */

static void
hold_in_vain(struct kit *k)
{
	struct pst_err err;
	uint32_t removed = 77;

	assert_int_equal(try_hold(k, (const uint32_t[]){ 0, 1 }, 2, AT, "s1", &removed, &err), -1);
	assert_int_equal(removed, 0);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_lists(k, WHOLE);
}

static void
test_read_only_maildrop_keeps_what_cannot_be_held(void **state)
{
	struct kit *k = *state;
	char command[512];

	fill(k);
	(void)snprintf(command, sizeof(command), "chmod -R a+rX '%s'", k->root);
	assert_int_equal(system(command), 0);
	assert_true(kit_run_read_only(k, hold_in_vain));
	assert_lists(k, WHOLE);
	assert_false(has_area(k));
}

static void
test_area_that_is_a_file_or_a_link_is_not_used(void **state)
{
	struct kit *k = *state;
	struct pst_err err;
	char path[512], elsewhere[128];
	uint32_t removed;

	fill(k);
	kit_path(k, "cur/" DROP_HOLD_NAME, path);
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", k->root);
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_int_equal(try_hold(k, (const uint32_t[]){ 0 }, 1, AT, "s1", &removed, &err), -1);
	assert_int_equal(unlink(path), 0);
	kit_spew(path, "x", 1);
	assert_int_equal(try_hold(k, (const uint32_t[]){ 0 }, 1, AT, "s1", &removed, &err), -1);
	assert_int_equal(rmdir(elsewhere), 0); /* it is empty */
	assert_lists(k, WHOLE);
}

/* ---- Dying, and a full disk ---- */

static const uint32_t some[] = { 0, 2, 3, 4 };
#define SOME 4

static bool
has_line(const char *text, const char *uidl)
{
	size_t n = strlen(uidl);
	const char *p = text;

	while ((p = strstr(p, uidl)) != NULL) {
		if ((p == text || p[-1] == '\n') && p[n] == ' ')
			return true;
		p += n;
	}
	return false;
}

/* Each is listed or held, with its UIDL, and nothing is both; and all is as it was when it is back. */
static void
check_all_are_somewhere(struct kit *k)
{
	struct text held;
	char *listed;
	unsigned i;

	listed = listing_of(k);
	get_held(k, &all, &held);
	for (i = 0; i < MESSAGES; i++)
		if (has_line(listed, messages[i].uidl) == has_line(held.p, messages[i].uidl))
			fail_msg("%s: listed:\n%sheld:\n%s", messages[i].uidl, listed, held.p);
	free(listed);
	(void)bring_back(k, &all);
	listed = listing_of(k);
	for (i = 0; i < MESSAGES; i++)
		if (!has_line(listed, messages[i].uidl))
			fail_msg("%s is not back:\n%s", messages[i].uidl, listed);
	assert_int_equal(strlen(listed), strlen(WHOLE)); /* and nothing else is there */
	free(listed);
}

static int
run_in_child(struct kit *k, void (*work)(struct kit *k), enum fault_how how, int at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fault_set(how, at);
		work(k);
		_exit(how == FAULT_NONE ? fault_calls() : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
hold_some(struct kit *k)
{
	struct pst_err err;
	uint32_t removed;

	(void)try_hold(k, some, SOME, AT, "s1", &removed, &err);
}

static void
bring_some_back(struct kit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t n;

	if (kit_try_open(k, &d, &err) != 0)
		return;
	(void)drop_bring_back(d, &all, &n, &err);
	drop_close(d);
}

static void
walk(struct kit *k, void (*work)(struct kit *k), bool is_held_before, enum fault_how how)
{
	int at, calls, met = 0;

	start_over(k);
	if (is_held_before)
		hold_some(k);
	calls = run_in_child(k, work, FAULT_NONE, 0);
	assert_in_range(calls, 8, 100);
	for (at = 0; at < calls; at++) {
		start_over(k);
		if (is_held_before)
			hold_some(k);
		met += run_in_child(k, work, how, at) == FAULT_DIED;
		check_all_are_somewhere(k);
	}
	if (how < FAULT_FULL)
		assert_int_equal(met, calls);
}

static void
test_killed_at_every_call_while_holding(void **state)
{
	walk(*state, hold_some, false, FAULT_DIE_BEFORE);
	walk(*state, hold_some, false, FAULT_DIE_HALFWAY);
	walk(*state, hold_some, false, FAULT_DIE_AFTER);
}

static void
test_full_disk_at_every_call_while_holding(void **state)
{
	walk(*state, hold_some, false, FAULT_FULL);
	walk(*state, hold_some, false, FAULT_FULL_HALFWAY);
}

static void
test_killed_at_every_call_while_bringing_back(void **state)
{
	walk(*state, bring_some_back, true, FAULT_DIE_BEFORE);
	walk(*state, bring_some_back, true, FAULT_DIE_HALFWAY);
	walk(*state, bring_some_back, true, FAULT_DIE_AFTER);
}

static void
test_full_disk_at_every_call_while_bringing_back(void **state)
{
	walk(*state, bring_some_back, true, FAULT_FULL);
	walk(*state, bring_some_back, true, FAULT_FULL_HALFWAY);
}

static void
let_all_go(struct kit *k)
{
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t n;

	if (kit_try_open(k, &d, &err) != 0)
		return;
	(void)drop_let_go(d, &all, &n, &err);
	drop_close(d);
}

/* Whatever is left then can be let go or brought back, and nothing of the rest is touched. */
static void
test_killed_at_every_call_while_letting_go(void **state)
{
	struct kit *k = *state;
	int at, calls;

	start_over(k);
	hold_some(k);
	calls = run_in_child(k, let_all_go, FAULT_NONE, 0);
	assert_in_range(calls, SOME + 2, 20); /* messages, the journal, the folder */
	for (at = 0; at < calls; at++) {
		start_over(k);
		hold_some(k);
		assert_int_equal(run_in_child(k, let_all_go, FAULT_DIE_AFTER, at), FAULT_DIED);
		assert_in_range(let_go(k, &all), 0, SOME);
		assert_held(k, &all, "");
		assert_lists(k, "u-one 17\nu-six 2\nu-four 6\n");
	}
}

/* ---- Damage ---- */

static void
test_journal_without_its_end_is_no_removal(void **state)
{
	struct kit *k = *state;
	struct text held;
	char command[512];

	fill(k);
	hold(k, some, SOME, AT, "s1");
	(void)snprintf(command, sizeof(command),
	               "cd '%s'/cur/" DROP_HOLD_NAME "/*.s1 && sed -i '$d' .journal", k->maildir);
	assert_int_equal(system(command), 0);
	get_held(k, &all, &held);
	assert_string_equal(held.p, "");
	assert_string_equal(k->last_event, "hold.journal_bad");
	assert_int_equal(bring_back(k, &all), 0);
	assert_int_equal(let_go(k, &all), SOME);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_held_messages_are_gone_for_clients_and_told_to_admins),
		TEST(test_they_come_back_to_their_places_with_uidls_names_and_times),
		TEST(test_what_was_found_of_them_comes_back),
		TEST(test_all_come_back_from_an_empty_maildrop),
		TEST(test_removals_one_after_the_other_are_all_undone),
		TEST(test_some_come_back_by_time_or_by_session),
		TEST(test_without_its_neighbour_the_time_counts),
		TEST(test_mail_that_came_meanwhile_stays_where_it_is),
		TEST(test_flags_that_were_set_before_it_went_come_back),
		TEST(test_one_that_is_there_again_is_left_alone),
		TEST(test_quota_counts_what_is_held_as_gone),
		TEST(test_quota_file_is_not_made),
		TEST(test_old_ones_go_for_good),
		TEST(test_once_a_day),
		TEST(test_read_only_maildrop_keeps_what_cannot_be_held),
		TEST(test_area_that_is_a_file_or_a_link_is_not_used),
		TEST(test_killed_at_every_call_while_holding),
		TEST(test_full_disk_at_every_call_while_holding),
		TEST(test_killed_at_every_call_while_bringing_back),
		TEST(test_full_disk_at_every_call_while_bringing_back),
		TEST(test_killed_at_every_call_while_letting_go),
		TEST(test_journal_without_its_end_is_no_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
