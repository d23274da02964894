/* SPDX-License-Identifier: MIT */
/* Questions to keys; see asker.h. */
#include "login/asker.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/wire.h"

#define LOG_AGAIN_MS 10000

struct asker {
	int keys;
	uint32_t incarnation;
	uint64_t request;
	bool is_away; /* the last question had no answer */
	int64_t logged_ms;
	uint8_t question[MSG_MAX_OCTETS];
	uint8_t answer[MSG_MAX_OCTETS];
};

struct asker *
asker_create(int keys, uint32_t incarnation)
{
	struct asker *a = pst_new(struct asker);

	a->keys = keys;
	a->incarnation = incarnation;
	a->logged_ms = -LOG_AGAIN_MS;
	/* The one before in this slot may have left questions whose answers are still to come. */
	pst_random(&a->request, sizeof(a->request));
	return a;
}

void
asker_destroy(struct asker *a)
{
	free(a);
}

/* Octets of the answer to the question in hand; 0 where none waits. Answers to others are dropped. */
static size_t
take_answer(struct asker *a, enum msg_type type)
{
	for (;;) {
		struct pst_err err;
		struct msg_reader r;
		struct msg_head head;
		ssize_t n = channel_recv(a->keys, a->answer, sizeof(a->answer), NULL, &err);

		if (n == 0 || (n < 0 && err.kind == PST_E_CLOSED))
			return 0;
		if (n > 0 &&
		    msg_open(&r, (struct pst_str){ (const char *)a->answer, (size_t)n }, &head,
		             &err) == 0 &&
		    head.type == type && head.incarnation == a->incarnation &&
		    head.request == a->request)
			return (size_t)n;
	}
}

static void
log_away(struct asker *a)
{
	const int64_t now = pst_now_ms();

	if (now - a->logged_ms < LOG_AGAIN_MS)
		return;
	a->logged_ms = now;
	pst_log_error(NULL, "login.keys", "reason=\"the keys process does not answer\"");
}

/* Sends what is in a->question until its answer is in a->answer; its length, or 0. */
static size_t
ask(struct asker *a, size_t n, enum msg_type type)
{
	struct pollfd wait = { .fd = a->keys, .events = POLLIN };
	int64_t now = pst_now_ms();
	const int64_t deadline = now + (a->is_away ? ASKER_SHORT_MS : ASKER_DEADLINE_MS);
	int64_t resend = now;
	size_t got = 0;

	while (n > 0 && got == 0 && now < deadline) {
		struct pst_err err;
		int64_t until;

		if (now >= resend) {
			(void)channel_send(a->keys, a->question, n, -1,
			                   &err); /* full: later again */
			resend = now + ASKER_RESEND_MS;
		}
		until = resend < deadline ? resend : deadline;
		if (poll(&wait, 1, (int)(until - now)) > 0)
			got = take_answer(a, type);
		now = pst_now_ms();
	}
	a->is_away = got == 0;
	if (got == 0)
		log_away(a);
	return got;
}

static int
no_answer(struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP, "the keys process does not answer");
}

static int
ask_chain(void *self, const struct wire_chain_request *question, struct wire_chain_reply *reply,
          struct pst_err *err)
{
	struct asker *a = self;
	struct msg_head head;
	size_t n;

	a->request++;
	n = ask(a, wire_chain_request_encode(question, a->incarnation, a->request, a->question),
	        MSG_CHAIN_REPLY);
	if (n == 0)
		return no_answer(err);
	return wire_chain_reply_decode((struct pst_str){ (const char *)a->answer, n }, &head, reply,
	                               err);
}

static int
ask_sign(void *self, const struct wire_sign_request *question, struct wire_sign_reply *reply,
         struct pst_err *err)
{
	struct asker *a = self;
	struct msg_head head;
	size_t n;

	a->request++;
	n = ask(a, wire_sign_request_encode(question, a->incarnation, a->request, a->question),
	        MSG_SIGN_REPLY);
	if (n == 0)
		return no_answer(err);
	return wire_sign_reply_decode((struct pst_str){ (const char *)a->answer, n }, &head, reply,
	                              err);
}

struct tls_oracle
asker_oracle(struct asker *a)
{
	return (struct tls_oracle){ .self = a, .chain = ask_chain, .sign = ask_sign };
}
