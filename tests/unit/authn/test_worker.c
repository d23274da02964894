/* SPDX-License-Identifier: MIT */
/* The auth worker as a process: its slot, its channels, its log, and what stays in its memory. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "plugin/registry.h"
#include "tests/unit/authn/kit.h"

/* ---- The log ---- */

static size_t
count_lines(const char *log, const char *what)
{
	size_t n = 0;

	while ((log = strstr(log, what)) != NULL) {
		n++;
		log += strlen(what);
	}
	return n;
}

#define LOG_FILE "test_worker.log"

static void
read_log(char *out, size_t cap)
{
	FILE *file = fopen(LOG_FILE, "r");
	size_t n;

	assert_non_null(file);
	n = fread(out, 1, cap - 1, file);
	out[n] = '\0';
	fclose(file);
}

static void
test_a_backend_that_goes_away_is_logged_once_and_once_when_it_is_back(void **state)
{
	static char log[65536];
	struct kit *f = *state;
	struct pst_err err;
	size_t i;

	(void)unlink(LOG_FILE);
	assert_int_equal(pst_log_open(LOG_FILE, &err), 0);
	pst_log_set_level(PST_LOG_INFO);
	kit_ask(f, "go", "secret");
	for (i = 0; i < 3; i++) {
		kit_ask(f, "ok@b.test", "secret");
		kit_assert_refused(f, PST_E_TEMP);
	}
	kit_ask(f, "come", "secret");
	for (i = 0; i < 3; i++) {
		kit_ask(f, "ok@b.test", "secret");
		assert_true(f->reply.ok);
	}
	kit_ask(f, "off@b.test", "secret");
	kit_ask(f, "off@b.test", "wrong");
	kit_ask(f, "weak@b.test", "correct-password");
	read_log(log, sizeof(log));
	assert_int_equal(pst_log_open("stderr", &err), 0);
	pst_log_set_level(PST_LOG_ERROR);
	(void)unlink(LOG_FILE);
	assert_int_equal(count_lines(log, "\n"), 5);
	assert_int_equal(count_lines(log, "error auth.backend_away"), 1);
	assert_int_equal(count_lines(log, "backend=fakeauth reason=\"the fake is away\""), 1);
	assert_int_equal(count_lines(log, "warn auth.backend_back"), 1);
	assert_int_equal(count_lines(log, "password=right reason=\"did not pay\""), 1);
	assert_int_equal(count_lines(log, "password=wrong reason=\"did not pay\""), 1);
	assert_int_equal(count_lines(log, "error auth.broken"), 1);
	assert_int_equal(count_lines(log, "sid=" SID " peer=192.0.2.7 user=weak@b.test"), 1);
	assert_null(strstr(log, "secret"));
	assert_null(strstr(log, "correct-password"));
}

/* ---- The process ---- */

static void
test_junk_on_the_queue_is_dropped_and_the_worker_goes_on(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("ok@b.test", "secret");
	uint8_t out[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n, i;

	pst_log_set_level(PST_LOG_ERROR - 1);
	kit_start_worker(f);
	n = wire_auth_request_encode(&m, INCARNATION, 1, out);
	for (i = 1; i < n; i += 7)
		assert_int_equal(channel_send(f->queue[1], out, i, -1, &err), 0);
	memset(out, 0xff, 300);
	assert_int_equal(channel_send(f->queue[1], out, 300, -1, &err), 0);
	m.login_slot = 2; /* there are two: 0 and 1 */
	kit_send_request(f, &m);
	m.login_slot = UINT32_MAX;
	kit_send_request(f, &m);
	assert_int_equal(channel_send(f->w[0].inbox[1], out, 300, -1, &err), 0);
	kit_order(f, 0, ORDER_DRAIN);
	kit_order(f, 0, ORDER_END_SESSION);
	kit_ask(f, "ok@b.test", "secret");
	assert_true(f->reply.ok);
	pst_log_set_level(PST_LOG_ERROR);
}

static void
test_the_slot_shows_the_request_in_hand_and_who_asked(void **state)
{
	const uint64_t open = 1;
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("slow@b.test", "secret");
	struct slot_row *row = &f->w[0].row;
	int64_t before = pst_now_ms();

	kit_start_worker(f);
	kit_send_request(f, &m);
	while (atomic_load(&row->busy_since_ms) == 0)
		(void)poll(NULL, 0, 1);
	assert_in_range(atomic_load(&row->busy_since_ms), before, pst_now_ms());
	assert_int_equal(atomic_load(&row->state), SLOT_BUSY);
	assert_int_equal(atomic_load(&row->asker_slot), 1);
	assert_int_equal(atomic_load(&row->asker_incarnation), INCARNATION);
	assert_int_equal(atomic_load(&row->asker_request), f->request);
	while (strcmp(row->doing, "fakeauth: slow@b.test") != 0)
		(void)poll(NULL, 0, 1);
	assert_int_equal(write(f->gate, &open, sizeof(open)), sizeof(open));
	kit_receive(f);
	assert_true(f->reply.ok);
	while (atomic_load(&row->state) != SLOT_READY)
		(void)poll(NULL, 0, 1);
	assert_int_equal(atomic_load(&row->busy_since_ms), 0);
	assert_string_equal(row->doing, "waiting");
}

static void
test_while_one_worker_is_busy_the_other_serves(void **state)
{
	const uint64_t open = 1;
	struct kit *f = *state;
	struct wire_auth_request slow = kit_request_of("slow@b.test", "secret");
	size_t i;

	kit_start_worker(f);
	kit_start_worker(f);
	kit_send_request(f, &slow);
	while (atomic_load(&f->w[0].row.busy_since_ms) == 0 &&
	       atomic_load(&f->w[1].row.busy_since_ms) == 0)
		(void)poll(NULL, 0, 1);
	for (i = 0; i < 20; i++) {
		kit_ask(f, "ok@b.test", "secret");
		assert_true(f->reply.ok);
	}
	assert_int_equal(write(f->gate, &open, sizeof(open)), sizeof(open));
	kit_receive(f);
	assert_true(f->reply.ok);
	assert_int_equal(f->head.request, 1);
}

static void
test_a_full_inbox_costs_its_own_reply_and_no_other(void **state)
{
	struct kit *f = *state;
	struct wire_auth_request m = kit_request_of("ok@b.test", "secret");
	struct pst_err err;
	size_t filled = 0;

	pst_log_set_level(PST_LOG_ERROR);
	while (channel_send(f->login[1], "x", 1, -1, &err) == 0)
		filled++;
	assert_true(filled > 0);
	kit_start_worker(f);
	kit_send_request(f, &m); /* its reply finds no room */
	while (atomic_load(&f->w[0].row.asker_request) != f->request ||
	       atomic_load(&f->w[0].row.busy_since_ms) != 0)
		(void)poll(NULL, 0, 1);
	while (channel_recv(f->login[0], f->in, sizeof(f->in), NULL, &err) == 1)
		filled--;
	assert_int_equal(filled, 0);
	kit_ask(f, "ok@b.test", "secret");
	assert_true(f->reply.ok);
}

static void
test_a_worker_whose_channels_are_gone_ends_with_a_failure(void **state)
{
	struct kit *f = *state;

	kit_start_worker(f);
	kit_ask(f, "ok@b.test", "secret");
	assert_int_equal(close(f->w[0].inbox[1]), 0);
	assert_int_equal(pthread_join(f->w[0].thread, NULL), 0);
	assert_int_equal(f->w[0].status, 1);
	registry_destroy(f->w[0].env.plugins);
	close(f->w[0].inbox[0]);
	f->workers = 0;
}

static void
test_settings_that_cannot_serve_end_the_worker_with_a_reason(void **state)
{
	struct kit *f = *state;
	struct kit_worker *w = &f->w[0];
	struct pst_err err;

	pst_log_set_level(PST_LOG_ERROR - 1);
	w->env = (struct worker_env){
		.settings = &f->settings,
		.sections = &f->texts,
		.plugins = registry_create(NULL),
		.self = &w->row,
		.tickets = &f->office,
		.away = &f->away,
		.inbox = f->login[0],
		.auth_queue = f->queue[0],
		.wake_fd = -1,
	};
	f->settings.auth.backends = "nosuchplugin";
	assert_int_equal(auth_worker.load(&w->env, &err), -1);
	assert_non_null(strstr(err.text, "nosuchplugin"));
	f->settings.auth.backends = "fakeauth";
	f->settings.auth.default_scheme = "ROT13";
	assert_int_equal(auth_worker.load(&w->env, &err), 0);
	assert_int_equal(auth_worker.run(&w->env), 1);
	f->settings.auth.default_scheme = "PLAIN";
	f->settings.mail.location = "maildir:relative";
	assert_int_equal(auth_worker.run(&w->env), 1);
	registry_destroy(w->env.plugins);
	pst_log_set_level(PST_LOG_ERROR);
}

/* ---- Nothing of a password stays ---- */

/* Places in the memory of this process where text stands, text itself and its mask left out. */
static size_t
find_in_memory(const char *masked, size_t n, char mask)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	size_t found = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *rest;
		unsigned long from = strtoul(line, &rest, 16);
		unsigned long to = strtoul(rest + 1, &rest, 16); /* "from-to rw-p …" */
		const char *p;

		if (strncmp(rest, " rw", 3) != 0)
			continue;
		for (p = (const char *)from; p + n <= (const char *)to; p++) {
			size_t k = 0;

			while (k < n && (char)(p[k] ^ mask) == masked[k])
				k++;
			found += k == n;
		}
	}
	fclose(maps);
	return found;
}

/* An order that comes after the reply is taken when all that belongs to the request is over. */
static void
wait_for_next_turn(struct kit *f)
{
	char octet;

	kit_order(f, 0, ORDER_DRAIN);
	while (recv(f->w[0].inbox[0], &octet, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		(void)poll(NULL, 0, 1);
}

static void
test_no_password_is_left_in_memory_after_a_request(void **state)
{
	/* "marmalade-4711", so that the test itself does not hold it in the clear. */
#define M(c) ((c) ^ 0x55)
	static const char masked[] = { M('m'), M('a'), M('r'), M('m'), M('a'), M('l'), M('a'),
		                       M('d'), M('e'), M('-'), M('4'), M('7'), M('1'), M('1') };
#undef M
	static const char *const users[] = { "ok@b.test", "argon@b.test", "sha@b.test",
		                             "ver@b.test", "nobody@b.test" };
	const char mask = 0x55;
	const size_t n = sizeof(masked);
	struct kit *f = *state;
	char password[sizeof(masked)];
	size_t i, k;

#ifdef PST_SANITIZE
	skip(); /* freed memory is kept and shadowed */
#endif
	kit_start_worker(f);
	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		struct wire_auth_request m = kit_request_of(users[i], "");

		for (k = 0; k < n; k++)
			password[k] = (char)(masked[k] ^ mask);
		if (i == 0) /* the search can find it */
			assert_true(find_in_memory(masked, n, mask) > 0);
		m.password = (struct pst_str){ password, n };
		kit_send_request(f, &m);
		pst_wipe(password, sizeof(password));
		kit_receive(f);
		kit_assert_refused(f, PST_E_AUTH);
		wait_for_next_turn(f);
		if (find_in_memory(masked, n, mask) != 0)
			fail_msg("%s: the password is still there", users[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)
		T(test_a_backend_that_goes_away_is_logged_once_and_once_when_it_is_back),
		T(test_junk_on_the_queue_is_dropped_and_the_worker_goes_on),
		T(test_the_slot_shows_the_request_in_hand_and_who_asked),
		T(test_while_one_worker_is_busy_the_other_serves),
		T(test_a_full_inbox_costs_its_own_reply_and_no_other),
		T(test_a_worker_whose_channels_are_gone_ends_with_a_failure),
		T(test_settings_that_cannot_serve_end_the_worker_with_a_reason),
		T(test_no_password_is_left_in_memory_after_a_request),
#undef T
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
