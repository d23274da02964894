/* SPDX-License-Identifier: MIT */
/* getaddrinfo with a time limit; see name.h. */
#include "auth/pgsql/name.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct pg_name {
	const char *host;
	struct gaicb job;
	struct addrinfo hints;
	bool is_running; /* job belongs to the C library's thread */
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

void
pg_name_destroy(struct pg_name *n)
{
	struct gaicb *jobs[1];
	int rc;

	if (n == NULL)
		return;
	jobs[0] = &n->job;
	if (n->is_running) {
		/* One that cannot be called back any more is waited for: its thread writes here. */
		while ((rc = gai_cancel(&n->job)) == EAI_NOTCANCELED)
			(void)gai_suspend((const struct gaicb *const *)jobs, 1, NULL);
		if (rc == EAI_ALLDONE && n->job.ar_result != NULL)
			freeaddrinfo(n->job.ar_result);
	}
	free(n);
}

static int
begin(struct pg_name *n, struct pst_err *err)
{
	struct gaicb *jobs[1] = { &n->job };
	int rc;

	n->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM };
	n->job = (struct gaicb){ .ar_name = n->host, .ar_request = &n->hints };
	rc = getaddrinfo_a(GAI_NOWAIT, jobs, 1, NULL);
	if (rc != 0)
		return pst_err_set(err, PST_E_TEMP, "%s: %s", n->host, gai_strerror(rc));
	n->is_running = true;
	return 0;
}

static void
take(struct pg_name *n)
{
	const struct addrinfo *a;

	n->count = 0;
	for (a = n->job.ar_result; a != NULL && n->count < PG_ADDRS; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, n->addrs[n->count], INET6_ADDRSTRLEN,
		                NULL, 0, NI_NUMERICHOST) == 0)
			n->count++;
	freeaddrinfo(n->job.ar_result);
}

/* 0 once the job is over, whatever came of it. */
static int
wait_for(struct pg_name *n, int64_t left_ms, struct pst_err *err)
{
	const struct gaicb *const jobs[1] = { &n->job };
	const struct timespec limit = { left_ms / 1000, left_ms % 1000 * 1000000 };
	int rc = gai_error(&n->job);

	if (rc == EAI_INPROGRESS && left_ms > 0) {
		(void)gai_suspend(jobs, 1, &limit);
		rc = gai_error(&n->job);
	}
	if (rc == EAI_INPROGRESS)
		return pst_err_set(err, PST_E_TEMP, "%s: no answer to the name yet", n->host);
	n->is_running = false;
	if (rc == 0)
		take(n);
	else
		(void)pst_err_set(err, PST_E_TEMP, "%s: %s", n->host, gai_strerror(rc));
	return 0;
}

int
pg_name_find(struct pg_name *n, const struct pst_host *host, int64_t until_ms, struct pst_err *err)
{
	if (n->is_running || begin(n, err) == 0)
		(void)wait_for(n, until_ms - host->now_ms(), err);
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
