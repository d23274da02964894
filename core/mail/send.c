/* SPDX-License-Identifier: MIT */
/* The replies to RETR and TOP.
 *
 * A small message is read, transformed into mail->out and left there, so that several of them go
 * out in one write. A large one goes chunk by chunk, each sent at once; what the socket does not
 * take of a chunk is not kept but made again from the file when it takes more: a slow client costs
 * no memory.
 *
 * "+OK N octets" is a promise. It is given only when the first chunk is in hand, and where a message
 * turns out to be other than promised while all of its reply is still in mail->out, the reply is
 * taken back and -ERR said. Later than that the connection ends, without the ending dot, so that no
 * client takes for whole what is not. */
#include <inttypes.h>

#include "base/mem.h"
#include "ipc/shm.h"
#include "mail/ahead.h"
#include "mail/session.h"
#include "pop3/reply.h"
#include "pop3/stored.h"

#define TOP_CHUNK 16384u    /* holds nearly every header */
#define MESSAGE_COSTS 8192u /* what opening a message counts for in a turn */

static void
end_send(struct mail_session *s)
{
	s->send.is_active = false;
	pop3_head_clear(&s->send.head);
	pop3_stored_release(&s->send.body);
}

void
mail_send_drop(struct mail_session *s)
{
	if (s->send.is_active)
		end_send(s);
}

/* The message cannot be sent as promised. */
static void
fail(struct mail_session *s, struct pst_err *err)
{
	struct mail_send *t = &s->send;

	pst_log_warn(&s->log, "message.failed", "msg=%" PRIu32 " cut=%s reason=\"%s\"", t->msg,
	             t->has_begun ? "yes" : "no", err->text);
	if (t->is_announced) /* what of the reply is still here */
		s->mail->out.len = t->has_begun ? 0 : t->reply_at;
	if (t->has_begun)
		mail_session_finish(s, "broken-message");
	else
		mail_session_refuse(s, err, NULL);
	end_send(s);
}

static void
announce(struct mail_session *s)
{
	struct mail_send *t = &s->send;
	struct pst_buf *out = &s->mail->out;
	struct pst_err err;
	int rc;

	t->reply_at = out->len;
	t->is_announced = true;
	if (t->is_top)
		rc = pop3_reply_ok(out, &err, "top of message follows");
	else
		rc = pop3_reply_ok(out, &err, "%" PRIu64 " octets", t->size_octets);
	pst_assert(rc == 0); /* a turn leaves room for what one step makes */
}

static void
finish(struct mail_session *s)
{
	struct mail_send *t = &s->send;
	char end[POP3_BODY_END];
	size_t n = pop3_body_end(&t->tx, end);
	struct pst_err err;
	int rc;

	if (!t->is_top && t->tx.octets != t->size_octets) {
		pst_err_set(&err, PST_E_TEMP,
		            "stored message has %" PRIu64 " octets, the listing said %" PRIu64,
		            t->tx.octets, t->size_octets);
		fail(s, &err);
		return;
	}
	rc = pst_buf_add(&s->mail->out, (struct pst_str){ end, n }, &err);
	pst_assert(rc == 0);
	if (t->is_top) {
		s->tops++;
	} else {
		s->retrieved++;
		mail_session_accessed(s, t->msg);
		maildrop_seen(&s->drop, t->msg);
		mail_ahead_want(s, t->msg);
	}
	end_send(s);
}

/* Of the n stored octets at p, transformed since before, sent octets of output have gone. Sets the
 * transform back to that place. The one octet of output in which it cannot stop, inside CRLF or
 * a doubled dot, is kept. */
static void
rewind_to(struct mail_session *s, const char *p, size_t n, const struct pop3_body *before,
          size_t sent)
{
	struct mail_send *t = &s->send;
	struct pst_str in = { p, n };
	size_t made;

	t->tx = *before;
	t->at -= n;
	made = pop3_body_feed(&t->tx, &in, s->mail->out.data, sent); /* these have gone */
	pst_assert(sent - made <= 1);
	if (made < sent) {
		char pair[2];
		size_t got = pop3_body_feed(&t->tx, &in, pair, sizeof(pair));

		pst_assert(got == 2);
		mail_session_keep(s, pair + 1, 1);
	}
	t->at += n - in.n;
}

/* Sends mail->out, which ends with what the n stored octets at p became: from body_at on. */
static void
send_chunk(struct mail_session *s, const char *p, size_t n, const struct pop3_body *before,
           size_t body_at)
{
	struct mail_send *t = &s->send;
	struct pst_buf *out = &s->mail->out;
	size_t sent = mail_session_write(s, out->data, out->len);

	t->has_begun = true;
	if (sent == out->len) {
		t->chunk = t->chunk < MAIL_CHUNK_MAX / 2 ? 2 * t->chunk : MAIL_CHUNK_MAX;
	} else if (!s->is_lost) {
		t->chunk = MAIL_CHUNK_MIN;
		s->is_blocked = true;
		if (sent < body_at)
			mail_session_keep(s, out->data + sent, body_at - sent);
		rewind_to(s, p, n, before, sent < body_at ? 0 : sent - body_at);
	}
	pst_buf_reset(out);
}

/* As many octets as before, so that every size stays what it is. */
static void
hide_nuls(char *p, size_t n)
{
	char *const end = p + n;

	while (p < end && (p = memchr(p, '\0', (size_t)(end - p))) != NULL)
		*p++ = (char)0x80;
}

/* The next n stored octets. */
static void
take(struct mail_session *s, const char *p, size_t n)
{
	struct mail_send *t = &s->send;
	struct pst_buf *out = &s->mail->out;
	struct pop3_body before;
	struct pst_str in = { p, n };
	struct pst_err err;
	size_t body_at, made;
	char *to;

	if (!t->is_announced)
		announce(s);
	before = t->tx;
	body_at = out->len;
	to = pst_buf_reserve(out, 2 * n, &err);
	pst_assert(to != NULL);
	made = pop3_body_feed(&t->tx, &in, to, 2 * n);
	if (s->mail->limits.hides_nuls)
		hide_nuls(to, made);
	pst_buf_added(out, made);
	pst_assert(in.n == 0 || t->tx.done);
	s->has_body_unsent = true;
	t->at += n - in.n;
	if (t->at == t->length || t->tx.done)
		finish(s);
	else if (out->len >= MAIL_HIGH_WATER)
		send_chunk(s, p, n, &before, body_at);
}

/* Where in the stored message it goes on. */
static uint64_t
stored_at(const struct mail_send *t)
{
	return t->at - t->head.text.len + t->head.stored;
}

static bool
is_in_head(const struct mail_send *t)
{
	return t->at < t->head.text.len;
}

static void
fail_short(struct mail_session *s, size_t n)
{
	struct pst_err err;

	pst_err_set(&err, PST_E_TEMP, "stored message ends at octet %" PRIu64 " of %" PRIu64,
	            stored_at(&s->send) + n, s->send.body.length);
	fail(s, &err);
}

static size_t
wanted(const struct mail_send *t)
{
	uint64_t left = (is_in_head(t) ? t->head.text.len : t->length) - t->at;

	return left < t->chunk ? (size_t)left : t->chunk;
}

/* An empty message. */
static void
take_nothing(struct mail_session *s)
{
	announce(s);
	finish(s);
}

/* The message is open. */
static void
take_body(struct mail_send *t, struct maildrop_job *job)
{
	t->body = job->body;
	t->head = job->head;
	job->head = (struct pop3_head){ .stored = 0 }; /* it is ours now */
	t->length = t->head.text.len + t->body.length - t->head.stored;
}

void
mail_send_fetched(struct mail_session *s, struct maildrop_job *job)
{
	struct mail_send *t = &s->send;

	if (job->kind == MAILDROP_FETCH && job->rc == 0)
		take_body(t, job);
	if (job->rc != 0)
		fail(s, &job->err);
	else if (is_in_head(t))
		take(s, t->head.text.data, wanted(t));
	else if (job->n < wanted(t))
		fail_short(s, job->n);
	else if (job->n == 0)
		take_nothing(s);
	else
		take(s, job->data, job->n);
}

void
mail_send_step(struct mail_session *s)
{
	struct mail_send *t = &s->send;
	size_t want = wanted(t), n = 0;
	struct pst_err err;

	if (is_in_head(t)) {
		take(s, t->head.text.data + t->at, want);
		return;
	}
	if (want == 0) {
		take_nothing(s);
		return;
	}
	switch (maildrop_read_cached(&s->drop, &t->body, stored_at(t), s->mail->file, want, &n,
	                             &err)) {
	case MAILDROP_HIT:
		if (n > 0 && (t->at > 0 || n == want)) {
			take(s, s->mail->file, n);
			return;
		}
		if (n > 0) /* the first chunk is taken whole, so that it can be taken back */
			break;
		fail_short(s, n);
		return;
	case MAILDROP_MISS:
		break;
	case MAILDROP_BROKEN:
		fail(s, &err);
		return;
	}
	s->job = maildrop_read(&s->drop, s->mail->loop, &t->body, stored_at(t), want,
	                       mail_session_on_job, s);
}

int
mail_send_start(struct mail_session *s, uint32_t msg, bool is_top, uint64_t lines,
                struct pst_err *err)
{
	struct mail_send *t = &s->send;
	struct maildrop_job *job;
	struct pst_message m;

	maildrop_message(&s->drop, msg, &m);
	*t = (struct mail_send){ .msg = msg, .is_top = is_top, .size_octets = m.size_octets };
	t->body.fd = -1;
	t->chunk = is_top ? TOP_CHUNK : MAIL_CHUNK_MIN;
	if (is_top)
		pop3_body_top(&t->tx, lines);
	else
		pop3_body_retr(&t->tx);
	t->tx.adds_line = m.has_no_header_end;
	s->mail->spent += MESSAGE_COSTS;
	job = mail_ahead_take(s, is_top ? 0 : msg);
	if (job != NULL) {
		t->is_active = true;
		mail_send_fetched(s, job);
		maildrop_job_free(job);
		return 0;
	}
	if (!s->drop.has_no_cache_read && m.surrogate_octets == 0) {
		switch (s->drop.storage->fetch(s->drop.drop, msg - 1, PST_FETCH_NOWAIT, &t->body,
		                               err)) {
		case PST_FETCH_OK:
			t->is_active = true;
			t->length = t->body.length;
			return 0;
		case PST_FETCH_ERROR:
			t->body.fd = -1;
			maildrop_judge(err);
			pst_log_warn(&s->log, "message.failed",
			             "msg=%" PRIu32 " cut=no reason=\"%s\"", msg, err->text);
			return -1;
		case PST_FETCH_WAIT:
			t->body.fd = -1;
			break;
		}
	}
	t->is_active = true;
	s->job = maildrop_fetch(&s->drop, s->mail->loop, msg, t->chunk, mail_session_on_job, s);
	return 0;
}
