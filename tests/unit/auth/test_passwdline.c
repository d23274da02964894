/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/passwdfile/line.h"
#include "auth/passwdfile/table.h"
#include "auth/passwdfile/user.h"
#include "base/mem.h"

#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

static void
assert_next(struct pst_str *rest, const char *line)
{
	struct pst_str next = passwd_next_line(rest);

	assert_text(next, line);
}

static struct passwd_user
read_user(const char *text)
{
	struct passwd_line line;
	struct passwd_user user;
	struct pst_err err;

	if (passwd_line_parse(pst_str_c(text), &line, &err) != PASSWD_USER)
		fail_msg("%s: %s", text, err.text);
	if (passwd_user_read(&line, &user, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	return user;
}

static void
test_a_line_has_eight_fields_of_which_the_last_keeps_its_colons(void **state)
{
	struct passwd_line line;
	struct pst_err err;

	(void)state;
	assert_int_equal(
		passwd_line_parse(PST_LIT("al@x.test:{PLAIN}p w:500:501:Al, B:/home/al:/bin/sh"
	                                  ":allow_nets=2001:db8::/32,192.0.2.1 a=b"),
	                          &line, &err),
		PASSWD_USER);
	assert_text(line.name, "al@x.test");
	assert_text(line.password, "{PLAIN}p w");
	assert_text(line.uid, "500");
	assert_text(line.gid, "501");
	assert_text(line.home, "/home/al");
	assert_text(line.extra, "allow_nets=2001:db8::/32,192.0.2.1 a=b");
	assert_int_equal(passwd_line_parse(PST_LIT("al:x"), &line, &err), PASSWD_USER);
	assert_text(line.password, "x");
	assert_text(line.home, "");
	assert_text(line.extra, "");
}

static void
test_lines_that_are_nobody_s_and_lines_that_cannot_be(void **state)
{
	static const char nul[] = "al:x\0y";
	static char long_line[PASSWD_LINE_MAX + 3];
	struct passwd_line line;
	struct pst_err err;

	(void)state;
	memset(long_line, 'a', sizeof(long_line) - 1);
	long_line[2] = ':';
	assert_int_equal(passwd_line_parse(PST_LIT(""), &line, &err), PASSWD_NOTHING);
	assert_int_equal(passwd_line_parse(PST_LIT("# al:x"), &line, &err), PASSWD_NOTHING);
	assert_int_equal(passwd_line_parse(PST_LIT(":x:1:1"), &line, &err), PASSWD_NOTHING);
	assert_int_equal(passwd_line_parse(PST_LIT("al"), &line, &err), PASSWD_BAD);
	assert_int_equal(passwd_line_parse((struct pst_str){ nul, 6 }, &line, &err), PASSWD_BAD);
	assert_int_equal(
		passwd_line_parse((struct pst_str){ long_line, PASSWD_LINE_MAX }, &line, &err),
		PASSWD_USER);
	assert_int_equal(
		passwd_line_parse((struct pst_str){ long_line, PASSWD_LINE_MAX + 1 }, &line, &err),
		PASSWD_BAD);
}

static void
test_lines_end_with_lf_crlf_or_the_file(void **state)
{
	struct pst_str rest = PST_LIT("a\r\nb\n\nc\r");

	(void)state;
	assert_next(&rest, "a");
	assert_next(&rest, "b");
	assert_next(&rest, "");
	assert_next(&rest, "c");
	assert_int_equal(rest.n, 0);
}

static void
test_extra_fields_are_used(void **state)
{
	struct passwd_user u;

	(void)state;
	u = read_user("al:x:7:8::/home/al::user=bob  userdb_uid=9 allow_nets=local,::1 nodelay=y "
	              "userdb_quota_rule=*:storage=1G event_a=b forward_c=d");
	assert_text(u.name, "bob");
	assert_text(u.allow_nets, "local,::1");
	assert_int_equal(u.uid, 9);
	assert_int_equal(u.gid, 8);
	assert_text(u.home, "/home/al");
	assert_false(u.is_locked);
	u = read_user("al:x::::::nologin reason=moved");
	assert_true(u.is_locked);
	assert_text(u.reason, "moved");
	assert_true(read_user("al:x::::::nologin=no").is_locked); /* it stands there: it counts */
	u = read_user("al:x::::::proxy=y host=old.test port=1110 destuser=z");
	assert_true(u.is_proxied);
	assert_text(u.host, "old.test");
	assert_text(u.port, "1110");
}

static void
test_what_must_not_be_ignored_shuts_the_user_out(void **state)
{
	static const char *const lines[][2] = {
		{ "al:x:a:1", "uid: \"a\" is no id" },
		{ "al:x:1:4294967295", "gid: \"4294967295\" is no id" },
		{ "al:x:1:-1", "gid" },
		{ "al:x::::home/al", "home \"home/al\" is no absolute path" },
		{ "al:x::::::nopassword", "field nopassword" },
		{ "al:x::::::fail=1", "field fail" },
		{ "al:x::::::allow_net=::1", "field allow_net is not known" },
		{ "al:x::::::allow_nets=", "field allow_nets: it names no network" },
		{ "al:x::::::allow_nets=local", "field allow_nets: it names no network" },
		{ "al:x::::::userdb_chroot=/x", "field userdb_chroot" },
		{ "al:x::::::userdb_mail=~/Maildir", "does not say its kind" },
		{ "al:x::::::userdb_mail=maildir:~/M:CONTROL=/var/c", "CONTROL" },
		{ "al:x::::::userdb_=1", "field userdb_ is not known" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct passwd_line line;
		struct passwd_user user;
		struct pst_err err;

		assert_int_equal(passwd_line_parse(pst_str_c(lines[i][0]), &line, &err),
		                 PASSWD_USER);
		if (passwd_user_read(&line, &user, &err) == 0)
			fail_msg("%s: it is let in", lines[i][0]);
		if (strstr(err.text, lines[i][1]) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", lines[i][0], err.text,
			         lines[i][1]);
	}
}

static void
test_mail_locations_are_translated(void **state)
{
	static const char *const lines[][2] = {
		{ "al:x", "" },
		{ "al:x::::::userdb_mail=maildir:~/Maildir", "maildir:%{home}/Maildir" },
		{ "al:x::::::userdb_mail=maildir:/srv/%d/%n:LAYOUT=fs:INDEX=/i",
		  "maildir:/srv/%{domain}/%{local}" },
		{ "al:x::::::userdb_mail=maildir:~/M:INBOX=/var/%u%%", "maildir:/var/%{user}%%" },
		{ "al:x::::::userdb_mail=mbox:/var/mail:INBOX=/var/mail/%u",
		  "mbox:/var/mail/%{user}" },
		{ "al:x::::::userdb_mail_driver=maildir userdb_mail_path=%{home}/a",
		  "maildir:%{home}/a" },
		{ "al:x::::::userdb_mail_path=/srv/%{user|domain}/b", "maildir:/srv/%{domain}/b" },
		{ "al:x::::::userdb_mail=mdbox:~/m", NULL },
		{ "al:x::::::userdb_mail=maildir:Maildir", NULL },
		{ "al:x::::::userdb_mail=maildir:~bob/Maildir", NULL },
		{ "al:x::::::userdb_mail=maildir:/srv/%r", NULL },
		{ "al:x::::::userdb_mail=maildir:/srv/%{env:X}", NULL },
		{ "al:x::::::userdb_mail=maildir:~", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct passwd_user user = read_user(lines[i][0]);
		char out[64];
		struct pst_err err;
		int rc = passwd_user_location(&user, out, sizeof(out), &err);

		if (lines[i][1] == NULL)
			assert_int_equal(rc, -1);
		else if (rc != 0)
			fail_msg("%s: %s", lines[i][0], err.text);
		else
			assert_string_equal(out, lines[i][1]);
	}
}

static void
test_a_location_that_is_too_long_is_refused(void **state)
{
	struct passwd_user user = read_user("al:x::::::userdb_mail=maildir:/abcd");
	char out[16];
	struct pst_err err;

	(void)state;
	assert_int_equal(passwd_user_location(&user, out, 14, &err), 0);
	assert_string_equal(out, "maildir:/abcd");
	assert_int_equal(passwd_user_location(&user, out, 13, &err), -1);
}

/* ---- Tables ---- */

static struct passwd_table *
make_table(const char *text, struct pst_err *err)
{
	return passwd_table_create(pst_strdup(text), strlen(text), "f", 7, err);
}

static void
test_a_table_finds_each_name_without_case_and_the_first_of_two(void **state)
{
	struct pst_err err;
	struct passwd_table *t = make_table(
		"# c\r\nAl@X.test:one\r\n\r\nbo:two\nal@x.TEST:three\nBo:{PLAIN}four", &err);
	struct passwd_line line;
	const char *first;
	uint32_t num;

	(void)state;
	assert_non_null(t);
	assert_true(passwd_table_find(t, PST_LIT("al@x.test"), &line, &num));
	assert_text(line.password, "one");
	assert_int_equal(num, 2);
	assert_true(passwd_table_find(t, PST_LIT("bo"), &line, &num));
	assert_text(line.password, "two");
	assert_int_equal(num, 4);
	assert_false(passwd_table_find(t, PST_LIT("b"), &line, &num));
	assert_false(passwd_table_find(t, PST_LIT(""), &line, &num));
	assert_int_equal(passwd_table_count(t), 2);
	assert_int_equal(passwd_table_problems(t, &first), 2);
	assert_string_equal(first, "f:5: the user is in line 2 already, which counts");
	passwd_table_destroy(t);
}

static void
test_a_table_says_which_line_cannot_be(void **state)
{
	struct pst_err err;
	struct passwd_table *t = make_table("al:one\n\nhalf a li", &err);
	const char *first;

	(void)state;
	assert_null(t);
	assert_string_equal(err.text, "f:3: no colon: is this user:password:… ?");
	t = make_table("al:one\nbo:two:x\n", &err);
	assert_non_null(t);
	assert_int_equal(passwd_table_problems(t, &first), 1);
	assert_string_equal(first, "f:2: uid: \"x\" is no id: write the number");
	passwd_table_destroy(t);
	t = make_table("", &err);
	assert_non_null(t);
	assert_int_equal(passwd_table_count(t), 0);
	passwd_table_destroy(t);
}

static void
test_a_table_of_many(void **state)
{
	const size_t n = 20000;
	char *text = pst_realloc(NULL, n * 32);
	struct passwd_table *t;
	struct passwd_line line;
	struct pst_err err;
	char name[32];
	uint32_t num;
	size_t used = 0, i;

	(void)state;
	for (i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, 32, "user%zu@x.test:%zu\n", i, i * 3);
	t = passwd_table_create(text, used, "f", 99, &err);
	assert_non_null(t);
	for (i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "user%zu@x.test", i);
		assert_true(passwd_table_find(t, pst_str_c(name), &line, &num));
		assert_int_equal(num, i + 1);
		(void)snprintf(name, sizeof(name), "%zu", i * 3);
		assert_text(line.password, name);
	}
	assert_false(passwd_table_find(t, PST_LIT("user20000@x.test"), &line, &num));
	passwd_table_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_has_eight_fields_of_which_the_last_keeps_its_colons),
		cmocka_unit_test(test_lines_that_are_nobody_s_and_lines_that_cannot_be),
		cmocka_unit_test(test_lines_end_with_lf_crlf_or_the_file),
		cmocka_unit_test(test_extra_fields_are_used),
		cmocka_unit_test(test_what_must_not_be_ignored_shuts_the_user_out),
		cmocka_unit_test(test_mail_locations_are_translated),
		cmocka_unit_test(test_a_location_that_is_too_long_is_refused),
		cmocka_unit_test(test_a_table_finds_each_name_without_case_and_the_first_of_two),
		cmocka_unit_test(test_a_table_says_which_line_cannot_be),
		cmocka_unit_test(test_a_table_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
