/* SPDX-License-Identifier: MIT */
/* What the tests of the auth worker share: workers as the server runs them, in threads of the test.
 * Requests go in through the queue, replies come out of a login slot's inbox, tickets are opened as
 * mail does. */
#ifndef TESTS_UNIT_AUTHN_KIT_H
#define TESTS_UNIT_AUTHN_KIT_H

#include <pthread.h>
#include <stdatomic.h>

#include "authn/worker.h"
#include "config/settings.h"
#include "ipc/away.h"
#include "ipc/ticket.h"
#include "ipc/wire.h"

#define WORKERS 2
#define FAILURE_DELAY_MS 20000
#define INCARNATION 41
#define ANSWER_MS 20000 /* that a loaded machine may take; nothing waits so long but a failure */
#define SID "0123456789abcdef"

/* Calls of scheme_burn since the test began, counted by the linker's --wrap. */
extern _Atomic int kit_burns;

struct kit_worker {
	struct worker_env env;
	struct slot_row row;
	int inbox[2];
	pthread_t thread;
	int status;
};

struct kit {
	struct pst_arena *arena;
	struct settings settings;
	struct conf_texts texts;
	struct ticket_office office;
	struct away_board away;
	int queue[2];
	int hash[2]; /* the hash queue between the two roles */
	int notes[2];
	struct verified *verified; /* or NULL */
	int login[2];              /* the inbox of login slot 1; slot 0 has none */
	int login_writes[2];
	int gate;
	struct kit_worker w[WORKERS];
	size_t workers;
	uint64_t request;
	uint8_t in[MSG_MAX_OCTETS];
	struct wire_auth_reply reply; /* borrows from in */
	struct msg_head head;
	uint8_t scratch[WIRE_TICKET];
};

/* For cmocka: settings, channels, no worker yet. The backends are fakeauth and fakeverify, the policy
 * is fakepolicy. */
int kit_set_up(void **state);
int kit_tear_down(void **state);

/* One that does all of it, as a hash worker does with what nobody forwarded. */
void kit_start_worker(struct kit *f);

/* One of this role: AUTH_QUERY reads what the kit sends and writes to f->hash. */
void kit_start_role(struct kit *f, enum auth_role role);
void kit_order(struct kit *f, size_t idx, enum wire_order what);

struct wire_auth_request kit_request_of(const char *user, const char *password);
void kit_send_request(struct kit *f, const struct wire_auth_request *m);
void kit_receive(struct kit *f); /* into f->head and f->reply */

/* Both of it, with a worker started where there is none. */
void kit_ask_with(struct kit *f, const struct wire_auth_request *m);
void kit_ask(struct kit *f, const char *user, const char *password);

/* Opens the reply's ticket for the session sid; borrows from f->scratch. */
int kit_open_ticket(struct kit *f, const char *sid, struct ticket *t);

/* No, of this kind, and the client waits until failure_delay has passed since the request was taken. */
void kit_assert_refused(struct kit *f, enum pst_err_kind kind);

/* Adds an instance of fakelist, whose users are those (see there). Before a worker is started. */
void kit_add_list(struct kit *f, const char *instance, const char *users,
                  enum backend_step on_wrong, enum backend_step on_temp);
void kit_use_one(struct kit *f, const char *users); /* it is the only backend */

/* tls: its version; 0: none. */
void kit_ask_from(struct kit *f, const char *user, const char *password, const char *ip, int tls);

/* The answer of a wrong password, to the octet. */
void kit_assert_like_wrong(struct kit *f);

#define assert_text(s, c)                                                                          \
	do {                                                                                       \
		assert_int_equal((s).n, strlen(c));                                                \
		assert_memory_equal((s).p, (c), (s).n);                                            \
	} while (0)

#endif
