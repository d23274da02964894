/* SPDX-License-Identifier: MIT */
/* The plugins passwdfile, static and static_any, loaded as the server loads them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <postern/auth.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plugin/loader.h"

struct fixture {
	char folder[64];
	char file[96], next[96];
	struct pst_arena *arena;
	struct plugin *p;
	const struct pst_auth *auth;
	struct pst_auth_record record;
	struct pst_err err;
	char problem[256];
};

static int
set_up(void **state)
{
	struct fixture *f = pst_new(struct fixture);

	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/postern-plugins-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->file, sizeof(f->file), "%s/users", f->folder);
	(void)snprintf(f->next, sizeof(f->next), "%s/users.new", f->folder);
	f->arena = pst_arena_create();
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	plugin_unload(f->p);
	pst_arena_destroy(f->arena);
	(void)unlink(f->file);
	(void)unlink(f->next);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

/* settings: pairs, ended by NULL. How many problems; the first is in f->problem. */
static size_t
load(struct fixture *f, const char *name, const char *const *settings)
{
	const char *prefix = pst_arena_printf(f->arena, "auth.%s", name);
	struct conf_problems problems;
	struct conf_texts t;

	plugin_unload(f->p);
	conf_texts_init(&t, f->arena);
	conf_problems_init(&problems, f->arena);
	for (; settings[0] != NULL; settings += 2)
		conf_texts_set(&t,
		               pst_str_c(pst_arena_printf(f->arena, "%s.%s", prefix, settings[0])),
		               pst_str_c(settings[1]), "", 0);
	f->p = plugin_load(TEST_BUILDDIR "/auth/.libs", name, name, PST_AUTH, &f->err);
	if (f->p == NULL)
		fail_msg("%s", f->err.text);
	plugin_configure(f->p, prefix, &t, &problems);
	if (problems.n > 0) {
		(void)snprintf(f->problem, sizeof(f->problem), "%s", problems.v[0]);
		return problems.n;
	}
	assert_int_equal(plugin_start(f->p, "auth", &f->err), 0);
	f->auth = plugin_descriptor(f->p)->auth;
	return 0;
}

static void
load_file(struct fixture *f)
{
	const char *const settings[] = { "file", f->file, NULL };

	assert_int_equal(load(f, "passwdfile", settings), 0);
}

static enum pst_auth_result
ask(struct fixture *f, const char *name)
{
	const char *at = strrchr(name, '@');
	const size_t local = at == NULL ? strlen(name) : (size_t)(at - name);
	const struct pst_auth_query query = {
		.user = pst_str_c(name),
		.local_part = { name, local },
		.domain = pst_str_c(at == NULL ? "" : at + 1),
		.mechanism = PST_LIT("USER"),
	};

	f->record = (struct pst_auth_record){ .arena = f->arena };
	f->err.text[0] = '\0';
	if (f->auth->verify != NULL)
		return f->auth->verify(plugin_self(f->p), &query, PST_LIT("guess"), &f->record,
		                       &f->err);
	return f->auth->lookup(plugin_self(f->p), &query, &f->record, &f->err);
}

static void
write_text(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void
put_file(const struct fixture *f, const char *text)
{
	write_text(f->next, text, O_TRUNC);
	assert_int_equal(rename(f->next, f->file), 0);
}

/* As if nobody had touched it for an hour. */
static void
age_file(const struct fixture *f)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		                           { .tv_sec = time(NULL) - 3600 } };

	assert_int_equal(utimensat(AT_FDCWD, f->file, times, 0), 0);
}

#define assert_has(s, c) assert_non_null(memmem((s).p, (s).n, (c), strlen(c)))
#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

static void
test_passwdfile_gives_what_a_line_says(void **state)
{
	struct fixture *f = *state;

	put_file(f, "al@x.test:{SSHA}abc:1001:1002::/home/al::userdb_mail=maildir:~/M "
	            "allow_nets=192.0.2.0/24,local,::1\nbo:$2y$05$abc\nno::1:1\nout:x::::::nologin "
	            "reason=moved\nodd:x::::::nopassword\nfar:x::::::proxy host=h.test port=9\n");
	load_file(f);
	assert_int_equal(ask(f, "al@x.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{SSHA}abc");
	assert_text(f->record.location, "maildir:%{home}/M");
	assert_text(f->record.home, "/home/al");
	assert_text(f->record.allow_nets, "192.0.2.0/24,::1");
	assert_int_equal(f->record.uid, 1001);
	assert_int_equal(f->record.gid, 1002);
	assert_int_equal(ask(f, "bo"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}$2y$05$abc");
	assert_int_equal(ask(f, "al"), PST_AUTH_UNKNOWN);
	assert_int_equal(ask(f, "no"), PST_AUTH_DISABLED);
	assert_has(f->record.reason, "/users:3: no password");
	assert_int_equal(ask(f, "out"), PST_AUTH_DISABLED);
	assert_text(f->record.reason, "moved");
	assert_int_equal(ask(f, "odd"), PST_AUTH_DISABLED);
	assert_has(f->record.reason, "/users:5: field nopassword");
	assert_text(f->record.credential, "{CRYPT}x"); /* so that the log can tell who guessed */
	assert_int_equal(ask(f, "far"), PST_AUTH_OK);
	assert_text(f->record.proxy, "h.test:9");
}

static void
test_passwdfile_may_hold_local_parts(void **state)
{
	struct fixture *f = *state;
	const char *const settings[] = { "file", f->file, "match", "local", NULL };

	put_file(f, "al:x\nbo@x.test:y\n");
	assert_int_equal(load(f, "passwdfile", settings), 0);
	assert_int_equal(ask(f, "al@any.test"), PST_AUTH_OK);
	assert_int_equal(ask(f, "bo@x.test"), PST_AUTH_UNKNOWN);
}

static void
test_passwdfile_takes_up_a_new_file_at_once(void **state)
{
	struct fixture *f = *state;

	put_file(f, "al:one\n");
	load_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	put_file(f, "al:two\n"); /* as large, in the same moment */
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}two");
	put_file(f, "bo:two\n");
	assert_int_equal(ask(f, "al"), PST_AUTH_UNKNOWN);
}

static void
test_passwdfile_waits_until_a_file_is_whole(void **state)
{
	struct fixture *f = *state;

	put_file(f, "al:one\nbo:x\n");
	load_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	write_text(f->file, "al:tw", O_TRUNC); /* somebody is writing */
	assert_int_equal(ask(f, "bo"), PST_AUTH_OK);
	write_text(f->file, "o\nbo:y\n", O_APPEND);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}one");
	age_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}two");
	put_file(f, "al:thr"); /* another one, without a last line end: it may go on */
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}two");
	age_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}thr");
	put_file(f, ""); /* nor is an empty one believed at once */
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	age_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_UNKNOWN);
}

static void
test_passwdfile_in_place_counts_after_a_while(void **state)
{
	struct fixture *f = *state;
	const int64_t began_ms = pst_now_ms();

	put_file(f, "al:one\n");
	load_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	write_text(f->file, "al:two\n", O_TRUNC);
	do {
		assert_int_equal(ask(f, "al"), PST_AUTH_OK);
		assert_true(pst_now_ms() - began_ms < 10000);
	} while (strcmp(f->record.credential.p, "{CRYPT}two") != 0);
	assert_true(pst_now_ms() - began_ms >= 600);
}

static void
test_passwdfile_keeps_its_users_while_the_file_is_bad_or_gone(void **state)
{
	struct fixture *f = *state;

	put_file(f, "al:one\n");
	load_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	put_file(f, "al:two\nthis is no line\n");
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}one");
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_int_equal(mkdir(f->file, 0700), 0);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_int_equal(rmdir(f->file), 0);
	put_file(f, "al:three\n");
	age_file(f); /* it may have got the number of the file that was read */
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}three");
}

static void
test_passwdfile_without_a_file_can_tell_nothing(void **state)
{
	struct fixture *f = *state;

	load_file(f);
	assert_int_equal(ask(f, "al"), PST_AUTH_TEMP);
	assert_non_null(strstr(f->err.text, "No such file"));
	put_file(f, "x\n");
	assert_int_equal(ask(f, "al"), PST_AUTH_TEMP);
	assert_non_null(strstr(f->err.text, "/users:1: no colon"));
	put_file(f, "al:one\n");
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
}

static void
test_passwdfile_is_bounded(void **state)
{
	struct fixture *f = *state;
	const char *const settings[] = { "file", f->file, "max_size", "8", NULL };

	put_file(f, "al:four\n");
	assert_int_equal(load(f, "passwdfile", settings), 0);
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	put_file(f, "al:fours\n");
	assert_int_equal(ask(f, "al"), PST_AUTH_OK);
	assert_text(f->record.credential, "{CRYPT}four");
}

static void
test_passwdfile_probe_names_the_line(void **state)
{
	struct fixture *f = *state;

	load_file(f);
	assert_int_equal(f->auth->probe(plugin_self(f->p), &f->err), -1);
	put_file(f, "al:one\nbo:x:y\nal:two\n");
	assert_int_equal(f->auth->probe(plugin_self(f->p), &f->err), -1);
	assert_non_null(strstr(f->err.text, "/users:2: uid"));
	assert_non_null(strstr(f->err.text, "(and 1 more)"));
	put_file(f, "al:one\nbo\n");
	assert_int_equal(f->auth->probe(plugin_self(f->p), &f->err), -1);
	assert_non_null(strstr(f->err.text, "/users:2: no colon"));
	put_file(f, "al:one\n");
	assert_int_equal(f->auth->probe(plugin_self(f->p), &f->err), 0);
}

static void
note_name(void *arg, const struct pst_auth_user *user)
{
	char *all = arg;
	const size_t n = strlen(all);

	(void)snprintf(all + n, 100 - n, "%.*s%s ", PST_ARG(user->name), user->enabled ? "" : "!");
}

static void
test_passwdfile_lists_users_in_order(void **state)
{
	struct fixture *f = *state;
	char all[100] = "";

	put_file(f, "zo@x.test:1\nal@y.test:2\nbo@x.test:3::::::nologin\nal:\n");
	load_file(f);
	assert_int_equal(
		f->auth->user_list(plugin_self(f->p), PST_LIT(""), note_name, all, &f->err), 0);
	assert_string_equal(all, "al! al@y.test bo@x.test! zo@x.test ");
	all[0] = '\0';
	assert_int_equal(
		f->auth->user_list(plugin_self(f->p), PST_LIT("x.test"), note_name, all, &f->err),
		0);
	assert_string_equal(all, "bo@x.test! zo@x.test ");
}

static void
test_static_is_never_open_by_a_mistake(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[][5] = {
		{ "password", "", NULL },        { "password", "secret", NULL },
		{ "password", "{PLAIN}", NULL }, { "password", "{}secret", NULL },
		{ "users", "al", NULL },
	};
	static const char *const bad_any[][5] = {
		{ NULL },
		{ "allow_any", "true", NULL },
		{ "allow_any", "true", "allow_nets", " ,", NULL },
		{ "allow_nets", "::1", NULL },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(load(f, "static", bad[i]), 0);
	for (i = 0; i < sizeof(bad_any) / sizeof(bad_any[0]); i++)
		assert_int_not_equal(load(f, "static_any", bad_any[i]), 0);
}

static void
test_static_has_one_template_for_all(void **state)
{
	struct fixture *f = *state;
	static const char *const settings[] = { "password",   "{PLAIN}secret",
		                                "users",      "al@x.test bo@y.test",
		                                "domains",    "x.test",
		                                "location",   "maildir:/srv/%{user}",
		                                "home",       "/h",
		                                "allow_nets", "::1",
		                                "uid",        "7",
		                                "gid",        "8",
		                                "read_only",  "true",
		                                NULL };

	assert_int_equal(load(f, "static", settings), 0);
	assert_int_equal(ask(f, "al@x.test"), PST_AUTH_OK);
	assert_text(f->record.credential, "{PLAIN}secret");
	assert_text(f->record.location, "maildir:/srv/%{user}");
	assert_text(f->record.home, "/h");
	assert_text(f->record.allow_nets, "::1");
	assert_int_equal(f->record.uid, 7);
	assert_int_equal(f->record.gid, 8);
	assert_true(f->record.read_only);
	assert_int_equal(ask(f, "bo@y.test"), PST_AUTH_UNKNOWN);
	assert_int_equal(ask(f, "cy@x.test"), PST_AUTH_UNKNOWN);
}

static void
test_static_any_lets_in_from_its_networks(void **state)
{
	struct fixture *f = *state;
	static const char *const settings[] = { "allow_any", "true",   "allow_nets", "::1",
		                                "domains",   "x.test", NULL };

	assert_int_equal(load(f, "static_any", settings), 0);
	assert_int_equal(ask(f, "al@x.test"), PST_AUTH_OK);
	assert_text(f->record.allow_nets, "::1");
	assert_int_equal(ask(f, "al@y.test"), PST_AUTH_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_passwdfile_gives_what_a_line_says),
		TEST(test_passwdfile_may_hold_local_parts),
		TEST(test_passwdfile_takes_up_a_new_file_at_once),
		TEST(test_passwdfile_waits_until_a_file_is_whole),
		TEST(test_passwdfile_in_place_counts_after_a_while),
		TEST(test_passwdfile_keeps_its_users_while_the_file_is_bad_or_gone),
		TEST(test_passwdfile_without_a_file_can_tell_nothing),
		TEST(test_passwdfile_is_bounded),
		TEST(test_passwdfile_probe_names_the_line),
		TEST(test_passwdfile_lists_users_in_order),
		TEST(test_static_is_never_open_by_a_mistake),
		TEST(test_static_has_one_template_for_all),
		TEST(test_static_any_lets_in_from_its_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
