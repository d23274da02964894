/* SPDX-License-Identifier: MIT */
/* See kit.h. */
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
#include "base/mem.h"
#include "credentials/scheme.h"
#include "ipc/channel.h"
#include "plugin/registry.h"
#include "tests/unit/authn/kit.h"

_Atomic int kit_burns;

void __real_scheme_burn(const char *scheme, struct pst_str password,
                        const struct scheme_cost *cost);
void __wrap_scheme_burn(const char *scheme, struct pst_str password,
                        const struct scheme_cost *cost);

void
__wrap_scheme_burn(const char *scheme, struct pst_str password, const struct scheme_cost *cost)
{
	kit_burns++;
	__real_scheme_burn(scheme, password, cost);
}

/* ---- Starting and stopping ---- */

static void *
run_worker(void *arg)
{
	struct kit_worker *w = arg;

	w->status = auth_worker.run(&w->env);
	return NULL;
}

static void
start(struct kit *f, enum auth_role role, int auth_queue, int hash_queue)
{
	struct kit_worker *w = &f->w[f->workers++];
	struct pst_err err;

	assert_int_equal(channel_create(w->inbox, 65536, &err), 0);
	w->env = (struct worker_env){
		.kind = WORKER_AUTH,
		.settings = &f->settings,
		.sections = &f->texts,
		.plugins = registry_create(NULL),
		.self = &w->row,
		.tickets = &f->office,
		.away = &f->away,
		.login_count = 2,
		.inbox = w->inbox[0],
		.role = role,
		.auth_queue = auth_queue,
		.hash_queue = hash_queue,
		.auth_notes = f->notes[1],
		.verified = f->verified,
		.login_inboxes = f->login_writes,
		.wake_fd = -1,
	};
	if (auth_worker.load(&w->env, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(pthread_create(&w->thread, NULL, run_worker, w), 0);
}

void
kit_start_worker(struct kit *f)
{
	start(f, AUTH_HASH, -1, f->queue[0]);
}

void
kit_start_role(struct kit *f, enum auth_role role)
{
	start(f, role, f->queue[0], role == AUTH_QUERY ? f->hash[1] : f->hash[0]);
}

int
kit_set_up(void **state)
{
	struct kit *f = pst_new(struct kit);
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
		.mechanisms = "USER PLAIN LOGIN",
		.anonymous = "",
		.default_domain = "",
		.master_backends = "",
		.master_separator = "",
		.default_scheme = "ARGON2ID",
		.argon2_memory = 256 * 1024,
		.argon2_passes = 1,
		.max_hash_memory = 64 << 20,
		.timeout = 10000,
		.verified_age = 60000,
	};
	f->settings.mail.location = "maildir:/srv/%{domain}/%{local}";
	f->settings.policy_order = "fakepolicy";
	ticket_office_init(&f->office);
	assert_int_equal(channel_create(f->queue, 65536, &err), 0);
	assert_int_equal(channel_create(f->hash, 65536, &err), 0);
	assert_int_equal(channel_create(f->notes, 65536, &err), 0);
	assert_int_equal(channel_create(f->login, 65536, &err), 0);
	f->login_writes[0] = -1;
	f->login_writes[1] = f->login[1];
	kit_burns = 0;
	*state = f;
	return 0;
}

void
kit_order(struct kit *f, size_t idx, enum wire_order what)
{
	const struct wire_order_msg m = { .order = what };
	uint8_t out[MSG_MAX_OCTETS];
	size_t n = wire_order_encode(&m, out);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(channel_send(f->w[idx].inbox[1], out, n, -1, &err), 0);
}

int
kit_tear_down(void **state)
{
	struct kit *f = *state;
	size_t i;

	for (i = 0; i < f->workers; i++) {
		kit_order(f, i, ORDER_STOP);
		assert_int_equal(pthread_join(f->w[i].thread, NULL), 0);
		assert_int_equal(f->w[i].status, 0);
		registry_destroy(f->w[i].env.plugins);
		close(f->w[i].inbox[0]);
		close(f->w[i].inbox[1]);
	}
	for (i = 0; i < 2; i++) {
		close(f->queue[i]);
		close(f->hash[i]);
		close(f->notes[i]);
		close(f->login[i]);
	}
	close(f->gate);
	free(f->verified);
	pst_arena_destroy(f->arena);
	free(f);
	return 0;
}

/* ---- Asking ---- */

struct wire_auth_request
kit_request_of(const char *user, const char *password)
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

void
kit_send_request(struct kit *f, const struct wire_auth_request *m)
{
	uint8_t out[MSG_MAX_OCTETS];
	size_t n = wire_auth_request_encode(m, INCARNATION, ++f->request, out);
	struct pst_err err;

	assert_true(n > 0);
	assert_int_equal(channel_send(f->queue[1], out, n, -1, &err), 0);
	pst_wipe(out, n);
}

void
kit_receive(struct kit *f)
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

void
kit_ask_with(struct kit *f, const struct wire_auth_request *m)
{
	if (f->workers == 0)
		kit_start_worker(f);
	kit_send_request(f, m);
	kit_receive(f);
	assert_int_equal(f->head.request, f->request);
}

void
kit_ask(struct kit *f, const char *user, const char *password)
{
	const struct wire_auth_request m = kit_request_of(user, password);

	kit_ask_with(f, &m);
}

int
kit_open_ticket(struct kit *f, const char *sid, struct ticket *t)
{
	struct ticket_desk *desk = ticket_desk_create(&f->office);
	struct pst_err err;
	int rc = ticket_open(desk, f->reply.ticket, pst_str_c(sid), f->scratch, t, &err);

	ticket_desk_destroy(desk);
	return rc;
}

void
kit_assert_refused(struct kit *f, enum pst_err_kind kind)
{
	assert_false(f->reply.ok);
	assert_int_equal(f->reply.kind, kind);
	assert_int_equal(f->reply.ticket.n, 0);
	assert_int_equal(f->reply.user.n, 0);
	assert_in_range(f->reply.delay_ms, 1, FAILURE_DELAY_MS);
}

/* ---- Users in a list ---- */

void
kit_add_list(struct kit *f, const char *instance, const char *users, enum backend_step on_wrong,
             enum backend_step on_temp)
{
	struct plugin_section *s = &f->settings.sections[f->settings.section_count++];

	*s = (struct plugin_section){
		.kind = PST_AUTH,
		.instance = instance,
		.plugin = "fakelist",
		.prefix = pst_arena_printf(f->arena, "auth.%s", instance),
		.rules = { .on_wrong = on_wrong, .on_temp = on_temp },
	};
	conf_texts_set(&f->texts, pst_str_c(pst_arena_printf(f->arena, "%s.users", s->prefix)),
	               pst_str_c(users), "", 0);
}

void
kit_use_one(struct kit *f, const char *users)
{
	f->settings.auth.backends = "one";
	kit_add_list(f, "one", users, BACKEND_STOP, BACKEND_STOP);
}

void
kit_ask_from(struct kit *f, const char *user, const char *password, const char *ip, int tls)
{
	struct wire_auth_request m = kit_request_of(user, password);

	m.remote_ip = pst_str_c(ip);
	m.tls = tls > 0;
	m.tls_version = (uint8_t)tls;
	kit_ask_with(f, &m);
}

void
kit_assert_like_wrong(struct kit *f)
{
	kit_assert_refused(f, PST_E_AUTH);
	assert_int_equal(f->reply.text.n, 0);
	assert_false(f->reply.has_challenge);
	assert_in_range(f->reply.delay_ms, FAILURE_DELAY_MS - ANSWER_MS, FAILURE_DELAY_MS);
}
