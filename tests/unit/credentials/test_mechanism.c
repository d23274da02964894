/* SPDX-License-Identifier: MIT */
/* Which mechanisms a connection offers, and what config check says of their settings. */
#include "tests/unit/config/conf_kit.h"

#include "credentials/mechanism.h"

#define ALL (MECH_BIT(MECH_COUNT) - 1)

static void
test_names_are_found_in_any_case_and_whole(void **state)
{
	unsigned id;

	(void)state;
	for (id = 0; id < MECH_COUNT; id++) {
		assert_non_null(mechanisms[id].name);
		assert_int_equal(mechanism_find(pst_str_c(mechanisms[id].name)), id);
	}
	assert_int_equal(mechanism_find(PST_LIT("scram-sha-1-plus")), MECH_SCRAM_SHA_1_PLUS);
	assert_int_equal(mechanism_find(PST_LIT("SCRAM-SHA-1-PLU")), MECH_COUNT);
	assert_int_equal(mechanism_find(PST_LIT("PLAINX")), MECH_COUNT);
	assert_int_equal(mechanism_find(PST_LIT("")), MECH_COUNT);
	assert_int_equal(mechanism_set("plain  PLAIN nonsense\tUSER"),
	                 MECH_BIT(MECH_PLAIN) | MECH_BIT(MECH_USER));
}

static void
test_what_is_offered_depends_on_what_the_connection_has(void **state)
{
	static const struct {
		struct mechanism_facts facts;
		const char *list;
	} rows[] = {
		{ { 0 }, "" },
		{ { .has_guest = true, .has_binding = true, .has_certificate = true }, "" },
		{ { .plaintext_login = true }, "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN" },
		{ { .plaintext_login = true, .has_guest = true },
		  "SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN ANONYMOUS" },
		{ { .tls = true },
		  "SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN" },
		{ { .tls = true, .has_binding = true },
		  "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER "
		  "XOAUTH2 CRAM-MD5 PLAIN LOGIN" },
		{ { .tls = true, .has_certificate = true },
		  "SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL OAUTHBEARER XOAUTH2 CRAM-MD5 PLAIN LOGIN" },
	};
	char list[MECH_LIST_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mechanism_list(mechanism_offer(ALL, &rows[i].facts), list);
		assert_string_equal(list, rows[i].list);
		assert_int_equal(mechanism_offer(0, &rows[i].facts), 0);
	}
	mechanism_list(ALL, list); /* it fits */
	assert_non_null(strstr(list, "ANONYMOUS"));
	mechanism_list(~0u, list); /* bits that are no mechanism's */
	assert_null(strstr(list, "USER"));
}

static void
test_guests_are_found_by_domain(void **state)
{
	static const struct {
		const char *list, *default_domain, *sni, *guest;
	} rows[] = {
		{ "", "", "x.test", "" },
		{ "a@x.test b@y.test", "", "y.test", "b@y.test" },
		{ "a@x.test b@y.test", "", "pop.Y.test", "b@y.test" },
		{ "a@x.test b@y.test", "", "yy.test", "" },
		{ "a@x.test b@y.test", "", "", "" },
		{ "a@x.test b@y.test", "x.test", "", "a@x.test" },
		{ "a@x.test b@y.test", "x.test", "y.test", "b@y.test" },
		{ "a b@y.test", "x.test", "z.test", "a" },
		{ "a", "", "x.test", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct auth_settings auth = { .anonymous = rows[i].list,
			                            .default_domain = rows[i].default_domain };
		struct pst_str guest = mechanism_guest(&auth, pst_str_c(rows[i].sni));

		if (!pst_str_eq(guest, pst_str_c(rows[i].guest)))
			fail_msg("row %zu: %.*s", i, PST_ARG(guest));
	}
}

static void
test_config_check_finds_what_is_wrong(void **state)
{
	static const struct {
		const char *mechanisms, *anonymous, *client_ca, *problem; /* NULL: none */
	} rows[] = {
		{ "USER PLAIN LOGIN", "", "", NULL },
		{ "user EXTERNAL", "", "/ca.pem", NULL },
		{ "ANONYMOUS", "a@x.test", "", NULL },
		{ "USER SCRAM-SHA256", "", "",
		  "\"SCRAM-SHA256\" is no mechanism; did you mean SCRAM-SHA-256?" },
		{ "GSSAPI", "", "", "\"GSSAPI\" is no mechanism" },
		{ "", "", "", "names none" },
		{ "EXTERNAL", "", "", "EXTERNAL needs tls.client_ca" },
		{ "ANONYMOUS", " ", "", "ANONYMOUS needs auth.anonymous" },
		{ "ANONYMOUS", "a", "", "\"a\" is not the name of a user with a domain" },
		{ "ANONYMOUS", "../a@x", "", "is not the name of a user" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		conf_problems_init(&problems, arena);
		settings.auth.mechanisms = rows[i].mechanisms;
		settings.auth.anonymous = rows[i].anonymous;
		settings.auth.default_domain = "";
		settings.tls.client_ca = rows[i].client_ca;
		mechanism_check_settings(&settings, &texts, &problems);
		if (rows[i].problem == NULL) {
			assert_int_equal(problems.n, 0);
			continue;
		}
		assert_int_equal(problems.n, 1);
		if (strstr(problems.v[0], rows[i].problem) == NULL)
			fail_msg("%s", problems.v[0]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_found_in_any_case_and_whole),
		cmocka_unit_test(test_what_is_offered_depends_on_what_the_connection_has),
		cmocka_unit_test(test_guests_are_found_by_domain),
		cmocka_unit_test_setup_teardown(test_config_check_finds_what_is_wrong, open_kit,
		                                close_kit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
