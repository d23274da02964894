/* SPDX-License-Identifier: MIT */
/* The keys process; see worker.h. It reads no octet of a client: names and hashes come from login,
 * decoded strictly. One question at a time, for its login waits for each answer. */
#include "keys/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "ipc/channel.h"
#include "ipc/wire.h"
#include "keys/store.h"
#include "tls/oracle.h"

static volatile sig_atomic_t told_to_stop;

static void
on_term(int sig)
{
	(void)sig;
	told_to_stop = 1;
}

static size_t
answer_chain(struct store *s, struct pst_str question, int64_t now_ms, uint8_t *out)
{
	struct wire_chain_request ask;
	struct wire_chain_reply reply = { .status = TLS_CHAIN_NONE };
	const struct pair *p;
	struct msg_head head;
	struct pst_err err;

	if (wire_chain_request_decode(question, &head, &ask, &err) != 0) {
		pst_log_error(NULL, "keys.message", "reason=\"%s\"", err.text);
		return 0;
	}
	p = store_find(s, ask.name, ask.type, now_ms, &reply.is_default);
	if (p != NULL) {
		reply.status = p->version == ask.version ? TLS_CHAIN_CURRENT : TLS_CHAIN_HERE;
		reply.type = p->type;
		reply.bits = p->bits;
		reply.pk_algorithm = (uint32_t)p->pk;
		reply.version = p->version;
		if (reply.status == TLS_CHAIN_HERE)
			reply.chain = (struct pst_str){ p->chain, p->chain_n };
	}
	return wire_chain_reply_encode(&reply, head.incarnation, head.request, out);
}

static size_t
answer_sign(struct store *s, struct pst_str question, uint8_t *out)
{
	char signature[WIRE_SIGNATURE];
	struct wire_sign_request ask;
	struct wire_sign_reply reply = { .ok = false };
	const struct pair *p;
	struct msg_head head;
	struct pst_err err;
	size_t n = 0;

	if (wire_sign_request_decode(question, &head, &ask, &err) != 0) {
		pst_log_error(NULL, "keys.message", "reason=\"%s\"", err.text);
		return 0;
	}
	/* A version that is not known is no error: login asks for the chain again, then for this. */
	p = store_by_version(s, ask.version);
	if (p != NULL && pair_sign(p, ask.algorithm, ask.is_hash, ask.data, signature,
	                           sizeof(signature), &n, &err) != 0)
		pst_log_error(NULL, "keys.sign", "reason=\"%s\"", err.text);
	if (n > 0)
		reply = (struct wire_sign_reply){ true, { signature, n } };
	return wire_sign_reply_encode(&reply, head.incarnation, head.request, out);
}

size_t
keys_answer(struct store *s, struct pst_str question, int64_t now_ms, uint8_t *out)
{
	switch (wire_type(question)) {
	case MSG_CHAIN_REQUEST:
		return answer_chain(s, question, now_ms, out);
	case MSG_SIGN_REQUEST:
		return answer_sign(s, question, out);
	default:
		pst_log_error(NULL, "keys.message", "reason=\"a message that is not for keys\"");
		return 0;
	}
}

/* -1 where nobody can ask any more. */
static int
serve_one(const struct worker_env *env, struct store *s, uint8_t *in, uint8_t *out)
{
	struct pst_err err;
	ssize_t got = channel_recv(env->keys, in, MSG_MAX_OCTETS, NULL, &err);
	size_t n;

	if (got < 0 && err.kind == PST_E_CLOSED)
		return -1;
	if (got < 0)
		pst_log_error(NULL, "keys.channel", "reason=\"%s\"", err.text);
	if (got <= 0)
		return 0;
	n = keys_answer(s, (struct pst_str){ (const char *)in, (size_t)got }, pst_now_ms(), out);
	/* A full channel: login is dead or asks without reading, and will ask again. */
	if (n > 0 && channel_send(env->keys, out, n, -1, &err) != 0)
		pst_log_warn(NULL, "keys.channel", "reason=\"%s\"", err.text);
	return 0;
}

/* SIGTERM comes through only within ppoll, so that none is missed between the test and the wait. */
static void
catch_term(sigset_t *while_waiting)
{
	const struct sigaction catch = { .sa_handler = on_term };
	sigset_t term;

	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, while_waiting);
	(void)sigdelset(while_waiting, SIGTERM);
	(void)sigaction(SIGTERM, &catch, NULL);
}

static int
keys_load(const struct worker_env *env, struct pst_err *err)
{
	(void)env, (void)err;
	tzset(); /* GnuTLS asks for the local time; the file that says which cannot be read later */
	return 0;
}

static bool
tls_is_served(const struct settings *settings)
{
	size_t i;

	for (i = 0; i < settings->listener_count; i++)
		if (settings->listeners[i].tls != TLS_NONE)
			return true;
	return false;
}

static int
keys_run(const struct worker_env *env)
{
	struct store *s = store_create(&env->settings->tls);
	uint8_t *in = pst_alloc(MSG_MAX_OCTETS);
	uint8_t *out = pst_alloc(MSG_MAX_OCTETS);
	struct pollfd wait = { .fd = env->keys, .events = POLLIN };
	sigset_t while_waiting;
	bool is_default;
	int status = 0;

	catch_term(&while_waiting);
	/* Says at start what is wrong with the default, and is ready for it. */
	if (tls_is_served(env->settings))
		(void)store_find(s, PST_LIT(""), TLS_TYPE_ANY, pst_now_ms(), &is_default);
	env_tell_state(env, SLOT_READY);
	while (!told_to_stop && status == 0) {
		if (ppoll(&wait, 1, NULL, &while_waiting) < 0 && errno != EINTR)
			status = 1;
		else if (!told_to_stop && serve_one(env, s, in, out) != 0)
			status = 1;
	}
	store_destroy(s);
	free(in);
	free(out);
	return status;
}

const struct worker_code keys_worker = { .load = keys_load, .run = keys_run };
