/* SPDX-License-Identifier: MIT */
/* From a target to an open connection, in as many steps as there is time for; see link.h. */
#include <poll.h>

#include "auth/pgsql/parts.h"
#include "auth/pgsql/say.h"
#include "auth/pgsql/secret.h"

#define PAUSE_MS 250 /* between two rounds through all hosts that found none */

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

	l->avoid_until[r->order[r->at]] = l->host->now_ms() + PG_AVOID_MS;
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

		if (!pg_wait_ready(l, a->conn, events, pg_sooner(a->until_ms, l->until_ms))) {
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

int
pg_connect(struct pg_link *l, struct pst_err *err)
{
	struct pst_err why;

	forget_old_attempt(l);
	if (!l->round.is_on) {
		if (l->host->now_ms() < l->next_round_ms)
			return pg_say_away(l, l->why, err);
		begin_round(l, false);
	}
	while (l->round.is_on) {
		if (l->attempt.conn == NULL && begin_attempt(l, &why) != 0) {
			note_failure(l, place_now(l), why.text);
			next_place(l);
		} else if (!continue_attempt(l)) {
			return pg_say_away(l, l->why[0] != '\0' ? l->why : "no answer yet", err);
		}
		if (l->conn != NULL)
			return 0;
		if (l->host->now_ms() >= l->until_ms)
			break;
	}
	return pg_say_away(l, l->why, err);
}
