/* SPDX-License-Identifier: MIT */
/* See fake.h. */
#include "fake.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ctl/ask.h"
#include "ipc/channel.h"
#include "ipc/wire.h"
#include "master/master.h"

static struct fake *fake; /* in the master and its workers */

static uint32_t
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the folder's own */
}

static uint32_t
count_regions(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	uint32_t n = 0;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		n += strstr(line, "/dev/zero (deleted)") != NULL;
	if (maps != NULL)
		(void)fclose(maps);
	return n - 1;
}

static uint32_t
expected_fds(const struct worker_env *env)
{
	uint32_t n = 3 + 1; /* standard ones, wake_fd; the log is standard error */

	n += (env->inbox >= 0) + (env->auth_queue >= 0) + (env->keys >= 0) + (env->mail_queue >= 0);
	n += (env->hash_queue >= 0) + (env->auth_notes >= 0) + (env->mail_notes >= 0);
	n += (uint32_t)env->listener_count;
	n += env->login_inboxes != NULL ? env->login_count : 0;
	n += env->mail_inboxes != NULL ? env->mail_count : 0;
	n += env->auth_inboxes != NULL ? env->auth_count : 0;
	return n;
}

static size_t
place_of(const struct worker_env *env)
{
	return env->kind == WORKER_AUTH ? FAKE_AUTH(env->role) : env->kind;
}

static int
fake_load(const struct worker_env *env, struct pst_err *err)
{
	(void)err;
	atomic_store(&fake->fds[place_of(env)], count_fds());
	atomic_store(&fake->regions[place_of(env)], count_regions());
	atomic_store(&fake->expected_fds[place_of(env)], expected_fds(env));
	return 0;
}

static void
tell(const struct worker_env *env, enum slot_state state)
{
	const uint64_t one = 1;

	atomic_store(&env->self->state, state);
	(void)!write(env->wake_fd, &one, sizeof(one));
}

static bool
take_act(enum worker_kind kind, uint32_t act)
{
	return atomic_compare_exchange_strong(&fake->act[kind], &act, ACT_NONE);
}

static void
claim_request(const struct worker_env *env)
{
	atomic_store(&env->self->asker_slot, 0);
	atomic_store(&env->self->asker_incarnation, 1);
	atomic_store(&env->self->asker_request, 4711);
	atomic_store(&env->self->busy_since_ms, pst_now_ms());
	tell(env, SLOT_BUSY);
}

/* -1: go on; else the exit status. */
static int
do_act(const struct worker_env *env)
{
	if (take_act(env->kind, ACT_CRASH)) {
		(void)signal(SIGILL, SIG_DFL);
		__builtin_trap();
	}
	if (take_act(env->kind, ACT_EXIT))
		return 0;
	if (atomic_load(&env->self->state) == SLOT_READY && env->role == AUTH_QUERY &&
	    take_act(env->kind, ACT_BUSY)) {
		if (env->kind == WORKER_AUTH)
			claim_request(env);
		else
			tell(env, SLOT_BUSY);
	}
	return -1;
}

static void
note_reply(struct pst_str data)
{
	struct wire_auth_reply reply;
	struct msg_head head;
	struct pst_err err;

	if (wire_auth_reply_decode(data, &head, &reply, &err) == 0 && !reply.ok &&
	    reply.kind == PST_E_TEMP) {
		atomic_store(&fake->temp_request, head.request);
		atomic_fetch_add(&fake->temp_replies, 1);
	}
}

static enum wire_order
take_order(const struct worker_env *env)
{
	static uint8_t in[MSG_MAX_OCTETS];
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;
	ssize_t n = env->inbox < 0 ? 0 : channel_recv(env->inbox, in, sizeof(in), NULL, &err);
	struct pst_str data = { (const char *)in, n > 0 ? (size_t)n : 0 };

	if (n <= 0)
		return 0;
	if (wire_type(data) == MSG_AUTH_REPLY)
		note_reply(data);
	if (wire_type(data) != MSG_ORDER || wire_order_decode(data, &head, &order, &err) != 0)
		return 0;
	atomic_fetch_add(&fake->orders[order.order], 1);
	atomic_store(&fake->order_row, order.row);
	return order.order;
}

static void
accept_all(const struct worker_env *env)
{
	size_t i;

	for (i = 0; i < env->listener_count; i++) {
		int fd = accept4(env->listeners[i].fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		atomic_fetch_add(&fake->accepted, 1);
		(void)send(fd, "+OK\r\n", 5, MSG_NOSIGNAL);
		close(fd);
	}
}

static int
fake_run(const struct worker_env *env)
{
	bool draining = false;

	atomic_fetch_add(&fake->starts[env->kind], 1);
	if (atomic_load(&fake->fail_starts[env->kind]) > 0) {
		atomic_fetch_sub(&fake->fail_starts[env->kind], 1);
		slot_failure(env->self, PST_LIT("the test wants it so"));
		return 1;
	}
	while (atomic_load(&fake->slow_start))
		(void)poll(NULL, 0, 5);
	slot_doing(env->self, PST_LIT("waiting"));
	tell(env, SLOT_READY);
	for (;;) {
		struct pollfd p = { .fd = env->inbox, .events = POLLIN };
		enum wire_order order;
		int status;

		(void)poll(&p, 1, 5);
		status = do_act(env);
		if (status >= 0)
			return status;
		order = take_order(env);
		if (order == ORDER_STOP && !atomic_load(&fake->deaf))
			return 0;
		if (order == ORDER_DRAIN) {
			draining = true;
			tell(env, SLOT_DRAINING);
		}
		if (env->kind == WORKER_LOGIN && !draining)
			accept_all(env);
		if (draining && (env->kind != WORKER_LOGIN || !atomic_load(&fake->hold)))
			return 0;
	}
}

static const struct worker_code fake_code = { fake_load, fake_run };
static const struct worker_code *const fake_codes[WORKER_KINDS] = { &fake_code, &fake_code,
	                                                            &fake_code, &fake_code };

/* ---- The server ---- */

void
pause_ms(int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL);
}

uint16_t
free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &n) != 0)
		abort();
	close(fd);
	return ntohs(sin.sin_port);
}

int
connect_port(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return fd;
	close(fd);
	return -1;
}

void
server_write_conf(const struct server *s, const char *extra)
{
	FILE *f = fopen(s->conf, "w");

	if (f == NULL)
		abort();
	fprintf(f,
	        "server: { runtime_dir = \"%s/run\"; plugin_dir = \"%s/tests/unit/master/.libs\";\n"
	        "  login_user = \"daemon\"; keys_user = \"bin\"; auth_user = \"sys\"; "
	        "mail_user = \"mail\"; };\n"
	        "listener: { test: { address = \"127.0.0.1\"; port = %u; tls = \"none\"; "
	        "plaintext_login = true; }; };\n%s\n",
	        s->dir, TEST_BUILDDIR, s->port, extra);
	fclose(f);
}

void
server_prepare(struct server *s, const char *extra)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/postern-test-XXXXXX");
	if (mkdtemp(s->dir) == NULL)
		abort();
	(void)snprintf(s->conf, sizeof(s->conf), "%s/postern.conf", s->dir);
	s->port = free_port();
	s->fake = mmap(NULL, sizeof(*s->fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	               -1, 0);
	fake = s->fake;
	server_write_conf(s, extra);
}

void
server_start(struct server *s)
{
	static struct master m;
	char *problems = NULL;
	struct conf *conf;
	struct pst_err err;

	fflush(stdout);
	s->pid = fork();
	if (s->pid != 0)
		return;
	m.codes = fake_codes;
	m.source.path = s->conf;
	m.source.sets = &s->set;
	m.source.set_count = s->set != NULL;
	if (master_init(&m, &err) != 0)
		_exit(99);
	conf = conf_read(&m.regions, &m.source, &problems);
	if (conf == NULL) {
		fputs(problems, stderr);
		_exit(98);
	}
	s->status = master_run(&m, conf);
	master_clear(&m);
	_exit(s->status);
}

const char *
server_ask(const struct server *s, const char *request, bool *ok_out)
{
	static char text[1 << 20];
	char dir[96];
	struct pst_buf reply;
	struct pst_err err;
	bool ok = false;
	size_t n;

	(void)snprintf(dir, sizeof(dir), "%s/run", s->dir);
	pst_buf_init(&reply, sizeof(text));
	if (ctl_ask(dir, request, &ok, &reply, &err) != 0)
		(void)snprintf(text, sizeof(text), "%s", err.text);
	else {
		n = reply.len < sizeof(text) - 1 ? reply.len : sizeof(text) - 1;
		memcpy(text, pst_buf_view(&reply).p, n);
		text[n] = '\0';
	}
	pst_buf_clear(&reply);
	if (ok_out != NULL)
		*ok_out = ok;
	return text;
}

bool
wait_until(bool (*cond)(struct server *s), struct server *s)
{
	int64_t end_ms = pst_now_ms() + 10000;

	while (pst_now_ms() < end_ms) {
		if (cond(s))
			return true;
		pause_ms(10);
	}
	return false;
}

static bool
is_live(struct server *s)
{
	if (waitpid(s->pid, &s->status, WNOHANG) == s->pid)
		s->pid = 0;
	return s->pid == 0 ||
	       strstr(server_ask(s, "status json", NULL), "\"phase\":\"live\"") != NULL;
}

bool
server_wait_ready(struct server *s)
{
	return wait_until(is_live, s) && s->pid != 0;
}

bool
server_wait_end(struct server *s, int limit_ms)
{
	int64_t end_ms = pst_now_ms() + limit_ms;

	while (pst_now_ms() < end_ms) {
		if (waitpid(s->pid, &s->status, WNOHANG) == s->pid) {
			s->pid = 0;
			return true;
		}
		pause_ms(10);
	}
	return false;
}

void
server_end(struct server *s)
{
	char command[128];

	if (s->pid > 0 && kill(s->pid, SIGTERM) == 0 && kill(s->pid, SIGTERM) == 0)
		(void)server_wait_end(s, 8000);
	if (s->pid > 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
	}
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
	(void)!system(command);
	munmap(s->fake, sizeof(*s->fake));
}

/* The slots of status json, one object after the other. */
static const char *
next_slot(const char *at, const char *kind)
{
	char key[40];

	(void)snprintf(key, sizeof(key), "\"kind\":\"%s\"", kind);
	return strstr(at, key);
}

unsigned
server_count(const struct server *s, const char *kind, const char *state)
{
	const char *at = server_ask(s, "status json", NULL);
	char key[40];
	unsigned n = 0;

	(void)snprintf(key, sizeof(key), "\"state\":\"%s\"", state);
	while ((at = next_slot(at, kind)) != NULL) {
		const char *end = strchr(at, '}');
		const char *found = strstr(at, key);

		n += found != NULL && found < end;
		at = end;
	}
	return n;
}

pid_t
server_worker_pid(const struct server *s, const char *kind, unsigned slot)
{
	const char *at = server_ask(s, "status json", NULL);
	char key[40];

	(void)snprintf(key, sizeof(key), "\"slot\":%u,", slot);
	while ((at = next_slot(at, kind)) != NULL) {
		const char *end = strchr(at, '}');
		const char *found = strstr(at, key);
		const char *pid = strstr(at, "\"pid\":");

		if (found != NULL && found < end && pid != NULL)
			return (pid_t)strtol(pid + 6, NULL, 10);
		at = end;
	}
	return 0;
}
