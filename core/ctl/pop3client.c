/* SPDX-License-Identifier: MIT */
/* Commands of the POP3 client; see pop3client.h. Getting in is pop3login.c's. */
#include "ctl/pop3client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ctl/pop3link.h"
#include "ctl/pop3private.h"

#define SHOWN_MAX 200     /* octets of a UIDL that are kept: enough to see what is wrong with it */
#define WINDOW 32         /* commands that wait for their answer, with PIPELINING */
#define EXTRA_LINES 65536 /* of a listing, beyond what it should have */

int
pop3client_fail(const struct pop3client *c, const char *what, struct pst_err *err)
{
	char text[sizeof(err->text)];

	(void)snprintf(text, sizeof(text), "%s", err->text);
	(void)snprintf(err->text, sizeof(err->text), "%.80s:%u: %s%s%.150s", c->server.host,
	               c->server.port, what, *what == '\0' ? "" : ": ", text);
	return -1;
}

int
pop3client_refused(const struct pop3client *c, const char *what, enum pst_err_kind kind,
                   const struct pop3reply *reply, struct pst_err *err)
{
	char said[121];
	size_t i, n = reply->text.n < sizeof(said) - 1 ? reply->text.n : sizeof(said) - 1;

	for (i = 0; i < n; i++)
		said[i] = (unsigned char)reply->text.p[i] < 0x20 || reply->text.p[i] == 0x7f
		                  ? '?'
		                  : reply->text.p[i];
	said[n] = '\0';
	pst_err_set(err, kind, "the server says: %s %s", reply->is_ok ? "+OK" : "-ERR", said);
	return pop3client_fail(c, what, err);
}

int
pop3client_reply(struct pop3client *c, const char *what, struct pop3reply *out, struct pst_err *err)
{
	struct pst_str line;

	if (pop3link_line(c->link, &line, err) != 0)
		return pop3client_fail(c, what, err);
	if (pop3reply_parse(line, out))
		return 0;
	pst_err_set(err, PST_E_PERM, "the answer is not POP3");
	return pop3client_fail(c, what, err);
}

int
pop3client_ask(struct pop3client *c, const char *command, struct pop3reply *out,
               struct pst_err *err)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\r\n", command);

	if (pop3link_write(c->link, (struct pst_str){ line, (size_t)n }, err) != 0)
		return pop3client_fail(c, command, err);
	return pop3client_reply(c, command, out, err);
}

/* The next line of a multi-line reply, dots undone; false with *rc 0: that was the last. */
bool
pop3client_next(struct pop3client *c, const char *what, struct pst_str *line_out, int *rc,
                struct pst_err *err)
{
	*rc = pop3link_line(c->link, line_out, err);
	if (*rc != 0) {
		(void)pop3client_fail(c, what, err);
		return false;
	}
	if (line_out->n == 0 || line_out->p[0] != '.')
		return true;
	*line_out = (struct pst_str){ line_out->p + 1, line_out->n - 1 };
	return line_out->n > 0;
}

bool
pop3client_may_top(const struct pop3client *c)
{
	return !c->capa.is_known || c->capa.top;
}

void
pop3client_close(struct pop3client *c)
{
	struct pop3reply reply;
	struct pst_err err;

	if (c == NULL)
		return;
	/* A session that ends without QUIT deletes nothing either, but some servers keep its lock. */
	if (c->is_in && !c->is_broken)
		(void)pop3client_ask(c, "QUIT", &reply, &err);
	pop3link_close(c->link);
	free(c);
}

/* ---- The listing ---- */

static int
ask_stat(struct pop3client *c, struct pop3listing *l, struct pst_err *err)
{
	struct pop3reply reply;
	uint64_t count, octets;

	if (pop3client_ask(c, "STAT", &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return pop3client_refused(c, "STAT", pop3client_kind(&reply, PST_E_TEMP), &reply,
		                          err);
	if (!pop3reply_stat(reply.text, &count, &octets))
		return pop3client_refused(c, "STAT, not two numbers", PST_E_PERM, &reply, err);
	if (count > c->server.max_messages)
		return pop3client_refused(c, "STAT, more messages than any maildrop has",
		                          PST_E_PERM, &reply, err);
	l->count = (uint32_t)count;
	l->octets = octets;
	l->all = pst_new_array(struct pop3entry, l->count + (size_t)1);
	return 0;
}

static int
wrong_listing(const struct pop3client *c, const char *what, const char *why, uint64_t number,
              struct pst_err *err)
{
	pst_err_set(err, PST_E_PERM, "%s: %" PRIu64, why, number);
	return pop3client_fail(c, what, err);
}

static int
ask_list(struct pop3client *c, struct pop3listing *l, struct pst_err *err)
{
	struct pop3reply reply;
	struct pst_str line;
	uint64_t number, octets;
	uint32_t found = 0;
	int rc;

	if (pop3client_ask(c, "LIST", &reply, err) != 0)
		return -1;
	if (!reply.is_ok)
		return pop3client_refused(c, "LIST", pop3client_kind(&reply, PST_E_TEMP), &reply,
		                          err);
	while (pop3client_next(c, "LIST", &line, &rc, err)) {
		if (!pop3reply_list(line, &number, &octets))
			return wrong_listing(c, "LIST", "a line without two numbers, after message",
			                     found, err);
		if (number == 0 || number > l->count)
			return wrong_listing(c, "LIST", "a message that STAT did not count", number,
			                     err);
		if (l->all[number - 1].is_listed)
			return wrong_listing(c, "LIST", "a message twice", number, err);
		l->all[number - 1].octets = octets;
		l->all[number - 1].is_listed = true;
		found++;
	}
	if (rc == 0 && found < l->count)
		return wrong_listing(c, "LIST", "not all of STAT's messages, only", found, err);
	return rc;
}

static int
keep_uidl(struct pop3listing *l, struct pop3entry *e, struct pst_str uidl, struct pst_err *err)
{
	if (e->has_uidl) { /* two lines for one message: which one would a client believe? */
		e->is_valid = false;
		return 0;
	}
	e->has_uidl = true;
	e->is_valid = pop3reply_is_uidl(uidl);
	e->uidl = (uint32_t)l->text.len; /* below the buffer's ceiling */
	e->uidl_octets = (uint16_t)(uidl.n < SHOWN_MAX ? uidl.n : SHOWN_MAX);
	return pst_buf_add(&l->text, (struct pst_str){ uidl.p, e->uidl_octets }, err);
}

static int
ask_uidl(struct pop3client *c, struct pop3listing *l, struct pst_err *err)
{
	struct pop3entry *last = NULL;
	struct pop3reply reply;
	struct pst_str line, uidl;
	uint64_t number, lines = 0;
	int rc;

	if (pop3client_ask(c, "UIDL", &reply, err) != 0)
		return -1;
	l->has_uidls = reply.is_ok;
	if (!reply.is_ok && pop3client_kind(&reply, PST_E_CLIENT) != PST_E_CLIENT)
		return pop3client_refused(c, "UIDL", pop3client_kind(&reply, PST_E_TEMP), &reply,
		                          err);
	if (!reply.is_ok)
		return 0; /* it is optional: RFC 1939 section 7 */
	while (pop3client_next(c, "UIDL", &line, &rc, err)) {
		if (++lines > l->count + (uint64_t)EXTRA_LINES)
			return wrong_listing(c, "UIDL", "lines without end", lines, err);
		if (pop3reply_uidl(line, &number, &uidl) && number > 0 && number <= l->count) {
			last = &l->all[number - 1];
			if (keep_uidl(l, last, uidl, err) != 0)
				return pop3client_fail(c, "UIDL", err);
		} else if (last != NULL) {
			last->is_valid = false; /* a UIDL with a line end in it */
		} else {
			return wrong_listing(c, "UIDL", "the first line is of no message", lines,
			                     err);
		}
	}
	return rc;
}

int
pop3client_list(struct pop3client *c, struct pop3listing *out, struct pst_err *err)
{
	*out = (struct pop3listing){ .count = 0 };
	pst_buf_init(&out->text, (size_t)c->server.max_messages * SHOWN_MAX);
	if (ask_stat(c, out, err) == 0 && ask_list(c, out, err) == 0 && ask_uidl(c, out, err) == 0)
		return 0;
	pop3listing_clear(out);
	c->is_broken = true;
	return -1;
}

void
pop3listing_clear(struct pop3listing *l)
{
	free(l->all);
	pst_buf_clear(&l->text);
	*l = (struct pop3listing){ .count = 0 };
}

struct pst_str
pop3listing_uidl(const struct pop3listing *l, uint32_t i)
{
	const struct pop3entry *e = &l->all[i];

	return (struct pst_str){ e->uidl_octets == 0 ? "" : pst_buf_view(&l->text).p + e->uidl,
		                 e->uidl_octets };
}

/* ---- Messages ---- */

static int
send_commands(struct pop3client *c, enum pop3part part, const uint32_t *which, uint32_t n,
              struct pst_err *err)
{
	char text[WINDOW * 24];
	size_t used = 0;
	uint32_t i;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		                         part == POP3_HEADER ? "TOP %" PRIu32 " 0\r\n"
		                                             : "RETR %" PRIu32 "\r\n",
		                         which[i] + 1);
	return pop3link_write(c->link, (struct pst_str){ text, used }, err);
}

/* What follows the first line. */
static int
read_body(struct pop3client *c, const struct pop3sink *sink, struct pst_err *err)
{
	struct pop3undot undot = { .is_done = false };
	uint64_t octets = 0;

	while (!undot.is_done) {
		struct pst_str in;
		size_t before, n;

		if (pop3link_peek(c->link, &in, err) != 0)
			return -1;
		if (in.n > POP3_PIECE)
			in.n = POP3_PIECE;
		before = in.n;
		n = pop3undot_feed(&undot, &in, c->piece);
		pop3link_take(c->link, before - in.n);
		octets += n;
		if (octets > c->server.max_octets)
			return pst_err_set(err, PST_E_LIMIT,
			                   "a message of more than %" PRIu64 " octets",
			                   c->server.max_octets);
		if (n > 0)
			sink->octets(sink->arg, (struct pst_str){ c->piece, n });
	}
	return 0;
}

static int
read_message(struct pop3client *c, uint32_t i, const struct pop3sink *sink, const char *what,
             struct pst_err *err)
{
	struct pop3reply reply;

	if (pop3client_reply(c, what, &reply, err) != 0)
		return -1;
	if (reply.is_ok) {
		sink->begin(sink->arg, i);
		if (read_body(c, sink, err) != 0)
			return pop3client_fail(c, what, err);
	}
	sink->end(sink->arg, i, !reply.is_ok);
	return 0;
}

int
pop3client_fetch(struct pop3client *c, enum pop3part part, const uint32_t *which, uint32_t n,
                 const struct pop3sink *sink, struct pst_err *err)
{
	const uint32_t window = c->capa.pipelining ? WINDOW : 1;
	uint32_t sent = 0, done, more;
	char what[32];

	for (done = 0; done < n; done++) {
		(void)snprintf(what, sizeof(what), "%s %" PRIu32,
		               part == POP3_HEADER ? "TOP" : "RETR", which[done] + 1);
		if (sent == done || sent - done < window / 2) {
			more = n - sent < window - (sent - done) ? n - sent
			                                         : window - (sent - done);
			if (send_commands(c, part, which + sent, more, err) != 0) {
				(void)pop3client_fail(c, what, err);
				goto broken;
			}
			sent += more;
		}
		if (read_message(c, which[done], sink, what, err) != 0)
			goto broken;
	}
	return 0;
broken:
	c->is_broken = true;
	return -1;
}
