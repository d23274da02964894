/* SPDX-License-Identifier: MIT */
/* Connecting and asking with a time limit; see link.h. */
#include "auth/pgsql/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "auth/pgsql/say.h"
#include "auth/pgsql/secret.h"

#define SHORT_MS 250    /* what a call may take while the database is away */
#define FULL_EVERY 5000 /* but for one of them in this time */
#define PAUSE_MS 250    /* between two rounds through all hosts that found none */
#define AVOID_MS 10000  /* a host that failed is tried after the others for so long */

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

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Whether the socket is ready for the events before until. */
static bool
wait_ready(const struct pg_link *l, const PGconn *conn, short events, int64_t until)
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

/* ---- Connecting ---- */

static struct pg_place *
place_now(struct pg_link *l)
{
	return &l->target.places[l->round.order[l->round.at]];
}

/* Adds why a place failed to the round's account. */
static void
note_failure(struct pg_link *l, const struct pg_place *p, const char *why)
{
	size_t n = strlen(l->why);

	(void)snprintf(l->why + n, sizeof(l->why) - n, "%s%s: %s", n > 0 ? "; " : "", p->label,
	               why);
}

static void
begin_round(struct pg_link *l, bool any_role)
{
	struct round *r = &l->round;
	const int64_t now = l->host->now_ms();
	size_t n = 0, i;
	int late;

	*r = (struct round){ .is_on = true, .any_role = any_role };
	for (late = 0; late < 2; late++)
		for (i = 0; i < l->target.count; i++)
			if ((l->avoid_until[i] > now) == (late == 1))
				r->order[n++] = i;
	if (!any_role)
		l->why[0] = '\0';
}

static void
next_place(struct pg_link *l)
{
	struct round *r = &l->round;

	l->avoid_until[r->order[r->at]] = l->host->now_ms() + AVOID_MS;
	r->addr = 0;
	if (++r->at < l->target.count)
		return;
	if (strcmp(l->target.attrs, "prefer-standby") == 0 && !r->any_role) {
		begin_round(l, true);
		return;
	}
	r->is_on = false;
	l->next_round_ms = l->host->now_ms() + PAUSE_MS;
}

static void
drop_attempt(struct pg_link *l, const char *why)
{
	const struct pg_place *p = place_now(l);

	note_failure(l, p, why);
	PQfinish(l->attempt.conn);
	l->attempt.conn = NULL;
	if (p->name != NULL && ++l->round.addr < pg_name_count(p->name))
		return;
	next_place(l);
}

static const char *
attrs_now(const struct pg_link *l)
{
	if (strcmp(l->target.attrs, "prefer-standby") != 0)
		return l->target.attrs;
	return l->round.any_role ? "any" : "standby";
}

struct options {
	const char *keys[PG_OPTIONS + 24];
	const char *values[PG_OPTIONS + 24];
	size_t n;
};

static void
set_option(struct options *o, const char *key, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	o->keys[o->n] = key;
	o->values[o->n++] = value;
}

/* A later one overrides an earlier one of the same name. */
static void
collect_options(const struct pg_link *l, const struct pg_place *p, struct options *o)
{
	const struct pgsql_conf *c = l->conf;
	const char *addr = p->name != NULL ? pg_name_addr(p->name, l->round.addr) : p->addr;
	size_t i;

	set_option(o, "fallback_application_name", "postern");
	set_option(o, "keepalives_idle", "30");
	set_option(o, "keepalives_interval", "10");
	set_option(o, "keepalives_count", "3");
	for (i = 0; i < l->target.option_count; i++)
		set_option(o, l->target.keys[i], l->target.values[i]);
	set_option(o, "host", p->host);
	set_option(o, "hostaddr", addr);
	set_option(o, "port", p->port);
	set_option(o, "target_session_attrs", attrs_now(l));
	set_option(o, "client_encoding", "UTF8");
	set_option(o, "gssencmode", "disable");
	set_option(o, "passfile", c->passfile);
	set_option(o, "sslrootcert", c->ca_file);
	set_option(o, "sslcert", c->cert_file);
	set_option(o, "sslkey", c->key_file);
}

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void)arg, (void)result; /* libpq would print it */
}

static int
begin_attempt(struct pg_link *l, struct pst_err *err)
{
	const struct pg_place *p = place_now(l);
	struct options o = { .n = 0 };
	char password[PG_SECRET_MAX + 1] = "";
	int rc = -1;

	if (p->name != NULL && l->round.addr == 0 && pg_name_find(p->name, l->until_ms, err) != 0)
		return -1;
	collect_options(l, p, &o);
	if (pg_secret_read(l->conf->password_file, password, err) != 0)
		goto out;
	set_option(&o, "password", password);
	l->attempt.conn = PQconnectStartParams(o.keys, o.values, 0);
	if (l->attempt.conn == NULL) {
		(void)pst_err_set(err, PST_E_TEMP, "no memory");
		goto out;
	}
	(void)PQsetNoticeReceiver(l->attempt.conn, ignore_notice, NULL);
	l->attempt.want = PQstatus(l->attempt.conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED
	                                                              : PGRES_POLLING_WRITING;
	l->attempt.until_ms = l->host->now_ms() + l->conf->connect_ms;
	rc = 0;
out:
	explicit_bzero(password, sizeof(password));
	return rc;
}

/* A statement that nobody waits for any more ends by itself; so a locked table does not gather backends.
 * Not where the connection may be shared: the next one's would be limited too. */
static void
limit_statements(struct pg_link *l)
{
	struct pst_err err;
	char text[64];

	if (!l->conf->prepared || strcmp(l->host->worker, "auth") != 0)
		return;
	(void)snprintf(text, sizeof(text), "SET statement_timeout = %lld",
	               (long long)(l->conf->query_ms * 9 / 10));
	(void)pg_link_ask(l, &(struct pg_request){ .verb = PG_SIMPLE, .text = text }, NULL, NULL,
	                  &err);
}

static void
tell_opened(struct pg_link *l, size_t before)
{
	const char *here = l->target.places[l->place].label;
	bool moved = l->was_open && before != l->place;

	if (moved || l->lost[0] != '\0')
		l->host->log(l->host, moved ? PST_LOG_WARN : PST_LOG_INFO, "pgsql.connected",
		             "side=%s server=%s before=%s lost=\"%s\"", l->side, here,
		             l->target.places[before].label, l->lost);
	else
		l->host->log(l->host, PST_LOG_DEBUG, "pgsql.connected", "side=%s server=%s",
		             l->side, here);
	l->lost[0] = '\0';
}

static void
take_attempt(struct pg_link *l)
{
	const size_t before = l->place;

	l->conn = l->attempt.conn;
	l->attempt.conn = NULL;
	l->place = l->round.order[l->round.at];
	l->round.is_on = false;
	l->serial++;
	l->unread_ms = 0;
	(void)PQsetnonblocking(l->conn, 1);
	tell_opened(l, before);
	l->was_open = true;
	limit_statements(l);
}

/* Goes on with the attempt; false once the call's time is over. */
static bool
continue_attempt(struct pg_link *l)
{
	struct attempt *a = &l->attempt;
	char why[160];

	while (a->want == PGRES_POLLING_READING || a->want == PGRES_POLLING_WRITING) {
		const short events = a->want == PGRES_POLLING_READING ? POLLIN : POLLOUT;

		if (!wait_ready(l, a->conn, events, sooner(a->until_ms, l->until_ms))) {
			if (l->host->now_ms() < a->until_ms)
				return false;
			drop_attempt(l, "it does not answer in time");
			return true;
		}
		a->want = PQconnectPoll(a->conn);
	}
	if (a->want == PGRES_POLLING_OK) {
		take_attempt(l);
		return true;
	}
	pg_words(PQerrorMessage(a->conn), why, sizeof(why));
	drop_attempt(l, why);
	return true;
}

/* One that was left alone for long may wait for a server that has given up on it. */
static void
forget_old_attempt(struct pg_link *l)
{
	if (l->attempt.conn == NULL || l->host->now_ms() < l->attempt.until_ms)
		return;
	PQfinish(l->attempt.conn);
	l->attempt.conn = NULL;
	next_place(l);
}

static int
say_away(struct pg_link *l, const char *why, struct pst_err *err)
{
	set_away(l);
	return pst_err_set(err, PST_E_TEMP, "%s: %.220s", l->side, why);
}

static int
connect_link(struct pg_link *l, struct pst_err *err)
{
	struct pst_err why;

	forget_old_attempt(l);
	if (!l->round.is_on) {
		if (l->host->now_ms() < l->next_round_ms)
			return say_away(l, l->why, err);
		begin_round(l, false);
	}
	while (l->round.is_on) {
		if (l->attempt.conn == NULL && begin_attempt(l, &why) != 0) {
			note_failure(l, place_now(l), why.text);
			next_place(l);
		} else if (!continue_attempt(l)) {
			return say_away(l, l->why[0] != '\0' ? l->why : "no answer yet", err);
		}
		if (l->conn != NULL)
			return 0;
		if (l->host->now_ms() >= l->until_ms)
			break;
	}
	return say_away(l, l->why, err);
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
	l->avoid_until[l->place] = l->host->now_ms() + AVOID_MS;
	l->round.is_on = false;
	l->next_round_ms = 0;
}

/* What the server said of itself meanwhile: above all, that it is going away. */
static void
read_waiting(struct pg_link *l)
{
	int i;

	for (i = 0; i < 8 && l->conn != NULL && wait_ready(l, l->conn, POLLIN, 0); i++)
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
	return say_away(l, "an earlier query is not answered yet", err);
}

int
pg_link_open(struct pg_link *l, struct pst_err *err)
{
	if (l->conn != NULL)
		read_waiting(l);
	if (l->conn != NULL && l->unread_ms != 0 && catch_up(l, err) != 0)
		return -1;
	return l->conn != NULL ? 0 : connect_link(l, err);
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
		if (!wait_ready(l, l->conn, POLLIN | POLLOUT, until))
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
		if (!wait_ready(l, l->conn, POLLIN, until) || PQconsumeInput(l->conn) == 0)
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
	int64_t until = sooner(l->until_ms, l->host->now_ms() + l->conf->query_ms);
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
