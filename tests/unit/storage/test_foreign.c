/* SPDX-License-Identifier: MIT */
/* The lists that Dovecot and Courier leave in a Maildir, line by line, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/maildir/foreign.h"

static struct pst_str
uidl_of(const struct foreign *f, const char *base)
{
	const struct foreign_record *r = foreign_find(f, pst_str_c(base));

	return r == NULL ? PST_LIT("-") : foreign_uidl(f, r);
}

static void
expect(const struct foreign *f, const char *base, const char *uidl)
{
	struct pst_str found = uidl_of(f, base);

	assert_int_equal(found.n, strlen(uidl));
	assert_memory_equal(found.p, uidl, found.n);
}

static void
dovecot(struct foreign *f, const char *text)
{
	struct pst_err err;

	*f = (struct foreign){ .kind = FOREIGN_NONE };
	assert_int_equal(foreign_parse_dovecot(f, pst_str_c(text), "%08Xu%08Xv", 0, &err), 0);
	assert_int_equal(f->kind, FOREIGN_DOVECOT);
	assert_int_equal(foreign_make_findable(f, 1, &err), 0);
}

static void
courier(struct foreign *f, const char *text)
{
	struct pst_err err;

	*f = (struct foreign){ .kind = FOREIGN_NONE };
	assert_int_equal(foreign_parse_courier(f, pst_str_c(text), &err), 0);
	assert_int_equal(f->kind, FOREIGN_COURIER);
	assert_int_equal(foreign_make_findable(f, 1, &err), 0);
}

static void
test_dovecot_3_gives_the_kept_the_name_or_the_format(void **state)
{
	struct foreign f;

	(void)state;
	dovecot(&f, "3 Xunknown N25010 Gabc V1275660208\n"
	            "25006 :1.a,S=5:2,FS\n"
	            "25007 W30 Yunknown PUID5-7 S29 :2.b\n"
	            "25008 P O12 :3.c:2,\n"
	            "25009 G0123 :4.d");
	expect(&f, "1.a,S=5", "000061ae4c0907b0");
	expect(&f, "2.b", "UID5-7");
	expect(&f, "3.c", "3.c");
	expect(&f, "4.d", "000061b14c0907b0");
	expect(&f, "5.e", "-");
	assert_int_equal(f.bad_lines, 0);
	assert_int_equal(foreign_find(&f, PST_LIT("3.c"))->order, 12);
	assert_true(foreign_find(&f, PST_LIT("3.c"))->flags & FOREIGN_HAS_ORDER);
	assert_false(foreign_find(&f, PST_LIT("2.b"))->flags & FOREIGN_HAS_ORDER);
	foreign_clear(&f);
}

static void
test_dovecot_1_has_names_with_blanks(void **state)
{
	struct foreign f;

	(void)state;
	dovecot(&f, "1 16 9\n3 one two\n4 :2,S\n5 x:2,S\n");
	expect(&f, "one two", "0000000300000010");
	expect(&f, "x", "0000000500000010");
	assert_int_equal(f.first_bad_line, 3);
	assert_int_equal(f.bad_lines, 1);
	foreign_clear(&f);
}

static void
test_dovecot_the_later_line_of_a_name_counts(void **state)
{
	struct foreign f;

	(void)state;
	dovecot(&f, "3 V1 N9\n3 :a\n5 :a:2,S\n");
	expect(&f, "a", "0000000500000001");
	assert_true(f.records[0].flags & FOREIGN_REPLACED);
	foreign_clear(&f);
}

static void
test_dovecot_damage_costs_its_line(void **state)
{
	static const char *const bad[] = {
		"x :b",    "0 :b",   "4294967295 :b", "18446744073709551617 :b",
		"7",       "7 ",     "7 P",           "7 :",
		"7 :.b",   "7 :b/c", "-7 :b",         "",
		"Invalid",
	};
	struct foreign f;
	char text[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "3 V1 N9\n6 :a\n%s\n8 :c\n", bad[i]);
		dovecot(&f, text);
		expect(&f, "a", "0000000600000001");
		expect(&f, "b", "-");
		expect(&f, "c", "0000000800000001");
		assert_int_equal(f.bad_lines, 1);
		assert_int_equal(f.first_bad_line, 3);
		foreign_clear(&f);
	}
}

/* A folded X-UIDL put a line end into the list; numbers that go down are right for themselves. */
static void
test_dovecot_survives_a_broken_line_and_disorder(void **state)
{
	struct foreign f;

	(void)state;
	dovecot(&f, "3 V1 N9\n3 Ptwo\n words :a\n9 :b\n4 :c\n5 Pbad\tuidl :d\n");
	expect(&f, "a", "-");
	expect(&f, "b", "0000000900000001");
	expect(&f, "c", "0000000400000001");
	expect(&f, "d", "");
	assert_int_equal(f.first_bad_line, 2);
	assert_int_equal(f.bad_lines, 4);
	foreign_clear(&f);
}

static void
test_dovecot_head_that_tells_nothing_is_refused(void **state)
{
	static const char *const bad[] = {
		"",         "\n1 :a\n",        "2 V1\n1 :a\n",
		"33 V1\n",  "3 N5\n1 :a\n",    "3 V0 N5\n1 :a\n",
		"1\n1 a\n", "3 Vx N5\n1 :a\n", "3 V4294967295\n1 :a\n",
	};
	struct foreign f = { .kind = FOREIGN_NONE };
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			foreign_parse_dovecot(&f, pst_str_c(bad[i]), "%08Xu%08Xv", 0, &err), -1);
		assert_int_equal(err.kind, PST_E_TEMP);
		foreign_clear(&f);
	}
	assert_int_equal(foreign_parse_dovecot(&f, PST_LIT("3 N5\n1 P7 :a\n"), "%v", 0, &err), 0);
	foreign_clear(&f);
	assert_int_equal(foreign_parse_dovecot(&f, PST_LIT("3 N5\n1 :a\n"), "%f", 0, &err), 0);
	foreign_clear(&f);
	assert_int_equal(foreign_parse_dovecot(&f, PST_LIT("3 N5\n1 :a\n"), "%v", 12, &err), 0);
	assert_int_equal(foreign_make_findable(&f, 1, &err), 0);
	expect(&f, "a", "12");
	foreign_clear(&f);
}

static void
test_courier_versions(void **state)
{
	struct foreign f;

	(void)state;
	courier(&f, "/3 9 17\na b:2,S 120 5:17:0\nc 7 6:0:1\n+'\" 7 0:4:0\n");
	expect(&f, "a b", "UID5-17");
	expect(&f, "c", "UID6");
	expect(&f, "+'\"", "+2B+27+22");
	foreign_clear(&f);
	courier(&f, "/2 9 17\na:2,S 120 5:16\nb 1 6\n");
	expect(&f, "a", "UID5-16");
	assert_int_equal(f.first_bad_line, 3);
	foreign_clear(&f);
	courier(&f, "/1 9\na 120 5");
	expect(&f, "a", "UID5");
	foreign_clear(&f);
	courier(&f, "a:2, 120\nb\n x\n");
	expect(&f, "a", "a");
	assert_int_equal(f.first_bad_line, 2);
	assert_int_equal(f.bad_lines, 2);
	foreign_clear(&f);
}

static void
test_courier_head_of_another_version_is_refused(void **state)
{
	struct foreign f = { .kind = FOREIGN_NONE };
	struct pst_err err;

	(void)state;
	assert_int_equal(foreign_parse_courier(&f, PST_LIT("/4 1 2\na 1 1:1:0:0\n"), &err), -1);
	assert_int_equal(foreign_parse_courier(&f, PST_LIT("/\na 1 1:1\n"), &err), -1);
	foreign_clear(&f);
}

static void
test_courier_name_too_long_for_a_uidl_has_none(void **state)
{
	struct foreign f;
	char text[200] = "", name[72];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[70] = '\0';
	(void)snprintf(text, sizeof(text), "%s 1\nn%s 1\n", name, name); /* 70 and 71 */
	courier(&f, text);
	assert_int_equal(f.records[0].uidl_octets, 70);
	assert_int_equal(f.records[1].uidl_octets, 0);
	foreign_clear(&f);
}

static void
test_formats(void **state)
{
	static const struct {
		const char *format, *result; /* NULL: refused */
	} cases[] = {
		{ "%08Xu%08Xv", "000061ae4c0907b0" },
		{ "%{uid | hex(8)}%{uidvalidity | hex(8)}", "000061ae4c0907b0" },
		{ "%v.%u", "1275660208.25006" },
		{ "%{uidvalidity}.%{ uid }", "1275660208.25006" },
		{ "%f", "17.Ab" },
		{ "%Lf%Uf%g", "17.ab17.ABGg" },
		{ "%{filename|lower}-%{guid | upper}", "17.ab-GG" },
		{ "%Xu", "61ae" },
		{ "%UXu", "61ae" },
		{ "%XUu", "61AE" },
		{ "%3u%07u", "2500025006" },
		{ "%{uid|hex|upper}", "61AE" },
		{ "%%u", "%u" },
		{ "%m", NULL },
		{ "%", NULL },
		{ "%08", NULL },
		{ "%Xf", NULL },
		{ "%{u}", NULL },
		{ "%{uid", NULL },
		{ "%{uid|}", NULL },
		{ "%{uid|hex(}", NULL },
		{ "%{uid|hex(99999)}", NULL },
		{ "%{filename|hex}", NULL },
		{ "%{}", NULL },
		{ "%099u", "" },
		{ "%99999999999999999999u", "25006" },
	};
	struct foreign_values v = { .uid = 25006,
		                    .validity = 1275660208,
		                    .base = PST_LIT("17.Ab"),
		                    .guid = PST_LIT("Gg") };
	char out[70];
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int n = foreign_render(cases[i].format, &v, out, sizeof(out), &err);

		if (cases[i].result == NULL) {
			assert_int_equal(n, -1);
			continue;
		}
		assert_int_equal(n, strlen(cases[i].result));
		assert_memory_equal(out, cases[i].result, (size_t)n);
	}
}

/* Each stands before the next. */
static void
expect_order(const struct foreign *f, const char *const *names, size_t n)
{
	struct foreign_key a, b;
	size_t i;

	for (i = 0; i + 1 < n; i++) {
		foreign_key(f, pst_str_c(names[i]), &a);
		foreign_key(f, pst_str_c(names[i + 1]), &b);
		assert_true(foreign_key_compare(&a, &b) < 0);
		assert_true(foreign_key_compare(&b, &a) > 0);
		assert_int_equal(foreign_key_compare(&a, &a), 0);
	}
}

static void
test_order_of_dovecot(void **state)
{
	static const char *const names[] = {
		"90.o2",       "80.o5", "95.first", "70.then", /* listed */
		"17.M5P1.h",   "17",                           /* and new ones */
		"18.\xc3\xbc", "18.12", "18.~",     "19.a-b",  "19.a", "20.V8I5f3M12.h", "20.M99.h",
	};
	struct foreign f;

	(void)state;
	dovecot(&f, "3 V1 N9\n3 :95.first\n4 O5 :80.o5\n5 O2 :90.o2\n6 :70.then\n");
	expect_order(&f, names, sizeof(names) / sizeof(names[0]));
	foreign_clear(&f);
}

static void
test_order_of_courier(void **state)
{
	static const char *const names[] = {
		"none", "5.z", "05.\xc3", "6.M12P", "6.M5P", "6", "10.a-b", "10.a",
	};
	static const char *const signed_ones[] = { "05.\xc3", "05.a", "5.z" };
	struct foreign f;

	(void)state;
	courier(&f, "/3 1 1\n");
	assert_int_equal(f.count, 0);
	expect_order(&f, names, 1);
	expect_order(&f, names + 3, 5);
	expect_order(&f, signed_ones, 3);
	foreign_clear(&f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dovecot_3_gives_the_kept_the_name_or_the_format),
		cmocka_unit_test(test_dovecot_1_has_names_with_blanks),
		cmocka_unit_test(test_dovecot_the_later_line_of_a_name_counts),
		cmocka_unit_test(test_dovecot_damage_costs_its_line),
		cmocka_unit_test(test_dovecot_survives_a_broken_line_and_disorder),
		cmocka_unit_test(test_dovecot_head_that_tells_nothing_is_refused),
		cmocka_unit_test(test_courier_versions),
		cmocka_unit_test(test_courier_head_of_another_version_is_refused),
		cmocka_unit_test(test_courier_name_too_long_for_a_uidl_has_none),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_order_of_dovecot),
		cmocka_unit_test(test_order_of_courier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
