/* SPDX-License-Identifier: MIT */
/* The plugin pgsql without a server: connection strings, values, notifications, names, passwords. */
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

#include "auth/pgsql/name.h"
#include "auth/pgsql/say.h"
#include "auth/pgsql/secret.h"
#include "auth/pgsql/target.h"
#include "auth/pgsql/values.h"
#include "auth/pgsql/watch.h"

static const struct {
	const char *text;
	const char *places; /* "label=host/addr/port …", n for a name to look up; NULL: refused */
} strings[] = {
	{ "user=u", "the default socket=-/-/-" },
	{ "user=u host=/run/pg port=5", "/run/pg:5=/run/pg/-/5" },
	{ "user=u host=a,127.0.0.1,/s port=1", "a:1=a/-/1n 127.0.0.1:1=127.0.0.1/127.0.0.1/1 "
	                                       "/s:1=/s/-/1" },
	{ "user=u host=a,b port=1,2", "a:1=a/-/1n b:2=b/-/2n" },
	{ "user=u host=a,b hostaddr=10.0.0.1,::1", "a=a/10.0.0.1/- b=b/::1/-" },
	{ "user=u hostaddr=::1", "::1=-/::1/-" },
	{ "user=u host=a,,b", "a=a/-/-n the default socket=-/-/- b=b/-/-n" },
	{ "postgresql://u@a:1,b:2/d?target_session_attrs=standby", "a:1=a/-/1n b:2=b/-/2n" },
	{ "postgresql://u@[::1]:5/d", "::1:5=::1/::1/5" },
	{ "host=a", NULL },
	{ "user=", NULL },
	{ "user=u host=@abstract", NULL },
	{ "user=u hostaddr=a", NULL },
	{ "user=u host=a,b port=1,2,3", NULL },
	{ "user=u host=a,b hostaddr=10.0.0.1", NULL },
	{ "user=u host=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", NULL },
	{ "user=u target_session_attrs=first", NULL },
	{ "user=u password=x", NULL },
	{ "user=u password\t = x", NULL },
	{ "postgresql://u:x@a/d", NULL },
	{ "user=u sslpassword=x", NULL },
	{ "user=u passfile=/x", NULL },
	{ "user=u service=x", NULL },
	{ "user=u gssencmode=prefer", NULL },
	{ "user='u", NULL },
	{ "user u", NULL },
};

static void
describe(const struct pg_target *t, char *out, size_t cap)
{
	size_t n = 0, i;

	out[0] = '\0';
	for (i = 0; i < t->count; i++) {
		const struct pg_place *p = &t->places[i];

		n += (size_t)snprintf(out + n, cap - n, "%s%s=%s/%s/%s%s", i > 0 ? " " : "",
		                      p->label, p->host ? p->host : "-", p->addr ? p->addr : "-",
		                      p->port ? p->port : "-", p->name ? "n" : "");
	}
}

static void
test_strings_are_taken_apart(void **state)
{
	char found[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		struct pg_target t;
		struct pst_err err = { 0, "" };
		int rc = pg_target_read(&t, strings[i].text, "any", &err);

		if (rc != (strings[i].places == NULL ? -1 : 0))
			fail_msg("%s: %d %s", strings[i].text, rc, err.text);
		if (rc != 0) {
			assert_int_equal(err.kind, PST_E_CLIENT);
			assert_null(strstr(err.text, "=x"));
			continue;
		}
		describe(&t, found, sizeof(found));
		assert_string_equal(found, strings[i].places);
		pg_target_clear(&t);
	}
}

static void
test_which_server_may_serve(void **state)
{
	struct pg_target t;
	struct pst_err err;
	size_t i;

	(void)state;
	assert_int_equal(pg_target_read(&t, "user=u dbname=d", "read-write", &err), 0);
	assert_string_equal(t.attrs, "read-write");
	pg_target_clear(&t);
	assert_int_equal(
		pg_target_read(&t, "user=u target_session_attrs=standby host=a", "any", &err), 0);
	assert_string_equal(t.attrs, "standby");
	for (i = 0; i < t.option_count; i++) /* what is left is for libpq */
		assert_string_equal(t.keys[i], "user");
	pg_target_clear(&t);
}

static void
test_utf8_is_what_rfc_3629_says(void **state)
{
	static const struct {
		const char *octets;
		bool is;
	} texts[] = {
		{ "", true },
		{ "plain", true },
		{ "\xc3\xbc", true },
		{ "\xe6\x97\xa5", true },
		{ "\xf0\x9f\x90\x98", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xef\xbf\xbf", true },
		{ "\xc3", false },
		{ "\xc3x", false },
		{ "\x80", false },
		{ "\xc0\x80", false },
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xed\xa0\x80", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xf0\x9f\x90", false },
		{ "\xe6\x97", false },
		{ "\xe6x\xa5", false },
		{ "\xff", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (pg_is_utf8(pst_str_c(texts[i].octets)) != texts[i].is)
			fail_msg("text %zu", i);
	assert_false(pg_is_utf8((struct pst_str){ "a\0b", 3 }));
}

static void
test_values_are_copied_in_the_order_of_the_placeholders(void **state)
{
	const struct sql_query q = { .params = { SQL_SNI, SQL_USER, SQL_REASON, SQL_DOMAIN },
		                     .param_count = 4 };
	struct sql_value values[SQL_PARAMS] = { 0 };
	struct pg_values *v;

	(void)state;
	values[SQL_USER].text = (struct pst_str){ "ann@x", 3 };
	values[SQL_SNI].text = PST_LIT("\xff");
	values[SQL_REASON].is_null = true;
	values[SQL_DOMAIN].text = PST_LIT("");
	assert_true(pg_values_can_be(&q, values));
	v = pg_values_create(&q, values);
	assert_string_equal(pg_values_list(v)[0], "");
	assert_string_equal(pg_values_list(v)[1], "ann");
	assert_null(pg_values_list(v)[2]);
	assert_string_equal(pg_values_list(v)[3], "");
	pg_values_destroy(v);
	values[SQL_DOMAIN].text = PST_LIT("\xff");
	assert_false(pg_values_can_be(&q, values));
	values[SQL_DOMAIN].is_null = true;
	assert_true(pg_values_can_be(&q, values));
}

static void
test_notifications_name_a_user_a_domain_or_anybody(void **state)
{
	static const struct {
		const char *payload, *user, *domain;
	} payloads[] = {
		{ "user ann@example.org", "ann@example.org", "" },
		{ "user a b", "a b", "" },
		{ "domain example.org", "", "example.org" },
		{ "all", "", "" },
		{ "", "", "" },
		{ "user", "", "" },
		{ "user ", "", "" },
		{ "users x", "", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		struct pst_auth_change c = pg_watch_parse(payloads[i].payload);

		assert_true(pst_str_eq(c.user, pst_str_c(payloads[i].user)));
		assert_true(pst_str_eq(c.domain, pst_str_c(payloads[i].domain)));
	}
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
test_a_name_is_found_and_found_again(void **state)
{
	struct pg_name *n = pg_name_create("localhost");
	struct pst_err err;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(pg_name_find(n, now_ms() + 20000, &err), 0);
		assert_true(pg_name_count(n) >= 1);
		assert_non_null(strpbrk(pg_name_addr(n, 0), ".:"));
	}
	pg_name_destroy(n);
}

static void
test_no_time_for_a_name_is_no_wait(void **state)
{
	struct pg_name *n = pg_name_create("localhost");
	struct pst_err err;

	(void)state;
	/* Either it came at once or it did not, and then it does later. Left alone, it frees itself. */
	(void)pg_name_find(n, now_ms() - 1000, &err);
	assert_int_equal(pg_name_find(n, now_ms() + 20000, &err), 0);
	(void)pg_name_find(n, now_ms() - 1000, &err);
	pg_name_destroy(n);
}

static void
write_secret(const char *path, const char *text, size_t n, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void
test_a_password_is_a_files_first_line(void **state)
{
	char path[] = "/tmp/postern-secret-XXXXXX";
	char out[PG_SECRET_MAX + 1];
	struct pst_err err;

	(void)state;
	close(mkstemp(path));
	write_secret(path, "two words\r\nmore\n", 16, 0600);
	assert_int_equal(pg_secret_read(path, out, &err), 0);
	assert_string_equal(out, "two words");
	write_secret(path, "x", 1, 0640);
	assert_int_equal(pg_secret_read(path, out, &err), 0);
	assert_string_equal(out, "x");
	write_secret(path, "hush", 4, 0604);
	assert_int_equal(pg_secret_read(path, out, &err), -1);
	assert_null(strstr(err.text, "hush"));
	write_secret(path, "\nx", 2, 0600);
	assert_int_equal(pg_secret_read(path, out, &err), -1);
	unlink(path);
	assert_int_equal(pg_secret_read(path, out, &err), -1);
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_int_equal(pg_secret_read("/tmp", out, &err), -1);
	assert_int_equal(pg_secret_read("", out, &err), 0);
	assert_string_equal(out, "");
}

static void
test_words_are_one_line_without_quotes(void **state)
{
	char out[16];

	(void)state;
	pg_words("a \"b\"\n\tadvice", out, sizeof(out));
	assert_string_equal(out, "a 'b'");
	pg_words("longer than there is room for", out, sizeof(out));
	assert_string_equal(out, "longer than the");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_are_taken_apart),
		cmocka_unit_test(test_which_server_may_serve),
		cmocka_unit_test(test_utf8_is_what_rfc_3629_says),
		cmocka_unit_test(test_values_are_copied_in_the_order_of_the_placeholders),
		cmocka_unit_test(test_notifications_name_a_user_a_domain_or_anybody),
		cmocka_unit_test(test_a_name_is_found_and_found_again),
		cmocka_unit_test(test_no_time_for_a_name_is_no_wait),
		cmocka_unit_test(test_a_password_is_a_files_first_line),
		cmocka_unit_test(test_words_are_one_line_without_quotes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
