/* SPDX-License-Identifier: MIT */
/* The mail worker as the master runs it, in a child; the test is its master, its login and its
 * clients. Every wait ends with what is waited for, or fails after ten seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/channel.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"
#include "mail/worker.h"
#include "plugin/registry.h"

#define WAIT_MS 10000
#define ROWS 8
#define SID "0123456789abcdef"

/* What the child tells of confine. */
struct confined {
	_Atomic uint32_t calls, uid, gid;
	_Atomic bool fails;
	char path[64];
};

struct stage {
	struct settings settings;
	struct conf_texts sections;
	struct worker_env env;
	struct slot_row *rows;
	struct confined *confined;
	struct ticket_desk *desk;
	int inbox[2], queue[2];
	pid_t pids[2];
	int client;
};

static struct confined *confined; /* for confine, which has no argument of ours */

static int
confine(const struct worker_env *env, uid_t uid, gid_t gid, const char *path, struct pst_err *err)
{
	(void)env;
	confined->calls++;
	confined->uid = uid;
	confined->gid = gid;
	snprintf(confined->path, sizeof(confined->path), "%s", path);
	return confined->fails ? pst_err_set(err, PST_E_PERM, "cannot") : 0;
}

static int
setup(void **state)
{
	struct stage *st = pst_new(struct stage);
	struct pst_err err;

	st->settings.server.plugin_dir = TEST_BUILDDIR "/tests/unit/mail/.libs";
	st->settings.mail.location = "memstore:/%{user}";
	st->settings.mail.timeout = 600000;
	st->settings.mail.max_sessions = 4;
	st->settings.mail.max_bad_commands = 10;
	st->settings.mail.first_uid = 500;
	st->settings.mail.first_gid = 100;
	st->rows = shm_create(2 * sizeof(*st->rows));
	st->confined = confined = shm_create(sizeof(*confined));
	assert_int_equal(channel_create(st->inbox, 1 << 18, &err), 0);
	assert_int_equal(channel_create(st->queue, 1 << 18, &err), 0);
	st->env = (struct worker_env){ .kind = WORKER_MAIL,
		                       .settings = &st->settings,
		                       .sections = &st->sections,
		                       .mail_count = 2,
		                       .inbox = st->inbox[0],
		                       .auth_queue = -1,
		                       .keys = -1,
		                       .mail_queue = -1,
		                       .confine = confine };
	st->env.board = pst_new(struct board);
	board_init(st->env.board, shm_create(board_octets(ROWS)), ROWS, 1);
	st->env.tickets = shm_create(sizeof(*st->env.tickets));
	ticket_office_init(st->env.tickets);
	st->env.wake_fd = eventfd(0, EFD_NONBLOCK);
	st->desk = ticket_desk_create(st->env.tickets);
	st->client = -1;
	*state = st;
	return 0;
}

static void PST_NORETURN
leave(int status)
{
#ifdef PST_SANITIZE
	exit(status); /* the leak checker runs at exit */
#else
	_exit(status);
#endif
}

static void PST_NORETURN
be_worker(struct stage *st)
{
	struct pst_err err;
	int status = 9;

	st->env.plugins = registry_create(st->env.self);
	if (mail_worker.load(&st->env, &err) == 0)
		status = mail_worker.run(&st->env);
	else
		fprintf(stderr, "load: %s\n", err.text);
	registry_destroy(st->env.plugins);
	leave(status);
}

static void
start(struct stage *st, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		st->env.self = &st->rows[i];
		st->env.slot = i;
		st->pids[i] = fork();
		assert_true(st->pids[i] >= 0);
		if (st->pids[i] == 0)
			be_worker(st);
	}
}

static void
wait_state(const struct stage *st, unsigned slot, enum slot_state state)
{
	int waited;

	for (waited = 0; st->rows[slot].state != state; waited++) {
		struct pollfd fd = { st->env.wake_fd, POLLIN, 0 };
		uint64_t count;

		assert_true(waited < WAIT_MS / 10);
		if (poll(&fd, 1, 10) == 1)
			assert_int_equal(read(st->env.wake_fd, &count, sizeof(count)),
			                 sizeof(count));
	}
}

static void
wait_sessions(const struct stage *st, uint32_t n)
{
	int waited;

	for (waited = 0; st->rows[0].sessions != n; waited++) {
		assert_true(waited < WAIT_MS);
		poll(NULL, 0, 1);
	}
}

/* The status of the worker that ends. */
static int
reap(struct stage *st, unsigned slot)
{
	int status = 0, waited;

	for (waited = 0; waitpid(st->pids[slot], &status, WNOHANG) == 0; waited++) {
		assert_true(waited < WAIT_MS);
		poll(NULL, 0, 1);
	}
	st->pids[slot] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
teardown(void **state)
{
	struct stage *st = *state;
	unsigned i;

	if (st->client >= 0)
		close(st->client);
	for (i = 0; i < 2; i++) {
		if (st->pids[i] > 0) {
			kill(st->pids[i], SIGKILL);
			waitpid(st->pids[i], NULL, 0);
		}
		close(st->inbox[i]);
		close(st->queue[i]);
	}
	close(st->env.wake_fd);
	ticket_desk_destroy(st->desk);
	shm_destroy(st->rows, 2 * sizeof(*st->rows));
	shm_destroy(st->confined, sizeof(*st->confined));
	shm_destroy(st->env.board->part, board_octets(ROWS));
	free(st->env.board);
	shm_destroy(st->env.tickets, sizeof(*st->env.tickets));
	free(st);
	return 0;
}

static size_t
seal(struct stage *st, const char *location, uint32_t uid, uint32_t gid, uint8_t *out)
{
	const struct ticket t = { .uid = uid,
		                  .gid = gid,
		                  .sid = PST_LIT(SID),
		                  .user = PST_LIT("alice"),
		                  .location = pst_str_c(location),
		                  .mechanism = PST_LIT("USER") };
	size_t n = ticket_seal(st->desk, &t, out);

	assert_true(n > 0);
	return n;
}

/* Hands a new connection over; st->client is the client's end. */
static void
hand_over(struct stage *st, int channel, struct pst_str ticket, const char *sid)
{
	struct wire_handoff h = { .sid = pst_str_c(sid),
		                  .remote_ip = PST_LIT("192.0.2.1"),
		                  .user = PST_LIT("alice"),
		                  .ticket = ticket,
		                  .input = PST_LIT("NOOP\r\n"),
		                  .tls = true };
	uint8_t message[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n;
	int ends[2];

	assert_true(board_take(st->env.board, 0, &h.row));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	n = wire_handoff_encode(&h, 1, 1, message);
	assert_true(n > 0);
	assert_int_equal(channel_send(channel, message, n, ends[0], &err), 0);
	close(ends[0]);
	if (st->client >= 0)
		close(st->client);
	st->client = ends[1];
}

static void
hand_over_good(struct stage *st, int channel, const char *location, uint32_t uid, uint32_t gid)
{
	uint8_t ticket[WIRE_TICKET];
	size_t n = seal(st, location, uid, gid, ticket);

	hand_over(st, channel, (struct pst_str){ (const char *)ticket, n }, SID);
}

static void
order(struct stage *st, enum wire_order what, uint32_t row)
{
	const struct wire_order_msg m = { .order = what, .row = row };
	uint8_t message[MSG_MAX_OCTETS];
	struct pst_err err;
	size_t n = wire_order_encode(&m, message);

	assert_int_equal(channel_send(st->inbox[1], message, n, -1, &err), 0);
}

/* The worker has taken its orders. */
static void
wait_inbox_empty(const struct stage *st)
{
	struct pollfd fd = { st->inbox[0], POLLIN, 0 };
	int waited;

	for (waited = 0; poll(&fd, 1, 0) == 1; waited++) {
		assert_true(waited < WAIT_MS);
		poll(NULL, 0, 1);
	}
}

/* All of text, and nothing before it. An empty text: the end of the connection. */
static void
expect(int client, const char *text)
{
	const size_t want = strlen(text);
	char got[512];
	size_t n = 0;

	assert_true(want < sizeof(got));
	do {
		struct pollfd fd = { client, POLLIN, 0 };
		ssize_t r;

		if (poll(&fd, 1, WAIT_MS) != 1)
			fail_msg("expected %s, got %.*s and nothing more", text, (int)n, got);
		r = recv(client, got + n, want == 0 ? sizeof(got) : want - n, 0);
		assert_true(r >= 0);
		if (r == 0 && want > 0)
			fail_msg("expected %s, got %.*s and the end", text, (int)n, got);
		if (want == 0 && r > 0)
			fail_msg("expected the end, got %.*s", (int)r, got);
		n += (size_t)r;
	} while (n < want);
	if (memcmp(got, text, want) != 0)
		fail_msg("expected %s, got %.*s", text, (int)n, got);
}

static void
say(struct stage *st, const char *line, const char *answer)
{
	assert_int_equal(send(st->client, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	expect(st->client, answer);
}

#define HELLO "+OK 3 messages (30 octets)\r\n+OK\r\n" /* and the NOOP that came along */

static void
test_good_ticket_opens_the_maildrop(void **state)
{
	struct stage *st = *state;

	start(st, 1);
	wait_state(st, 0, SLOT_READY);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	wait_sessions(st, 1);
	assert_int_equal(st->env.board->row[0].state, SESSION_MAIL);
	say(st, "RETR 2\r\n", "+OK 10 octets\r\n\r\n123456\r\n.\r\n");
	say(st, "DELE 2\r\nQUIT\r\n", "+OK message 2 deleted\r\n+OK 1 messages deleted\r\n");
	expect(st->client, "");
	close(st->client);
	st->client = -1;
	wait_sessions(st, 0);
	assert_int_equal(st->env.board->row[0].state, SESSION_FREE);
}

static void
test_bad_tickets_are_refused_and_the_worker_goes_on(void **state)
{
	static const char temp[] = "-ERR [SYS/TEMP] temporary failure, try again later\r\n";
	static const char perm[] = "-ERR [SYS/PERM] not possible, ask the administrator\r\n";
	struct stage *st = *state;
	uint8_t ticket[WIRE_TICKET];
	size_t n = seal(st, "memstore:/3", 0, 0, ticket);
	struct pst_str sealed = { (const char *)ticket, n };

	start(st, 1);
	hand_over(st, st->inbox[1], sealed, "another-session");
	expect(st->client, temp);
	expect(st->client, "");
	hand_over(st, st->inbox[1], sealed, SID);
	expect(st->client, HELLO);
	hand_over(st, st->inbox[1], sealed, SID); /* served before */
	expect(st->client, temp);
	expect(st->client, "");
	ticket[n / 2] ^= 1;
	hand_over(st, st->inbox[1], sealed, SID);
	expect(st->client, temp);
	expect(st->client, "");
	hand_over_good(st, st->inbox[1], "mbox:/3", 0, 0);
	expect(st->client, perm);
	expect(st->client, "");
	hand_over_good(st, st->inbox[1], "nonsense", 0, 0);
	expect(st->client, perm);
	expect(st->client, "");
	hand_over_good(st, st->inbox[1], "memstore:relative", 0, 0); /* the plugin says so */
	expect(st->client, perm);
	expect(st->client, "");
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
}

static void
test_messages_that_make_no_sense_do_no_harm(void **state)
{
	struct stage *st = *state;
	const struct wire_handoff h = { .sid = PST_LIT(SID) };
	uint8_t message[MSG_MAX_OCTETS];
	struct pst_err err;
	int file = memfd_create("no socket", 0);
	int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t n = wire_handoff_encode(&h, 1, 1, message);

	start(st, 1);
	assert_int_equal(channel_send(st->inbox[1], "x", 1, -1, &err), 0);
	assert_int_equal(channel_send(st->inbox[1], "x", 1, file, &err), 0);
	assert_int_equal(channel_send(st->inbox[1], message, n, -1, &err), 0);
	assert_int_equal(channel_send(st->inbox[1], message, n, file, &err), 0);
	assert_int_equal(channel_send(st->inbox[1], message, n, datagram, &err), 0);
	assert_int_equal(channel_send(st->inbox[1], message, n - 1, st->inbox[1], &err), 0);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	close(file);
	close(datagram);
}

static void
test_more_sessions_than_allowed_are_refused(void **state)
{
	struct stage *st = *state;
	int first, second;

	start(st, 1);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	first = st->client;
	st->client = -1;
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	second = st->client;
	st->client = -1;
	/* 4 in all, 2 workers: this one's share is taken */
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, "-ERR [SYS/TEMP] temporary failure, try again later\r\n");
	expect(st->client, "");
	close(st->client);
	st->client = -1;
	close(first);
	wait_sessions(st, 1);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	close(second);
}

static void
test_drain_waits_for_sessions_and_serves_what_was_on_its_way(void **state)
{
	struct stage *st = *state;
	int first;

	start(st, 1);
	wait_state(st, 0, SLOT_READY);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	first = st->client;
	st->client = -1;
	order(st, ORDER_DRAIN, 0);
	wait_state(st, 0, SLOT_DRAINING);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	close(first);
	wait_sessions(st, 1);
	say(st, "QUIT\r\n", "+OK 0 messages deleted\r\n");
	close(st->client);
	st->client = -1;
	assert_int_equal(reap(st, 0), 0);
}

static void
test_drain_without_sessions_ends_at_once(void **state)
{
	struct stage *st = *state;

	start(st, 1);
	order(st, ORDER_DRAIN, 0);
	assert_int_equal(reap(st, 0), 0);
}

static void
test_stop_tells_the_clients_and_ends(void **state)
{
	struct stage *st = *state;

	start(st, 1);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	order(st, ORDER_STOP, 0);
	expect(st->client, "-ERR [SYS/TEMP] server is going down\r\n");
	expect(st->client, "");
	assert_int_equal(reap(st, 0), 0); /* though the client has not closed */
}

static void
test_session_is_ended_by_its_row(void **state)
{
	struct stage *st = *state;

	start(st, 1);
	hand_over_good(st, st->inbox[1], "memstore:/3", 0, 0);
	expect(st->client, HELLO);
	order(st, ORDER_END_SESSION, 5);
	say(st, "NOOP\r\n", "+OK\r\n");
	order(st, ORDER_END_SESSION, 0);
	expect(st->client, "-ERR [SYS/TEMP] session ended by the administrator\r\n");
	expect(st->client, "");
}

static void
test_worker_ends_when_its_master_is_gone(void **state)
{
	struct stage *st = *state;

	/* The child keeps no copy of the other end: as after the master's spawning. */
	st->env.self = &st->rows[0];
	st->pids[0] = fork();
	if (st->pids[0] == 0) {
		close(st->inbox[1]);
		be_worker(st);
	}
	wait_state(st, 0, SLOT_READY);
	close(st->inbox[1]);
	st->inbox[1] = dup(st->inbox[0]);
	assert_int_equal(reap(st, 0), 1);
}

/* ---- run_as = "user" ---- */

static void
start_as_user(struct stage *st, unsigned n)
{
	unsigned i;

	st->settings.mail.run_as = RUN_AS_USER;
	st->env.mail_queue = st->queue[0];
	start(st, n);
	for (i = 0; i < n; i++)
		wait_state(st, i, SLOT_READY);
}

static void
test_one_process_serves_one_session_as_its_user(void **state)
{
	struct stage *st = *state;
	unsigned busy;
	int first;

	start_as_user(st, 2);
	hand_over_good(st, st->queue[1], "memstore:/3", 1000, 1001);
	expect(st->client, HELLO);
	busy = st->rows[0].state == SLOT_BUSY ? 0 : 1;
	assert_int_equal(st->rows[busy].state, SLOT_BUSY);
	assert_int_equal(st->rows[!busy].state, SLOT_READY);
	assert_int_equal(confined->calls, 1);
	assert_int_equal(confined->uid, 1000);
	assert_int_equal(confined->gid, 1001);
	assert_string_equal(confined->path, "/3");
	say(st, "QUIT\r\n", "+OK 0 messages deleted\r\n");
	close(st->client);
	st->client = -1;
	assert_int_equal(reap(st, busy), 0);
	hand_over_good(st, st->queue[1], "memstore:/3", 1000, 1001);
	expect(st->client, HELLO);
	assert_int_equal(st->rows[!busy].state, SLOT_BUSY);
	first = st->client;
	st->client = -1;
	/* it is this user now, and nobody else's */
	hand_over_good(st, st->inbox[1], "memstore:/3", 1000, 1001);
	expect(st->client, "-ERR [SYS/TEMP] temporary failure, try again later\r\n");
	expect(st->client, "");
	close(st->client);
	st->client = first;
	order(st, ORDER_STOP, 0);
	expect(st->client, "-ERR [SYS/TEMP] server is going down\r\n");
	assert_int_equal(reap(st, !busy), 0);
}

static void
test_users_who_may_not_be_are_refused(void **state)
{
	static const struct {
		uint32_t uid, gid;
	} ids[] = { { 0, 1000 }, { 1000, 0 }, { 499, 1000 }, { 1000, 99 } };
	struct stage *st = *state;
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		/* root is refused whatever the settings say */
		st->settings.mail.first_uid = ids[i].uid == 0 ? 0 : 500;
		st->settings.mail.first_gid = ids[i].gid == 0 ? 0 : 100;
		start_as_user(st, 1);
		hand_over_good(st, st->queue[1], "memstore:/3", ids[i].uid, ids[i].gid);
		expect(st->client, "-ERR [SYS/PERM] not possible, ask the administrator\r\n");
		expect(st->client, "");
		assert_int_equal(reap(st, 0), 0);
		assert_int_equal(confined->calls, 0);
		assert_int_equal(st->env.board->row[0].state, SESSION_FREE);
		st->rows[0].state = SLOT_EMPTY;
	}
}

static void
test_process_that_cannot_give_up_root_serves_nobody(void **state)
{
	struct stage *st = *state;

	confined->fails = true;
	start_as_user(st, 1);
	hand_over_good(st, st->queue[1], "memstore:/3", 1000, 1001);
	expect(st->client, "-ERR [SYS/PERM] not possible, ask the administrator\r\n");
	expect(st->client, "");
	assert_int_equal(reap(st, 0), 0);
}

static void
test_bad_ticket_is_refused_before_anything_else(void **state)
{
	struct stage *st = *state;

	start_as_user(st, 1);
	hand_over(st, st->queue[1], PST_LIT("no ticket at all, but long enough for one"), SID);
	expect(st->client, "-ERR [SYS/TEMP] temporary failure, try again later\r\n");
	expect(st->client, "");
	assert_int_equal(reap(st, 0), 0);
	assert_int_equal(confined->calls, 0);
}

static void
test_spare_process_ends_when_it_is_told(void **state)
{
	static const enum wire_order orders[] = { ORDER_DRAIN, ORDER_STOP };
	struct stage *st = *state;
	int i;

	for (i = 0; i < 2; i++) {
		start_as_user(st, 1);
		order(st, orders[i], 0);
		assert_int_equal(reap(st, 0), 0);
		st->rows[0].state = SLOT_EMPTY;
	}
}

static void
test_spare_process_has_no_session_that_could_be_ended(void **state)
{
	struct stage *st = *state;

	start_as_user(st, 1);
	order(st, ORDER_END_SESSION, 0);
	wait_inbox_empty(st);
	hand_over_good(st, st->queue[1], "memstore:/3", 1000, 1001);
	expect(st->client, HELLO);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good_ticket_opens_the_maildrop),
		T(test_bad_tickets_are_refused_and_the_worker_goes_on),
		T(test_messages_that_make_no_sense_do_no_harm),
		T(test_more_sessions_than_allowed_are_refused),
		T(test_drain_waits_for_sessions_and_serves_what_was_on_its_way),
		T(test_drain_without_sessions_ends_at_once),
		T(test_stop_tells_the_clients_and_ends),
		T(test_session_is_ended_by_its_row),
		T(test_worker_ends_when_its_master_is_gone),
		T(test_one_process_serves_one_session_as_its_user),
		T(test_users_who_may_not_be_are_refused),
		T(test_process_that_cannot_give_up_root_serves_nobody),
		T(test_bad_ticket_is_refused_before_anything_else),
		T(test_spare_process_ends_when_it_is_told),
		T(test_spare_process_has_no_session_that_could_be_ended),
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
