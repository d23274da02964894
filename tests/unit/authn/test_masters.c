/* SPDX-License-Identifier: MIT */
/* Masters: who logs in for another, with what right, and what others learn of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/log.h"
#include "tests/unit/authn/kit.h"

/* ---- Masters ---- */

static void
use_masters(struct kit *f)
{
	kit_use_one(f, "owner@b.test ok {PLAIN}own max_sessions=1 min_poll_ms=9;"
	               "nets@b.test ok {PLAIN}own allow_nets=198.51.100.0/24;"
	               "tls@b.test ok {PLAIN}own min_tls=13;"
	               "off@b.test disabled {PLAIN}own; away@b.test temp -;"
	               "o*w@b.test ok {PLAIN}own; boss ok {PLAIN}other;"
	               "also*known@b.test ok {PLAIN}own");
	kit_add_list(f, "staff",
	             "boss ok {PLAIN}mighty; net ok {PLAIN}mighty allow_nets=198.51.100.0/24;"
	             "gone disabled {PLAIN}mighty; reader ok {PLAIN}mighty read_only=1;"
	             "boss@b.test ok {PLAIN}mightier",
	             BACKEND_STOP, BACKEND_STOP);
	f->settings.auth.master_backends = "staff";
	f->settings.auth.master_separator = "*";
	f->settings.auth.master_read_only = true;
}

static void
ask_authzid(struct kit *f, const char *authzid, const char *user, const char *password)
{
	struct wire_auth_request m = kit_request_of(user, password);

	m.authzid = pst_str_c(authzid);
	kit_ask_with(f, &m);
}

static void
assert_masters_session(struct kit *f, const char *owner, const char *master)
{
	struct ticket t;

	assert_true(f->reply.ok);
	assert_text(f->reply.user, owner);
	assert_text(f->reply.master, master);
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.user, owner);
	assert_text(t.master, master);
	assert_true(t.read_only);
	assert_int_equal(t.max_sessions, 0);
	assert_int_equal(t.min_poll_ms, 0);
	assert_false(t.wants_notes);
}

static void
test_a_master_opens_the_owners_mail_read_only(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	kit_ask(f, "Owner@b.test*Boss", "mighty");
	assert_masters_session(f, "owner@b.test", "boss");
	ask_authzid(f, "owner@B.test", "boss", "mighty");
	assert_masters_session(f, "owner@b.test", "boss");
	kit_ask(f, "o*w@b.test*boss@b.test", "mightier"); /* the last one counts */
	assert_masters_session(f, "o*w@b.test", "boss@b.test");
}

static void
test_an_owners_own_login_is_what_it_was(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	use_masters(f);
	kit_ask(f, "owner@b.test", "own");
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.master.n, 0);
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_int_equal(t.master.n, 0);
	assert_false(t.read_only);
	assert_int_equal(t.max_sessions, 1);
	assert_int_equal(t.min_poll_ms, 9);
}

static void
test_whoever_does_not_know_the_masters_password_learns_nothing(void **state)
{
	static const char *const names[] = {
		"owner@b.test*boss",         "nobody@b.test*boss",  "off@b.test*boss",
		"away@b.test*boss",          "owner@b.test*nobody", "owner@b.test*gone",
		"owner@b.test*net",          "../x*boss",           "owner@b.test*../x",
		"owner@b.test*owner@b.test", "owner@b.test*",       "*boss",
	};
	static const char *const passwords[] = { "wrong", "own", "other", "mightier" };
	struct kit *f = *state;
	size_t i, j;

	use_masters(f);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (j = 0; j < sizeof(passwords) / sizeof(passwords[0]); j++) {
			const int before = kit_burns;

			kit_ask(f, names[i], passwords[j]);
			kit_assert_like_wrong(f);
			assert_int_equal(kit_burns - before, 1);
		}
}

static void
test_a_master_is_told_what_is_wrong_with_the_owner(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	kit_ask(f, "nobody@b.test*boss", "mighty");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "off@b.test*boss", "mighty");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "away@b.test*boss", "mighty");
	kit_assert_refused(f, PST_E_TEMP);
}

static void
test_networks_bind_the_master_and_tls_binds_both(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	kit_ask_from(f, "nets@b.test*boss", "mighty", "192.0.2.7", 0);
	assert_masters_session(f, "nets@b.test", "boss");
	kit_ask_from(f, "owner@b.test*net", "mighty", "192.0.2.7", 0);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "owner@b.test*net", "mighty", "198.51.100.7", 0);
	assert_masters_session(f, "owner@b.test", "net");
	kit_ask_from(f, "tls@b.test*boss", "mighty", "192.0.2.7", 12);
	kit_assert_refused(f, PST_E_PERM);
	kit_ask_from(f, "tls@b.test*boss", "mighty", "192.0.2.7", 13);
	assert_masters_session(f, "tls@b.test", "boss");
}

static void
test_a_disabled_master_is_one_only_to_who_knows_the_password(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	kit_ask(f, "owner@b.test*gone", "mighty");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "owner@b.test*gone", "wrong");
	kit_assert_like_wrong(f);
}

static void
test_reading_only_may_be_the_masters_own_to_say(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	use_masters(f);
	f->settings.auth.master_read_only = false;
	kit_ask(f, "owner@b.test*boss", "mighty");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_false(t.read_only);
	kit_ask(f, "owner@b.test*reader", "mighty");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_true(t.read_only);
}

static void
test_without_masters_nobody_acts_for_another(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	f->settings.auth.master_backends = "";
	kit_ask(f, "owner@b.test*boss", "mighty");
	kit_assert_like_wrong(f);
	ask_authzid(f, "owner@b.test", "boss", "mighty");
	kit_assert_like_wrong(f);
	ask_authzid(f, "owner@b.test", "boss", "other"); /* boss is a user too */
	kit_assert_like_wrong(f);
	kit_ask(f, "also*known@b.test", "own"); /* and a name is a name */
	assert_true(f->reply.ok);
}

static void
test_without_a_separator_only_authzid_names_an_owner(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	f->settings.auth.master_separator = "";
	kit_ask(f, "owner@b.test*boss", "mighty");
	kit_assert_like_wrong(f);
	kit_ask(f, "also*known@b.test", "own");
	assert_true(f->reply.ok);
	ask_authzid(f, "owner@b.test", "boss", "mighty");
	assert_masters_session(f, "owner@b.test", "boss");
	ask_authzid(f, "owner@b.test", "boss", "wrong");
	kit_assert_like_wrong(f);
}

static void
test_policies_judge_the_master(void **state)
{
	struct kit *f = *state;

	use_masters(f);
	kit_add_list(f, "more", "boss@after.test ok {PLAIN}mighty", BACKEND_STOP, BACKEND_STOP);
	f->settings.auth.master_backends = "staff more";
	kit_ask(f, "owner@b.test*boss@after.test", "mighty");
	assert_text(f->reply.text, "was right");
	kit_ask(f, "owner@b.test*boss@after.test", "wrong");
	assert_text(f->reply.text, "was wrong");
	kit_ask(f, "owner@b.test*boss@before.test", "mighty");
	assert_text(f->reply.text, "slow down");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_a_master_opens_the_owners_mail_read_only),
		T(test_an_owners_own_login_is_what_it_was),
		T(test_whoever_does_not_know_the_masters_password_learns_nothing),
		T(test_a_master_is_told_what_is_wrong_with_the_owner),
		T(test_networks_bind_the_master_and_tls_binds_both),
		T(test_a_disabled_master_is_one_only_to_who_knows_the_password),
		T(test_reading_only_may_be_the_masters_own_to_say),
		T(test_without_masters_nobody_acts_for_another),
		T(test_without_a_separator_only_authzid_names_an_owner),
		T(test_policies_judge_the_master),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
