/* SPDX-License-Identifier: MIT */
/* Workers that do what a test says, and a server made of them in a child of the test. */
#ifndef TEST_FAKE_H
#define TEST_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "ipc/env.h"

#define SMALL                                                                                        \
	"login: { workers = 2; };\n"                                                                 \
	"auth: { workers = 2; hash_workers = 1; backends = [ \"fakeauth\" ]; timeout = \"1s\"; };\n" \
	"mail: { workers = 2; location = \"fakestore:/tmp/postern-test-none/%{user}\"; };\n"

enum fake_act {
	ACT_NONE,
	ACT_CRASH, /* the next of the kind to look dies of a signal */
	ACT_EXIT,  /* ends with status 0 though nobody said so */
	ACT_BUSY,  /* auth: claims a request that never ends; mail in a pool: serves a session */
};

/* Shared by the test, the master and the fake workers. */
/* Where what is counted of a worker stands: by kind, auth workers other than the first role's behind. */
#define FAKE_AUTH(role) ((role) == AUTH_QUERY ? WORKER_AUTH : WORKER_KINDS - 1 + (size_t)(role))
#define FAKE_PLACES (WORKER_KINDS + 2)

struct fake {
	_Atomic uint32_t starts[WORKER_KINDS];
	_Atomic uint32_t fail_starts[WORKER_KINDS]; /* so many more starts end with status 1 */
	_Atomic uint32_t act[WORKER_KINDS];         /* enum fake_act, taken by one worker */
	_Atomic uint32_t slow_start;                /* workers are never ready */
	_Atomic uint32_t hold;                      /* login workers have a client that stays */
	_Atomic uint32_t deaf;                      /* workers do not obey orders to stop */
	_Atomic uint32_t temp_replies; /* auth replies that login got, of kind PST_E_TEMP */
	_Atomic uint64_t temp_request;
	_Atomic uint32_t orders[4]; /* received, by enum wire_order */
	_Atomic uint32_t order_row;
	_Atomic uint32_t accepted;         /* connections */
	_Atomic uint32_t fds[FAKE_PLACES]; /* open descriptors at load */
	_Atomic uint32_t expected_fds[FAKE_PLACES];
	_Atomic uint32_t regions[FAKE_PLACES]; /* shared mappings at load, this one not counted */
};

struct server {
	struct fake *fake;
	char dir[64]; /* everything of this server */
	char conf[96];
	uint16_t port;
	const char *set; /* "PATH=VALUE", or NULL */
	pid_t pid;       /* of the master; 0: not running */
	int status;      /* of the master that ended */
};

/* A folder with a configuration: listener "test" on a free port, and the text of extra. */
void server_prepare(struct server *s, const char *extra);
void server_write_conf(const struct server *s, const char *extra);
void server_start(struct server *s);
bool server_wait_ready(struct server *s);
void server_end(struct server *s); /* kills what is left, removes the folder */

/* Waits for the master's end, at most so long; s->status is set. */
bool server_wait_end(struct server *s, int limit_ms);

/* The reply to a control request, in a static buffer; ok_out may be NULL. */
const char *server_ask(const struct server *s, const char *request, bool *ok_out);

/* Polls until cond is true, at most ten seconds. */
bool wait_until(bool (*cond)(struct server *s), struct server *s);

/* A number out of status: how many workers of the kind are in that state. */
unsigned server_count(const struct server *s, const char *kind, const char *state);
pid_t server_worker_pid(const struct server *s, const char *kind, unsigned slot);

void pause_ms(int ms);

uint16_t free_port(void);
int connect_port(uint16_t port); /* a connected socket, or -1 */

#endif
