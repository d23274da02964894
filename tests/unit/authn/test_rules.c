/* SPDX-License-Identifier: MIT */
/* What records say of who may come in, several backends that know a user, names that stand for
 * others, and names without a domain. */
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

/* ---- The record's terms ---- */

static void
test_networks_of_the_record_let_in_and_keep_out_as_a_wrong_password_does(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "a@b.test ok {PLAIN}secret allow_nets=192.0.2.0/24,2001:db8::/32,local");
	kit_ask_from(f, "a@b.test", "secret", "192.0.2.7", 13);
	assert_true(f->reply.ok);
	kit_ask_from(f, "a@b.test", "secret", "2001:db8::7", 13);
	assert_true(f->reply.ok);
	kit_ask_from(f, "a@b.test", "secret", "local", 13);
	assert_true(f->reply.ok);
	kit_ask_from(f, "a@b.test", "secret", "198.51.100.7", 13);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "a@b.test", "wrong", "192.0.2.7", 13);
	kit_assert_like_wrong(f);
}

/* Disabled, broken, without TLS: each would say that the password was right. */
static void
test_from_outside_the_networks_nothing_tells_that_the_password_was_right(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "off@b.test disabled {PLAIN}secret allow_nets=192.0.2.1;"
	               "tls@b.test ok {PLAIN}secret allow_nets=192.0.2.1 min_tls=13;"
	               "away@b.test ok {PLAIN}secret allow_nets=192.0.2.1 proxy=other.test;"
	               "lost@b.test ok {PLAIN}secret allow_nets=192.0.2.1 location=nowhere");
	kit_ask_from(f, "off@b.test", "secret", "198.51.100.7", 0);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "tls@b.test", "secret", "198.51.100.7", 0);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "away@b.test", "secret", "198.51.100.7", 0);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "lost@b.test", "secret", "198.51.100.7", 0);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "off@b.test", "secret", "192.0.2.1", 0);
	kit_assert_refused(f, PST_E_PERM);
	kit_ask_from(f, "lost@b.test", "secret", "192.0.2.1", 0);
	kit_assert_refused(f, PST_E_PERM);
}

static void
test_policies_take_who_is_kept_out_for_a_wrong_password(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "a@after.test ok {PLAIN}secret allow_nets=192.0.2.1");
	kit_ask_from(f, "a@after.test", "secret", "198.51.100.7", 13);
	assert_text(f->reply.text, "was wrong");
	kit_ask_from(f, "a@after.test", "secret", "192.0.2.1", 13);
	assert_text(f->reply.text, "was right");
}

static void
test_a_bad_network_is_an_admins_to_mend_and_tells_only_who_knows_the_password(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "a@b.test ok {PLAIN}secret allow_nets=192.0.2.0/24,nonsense");
	kit_ask_from(f, "a@b.test", "secret", "192.0.2.7", 13);
	kit_assert_refused(f, PST_E_PERM);
	assert_int_equal(f->reply.text.n, 0);
	kit_ask_from(f, "a@b.test", "wrong", "192.0.2.7", 13);
	kit_assert_like_wrong(f);
}

static void
test_tls_is_asked_for_in_words_only_where_the_password_was_right(void **state)
{
	struct kit *f = *state;

	kit_use_one(f,
	            "a@b.test ok {PLAIN}secret min_tls=13; any@b.test ok {PLAIN}secret min_tls=10");
	kit_ask_from(f, "a@b.test", "secret", "192.0.2.7", 13);
	assert_true(f->reply.ok);
	kit_ask_from(f, "a@b.test", "secret", "192.0.2.7", 12);
	kit_assert_refused(f, PST_E_PERM);
	assert_text(f->reply.text,
	            "this account is open to connections with TLS 1.3 or later only");
	kit_ask_from(f, "a@b.test", "wrong", "192.0.2.7", 12);
	kit_assert_like_wrong(f);
	kit_ask_from(f, "any@b.test", "secret", "192.0.2.7", 12);
	assert_true(f->reply.ok);
	kit_ask_from(f, "any@b.test", "secret", "192.0.2.7", 0);
	kit_assert_refused(f, PST_E_PERM);
}

static void
test_a_user_of_another_server_is_refused(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "a@b.test ok {PLAIN}secret proxy=pop.other.test");
	kit_ask(f, "a@b.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "a@b.test", "wrong");
	kit_assert_like_wrong(f);
}

/* ---- Rules of the chain ---- */

#define KNOWS(password) "a@b.test ok {PLAIN}" password

static void
use_two(struct kit *f, const char *one, enum backend_step on_wrong, enum backend_step on_temp,
        const char *two)
{
	f->settings.auth.backends = "one two";
	kit_add_list(f, "one", one, on_wrong, on_temp);
	kit_add_list(f, "two", two, BACKEND_STOP, BACKEND_STOP);
}

static void
test_a_wrong_password_stops_the_chain(void **state)
{
	struct kit *f = *state;

	use_two(f, KNOWS("first"), BACKEND_STOP, BACKEND_NEXT, KNOWS("second"));
	kit_ask(f, "a@b.test", "first");
	assert_true(f->reply.ok);
	kit_ask(f, "a@b.test", "second");
	kit_assert_like_wrong(f);
}

static void
test_a_wrong_password_passes_on_where_it_is_told_to(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	use_two(f, KNOWS("first") " location=mbox:/one", BACKEND_NEXT, BACKEND_STOP,
	        KNOWS("second") " location=mbox:/two");
	kit_ask(f, "a@b.test", "first");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.location, "mbox:/one");
	kit_ask(f, "a@b.test", "second");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.location, "mbox:/two");
	assert_int_equal(t.backend, 1);
	kit_ask(f, "a@b.test", "third");
	kit_assert_like_wrong(f);
}

/* Two checks a refusal, whoever knows the user: fakelist's are no argon2, so all of it is burnt. */
static void
test_every_refusal_takes_as_many_checks_as_the_rules_can_come_to(void **state)
{
	static const char *const names[] = { "a@b.test", "one@b.test", "two@b.test",
		                             "nobody@b.test", "../x" };
	struct kit *f = *state;
	size_t i;

	use_two(f, KNOWS("first") "; one@b.test ok {PLAIN}x", BACKEND_NEXT, BACKEND_STOP,
	        KNOWS("second") "; two@b.test ok {PLAIN}x");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kit_ask(f, names[i], "wrong");
		kit_assert_like_wrong(f);
		assert_int_equal(kit_burns, 2 * (i + 1));
	}
}

static void
test_a_chain_that_stops_takes_one_check(void **state)
{
	struct kit *f = *state;

	use_two(f, KNOWS("first"), BACKEND_STOP, BACKEND_STOP, "two@b.test ok {PLAIN}x");
	kit_ask(f, "nobody@b.test", "wrong");
	assert_int_equal(kit_burns, 1);
	kit_ask(f, "a@b.test", "wrong");
	assert_int_equal(kit_burns, 2);
	kit_ask(f, "two@b.test", "wrong");
	assert_int_equal(kit_burns, 3);
}

static void
test_a_temporary_failure_stops_the_chain(void **state)
{
	struct kit *f = *state;

	use_two(f, "a@b.test temp -", BACKEND_NEXT, BACKEND_STOP, KNOWS("second"));
	kit_ask(f, "a@b.test", "second");
	kit_assert_refused(f, PST_E_TEMP);
}

/* The one that cannot tell might have said yes. */
static void
test_behind_a_temporary_failure_no_refusal_tells_who_is_known(void **state)
{
	static const char *const names[] = { "a@b.test", "nobody@b.test", "off@b.test" };
	struct kit *f = *state;
	size_t i;

	use_two(f, "a@b.test temp -; nobody@b.test temp -; off@b.test temp -", BACKEND_STOP,
	        BACKEND_NEXT, KNOWS("second") "; off@b.test disabled {PLAIN}x");
	kit_ask(f, "a@b.test", "second");
	assert_true(f->reply.ok);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const int before = kit_burns;

		kit_ask(f, names[i], "wrong");
		kit_assert_refused(f, PST_E_TEMP);
		assert_int_equal(f->reply.text.n, 0);
		assert_int_equal(kit_burns - before, 1);
	}
	kit_ask(f, "off@b.test", "x");
	kit_assert_refused(f, PST_E_PERM);
}

static void
test_a_temporary_failure_of_the_last_backend_is_the_answer(void **state)
{
	struct kit *f = *state;

	use_two(f, KNOWS("first"), BACKEND_NEXT, BACKEND_STOP, "a@b.test temp -");
	kit_ask(f, "a@b.test", "wrong");
	kit_assert_refused(f, PST_E_TEMP);
	kit_ask(f, "a@b.test", "first");
	assert_true(f->reply.ok);
}

static void
test_what_an_admin_must_mend_is_not_passed_by(void **state)
{
	struct kit *f = *state;

	use_two(f, "a@b.test ok -", BACKEND_NEXT, BACKEND_NEXT, KNOWS("second"));
	kit_ask(f, "a@b.test", "second");
	kit_assert_refused(f, PST_E_PERM);
}

static void
test_disabled_stops_the_chain(void **state)
{
	struct kit *f = *state;

	use_two(f, "a@b.test disabled {PLAIN}first", BACKEND_NEXT, BACKEND_NEXT, KNOWS("second"));
	kit_ask(f, "a@b.test", "second");
	kit_assert_like_wrong(f);
	kit_ask(f, "a@b.test", "first");
	kit_assert_refused(f, PST_E_PERM);
}

/* ---- Aliases ---- */

static void
test_an_alias_logs_in_with_the_record_of_whom_it_stands_for(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	use_two(f,
	        "info@b.test ok {PLAIN}own alias=Real@b.test location=mbox:/wrong;"
	        "nets@b.test ok - alias=real@b.test allow_nets=198.51.100.1",
	        BACKEND_STOP, BACKEND_STOP, "real@b.test ok {PLAIN}secret min_poll_ms=7");
	kit_ask(f, "info@b.test", "secret");
	assert_true(f->reply.ok);
	assert_text(f->reply.user, "real@b.test");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.location, "maildir:/srv/b.test/real");
	assert_int_equal(t.min_poll_ms, 7);
	assert_int_equal(t.backend, 1);
	kit_ask(f, "info@b.test", "own"); /* the alias itself has no password */
	kit_assert_like_wrong(f);
	kit_ask(f, "nets@b.test", "secret"); /* nor anything else */
	assert_true(f->reply.ok);
}

static void
test_an_alias_that_leads_nowhere_or_round_is_told_apart(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "dead@b.test ok - alias=nobody@b.test;"
	               "round@b.test ok - alias=about@b.test; about@b.test ok - alias=round@b.test;"
	               "bad@b.test ok - alias=../x@b.test;"
	               "a1@b.test ok - alias=a2@b.test; a2@b.test ok - alias=a3@b.test;"
	               "a3@b.test ok - alias=a4@b.test; a4@b.test ok - alias=a5@b.test;"
	               "a5@b.test ok {PLAIN}secret");
	kit_ask(f, "dead@b.test", "secret");
	kit_assert_like_wrong(f);
	assert_int_equal(kit_burns, 1);
	kit_ask(f, "round@b.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "bad@b.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "a1@b.test", "secret");
	assert_true(f->reply.ok);
	assert_text(f->reply.user, "a5@b.test");
	kit_ask(f, "a1@b.test", "wrong");
	kit_assert_like_wrong(f);
}

static void
test_a_dead_alias_leaves_the_name_to_the_next_backend(void **state)
{
	struct kit *f = *state;

	use_two(f, "a@b.test ok - alias=nobody@b.test", BACKEND_STOP, BACKEND_STOP,
	        KNOWS("second"));
	kit_ask(f, "a@b.test", "second");
	assert_true(f->reply.ok);
	assert_text(f->reply.user, "a@b.test");
}

/* ---- Default domains ---- */

static void
ask_at(struct kit *f, const char *listener, const char *sni)
{
	struct wire_auth_request m = kit_request_of("a", "secret");

	m.listener = pst_str_c(listener);
	m.sni = pst_str_c(sni);
	kit_ask_with(f, &m);
}

static void
test_a_name_without_a_domain_gets_the_listeners(void **state)
{
	struct kit *f = *state;

	kit_use_one(f, "a@l.test ok {PLAIN}secret; a@all.test ok {PLAIN}secret;"
	               "a@pop.c.test ok {PLAIN}secret; a@c.test ok {PLAIN}secret");
	f->settings.auth.default_domain = "all.test";
	f->settings.listener_count = 4;
	f->settings.listeners[0] =
		(struct listener_settings){ .name = "l", .default_domain = "L.test" };
	f->settings.listeners[1] = (struct listener_settings){ .name = "m", .default_domain = "" };
	f->settings.listeners[2] =
		(struct listener_settings){ .name = "n", .default_domain = "%{sni}" };
	f->settings.listeners[3] =
		(struct listener_settings){ .name = "o", .default_domain = "%{sni_domain}" };
	ask_at(f, "l", "pop.c.test");
	assert_text(f->reply.user, "a@l.test");
	ask_at(f, "m", "pop.c.test");
	assert_text(f->reply.user, "a@all.test");
	ask_at(f, "none", "pop.c.test");
	assert_text(f->reply.user, "a@all.test");
	ask_at(f, "n", "POP.c.test");
	assert_text(f->reply.user, "a@pop.c.test");
	ask_at(f, "o", "pop.c.test");
	assert_text(f->reply.user, "a@c.test");
	ask_at(f, "o", "c.test");
	assert_text(f->reply.user, "a@c.test");
	/* What is no host's name gives nothing. */
	ask_at(f, "n", "");
	assert_text(f->reply.user, "a@all.test");
	ask_at(f, "n", "l.test/../x");
	assert_text(f->reply.user, "a@all.test");
	ask_at(f, "o", "x@.l.test");
	assert_text(f->reply.user, "a@all.test");
	ask_at(f, "o", "x..l.test");
	assert_text(f->reply.user, "a@all.test");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_networks_of_the_record_let_in_and_keep_out_as_a_wrong_password_does),
		T(test_from_outside_the_networks_nothing_tells_that_the_password_was_right),
		T(test_policies_take_who_is_kept_out_for_a_wrong_password),
		T(test_a_bad_network_is_an_admins_to_mend_and_tells_only_who_knows_the_password),
		T(test_tls_is_asked_for_in_words_only_where_the_password_was_right),
		T(test_a_user_of_another_server_is_refused),
		T(test_a_wrong_password_stops_the_chain),
		T(test_a_wrong_password_passes_on_where_it_is_told_to),
		T(test_every_refusal_takes_as_many_checks_as_the_rules_can_come_to),
		T(test_a_chain_that_stops_takes_one_check),
		T(test_a_temporary_failure_stops_the_chain),
		T(test_behind_a_temporary_failure_no_refusal_tells_who_is_known),
		T(test_a_temporary_failure_of_the_last_backend_is_the_answer),
		T(test_what_an_admin_must_mend_is_not_passed_by),
		T(test_disabled_stops_the_chain),
		T(test_an_alias_logs_in_with_the_record_of_whom_it_stands_for),
		T(test_an_alias_that_leads_nowhere_or_round_is_told_apart),
		T(test_a_dead_alias_leaves_the_name_to_the_next_backend),
		T(test_a_name_without_a_domain_gets_the_listeners),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
