/* SPDX-License-Identifier: MIT */
/* ctl/pairs.h - which message of one listing is which of another: by UIDL, and where that says nothing
 * by place. */
#ifndef CTL_PAIRS_H
#define CTL_PAIRS_H

#include "ctl/pop3client.h"

#define PAIRS_NONE UINT32_MAX

struct pair {
	uint32_t with;    /* its index in the other listing; PAIRS_NONE: it is not there */
	bool by_uidl;     /* else by place: their UIDLs differ */
	bool is_repeated; /* an earlier message of its own listing has the same UIDL */
	bool is_moved;    /* by_uidl, and it has to move for the two orders to be the same */
};

struct pairs {
	struct pair *of_old, *of_new; /* one for each message */
};

void pairs_make(struct pairs *p, const struct pop3listing *old, const struct pop3listing *new);
void pairs_clear(struct pairs *p);

#endif
