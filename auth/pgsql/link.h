/* SPDX-License-Identifier: MIT */
/* auth/pgsql/link.h - inside of the plugin: one connection to whichever host of a target answers.
 *
 * Nothing here waits longer than the settings say: libpq's own time limits do not hold where a server
 * takes the connection and then says nothing. A link that could not be made, or was slow, is "away":
 * calls then have a short while only, in which they go on with the attempt that is under way, and
 * one of them every few seconds has the whole time. So a database that is away costs a login nothing,
 * and is found again without anybody's help. */
#ifndef AUTH_PGSQL_LINK_H
#define AUTH_PGSQL_LINK_H

#include <libpq-fe.h>

#include "auth/pgsql/target.h"

struct pg_link;

/* side: "read", for messages. target is taken over, and cleared. */
struct pg_link *pg_link_create(const struct pst_host *host, const char *side,
                               struct pg_target *target); /* NULL: no memory */
void pg_link_destroy(struct pg_link *l);                  /* accepts NULL */

enum pg_verb { PG_SIMPLE, PG_PREPARE, PG_DESCRIBE, PG_EXECUTE, PG_PARAMS };

struct pg_request {
	enum pg_verb verb;
	const char *text; /* SQL; the statement's name for DESCRIBE and EXECUTE */
	const char *name; /* PREPARE: under which */
	size_t count;     /* of values */
	const char *const *values;
	bool by_row; /* each row is a result of its own, and the time limit is one for each */
};

enum pg_outcome {
	PG_OK = 1,
	PG_SAID_NO, /* by the server: state and err are filled */
	PG_SLOW,    /* said by the server too: the time was over */
	PG_LOST,    /* the connection is gone, or was given up for its silence */
	PG_STOPPED, /* each said so, err is its */
};

struct pg_answer {
	enum pg_outcome outcome;
	char state[6]; /* SQLSTATE, or "" */
};

/* -1 with err: stop. */
typedef int pg_on_result(void *arg, const PGresult *result, struct pst_err *err);

/* Begins a call: what follows on this link must be over within the time that it is given here. */
void pg_link_start(struct pg_link *l);
/* The same for one that may wait for no more than ms. */
void pg_link_start_within(struct pg_link *l, int64_t ms);

/* Connects, unless it is open and alive. -1: PST_E_TEMP. */
int pg_link_open(struct pg_link *l, struct pst_err *err);
bool pg_link_is_open(const struct pg_link *l);

/* One request on the open link and its whole answer; each may be NULL. */
struct pg_answer pg_link_ask(struct pg_link *l, const struct pg_request *request,
                             pg_on_result *each, void *arg, struct pst_err *err);

/* Drops the connection, for the reason; the next one goes to another host if there is any. */
void pg_link_lose(struct pg_link *l, const char *why);

/* It served. */
void pg_link_served(struct pg_link *l);

/* Which connection it is: another number after each connect. */
uint64_t pg_link_serial(const struct pg_link *l);
const char *pg_link_side(const struct pg_link *l);
PGconn *pg_link_conn(struct pg_link *l); /* for LISTEN; NULL: not open */

#endif
