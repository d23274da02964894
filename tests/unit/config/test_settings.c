/* SPDX-License-Identifier: MIT */
/* The core's settings: defaults, unknown names, and what joins two settings. */
#include "tests/unit/config/conf_kit.h"

#include <gnutls/gnutls.h>

#include "config/table.h"

static const char *const tls_set[] = { "tls.directory=/etc/tls", NULL };

static void
test_empty_file_gives_the_defaults_without_a_problem(void **state)
{
	(void)state;
	load_text("", NULL);
	expect_no_problems();
	assert_int_equal(settings.server.drain_timeout, 300000);
	assert_int_equal(settings.server.sandbox, SANDBOX_ON);
	assert_string_equal(settings.server.login_user, "postern-login");
	assert_int_equal(settings.log.level, PST_LOG_INFO);
	assert_int_equal(settings.login.timeout, 60000);
	assert_int_equal(settings.tls.ticket_lifetime, 6 * 3600 * 1000);
	assert_int_equal(settings.auth.argon2_memory, 19 << 20);
	assert_int_equal(settings.mail.timeout, 600000);
	assert_int_equal(settings.mail.run_as, RUN_AS_VMAIL);
	assert_string_equal(settings.policy_order, "");
	assert_int_equal(settings.section_count, 0);
}

static void
test_file_without_a_listener_gets_pop3_and_pop3s(void **state)
{
	static const char *const files[] = { "", "listener: { };\n" };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		load_text(files[i], NULL);
		expect_no_problems();
		assert_int_equal(settings.listener_count, 2);
		assert_string_equal(settings.listeners[0].name, "pop3");
		assert_int_equal(settings.listeners[0].port, 110);
		assert_int_equal(settings.listeners[0].tls, TLS_STLS);
		assert_false(settings.listeners[0].plaintext_login);
		assert_string_equal(settings.listeners[1].name, "pop3s");
		assert_int_equal(settings.listeners[1].port, 995);
		assert_int_equal(settings.listeners[1].tls, TLS_IMPLICIT);
	}
}

static void
test_listeners_of_the_file_and_of_sets_take_the_place_of_the_builtin(void **state)
{
	const char *const sets[] = { "listener.b.port=1995", "listener.b.tls=implicit", NULL };

	(void)state;
	load_text("listener: { a: { address = \"::1\"; port = 1110; backlog = 5; }; };\n", sets);
	expect_no_problems();
	assert_int_equal(settings.listener_count, 2);
	assert_string_equal(settings.listeners[0].name, "a");
	assert_string_equal(settings.listeners[0].address, "::1");
	assert_int_equal(settings.listeners[0].backlog, 5);
	assert_string_equal(settings.listeners[1].name, "b");
	assert_int_equal(settings.listeners[1].port, 1995);
	assert_int_equal(settings.listeners[1].tls, TLS_IMPLICIT);
}

static void
test_every_default_is_read_by_its_own_row(void **state)
{
	const struct settings_group *g;
	const struct pst_conf_key *key;
	struct settings room;
	struct pst_err err;

	(void)state;
	for (g = settings_groups; g->name != NULL; g++)
		for (key = g->keys; key->key != NULL; key++) {
			if (key->def != NULL &&
			    conf_value_parse(key, pst_str_c(key->def), arena,
			                     (char *)&room + g->offset, &err) != 0)
				fail_msg("%s.%s: %s", g->name, key->key, err.text);
			assert_non_null(key->doc);
			assert_true(settings_is_name(pst_str_c(key->key)));
			assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
		}
}

static void
test_all_problems_are_told_at_once_with_place_and_nearest_name(void **state)
{
	(void)state;
	load_text("loginn: { a = 1; b = 2; };\n"
	          "login: { workerz = 2; timeout = 30; };\n"
	          "tls = 5;\n"
	          "server: { sandbox = \"maybe\"; deep: { x = 1; }; };\n"
	          "mail: { run_as = \"usr\"; zzz = 1; };\n"
	          "logging: { };\n",
	          NULL);
	expect_problem("postern.conf:1: loginn: unknown group; did you mean login?");
	expect_problem(
		"postern.conf:2: login.workerz: unknown setting; did you mean login.workers?");
	expect_problem("postern.conf:2: login.timeout: \"30\" is not a time");
	expect_problem("postern.conf:3: tls: is a group: tls: {");
	expect_problem("postern.conf:4: server.sandbox: \"maybe\" is not one of off|on");
	expect_problem("postern.conf:4: server.deep.x: unknown setting");
	expect_problem("postern.conf:5: mail.run_as: \"usr\" is not one of vmail|user");
	expect_problem("postern.conf:5: mail.zzz: unknown setting");
	expect_problem("postern.conf:6: logging: unknown group; did you mean login?");
	assert_int_equal(problems.n, 9);
}

static void
test_sections_are_found_by_their_groups(void **state)
{
	const struct plugin_section *s;

	(void)state;
	load_text(
		"auth: { backends = [ \"sqlite\", \"staff\", \"pam\" ]; sqlite: { database = \"/x\"; };\n"
		"  staff: { plugin = \"sqlite\"; database = \"/y\"; }; };\n"
		"storage: { maildir: { }; };\n"
		"policy: { order = \"quiet\"; quiet: { a: { b = 1; }; }; };\n",
		NULL);
	expect_no_problems();
	assert_int_equal(settings.section_count, 4);
	s = settings_section(&settings, PST_AUTH, PST_LIT("staff"));
	assert_non_null(s);
	assert_string_equal(s->plugin, "sqlite");
	assert_string_equal(s->prefix, "auth.staff");
	s = settings_section(&settings, PST_AUTH, PST_LIT("sqlite"));
	assert_non_null(s);
	assert_string_equal(s->plugin, "sqlite");
	assert_non_null(settings_section(&settings, PST_STORAGE, PST_LIT("maildir")));
	assert_non_null(settings_section(&settings, PST_POLICY, PST_LIT("quiet")));
	assert_null(settings_section(&settings, PST_STORAGE, PST_LIT("sqlite")));
	assert_null(settings_section(&settings, PST_AUTH, PST_LIT("pam"))); /* needs none */
	assert_string_equal(settings.auth.backends, "sqlite staff pam");
}

static void
test_names_that_the_admin_chose_badly_are_told_once(void **state)
{
	(void)state;
	load_text("auth: { SQL: { a = 1; b = 2; }; x: { plugin = \"../evil\"; }; };\n"
	          "listener: { POP3: { port = 1; tls = \"none\"; }; };\n"
	          "storage: { maildir = \"x\"; };\n"
	          "listener2: { };\n"
	          "mail: { workers: { n = 1; }; };\n",
	          NULL);
	expect_problem("postern.conf:1: auth.SQL.a: \"SQL\" is not a name");
	expect_problem("postern.conf:1: auth.x.plugin: \"../evil\" is not a name");
	expect_problem("postern.conf:2: listener.POP3.port: \"POP3\" is not a name");
	expect_problem("postern.conf:3: storage.maildir: unknown setting");
	expect_problem("postern.conf:4: listener2: unknown group; did you mean listener?");
	expect_problem("postern.conf:5: mail.workers: is a single value, not a group");
	assert_int_equal(problems.n, 6);
}

static void
test_listener_problems_are_found(void **state)
{
	(void)state;
	load_text("listener: {\n"
	          "  a: { port = 110; };\n"
	          "  b: { port = 110; };\n"
	          "  c: { address = \"localhost\"; port = 70000; };\n"
	          "  d: { address = \"::\"; port = 110; };\n"
	          "  e: { tls = \"none\"; port = 111; };\n"
	          "  f: { tls = \"none\"; port = 112; plaintext_login = true; };\n"
	          "  g: { adress = \"0.0.0.0\"; };\n"
	          "  h = 5;\n"
	          "};\n",
	          NULL);
	expect_problem("postern.conf:3: listener.b.port: 0.0.0.0 port 110 is listener a's already");
	expect_problem("postern.conf:4: listener.c.address: \"localhost\" is not a numeric");
	expect_problem("postern.conf:4: listener.c.port: \"70000\" is out of bounds: 1 to 65535");
	expect_problem("postern.conf:6: listener.e.tls: nobody could log in");
	expect_problem("postern.conf:8: listener.g.adress: unknown setting; did you mean "
	               "listener.g.address?");
	expect_problem("postern.conf:8: listener.g.port: must be set");
	expect_problem("postern.conf:9: listener.h: a listener is a group");
	assert_int_equal(problems.n, 7);
}

static void
test_tls_listener_needs_a_directory(void **state)
{
	const char *const none[] = { "tls.directory=", NULL };

	(void)state;
	load_text("", none);
	assert_int_equal(problems.n, 2);
	expect_problem("listener.pop3.tls: needs certificates: set tls.directory");
	expect_problem("listener.pop3s.tls: needs certificates");
}

static void
test_location_is_a_plugin_and_a_path_with_known_placeholders(void **state)
{
	static const struct {
		const char *set, *says;
	} rows[] = {
		{ "mail.location=/srv/mail", "must be a storage plugin's name, a colon and" },
		{ "mail.location=maildir", "must be a storage plugin's name" },
		{ "mail.location=maildir:srv/%{user}", "must be a storage plugin's name" },
		{ "mail.location=../x:/srv/%{user}", "must be a storage plugin's name" },
		{ "mail.location=maildir:/srv/%{usr}", "\"%{usr}\" is unknown; there are %{user}" },
		{ "mail.location=maildir:/srv/%u", "\"%\" is unknown" },
		{ "mail.location=maildir:/srv/100%", "\"%\" is unknown" },
		{ "mail.location=maildir:/%{user}", "mail.roots: must be set" },
		{ "mail.roots=/srv mail", "mail.roots: \"mail\" is not an absolute path" },
	};
	static const char *const good[] = { "mail.location=maildir:/srv/%{user}/%{local}/%{domain}",
		                            "mail.location=mbox:/var/mail/%{local}",
		                            "mail.roots=/srv/a /srv/b" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const sets[] = { rows[i].set, NULL };

		conf_problems_init(&problems, arena);
		conf_texts_init(&texts, arena);
		load_text("", sets);
		assert_int_equal(problems.n, 1);
		expect_problem(rows[i].says);
	}
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *const sets[] = { good[i], NULL };

		conf_problems_init(&problems, arena);
		conf_texts_init(&texts, arena);
		load_text("", sets);
		expect_no_problems();
	}
}

static void
test_other_settings_that_do_not_go_together_are_found(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "log: { destination = \"file.log\"; };",
		  "postern.conf:1: log.destination: must be" },
		{ "login: { greeting = \"a\\nb\"; };", "login.greeting: must be one line" },
		{ "auth: { backends = [ \"sqlit\" ]; sqlite: { }; };",
		  "\"sqlit\" has no section; did you mean sqlite?" },
		{ "auth: { backends = [ \"a\", \"b\", \"a\" ]; };", "\"a\" is there twice" },
		{ "auth: { backends = \"A/b\"; };", "\"A/b\" is not a plugin's name" },
		{ "auth: { backends = [ ]; };", "auth.backends: names no plugin" },
		{ "policy: { order = \"x x\"; };", "policy.order: \"x\" is there twice" },
		{ "auth: { argon2_memory = \"512M\"; };", "is more than auth.max_hash_memory" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		conf_problems_init(&problems, arena);
		conf_texts_init(&texts, arena);
		load_text(rows[i].text, tls_set);
		assert_int_equal(problems.n, 1);
		expect_problem(rows[i].says);
	}
}

static void
test_every_auth_section_says_what_follows_its_answers(void **state)
{
	const struct plugin_section *s;

	(void)state;
	load_text(
		"auth: { a: { on_wrong = \"next\"; }; b: { on_temp = \"next\"; }; c: { x = 1; }; };\n"
		"storage: { d: { on_wrong = \"next\"; }; };\n",
		NULL);
	s = settings_section(&settings, PST_AUTH, PST_LIT("a"));
	assert_int_equal(s->rules.on_wrong, BACKEND_NEXT);
	assert_int_equal(s->rules.on_temp, BACKEND_STOP);
	s = settings_section(&settings, PST_AUTH, PST_LIT("b"));
	assert_int_equal(s->rules.on_wrong, BACKEND_STOP);
	assert_int_equal(s->rules.on_temp, BACKEND_NEXT);
	s = settings_section(&settings, PST_AUTH, PST_LIT("c"));
	assert_int_equal(s->rules.on_wrong, BACKEND_STOP);
	assert_int_equal(s->rules.on_temp, BACKEND_STOP);
	assert_ptr_equal(settings_section_keys("auth.a"), settings_backend_keys);
	assert_null(settings_section_keys("storage.d"));
	assert_null(settings_section_keys("login.a"));
}

static void
test_a_bad_rule_of_a_section_is_found(void **state)
{
	(void)state;
	load_text("auth: { sqlite: { on_temp = \"go\"; }; };\n", NULL);
	expect_problem("postern.conf:1: auth.sqlite.on_temp: \"go\" is not one of stop|next");
	assert_int_equal(problems.n, 1);
}

static void
test_masters_need_their_backends_and_a_separator_that_names_do_not_hold(void **state)
{
	static const char *const bad[] = { "a", "@", ".", "-", "/", "5", "_" };
	size_t i;

	(void)state;
	load_text("auth: { master_backends = [ \"staff\" ]; master_separator = \"*\"; };\n", NULL);
	expect_no_problems();
	assert_string_equal(settings.auth.master_backends, "staff");
	assert_true(settings.auth.master_read_only);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		conf_texts_init(&texts, arena);
		conf_problems_init(&problems, arena);
		load_text(pst_arena_printf(arena,
		                           "auth: { master_backends = \"staff\"; "
		                           "master_separator = \"%s\"; };\n",
		                           bad[i]),
		          NULL);
		expect_problem("postern.conf:1: auth.master_separator: must be one of");
	}
	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	load_text("auth: { master_separator = \"*\"; };\n", NULL);
	expect_problem("postern.conf:1: auth.master_separator: is of no use without");
	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	load_text("auth: { master_backends = \"staff stuff staff\"; };\n", NULL);
	expect_problem("postern.conf:1: auth.master_backends: \"staff\" is there twice");
}

static void
test_a_masters_section_is_in_use(void **state)
{
	struct conf_problems notes;

	(void)state;
	load_text("auth: { master_backends = \"staff\"; staff: { }; other: { }; };\n", NULL);
	expect_no_problems();
	conf_problems_init(&notes, arena);
	settings_notes(&texts, &settings, &notes);
	assert_int_equal(notes.n, 1);
	assert_non_null(strstr(notes.v[0], "auth.other: is not used"));
}

static void
test_a_listener_has_a_domain_of_its_own_or_the_clients(void **state)
{
	static const char *const bad[] = { "a@b.test", "%{SNI}", "%{sni}.test", "a b.test", "a/b" };
	size_t i;

	(void)state;
	load_text("listener: { a: { port = 1; tls = \"none\"; plaintext_login = true; "
	          "default_domain = \"a.test\"; }; b: { port = 2; tls = \"none\"; "
	          "plaintext_login = true; default_domain = \"%{sni_domain}\"; }; };\n",
	          NULL);
	expect_no_problems();
	assert_string_equal(settings.listeners[0].default_domain, "a.test");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		conf_texts_init(&texts, arena);
		conf_problems_init(&problems, arena);
		load_text(
			pst_arena_printf(arena,
		                         "listener: { a: { port = 1; tls = \"none\"; "
		                         "plaintext_login = true; default_domain = \"%s\"; }; };\n",
		                         bad[i]),
			NULL);
		expect_problem("postern.conf:1: listener.a.default_domain: must be a domain");
	}
}

static void
test_too_many_listeners_and_sections_are_refused(void **state)
{
	char path[64];
	unsigned i;

	(void)state;
	for (i = 0; i <= SETTINGS_MAX_LISTENERS; i++) {
		(void)snprintf(path, sizeof(path), "listener.l%u.port", i);
		conf_texts_set(&texts, pst_str_c(path),
		               pst_str_c(pst_arena_printf(arena, "%u", 1000 + i)), "f", i);
	}
	for (i = 0; i <= SETTINGS_MAX_SECTIONS; i++) {
		(void)snprintf(path, sizeof(path), "storage.s%u", i);
		conf_texts_set(&texts, pst_str_c(path), PST_LIT(CONF_EMPTY_GROUP), "f", i);
	}
	settings_load(&texts, &settings, &problems);
	assert_int_equal(problems.n, 2);
	expect_problem("more than 32 listeners");
	expect_problem("more than 64 plugin sections");
	assert_int_equal(settings.listener_count, SETTINGS_MAX_LISTENERS);
	assert_int_equal(settings.section_count, SETTINGS_MAX_SECTIONS);
}

static void
test_notes_are_not_problems(void **state)
{
	struct conf_problems notes;

	(void)state;
	load_text("mail: { timeout = \"30s\"; };\nserver: { sandbox = \"off\"; };\n"
	          "auth: { old: { }; };\npolicy: { later: { }; };\n",
	          NULL);
	expect_no_problems();
	conf_problems_init(&notes, arena);
	settings_notes(&texts, &settings, &notes);
	assert_int_equal(notes.n, 4);
	assert_non_null(
		strstr(notes.v[0], "postern.conf:1: mail.timeout: is below the 10 minutes"));
	assert_non_null(strstr(notes.v[1], "postern.conf:2: server.sandbox: is off"));
	assert_non_null(strstr(notes.v[2], "auth.old: is not used"));
	assert_non_null(strstr(notes.v[3], "policy.later: is not used"));
}

static void
test_words_of_a_list_are_taken_one_by_one(void **state)
{
	const char *list = "  a bc\t d ";
	struct pst_str word;

	(void)state;
	assert_true(settings_next_word(&list, &word));
	assert_true(pst_str_eq(word, PST_LIT("a")));
	assert_true(settings_next_word(&list, &word));
	assert_true(pst_str_eq(word, PST_LIT("bc")));
	assert_true(settings_next_word(&list, &word));
	assert_true(pst_str_eq(word, PST_LIT("d")));
	assert_false(settings_next_word(&list, &word));
	assert_false(settings_next_word(&list, &word));
}

static void
test_names_are_short_and_plain(void **state)
{
	static const char *const good[] = { "a", "sqlite", "my_sql2" };
	static const char *const bad[] = {
		"", "A", "2a", "_a", "a-b", "a.b", "a/b", "../a", "a b"
	};
	char longer[65];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_true(settings_is_name(pst_str_c(good[i])));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(settings_is_name(pst_str_c(bad[i])));
	memset(longer, 'a', sizeof(longer));
	assert_true(settings_is_name((struct pst_str){ longer, 63 }));
	assert_false(settings_is_name((struct pst_str){ longer, 64 }));
}

/* ---- The default TLS priority ---- */

static void
test_default_priority_is_tls_1_2_and_1_3_with_ecdhe_and_aead_only(void **state)
{
	gnutls_priority_t priority;
	const unsigned *list;
	const char *error;
	size_t i;
	int n;

	(void)state;
	load_text("", NULL);
	if (gnutls_priority_init(&priority, settings.tls.priority, &error) != 0)
		fail_msg("not understood from \"%s\" on", error);
	n = gnutls_priority_protocol_list(priority, &list);
	assert_int_equal(n, 2);
	assert_int_equal(list[0], GNUTLS_TLS1_3);
	assert_int_equal(list[1], GNUTLS_TLS1_2);
	n = gnutls_priority_kx_list(priority, &list);
	assert_int_equal(n, 2);
	assert_int_equal(list[0], GNUTLS_KX_ECDHE_ECDSA);
	assert_int_equal(list[1], GNUTLS_KX_ECDHE_RSA);
	n = gnutls_priority_cipher_list(priority, &list);
	assert_int_equal(n, 3);
	assert_int_equal(list[0], GNUTLS_CIPHER_AES_128_GCM);
	assert_int_equal(list[1], GNUTLS_CIPHER_AES_256_GCM);
	assert_int_equal(list[2], GNUTLS_CIPHER_CHACHA20_POLY1305);
	n = gnutls_priority_group_list(priority, &list);
	assert_int_equal(n, 4);
	assert_int_equal(list[0], GNUTLS_GROUP_X25519);
	assert_int_equal(list[1], GNUTLS_GROUP_SECP256R1);
	/* And the suites that come of it: each is ECDHE, or TLS 1.3's, which know nothing else. */
	for (i = 0;; i++) {
		gnutls_kx_algorithm_t kx = GNUTLS_KX_UNKNOWN;
		gnutls_protocol_t least;
		unsigned idx;
		int rc = gnutls_priority_get_cipher_suite_index(priority, (unsigned)i, &idx);

		if (rc == GNUTLS_E_UNKNOWN_CIPHER_SUITE)
			continue;
		if (rc != 0)
			break;
		assert_non_null(gnutls_cipher_suite_info(idx, NULL, &kx, NULL, NULL, &least));
		assert_true(least == GNUTLS_TLS1_3 || kx == GNUTLS_KX_ECDHE_ECDSA ||
		            kx == GNUTLS_KX_ECDHE_RSA);
	}
	assert_true(i >= 9);
	gnutls_priority_deinit(priority);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_empty_file_gives_the_defaults_without_a_problem),
		KIT_TEST(test_file_without_a_listener_gets_pop3_and_pop3s),
		KIT_TEST(test_listeners_of_the_file_and_of_sets_take_the_place_of_the_builtin),
		KIT_TEST(test_every_default_is_read_by_its_own_row),
		KIT_TEST(test_all_problems_are_told_at_once_with_place_and_nearest_name),
		KIT_TEST(test_sections_are_found_by_their_groups),
		KIT_TEST(test_names_that_the_admin_chose_badly_are_told_once),
		KIT_TEST(test_listener_problems_are_found),
		KIT_TEST(test_tls_listener_needs_a_directory),
		KIT_TEST(test_location_is_a_plugin_and_a_path_with_known_placeholders),
		KIT_TEST(test_other_settings_that_do_not_go_together_are_found),
		KIT_TEST(test_every_auth_section_says_what_follows_its_answers),
		KIT_TEST(test_a_bad_rule_of_a_section_is_found),
		KIT_TEST(test_masters_need_their_backends_and_a_separator_that_names_do_not_hold),
		KIT_TEST(test_a_masters_section_is_in_use),
		KIT_TEST(test_a_listener_has_a_domain_of_its_own_or_the_clients),
		KIT_TEST(test_too_many_listeners_and_sections_are_refused),
		KIT_TEST(test_notes_are_not_problems),
		KIT_TEST(test_words_of_a_list_are_taken_one_by_one),
		KIT_TEST(test_names_are_short_and_plain),
		KIT_TEST(test_default_priority_is_tls_1_2_and_1_3_with_ecdhe_and_aead_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
