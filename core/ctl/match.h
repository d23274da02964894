/* SPDX-License-Identifier: MIT */
/* ctl/match.h - which message of this server is which of the old one, when only what is sent tells. */
#ifndef CTL_MATCH_H
#define CTL_MATCH_H

#include "ctl/likeness.h"

#define MATCH_NONE UINT32_MAX

/* A message of either server. */
struct match_message {
	uint64_t octets;     /* as LIST says */
	struct pst_str uidl; /* empty: none */
	bool is_valid;       /* uidl is one that POP3 allows */
	bool is_known;       /* like is filled: the message could be read */
	struct likeness like;
};

/* By what a message was found. */
enum match_by {
	MATCH_BY_HEADER,   /* header and size */
	MATCH_BY_LINE_END, /* the same but for a last line end that the old server does not count */
	MATCH_BY_UIDL,     /* the UIDL was taken over before */
	MATCH_BY_ALONE,    /* the one header like it on either side, whatever the sizes are */
	MATCH_BY_LETTER,   /* Message-ID, Date and size */
	MATCH_WAYS,
};

struct match {
	uint32_t *with; /* for each of the old server's: the one here, or MATCH_NONE */
	uint32_t *back; /* for each one here: that of the old server, or MATCH_NONE */
	uint32_t by[MATCH_WAYS];
	uint32_t found;
};

/* Equal ones are taken in their order. The caller clears *m. */
void match_make(struct match *m, const struct match_message *old, uint32_t old_n,
                const struct match_message *here, uint32_t here_n);
void match_clear(struct match *m);

/* What follows from it: a new order with UIDLs. */
struct match_place {
	uint32_t here;
	struct pst_str uidl; /* borrowed from the messages, or made */
};

struct match_plan {
	struct match_place *places; /* one for each message here */
	uint32_t moved, renamed;    /* messages that change place, or UIDL */
	uint32_t not_taken;         /* found ones whose UIDL on the old server cannot be theirs */
	struct pst_buf made;        /* UIDLs in place of ones that are another's now */
};

/* The old server's order first, then those that it does not have, in the order that they have here.
 * A UIDL that the old server shows for a message is given to no other, be that message here or not. */
void match_plan(struct match_plan *p, const struct match *m, const struct match_message *old,
                uint32_t old_n, const struct match_message *here, uint32_t here_n);
void match_plan_clear(struct match_plan *p);

#endif
