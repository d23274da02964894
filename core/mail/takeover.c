/* SPDX-License-Identifier: MIT */
/* A maildrop that is another session's; see takeover.h. */
#include "mail/takeover.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "ipc/holders.h"

#define LOOK_MS 10       /* between two looks at what is waited for */
#define RETRY_MS 40      /* between two attempts where nothing can be looked at */
#define ASK_AGAIN_MS 500 /* a question may be lost */
#define UNANSWERED 3     /* retransmissions, or probes of a silent connection */

/* A session that waits. */
struct mail_wait {
	struct mail_session *of;
	struct mail_wait *next;
	char *path;
	struct pst_err why; /* the last attempt failed */
	bool is_contract;
	int64_t until_ms;
	int64_t retry_ms; /* where place is NOWHERE */
	int64_t stays_ms; /* since when it is known that the other one stays; 0: it is not */
	int64_t asked_ms;
	uint32_t place; /* of the other one */
	uint64_t claim; /* on it, or 0 */
};

static int64_t
now_of(const struct mail *m)
{
	return (int64_t)uv_now(m->loop);
}

/* ---- The one who comes ---- */

void
mail_takeover_come(struct mail_session *s, struct pst_str location)
{
	struct mail *m = s->mail;

	if (m->holders == NULL || location.n == 0)
		return;
	s->holder_drop = holders_drop(m->holders, location);
	s->holder = holders_come(m->holders, s->holder_drop, m->usage_owner, pst_str_c(s->peer),
	                         now_of(m));
}

void
mail_takeover_closing(struct mail_session *s)
{
	if (s->holder != HOLDERS_NOWHERE)
		holders_set(s->mail->holders, s->holder, HOLDER_CLOSING);
}

static void
withdraw(struct mail_wait *w)
{
	holders_withdraw(w->of->mail->holders, w->place, w->claim);
	w->claim = 0;
}

static void
stop_waiting(struct mail_session *s)
{
	struct mail *m = s->mail;
	struct mail_wait **at = &m->waits;

	withdraw(s->wait);
	while (*at != s->wait)
		at = &(*at)->next;
	*at = s->wait->next;
	if (m->waits == NULL)
		(void)uv_timer_stop(&m->door);
	free(s->wait->path);
	free(s->wait);
	s->wait = NULL;
}

void
mail_takeover_leave(struct mail_session *s)
{
	if (s->wait != NULL)
		stop_waiting(s);
	if (s->holder == HOLDERS_NOWHERE)
		return;
	holders_leave(s->mail->holders, s->holder);
	s->holder = HOLDERS_NOWHERE;
}

void
mail_takeover_opened(struct mail_session *s)
{
	if (s->wait != NULL)
		stop_waiting(s);
	if (s->holder != HOLDERS_NOWHERE)
		holders_set(s->mail->holders, s->holder, HOLDER_OPEN);
}

static void on_door(uv_timer_t *timer);

static struct mail_wait *
start_waiting(struct mail_session *s, const char *path)
{
	struct mail *m = s->mail;
	struct mail_wait *w = pst_new(struct mail_wait);

	w->of = s;
	w->path = pst_strdup(path);
	w->until_ms = now_of(m) + TAKEOVER_OTHER_MS;
	if (m->waits == NULL) {
		int rc = uv_timer_start(&m->door, on_door, 0, LOOK_MS);

		pst_assert(rc == 0); /* it is not being closed */
	}
	w->next = m->waits;
	m->waits = w;
	return w;
}

bool
mail_takeover_wait(struct mail_session *s, const char *path, const struct pst_err *why,
                   bool is_contract)
{
	struct mail *m = s->mail;
	const bool is_first = s->wait == NULL;
	uint32_t place;

	if (m->holders == NULL || m->is_stopping)
		return false;
	place = holders_find(m->holders, s->holder_drop, s->holder);
	if (is_first) {
		/* The user's other sessions are in other maildrops: this may last. */
		if (is_contract && place == HOLDERS_NOWHERE)
			return false;
		s->wait = start_waiting(s, path);
	} else if (now_of(m) >= s->wait->until_ms) {
		return false;
	}
	if (place != HOLDERS_NOWHERE && (is_first || s->wait->place == HOLDERS_NOWHERE))
		s->wait->until_ms = now_of(m) + TAKEOVER_WAIT_MS;
	s->wait->place = place;
	s->wait->retry_ms = now_of(m) + RETRY_MS;
	s->wait->is_contract = is_contract;
	s->wait->why = *why;
	return true;
}

bool
mail_takeover_waits_for_contract(const struct mail_session *s)
{
	return s->wait != NULL && s->wait->is_contract;
}

/* Seconds since then, of a time that another process has written. */
static int64_t
age_s(int64_t now_ms, int64_t then_ms)
{
	return then_ms > 0 && then_ms < now_ms ? (now_ms - then_ms) / 1000 : 0;
}

const char *
mail_takeover_holder(const struct mail_session *s, char *out, size_t cap)
{
	const struct mail *m = s->mail;
	const struct holder *r;
	uint32_t place;

	out[0] = '\0';
	if (m->holders == NULL)
		return out;
	place = holders_find(m->holders, s->holder_drop, s->holder);
	if (place == HOLDERS_NOWHERE)
		return out;
	r = &m->holders->row[place];
	(void)snprintf(out, cap, "; held by %.*s for %" PRId64 " s, silent for %" PRId64 " s",
	               (int)strnlen(r->peer, sizeof(r->peer)), r->peer,
	               age_s(now_of(m), atomic_load(&r->since_ms)),
	               age_s(now_of(m), atomic_load(&r->heard_ms)));
	return out;
}

static void
ask(struct mail *m, uint32_t place)
{
	const uint64_t one = 1;

	if (atomic_load(&m->holders->row[place].owner) == m->usage_owner) {
		mail_takeover_asked(m, place);
		return;
	}
	holders_ask(m->holders, place);
	if (m->wake_fd >= 0 && write(m->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is at its end: the master is awake already */
}

/* Whether the other one stays, as far as is known. */
static bool
does_stay(struct mail_wait *w, uint32_t state, int64_t now_ms)
{
	struct mail_session *s = w->of;
	struct mail *m = s->mail;

	if (state == HOLDER_CLOSING)
		return false;
	if (state != HOLDER_OPEN)
		return true; /* its client has just logged in */
	if (w->claim == 0) {
		w->claim = holders_claim(m->holders, w->place, s->holder_drop, now_ms);
		if (w->claim == 0)
			return true; /* somebody else was first, and gets it or not */
		w->asked_ms = now_ms - ASK_AGAIN_MS;
	}
	switch (holders_verdict(m->holders, w->place, w->claim)) {
	case HOLDER_STAYS:
		return true;
	case HOLDER_GOES:
		break;
	case HOLDER_SILENT:
		if (now_ms - w->asked_ms < ASK_AGAIN_MS)
			break;
		w->asked_ms = now_ms;
		ask(m, w->place);
		break;
	}
	return false;
}

static void
try_again(struct mail_wait *w)
{
	withdraw(w);
	w->place = HOLDERS_NOWHERE;
	mail_session_try_opening(w->of, w->path);
}

/* May end the waiting, and w with it. */
static void
look(struct mail_wait *w, int64_t now_ms)
{
	struct mail_session *s = w->of;
	uint32_t state;

	if (s->phase != MAIL_OPENING || s->job != NULL)
		return; /* it ends, or tries just now */
	state = holders_state(s->mail->holders, w->place, s->holder_drop);
	if (state == 0) {
		if (w->place != HOLDERS_NOWHERE || now_ms >= w->retry_ms)
			try_again(w);
		return;
	}
	if (!does_stay(w, state, now_ms))
		w->stays_ms = 0;
	else if (w->stays_ms == 0)
		w->stays_ms = now_ms;
	if (now_ms >= w->until_ms ||
	    (w->stays_ms != 0 && now_ms - w->stays_ms >= TAKEOVER_GRACE_MS))
		mail_session_give_up(s, &w->why);
}

static void
on_door(uv_timer_t *timer)
{
	struct mail *m = timer->data;
	struct mail_wait *w, *next;

	for (w = m->waits; w != NULL; w = next) {
		next = w->next;
		look(w, now_of(m));
	}
}

/* ---- The one who is there ---- */

/* Octets that it did not acknowledge for long, though they were sent again and again. A relay of login's
 * is no TCP connection, and is not asked. */
static bool
is_deaf(const struct mail_session *s)
{
	struct tcp_info info = { .tcpi_state = TCP_ESTABLISHED };
	socklen_t n = sizeof(info);

	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return false;
	if (info.tcpi_state == TCP_CLOSE)
		return true;
	return (info.tcpi_retransmits >= UNANSWERED || info.tcpi_probes >= UNANSWERED) &&
	       info.tcpi_last_ack_recv >= TAKEOVER_GONE_MS;
}

enum at_socket { NOTHING_THERE, OCTETS_THERE, END_THERE, ERROR_THERE };

/* What the socket has that was not looked at yet. */
static enum at_socket
peek(const struct mail_session *s)
{
	char octet;
	ssize_t n = recv(s->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		return OCTETS_THERE;
	if (n == 0)
		return END_THERE;
	return errno == EAGAIN || errno == EINTR ? NOTHING_THERE : ERROR_THERE;
}

enum decision { STAY, LEAVE_ALONE, END };

/* LEAVE_ALONE: it goes by itself. */
static enum decision
decide(const struct mail_session *s)
{
	const int64_t after_ms = s->mail->limits.takeover_ms;
	enum at_socket there;

	if (s->phase == MAIL_OPENING)
		return STAY; /* what the pool does cannot be called off */
	if (s->phase >= MAIL_CLOSING || (s->phase == MAIL_QUITTING && s->job != NULL))
		return LEAVE_ALONE;
	there = peek(s);
	if (!s->is_blocked && (there == END_THERE || there == ERROR_THERE))
		return LEAVE_ALONE; /* its turn is next */
	if (after_ms == 0)
		return STAY;
	if (there == ERROR_THERE || is_deaf(s))
		return END;
	if (s->job != NULL)
		return STAY; /* the client waits for us */
	/* One that has yielded has its turn as soon as the socket takes something. */
	if (there == OCTETS_THERE && !s->is_blocked && !s->has_yielded)
		return STAY;
	return now_of(s->mail) - s->heard_ms >= after_ms ? END : STAY;
}

void
mail_takeover_asked(struct mail *m, uint32_t place)
{
	struct mail_session *s = m->sessions;
	enum decision decision;

	while (s != NULL && s->holder != place)
		s = s->next;
	if (s == NULL || !holders_is_claimed(m->holders, place))
		return; /* it has gone meanwhile */
	decision = decide(s);
	pst_log_debug(&s->log, "takeover.asked",
	              "decision=%d phase=%d busy=%d blocked=%d silent_ms=%" PRId64, (int)decision,
	              (int)s->phase, s->job != NULL, s->is_blocked, now_of(m) - s->heard_ms);
	holders_answer(m->holders, place, decision == STAY ? HOLDER_STAYS : HOLDER_GOES,
	               s->heard_ms);
	if (decision == END)
		mail_session_give_way(s);
}

void
mail_takeover_init(struct mail *m)
{
	int rc = uv_timer_init(m->loop, &m->door);

	pst_assert(rc == 0); /* it never fails */
	m->door.data = m;
}

void
mail_takeover_clear(struct mail *m)
{
	pst_assert(m->waits == NULL);
	uv_close((uv_handle_t *)&m->door, NULL);
}
