/* SPDX-License-Identifier: MIT */
#include "tests/unit/mail/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "credentials/mechanism.h"
#include "ipc/shm.h"

/* A mask that a callback has changed reaches the kernel in the next round of the loop, so a wait is
 * short and repeated. */
#define WAIT_MS 10
#define PATIENCE 2000 /* waits in which nothing happened; then the test has failed */
#define ROWS 8

static void
on_emptied(void *arg)
{
	struct harness *h = arg;

	h->emptied++;
}

void
harness_init(struct harness *h)
{
	const struct mail_limits limits = { .idle_ms = HARNESS_IDLE_MS,
		                            .linger_ms = 3000,
		                            .max_bad_commands = HARNESS_BAD,
		                            .has_last = true,
		                            .takeover_ms = 60000 };

	*h = (struct harness){ .client = -1 };
	assert_int_equal(uv_loop_init(&h->loop), 0);
	mail_init(&h->mail, &h->loop, &limits);
	h->mail.emptied = on_emptied;
	h->mail.arg = h;
	h->board = pst_new(struct board);
	board_init(h->board, pst_alloc(board_octets(ROWS)), ROWS, 1);
	h->mail.board = h->board;
	pst_buf_init(&h->got, SIZE_MAX / 2);
	fake_init(&h->fake);
	fake_add(&h->fake, PST_LIT("Subject: one\n\nbody\n.dot\n"));
	fake_add(&h->fake, PST_LIT("Subject: two\r\n\r\nbody\r\n"));
	fake_add(&h->fake, PST_LIT("Subject: three\n\nno end"));
}

void
harness_clear(struct harness *h)
{
	uint32_t row;

	if (h->client >= 0)
		harness_hang_up(h);
	harness_until_empty(h);
	assert_int_equal(h->fake.opens, h->fake.closes);
	assert_int_equal(h->fake.bodies_open, 0);
	for (row = 0; row < ROWS; row++)
		assert_int_equal(h->board->row[row].state, SESSION_FREE);
	assert_int_equal(h->mail.drop_count, 0);
	mail_clear(&h->mail);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	free(h->board->part);
	free(h->board);
	pst_buf_clear(&h->got);
	fake_clear(&h->fake);
}

void
harness_pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

void
harness_tcp_pair(int ends[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ends[1], (struct sockaddr *)&a, n), 0);
	ends[0] = accept(listener, NULL, NULL);
	assert_true(ends[0] >= 0);
	close(listener);
}

void
harness_start_on(struct harness *h, const int ends[2], struct pst_str input)
{
	struct mail_start how = { .fd = ends[0],
		                  .sid = PST_LIT("0123456789abcdef"),
		                  .user = PST_LIT("alice@example.org"),
		                  .peer = PST_LIT("192.0.2.1"),
		                  .input = input,
		                  .ticket = h->ticket,
		                  .read_only = h->read_only,
		                  .offered = MECH_BIT(MECH_USER) | MECH_BIT(MECH_PLAIN) |
		                             MECH_BIT(MECH_LOGIN),
		                  .storage = &fake_storage,
		                  .storage_self = &h->fake,
		                  .location = PST_LIT("fake:/fake"),
		                  .path = "/fake" };

	assert_true(board_take(h->board, 0, &how.row));
	h->client = ends[1];
	h->is_eof = false;
	pst_buf_reset(&h->got);
	assert_int_equal(fcntl(h->client, F_SETFL, O_NONBLOCK), 0);
	mail_session_start(&h->mail, &how);
}

void
harness_start(struct harness *h)
{
	int ends[2];

	harness_pair(ends);
	harness_start_on(h, ends, (struct pst_str){ "", 0 });
}

void
harness_run(struct harness *h)
{
	(void)uv_run(&h->loop, UV_RUN_NOWAIT);
}

static bool
take(struct harness *h)
{
	char piece[65536];
	struct pst_err err;
	ssize_t n;

	if (h->client < 0 || h->is_eof)
		return false;
	n = recv(h->client, piece, sizeof(piece), MSG_DONTWAIT);
	if (n > 0)
		assert_int_equal(pst_buf_add(&h->got, (struct pst_str){ piece, (size_t)n }, &err),
		                 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		h->is_eof = true;
	return n >= 0 || h->is_eof;
}

bool
harness_round(struct harness *h, bool wait)
{
	struct pollfd fds[2] = { { uv_backend_fd(&h->loop), POLLIN, 0 },
		                 { h->is_eof ? -1 : h->client, POLLIN, 0 } };

	harness_run(h);
	if (take(h)) {
		h->waits = 0;
		return true;
	}
	if (wait && poll(fds, 2, WAIT_MS) == 0 && ++h->waits > PATIENCE)
		fail_msg("nothing happened; so far: %.*s", (int)h->got.len, h->got.data);
	return false;
}

void
harness_send(struct harness *h, struct pst_str text, size_t step)
{
	while (text.n > 0) {
		size_t len = text.n < step ? text.n : step;
		ssize_t n = send(h->client, text.p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		if (n > 0)
			text = (struct pst_str){ text.p + n, text.n - (size_t)n };
		harness_round(h, n < 0);
	}
}

void
harness_push(struct harness *h, const char *text)
{
	assert_int_equal(send(h->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void
harness_expect_octets(struct harness *h, size_t n)
{
	while (h->got.len < n) {
		if (h->is_eof)
			fail_msg("closed after %zu of %zu octets: %.*s", h->got.len, n,
			         (int)h->got.len, h->got.data);
		harness_round(h, true);
	}
}

void
harness_expect(struct harness *h, const char *text)
{
	size_t n = strlen(text);

	harness_expect_octets(h, n);
	if (memcmp(h->got.data, text, n) != 0)
		fail_msg("expected %s, got %.*s", text, (int)h->got.len, h->got.data);
	pst_buf_take(&h->got, n);
}

void
harness_skip_line(struct harness *h)
{
	const char *lf;

	while (h->got.len == 0 || (lf = memchr(h->got.data, '\n', h->got.len)) == NULL)
		harness_expect_octets(h, h->got.len + 1);
	pst_buf_take(&h->got, (size_t)(lf - h->got.data) + 1);
}

void
harness_until_eof(struct harness *h)
{
	while (!h->is_eof)
		harness_round(h, true);
}

void
harness_expect_eof(struct harness *h)
{
	harness_until_eof(h);
	if (h->got.len > 0)
		fail_msg("before the end came %.*s", (int)h->got.len, h->got.data);
}

void
harness_say(struct harness *h, const char *line, const char *answer)
{
	harness_send(h, pst_str_c(line), SIZE_MAX);
	harness_send(h, PST_LIT("\r\n"), SIZE_MAX);
	harness_expect(h, answer);
}

void
harness_until_empty(struct harness *h)
{
	struct pollfd fd = { uv_backend_fd(&h->loop), POLLIN, 0 };
	unsigned waits = 0;

	while (h->mail.session_count > 0 || uv_loop_alive(&h->loop)) {
		harness_run(h);
		if (h->mail.session_count > 0 && poll(&fd, 1, WAIT_MS) == 0 && ++waits > PATIENCE)
			fail_msg("a session does not end");
	}
}

void
harness_hang_up(struct harness *h)
{
	close(h->client);
	h->client = -1;
	harness_until_empty(h);
}
