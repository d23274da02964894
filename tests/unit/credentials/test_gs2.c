/* SPDX-License-Identifier: MIT */
/* First messages of clients, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "credentials/gs2.h"

#define SAYS(literal)                                                                              \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}

static void
test_headers(void **state)
{
	static const struct {
		struct pst_str message;
		char flag; /* 0: it is none */
		const char *binding, *authzid, *rest;
	} rows[] = {
		{ SAYS("n,,x"), 'n', "", "", "x" },
		{ SAYS("y,,"), 'y', "", "", "" },
		{ SAYS("p=tls-exporter,a=bob,x"), 'p', "tls-exporter", "bob", "x" },
		{ SAYS("n,a=a=2Cb=3Dc,"), 'n', "", "a,b=c", "" },
		{ SAYS(""), 0, NULL, NULL, NULL },
		{ SAYS("n"), 0, NULL, NULL, NULL },
		{ SAYS("n,"), 0, NULL, NULL, NULL },
		{ SAYS(",,"), 0, NULL, NULL, NULL },
		{ SAYS("nn,,"), 0, NULL, NULL, NULL },
		{ SAYS("p,,"), 0, NULL, NULL, NULL },
		{ SAYS("p=,,"), 0, NULL, NULL, NULL },
		{ SAYS("P=x,,"), 0, NULL, NULL, NULL },
		{ SAYS("n,a=,"), 0, NULL, NULL, NULL },
		{ SAYS("n,b=x,"), 0, NULL, NULL, NULL },
		{ SAYS("n,a=x=2c,"), 0, NULL, NULL, NULL },
		{ SAYS("n,a=x=,"), 0, NULL, NULL, NULL },
		{ SAYS("n,a=x=2,"), 0, NULL, NULL, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pst_str s = rows[i].message;
		struct gs2 gs2;
		bool ok = gs2_take(&s, &gs2);

		if (ok != (rows[i].flag != 0))
			fail_msg("%s", rows[i].message.p);
		if (!ok)
			continue;
		assert_int_equal(gs2.flag, rows[i].flag);
		assert_true(pst_str_eq(gs2.binding, pst_str_c(rows[i].binding)));
		assert_string_equal(gs2.authzid.text, rows[i].authzid);
		assert_true(pst_str_eq(s, pst_str_c(rows[i].rest)));
	}
}

static void
test_scram_names(void **state)
{
	static const struct {
		struct pst_str message;
		const char *user; /* NULL: it is no such message */
	} rows[] = {
		{ SAYS("n,,n=user,r=nonce"), "user" }, { SAYS("n,,n=a=2Cb=3D@x,r=n"), "a,b=@x" },
		{ SAYS("n,,n=user,"), "user" },        { SAYS("n,,m=x,n=user,r=n"), NULL },
		{ SAYS("n,,n=,r=n"), NULL },           { SAYS("n,,n=user"), NULL },
		{ SAYS("n,,n=us=er,r=n"), NULL },      { SAYS("n,,n=us\0er,r=n"), NULL },
		{ SAYS("n,,N=user,r=n"), NULL },
	};
	char longest[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scram_first first;
		bool ok = scram_first_read(rows[i].message, &first);

		if (ok != (rows[i].user != NULL))
			fail_msg("%s", rows[i].message.p);
		if (ok)
			assert_string_equal(first.user.text, rows[i].user);
	}
	for (i = GS2_NAME_MAX; i <= GS2_NAME_MAX + 1; i++) {
		struct scram_first first;

		memset(longest, 'a', sizeof(longest));
		memcpy(longest, "n,,n=", 5);
		memcpy(longest + 5 + i, ",r=n", 4);
		assert_int_equal(scram_first_read((struct pst_str){ longest, 5 + i + 4 }, &first),
		                 i == GS2_NAME_MAX);
	}
}

static void
test_bearers(void **state)
{
	static const struct {
		struct pst_str message;
		bool is_xoauth2;
		const char *user, *token; /* NULL: it is none */
	} rows[] = {
		{ SAYS("n,a=u@x,\1host=h\1port=995\1auth=Bearer t0k.e_n-~+/=\1\1"), false, "u@x",
		  "t0k.e_n-~+/=" },
		{ SAYS("n,,\1auth=Bearer tok\1\1"), false, "", "tok" },
		{ SAYS("y,,\1auth=bearer  tok\1x=y\1\1"), false, "", "tok" },
		{ SAYS("user=u@x\1auth=Bearer tok\1\1"), true, "u@x", "tok" },
		{ SAYS("auth=Bearer tok\1user=u@x\1\1"), true, "u@x", "tok" },
		{ SAYS("auth=Bearer tok\1\1"), true, NULL, NULL },
		{ SAYS("user=u\1user=v\1auth=Bearer tok\1\1"), true, NULL, NULL },
		{ SAYS("user=\1auth=Bearer tok\1\1"), true, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer tok\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer tok\1\1x"), false, NULL, NULL },
		{ SAYS("n,,auth=Bearer tok\1\1"), false, NULL, NULL },
		{ SAYS("n,,x\1auth=Bearer tok\1\1"), false, NULL, NULL },
		{ SAYS("p=tls-exporter,,\1auth=Bearer tok\1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer \1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Basic tok\1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer a b\1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer a\1auth=Bearer b\1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer a\0b\1\1"), false, NULL, NULL },
		{ SAYS("n,,\1auth=Bearer \xc3\xa4\1\1"), false, NULL, NULL },
		{ SAYS(""), false, NULL, NULL },
		{ SAYS(""), true, NULL, NULL },
		{ SAYS("\1\1"), true, NULL, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bearer b;
		bool ok = rows[i].is_xoauth2 ? bearer_read_xoauth2(rows[i].message, &b)
		                             : bearer_read_rfc7628(rows[i].message, &b);

		if (ok != (rows[i].user != NULL))
			fail_msg("row %zu: %s", i, rows[i].message.p);
		if (!ok)
			continue;
		assert_true(pst_str_eq((struct pst_str){ b.user.text, b.user.n },
		                       pst_str_c(rows[i].user)));
		assert_true(pst_str_eq(b.token, pst_str_c(rows[i].token)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_scram_names),
		cmocka_unit_test(test_bearers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
