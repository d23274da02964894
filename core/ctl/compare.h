/* SPDX-License-Identifier: MIT */
/* ctl/compare.h - one user's maildrop as two servers show it: what differs, and what of that the old
 * server is known to get wrong. */
#ifndef CTL_COMPARE_H
#define CTL_COMPARE_H

#include "ctl/migrate.h"

enum compare_depth { COMPARE_LISTS, COMPARE_HEADERS, COMPARE_WHOLE };

struct compare {
	const struct migrate_side *old, *new;
	enum compare_depth depth;
	uint64_t sample; /* so many messages' octets at most, evenly from all; 0: all */
};

struct compare_result {
	uint64_t messages;    /* of the old server */
	uint64_t differences; /* without explained ones */
	uint64_t explained;
	struct pst_buf text; /* a line for each, as postern-migrate(7) has it */
};

/* *r is zeroed; the caller clears its text whatever comes back. -1: they could not be compared. */
int compare_user(const struct compare *c, const struct migrate_user *user, struct compare_result *r,
                 struct pst_err *err);

/* Text of differences may get this long. */
#define COMPARE_TEXT_MAX ((size_t)1 << 30)

#endif
