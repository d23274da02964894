/* SPDX-License-Identifier: MIT */
/* The rules for descriptors, one breach at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <postern/auth.h>
#include <postern/policy.h>
#include <postern/storage.h>

#include "plugin/rules.h"

struct conf {
	int64_t number;
	bool flag;
	const char *text;
};

static const struct pst_conf_key good_keys[] = {
	{ "number", PST_CONF_INT(struct conf, number), "5", 1, 9, NULL, "A." },
	{ "flag", PST_CONF_BOOL(struct conf, flag), "no", 0, 0, NULL, "A." },
	{ "text", PST_CONF_TEXT(struct conf, text), NULL, 0, 0, NULL, "A." },
	{ .key = NULL },
};

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)self_out, (void)err;
	return 0;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	(void)self, (void)query, (void)record, (void)err;
	return PST_AUTH_OK;
}

static enum pst_auth_result
verify(void *self, const struct pst_auth_query *query, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	(void)self, (void)query, (void)password, (void)record, (void)err;
	return PST_AUTH_OK;
}

static int
store_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
           struct pst_err *err)
{
	(void)self, (void)spec, (void)drop_out, (void)err;
	return 0;
}

static const struct pst_auth good_auth = { .size = sizeof(struct pst_auth), .lookup = lookup };

static const struct pst_plugin good = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "plug",
	.keys = good_keys,
	.conf_size = sizeof(struct conf),
	.start = start,
	.auth = &good_auth,
};

static void
expect_good(const struct pst_plugin *d)
{
	struct pst_err err;

	if (plugin_check_head(d, sizeof(*d), &err) != 0 || plugin_check_body(d, "plug", &err) != 0)
		fail_msg("%s", err.text);
}

static void
expect_broken(const struct pst_plugin *d, const char *says)
{
	struct pst_err err = { 0 };

	if (plugin_check_head(d, sizeof(*d), &err) == 0 && plugin_check_body(d, "plug", &err) == 0)
		fail_msg("taken, though: %s", says);
	assert_int_equal(err.kind, PST_E_PERM);
	if (strstr(err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void
test_sound_descriptors_are_taken(void **state)
{
	const struct pst_auth verifier = { .size = sizeof(struct pst_auth), .verify = verify };
	const struct pst_policy policy = { .size = sizeof(struct pst_policy), .on_connect = NULL };
	struct pst_plugin d = good;

	(void)state;
	expect_good(&d);
	d.auth = &verifier;
	expect_good(&d);
	d.keys = NULL;
	d.conf_size = 0;
	expect_good(&d);
	d.kind = PST_POLICY;
	d.policy = &policy;
	expect_good(&d);
}

static void
test_head_is_judged_before_anything_else_is_read(void **state)
{
	struct pst_plugin d = good;
	struct pst_err err;

	(void)state;
	d.abi = PST_ABI + 1;
	expect_broken(&d, "rule 3: abi 2, this server speaks 1");
	d = good;
	d.size = sizeof(d) + 1;
	expect_broken(&d, "rule 4: size ");
	d.size = 8;
	expect_broken(&d, "rule 4: size 8 is not that of the descriptor");
	d.size = 0;
	expect_broken(&d, "rule 4: size 0");
	assert_int_equal(plugin_check_head(&good, sizeof(good) - 8, &err), -1);
	assert_int_equal(plugin_check_head(&good, 4, &err), -1);
	assert_int_equal(plugin_check_head(&good, 0, &err), 0); /* size of the symbol not known */
}

static void
test_a_table_of_functions_is_taken_by_its_size(void **state)
{
	const struct pst_auth older = { .size = sizeof(uint32_t) * 2 + sizeof(void *),
		                        .lookup = lookup,
		                        .verify = verify };
	struct pst_auth full = { .size = sizeof(full), .lookup = lookup };
	struct pst_auth copy;
	struct pst_err err;

	(void)state;
	memset(&copy, 0xff, sizeof(copy));
	assert_int_equal(plugin_copy_table(&older, &copy, sizeof(copy), &err), 0);
	assert_ptr_equal(copy.lookup, lookup);
	assert_null(copy.verify); /* beyond what the plugin was built with */
	assert_null(copy.create);
	full.size++;
	assert_int_equal(plugin_copy_table(&full, &copy, sizeof(copy), &err), -1);
	assert_non_null(strstr(err.text, "rule 4: "));
	full.size = 0; /* forgotten */
	assert_int_equal(plugin_copy_table(&full, &copy, sizeof(copy), &err), -1);
}

static void
test_name_and_kind_are_judged(void **state)
{
	static const char *const names[] = { NULL, "", "Plug", "plug-in", "../plug", "plug2" };
	const struct pst_auth both = { .size = sizeof(struct pst_auth),
		                       .lookup = lookup,
		                       .verify = verify };
	const struct pst_auth neither = { .size = sizeof(struct pst_auth), .lookup = NULL };
	const struct pst_storage half = { .size = sizeof(struct pst_storage), .open = store_open };
	struct pst_plugin d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		d = good;
		d.name = names[i];
		expect_broken(&d, "rule 5: ");
	}
	d = good;
	d.start = NULL;
	expect_broken(&d, "rule 6: start is missing");
	d = good;
	d.auth = NULL;
	expect_broken(&d, "rule 6: an auth plugin needs one of lookup, verify and token");
	d.auth = &both;
	expect_broken(&d, "rule 6: an auth plugin needs one of lookup, verify and token");
	d.auth = &neither;
	expect_broken(&d, "rule 6: ");
	d = good;
	d.kind = PST_STORAGE;
	expect_broken(&d, "rule 6: a storage plugin needs open");
	d.storage = &half;
	expect_broken(&d, "rule 6: a storage plugin needs open");
	d.kind = PST_POLICY;
	expect_broken(&d, "rule 6: a policy plugin needs policy");
	d.kind = (enum pst_kind)0;
	expect_broken(&d, "rule 6: the kind is none of");
	d.kind = (enum pst_kind)4;
	expect_broken(&d, "rule 6: the kind is none of");
}

static void
test_tables_that_would_write_outside_the_struct_or_mean_nothing_are_refused(void **state)
{
	const size_t end = sizeof(struct conf);
	const struct {
		struct pst_conf_key key;
		const char *says;
	} rows[] = {
		{ { "Number", PST_CONF_T_INT, 0, "5", 0, 0, NULL, "A." }, "not of the form" },
		{ { "on_wrong", PST_CONF_T_TEXT, 0, "5", 0, 0, NULL, "A." }, "the server's own" },
		{ { "plugin", PST_CONF_T_TEXT, 0, "5", 0, 0, NULL, "A." }, "the server's own" },
		{ { "k", (enum pst_conf_type)0, 0, "5", 0, 0, NULL, "A." }, "setting k: the type" },
		{ { "k", (enum pst_conf_type)10, 0, "5", 0, 0, NULL, "A." },
		  "setting k: the type" },
		{ { "k", PST_CONF_T_INT, end, "5", 0, 0, NULL, "A." }, "not within conf_size" },
		{ { "k", PST_CONF_T_INT, end - 4, "5", 0, 0, NULL, "A." }, "not within conf_size" },
		{ { "k", PST_CONF_T_INT, SIZE_MAX - 7, "5", 0, 0, NULL, "A." },
		  "not within conf_size" },
		{ { "k", PST_CONF_T_INT, 4, "5", 0, 0, NULL, "A." }, "not within conf_size" },
		{ { "k", PST_CONF_T_TEXT, end - 4, "5", 0, 0, NULL, "A." },
		  "not within conf_size" },
		{ { "k", PST_CONF_T_BOOL, end, "no", 0, 0, NULL, "A." }, "not within conf_size" },
		{ { "k", PST_CONF_T_CHOICE, 0, "5", 0, 0, NULL, "A." }, "needs its words in unit" },
		{ { "k", PST_CONF_T_INT, 0, "5", 0, 0, NULL, NULL }, "doc is missing" },
		{ { "k", PST_CONF_T_INT, 0, "5", 9, 1, NULL, "A." }, "min is above max" },
		{ { "k", PST_CONF_T_INT, 0, "50", 1, 9, NULL, "A." },
		  "the default: \"50\" is out of" },
		{ { "k", PST_CONF_T_TIME, 0, "5", 0, 0, NULL, "A." },
		  "the default: \"5\" is not a time" },
		{ { "k", PST_CONF_T_CHOICE, 0, "x", 0, 0, "a|b", "A." },
		  "the default: \"x\" is not one" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pst_conf_key keys[] = { rows[i].key, { .key = NULL } };
		struct pst_plugin d = good;

		d.keys = keys;
		expect_broken(&d, "rule 7: ");
		expect_broken(&d, rows[i].says);
	}
}

static void
test_name_that_is_there_twice_or_a_huge_struct_is_refused(void **state)
{
	const struct pst_conf_key twice[] = {
		good_keys[0], good_keys[1], good_keys[0], { .key = NULL }
	};
	struct pst_plugin d = good;

	(void)state;
	d.keys = twice;
	expect_broken(&d, "rule 7: setting number: it is there twice");
	d = good;
	d.conf_size = SIZE_MAX / 2;
	expect_broken(&d, "rule 7: conf_size is above 1 MiB");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound_descriptors_are_taken),
		cmocka_unit_test(test_head_is_judged_before_anything_else_is_read),
		cmocka_unit_test(test_a_table_of_functions_is_taken_by_its_size),
		cmocka_unit_test(test_name_and_kind_are_judged),
		cmocka_unit_test(
			test_tables_that_would_write_outside_the_struct_or_mean_nothing_are_refused),
		cmocka_unit_test(test_name_that_is_there_twice_or_a_huge_struct_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
