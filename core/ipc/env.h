/* SPDX-License-Identifier: MIT */
/* ipc/env.h - all that a worker is given: made by the master before the fork.
 *
 * What a kind of worker must not see is not in it: the descriptor is closed and the memory
 * unmapped before its first line runs, and the member is -1 or NULL. */
#ifndef IPC_ENV_H
#define IPC_ENV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <postern/err.h>
#include <postern/plugin.h>

#include "ipc/shm.h"

struct settings;
struct conf_texts;
struct ticket_office;
struct registry;
struct holders;

#define ENV_MAX_SLOTS 4096 /* of one kind */

struct env_listener {
	int fd;            /* listening, non-blocking, this login slot's own (SO_REUSEPORT) */
	uint32_t listener; /* its place in settings->listeners */
};

/* Auth workers differ by what they read. Their slots stand in this order. */
enum auth_role {
	AUTH_QUERY, /* the auth queue: look-ups, and what costs no hash */
	AUTH_HASH,  /* the hash queue: slow checks, so many at a time and no more */
	AUTH_CLERK, /* the last slot: notes, and what changes behind the server's back */
};

struct worker_env {
	enum worker_kind kind;
	uint32_t slot;
	uint32_t incarnation;
	uint32_t generation;
	const struct settings *settings;

	/* The texts of this kind's plugin sections ("auth.sqlite.database"), and no others. */
	const struct conf_texts *sections;

	/* Empty at load, which fills it (plugin/registry.h); the sandbox reads their paths from it. */
	struct registry *plugins;

	struct slot_row *self;         /* this worker's own row */
	struct slot_row *mail_slots;   /* login: to find the mail slot with the fewest sessions */
	struct board *board;           /* login, mail */
	struct ticket_office *tickets; /* auth, mail */
	struct tls_share *tls;         /* login */
	struct usage *usage;           /* mail: sessions and logins per user (ipc/usage.h) */
	struct holders *holders;       /* mail: who has which maildrop (ipc/holders.h) */
	struct verified *verified;   /* auth: passwords that were right (credentials/verified.h) */
	struct away_board *away;     /* auth, but for the clerk */
	struct change_ring *changes; /* auth, mail; the clerk writes (ipc/changes.h) */

	uint32_t login_count, auth_count, mail_count; /* slots of each kind; keys has login's */

	int inbox;                /* read end: login, auth, mail */
	int auth_queue;           /* login: write end; auth: read end */
	int hash_queue;           /* auth: write end with AUTH_QUERY, read end with AUTH_HASH */
	int auth_notes;           /* auth: write end; the clerk: read end */
	int mail_notes;           /* mail: write end; the clerk: read end */
	int keys;                 /* login, keys: the end of the pair that is theirs */
	int mail_queue;           /* run_as = "user": login: write end; mail: read end; else -1 */
	const int *login_inboxes; /* write ends by slot: auth */
	const int *mail_inboxes;  /* write ends by slot: login */
	const int *auth_inboxes;  /* write ends by slot: login, for the steps of an exchange */
	enum auth_role role;      /* auth */

	/* auth: plugins that are left out because this worker died of them at its start, a bit for
	 * each place in which auth plugins are loaded. */
	uint32_t left_out;

	const struct env_listener *listeners; /* login */
	size_t listener_count;

	int wake_fd; /* an eventfd of the master: write 1 after a change in self that it should see */

	/* run_as = "user": gives up root for good, opens path and nothing else to the process. */
	int (*confine)(const struct worker_env *env, uid_t uid, gid_t gid, const char *path,
	               struct pst_err *err);
};

/* Changes this worker's state, in a way that the master sees at once. */
void env_tell_state(const struct worker_env *env, enum slot_state state);

/* A worker kind's code. Each is called once in the child. */
struct worker_code {
	/* Before rights are given up: loads plugins (dlopen). No client's octet has been seen. */
	int (*load)(const struct worker_env *env, struct pst_err *err);
	/* After: starts plugins, then serves until it is told to stop. The process's exit status. */
	int (*run)(const struct worker_env *env);
};

#endif
