/* SPDX-License-Identifier: MIT */
/* ctl/drops.h - commands on maildrops: whom they are about, and the work on each.
 *
 * posternctl forks a finder, which reads the configuration and asks the auth backends, and workers,
 * which become the maildrops' owner as the server's mail workers do, load the storage plugins and work
 * through struct pst_storage, under the same lock as a session. The process in the middle only passes
 * on: it loads no plugin and reads neither mail nor a database's password. A worker that crashes or
 * takes too long costs the user in hand and no other.
 *
 *	static int
 *	work(struct drop *d, void *arg, struct pst_err *err) // in a worker, for each maildrop
 *	{
 *		drop_count(d, 0, d->count);
 *		drop_say(d, "%s has %u messages", d->row.user, d->count);
 *		return 0;
 *	}
 *
 *	const struct drops_plan plan = { .work = work, .options = more, .take = take, .arg = &said };
 *	return drops_command(c, argc, argv, &plan); */
#ifndef CTL_DROPS_H
#define CTL_DROPS_H

#include <getopt.h>

#include <postern/storage.h>

#include "ctl/ctl.h"

struct registry;
struct worker_env;

/* Whom a command is about. */
struct drops_names {
	const char *const *users; /* as they stand on the command line */
	size_t user_count;
	const char *domain; /* all users of the domain; NULL: not asked for */
	bool all;
	const char *file; /* one user a line; "-": standard input; NULL: none */
};

/* How they are worked on. Zero: the default. */
struct drops_how {
	uint32_t jobs;      /* maildrops at the same time; twice the processors, 16 at most */
	int64_t wait_ms;    /* for a maildrop that is in use */
	int64_t limit_ms;   /* for the work on one maildrop: an hour */
	bool with_progress; /* also where standard error is no terminal */
};

/* A user's mail, as the auth backends and mail.location say. */
struct drop_row {
	const char *user;     /* by which a session goes */
	const char *storage;  /* the plugin instance: "maildir" */
	const char *path;     /* that it is given: "/srv/mail/x" */
	uint32_t uid, gid;    /* the record's; 0: not said */
	uint32_t expire_days; /* likewise; PST_AUTH_NO_DAYS: none, whatever the settings say */
	uint32_t hold_days;
	bool is_disabled; /* the user may not log in */
};

#define DROPS_COUNTS 8

/* In a worker: one user's maildrop, while it is worked on. */
struct drop {
	struct drop_row row;
	const struct settings *settings;
	const struct pst_storage *storage;
	void *self; /* the storage plugin's */
	struct pst_maildrop
		*drop;  /* open; closed after the work. NULL: the plan does not open it */
	uint32_t count; /* messages in the listing */

	int plan_fd; /* the plan's, as a worker has it; -1: none */

	/* private */
	const struct worker_env *env;
	int64_t wait_ms;
	int fd;
	uint64_t counts[DROPS_COUNTS];
};

/* 0, or -1 with err: PST_E_IN_USE is told as such. */
typedef int drop_work(struct drop *d, void *arg, struct pst_err *err);

/* A line of standard output, of standard error (with the user's name before it). Control characters
 * become '?'; lines of several users do not mix. */
void drop_say(struct drop *d, const char *fmt, ...) PST_PRINTF(2, 3);
void drop_warn(struct drop *d, const char *fmt, ...) PST_PRINTF(2, 3);

/* Adds to one of the sums that the command gets in the end; those of a work that fails count too. */
void drop_count(struct drop *d, unsigned which, uint64_t n);

/* Message idx of the listing; members that the plugin does not know are 0. */
void drop_message(const struct drop *d, uint32_t idx, struct pst_message *out);

/* Opens the maildrop, waiting for who has it as long as the plan says; the work that does so itself
 * closes it through d->storage and sets d->drop to NULL, or leaves both to the worker. */
int drop_open(struct drop *d, unsigned flags, struct pst_err *err);

/* Another storage instance, loaded if need be: where messages are to go. -1: there is none. */
int drop_storage(struct drop *d, const char *instance, const struct pst_storage **storage_out,
                 void **self_out, struct pst_err *err);

/* What came of all of them. */
struct drops_sum {
	uint32_t done, failed, in_use, passed; /* users; in_use: of those that failed */
	uint32_t temporary;                    /* likewise: it may be better later */
	bool is_cut_short;                     /* by a signal, or nobody could list all users */
	uint64_t counts[DROPS_COUNTS];
};

/* What a command on maildrops is. */
struct drops_plan {
	drop_work *work;
	void *arg; /* the work's: as it is when the workers are forked, before the first work */

	bool is_one;         /* about exactly one USER */
	bool does_not_open;  /* the work does that itself, or needs no open maildrop */
	unsigned open_flags; /* of PST_OPEN_…, unless flags is not NULL: */
	const unsigned *flags;

	/* The command's own options, ended by a zeroed one; take gets each, with optarg, and says
	 * whether it is good. Ids are 1 to 99. */
	const struct option *options;
	bool (*take)(void *arg, int id);

	/* A descriptor that workers keep, all other ones being closed there; 0: none. */
	int fd;

	/* Called before anything is forked, with all options taken; may be NULL. An exit status. */
	int (*ready)(void *arg);

	/* Called in the end, unless no maildrop could be looked for: the command's last lines. */
	void (*sum_up)(void *arg, const struct drops_sum *sum);
};

/* For the usage of a command on many maildrops, and of one on a single USER. */
#define DROPS_MANY "USER ... | --domain DOMAIN | --all | --from FILE"
#define DROPS_MANY_HOW "[--jobs N] [--wait SECONDS] [--limit SECONDS] [--progress]"
#define DROPS_ONE_HOW "[--wait SECONDS] [--limit SECONDS]"

/* A whole command: reads the arguments, does the work, says which users failed. An exit status:
 * CTL_TEMP where all that failed may be better later. */
int drops_command(struct ctl *c, int argc, char **argv, const struct drops_plan *plan);

/* Its two steps: the command line, */
int drops_parse(int argc, char **argv, const struct drops_plan *plan, struct drops_names *names_out,
                struct drops_how *how_out);

/* and the work. */
int drops_each(struct ctl *c, const struct drops_names *names, const struct drops_how *how,
               const struct drops_plan *plan, struct drops_sum *sum_out);

#endif
