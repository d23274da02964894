/* SPDX-License-Identifier: MIT */
/* What a client sends, through the line reader and the dispatcher in both states.
 *
 * Handlers check that they see only valid input. Arriving octet by octet or all at once must give
 * the same calls and the same refusals. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "pop3/command.h"
#include "pop3/reply.h"

#define MESSAGES 100
#define LIMIT 64 /* of a line: small, so that lines pass it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
	struct pop3_context ctx;
	struct pst_buf trace; /* a reply for each line */
	bool skipping;        /* the rest of a line that was too long */
};

static bool
is_deleted(void *session, uint32_t msg)
{
	(void)session;
	return msg % 7 == 0;
}

static int
handle(void *session, const struct pop3_args *a, struct pst_err *err)
{
	struct session *s = session;

	pst_assert(a->msg <= MESSAGES && (a->msg == 0 || !is_deleted(s, a->msg)));
	pst_assert(!pst_str_has_nul(a->text) && !pst_str_has_nul(a->text2));
	pst_assert(a->text.n < LIMIT && a->text2.n < LIMIT);
	return pop3_reply_ok(&s->trace, err, "%u %llu %.*s %.*s", a->msg,
	                     (unsigned long long)a->lines, PST_ARG(a->text), PST_ARG(a->text2));
}

static pop3_handler *const handlers[POP3_VERBS] = {
	handle, handle, handle, handle, handle, handle, handle, handle,
	handle, handle, handle, handle, handle, handle, handle,
};

static void
serve_line(struct session *s, struct pst_str line)
{
	enum pop3_verb verb;
	struct pst_err err, reply_err;
	size_t before = s->trace.len;

	if (pop3_dispatch(&s->ctx, line, &verb, &err) != 0) {
		pst_assert(err.kind == PST_E_CLIENT);
		pst_assert(pop3_reply_err(&s->trace, &err, NULL, &reply_err) == 0);
	}
	pst_assert(verb <= POP3_VERBS);
	pst_assert(s->trace.len > before && s->trace.len - before <= 512);
}

/* All lines that *in holds; keeps what is left for the next time. */
static void
serve(struct session *s, struct pst_str *in)
{
	struct pst_str line;

	for (;;) {
		size_t before = in->n;

		switch (pop3_line_next(in, LIMIT, &line)) {
		case POP3_LINE_MORE:
			pst_assert(in->n == before);
			return;
		case POP3_LINE_TOO_LONG:
			pst_assert(in->n >= LIMIT);
			*in = (struct pst_str){ in->p + LIMIT, in->n - LIMIT };
			s->skipping = true;
			break;
		case POP3_LINE_READY:
			pst_assert(line.n < LIMIT && in->n < before);
			if (!s->skipping)
				serve_line(s, line);
			s->skipping = false;
			break;
		}
	}
}

static void
run(struct session *s, const uint8_t *data, size_t size, size_t step, enum pop3_state state)
{
	char *held = pst_alloc(size + 1);
	size_t n = 0, at = 0;

	*s = (struct session){ .ctx = { state, handlers, s, state == POP3_TRANS ? MESSAGES : 0,
		                        is_deleted } };
	pst_buf_init(&s->trace, SIZE_MAX / 2);
	while (at < size) {
		size_t len = size - at < step ? size - at : step;
		struct pst_str in;

		memcpy(held + n, data + at, len);
		at += len;
		in = (struct pst_str){ held, n + len };
		serve(s, &in);
		memmove(held, in.p, in.n);
		n = in.n;
	}
	free(held);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const enum pop3_state states[] = { POP3_AUTH, POP3_TRANS };
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct session whole, cut;

		run(&whole, data, size, size, states[i]);
		run(&cut, data, size, 1, states[i]);
		pst_assert(whole.trace.len == cut.trace.len);
		pst_assert(whole.trace.len == 0 ||
		           memcmp(whole.trace.data, cut.trace.data, cut.trace.len) == 0);
		pst_buf_clear(&whole.trace);
		pst_buf_clear(&cut.trace);
	}
	return 0;
}
