/* SPDX-License-Identifier: MIT */
/* What a record says of who may come in: each term, what the client is told, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "credentials/contract.h"

static struct pst_auth_query
query_from(const char *ip, uint32_t tls_version)
{
	return (struct pst_auth_query){
		.remote_ip = pst_str_c(ip),
		.tls = tls_version != 0,
		.tls_version = tls_version,
	};
}

static const char *
judge(const struct pst_auth_record *record, const struct pst_auth_query *query,
      struct contract_verdict *v)
{
	const struct contract_term *term;

	memset(v, 0, sizeof(*v));
	term = contract_judge(record, query, v);
	return term != NULL ? term->name : "";
}

static void
test_a_record_that_says_nothing_keeps_nobody_out(void **state)
{
	const struct pst_auth_record record = { 0 };
	const struct pst_auth_query query = query_from("192.0.2.1", 0);
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &query, &v), "");
}

static void
test_networks_keep_out_with_the_answer_of_a_wrong_password(void **state)
{
	const struct pst_auth_record record = { .allow_nets = PST_LIT("192.0.2.0/24, local") };
	const struct pst_auth_query in = query_from("192.0.2.1", 0);
	const struct pst_auth_query out = query_from("198.51.100.1", 13);
	const struct pst_auth_query local = query_from("local", 0);
	const struct pst_auth_query none = query_from("", 0);
	const struct pst_auth_query odd = query_from("somewhere", 0);
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &in, &v), "");
	assert_string_equal(judge(&record, &local, &v), "");
	assert_string_equal(judge(&record, &none, &v), "");
	assert_string_equal(judge(&record, &out, &v), "allow_nets");
	assert_int_equal(v.kind, PST_E_AUTH);
	assert_string_equal(v.text, "");
	assert_false(v.is_broken);
	assert_string_equal(v.why, "nets=\"192.0.2.0/24, local\"");
	assert_string_equal(judge(&record, &odd, &v), "allow_nets");
	assert_int_equal(v.kind, PST_E_AUTH);
}

static void
test_a_bad_network_lets_nobody_in_and_is_named(void **state)
{
	const struct pst_auth_record record = { .allow_nets = PST_LIT("192.0.2.0/24 nowhere") };
	const struct pst_auth_record blank = { .allow_nets = PST_LIT(" ,") };
	const struct pst_auth_query query = query_from("192.0.2.1", 0);
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &query, &v), "allow_nets");
	assert_int_equal(v.kind, PST_E_PERM);
	assert_true(v.is_broken);
	assert_non_null(strstr(v.why, "nowhere"));
	assert_string_equal(judge(&blank, &query, &v), "allow_nets");
	assert_int_equal(v.kind, PST_E_PERM);
	assert_true(v.is_broken);
}

static void
test_tls_must_be_there_in_the_wanted_version(void **state)
{
	static const struct {
		uint32_t wanted, has;
		bool ok;
	} rows[] = {
		{ 10, 0, false }, { 10, 12, true },  { 10, 13, true },
		{ 12, 0, false }, { 12, 12, true },  { 12, 13, true },
		{ 13, 0, false }, { 13, 12, false }, { 13, 13, true },
	};
	struct contract_verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pst_auth_record record = { .min_tls = rows[i].wanted };
		const struct pst_auth_query query = query_from("192.0.2.1", rows[i].has);

		assert_string_equal(judge(&record, &query, &v), rows[i].ok ? "" : "min_tls");
		if (rows[i].ok)
			continue;
		assert_int_equal(v.kind, PST_E_PERM);
		assert_false(v.is_broken);
		assert_non_null(strstr(v.text, "TLS"));
		assert_in_range(strlen(v.text), 10, 79);
	}
}

/* A worker that did not say which version it was. */
static void
test_tls_of_an_unknown_version_is_any_tls(void **state)
{
	const struct pst_auth_query query = { .remote_ip = PST_LIT("192.0.2.1"), .tls = true };
	struct pst_auth_record record = { .min_tls = 10 };
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &query, &v), "");
	record.min_tls = 12;
	assert_string_equal(judge(&record, &query, &v), "min_tls");
}

static void
test_a_version_that_is_none_lets_nobody_in(void **state)
{
	static const uint32_t wanted[] = { 1, 11, 14, 99, UINT32_MAX };
	const struct pst_auth_query query = query_from("192.0.2.1", 13);
	struct contract_verdict v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct pst_auth_record record = { .min_tls = wanted[i] };

		assert_string_equal(judge(&record, &query, &v), "min_tls");
		assert_true(v.is_broken);
		assert_int_equal(v.kind, PST_E_PERM);
	}
}

static void
test_a_user_of_another_server_is_refused_with_its_name(void **state)
{
	const struct pst_auth_record record = { .proxy = PST_LIT("pop.other.test:110") };
	const struct pst_auth_query query = query_from("192.0.2.1", 13);
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &query, &v), "proxy");
	assert_int_equal(v.kind, PST_E_PERM);
	assert_true(v.is_broken);
	assert_non_null(strstr(v.why, "pop.other.test:110"));
}

/* Every other refusal would tell a stranger that the password was right. */
static void
test_networks_come_before_all_that_tells_something(void **state)
{
	const struct pst_auth_record record = { .allow_nets = PST_LIT("192.0.2.0/24"),
		                                .proxy = PST_LIT("other.test"),
		                                .min_tls = 99 };
	const struct pst_auth_query query = query_from("198.51.100.1", 0);
	struct contract_verdict v;

	(void)state;
	assert_string_equal(judge(&record, &query, &v), "allow_nets");
	assert_int_equal(v.kind, PST_E_AUTH);
}

static void
test_a_list_of_any_length_is_cut_for_the_log(void **state)
{
	static char list[4096];
	const struct pst_auth_record record = { .allow_nets = { list, sizeof(list) } };
	const struct pst_auth_query query = query_from("198.51.100.1", 0);
	struct contract_verdict v;

	(void)state;
	memset(list, ' ', sizeof(list));
	memcpy(list, "192.0.2.7", 9);
	assert_string_equal(judge(&record, &query, &v), "allow_nets");
	assert_in_range(strlen(v.why), 10, sizeof(v.why) - 1);
	assert_int_equal(v.why[strlen(v.why) - 1], '"');
	memset(list, 'x', sizeof(list));
	assert_string_equal(judge(&record, &query, &v), "allow_nets");
	assert_true(v.is_broken);
	assert_int_equal(v.why[strlen(v.why) - 1], '"');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_that_says_nothing_keeps_nobody_out),
		cmocka_unit_test(test_networks_keep_out_with_the_answer_of_a_wrong_password),
		cmocka_unit_test(test_a_bad_network_lets_nobody_in_and_is_named),
		cmocka_unit_test(test_tls_must_be_there_in_the_wanted_version),
		cmocka_unit_test(test_tls_of_an_unknown_version_is_any_tls),
		cmocka_unit_test(test_a_version_that_is_none_lets_nobody_in),
		cmocka_unit_test(test_a_user_of_another_server_is_refused_with_its_name),
		cmocka_unit_test(test_networks_come_before_all_that_tells_something),
		cmocka_unit_test(test_a_list_of_any_length_is_cut_for_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
