/* SPDX-License-Identifier: MIT */
/* An attempt to log in, from request to reply: who is let in, what the others are told, and what
 * plugins may do to it. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/authn/kit.h"

/* ---- Good logins ---- */

static void
test_a_right_password_gives_a_ticket_for_this_session_once(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	kit_ask(f, "OK@Example.ORG", "secret");
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.delay_ms, 0);
	assert_text(f->reply.user, "ok@example.org");
	assert_int_equal(kit_open_ticket(f, "fedcba9876543210", &t), -1);
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.user, "ok@example.org");
	assert_text(t.location, "maildir:/srv/example.org/ok");
	assert_text(t.sid, SID);
	assert_text(t.mechanism, "PLAIN");
	assert_int_equal(t.uid, 0);
	assert_int_equal(t.gid, 0);
	assert_in_range(t.expires_ms, pst_now_ms(), pst_now_ms() + TICKET_LIFE_MS);
	assert_int_equal(kit_open_ticket(f, SID, &t), -1);
	assert_int_equal(kit_burns, 0);
}

static void
test_hashes_are_checked_whatever_their_scheme(void **state)
{
	struct kit *f = *state;

	kit_ask(f, "argon@b.test", "correct horse");
	assert_true(f->reply.ok);
	kit_ask(f, "sha@b.test", "correct horse");
	assert_true(f->reply.ok);
	kit_ask(f, "argon@b.test", "correct hors");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "sha@b.test", "correct hors");
	kit_assert_refused(f, PST_E_AUTH);
}

static void
test_a_record_may_rename_the_user_and_place_the_mail(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	kit_ask(f, "alias@b.test", "secret");
	assert_text(f->reply.user, "real@other.test");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.user, "real@other.test");
	assert_text(t.location, "maildir:/srv/other.test/real");
	kit_ask(f, "moved@b.test", "secret");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.location, "mbox:/m/moved");
	assert_int_equal(t.uid, 7);
	assert_int_equal(t.gid, 8);
}

static void
test_the_default_domain_is_added(void **state)
{
	struct kit *f = *state;

	f->settings.auth.default_domain = "Home.test";
	kit_ask(f, "ok", "secret");
	assert_text(f->reply.user, "ok@home.test");
}

static void
test_the_next_backend_is_asked_for_a_user_that_the_first_does_not_know(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	kit_ask(f, "ver@b.test", "vsecret");
	assert_true(f->reply.ok);
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_int_equal(t.uid, 9);
	kit_ask(f, "ver@b.test", "secret");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 0); /* verify takes its own time */
	kit_ask(f, "vtemp@b.test", "secret");
	kit_assert_refused(f, PST_E_TEMP);
}

/* ---- Refusals ---- */

static void
test_unknown_user_and_wrong_password_are_one_to_the_client(void **state)
{
	struct kit *f = *state;
	struct wire_auth_reply wrong;

	kit_ask(f, "argon@b.test", "Secret");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 0); /* the check was the work */
	wrong = f->reply;
	kit_ask(f, "nobody@b.test", "secret");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 1);
	kit_ask(f, "sha@b.test", "Secret"); /* was no work: an old hash is not to be told either */
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 2);
	assert_int_equal(f->reply.kind, wrong.kind);
	assert_int_equal(f->reply.text.n, 0);
	assert_int_equal(wrong.text.n, 0);
	/* What the worker spent is not added to the wait. */
	assert_in_range(f->reply.delay_ms, FAILURE_DELAY_MS - ANSWER_MS, FAILURE_DELAY_MS);
}

static void
test_the_delay_counts_from_the_start_of_the_request(void **state)
{
	const uint64_t open = 1;
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("slow@b.test", "wrong");
	int64_t sent;

	kit_start_worker(f);
	kit_send_request(f, &m);
	while (atomic_load(&f->w[0].row.busy_since_ms) == 0)
		(void)poll(NULL, 0, 1);
	sent = pst_now_ms();
	while (pst_now_ms() < sent + 50)
		(void)poll(NULL, 0, 10);
	assert_int_equal(write(f->gate, &open, sizeof(open)), sizeof(open));
	kit_receive(f);
	kit_assert_refused(f, PST_E_AUTH);
	assert_in_range(f->reply.delay_ms, 0, FAILURE_DELAY_MS - 50);
}

static void
test_only_who_knows_the_password_learns_that_a_user_is_disabled(void **state)
{
	static const struct {
		const char *user, *password;
		enum pst_err_kind kind;
		int kit_burns;
	} cases[] = {
		{ "off@b.test", "secret", PST_E_PERM, 0 },
		{ "off@b.test", "wrong", PST_E_AUTH, 1 },
		{ "offbare@b.test", "secret", PST_E_AUTH, 1 },
		{ "offbroken@b.test", "secret", PST_E_AUTH, 1 },
		{ "offbroken@b.test", "wrong", PST_E_AUTH, 1 },
	};
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = kit_burns;

		kit_ask(f, cases[i].user, cases[i].password);
		kit_assert_refused(f, cases[i].kind);
		assert_int_equal(f->reply.text.n, 0);
		assert_int_equal(kit_burns - before, cases[i].kit_burns);
	}
}

static void
test_names_that_cannot_be_cost_the_same(void **state)
{
	static const char *const names[] = { "",   "@",    "../x@b.test", "a/b@b.test",
		                             ".x", "x@..", "a\tb" };
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		kit_ask(f, names[i], "secret");
		kit_assert_refused(f, PST_E_AUTH);
		assert_int_equal(kit_burns, i + 1);
	}
}

static void
test_nul_octets_and_empty_passwords_never_reach_a_backend(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("ok@b.test", "secret");

	kit_ask(f, "ok@b.test", "");
	kit_assert_refused(f, PST_E_AUTH);
	m.password = PST_LIT("secret\0");
	kit_ask_with(f, &m);
	kit_assert_refused(f, PST_E_AUTH);
	m = kit_request_of("ok@b.test", "secret");
	m.user = PST_LIT("ok@b.test\0x");
	kit_ask_with(f, &m);
	kit_assert_refused(f, PST_E_AUTH);
	m = kit_request_of("ok@b.test", "secret");
	m.sni = PST_LIT("a\0b");
	kit_ask_with(f, &m);
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 4);
}

static const struct {
	const char *local;
	enum pst_err_kind kind;
} broken[] = {
	{ "temp", PST_E_TEMP },     { "bare", PST_E_PERM },  { "weak", PST_E_PERM },
	{ "dear", PST_E_PERM },     { "nul", PST_E_PERM },   { "null", PST_E_PERM },
	{ "long", PST_E_PERM },     { "wrong", PST_E_PERM }, { "garbage", PST_E_PERM },
	{ "zero", PST_E_PERM },     { "lost", PST_E_PERM },  { "up", PST_E_PERM },
	{ "badalias", PST_E_PERM },
};

static void
test_what_only_an_admin_can_mend_is_no_wrong_password(void **state)
{
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		kit_ask(f, pst_arena_printf(f->arena, "%s@b.test", broken[i].local), "secret");
		if (f->reply.ok || f->reply.kind != broken[i].kind)
			fail_msg("%s: %d", broken[i].local, f->reply.kind);
		kit_assert_refused(f, broken[i].kind);
	}
	kit_ask(f, "ok@b.test", "secret"); /* and the worker is well */
	assert_true(f->reply.ok);
}

static void
test_a_template_that_asks_for_a_domain_refuses_a_user_without(void **state)
{
	struct kit *f = *state;

	kit_ask(f, "ok", "secret");
	kit_assert_refused(f, PST_E_PERM);
}

/* ---- Policies ---- */

static void
test_policies_refuse_before_and_after_with_their_own_words(void **state)
{
	struct kit *f = *state;

	kit_ask(f, "ok@before.test", "secret");
	kit_assert_refused(f, PST_E_LIMIT);
	assert_text(f->reply.text, "slow down");
	kit_ask(f, "ok@after.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	assert_text(f->reply.text, "was right");
	kit_ask(f, "ok@after.test", "wrong");
	kit_assert_refused(f, PST_E_PERM);
	assert_text(f->reply.text, "was wrong");
	kit_ask(f, "nobody@after.test", "secret");
	assert_text(f->reply.text, "was wrong");
	kit_ask(f, "temp@after.test", "secret"); /* nobody knows yet: not told */
	kit_assert_refused(f, PST_E_TEMP);
	assert_int_equal(f->reply.text.n, 0);
}

static void
test_the_longest_delay_counts(void **state)
{
	struct kit *f = *state;

	kit_ask(f, "ok@delay.test", "secret");
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.delay_ms, 70000);
	kit_ask(f, "ok@delay.test", "wrong");
	assert_int_equal(f->reply.kind, PST_E_AUTH);
	assert_int_equal(f->reply.delay_ms, 70000);
}

static void
test_a_policy_that_talks_nonsense_refuses(void **state)
{
	struct kit *f = *state;

	kit_ask(f, "ok@mad.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "ok@kind.test", "secret");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(f->reply.text.n, 79);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_a_right_password_gives_a_ticket_for_this_session_once),
		T(test_hashes_are_checked_whatever_their_scheme),
		T(test_a_record_may_rename_the_user_and_place_the_mail),
		T(test_the_default_domain_is_added),
		T(test_the_next_backend_is_asked_for_a_user_that_the_first_does_not_know),
		T(test_unknown_user_and_wrong_password_are_one_to_the_client),
		T(test_the_delay_counts_from_the_start_of_the_request),
		T(test_only_who_knows_the_password_learns_that_a_user_is_disabled),
		T(test_names_that_cannot_be_cost_the_same),
		T(test_nul_octets_and_empty_passwords_never_reach_a_backend),
		T(test_what_only_an_admin_can_mend_is_no_wrong_password),
		T(test_a_template_that_asks_for_a_domain_refuses_a_user_without),
		T(test_policies_refuse_before_and_after_with_their_own_words),
		T(test_the_longest_delay_counts),
		T(test_a_policy_that_talks_nonsense_refuses),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
