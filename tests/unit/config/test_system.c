/* SPDX-License-Identifier: MIT */
/* What settings need of the system: folders and users that are there or not. */
#include "tests/unit/config/conf_kit.h"

#include "config/system.h"

static void
load_sets(const char *const *sets)
{
	conf_problems_init(&problems, arena);
	conf_texts_init(&texts, arena);
	load_text("", sets);
	expect_no_problems();
}

static void
test_certificate_folder_is_looked_at_where_a_listener_needs_it(void **state)
{
	const char *const there[] = { pst_arena_printf(arena, "tls.directory=%s", folder), NULL };
	const char *const none[] = { "tls.directory=/nonexistent/tls", NULL };
	const char *const file[] = { "tls.directory=/dev/null", NULL };
	const char *const plain[] = { "tls.directory=/nonexistent/tls", "listener.a.port=110",
		                      "listener.a.tls=none", "listener.a.plaintext_login=true",
		                      NULL };

	(void)state;
	load_sets(there);
	settings_check_folders(&settings, &texts, &problems);
	expect_no_problems();
	load_sets(plain);
	settings_check_folders(&settings, &texts, &problems);
	expect_no_problems();
	load_sets(none);
	settings_check_folders(&settings, &texts, &problems);
	assert_int_equal(problems.n, 1);
	expect_problem("command line: tls.directory: /nonexistent/tls: No such file");
	load_sets(file);
	settings_check_folders(&settings, &texts, &problems);
	assert_int_equal(problems.n, 1);
	expect_problem("command line: tls.directory: /dev/null: not a folder");
}

static void
test_users_are_names_or_ids_and_never_root(void **state)
{
	const char *const sets[] = { "server.login_user=1234:5678", "server.keys_user=nobody",
		                     "server.auth_user=root", "server.mail_user=no-such-user",
		                     NULL };
	struct settings_users users;

	(void)state;
	load_sets(sets);
	memset(&users, 0, sizeof(users));
	settings_find_users(&settings, &texts, &users, &problems);
	assert_int_equal(users.login.uid, 1234);
	assert_int_equal(users.login.gid, 5678);
	assert_int_not_equal(users.keys.uid, 0);
	assert_int_equal(problems.n, 2);
	expect_problem("command line: server.auth_user: \"root\" is root");
	expect_problem(
		"command line: server.mail_user: there is no system user \"no-such-user\"; add it "
		"(useradd -r -M -s /usr/sbin/nologin no-such-user) or name another");
}

static void
test_ids_that_are_none_or_roots_are_refused(void **state)
{
	static const char *const bad[] = { "0:0", "0:5",          "5:0",          "5:",   ":5",
		                           "5:x", "4294967295:5", "5:4294967295", "-1:5", "5:6:7" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const sets[] = { pst_arena_printf(arena, "server.mail_user=%s", bad[i]),
			                     "server.login_user=1:1", "server.keys_user=1:1",
			                     "server.auth_user=1:1", NULL };
		struct settings_users users;

		load_sets(sets);
		settings_find_users(&settings, &texts, &users, &problems);
		if (problems.n != 1)
			fail_msg("\"%s\" was taken", bad[i]);
		expect_problem("command line: server.mail_user: ");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_certificate_folder_is_looked_at_where_a_listener_needs_it),
		KIT_TEST(test_users_are_names_or_ids_and_never_root),
		KIT_TEST(test_ids_that_are_none_or_roots_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
