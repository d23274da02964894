/* SPDX-License-Identifier: MIT */
/* ctl/progress.h - inside this folder: one line on standard error that says how far a command is. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool is_on, is_terminal;
	bool is_shown;    /* and the cursor stands behind it */
	uint32_t total;   /* 0: not known yet */
	int64_t began_ms; /* and when it was last shown */
	int64_t shown_ms;
};

/* Where standard error is a terminal, or it is asked for: then a line a second, each for itself. */
void progress_begin(struct progress *p, bool is_asked_for);
void progress_show(struct progress *p, uint32_t done, uint32_t failed);

/* Before anything else is written to the terminal. */
void progress_hide(struct progress *p);

#endif
