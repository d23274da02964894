/* SPDX-License-Identifier: MIT */
/* master/master.h - the master's state, and what its files do for each other.
 *
 * The master reads no octet from a client and loads no plugin. It forks, watches, replaces, and
 * answers posternctl. It is single-threaded, and its one loop is in master.c. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/env.h"
#include "master/conf.h"
#include "master/generation.h"
#include "master/listen.h"
#include "master/region.h"

struct control;

/* What epoll's data.ptr points to. */
struct watch {
	void (*ready)(void *arg, uint32_t events);
	void *arg;
};

struct master {
	const struct worker_code *const *codes; /* by enum worker_kind */
	struct conf_source source;
	pid_t pid;
	bool is_root;
	int64_t started_ms;

	struct region_list regions;
	struct listen_set *listens;
	struct tls_share *tls;   /* region, for life: a session resumes after a reload */
	struct usage *usage;     /* region, for life: limits hold across a reload */
	struct holders *holders; /* region, for life: who has which maildrop */
	uint32_t asks_seen;      /* of holders */
	int64_t tls_renew_ms;    /* when the ticket key is next changed */

	struct generation *newest; /* and its elders */
	uint32_t last_number;

	/* A reload: first the reading, then the candidate, which is newest until it lives. */
	struct conf_reading *reading;
	uint32_t reload_serial; /* of the last one that began */
	bool reload_again;      /* asked for while another goes on */

	bool was_ready;
	bool stopping, stopping_now;
	bool listens_closed;
	int exit_status;

	int epoll_fd, signal_fd, wake_fd, lock_fd, runtime_fd;
	struct watch on_signal, on_wake;
	struct control *control;
};

/* ---- master.c ---- */

/* Sets up what lasts: loop, signals, eventfd, ticket key. The struct is zeroed but for codes and
 * source. */
int master_init(struct master *m, struct pst_err *err);
void master_clear(struct master *m);

/* Starts the first generation from conf, which it takes; returns when the server has ended: the
 * exit status. */
int master_run(struct master *m, struct conf *conf);

void master_stop(struct master *m); /* called again: at once */

int master_watch(struct master *m, int fd, uint32_t events, struct watch *w, struct pst_err *err);

/* ---- reload.c ---- */

/* Asks for a reload; returns the serial whose end control_reload_done tells. 0: not while the
 * server stops. */
uint32_t master_reload(struct master *m);

/* The log, and the limit of descriptors. */
int reload_adopt_settings(const struct settings *s, struct pst_err *err);

/* Makes a generation of conf, which it takes where this succeeds; it is m->newest then. */
int reload_begin_generation(struct master *m, struct conf *conf, struct pst_err *err);

void reload_read(struct master *m, int status); /* the child m->reading has ended */
void reload_tick(struct master *m);             /* begins what was asked for meanwhile */

/* The log again, and a reload: workers cannot open files, so those of the next generation inherit
 * the new one. */
void reload_reopen_log(struct master *m);

/* ---- slot.c ---- */

void slot_start(struct master *m, struct generation *g, struct slot *s, int64_t now_ms);

/* Its worker has ended with that status: logged if that was no one's order, whoever waits for its
 * answer told, its rows freed, its successor planned. May make the generation GEN_FAILED. */
void slot_bury(struct generation *g, struct slot *s, int status, int64_t now_ms);

bool slot_is_ready(const struct slot *s); /* the worker says so */

/* How long to wait for the next start: 0 at first, then 100 ms, 200 ms, … 5 s. */
int64_t slot_backoff_ms(const struct slot *s);

/* ---- leave_out.c ---- */

/* An auth worker of a live generation died before it was ready. */
void leave_out_note(struct generation *g, struct slot *s, int64_t now_ms);

/* Has one worker try with all plugins again when it is time, and all others after it. */
void leave_out_tick(struct generation *g, int64_t now_ms);
int64_t leave_out_due(const struct generation *g); /* INT64_MAX: never */

/* ---- supervise.c ---- */

/* Starts what is due, ends what takes too long, moves the generation on. */
void supervise_tick(struct master *m, struct generation *g, int64_t now_ms);

/* When supervise_tick has something to do next, or INT64_MAX. */
int64_t supervise_due(const struct generation *g);

/* A child that is one of ours has ended. false: it is none. */
bool supervise_reap(struct master *m, pid_t pid, int status, int64_t now_ms);

void supervise_drain(struct generation *g, int64_t now_ms);
void supervise_stop_now(struct generation *g, int64_t now_ms);

#endif
