/* SPDX-License-Identifier: MIT */
/* The line that says how far; see progress.h. */
#include "ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define TERMINAL_MS 200
#define OTHER_MS 1000

void
progress_begin(struct progress *p, bool is_asked_for)
{
	const bool is_terminal = isatty(STDERR_FILENO) == 1;

	*p = (struct progress){ .is_on = is_asked_for || is_terminal, .is_terminal = is_terminal };
	p->began_ms = p->shown_ms = pst_now_ms();
}

void
progress_show(struct progress *p, uint32_t done, uint32_t failed)
{
	const int64_t now = pst_now_ms();
	char left[48] = "";

	if (!p->is_on || p->total == 0 ||
	    now - p->shown_ms < (p->is_terminal ? TERMINAL_MS : OTHER_MS))
		return;
	p->shown_ms = now;
	if (done > 0 && now - p->began_ms > 5000)
		(void)snprintf(left, sizeof(left), ", about %lld s left",
		               (long long)((now - p->began_ms) / 1000 * (p->total - done) / done));
	fprintf(stderr, "%s%u of %u maildrops, %u failed%s%s", p->is_terminal ? "\r\033[K" : "",
	        done, p->total, failed, left, p->is_terminal ? "" : "\n");
	p->is_shown = p->is_terminal;
}

void
progress_hide(struct progress *p)
{
	if (!p->is_shown)
		return;
	(void)fflush(stdout);
	fputs("\r\033[K", stderr);
	p->is_shown = false;
}
