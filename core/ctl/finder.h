/* SPDX-License-Identifier: MIT */
/* ctl/finder.h - inside this folder: a process of its own that reads the configuration and asks the auth
 * backends whose mail a command is about.
 *
 * It is forked before anything is read, so that no database's password and no connection is ever in the
 * process that started it, nor in those that this one forks to work on mail. */
#ifndef CTL_FINDER_H
#define CTL_FINDER_H

#include "ctl/ctl.h"
#include "ctl/drops.h"

struct finder;

/* Reads the configuration: c->settings is filled, c->texts with the core's texts and *storage_out with
 * those of the storage plugins' sections; all in c->arena. NULL: why is told already. names are read
 * only in the other process. */
struct finder *finder_start(struct ctl *c, const struct drops_names *names,
                            struct conf_texts *storage_out);

/* Readable when there is something to take. */
int finder_fd(const struct finder *f);

enum finder_said {
	FINDER_COUNT = 1, /* so many names are looked up from here on */
	FINDER_ROW,       /* a user's mail */
	FINDER_FAILED,    /* nobody can tell where this user's mail is */
	FINDER_PASSED,    /* this user has no mail here */
	FINDER_END,       /* that was all; complete tells whether nothing went wrong */
};

struct finder_answer {
	enum finder_said said;
	uint32_t count;
	struct drop_row row;
	struct pst_err err;
	bool complete;
};

/* Waits for it. The row's strings are borrowed until the next call. */
void finder_take(struct finder *f, struct finder_answer *out);

void finder_destroy(struct finder *f); /* ends the process; accepts NULL */

#endif
