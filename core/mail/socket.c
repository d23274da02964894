/* SPDX-License-Identifier: MIT */
/* A session at its socket: reading, writing, and how long it may wait; see session.h. */
#include <errno.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "ipc/shm.h"
#include "mail/session.h"

void
mail_session_stop_waiting(struct mail_session *s)
{
	struct mail_list *l = s->waits_in;

	if (l == NULL)
		return;
	*(s->earlier == NULL ? &l->first : &s->earlier->later) = s->later;
	*(s->later == NULL ? &l->last : &s->later->earlier) = s->earlier;
	s->waits_in = NULL;
}

void
mail_session_wait_in(struct mail_session *s, struct mail_list *l)
{
	mail_session_stop_waiting(s);
	s->waits_in = l;
	s->deadline_ms = (int64_t)uv_now(s->mail->loop) + l->span_ms;
	s->earlier = l->last;
	s->later = NULL;
	*(l->last == NULL ? &l->first : &l->last->later) = s;
	l->last = s;
}

void
mail_session_show(const struct mail_session *s)
{
	struct session_row *row;

	if (s->mail->board == NULL || s->row == MAIL_NO_ROW)
		return;
	row = &s->mail->board->row[s->row];
	atomic_store_explicit(&row->retrieved, s->retrieved, memory_order_relaxed);
	atomic_store_explicit(&row->deleted, s->deleted, memory_order_relaxed);
	atomic_store_explicit(&row->octets, s->octets_out, memory_order_relaxed);
}

size_t
mail_session_write(struct mail_session *s, const char *p, size_t n)
{
	ssize_t sent;

	do {
		sent = send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) {
		s->is_lost = true;
		return 0;
	}
	if (sent <= 0)
		return 0;
	s->octets_out += (size_t)sent;
	s->heard_ms = (int64_t)uv_now(s->mail->loop);
	s->mail->spent += (size_t)sent;
	mail_session_show(s);
	if (s->waits_in == &s->mail->idle)
		mail_session_wait_in(s, &s->mail->idle); /* it has said something, or reads */
	return (size_t)sent;
}

void
mail_session_accessed(struct mail_session *s, uint32_t msg)
{
	if (msg > s->last)
		s->last = msg;
}

void
mail_session_keep(struct mail_session *s, const char *p, size_t n)
{
	struct pst_err err;
	int rc = pst_buf_add(&s->pending, (struct pst_str){ p, n }, &err);

	pst_assert(rc == 0); /* its ceiling is beyond what turns can leave */
}

void
mail_session_flush(struct mail_session *s)
{
	struct pst_buf *out = &s->mail->out;
	size_t sent = 0;

	if (out->len == 0)
		return;
	if (s->send.is_active && s->send.is_announced)
		s->send.has_begun = true;
	if (!s->is_blocked && !s->is_lost)
		sent = mail_session_write(s, out->data, out->len);
	if (sent < out->len && !s->is_lost) {
		mail_session_keep(s, out->data + sent, out->len - sent);
		s->is_blocked = true;
	}
	if (sent == out->len)
		s->has_body_unsent = false;
	pst_buf_reset(out);
}

void
mail_session_write_pending(struct mail_session *s)
{
	struct pst_str view = pst_buf_view(&s->pending);
	size_t sent = view.n == 0 ? 0 : mail_session_write(s, view.p, view.n);

	if (s->is_lost)
		return;
	pst_buf_take(&s->pending, sent);
	if (sent < view.n)
		return;
	s->is_blocked = false;
	s->has_body_unsent = s->send.is_active;
}

struct pst_str
mail_session_read(struct mail_session *s)
{
	char *in = s->mail->in;
	ssize_t n;

	do {
		n = recv(s->fd, in, MAIL_READ_MAX, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		s->heard_ms = (int64_t)uv_now(s->mail->loop);
	if (n == 0)
		s->is_eof = true;
	else if (n < 0 && errno != EAGAIN)
		s->is_lost = true;
	return (struct pst_str){ in, n > 0 ? (size_t)n : 0 };
}
