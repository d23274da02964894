/* SPDX-License-Identifier: MIT */
/* A session's life: its socket, its turns, its phases and its end; see session.h. */
#include "mail/session.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "ipc/holders.h"
#include "ipc/shm.h"
#include "ipc/usage.h"
#include "mail/ahead.h"
#include "mail/closing.h"
#include "mail/contract.h"
#include "mail/lease.h"
#include "mail/expire.h"
#include "mail/news.h"
#include "mail/takeover.h"
#include "pop3/reply.h"
#include "pop3/stored.h"

#define IN_MAX (WIRE_INPUT + MAIL_READ_MAX + POP3_LINE_MAX)

void
mail_session_refuse(struct mail_session *s, const struct pst_err *why, const char *text)
{
	struct pst_err err;
	int rc = pop3_reply_err(&s->mail->out, why, text, &err);

	pst_assert(rc == 0);
}

/* ---- The end ---- */

static void
log_end(struct mail_session *s)
{
	if (!s->was_open)
		return; /* why is in the log already */
	pst_log_info(&s->log, "session.end",
	             "reason=%s retr=%" PRIu32 " top=%" PRIu32 " dele=%" PRIu32 " octets=%" PRIu64
	             " took_ms=%" PRId64,
	             s->reason, s->retrieved, s->tops, s->deleted, s->octets_out,
	             (int64_t)uv_now(s->mail->loop) - s->started_ms);
}

static void
free_session(struct mail_session *s)
{
	struct mail *m = s->mail;

	log_end(s);
	mail_news_session(s);
	mail_news_part(s);
	if (m->board != NULL && s->row != MAIL_NO_ROW)
		board_free(m->board, s->row);
	*(s->prev == NULL ? &m->sessions : &s->prev->next) = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	mail_contract_leave(s);
	mail_takeover_leave(s);
	mail_lease_leave(s);
	maildrop_clear(&s->drop);
	free(s->user);
	free(s->mechanism);
	free(s->app);
	free(s->master);
	free(s);
	m->session_count--;
	if (m->self != NULL)
		atomic_store(&m->self->sessions, m->session_count);
	if (m->session_count == 0 && m->emptied != NULL)
		m->emptied(m->arg);
}

static void settle(struct mail_session *s, bool is_read_ready);

static void
on_poll_closed(uv_handle_t *handle)
{
	struct mail_session *s = handle->data;

	s->is_poll_closed = true;
	settle(s, false);
}

/* The connection ends now. Whatever has not been sent is not. */
static void
part(struct mail_session *s, const char *reason)
{
	if (s->phase == MAIL_GONE)
		return;
	if (s->reason == NULL)
		s->reason = reason;
	s->phase = MAIL_GONE;
	mail_session_stop_waiting(s);
	pst_buf_clear(&s->in);
	pst_buf_clear(&s->pending);
	if (s->has_poll)
		uv_close((uv_handle_t *)&s->poll, on_poll_closed);
	close(s->fd);
	s->fd = -1;
}

void
mail_session_finish(struct mail_session *s, const char *reason)
{
	if (s->phase >= MAIL_CLOSING)
		return;
	s->phase = MAIL_CLOSING;
	if (s->reason == NULL)
		s->reason = reason;
}

/* All is sent. The socket is not closed yet: octets that arrive on a closed one are answered with
 * a reset, which may throw away what the client has not read. */
static void
shut(struct mail_session *s)
{
	if (shutdown(s->fd, SHUT_WR) != 0 || s->is_eof || s->mail->is_stopping) {
		part(s, "closed");
		return;
	}
	s->phase = MAIL_LINGERING;
	pst_buf_clear(&s->in);
	mail_session_wait_in(s, &s->mail->linger);
}

/* Nobody reads our answers any more. A QUIT that was said before still counts, unless a message
 * that the client has asked for was lost on the way. */
static bool
is_over(const struct mail_session *s)
{
	return s->is_lost && (s->phase != MAIL_QUITTING || s->has_body_unsent);
}

static bool
can_read(const struct mail_session *s)
{
	if (s->phase == MAIL_LINGERING)
		return true;
	return s->phase == MAIL_SERVING && s->job == NULL && !s->is_blocked && !s->is_eof &&
	       !s->has_backlog && !s->send.is_active && !s->listing.is_active;
}

static void on_event(uv_poll_t *handle, int status, int events);

/* The socket is watched from the first time on that it has to be waited for: a poll whose client sent all
 * its commands at once is over by then. */
static bool
make_poll(struct mail_session *s)
{
	s->poll.data = s;
	s->has_poll = uv_poll_init(s->mail->loop, &s->poll, s->fd) == 0;
	return s->has_poll;
}

/* Changing what is waited for costs a system call: so READABLE stays on, though nothing would be
 * read now, until an event comes of it. false: this is nothing that can be waited for. */
static bool
watch(struct mail_session *s, bool is_read_ready)
{
	int want = 0;

	if ((s->is_blocked || s->has_yielded) && !s->is_lost)
		want |= UV_WRITABLE;
	if (can_read(s) || (!is_read_ready && (s->mask & UV_READABLE) != 0))
		want |= UV_READABLE;
	if (want == s->mask)
		return true;
	if (!s->has_poll && !make_poll(s))
		return false;
	s->mask = want;
	(void)uv_poll_start(&s->poll, want, on_event); /* fails only for a handle being closed */
	return true;
}

static void closed(struct mail_session *s, const struct maildrop_job *job);

static void
close_drop(struct mail_session *s, bool commit)
{
	struct maildrop_job quick;

	mail_ahead_drop(s);
	mail_closing_prepare(s, commit);
	if (maildrop_close_now(&s->drop, commit, &quick)) {
		closed(s, &quick);
		mail_session_flush(s);
		return;
	}
	mail_session_flush(s);
	mail_takeover_closing(s);
	s->job = maildrop_close(&s->drop, s->mail->loop, commit, mail_session_on_job, s);
}

/* The maildrop is not this session's, and it does not wait for it any more. */
static void
leave_drop(struct mail_session *s)
{
	s->mail->drop_count--;
	mail_contract_leave(s);
	mail_takeover_leave(s);
}

/* After every turn: takes the phase on as far as it goes by itself. May free s. */
static void
settle(struct mail_session *s, bool is_read_ready)
{
	if (s->phase < MAIL_GONE && is_over(s))
		part(s, "closed");
	if (s->phase != MAIL_OPENING && s->wait != NULL && s->job == NULL)
		leave_drop(s);
	/* What the client has asked for goes out before what it has marked goes. */
	if (s->phase == MAIL_QUITTING && s->job == NULL && !(s->is_blocked && s->has_body_unsent)) {
		if (s->drop.marked == 0 || mail_lease_holds(s)) {
			close_drop(s, true);
		} else {
			mail_lease_refuse(s);
			mail_session_flush(s);
		}
	}
	if (s->phase == MAIL_CLOSING && !s->is_blocked)
		shut(s);
	if (s->phase >= MAIL_CLOSING && s->job == NULL) {
		mail_send_drop(s);
		if (s->drop.drop != NULL)
			close_drop(s, false);
	}
	mail_ahead_start(s);
	if (s->phase != MAIL_GONE && !watch(s, is_read_ready)) {
		part(s, "closed");
		settle(s, false);
		return;
	}
	if (s->phase == MAIL_GONE && s->job == NULL && (s->is_poll_closed || !s->has_poll))
		free_session(s);
}

/* ---- Events ---- */

static void
on_event(uv_poll_t *handle, int status, int events)
{
	struct mail_session *s = handle->data;
	struct pst_str fresh = { "", 0 };
	bool is_read_ready;

	mail_turn_begin(s);
	if (status < 0) { /* an error waits at the socket, and libuv has stopped watching it */
		s->mask = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	is_read_ready = (events & UV_READABLE) != 0;
	if ((events & UV_WRITABLE) != 0 && s->is_blocked)
		mail_session_write_pending(s);
	if (is_read_ready && can_read(s)) {
		fresh = mail_session_read(s);
		is_read_ready = false;
	}
	if (s->phase == MAIL_LINGERING) {
		if (s->is_eof || s->is_lost)
			part(s, "closed");
	} else {
		mail_turn_run(s, fresh);
	}
	settle(s, is_read_ready);
}

/* ---- Jobs ---- */

static void
fail_opening(struct mail_session *s, const struct pst_err *why)
{
	char holder[160];

	pst_log_write(why->kind == PST_E_IN_USE ? PST_LOG_INFO : PST_LOG_ERROR, &s->log,
	              "maildrop.refused", "reason=\"%s%s\"", why->text,
	              why->kind == PST_E_IN_USE ? mail_takeover_holder(s, holder, sizeof(holder))
	                                        : "");
	leave_drop(s);
	if (s->phase != MAIL_OPENING)
		return;
	mail_session_refuse(s, why, NULL);
	mail_session_finish(s, "refused");
}

static void
opened(struct mail_session *s, const struct maildrop_job *job, const char *path)
{
	struct pst_err err;

	if (job->rc != 0) {
		mail_contract_leave(s);
		if (s->phase != MAIL_OPENING || job->err.kind != PST_E_IN_USE ||
		    !mail_takeover_wait(s, path, &job->err, false))
			fail_opening(s, &job->err);
		return;
	}
	s->was_open = true;
	mail_expire_tell(s, job);
	mail_takeover_opened(s);
	mail_contract_opened(s);
	if (s->phase != MAIL_OPENING)
		return; /* it has ended meanwhile */
	s->phase = MAIL_SERVING;
	mail_news_look(s->mail);
	if (s->is_doomed) {
		mail_news_goodbye(s);
		return;
	}
	(void)pop3_reply_ok(&s->mail->out, &err, "%" PRIu32 " messages (%" PRIu64 " octets)",
	                    s->drop.count, s->drop.octets);
}

static void
log_update(struct mail_session *s, const struct maildrop_job *job)
{
	s->deleted = job->removed;
	if (job->rc != 0)
		pst_log_error(&s->log, "maildrop.update.failed",
		              "deleted=%" PRIu32 " of=%" PRIu32 " reason=\"%s\"", job->removed,
		              s->drop.marked, job->err.text);
	else if (job->removed > 0)
		pst_log_info(&s->log, "maildrop.update", "deleted=%" PRIu32 " left=%" PRIu32,
		             job->removed, s->drop.count - job->removed);
}

/* The answer to QUIT comes when the messages are gone and the lock is free. */
static void
closed(struct mail_session *s, const struct maildrop_job *job)
{
	struct pst_err err;

	leave_drop(s);
	mail_closing_tell(s, job);
	if (!job->has_commit)
		return;
	log_update(s, job);
	if (s->reason == NULL)
		s->reason = "quit";
	if (s->phase != MAIL_QUITTING)
		return;
	if (job->rc != 0)
		mail_session_refuse(s, &job->err, "some deleted messages were not removed");
	else
		(void)pop3_reply_ok(&s->mail->out, &err, "%" PRIu32 " messages deleted",
		                    job->removed);
	mail_session_finish(s, "quit");
}

void
mail_session_on_job(struct maildrop_job *job)
{
	struct mail_session *s = job->arg;

	mail_turn_begin(s);
	s->job = NULL;
	switch (job->kind) {
	case MAILDROP_OPEN:
		opened(s, job, job->path);
		break;
	case MAILDROP_FETCH:
	case MAILDROP_READ:
		if (s->is_job_ahead)
			break;
		if (s->phase == MAIL_SERVING)
			mail_send_fetched(s, job);
		else if (job->kind == MAILDROP_FETCH && job->rc == 0)
			pop3_stored_release(&job->body);
		break;
	case MAILDROP_CLOSE:
		closed(s, job);
		break;
	}
	if (s->is_job_ahead)
		mail_ahead_done(s, job);
	else
		maildrop_job_free(job);
	if (s->phase != MAIL_GONE)
		mail_turn_run(s, (struct pst_str){ "", 0 });
	settle(s, false);
}

/* ---- From outside ---- */

static void
copy_names(struct mail_session *s, const struct mail_start *how)
{
	size_t n = how->sid.n < WIRE_SID ? how->sid.n : WIRE_SID;

	memcpy(s->doing, "session ", 8);
	if (n > 0)
		memcpy(s->doing + 8, how->sid.p, n);
	n = how->peer.n < WIRE_ADDR ? how->peer.n : WIRE_ADDR;
	if (n > 0)
		memcpy(s->peer, how->peer.p, n);
	s->user = pst_str_dup(how->user);
	s->log = (struct pst_log){ s->doing + 8, s->peer, { s->user, how->user.n } };
}

static void
own_row(struct mail_session *s, uint32_t row)
{
	struct board *board = s->mail->board;

	s->row = MAIL_NO_ROW;
	if (board == NULL || row >= board->rows)
		return;
	s->row = row;
	board_own(board, row, SESSION_MAIL, WORKER_MAIL, s->mail->slot);
	(void)snprintf(board->row[row].user, sizeof(board->row[row].user), "%s", s->user);
}

static struct mail_session *
new_session(struct mail *m, const struct mail_start *how)
{
	struct mail_session *s = pst_new(struct mail_session);

	s->mail = m;
	s->fd = how->fd;
	s->is_read_only = how->read_only;
	s->is_tls = how->is_tls;
	s->drop.is_raw = how->utf8 || m->has_no_surrogates;
	s->drop.ends_headers = m->limits.ends_headers;
	s->offered = how->offered;
	s->language = how->language;
	s->phase = MAIL_OPENING;
	s->drop.storage = how->storage;
	s->drop.max_listed = m->limits.max_listed;
	s->drop.self = how->storage_self;
	s->started_ms = (int64_t)uv_now(m->loop);
	s->usage_place = USAGE_NOWHERE;
	s->holder = HOLDERS_NOWHERE;
	s->heard_ms = s->started_ms;
	pst_buf_init(&s->in, IN_MAX);
	pst_buf_init(&s->pending, 2 * MAIL_OUT_MAX);
	copy_names(s, how);
	own_row(s, how->row);
	s->next = m->sessions;
	if (s->next != NULL)
		s->next->prev = s;
	m->sessions = s;
	m->session_count++;
	mail_news_join(s);
	if (m->self != NULL)
		atomic_store(&m->self->sessions, m->session_count);
	return s;
}

/* Octets that came with the hand-off stand before all that the socket gives. */
static void
keep_first_input(struct mail_session *s, struct pst_str input)
{
	struct pst_err err;
	int rc = 0;

	if (input.n > 0)
		rc = pst_buf_add(&s->in, input, &err);
	pst_assert(rc == 0); /* at most WIRE_INPUT */
}

/* A poll that finds nothing new is served without the pool. */
static void
start_opening(struct mail_session *s, const char *path)
{
	struct maildrop_job quick;
	struct pst_err err;

	if (mail_contract_enter(s, &err) != 0) {
		if (err.kind != PST_E_IN_USE || !mail_takeover_wait(s, path, &err, true)) {
			leave_drop(s);
			mail_contract_refuse(s, &err);
		}
		return;
	}
	if (maildrop_open_now(&s->drop, path, s->log.user, &quick))
		opened(s, &quick, path);
	else
		s->job = maildrop_open(&s->drop, s->mail->loop, path, s->log.user,
		                       mail_session_on_job, s);
}

void
mail_session_try_opening(struct mail_session *s, const char *path)
{
	mail_turn_begin(s);
	start_opening(s, path);
	mail_turn_run(s, (struct pst_str){ "", 0 });
	settle(s, false);
}

void
mail_session_give_up(struct mail_session *s, const struct pst_err *why)
{
	const struct pst_err err = *why; /* it goes with the waiting */

	mail_turn_begin(s);
	if (mail_takeover_waits_for_contract(s)) {
		leave_drop(s);
		mail_contract_refuse(s, &err);
	} else {
		fail_opening(s, &err);
	}
	mail_session_flush(s);
	settle(s, false);
}

void
mail_session_start(struct mail *m, const struct mail_start *how)
{
	struct mail_session *s;

	mail_news_look(m); /* what is older than the session is not about it */
	s = new_session(m, how);
	mail_turn_begin(s);
	mail_session_wait_in(s, &m->idle);
	mail_closing_init(s, how->ticket);
	mail_expire_init(s, how->ticket);
	if (how->ticket != NULL) {
		mail_contract_take(s, how->ticket);
		mail_news_since(s, how->ticket->changes_at);
	}
	if (how->refusal != NULL) {
		mail_session_refuse(s, how->refusal, NULL);
		mail_session_finish(s, "refused");
		mail_session_flush(s);
	} else if (s->is_doomed) {
		mail_news_goodbye(s);
		mail_session_flush(s);
	} else if (!mail_contract_may_open(s)) {
		mail_session_flush(s);
	} else {
		keep_first_input(s, how->input);
		m->drop_count++;
		mail_takeover_come(s, how->location);
		mail_expire_prepare(s);
		start_opening(s, how->path);
		mail_turn_run(s, (struct pst_str){ "", 0 });
	}
	settle(s, false);
}

void
mail_session_give_way(struct mail_session *s)
{
	const struct pst_err why = { .kind = PST_E_IN_USE };

	if (s->phase == MAIL_QUITTING) { /* it waits for its client to take a message */
		part(s, "taken-over");
		settle(s, false);
		return;
	}
	mail_session_end(s, "taken-over", &why, "another session of this user has taken over");
}

void
mail_session_time_out(struct mail_session *s)
{
	part(s, s->phase == MAIL_LINGERING ? "closed" : "timeout");
	settle(s, false);
}

bool
mail_session_is_idle(const struct mail_session *s)
{
	if (s->phase == MAIL_OPENING)
		return true;
	return s->phase == MAIL_SERVING && (s->job == NULL || s->is_job_ahead) && !s->is_blocked &&
	       !s->send.is_active && !s->listing.is_active;
}

void
mail_session_end(struct mail_session *s, const char *reason, const struct pst_err *why,
                 const char *text)
{
	mail_turn_begin(s);
	if (mail_session_is_idle(s)) {
		mail_session_refuse(s, why, text);
		mail_session_finish(s, reason);
		mail_session_flush(s);
	} else if (s->phase == MAIL_SERVING || (s->mail->is_stopping && s->phase >= MAIL_CLOSING)) {
		part(s, reason);
	}
	settle(s, false);
}
