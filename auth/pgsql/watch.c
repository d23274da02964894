/* SPDX-License-Identifier: MIT */
/* Listening; see watch.h. The triggers of contrib/schema/postgresql.sql send what is read here. */
#include "auth/pgsql/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "auth/pgsql/say.h"

#define OPEN_MS 1000 /* how long a call may take */
#define QUIET_S 20   /* after so long without a word the server is asked whether it is there, */
#define ANSWER_S 5   /* and must say so within */

struct pg_watch {
	struct pg_link *link;
	int epoll; /* what the caller polls: the connection and the timer */
	int timer;
	bool is_listening;
	bool is_asked; /* an answer is due */
};

struct pg_watch *
pg_watch_create(struct pg_link *link)
{
	struct pg_watch *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		pg_link_destroy(link);
		return NULL;
	}
	w->link = link;
	w->epoll = w->timer = -1;
	return w;
}

void
pg_watch_destroy(struct pg_watch *w)
{
	if (w == NULL)
		return;
	pg_link_destroy(w->link);
	if (w->timer >= 0)
		close(w->timer);
	if (w->epoll >= 0)
		close(w->epoll);
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
wake_in(struct pg_watch *w, time_t seconds)
{
	const struct itimerspec at = { .it_value = { .tv_sec = seconds } };

	(void)timerfd_settime(w->timer, 0, &at, NULL);
}

static int
stop_listening(struct pg_watch *w, const char *why, struct pst_err *err)
{
	char words[160];

	pg_words(why, words, sizeof(words));
	pg_link_lose(w->link,
	             words); /* which closes the descriptor, and so takes it out of epoll */
	w->is_listening = w->is_asked = false;
	wake_in(w, 0);
	return pst_err_set(err, PST_E_TEMP, "listen: %s", words);
}

static int
begin_listening(struct pg_watch *w, struct pst_err *err)
{
	const struct pg_request listen = { .verb = PG_SIMPLE, .text = "LISTEN postern" };
	struct epoll_event ev = { .events = EPOLLIN };
	struct pg_answer a;

	pg_link_start_within(w->link, OPEN_MS);
	if (pg_link_open(w->link, err) != 0)
		return -1;
	a = pg_link_ask(w->link, &listen, NULL, NULL, err);
	if (a.outcome != PG_OK)
		return -1;
	pg_link_served(w->link);
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, PQsocket(pg_link_conn(w->link)), &ev) != 0)
		return stop_listening(w, strerror(errno), err);
	w->is_listening = true;
	wake_in(w, QUIET_S);
	return 0;
}

/* Only the process that listens has these. */
static int
open_descriptors(struct pg_watch *w, struct pst_err *err)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (w->epoll < 0)
		w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0)
		return pst_err_sys(err, PST_E_TEMP, "listen: epoll_create1");
	if (w->timer >= 0)
		return 0;
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &ev) != 0)
		return pst_err_sys(err, PST_E_TEMP, "listen: timer");
	return 0;
}

int
pg_watch_fd(struct pg_watch *w, struct pst_err *err)
{
	if (open_descriptors(w, err) != 0)
		return -1;
	if (w->link != NULL && !w->is_listening && begin_listening(w, err) != 0)
		return -1;
	return w->epoll;
}

/* A server that has died without a word, or hangs, would else be listened to for ever. An empty query is
 * the question. */
static int
look_after(struct pg_watch *w, struct pst_err *err)
{
	PGconn *c = pg_link_conn(w->link);
	uint64_t times;

	if (read(w->timer, &times, sizeof(times)) != (ssize_t)sizeof(times))
		return 0; /* it is not time yet */
	if (w->is_asked)
		return stop_listening(w, "it does not answer in time", err);
	if (PQsendQuery(c, "") != 1 || PQflush(c) < 0)
		return stop_listening(w, PQerrorMessage(c), err);
	w->is_asked = true;
	wake_in(w, ANSWER_S);
	return 0;
}

static void
take_answer(struct pg_watch *w, PGconn *c)
{
	while (w->is_asked && !PQisBusy(c)) {
		PGresult *r = PQgetResult(c);

		w->is_asked = r != NULL;
		PQclear(r);
		if (!w->is_asked)
			wake_in(w, QUIET_S);
	}
}

int
pg_watch_read(struct pg_watch *w, void (*changed)(void *arg, const struct pst_auth_change *change),
              void *arg, struct pst_err *err)
{
	struct pst_auth_change change;
	PGnotify *n;
	PGconn *c;
	bool is_alive;

	if (w->link == NULL)
		return 0;
	c = pg_link_conn(w->link);
	if (!w->is_listening)
		return pst_err_set(err, PST_E_TEMP, "listen: the connection was lost");
	is_alive = PQconsumeInput(c) == 1;
	take_answer(w, c);
	while ((n = PQnotifies(c)) != NULL) {
		change = pg_watch_parse(n->extra);
		changed(arg, &change);
		PQfreemem(n);
	}
	if (!is_alive || PQstatus(c) == CONNECTION_BAD)
		return stop_listening(w, PQerrorMessage(c), err);
	return look_after(w, err);
}
