/* SPDX-License-Identifier: MIT */
/* Attempts that take several messages: whose they are, how many there are, and what is told to whom. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "authn/exchange.h"
#include "ipc/channel.h"
#include "tests/unit/authn/kit.h"

/* Of "secret", for the challenge of test_digests. */
#define CRAM_OF_SECRET "e834392e9b01031470dd15477ae61154"
#define APOP_OF_SECRET "02d664d825fecefa6ba23e79c7269dac"

#define FIRST(user) "n,,n=" user ",r=abcdefgh"

static int
set_up(void **state)
{
	int rc = kit_set_up(state);
	struct kit *f = *state;

	f->settings.auth.mechanisms =
		"PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS CRAM-MD5 APOP EXTERNAL "
		"ANONYMOUS";
	f->settings.auth.anonymous = "ok@guests.test";
	f->settings.login.timeout = 60000;
	kit_start_role(f, AUTH_QUERY);
	return rc;
}

static struct wire_auth_request
first_of(const char *mechanism, struct pst_str response)
{
	struct wire_auth_request m = kit_request_of("", "");

	m.mechanism = pst_str_c(mechanism);
	m.has_response = true;
	m.response = response;
	return m;
}

static uint64_t
begin(struct kit *f, struct pst_str first)
{
	const struct wire_auth_request m = first_of("SCRAM-SHA-256", first);

	kit_ask_with(f, &m);
	assert_false(f->reply.ok);
	assert_true(f->reply.more && f->reply.has_challenge);
	assert_int_equal(f->reply.auth_slot, f->w[0].env.slot);
	return f->reply.exchange;
}

static void
send_step(struct kit *f, const struct wire_auth_step *m, uint32_t incarnation)
{
	uint8_t out[MSG_MAX_OCTETS];
	size_t n = wire_auth_step_encode(m, incarnation, ++f->request, out);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(channel_send(f->w[0].inbox[1], out, n, -1, &err), 0);
}

static void
step(struct kit *f, uint64_t exchange)
{
	const struct wire_auth_step m = { .login_slot = 1,
		                          .exchange = exchange,
		                          .response = PST_LIT("c=biws,r=abcdefgh,p=AAAA") };

	send_step(f, &m, INCARNATION);
	kit_receive(f);
	assert_int_equal(f->head.request, f->request);
}

static bool
reply_waits(struct kit *f, int wait_ms)
{
	struct pollfd p = { .fd = f->login[0], .events = POLLIN };

	return poll(&p, 1, wait_ms) == 1;
}

/* As for a wrong password: at the same time, too. */
static void
assert_wrong(struct kit *f)
{
	assert_false(f->reply.ok || f->reply.more || f->reply.has_challenge);
	assert_int_equal(f->reply.kind, PST_E_AUTH);
	assert_int_equal(f->reply.text.n, 0);
	assert_in_range(f->reply.delay_ms, FAILURE_DELAY_MS - 10000, FAILURE_DELAY_MS);
}

/* Neither is what was asked about lost, nor does a lost one say [AUTH]. */
static void
assert_lost(struct kit *f)
{
	assert_false(f->reply.ok || f->reply.more);
	assert_int_equal(f->reply.kind, PST_E_TEMP);
}

static void
test_an_exchange_ends_with_its_second_message(void **state)
{
	struct kit *f = *state;
	uint64_t x = begin(f, PST_LIT(FIRST("ok@b.test")));

	step(f, x);
	assert_wrong(f);
	assert_text(f->reply.user, "ok@b.test");
	step(f, x);
	assert_lost(f);
	step(f, begin(f, PST_LIT(FIRST("nobody@b.test"))));
	assert_wrong(f);
}

static void
test_an_exchange_is_its_clients_alone(void **state)
{
	struct kit *f = *state;
	uint64_t x = begin(f, PST_LIT(FIRST("ok@b.test")));
	struct wire_auth_step m = { .login_slot = 1, .exchange = x ^ (uint64_t)1 << 40 };

	send_step(f, &m, INCARNATION); /* another number in the same place */
	kit_receive(f);
	assert_lost(f);
	m = (struct wire_auth_step){ .login_slot = 1, .exchange = x, .cancelled = true };
	send_step(f, &m, INCARNATION + 1); /* another life of the login worker */
	m.login_slot = 77;
	send_step(f, &m, INCARNATION);
	step(f, x);
	assert_wrong(f);
}

static void
test_a_cancelled_exchange_is_gone_without_a_word(void **state)
{
	struct kit *f = *state;
	uint64_t x = begin(f, PST_LIT(FIRST("ok@b.test")));
	const struct wire_auth_step m = { .login_slot = 1, .exchange = x, .cancelled = true };

	send_step(f, &m, INCARNATION);
	step(f, x);
	assert_lost(f);
	assert_false(reply_waits(f, 0));
}

static void
test_the_oldest_gives_way_where_there_are_too_many(void **state)
{
	struct kit *f = *state;
	uint64_t oldest = begin(f, PST_LIT(FIRST("ok@b.test")));
	uint64_t second = begin(f, PST_LIT(FIRST("ok@b.test")));
	unsigned i;

	for (i = 0; i < EXCHANGES_MAX - 1; i++)
		(void)begin(f, PST_LIT(FIRST("nobody@b.test")));
	step(f, oldest);
	assert_lost(f);
	step(f, second);
	assert_wrong(f);
}

static void
test_an_unknown_user_has_a_salt_that_stays(void **state)
{
	struct kit *f = *state;
	char seen[3][512];
	unsigned i;

	for (i = 0; i < 3; i++) {
		(void)begin(f, i == 2 ? PST_LIT(FIRST("nobodi@b.test"))
		                      : PST_LIT(FIRST("nobody@b.test")));
		(void)snprintf(seen[i], sizeof(seen[i]), "%.*s", PST_ARG(f->reply.challenge));
	}
	assert_string_equal(strstr(seen[0], ",s="), strstr(seen[1], ",s="));
	assert_string_not_equal(strstr(seen[0], ",s="), strstr(seen[2], ",s="));
	assert_string_not_equal(seen[0], seen[1]);
}

static void
test_policies_are_asked_before_and_after(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = first_of("SCRAM-SHA-256", PST_LIT(FIRST("ok@before.test")));

	kit_ask_with(f, &m);
	assert_false(f->reply.ok || f->reply.more);
	assert_text(f->reply.text, "slow down");
	step(f, begin(f, PST_LIT(FIRST("ok@after.test"))));
	assert_text(f->reply.text, "was wrong");
	m.response = PST_LIT(FIRST("temp@b.test"));
	kit_ask_with(f, &m);
	assert_false(f->reply.ok || f->reply.more);
	assert_int_equal(f->reply.kind, PST_E_TEMP);
}

static void
test_what_is_not_on_or_not_possible_is_refused_as_a_wrong_password(void **state)
{
	static const struct {
		const char *mechanism;
		struct pst_str response;
	} rows[] = {
		{ "SCRAM-SHA-256", { "", 0 } },
		{ "SCRAM-SHA-256", { "y,,n=ok@b.test", 14 } },
		{ "SCRAM-SHA-256-PLUS", { FIRST("ok@b.test"), sizeof(FIRST("ok@b.test")) - 1 } },
		{ "EXTERNAL", { "", 0 } },
		{ "EXTERNAL", { "ok@b.test", 9 } },
		{ "ANONYMOUS", { "", 0 } },
	};
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct wire_auth_request m = first_of(rows[i].mechanism, rows[i].response);

		kit_ask_with(f, &m);
		assert_wrong(f);
	}
}

static void
test_a_certificate_or_a_guest_needs_no_password(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = first_of("EXTERNAL", PST_LIT(""));
	struct ticket t;

	m.cert_name = PST_LIT("OK@b.test");
	kit_ask_with(f, &m);
	assert_true(f->reply.ok);
	assert_text(f->reply.user, "ok@b.test");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_false(t.read_only);
	m.response = PST_LIT("other@b.test");
	kit_ask_with(f, &m);
	assert_wrong(f);
	m = first_of("ANONYMOUS", PST_LIT("trace"));
	m.sni = PST_LIT("pop.guests.test");
	kit_ask_with(f, &m);
	assert_true(f->reply.ok);
	assert_text(f->reply.user, "ok@guests.test");
	assert_int_equal(kit_open_ticket(f, SID, &t), 0);
	assert_true(t.read_only);
}

static void
test_digests(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = first_of("CRAM-MD5", PST_LIT(""));
	unsigned i;

	m.user = PST_LIT("ok@b.test");
	m.challenge = PST_LIT("<1896.697170952@postern>");
	for (i = 0; i < 2; i++) {
		static const char *const digests[] = { CRAM_OF_SECRET, APOP_OF_SECRET };
		static const char *const names[] = { "CRAM-MD5", "APOP" };
		char changed[33];

		m.mechanism = pst_str_c(names[i]);
		m.response = pst_str_c(digests[i]);
		kit_ask_with(f, &m);
		assert_true(f->reply.ok);
		(void)snprintf(changed, sizeof(changed), "%s", digests[i]);
		changed[31] = changed[31] == '0' ? '1' : '0';
		m.response = pst_str_c(changed);
		kit_ask_with(f, &m);
		assert_wrong(f);
		m.response = (struct pst_str){ digests[i], 31 };
		kit_ask_with(f, &m);
		assert_wrong(f);
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, kit_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_an_exchange_ends_with_its_second_message),
		WITH(test_an_exchange_is_its_clients_alone),
		WITH(test_a_cancelled_exchange_is_gone_without_a_word),
		WITH(test_the_oldest_gives_way_where_there_are_too_many),
		WITH(test_an_unknown_user_has_a_salt_that_stays),
		WITH(test_policies_are_asked_before_and_after),
		WITH(test_what_is_not_on_or_not_possible_is_refused_as_a_wrong_password),
		WITH(test_a_certificate_or_a_guest_needs_no_password),
		WITH(test_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
