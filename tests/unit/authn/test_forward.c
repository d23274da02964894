/* SPDX-License-Identifier: MIT */
/* The two roles of auth workers: what is answered without a hash, what goes on to the hash queue and
 * what becomes of it there, and what the clerk is told. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "credentials/chain.h"
#include "credentials/verified.h"
#include "ipc/channel.h"
#include "tests/unit/authn/kit.h"

#define RIGHT "correct horse" /* argon@ and sha@ */

/* ---- Reading the ends that other processes have ---- */

static size_t
take(int end, uint8_t *out, int wait_ms)
{
	struct pollfd p = { .fd = end, .events = POLLIN };
	struct pst_err err;
	ssize_t n;

	if (poll(&p, 1, wait_ms) != 1)
		return 0;
	n = channel_recv(end, out, MSG_MAX_OCTETS, NULL, &err);
	assert_true(n > 0);
	return (size_t)n;
}

/* What the query worker put into the hash queue; m borrows from f->in. */
static void
take_forwarded(struct kit *f, struct msg_head *head, struct wire_auth_request *m)
{
	size_t n = take(f->hash[0], f->in, ANSWER_MS);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(
		wire_auth_request_decode((struct pst_str){ (char *)f->in, n }, head, m, &err), 0);
}

static bool
take_note(struct kit *f, struct wire_note *note, int wait_ms)
{
	size_t n = take(f->notes[0], f->in, wait_ms);
	struct msg_head head;
	struct pst_err err;

	if (n == 0)
		return false;
	assert_int_equal(wire_note_decode((struct pst_str){ (char *)f->in, n }, &head, note, &err),
	                 0);
	return true;
}

static void
send_only(struct kit *f, const char *user, const char *password)
{
	const struct wire_auth_request m = kit_request_of(user, password);

	kit_send_request(f, &m);
}

static void
remember(struct kit *f)
{
	const size_t n = verified_octets(65536);

	f->verified = malloc(n);
	assert_non_null(f->verified);
	verified_init(f->verified, n);
}

static void
start_both(struct kit *f)
{
	kit_start_role(f, AUTH_QUERY);
	kit_start_role(f, AUTH_HASH);
}

static uint64_t
remembered(const struct kit *f)
{
	return atomic_load(&f->w[0].row.remembered);
}

static uint64_t
hashed(const struct kit *f)
{
	return atomic_load(&f->w[1].row.hashed);
}

/* ---- What goes where ---- */

static void
test_what_costs_no_hash_is_answered_at_once(void **state)
{
	struct kit *f = *state;

	kit_start_role(f, AUTH_QUERY); /* and nobody reads the hash queue */
	kit_ask(f, "ok@b.test", "secret");
	assert_true(f->reply.ok);
	kit_ask(f, "sha@b.test", RIGHT);
	assert_true(f->reply.ok);
	kit_ask(f, "off@b.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "temp@b.test", "secret");
	kit_assert_refused(f, PST_E_TEMP);
	kit_ask(f, "weak@b.test", "secret");
	kit_assert_refused(f, PST_E_PERM);
	kit_ask(f, "ok@before.test", "secret");
	assert_false(f->reply.ok);
	assert_int_equal(take(f->hash[0], f->in, 0), 0);
	assert_int_equal(kit_burns, 0);
}

/* Where a wrong password takes a hash, nothing may tell it from a name that is nobody's. */
static void
test_all_that_is_refused_takes_the_same_way(void **state)
{
	static const char *const users[] = {
		"argon@b.test",  "ok@b.test",   "sha@b.test", "off@b.test", "offbare@b.test",
		"nobody@b.test", "../x@b.test", "",           "ver@b.test", "offbroken@b.test"
	};
	struct kit *f = *state;
	size_t i;

	kit_start_role(f, AUTH_QUERY);
	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		struct wire_auth_request m;
		struct msg_head head;

		send_only(f, users[i], "wrong");
		take_forwarded(f, &head, &m);
		assert_int_equal(head.request, f->request);
		assert_int_equal(head.incarnation, INCARNATION);
		assert_text(m.user, users[i]);
		assert_text(m.password, "wrong");
		assert_true(m.is_forwarded);
	}
	assert_int_equal(kit_burns, 0); /* that is for the hash workers */
	assert_int_equal(take(f->login[0], f->in, 0), 0);
}

static void
test_a_fast_default_scheme_needs_no_hash_workers(void **state)
{
	struct kit *f = *state;

	f->settings.auth.default_scheme = "SSHA256";
	f->settings.auth.backends = "fakeauth";
	kit_start_role(f, AUTH_QUERY);
	kit_ask(f, "nobody@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "ok@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
}

static void
test_the_hash_worker_answers(void **state)
{
	struct kit *f = *state;
	struct ticket t;

	start_both(f);
	kit_ask(f, "argon@b.test", RIGHT);
	assert_true(f->reply.ok);
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_text(t.user, "argon@b.test");
	kit_ask(f, "argon@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 0);
	kit_ask(f, "nobody@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(kit_burns, 1);
	kit_ask(f, "ver@b.test", "vsecret");
	assert_true(f->reply.ok);
	assert_int_equal(hashed(f), 4);
}

static void
test_policies_are_asked_once(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m;
	struct msg_head head;

	kit_start_role(f, AUTH_QUERY);
	send_only(f, "argon@delay.test", RIGHT);
	take_forwarded(f, &head, &m);
	assert_int_equal(m.policy_delay_ms, 70000); /* what before_auth asked for */
	/* before_auth would refuse this one: it was asked where the request came from. */
	m = kit_request_of("argon@before.test", RIGHT);
	m.is_forwarded = true;
	m.policy_delay_ms = 1234;
	kit_start_role(f, AUTH_HASH);
	{
		uint8_t out[MSG_MAX_OCTETS];
		size_t n = wire_auth_request_encode(&m, INCARNATION, 1, out);
		struct pst_err err;

		assert_int_equal(channel_send(f->hash[1], out, n, -1, &err), 0);
	}
	kit_receive(f);
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.delay_ms, 1234);
	/* after_auth is asked by who answers. */
	kit_ask(f, "argon@after.test", RIGHT);
	assert_false(f->reply.ok);
	assert_text(f->reply.text, "was right");
}

static void
test_login_cannot_say_that_it_was_forwarded(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("ok@before.test", "secret");

	kit_start_role(f, AUTH_QUERY);
	m.is_forwarded = true;
	m.started_ms = 1;
	kit_ask_with(f, &m);
	assert_false(f->reply.ok);
	assert_text(f->reply.text, "slow down");
	assert_in_range(f->reply.delay_ms, FAILURE_DELAY_MS - ANSWER_MS, FAILURE_DELAY_MS);
}

/* ---- Time ---- */

static void
send_forwarded(struct kit *f, const char *user, int64_t age_ms)
{
	struct wire_auth_request m = kit_request_of(user, "wrong");
	uint8_t out[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n;

	m.is_forwarded = true;
	m.started_ms = (uint64_t)(pst_now_ms() - age_ms);
	n = wire_auth_request_encode(&m, INCARNATION, 1, out);
	assert_int_equal(channel_send(f->hash[1], out, n, -1, &err), 0);
}

static void
test_the_delay_counts_from_the_first_worker_s_start(void **state)
{
	struct kit *f = *state;

	kit_start_role(f, AUTH_HASH);
	send_forwarded(f, "argon@b.test", 3000);
	kit_receive(f);
	kit_assert_refused(f, PST_E_AUTH);
	assert_in_range(f->reply.delay_ms, 1, FAILURE_DELAY_MS - 3000);
	send_forwarded(f, "argon@b.test", -100000); /* in the future: nonsense */
	kit_receive(f);
	assert_in_range(f->reply.delay_ms, 1, FAILURE_DELAY_MS);
}

static void
test_what_waited_too_long_costs_no_hash(void **state)
{
	struct kit *f = *state;

	kit_start_role(f, AUTH_HASH);
	pst_log_set_level(PST_LOG_ERROR);
	send_forwarded(f, "nobody@b.test", f->settings.auth.timeout / 2 + 1000);
	kit_receive(f);
	assert_false(f->reply.ok);
	assert_int_equal(f->reply.kind, PST_E_TEMP);
	assert_int_equal(f->reply.delay_ms, 0);
	assert_int_equal(kit_burns, 0);
	assert_int_equal(atomic_load(&f->w[0].row.overloaded), 1);
	assert_int_equal(atomic_load(&f->w[0].row.hashed), 0);
}

static void
test_a_full_hash_queue_is_said_at_once(void **state)
{
	struct kit *f = *state;
	struct pst_err err;
	uint8_t fill[200] = { 0 };
	size_t n = 0;

	pst_log_set_level(PST_LOG_ERROR);
	while (channel_send(f->hash[1], fill, sizeof(fill), -1, &err) == 0)
		n++;
	assert_true(n > 50);
	kit_start_role(f, AUTH_QUERY);
	kit_ask(f, "argon@b.test", RIGHT);
	assert_false(f->reply.ok);
	assert_int_equal(f->reply.kind, PST_E_TEMP);
	assert_int_equal(f->reply.delay_ms, 0);
	kit_ask(f, "nobody@b.test", "wrong");
	assert_int_equal(f->reply.kind, PST_E_TEMP);
	assert_int_equal(f->reply.delay_ms, 0);
	kit_ask(f, "ok@b.test", "secret"); /* goes past it */
	assert_true(f->reply.ok);
	assert_int_equal(atomic_load(&f->w[0].row.overloaded), 2);
}

/* ---- What is known to be right ---- */

static void
test_a_known_password_costs_no_hash(void **state)
{
	struct kit *f = *state;
	int i;

	remember(f);
	start_both(f);
	for (i = 0; i < 5; i++) {
		kit_ask(f, "argon@b.test", RIGHT);
		assert_true(f->reply.ok);
	}
	assert_int_equal(hashed(f), 1);
	assert_int_equal(remembered(f), 4);
	kit_ask(f, "argon@other.test", RIGHT); /* another user, the same hash */
	assert_true(f->reply.ok);
	assert_int_equal(hashed(f), 2);
	kit_ask(f, "argon@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "argon@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(hashed(f), 4);
	assert_int_equal(remembered(f), 4);
	kit_ask(f, "argon@after.test", RIGHT); /* refused by a policy: right all the same */
	kit_ask(f, "argon@after.test", RIGHT);
	assert_text(f->reply.text, "was right");
	assert_int_equal(remembered(f), 5);
}

static void
test_without_memory_each_login_costs_one(void **state)
{
	struct kit *f = *state;

	start_both(f);
	kit_ask(f, "argon@b.test", RIGHT);
	kit_ask(f, "argon@b.test", RIGHT);
	assert_int_equal(hashed(f), 2);
	assert_int_equal(remembered(f), 0);
}

/* ---- What the clerk is told ---- */

static void
test_the_clerk_is_told_of_each_login_and_of_no_other(void **state)
{
	struct kit *f = *state;
	struct wire_note note;

	start_both(f);
	kit_ask(f, "alias@b.test", "secret");
	assert_true(f->reply.ok);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_int_equal(note.kind, NOTE_LOGIN);
	assert_int_equal(note.backend, 0);
	assert_text(note.user, "real@other.test");
	assert_text(note.remote_ip, "192.0.2.7");
	assert_text(note.mechanism, "PLAIN");
	assert_int_equal(note.app_prefix.n, 0);
	assert_true(note.at > 1600000000);
	kit_ask(f, "ok@b.test", "wrong");
	kit_ask(f, "ok@after.test", "secret");
	kit_ask(f, "ver@b.test", "vsecret"); /* a backend that wants no notes */
	assert_true(f->reply.ok);
	kit_ask(f, "argon@b.test", RIGHT);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_text(note.user, "argon@b.test");
	assert_false(take_note(f, &note, 50));
}

/* The new form holds the same password, and counts as known from now on. */
static void
test_an_old_hash_is_stored_anew_once(void **state)
{
	struct kit *f = *state;
	const struct scheme_cost cost = chain_cost(&f->settings);
	struct wire_note note;
	struct pst_err err;

	f->settings.auth.rehash = REHASH_ON;
	remember(f);
	start_both(f);
	kit_ask(f, "sha@b.test", RIGHT);
	assert_true(f->reply.ok);
	assert_int_equal(hashed(f), 1);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_int_equal(note.kind, NOTE_LOGIN);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_int_equal(note.kind, NOTE_REHASH);
	assert_text(note.user, "sha@b.test");
	assert_text(note.old_credential, "{SSHA}d9OQCuB7puui5BKQpJjCrafS0YAA/2Fi");
	assert_true(note.new_credential.n > 60);
	assert_memory_equal(note.new_credential.p, "{ARGON2ID}$argon2id$v=19$m=256,t=1,p=1$", 38);
	assert_int_equal(scheme_verify(note.new_credential, PST_LIT(RIGHT), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	assert_true(verified_is(f->verified, PST_LIT("sha@b.test"), note.new_credential,
	                        PST_LIT(RIGHT), 60000));
	/* The backend still has the old one: it does not store it. Polls cost no hash for that. */
	kit_ask(f, "sha@b.test", RIGHT);
	assert_true(f->reply.ok);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_int_equal(note.kind, NOTE_LOGIN);
	assert_false(take_note(f, &note, 50));
	assert_int_equal(hashed(f), 1);
}

static void
test_a_wrong_password_is_not_stored_anew(void **state)
{
	struct kit *f = *state;
	struct wire_note note;

	f->settings.auth.rehash = REHASH_ON;
	start_both(f);
	kit_ask(f, "sha@b.test", "wrong");
	kit_assert_refused(f, PST_E_AUTH);
	kit_ask(f, "sha@after.test", RIGHT); /* right, and not let in */
	assert_false(f->reply.ok);
	assert_false(take_note(f, &note, 50));
}

static void
test_report_changes_nothing(void **state)
{
	struct kit *f = *state;
	struct wire_note note;

	f->settings.auth.rehash = REHASH_REPORT;
	pst_log_set_level(PST_LOG_ERROR);
	start_both(f);
	kit_ask(f, "sha@b.test", RIGHT);
	assert_true(f->reply.ok);
	assert_true(take_note(f, &note, ANSWER_MS));
	assert_int_equal(note.kind, NOTE_LOGIN);
	assert_false(take_note(f, &note, 50));
	assert_int_equal(hashed(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_costs_no_hash_is_answered_at_once),
		TEST(test_all_that_is_refused_takes_the_same_way),
		TEST(test_a_fast_default_scheme_needs_no_hash_workers),
		TEST(test_the_hash_worker_answers),
		TEST(test_policies_are_asked_once),
		TEST(test_login_cannot_say_that_it_was_forwarded),
		TEST(test_the_delay_counts_from_the_first_worker_s_start),
		TEST(test_what_waited_too_long_costs_no_hash),
		TEST(test_a_full_hash_queue_is_said_at_once),
		TEST(test_a_known_password_costs_no_hash),
		TEST(test_without_memory_each_login_costs_one),
		TEST(test_the_clerk_is_told_of_each_login_and_of_no_other),
		TEST(test_an_old_hash_is_stored_anew_once),
		TEST(test_a_wrong_password_is_not_stored_anew),
		TEST(test_report_changes_nothing),
	};

	return cmocka_run_group_tests_name("authn/forward", tests, NULL, NULL);
}
