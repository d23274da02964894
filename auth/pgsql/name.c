/* SPDX-License-Identifier: MIT */
/* getaddrinfo with a time limit; see name.h. Not getaddrinfo_a: its threads end in a way for which the C
 * library loads another one, and a sandboxed worker can load nothing any more. */
#include "auth/pgsql/name.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* One look-up: the thread's and ours, and freed by whoever comes last. */
struct job {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	char host[NI_MAXHOST];
	bool is_done, is_left;
	int rc;
	struct addrinfo *found;
};

struct pg_name {
	const char *host;
	struct job *job; /* under way, or NULL */
	size_t count;
	char addrs[PG_ADDRS][INET6_ADDRSTRLEN];
};

struct pg_name *
pg_name_create(const char *host)
{
	struct pg_name *n = calloc(1, sizeof(*n));

	if (n != NULL)
		n->host = host;
	return n;
}

static void
free_job(struct job *j)
{
	if (j->found != NULL)
		freeaddrinfo(j->found);
	(void)pthread_mutex_destroy(&j->lock);
	(void)pthread_cond_destroy(&j->ended);
	free(j);
}

void
pg_name_destroy(struct pg_name *n)
{
	struct job *j;
	bool is_ours;

	if (n == NULL)
		return;
	j = n->job;
	free(n);
	if (j == NULL)
		return;
	(void)pthread_mutex_lock(&j->lock);
	is_ours = j->is_done;
	j->is_left = true;
	(void)pthread_mutex_unlock(&j->lock);
	if (is_ours)
		free_job(j);
}

static void *
look_up(void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct job *j = arg;
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(j->host, NULL, &hints, &found);
	bool is_ours;

	(void)pthread_mutex_lock(&j->lock);
	j->rc = rc;
	j->found = rc == 0 ? found : NULL;
	j->is_done = true;
	is_ours = j->is_left;
	(void)pthread_cond_signal(&j->ended);
	(void)pthread_mutex_unlock(&j->lock);
	if (is_ours)
		free_job(j);
	return NULL;
}

/* Without signals: they are the main thread's. */
static int
start_thread(struct job *j)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc;

	(void)sigfillset(&all);
	if (pthread_attr_init(&attr) != 0)
		return -1;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, look_up, j);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return rc == 0 ? 0 : -1;
}

static int
begin(struct pg_name *n, struct pst_err *err)
{
	struct job *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;

	if (j == NULL || strlen(n->host) >= sizeof(j->host) || pthread_condattr_init(&attr) != 0) {
		free(j);
		return pst_err_set(err, PST_E_TEMP, "%.64s: no memory for the name", n->host);
	}
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&j->ended, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&j->lock, NULL);
	memcpy(j->host, n->host, strlen(n->host) + 1);
	if (start_thread(j) != 0) {
		free_job(j);
		return pst_err_set(err, PST_E_TEMP, "%s: no thread for the name", n->host);
	}
	n->job = j;
	return 0;
}

static void
take(struct pg_name *n, const struct addrinfo *a)
{
	n->count = 0;
	for (; a != NULL && n->count < PG_ADDRS; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, n->addrs[n->count], INET6_ADDRSTRLEN,
		                NULL, 0, NI_NUMERICHOST) == 0)
			n->count++;
}

/* Whether the job is over before until. */
static bool
wait_for(struct job *j, int64_t until_ms)
{
	const struct timespec until = { until_ms / 1000, until_ms % 1000 * 1000000 };
	bool is_done;

	(void)pthread_mutex_lock(&j->lock);
	while (!j->is_done && pthread_cond_timedwait(&j->ended, &j->lock, &until) != ETIMEDOUT)
		;
	is_done = j->is_done;
	(void)pthread_mutex_unlock(&j->lock);
	return is_done;
}

int
pg_name_find(struct pg_name *n, int64_t until_ms, struct pst_err *err)
{
	if (n->job == NULL && begin(n, err) != 0)
		return n->count > 0 ? 0 : -1;
	if (wait_for(n->job, until_ms)) {
		if (n->job->rc == 0)
			take(n, n->job->found);
		else
			(void)pst_err_set(err, PST_E_TEMP, "%s", gai_strerror(n->job->rc));
		free_job(n->job);
		n->job = NULL;
	} else {
		(void)pst_err_set(err, PST_E_TEMP, "no answer to the name in time");
	}
	return n->count > 0 ? 0 : -1;
}

size_t
pg_name_count(const struct pg_name *n)
{
	return n->count;
}

const char *
pg_name_addr(const struct pg_name *n, size_t idx)
{
	return n->addrs[idx];
}
