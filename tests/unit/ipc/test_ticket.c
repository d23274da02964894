/* SPDX-License-Identifier: MIT */
/* Tickets: opened once, in time, for their session, and never when anything was changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "ipc/shm.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"

static struct ticket_office *office;
static struct ticket_desk *desk;
static int64_t now_ms = 1000;

/* The linker puts this in the clock's place. */
int64_t __wrap_pst_now_ms(void);
int64_t
__wrap_pst_now_ms(void)
{
	return now_ms;
}

static const struct ticket sample = {
	.uid = 1001,
	.gid = 0xfffffffd,
	.sid = { "9f2c0a1b2c3d4e5f", 16 },
	.user = { "alice@example.test", 18 },
	.location = { "maildir:/srv/mail/example.test/alice", 36 },
	.mechanism = { "PLAIN", 5 },
	.master = { "support", 7 },
	.backend = 3,
	.wants_notes = true,
	.changes_at = UINT64_C(0x100000002),
	.max_sessions = 7,
	.max_listed = 0xffffffff,
	.min_poll_ms = INT64_C(5000000000),
	.read_only = true,
};

static int
open_office(void **state)
{
	(void)state;
	office = shm_create(sizeof(*office));
	ticket_office_init(office);
	desk = ticket_desk_create(office);
	return 0;
}

static int
close_office(void **state)
{
	(void)state;
	ticket_desk_destroy(desk);
	shm_destroy(office, sizeof(*office));
	return 0;
}

static struct pst_str
seal(uint8_t *sealed)
{
	size_t n = ticket_seal(desk, &sample, sealed);

	assert_int_not_equal(n, 0);
	return (struct pst_str){ (const char *)sealed, n };
}

static int
open_it(struct pst_str sealed, struct pst_str sid)
{
	static uint8_t scratch[WIRE_TICKET];
	struct ticket t;
	struct pst_err err = { 0 };
	int rc = ticket_open(desk, sealed, sid, scratch, &t, &err);

	if (rc != 0)
		assert_int_equal(err.kind, PST_E_PERM);
	return rc;
}

static void
assert_str(struct pst_str a, struct pst_str b)
{
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p, b.p, a.n);
}

static void
test_ticket_comes_back_as_it_was_sealed(void **state)
{
	uint8_t sealed[WIRE_TICKET], scratch[WIRE_TICKET];
	struct pst_str box = seal(sealed);
	struct ticket t;
	struct pst_err err;

	(void)state;
	assert_int_equal(ticket_open(desk, box, sample.sid, scratch, &t, &err), 0);
	assert_int_equal(t.uid, 1001);
	assert_int_equal(t.gid, 0xfffffffd);
	assert_true(t.expires_ms == now_ms + TICKET_LIFE_MS);
	assert_str(t.sid, sample.sid);
	assert_str(t.user, sample.user);
	assert_str(t.location, sample.location);
	assert_str(t.mechanism, sample.mechanism);
	assert_str(t.master, sample.master);
	assert_int_equal(t.backend, 3);
	assert_true(t.wants_notes);
	assert_true(t.changes_at == sample.changes_at);
	assert_int_equal(t.max_sessions, 7);
	assert_int_equal(t.max_listed, 0xffffffff);
	assert_true(t.min_poll_ms == sample.min_poll_ms);
	assert_true(t.read_only);
}

static void
test_ticket_without_a_contract_says_so(void **state)
{
	struct ticket bare = { .sid = sample.sid, .min_poll_ms = -1 };
	uint8_t sealed[WIRE_TICKET], scratch[WIRE_TICKET];
	size_t n = ticket_seal(desk, &bare, sealed);
	struct ticket t;
	struct pst_err err;

	(void)state;
	assert_int_equal(ticket_open(desk, (struct pst_str){ (const char *)sealed, n }, sample.sid,
	                             scratch, &t, &err),
	                 0);
	assert_true(!t.wants_notes && !t.read_only);
	assert_int_equal(t.max_sessions, 0);
	assert_int_equal(t.max_listed, 0);
	assert_true(t.min_poll_ms == 0);
}

static void
test_ticket_is_served_once(void **state)
{
	uint8_t sealed[WIRE_TICKET];
	struct pst_str box = seal(sealed);

	(void)state;
	assert_int_equal(open_it(box, sample.sid), 0);
	assert_int_equal(open_it(box, sample.sid), -1);
}

static void
test_ticket_of_another_session_is_refused_and_stays_good_for_its_own(void **state)
{
	uint8_t sealed[WIRE_TICKET];
	struct pst_str box = seal(sealed);

	(void)state;
	assert_int_equal(open_it(box, PST_LIT("9f2c0a1b2c3d4e50")), -1);
	assert_int_equal(open_it(box, PST_LIT("9f2c0a1b2c3d4e5")), -1);
	assert_int_equal(open_it(box, PST_LIT("")), -1);
	assert_int_equal(open_it(box, sample.sid), 0);
}

static void
test_ticket_expires_to_the_millisecond(void **state)
{
	uint8_t first[WIRE_TICKET], second[WIRE_TICKET];
	struct pst_str in_time = seal(first);
	struct pst_str late = seal(second);

	(void)state;
	now_ms += TICKET_LIFE_MS - 1;
	assert_int_equal(open_it(in_time, sample.sid), 0);
	now_ms++;
	assert_int_equal(open_it(late, sample.sid), -1);
}

static void
test_ticket_with_any_bit_changed_is_refused(void **state)
{
	uint8_t sealed[WIRE_TICKET];
	struct pst_str box = seal(sealed);
	size_t i;
	unsigned bit;

	(void)state;
	for (i = 0; i < box.n; i++)
		for (bit = 0; bit < 8; bit++) {
			sealed[i] ^= (uint8_t)(1u << bit);
			if (open_it(box, sample.sid) == 0)
				fail_msg("taken with bit %u of octet %zu changed", bit, i);
			sealed[i] ^= (uint8_t)(1u << bit);
		}
	assert_int_equal(open_it(box, sample.sid), 0);
}

static void
test_ticket_cut_or_lengthened_is_refused(void **state)
{
	uint8_t sealed[WIRE_TICKET + 1] = { 0 };
	struct pst_str box = seal(sealed);
	size_t n;

	(void)state;
	for (n = 0; n < box.n; n++)
		assert_int_equal(open_it((struct pst_str){ box.p, n }, sample.sid), -1);
	assert_int_equal(open_it((struct pst_str){ box.p, box.n + 1 }, sample.sid), -1);
	assert_int_equal(open_it((struct pst_str){ box.p, sizeof(sealed) }, sample.sid), -1);
	assert_int_equal(open_it(box, sample.sid), 0);
}

static void
test_ticket_of_another_office_is_refused(void **state)
{
	struct ticket_office *other = shm_create(sizeof(*other));
	struct ticket_desk *foreign;
	uint8_t sealed[WIRE_TICKET];
	size_t n;

	(void)state;
	ticket_office_init(other);
	foreign = ticket_desk_create(other);
	n = ticket_seal(foreign, &sample, sealed);
	assert_int_equal(open_it((struct pst_str){ (const char *)sealed, n }, sample.sid), -1);
	ticket_desk_destroy(foreign);
	shm_destroy(other, sizeof(*other));
}

static void
test_each_ticket_has_a_nonce_of_its_own(void **state)
{
	uint8_t first[WIRE_TICKET], second[WIRE_TICKET];
	struct pst_str a = seal(first);
	struct pst_str b = seal(second);

	(void)state;
	assert_int_equal(a.n, b.n);
	assert_memory_not_equal(a.p, b.p, 8);
	assert_memory_not_equal(a.p + 8, b.p + 8, a.n - 8);
}

static void
test_older_number_is_refused_where_its_place_has_seen_a_later_one(void **state)
{
	uint8_t sealed[WIRE_TICKET], later[WIRE_TICKET];
	struct pst_str box = seal(sealed);
	struct pst_str last;

	(void)state;
	atomic_fetch_add(&office->next, TICKET_SERVED - 1); /* the next one shares its place */
	last = seal(later);
	assert_int_equal(open_it(last, sample.sid), 0);
	assert_int_equal(open_it(box, sample.sid), -1);
	assert_int_equal(open_it(last, sample.sid), -1);
}

static void
test_string_that_is_too_long_is_not_sealed(void **state)
{
	static char longer[8192];
	uint8_t sealed[WIRE_TICKET];
	struct ticket t = sample;

	(void)state;
	t.user = (struct pst_str){ longer, WIRE_USER + 1 };
	assert_int_equal(ticket_seal(desk, &t, sealed), 0);
	t = sample;
	t.location = (struct pst_str){ longer, 4097 };
	assert_int_equal(ticket_seal(desk, &t, sealed), 0);
	t.location = (struct pst_str){ longer, 4096 };
	t.sid = (struct pst_str){ longer, WIRE_SID };
	t.user = (struct pst_str){ longer, WIRE_USER };
	t.mechanism = (struct pst_str){ longer, WIRE_NAME };
	assert_in_range(ticket_seal(desk, &t, sealed), 4096, WIRE_TICKET);
}

/* Many processes with the same ticket: one of them gets it. */
static void
test_ticket_is_served_to_one_process_of_many(void **state)
{
	uint8_t sealed[WIRE_TICKET];
	struct pst_str box = seal(sealed);
	pid_t pids[16];
	size_t i;
	int served = 0;

	(void)state;
	for (i = 0; i < 16; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct ticket_desk *own = ticket_desk_create(office);
			uint8_t scratch[WIRE_TICKET];
			struct ticket t;
			struct pst_err err;
			int rc = ticket_open(own, box, sample.sid, scratch, &t, &err);

			ticket_desk_destroy(own);
			_exit(rc == 0 ? 1 : 0);
		}
	}
	for (i = 0; i < 16; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		served += WEXITSTATUS(status);
	}
	assert_int_equal(served, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ticket_comes_back_as_it_was_sealed),
		cmocka_unit_test(test_ticket_without_a_contract_says_so),
		cmocka_unit_test(test_ticket_is_served_once),
		cmocka_unit_test(
			test_ticket_of_another_session_is_refused_and_stays_good_for_its_own),
		cmocka_unit_test(test_ticket_expires_to_the_millisecond),
		cmocka_unit_test(test_ticket_with_any_bit_changed_is_refused),
		cmocka_unit_test(test_ticket_cut_or_lengthened_is_refused),
		cmocka_unit_test(test_ticket_of_another_office_is_refused),
		cmocka_unit_test(test_each_ticket_has_a_nonce_of_its_own),
		cmocka_unit_test(test_older_number_is_refused_where_its_place_has_seen_a_later_one),
		cmocka_unit_test(test_string_that_is_too_long_is_not_sealed),
		cmocka_unit_test(test_ticket_is_served_to_one_process_of_many),
	};

	return cmocka_run_group_tests(tests, open_office, close_office);
}
