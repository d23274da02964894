/* SPDX-License-Identifier: MIT */
/* A login worker under test; see rig.h. */
#include "tests/unit/login/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "keys/worker.h"
#include "login/worker.h"
#include "plugin/registry.h"
#include "tests/unit/tls/certs.h"

#define PATIENCE_MS 10000
#define SLOTS (1 + RIG_MAILS + 1)

static void
fill_settings(struct rig *r)
{
	struct settings *s = &r->settings;

	s->log.level = PST_LOG_DEBUG;
	s->login = (struct login_settings){
		.max_connections = RIG_ROWS,
		.timeout = 60000,
		.handshake_timeout = 30000,
		.max_bad_commands = 10,
		.max_auth_failures = 3,
		.greeting = "ready",
	};
	s->tls = (struct tls_settings){
		.directory = r->dir,
		.default_name = "default.test",
		.cache = 100,
		.check_interval = 5000,
		.priority = "NORMAL:%SERVER_PRECEDENCE",
		.ticket_lifetime = 3600000,
	};
	s->auth.timeout = 30000;
	s->auth.mechanisms = "USER PLAIN LOGIN";
	s->auth.anonymous = "";
	s->auth.default_domain = "";
	s->mail.timeout = 600000;
	s->policy_order = "";
	s->listener_count = RIG_LISTENERS;
	s->listeners[RIG_PLAIN] = (struct listener_settings){ .name = "pop3",
		                                              .tls = TLS_STLS,
		                                              .plaintext_login = true };
	s->listeners[RIG_TLS] = (struct listener_settings){ .name = "pop3s", .tls = TLS_IMPLICIT };
	s->listeners[RIG_STRICT] = (struct listener_settings){ .name = "strict", .tls = TLS_STLS };
}

static void
listen_somewhere(struct rig *r, unsigned idx)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sin);
	const int room = 65536; /* accepted sockets have it too: they are soon full */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
	r->ports[idx] = ntohs(sin.sin_port);
	r->listeners[idx] = (struct env_listener){ .fd = fd, .listener = idx };
}

static void
make_channels(struct rig *r)
{
	struct pst_err err;
	unsigned i;

	assert_int_equal(channel_create(r->auth_queue, 262144, &err), 0);
	assert_int_equal(channel_create(r->inbox, 262144, &err), 0);
	assert_int_equal(channel_create(r->keys, 262144, &err), 0);
	for (i = 0; i < RIG_MAILS; i++) {
		assert_int_equal(channel_create(r->mail[i], 262144, &err), 0);
		r->mail_writers[i] = r->mail[i][1];
	}
	assert_int_equal(channel_create(r->mail_queue, 262144, &err), 0);
}

struct rig *
rig_create(void)
{
	struct rig *r = pst_new(struct rig);
	unsigned i;

	r->dir = certs_folder();
	certs_make(r->dir, "default.test", "", "default.test", CERT_EC, 30);
	fill_settings(r);
	r->slots = shm_create(SLOTS * sizeof(struct slot_row));
	r->board = pst_new(struct board);
	board_init(r->board, shm_create(board_octets(RIG_ROWS)), RIG_ROWS, 1);
	r->tls = shm_create(sizeof(struct tls_share));
	tls_share_renew(r->tls);
	make_channels(r);
	for (i = 0; i < RIG_LISTENERS; i++)
		listen_somewhere(r, i);
	for (i = 0; i < RIG_MAILS; i++)
		atomic_store(&r->slots[1 + i].state, SLOT_READY);
	r->env = (struct worker_env){
		.kind = WORKER_LOGIN,
		.slot = 0,
		.incarnation = 7,
		.settings = &r->settings,
		.self = &r->slots[0],
		.mail_slots = &r->slots[1],
		.board = r->board,
		.tls = r->tls,
		.login_count = 1,
		.auth_count = 1,
		.mail_count = RIG_MAILS,
		.inbox = r->inbox[0],
		.auth_queue = r->auth_queue[1],
		.keys = r->keys[1],
		.mail_queue = -1,
		.mail_inboxes = r->mail_writers,
		.listeners = r->listeners,
		.listener_count = RIG_LISTENERS,
		.wake_fd = -1,
	};
	return r;
}

static void
limit_descriptors(unsigned most)
{
	const struct rlimit limit = { .rlim_cur = most, .rlim_max = most };

	if (most > 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(97);
}

static void
be_worker(const struct worker_code *code, struct worker_env *env, const char *name, const char *dir)
{
	struct conf_texts none;
	struct pst_err err;
	char path[4096];
	int status = 99;

	(void)snprintf(path, sizeof(path), "%s/log", dir);
	if (pst_log_open(path, &err) != 0)
		_exit(98);
	pst_log_set_level(PST_LOG_DEBUG);
	pst_log_set_worker(name);
	conf_texts_init(&none, NULL);
	env->sections = &none;
	env->plugins = registry_create(NULL);
	if (code->load(env, &err) == 0)
		status = code->run(env);
	registry_destroy(env->plugins);
	exit(status); /* not _exit: a leak checker reports here */
}

static void
wait_ready(const struct slot_row *row)
{
	const int64_t until = pst_now_ms() + PATIENCE_MS;

	while (atomic_load(&row->state) != SLOT_READY) {
		assert_true(pst_now_ms() < until);
		(void)poll(NULL, 0, 1);
	}
}

void
rig_start_keys(struct rig *r)
{
	struct worker_env env = r->env;

	env.kind = WORKER_KEYS;
	env.keys = r->keys[0];
	env.self = &r->slots[1 + RIG_MAILS];
	atomic_store(&env.self->state, SLOT_STARTING);
	r->keys_pid = fork();
	assert_true(r->keys_pid >= 0);
	if (r->keys_pid == 0)
		be_worker(&keys_worker, &env, "keys", r->dir);
	wait_ready(env.self);
}

void
rig_kill_keys(struct rig *r)
{
	assert_int_equal(kill(r->keys_pid, SIGKILL), 0);
	assert_int_equal(waitpid(r->keys_pid, NULL, 0), r->keys_pid);
	r->keys_pid = 0;
}

void
rig_start(struct rig *r)
{
	rig_start_keys(r);
	r->login_pid = fork();
	assert_true(r->login_pid >= 0);
	if (r->login_pid == 0) {
		limit_descriptors(r->descriptors);
		be_worker(&login_worker, &r->env, "login", r->dir);
	}
	wait_ready(&r->slots[0]);
}

int
rig_set_up(void **state)
{
	*state = rig_create();
	return 0;
}

int
rig_tear_down(void **state)
{
	rig_destroy(*state);
	return 0;
}

void
rig_order(struct rig *r, enum wire_order order, uint32_t row)
{
	const struct wire_order_msg m = { .order = order, .row = row };
	struct pst_err err;
	size_t n = wire_order_encode(&m, r->out);

	assert_int_equal(channel_send(r->inbox[1], r->out, n, -1, &err), 0);
}

int
rig_wait_for_end(struct rig *r)
{
	const int64_t until = pst_now_ms() + PATIENCE_MS;
	int status = -1;
	pid_t pid;

	while ((pid = waitpid(r->login_pid, &status, WNOHANG)) == 0) {
		if (pst_now_ms() >= until)
			return -1;
		(void)poll(NULL, 0, 2);
	}
	assert_int_equal(pid, r->login_pid);
	r->login_pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void
rig_destroy(struct rig *r)
{
	int status = 0;
	unsigned i;

	if (r->login_pid > 0) {
		rig_order(r, ORDER_STOP, 0);
		status = rig_wait_for_end(r);
		if (r->login_pid >
		    0) /* 0 once it has ended: kill(0) would end the tests' own group */
			(void)kill(r->login_pid, SIGKILL);
	}
	if (r->keys_pid > 0) {
		int keys_status = 0;

		(void)kill(r->keys_pid, SIGTERM);
		(void)waitpid(r->keys_pid, &keys_status, 0);
		assert_true(WIFEXITED(keys_status) && WEXITSTATUS(keys_status) == 0);
	}
	for (i = 0; i < 2; i++) {
		unsigned k;

		close(r->auth_queue[i]);
		close(r->inbox[i]);
		close(r->keys[i]);
		close(r->mail_queue[i]);
		for (k = 0; k < RIG_MAILS; k++)
			close(r->mail[k][i]);
	}
	for (i = 0; i < RIG_LISTENERS; i++)
		close(r->listeners[i].fd);
	shm_destroy(r->slots, SLOTS * sizeof(struct slot_row));
	shm_destroy(r->board->part, board_octets(RIG_ROWS));
	free(r->board);
	shm_destroy(r->tls, sizeof(struct tls_share));
	certs_remove(r->dir);
	free(r);
	assert_int_equal(status, 0);
}

unsigned
rig_logged(const struct rig *r, const char *word)
{
	static char text[1 << 20];
	char path[4096];
	unsigned count = 0;
	const char *p;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/log", r->dir);
	f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	for (p = text; (p = strstr(p, word)) != NULL; p++)
		count++;
	return count;
}

void
rig_wait_logged(const struct rig *r, const char *word)
{
	const int64_t until = pst_now_ms() + PATIENCE_MS;

	while (rig_logged(r, word) == 0) {
		if (pst_now_ms() >= until)
			fail_msg("nothing was logged about %s", word);
		(void)poll(NULL, 0, 2);
	}
}

void
rig_wait_sessions(struct rig *r, uint32_t count)
{
	const int64_t until = pst_now_ms() + PATIENCE_MS;

	while (atomic_load(&r->slots[0].sessions) != count) {
		if (pst_now_ms() >= until)
			fail_msg("%u sessions instead of %u", atomic_load(&r->slots[0].sessions),
			         count);
		(void)poll(NULL, 0, 2);
	}
}

/* ---- As auth worker ---- */

bool
rig_request_waits(struct rig *r, int wait_ms)
{
	struct pollfd p = { .fd = r->auth_queue[0], .events = POLLIN };

	return poll(&p, 1, wait_ms) == 1;
}

struct wire_auth_request
rig_request(struct rig *r, struct msg_head *head)
{
	struct wire_auth_request m;
	struct pst_err err;
	ssize_t n;

	assert_true(rig_request_waits(r, PATIENCE_MS));
	n = channel_recv(r->auth_queue[0], r->in, sizeof(r->in), NULL, &err);
	assert_true(n > 0);
	assert_int_equal(wire_auth_request_decode((struct pst_str){ (char *)r->in, (size_t)n },
	                                          head, &m, &err),
	                 0);
	return m;
}

void
rig_answer(struct rig *r, const struct msg_head *head, const struct wire_auth_reply *reply)
{
	struct pst_err err;
	size_t n = wire_auth_reply_encode(reply, head->incarnation, head->request, r->out);

	assert_true(n > 0);
	assert_int_equal(channel_send(r->inbox[1], r->out, n, -1, &err), 0);
}

void
rig_answer_ok(struct rig *r, const struct msg_head *head, const char *user)
{
	rig_answer(r, head,
	           &(struct wire_auth_reply){
			   .ok = true, .user = pst_str_c(user), .ticket = PST_LIT("sealed") });
}

void
rig_refuse(struct rig *r, const struct msg_head *head, enum pst_err_kind kind, uint32_t delay_ms)
{
	rig_answer(r, head,
	           &(struct wire_auth_reply){ .kind = (uint8_t)kind, .delay_ms = delay_ms });
}

/* ---- As mail worker ---- */

unsigned
rig_handoff_slot(struct rig *r)
{
	struct pollfd p[RIG_MAILS];
	unsigned i;

	for (i = 0; i < RIG_MAILS; i++)
		p[i] = (struct pollfd){ .fd = r->mail[i][0], .events = POLLIN };
	assert_true(poll(p, RIG_MAILS, PATIENCE_MS) > 0);
	for (i = 0; i < RIG_MAILS; i++)
		if (p[i].revents != 0)
			break;
	return i;
}

struct wire_handoff
rig_handoff(struct rig *r, unsigned slot, int *fd)
{
	return rig_handoff_from(r, r->mail[slot][0], fd);
}

struct wire_handoff
rig_handoff_from(struct rig *r, int channel, int *fd)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	struct wire_handoff m;
	struct msg_head head;
	struct pst_err err;
	int flags;
	ssize_t n;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	n = channel_recv(channel, r->in, sizeof(r->in), fd, &err);
	assert_true(n > 0);
	assert_true(*fd >= 0);
	assert_int_equal(
		wire_handoff_decode((struct pst_str){ (char *)r->in, (size_t)n }, &head, &m, &err),
		0);
	assert_int_equal(head.incarnation, r->env.incarnation);
	flags = fcntl(*fd, F_GETFL);
	assert_true((flags & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(*fd, F_SETFL, flags & ~O_NONBLOCK), 0);
	return m;
}

/* ---- As client ---- */

struct rig_client
rig_connect(struct rig *r, unsigned listener)
{
	return rig_connect_from(r, listener, "127.0.0.1");
}

struct rig_client
rig_connect_from(struct rig *r, unsigned listener, const char *ip)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in sin = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		                   .sin_port = htons(r->ports[listener]) };
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	struct rig_client c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };

	assert_true(c.fd >= 0);
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
	assert_int_equal(bind(c.fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return c;
}

int
rig_shake_hands(struct rig_client *c, const char *name, const gnutls_datum_t *resume)
{
	int rc;

	assert_int_equal(gnutls_init(&c->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&c->credentials), 0);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->credentials);
	gnutls_set_default_priority(c->tls);
	if (name != NULL)
		gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, name, strlen(name));
	if (resume != NULL)
		gnutls_session_set_data(c->tls, resume->data, resume->size);
	gnutls_transport_set_int(c->tls, c->fd);
	do {
		rc = gnutls_handshake(c->tls);
	} while (rc < 0 && !gnutls_error_is_fatal(rc) && rc != GNUTLS_E_AGAIN);
	return rc;
}

struct rig_client
rig_connect_tls(struct rig *r)
{
	struct rig_client c = rig_connect(r, RIG_TLS);

	assert_int_equal(rig_shake_hands(&c, "default.test", NULL), 0);
	return c;
}

void
rig_close(struct rig_client *c)
{
	if (c->tls != NULL) {
		gnutls_deinit(c->tls);
		gnutls_certificate_free_credentials(c->credentials);
	}
	if (c->gathered != NULL)
		pst_buf_clear(c->gathered);
	free(c->gathered);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct rig_client){ .fd = -1 };
}

static ssize_t
gather(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct pst_err err;

	assert_int_equal(pst_buf_add(ptr, (struct pst_str){ data, n }, &err), 0);
	return (ssize_t)n;
}

void
rig_gather(struct rig_client *c)
{
	c->gathered = pst_new(struct pst_buf);
	pst_buf_init(c->gathered, 1 << 20);
	gnutls_transport_set_ptr2(c->tls, (gnutls_transport_ptr_t)(intptr_t)c->fd, c->gathered);
	gnutls_transport_set_push_function(c->tls, gather);
}

void
rig_send_gathered(struct rig_client *c)
{
	struct rig_client plain = { .fd = c->fd };

	rig_say_octets(&plain, c->gathered->data, c->gathered->len);
	pst_buf_clear(c->gathered);
}

void
rig_say_octets(struct rig_client *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t rc = c->tls != NULL ? gnutls_record_send(c->tls, p, n)
		                            : send(c->fd, p, n, MSG_NOSIGNAL);

		assert_true(rc > 0);
		p += rc;
		n -= (size_t)rc;
	}
}

void
rig_say(struct rig_client *c, const char *text)
{
	rig_say_octets(c, text, strlen(text));
}

size_t
rig_read(struct rig_client *c, char *out, size_t cap)
{
	const int64_t until = pst_now_ms() + PATIENCE_MS;
	ssize_t rc;

	do { /* GnuTLS says AGAIN of a ticket, too */
		rc = c->tls != NULL ? gnutls_record_recv(c->tls, out, cap)
		                    : recv(c->fd, out, cap, 0);
	} while (c->tls != NULL && (rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_AGAIN) &&
	         pst_now_ms() < until);
	if (rc < 0)
		fail_msg("read: %s", c->tls != NULL ? gnutls_strerror((int)rc) : strerror(errno));
	return (size_t)rc;
}

void
rig_hear(struct rig_client *c, const char *text)
{
	size_t n = strlen(text);
	char *got = pst_alloc(n + 1);
	size_t have = 0;

	while (have < n) {
		size_t rc = rig_read(c, got + have, n - have);

		if (rc == 0)
			fail_msg("the end instead of %s", text + have);
		have += rc;
	}
	assert_string_equal(got, text);
	free(got);
}

void
rig_hear_end(struct rig_client *c)
{
	char octet;

	assert_int_equal(rig_read(c, &octet, 1), 0);
}

void
rig_hear_fd(int fd, const char *text)
{
	struct rig_client c = { .fd = fd };

	rig_hear(&c, text);
}

void
rig_say_fd(int fd, const char *text)
{
	struct rig_client c = { .fd = fd };

	rig_say(&c, text);
}

int
rig_wait_child(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
rig_log_in(struct rig *r, struct rig_client *c, unsigned *slot_out)
{
	struct msg_head head;
	unsigned slot;
	int fd;

	rig_hear(c, GREETING);
	rig_say(c, "USER alice\r\n");
	rig_hear(c, PROMPT);
	rig_say(c, "PASS secret\r\n");
	(void)rig_request(r, &head);
	rig_answer_ok(r, &head, "alice@example.test");
	slot = rig_handoff_slot(r);
	board_free(r->board, rig_handoff(r, slot, &fd).row); /* mail's, at the session's end */
	if (slot_out != NULL)
		*slot_out = slot;
	return fd;
}

void
rig_pattern(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)((i * 31 + i / 251) & 0xff);
}
