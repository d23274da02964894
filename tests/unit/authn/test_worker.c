/* SPDX-License-Identifier: MIT */
/* The auth worker as the server runs it, in threads of the test: requests go in through the queue,
 * replies come out of a login slot's inbox, tickets are opened as mail does. */
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

#include "authn/worker.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "credentials/scheme.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"
#include "plugin/registry.h"

#define WORKERS 2
#define FAILURE_DELAY_MS 20000
#define INCARNATION 41
#define ANSWER_MS 20000 /* that a loaded machine may take; nothing waits so long but a failure */
#define SID "0123456789abcdef"

/* Counted by the linker's --wrap. */
static _Atomic int burns;
void __real_scheme_burn(const char *scheme, struct pst_str password,
                        const struct scheme_cost *cost);
void __wrap_scheme_burn(const char *scheme, struct pst_str password,
                        const struct scheme_cost *cost);

void
__wrap_scheme_burn(const char *scheme, struct pst_str password, const struct scheme_cost *cost)
{
	burns++;
	__real_scheme_burn(scheme, password, cost);
}

struct worker {
	struct worker_env env;
	struct slot_row row;
	int inbox[2];
	pthread_t thread;
	int status;
};

struct fixture {
	struct pst_arena *arena;
	struct settings settings;
	struct conf_texts texts;
	struct ticket_office office;
	int queue[2];
	int login[2]; /* the inbox of login slot 1; slot 0 has none */
	int login_writes[2];
	int gate;
	struct worker w[WORKERS];
	size_t workers;
	uint64_t request;
	uint8_t in[MSG_MAX_OCTETS];
	struct wire_auth_reply reply; /* borrows from in */
	struct msg_head head;
	uint8_t scratch[WIRE_TICKET];
};

/* ---- Starting and stopping ---- */

static void *
run_worker(void *arg)
{
	struct worker *w = arg;

	w->status = auth_worker.run(&w->env);
	return NULL;
}

static void
start_worker(struct fixture *f)
{
	struct worker *w = &f->w[f->workers++];
	struct pst_err err;

	assert_int_equal(channel_create(w->inbox, 65536, &err), 0);
	w->env = (struct worker_env){
		.kind = WORKER_AUTH,
		.settings = &f->settings,
		.sections = &f->texts,
		.plugins = registry_create(NULL),
		.self = &w->row,
		.tickets = &f->office,
		.login_count = 2,
		.inbox = w->inbox[0],
		.auth_queue = f->queue[0],
		.login_inboxes = f->login_writes,
		.wake_fd = -1,
	};
	if (auth_worker.load(&w->env, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(pthread_create(&w->thread, NULL, run_worker, w), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = pst_new(struct fixture);
	struct pst_err err;

	f->arena = pst_arena_create();
	conf_texts_init(&f->texts, f->arena);
	f->gate = eventfd(0, EFD_SEMAPHORE);
	conf_texts_set(&f->texts, PST_LIT("auth.fakeauth.gate"),
	               pst_str_c(pst_arena_printf(f->arena, "%d", f->gate)), "", 0);
	f->settings.server.plugin_dir = TEST_BUILDDIR "/tests/unit/authn/.libs";
	f->settings.auth = (struct auth_settings){
		.failure_delay = FAILURE_DELAY_MS,
		.backends = "fakeauth fakeverify",
		.default_domain = "",
		.default_scheme = "ARGON2ID",
		.argon2_memory = 256 * 1024,
		.argon2_passes = 1,
		.max_hash_memory = 64 << 20,
	};
	f->settings.mail.location = "maildir:/srv/%{domain}/%{local}";
	f->settings.policy_order = "fakepolicy";
	ticket_office_init(&f->office);
	assert_int_equal(channel_create(f->queue, 65536, &err), 0);
	assert_int_equal(channel_create(f->login, 65536, &err), 0);
	f->login_writes[0] = -1;
	f->login_writes[1] = f->login[1];
	*state = f;
	return 0;
}

static void
order(struct fixture *f, size_t idx, enum wire_order what)
{
	const struct wire_order_msg m = { .order = what };
	uint8_t out[MSG_MAX_OCTETS];
	size_t n = wire_order_encode(&m, out);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(channel_send(f->w[idx].inbox[1], out, n, -1, &err), 0);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < f->workers; i++) {
		order(f, i, ORDER_STOP);
		assert_int_equal(pthread_join(f->w[i].thread, NULL), 0);
		assert_int_equal(f->w[i].status, 0);
		registry_destroy(f->w[i].env.plugins);
		close(f->w[i].inbox[0]);
		close(f->w[i].inbox[1]);
	}
	for (i = 0; i < 2; i++) {
		close(f->queue[i]);
		close(f->login[i]);
	}
	close(f->gate);
	pst_arena_destroy(f->arena);
	free(f);
	return 0;
}

/* ---- Asking ---- */

static struct wire_auth_request
request_of(const char *user, const char *password)
{
	return (struct wire_auth_request){
		.login_slot = 1,
		.row = 3,
		.sid = PST_LIT(SID),
		.mechanism = PST_LIT("PLAIN"),
		.user = pst_str_c(user),
		.password = pst_str_c(password),
		.remote_ip = PST_LIT("192.0.2.7"),
		.local_ip = PST_LIT("192.0.2.1"),
		.listener = PST_LIT("pop3"),
		.tls = true,
	};
}

static void
send_request(struct fixture *f, const struct wire_auth_request *m)
{
	uint8_t out[MSG_MAX_OCTETS];
	size_t n = wire_auth_request_encode(m, INCARNATION, ++f->request, out);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(channel_send(f->queue[1], out, n, -1, &err), 0);
	pst_wipe(out, n);
}

static void
receive(struct fixture *f)
{
	struct pollfd p = { .fd = f->login[0], .events = POLLIN };
	struct pst_err err;
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) != 1)
		fail_msg("no reply");
	n = channel_recv(f->login[0], f->in, sizeof(f->in), NULL, &err);
	assert_true(n > 0);
	assert_int_equal(wire_auth_reply_decode((struct pst_str){ (char *)f->in, (size_t)n },
	                                        &f->head, &f->reply, &err),
	                 0);
	assert_int_equal(f->head.incarnation, INCARNATION);
}

static void
ask_with(struct fixture *f, const struct wire_auth_request *m)
{
	if (f->workers == 0)
		start_worker(f);
	send_request(f, m);
	receive(f);
	assert_int_equal(f->head.request, f->request);
}

static void
ask(struct fixture *f, const char *user, const char *password)
{
	const struct wire_auth_request m = request_of(user, password);

	ask_with(f, &m);
}

#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

/* Opens the reply's ticket for the session sid. */
static int
open_ticket(struct fixture *f, const char *sid, struct ticket *t)
{
	struct ticket_desk *desk = ticket_desk_create(&f->office);
	struct pst_err err;
	int rc = ticket_open(desk, f->reply.ticket, pst_str_c(sid), f->scratch, t, &err);

	ticket_desk_destroy(desk);
	return rc;
}

/* The client waits until failure_delay has passed since the request was taken. */
static void
assert_refused(struct fixture *f, enum pst_err_kind kind)
{
	assert_false(f->reply.ok);
	assert_int_equal(f->reply.kind, kind);
	assert_int_equal(f->reply.ticket.n, 0);
	assert_int_equal(f->reply.user.n, 0);
	assert_in_range(f->reply.delay_ms, 1, FAILURE_DELAY_MS);
}

/* ---- Good logins ---- */

static void
test_a_right_password_gives_a_ticket_for_this_session_once(void **state)
{
	struct fixture *f = *state;
	struct ticket t;

	ask(f, "OK@Example.ORG", "secret");
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.delay_ms, 0);
	assert_text(f->reply.user, "ok@example.org");
	assert_int_equal(open_ticket(f, "fedcba9876543210", &t), -1);
	assert_int_equal(open_ticket(f, SID, &t), 0);
	assert_text(t.user, "ok@example.org");
	assert_text(t.location, "maildir:/srv/example.org/ok");
	assert_text(t.sid, SID);
	assert_text(t.mechanism, "PLAIN");
	assert_int_equal(t.uid, 0);
	assert_int_equal(t.gid, 0);
	assert_in_range(t.expires_ms, pst_now_ms(), pst_now_ms() + TICKET_LIFE_MS);
	assert_int_equal(open_ticket(f, SID, &t), -1);
	assert_int_equal(burns, 0);
}

static void
test_hashes_are_checked_whatever_their_scheme(void **state)
{
	struct fixture *f = *state;

	ask(f, "argon@b.test", "correct horse");
	assert_true(f->reply.ok);
	ask(f, "sha@b.test", "correct horse");
	assert_true(f->reply.ok);
	ask(f, "argon@b.test", "correct hors");
	assert_refused(f, PST_E_AUTH);
	ask(f, "sha@b.test", "correct hors");
	assert_refused(f, PST_E_AUTH);
}

static void
test_a_record_may_rename_the_user_and_place_the_mail(void **state)
{
	struct fixture *f = *state;
	struct ticket t;

	ask(f, "alias@b.test", "secret");
	assert_text(f->reply.user, "real@other.test");
	assert_int_equal(open_ticket(f, SID, &t), 0);
	assert_text(t.user, "real@other.test");
	assert_text(t.location, "maildir:/srv/other.test/real");
	ask(f, "moved@b.test", "secret");
	assert_int_equal(open_ticket(f, SID, &t), 0);
	assert_text(t.location, "mbox:/m/moved");
	assert_int_equal(t.uid, 7);
	assert_int_equal(t.gid, 8);
}

static void
test_the_default_domain_is_added(void **state)
{
	struct fixture *f = *state;

	f->settings.auth.default_domain = "Home.test";
	ask(f, "ok", "secret");
	assert_text(f->reply.user, "ok@home.test");
}

static void
test_the_next_backend_is_asked_for_a_user_that_the_first_does_not_know(void **state)
{
	struct fixture *f = *state;
	struct ticket t;

	ask(f, "ver@b.test", "vsecret");
	assert_true(f->reply.ok);
	assert_int_equal(open_ticket(f, SID, &t), 0);
	assert_int_equal(t.uid, 9);
	ask(f, "ver@b.test", "secret");
	assert_refused(f, PST_E_AUTH);
	assert_int_equal(burns, 0); /* verify takes its own time */
	ask(f, "vtemp@b.test", "secret");
	assert_refused(f, PST_E_TEMP);
}

/* ---- Refusals ---- */

static void
test_unknown_user_and_wrong_password_are_one_to_the_client(void **state)
{
	struct fixture *f = *state;
	struct wire_auth_reply wrong;

	ask(f, "ok@b.test", "Secret");
	assert_refused(f, PST_E_AUTH);
	assert_int_equal(burns, 0); /* the check was the work */
	wrong = f->reply;
	ask(f, "nobody@b.test", "secret");
	assert_refused(f, PST_E_AUTH);
	assert_int_equal(burns, 1);
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
	struct fixture *f = *state;
	struct wire_auth_request m = request_of("slow@b.test", "wrong");
	int64_t sent;

	start_worker(f);
	send_request(f, &m);
	while (atomic_load(&f->w[0].row.busy_since_ms) == 0)
		(void)poll(NULL, 0, 1);
	sent = pst_now_ms();
	while (pst_now_ms() < sent + 50)
		(void)poll(NULL, 0, 10);
	assert_int_equal(write(f->gate, &open, sizeof(open)), sizeof(open));
	receive(f);
	assert_refused(f, PST_E_AUTH);
	assert_in_range(f->reply.delay_ms, 0, FAILURE_DELAY_MS - 50);
}

static void
test_only_who_knows_the_password_learns_that_a_user_is_disabled(void **state)
{
	static const struct {
		const char *user, *password;
		enum pst_err_kind kind;
		int burns;
	} cases[] = {
		{ "off@b.test", "secret", PST_E_PERM, 0 },
		{ "off@b.test", "wrong", PST_E_AUTH, 0 },
		{ "offbare@b.test", "secret", PST_E_AUTH, 1 },
		{ "offbroken@b.test", "secret", PST_E_AUTH, 1 },
		{ "offbroken@b.test", "wrong", PST_E_AUTH, 1 },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = burns;

		ask(f, cases[i].user, cases[i].password);
		assert_refused(f, cases[i].kind);
		assert_int_equal(f->reply.text.n, 0);
		assert_int_equal(burns - before, cases[i].burns);
	}
}

static void
test_names_that_cannot_be_cost_the_same(void **state)
{
	static const char *const names[] = { "",   "@",    "../x@b.test", "a/b@b.test",
		                             ".x", "x@..", "a\tb" };
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ask(f, names[i], "secret");
		assert_refused(f, PST_E_AUTH);
		assert_int_equal(burns, i + 1);
	}
}

static void
test_nul_octets_and_empty_passwords_never_reach_a_backend(void **state)
{
	struct fixture *f = *state;
	struct wire_auth_request m = request_of("ok@b.test", "secret");

	ask(f, "ok@b.test", "");
	assert_refused(f, PST_E_AUTH);
	m.password = PST_LIT("secret\0");
	ask_with(f, &m);
	assert_refused(f, PST_E_AUTH);
	m = request_of("ok@b.test", "secret");
	m.user = PST_LIT("ok@b.test\0x");
	ask_with(f, &m);
	assert_refused(f, PST_E_AUTH);
	m = request_of("ok@b.test", "secret");
	m.sni = PST_LIT("a\0b");
	ask_with(f, &m);
	assert_refused(f, PST_E_AUTH);
	assert_int_equal(burns, 4);
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
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		ask(f, pst_arena_printf(f->arena, "%s@b.test", broken[i].local), "secret");
		if (f->reply.ok || f->reply.kind != broken[i].kind)
			fail_msg("%s: %d", broken[i].local, f->reply.kind);
		assert_refused(f, broken[i].kind);
	}
	ask(f, "ok@b.test", "secret"); /* and the worker is well */
	assert_true(f->reply.ok);
}

static void
test_a_template_that_asks_for_a_domain_refuses_a_user_without(void **state)
{
	struct fixture *f = *state;

	ask(f, "ok", "secret");
	assert_refused(f, PST_E_PERM);
}

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
	struct fixture *f = *state;
	struct pst_err err;
	size_t i;

	(void)unlink(LOG_FILE);
	assert_int_equal(pst_log_open(LOG_FILE, &err), 0);
	pst_log_set_level(PST_LOG_INFO);
	ask(f, "go", "secret");
	for (i = 0; i < 3; i++) {
		ask(f, "ok@b.test", "secret");
		assert_refused(f, PST_E_TEMP);
	}
	ask(f, "come", "secret");
	for (i = 0; i < 3; i++) {
		ask(f, "ok@b.test", "secret");
		assert_true(f->reply.ok);
	}
	ask(f, "off@b.test", "secret");
	ask(f, "off@b.test", "wrong");
	ask(f, "weak@b.test", "correct-password");
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

/* ---- Policies ---- */

static void
test_policies_refuse_before_and_after_with_their_own_words(void **state)
{
	struct fixture *f = *state;

	ask(f, "ok@before.test", "secret");
	assert_refused(f, PST_E_LIMIT);
	assert_text(f->reply.text, "slow down");
	ask(f, "ok@after.test", "secret");
	assert_refused(f, PST_E_PERM);
	assert_text(f->reply.text, "was right");
	ask(f, "ok@after.test", "wrong");
	assert_refused(f, PST_E_PERM);
	assert_text(f->reply.text, "was wrong");
	ask(f, "nobody@after.test", "secret");
	assert_text(f->reply.text, "was wrong");
	ask(f, "temp@after.test", "secret"); /* nobody knows yet: not told */
	assert_refused(f, PST_E_TEMP);
	assert_int_equal(f->reply.text.n, 0);
}

static void
test_the_longest_delay_counts(void **state)
{
	struct fixture *f = *state;

	ask(f, "ok@delay.test", "secret");
	assert_true(f->reply.ok);
	assert_int_equal(f->reply.delay_ms, 70000);
	ask(f, "ok@delay.test", "wrong");
	assert_int_equal(f->reply.kind, PST_E_AUTH);
	assert_int_equal(f->reply.delay_ms, 70000);
}

static void
test_a_policy_that_talks_nonsense_refuses(void **state)
{
	struct fixture *f = *state;

	ask(f, "ok@mad.test", "secret");
	assert_refused(f, PST_E_PERM);
	ask(f, "ok@kind.test", "secret");
	assert_refused(f, PST_E_AUTH);
	assert_int_equal(f->reply.text.n, 79);
}

/* ---- The process ---- */

static void
test_junk_on_the_queue_is_dropped_and_the_worker_goes_on(void **state)
{
	struct fixture *f = *state;
	struct wire_auth_request m = request_of("ok@b.test", "secret");
	uint8_t out[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n, i;

	pst_log_set_level(PST_LOG_ERROR - 1);
	start_worker(f);
	n = wire_auth_request_encode(&m, INCARNATION, 1, out);
	for (i = 1; i < n; i += 7)
		assert_int_equal(channel_send(f->queue[1], out, i, -1, &err), 0);
	memset(out, 0xff, 300);
	assert_int_equal(channel_send(f->queue[1], out, 300, -1, &err), 0);
	m.login_slot = 2; /* there are two: 0 and 1 */
	send_request(f, &m);
	m.login_slot = UINT32_MAX;
	send_request(f, &m);
	assert_int_equal(channel_send(f->w[0].inbox[1], out, 300, -1, &err), 0);
	order(f, 0, ORDER_DRAIN);
	order(f, 0, ORDER_END_SESSION);
	ask(f, "ok@b.test", "secret");
	assert_true(f->reply.ok);
	pst_log_set_level(PST_LOG_ERROR);
}

static void
test_the_slot_shows_the_request_in_hand_and_who_asked(void **state)
{
	const uint64_t open = 1;
	struct fixture *f = *state;
	struct wire_auth_request m = request_of("slow@b.test", "secret");
	struct slot_row *row = &f->w[0].row;
	int64_t before = pst_now_ms();

	start_worker(f);
	send_request(f, &m);
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
	receive(f);
	assert_true(f->reply.ok);
	while (atomic_load(&row->state) != SLOT_READY)
		(void)poll(NULL, 0, 1);
	assert_int_equal(atomic_load(&row->busy_since_ms), 0);
	assert_string_equal(row->doing, "");
}

static void
test_while_one_worker_is_busy_the_other_serves(void **state)
{
	const uint64_t open = 1;
	struct fixture *f = *state;
	struct wire_auth_request slow = request_of("slow@b.test", "secret");
	size_t i;

	start_worker(f);
	start_worker(f);
	send_request(f, &slow);
	while (atomic_load(&f->w[0].row.busy_since_ms) == 0 &&
	       atomic_load(&f->w[1].row.busy_since_ms) == 0)
		(void)poll(NULL, 0, 1);
	for (i = 0; i < 20; i++) {
		ask(f, "ok@b.test", "secret");
		assert_true(f->reply.ok);
	}
	assert_int_equal(write(f->gate, &open, sizeof(open)), sizeof(open));
	receive(f);
	assert_true(f->reply.ok);
	assert_int_equal(f->head.request, 1);
}

static void
test_a_full_inbox_costs_its_own_reply_and_no_other(void **state)
{
	struct fixture *f = *state;
	struct wire_auth_request m = request_of("ok@b.test", "secret");
	struct pst_err err;
	size_t filled = 0;

	pst_log_set_level(PST_LOG_ERROR);
	while (channel_send(f->login[1], "x", 1, -1, &err) == 0)
		filled++;
	assert_true(filled > 0);
	start_worker(f);
	send_request(f, &m); /* its reply finds no room */
	while (atomic_load(&f->w[0].row.asker_request) != f->request ||
	       atomic_load(&f->w[0].row.busy_since_ms) != 0)
		(void)poll(NULL, 0, 1);
	while (channel_recv(f->login[0], f->in, sizeof(f->in), NULL, &err) == 1)
		filled--;
	assert_int_equal(filled, 0);
	ask(f, "ok@b.test", "secret");
	assert_true(f->reply.ok);
}

static void
test_a_worker_whose_channels_are_gone_ends_with_a_failure(void **state)
{
	struct fixture *f = *state;

	start_worker(f);
	ask(f, "ok@b.test", "secret");
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
	struct fixture *f = *state;
	struct worker *w = &f->w[0];
	struct pst_err err;

	pst_log_set_level(PST_LOG_ERROR - 1);
	w->env = (struct worker_env){
		.settings = &f->settings,
		.sections = &f->texts,
		.plugins = registry_create(NULL),
		.self = &w->row,
		.tickets = &f->office,
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
	struct fixture *f = *state;
	char password[sizeof(masked)];
	size_t i, k;

#ifdef PST_SANITIZE
	skip(); /* freed memory is kept and shadowed */
#endif
	start_worker(f);
	for (i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		struct wire_auth_request m = request_of(users[i], "");

		for (k = 0; k < n; k++)
			password[k] = (char)(masked[k] ^ mask);
		if (i == 0) /* the search can find it */
			assert_true(find_in_memory(masked, n, mask) > 0);
		m.password = (struct pst_str){ password, n };
		send_request(f, &m);
		pst_wipe(password, sizeof(password));
		receive(f);
		assert_refused(f, PST_E_AUTH);
		while (atomic_load(&f->w[0].row.state) != SLOT_READY)
			(void)poll(NULL, 0, 1);
		order(f, 0, ORDER_DRAIN); /* another turn of the loop */
		ask(f, "ok@b.test", "secret");
		if (find_in_memory(masked, n, mask) != 0)
			fail_msg("%s: the password is still there", users[i]);
	}
}

static int
reset_and_set_up(void **state)
{
	burns = 0;
	return set_up(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, reset_and_set_up, tear_down)
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
		T(test_a_backend_that_goes_away_is_logged_once_and_once_when_it_is_back),
		T(test_policies_refuse_before_and_after_with_their_own_words),
		T(test_the_longest_delay_counts),
		T(test_a_policy_that_talks_nonsense_refuses),
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
