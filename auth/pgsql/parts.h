/* SPDX-License-Identifier: MIT */
/* auth/pgsql/parts.h - inside of link.c and connect.c: what a link is made of. */
#ifndef AUTH_PGSQL_PARTS_H
#define AUTH_PGSQL_PARTS_H

#include "auth/pgsql/link.h"

#define PG_AVOID_MS 10000 /* a host that failed is tried after the others for so long */

struct attempt {
	PGconn *conn;
	PostgresPollingStatusType want;
	int64_t until_ms;
};

/* One walk through the places of the target. */
struct round {
	bool is_on;
	bool any_role;           /* the second walk of prefer-standby */
	size_t order[PG_PLACES]; /* places, those that failed lately last */
	size_t at;               /* in order */
	size_t addr;             /* of the place's addresses */
};

struct pg_link {
	const struct pst_host *host;
	const struct pgsql_conf *conf;
	const char *side;
	struct pg_target target;
	int64_t avoid_until[PG_PLACES];

	struct round round;
	struct attempt attempt;
	int64_t next_round_ms;
	char why[200]; /* what the last round met, host by host */

	PGconn *conn; /* open */
	size_t place; /* where it is open, or was last */
	bool was_open;
	uint64_t serial;
	int64_t unread_ms; /* since when an answer is due that nobody waits for; 0: none */
	char lost[160];    /* why the last one ended; "": none did */

	bool is_away, is_short;
	int64_t next_full_ms;
	int64_t until_ms; /* of the call in hand */
};

/* connect.c: goes on with the attempt that is under way, or begins one. -1: not in the call's time. */
int pg_connect(struct pg_link *l, struct pst_err *err);

/* link.c */
bool pg_wait_ready(const struct pg_link *l, const PGconn *conn, short events, int64_t until_ms);
int pg_say_away(struct pg_link *l, const char *why, struct pst_err *err); /* -1 */

static inline int64_t
pg_sooner(int64_t a_ms, int64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

#endif
