/* SPDX-License-Identifier: MIT */
/* ipc/history.h - what one session did, as a line that is kept with the maildrop: words KEY=VALUE with
 * one space between, octets other than 0x21 to 0x7E, '%' and '=' as %XX, so that nothing a client
 * says can break or forge one. The first is v=1; readers pass over keys that they do not know. */
#ifndef IPC_HISTORY_H
#define IPC_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#include "base/buf.h"

struct history {
	int64_t at_s; /* when it began, seconds since 1970 */
	int64_t took_ms;
	struct pst_str sid, ip, mechanism;
	struct pst_str app;    /* label of the app password, or empty */
	struct pst_str master; /* who logged in for the user, or empty */
	struct pst_str reason; /* how it ended: "quit", "timeout", … */
	bool is_tls, is_held;  /* held: what was removed can be brought back */
	uint32_t retrieved, tops;
	uint64_t octets;
	uint32_t deleted, asked; /* messages that went, and that QUIT was to remove */
	uint32_t untold;         /* of those asked: whose UIDLs the line has no room for */
};

/* Writes all but what is known of deletion. -1: line would pass its ceiling. */
int history_begin(struct pst_buf *line, const struct history *h, struct pst_err *err);
/* Then the rest: the numbers, each UIDL, and how many are left out. */
int history_deleted(struct pst_buf *line, const struct history *h, struct pst_err *err);
int history_uidl(struct pst_buf *line, struct pst_str uidl, struct pst_err *err);
int history_untold(struct pst_buf *line, uint32_t n, struct pst_err *err);

/* Reads a line; strings of *out and UIDLs borrow from scratch, which has room for line.n octets.
 * false: it is none, or of a later version. */
bool history_parse(struct pst_str line, char *scratch, struct history *out,
                   void (*on_uidl)(void *arg, struct pst_str uidl), void *arg);

#endif
