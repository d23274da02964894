/* SPDX-License-Identifier: MIT */
/* master/generation.h - one set of workers with all that joins them: slots, channels, shared
 * memory, made from one configuration.
 *
 * A reload makes a new generation beside the old one, which drains. This file makes and takes
 * apart; supervise.c starts the workers and replaces them. */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/env.h"
#include "ipc/wire.h"
#include "master/conf.h"
#include "master/listen.h"

struct slot {
	enum worker_kind kind;
	uint32_t idx;
	struct slot_row *row;
	pid_t pid; /* 0: nobody stands here */
	uint32_t incarnation;
	uint32_t quick_deaths; /* in a row, without having been READY */
	int64_t started_ms;
	int64_t start_at_ms; /* when the next one is due; -1: none is wanted */
	bool told;           /* to drain or stop: its end is no death */
	uint32_t left_out;   /* auth: the plugins without which it was started; see leave_out.c */
	uint32_t died_of;    /* auth: 1 + the plugin that ended its last starts; 0: none */
	uint32_t died_times; /* in a row */
	bool killed;         /* by us: SIGKILL is on its way */
	int inbox[2];        /* [0] the worker reads; -1: none */
};

enum generation_phase {
	GEN_STARTING, /* keys, auth and mail first: nothing is accepted that cannot be served */
	GEN_OPENING,  /* then login */
	GEN_LIVE,
	GEN_DRAINING, /* login workers keep their clients, accept no new ones */
	GEN_EMPTYING, /* no login worker is left: the others are told to finish */
	GEN_FAILED,   /* could not start: its workers are killed */
};

/* Which passwords were right: outlives a generation, as long as one wants it. */
struct marks {
	struct verified *verified; /* region */
	int64_t wanted;            /* auth.verified_size */
	uint32_t users;            /* generations */
};

struct generation {
	struct generation *older; /* the master's list, newest first */
	uint32_t number;
	enum generation_phase phase;
	int64_t made_ms;
	int64_t drain_ms;    /* when draining began */
	int64_t deadline_ms; /* of starting, of draining */
	int64_t kill_at_ms;  /* 0: not told to stop yet */
	bool failure_told;
	struct conf *conf; /* owned */

	struct slot *slots[WORKER_KINDS];
	uint32_t counts[WORKER_KINDS];
	uint32_t hash_workers; /* of the auth slots */

	struct slot_row *rows; /* region: all slots, kind by kind */
	struct board board;
	void *board_rows;              /* region: what is shared of board */
	struct ticket_office *tickets; /* region */
	struct change_ring *changes;   /* region */
	struct away_board *away;       /* region */
	struct marks *marks;           /* with the other generations that want as much; or NULL */

	int auth_queue[2];                /* [0] auth reads, [1] login writes */
	int hash_queue[2];                /* [0] hash workers read, [1] other auth workers write */
	int auth_notes[2], mail_notes[2]; /* [0] the clerk reads */
	int mail_queue[2];                /* run_as = "user"; else -1 */
	int (*keys)[2];                   /* by login slot: [0] login's end, [1] keys' */
	int *login_inboxes, *auth_inboxes, *mail_inboxes; /* write ends by slot */
	char failure[400];                                /* GEN_FAILED: why */

	uint32_t left_out;       /* auth plugins that end workers at their start: see leave_out.c */
	int64_t left_wait_ms;    /* how long they are left out this time */
	int64_t left_until_ms;   /* until one worker tries again; 0: there is nothing to try */
	struct slot *left_trial; /* that one, while it does; or NULL */
};

/* Makes everything but processes; sockets come from listens, where they are added as needed. conf
 * is the generation's if this succeeds. elder: the one before, or NULL. -1: err says what and what to
 * do. */
struct generation *generation_create(struct region_list *regions, struct listen_set *listens,
                                     struct conf *conf, uint32_t number,
                                     const struct generation *elder, struct pst_err *err);

/* Closes and unmaps; no worker may be left. Accepts NULL. */
void generation_destroy(struct region_list *regions, struct generation *g);

bool generation_is_pooled(const struct generation *g); /* mail.run_as = "user" */
enum auth_role generation_auth_role(const struct generation *g, uint32_t slot);
uint32_t generation_running(const struct generation *g, enum worker_kind kind);
uint32_t generation_running_all(const struct generation *g);

/* Puts an order into the slot's inbox; keys has none and gets SIGTERM where it is to end. */
void generation_order(struct slot *s, enum wire_order order, uint32_t row);

/* An admin has changed the user: the clerk sees whether the user's sessions may go on. */
void generation_tell_changed(struct generation *g, struct pst_str user);

/* Ends a session by its id: the owner is told. false: no such session here. */
bool generation_kick(struct generation *g, struct pst_str sid);

#endif
