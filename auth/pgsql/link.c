/* SPDX-License-Identifier: MIT */
/* Asking with a time limit; see link.h. Connecting is connect.c's. */
#include "auth/pgsql/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "auth/pgsql/parts.h"
#include "auth/pgsql/say.h"

#define SHORT_MS 250    /* what a call may take while the database is away */
#define FULL_EVERY 5000 /* but for one of them in this time */

struct pg_link *
pg_link_create(const struct pst_host *host, const char *side, struct pg_target *target)
{
	struct pg_link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->host = host;
	l->conf = host->conf;
	l->side = side;
	l->target = *target;
	memset(target, 0, sizeof(*target));
	return l;
}

void
pg_link_destroy(struct pg_link *l)
{
	if (l == NULL)
		return;
	PQfinish(l->attempt.conn);
	PQfinish(l->conn);
	pg_target_clear(&l->target);
	free(l);
}

/* ---- Time ---- */

void
pg_link_start_within(struct pg_link *l, int64_t ms)
{
	l->is_short = false;
	l->until_ms = l->host->now_ms() + ms;
}

void
pg_link_start(struct pg_link *l)
{
	const int64_t now = l->host->now_ms();

	pg_link_start_within(l, l->conf->connect_ms + l->conf->query_ms);
	if (!l->is_away)
		return;
	if (now >= l->next_full_ms) {
		l->next_full_ms = now + FULL_EVERY;
		return;
	}
	l->is_short = true;
	if (l->until_ms > now + SHORT_MS)
		l->until_ms = now + SHORT_MS;
}

static void
set_away(struct pg_link *l)
{
	if (!l->is_away)
		l->next_full_ms = l->host->now_ms() + FULL_EVERY;
	l->is_away = true;
}

void
pg_link_served(struct pg_link *l)
{
	l->is_away = false;
	l->avoid_until[l->place] = 0;
}

/* Whether the socket is ready for the events before until. */
bool
pg_wait_ready(const struct pg_link *l, const PGconn *conn, short events, int64_t until)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = events };
	int64_t left;
	int n;

	do {
		left = until - l->host->now_ms();
		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

int
pg_say_away(struct pg_link *l, const char *why, struct pst_err *err)
{
	set_away(l);
	return pst_err_set(err, PST_E_TEMP, "%s: %.220s", l->side, why);
}

/* ---- An open one ---- */

bool
pg_link_is_open(const struct pg_link *l)
{
	return l->conn != NULL;
}

uint64_t
pg_link_serial(const struct pg_link *l)
{
	return l->serial;
}

const char *
pg_link_side(const struct pg_link *l)
{
	return l->side;
}

PGconn *
pg_link_conn(struct pg_link *l)
{
	return l->conn;
}

void
pg_link_lose(struct pg_link *l, const char *why)
{
	if (l->conn == NULL)
		return;
	pg_words(why, l->lost, sizeof(l->lost));
	PQfinish(l->conn);
	l->conn = NULL;
	l->avoid_until[l->place] = l->host->now_ms() + PG_AVOID_MS;
	l->round.is_on = false;
	l->next_round_ms = 0;
}

/* What the server said of itself meanwhile: above all, that it is going away. */
static void
read_waiting(struct pg_link *l)
{
	int i;

	for (i = 0; i < 8 && l->conn != NULL && pg_wait_ready(l, l->conn, POLLIN, 0); i++)
		if (PQconsumeInput(l->conn) == 0 || PQstatus(l->conn) == CONNECTION_BAD)
			pg_link_lose(l, PQerrorMessage(l->conn));
		else
			(void)PQisBusy(l->conn); /* looks at what was read */
}

/* Reads on in the answer that a call has not waited for. */
static int
catch_up(struct pg_link *l, struct pst_err *err)
{
	while (!PQisBusy(l->conn)) {
		PGresult *r = PQgetResult(l->conn);

		if (r == NULL) {
			l->unread_ms = 0;
			return 0;
		}
		PQclear(r);
	}
	if (l->host->now_ms() - l->unread_ms >= l->conf->query_ms) {
		pg_link_lose(l, "it does not answer in time");
		return 0;
	}
	return pg_say_away(l, "an earlier query is not answered yet", err);
}

int
pg_link_open(struct pg_link *l, struct pst_err *err)
{
	if (l->conn != NULL)
		read_waiting(l);
	if (l->conn != NULL && l->unread_ms != 0 && catch_up(l, err) != 0)
		return -1;
	return l->conn != NULL ? 0 : pg_connect(l, err);
}

/* ---- Asking ---- */

static bool
send_request(PGconn *c, const struct pg_request *r)
{
	const int n = (int)r->count;

	switch (r->verb) {
	case PG_SIMPLE:
		return PQsendQuery(c, r->text) == 1;
	case PG_PREPARE:
		return PQsendPrepare(c, r->name, r->text, 0, NULL) == 1;
	case PG_DESCRIBE:
		return PQsendDescribePrepared(c, r->text) == 1;
	case PG_EXECUTE:
		return PQsendQueryPrepared(c, r->text, n, r->values, NULL, NULL, 0) == 1;
	case PG_PARAMS:
		return PQsendQueryParams(c, r->text, n, NULL, r->values, NULL, NULL, 0) == 1;
	}
	return false;
}

/* All octets out; the server may want to say something first. */
static bool
flush(struct pg_link *l, int64_t until)
{
	int rc;

	while ((rc = PQflush(l->conn)) > 0) {
		if (!pg_wait_ready(l, l->conn, POLLIN | POLLOUT, until))
			return false;
		if (PQconsumeInput(l->conn) == 0)
			return false;
	}
	return rc == 0;
}

/* true once PQgetResult will not wait. */
static bool
wait_result(struct pg_link *l, int64_t until)
{
	while (PQisBusy(l->conn))
		if (!pg_wait_ready(l, l->conn, POLLIN, until) || PQconsumeInput(l->conn) == 0)
			return false;
	return true;
}

static struct pg_answer
give_up(struct pg_link *l, struct pst_err *err)
{
	char why[160];

	if (PQstatus(l->conn) == CONNECTION_BAD) {
		pg_words(PQerrorMessage(l->conn), why, sizeof(why));
		(void)pst_err_set(err, PST_E_TEMP, "%s: %s: %s", l->side,
		                  l->target.places[l->place].label, why);
		pg_link_lose(l, why);
		return (struct pg_answer){ PG_LOST, "" };
	}
	(void)pst_err_set(err, PST_E_TEMP, "%s: %s: no answer in time", l->side,
	                  l->target.places[l->place].label);
	if (l->is_short)
		l->unread_ms = l->host->now_ms();
	else
		pg_link_lose(l, "it does not answer in time");
	set_away(l);
	return (struct pg_answer){ PG_LOST, "" };
}

/* States in which this connection is of no use any more: the server shuts down, or is no primary now, or
 * the plan of a prepared statement does not fit its tables any more. */
static bool
ends_connection(const char *state, const char *message)
{
	static const char *const ends[] = { "57P01", "57P02", "57P03", "57P05", "25006", "08006" };
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(state, ends[i]) == 0)
			return true;
	return strcmp(state, "0A000") == 0 && strstr(message, "cached plan") != NULL;
}

static void
note_error(struct pg_answer *a, const PGresult *r, const struct pg_request *request,
           struct pst_err *err)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

	if (a->outcome != PG_OK)
		return; /* the first one tells most */
	a->outcome = PG_SAID_NO;
	(void)snprintf(a->state, sizeof(a->state), "%s", state == NULL ? "" : state);
	pg_explain(r, request->text, err);
}

static void
note_result(struct pg_answer *a, const PGresult *r, const struct pg_request *request,
            pg_on_result *each, void *arg, struct pst_err *err)
{
	switch (PQresultStatus(r)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		if (a->outcome == PG_OK && each != NULL && each(arg, r, err) != 0)
			a->outcome = PG_STOPPED;
		return;
	default:
		note_error(a, r, request, err);
	}
}

struct pg_answer
pg_link_ask(struct pg_link *l, const struct pg_request *request, pg_on_result *each, void *arg,
            struct pst_err *err)
{
	struct pg_answer a = { .outcome = PG_OK };
	int64_t until = pg_sooner(l->until_ms, l->host->now_ms() + l->conf->query_ms);
	ExecStatusType status = PGRES_COMMAND_OK;
	PGresult *r;

	if (!send_request(l->conn, request) || !flush(l, until))
		return give_up(l, err);
	if (request->by_row)
		(void)PQsetSingleRowMode(l->conn);
	for (;;) {
		if (!wait_result(l, until))
			return give_up(l, err);
		r = PQgetResult(l->conn);
		if (r == NULL)
			break;
		status = PQresultStatus(r);
		note_result(&a, r, request, each, arg, err);
		PQclear(r);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
			break; /* it would never end */
		if (request->by_row)
			until = l->host->now_ms() + l->conf->query_ms;
	}
	if (PQstatus(l->conn) == CONNECTION_BAD)
		return give_up(l, err);
	if (a.outcome == PG_SAID_NO && ends_connection(a.state, err->text)) {
		pg_link_lose(l, err->text);
		a.outcome = PG_LOST;
		if (strcmp(a.state, "0A000") == 0)
			l->avoid_until[l->place] = 0; /* there is nothing wrong with the server */
	}
	if (a.outcome == PG_SAID_NO && strcmp(a.state, "57014") == 0) {
		a.outcome = PG_SLOW;
		set_away(l);
	}
	if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
		pg_link_lose(l, "COPY");
	return a;
}
