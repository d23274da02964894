/* SPDX-License-Identifier: MIT */
/* Workers as the process sees them that passes work to them; see crew.h. */
#include "ctl/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/message.h"

#define ROWS_MAX 1000 /* of one worker: what a plugin leaks stays small */

struct crewman {
	pid_t pid; /* 0: this place is free */
	int fd;
	uint32_t uid, gid; /* whose maildrops */
	uint32_t rows;
	char *user; /* in hand, or NULL */
	int64_t deadline_ms;
};

struct crew {
	const struct crew_order *order;
	const struct crew_listener *listener;
	struct crewman men[CREW_MAX];
	size_t places;
	char message[CREW_MESSAGE_MAX];
};

struct crew *
crew_create(const struct crew_order *order, const struct crew_listener *listener)
{
	struct crew *w = pst_new(struct crew);

	w->order = order;
	w->listener = listener;
	w->places = order->how.jobs < CREW_MAX ? order->how.jobs : CREW_MAX;
	return w;
}

/* Its end is told apart from its work's: by now it has none, or none that counts. */
static int
dismiss(struct crewman *m)
{
	int status = 0;

	close(m->fd);
	while (waitpid(m->pid, &status, 0) < 0 && errno == EINTR)
		;
	free(m->user);
	*m = (struct crewman){ .pid = 0 };
	return status;
}

void
crew_destroy(struct crew *w)
{
	size_t i;

	for (i = 0; i < w->places; i++) {
		if (w->men[i].pid == 0)
			continue;
		if (w->men[i].user != NULL)
			(void)kill(w->men[i].pid, SIGKILL);
		(void)dismiss(&w->men[i]);
	}
	free(w);
}

size_t
crew_busy(const struct crew *w)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < w->places; i++)
		n += w->men[i].user != NULL;
	return n;
}

bool
crew_has_room(const struct crew *w)
{
	return crew_busy(w) < w->places;
}

/* ---- What became of a maildrop ---- */

static void
tell_failure(struct crew *w, const char *user, const struct pst_err *err)
{
	const uint64_t none[DROPS_COUNTS] = { 0 };
	const struct crew_result result = { user, -1, *err, none };

	w->listener->ended(w->listener->arg, &result);
}

/* The worker is gone, with a maildrop in hand. */
static void
lose(struct crew *w, struct crewman *m, bool is_late)
{
	char *user = m->user;
	struct pst_err err;
	int status;

	m->user = NULL;
	if (is_late)
		(void)kill(m->pid, SIGKILL);
	status = dismiss(m);
	if (is_late)
		pst_err_set(&err, PST_E_TEMP,
		            "took longer than %lld seconds and was stopped (--limit)",
		            (long long)(w->order->how.limit_ms / 1000));
	else if (WIFSIGNALED(status))
		pst_err_set(&err, PST_E_PERM, "the work on it crashed: signal %d (%s)",
		            WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		pst_err_set(&err, PST_E_PERM, "the work on it ended the process, with status %d",
		            WEXITSTATUS(status));
	if (user != NULL)
		tell_failure(w, user, &err);
	free(user);
}

static void
take_result(struct crew *w, struct crewman *m, struct msg_reader *r)
{
	uint64_t counts[DROPS_COUNTS];
	struct crew_result result = { .user = m->user, .counts = counts };
	struct pst_str text;
	size_t i;

	result.rc = msg_get_u8(r) == 0 ? 0 : -1;
	result.err.kind = (enum pst_err_kind)msg_get_u8(r);
	text = msg_get_str(r, sizeof(result.err.text) - 1);
	pst_err_set(&result.err, result.err.kind, "%.*s", PST_ARG(text));
	for (i = 0; i < DROPS_COUNTS; i++)
		counts[i] = msg_get_u64(r);
	m->user = NULL;
	w->listener->ended(w->listener->arg, &result);
	free((char *)(uintptr_t)result.user);
}

/* One message, if there is one. False: the worker has said all. */
static bool
hear_one(struct crew *w, struct crewman *m)
{
	const ssize_t n = recv(m->fd, w->message, sizeof(w->message), MSG_DONTWAIT);
	struct msg_reader r = { .p = (const uint8_t *)w->message, .left = n > 0 ? (size_t)n : 0 };
	enum crew_said said;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		lose(w, m, false);
		return false;
	}
	said = (enum crew_said)msg_get_u8(&r);
	if (said == CREW_RESULT && m->user != NULL)
		take_result(w, m, &r);
	else if (said == CREW_LINE || said == CREW_COMPLAINT)
		w->listener->line(w->listener->arg, said == CREW_COMPLAINT,
		                  (struct pst_str){ (const char *)r.p, r.left });
	return true;
}

void
crew_hear(struct crew *w)
{
	size_t i;

	for (i = 0; i < w->places; i++) {
		struct crewman *m = &w->men[i];
		unsigned left = 64; /* messages: the others want to be heard too */

		if (m->pid == 0)
			continue;
		while (left-- > 0 && m->pid != 0 && hear_one(w, m))
			;
		if (m->pid != 0 && m->user != NULL && pst_now_ms() >= m->deadline_ms)
			lose(w, m, true);
	}
}

size_t
crew_poll(const struct crew *w, struct pollfd *fds)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < w->places; i++)
		if (w->men[i].pid != 0)
			fds[n++] = (struct pollfd){ .fd = w->men[i].fd, .events = POLLIN };
	return n;
}

int
crew_patience_ms(const struct crew *w)
{
	const int64_t now = pst_now_ms();
	int64_t least = -1;
	size_t i;

	for (i = 0; i < w->places; i++) {
		int64_t left = w->men[i].deadline_ms - now;

		if (w->men[i].user == NULL)
			continue;
		left = left < 0 ? 0 : left > 60000 ? 60000 : left;
		if (least < 0 || left < least)
			least = left;
	}
	return (int)least;
}

/* ---- Work ---- */

static int
enlist(struct crew *w, struct crewman *m, const struct drop_row *row, struct pst_err *err)
{
	int ends[2];
	pid_t pid;

	(void)fflush(stdout);
	(void)fflush(stderr);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return pst_err_sys(err, PST_E_TEMP, "socketpair");
	pid = fork();
	if (pid == 0)
		crewman_run(w->order, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		pst_err_sys(err, PST_E_TEMP, "fork");
		close(ends[0]);
		return -1;
	}
	*m = (struct crewman){ .pid = pid, .fd = ends[0], .uid = row->uid, .gid = row->gid };
	return 0;
}

static bool
is_of_same_owner(const struct crew *w, const struct crewman *m, const struct drop_row *row)
{
	return w->order->settings->mail.run_as != RUN_AS_USER ||
	       (m->uid == row->uid && m->gid == row->gid);
}

/* An idle worker of this owner; else a free place, if need be of an idle one of another owner. */
static struct crewman *
choose(struct crew *w, const struct drop_row *row)
{
	struct crewman *free_place = NULL, *other = NULL;
	size_t i;

	for (i = 0; i < w->places; i++) {
		struct crewman *m = &w->men[i];

		if (m->pid == 0)
			free_place = m;
		else if (m->user == NULL && m->rows < ROWS_MAX && is_of_same_owner(w, m, row))
			return m;
		else if (m->user == NULL)
			other = m;
	}
	if (free_place == NULL) {
		pst_assert(other != NULL);
		(void)dismiss(other);
		free_place = other;
	}
	return free_place;
}

void
crew_give(struct crew *w, const struct drop_row *row)
{
	struct crewman *m = choose(w, row);
	const struct drops_how *how = &w->order->how;
	size_t n = crew_put_row(w->message, sizeof(w->message), row);
	struct pst_err err;

	if (m->pid == 0 && enlist(w, m, row, &err) != 0) {
		tell_failure(w, row->user, &err);
		return;
	}
	m->rows++;
	m->user = pst_strdup(row->user);
	m->deadline_ms = pst_now_ms() + how->limit_ms + how->wait_ms;
	/* Where it has died of the row before, its end is heard next. */
	(void)send(m->fd, w->message, n, MSG_NOSIGNAL);
}
