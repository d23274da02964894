/* SPDX-License-Identifier: MIT */
/* Listening; see watch.h. The triggers of contrib/schema/postgresql.sql send what is read here. */
#include "auth/pgsql/watch.h"

#include <poll.h>
#include <stdlib.h>

#define OPEN_MS 1000   /* how long a call may take */
#define QUIET_MS 20000 /* after so long without a word the server is asked whether it is there */
#define ANSWER_MS 5000 /* and must say so within */

struct pg_watch {
	const struct pst_host *host;
	struct pg_link *link;
	bool is_listening;
	bool was_listening; /* at any time before */
	bool tell_all;      /* something may have been missed */
	bool is_asked;      /* an answer is due */
	int64_t heard_ms, asked_ms;
};

struct pg_watch *
pg_watch_create(const struct pst_host *host, struct pg_link *link)
{
	struct pg_watch *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		pg_link_destroy(link);
		return NULL;
	}
	w->host = host;
	w->link = link;
	return w;
}

void
pg_watch_destroy(struct pg_watch *w)
{
	if (w == NULL)
		return;
	pg_link_destroy(w->link);
	free(w);
}

struct pst_auth_change
pg_watch_parse(const char *payload)
{
	static const char user[] = "user ", domain[] = "domain ";
	struct pst_auth_change change = { PST_LIT(""), PST_LIT("") };

	if (strncmp(payload, user, sizeof(user) - 1) == 0)
		change.user = pst_str_c(payload + sizeof(user) - 1);
	else if (strncmp(payload, domain, sizeof(domain) - 1) == 0)
		change.domain = pst_str_c(payload + sizeof(domain) - 1);
	return change;
}

static void
stop_listening(struct pg_watch *w, const char *why)
{
	if (w->is_listening)
		w->host->log(w->host, PST_LOG_WARN, "pgsql.deaf",
		             "reason=\"%.160s\" effect=\"changes take effect at the next login\"",
		             why);
	pg_link_lose(w->link, why);
	w->is_listening = false;
	w->is_asked = false;
	w->tell_all = true;
}

/* An empty query: its answer makes the descriptor readable. */
static bool
ask_for_a_word(struct pg_watch *w)
{
	PGconn *c = pg_link_conn(w->link);

	if (PQsendQuery(c, "") != 1 || PQflush(c) < 0)
		return false;
	w->is_asked = true;
	w->asked_ms = w->host->now_ms();
	return true;
}

static int
begin_listening(struct pg_watch *w, struct pst_err *err)
{
	const struct pg_request listen = { .verb = PG_SIMPLE, .text = "LISTEN postern" };
	struct pg_answer a;

	pg_link_start_within(w->link, OPEN_MS);
	if (pg_link_open(w->link, err) != 0)
		return -1;
	a = pg_link_ask(w->link, &listen, NULL, NULL, err);
	if (a.outcome != PG_OK)
		return -1;
	pg_link_served(w->link);
	if (w->was_listening)
		w->host->log(w->host, PST_LOG_INFO, "pgsql.listening", "again=yes");
	w->is_listening = w->was_listening = true;
	w->heard_ms = w->host->now_ms();
	/* What is due to be told is told by the next read, so there must be something to read. */
	if (w->tell_all && !ask_for_a_word(w)) {
		stop_listening(w, "it cannot be asked");
		return pst_err_set(err, PST_E_TEMP, "listen: the connection was lost");
	}
	return 0;
}

/* A server that has died without a word, or hangs, would else be waited for until the kernel knows. */
static void
look_after(struct pg_watch *w)
{
	const int64_t now = w->host->now_ms();

	if (w->is_asked && now - w->asked_ms >= ANSWER_MS)
		stop_listening(w, "it does not answer");
	else if (!w->is_asked && now - w->heard_ms >= QUIET_MS && !ask_for_a_word(w))
		stop_listening(w, PQerrorMessage(pg_link_conn(w->link)));
}

int
pg_watch_fd(struct pg_watch *w, struct pst_err *err)
{
	if (w->is_listening)
		look_after(w);
	if (!w->is_listening && begin_listening(w, err) != 0)
		return -1;
	return PQsocket(pg_link_conn(w->link));
}

static void
take_answers(struct pg_watch *w, PGconn *c)
{
	while (w->is_asked && !PQisBusy(c)) {
		PGresult *r = PQgetResult(c);

		w->is_asked = r != NULL;
		PQclear(r);
	}
}

int
pg_watch_read(struct pg_watch *w, void (*changed)(void *arg, const struct pst_auth_change *change),
              void *arg, struct pst_err *err)
{
	PGconn *c = pg_link_conn(w->link);
	struct pst_auth_change change;
	PGnotify *n;
	bool is_alive;

	if (!w->is_listening)
		return pst_err_set(err, PST_E_TEMP, "listen: the connection was lost");
	is_alive = PQconsumeInput(c) == 1;
	w->heard_ms = w->host->now_ms();
	take_answers(w, c);
	while ((n = PQnotifies(c)) != NULL) {
		change = pg_watch_parse(n->extra);
		changed(arg, &change);
		PQfreemem(n);
	}
	if (!is_alive || PQstatus(c) == CONNECTION_BAD) {
		(void)pst_err_set(err, PST_E_TEMP, "listen: the connection was lost");
		stop_listening(w, PQerrorMessage(c));
		return -1;
	}
	if (w->tell_all) {
		w->tell_all = false;
		changed(arg, &(struct pst_auth_change){ PST_LIT(""), PST_LIT("") });
	}
	return 0;
}
