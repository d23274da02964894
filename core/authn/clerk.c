/* SPDX-License-Identifier: MIT */
/* The clerk's loop; see clerk.h. It takes in what has come, a bounded amount, then makes one call into
 * a backend, and so on: a slow database makes notes wait, not pile up without bound. */
#include "authn/clerk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "authn/leases.h"
#include "authn/news.h"
#include "authn/notes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/wire.h"
#include "plugin/registry.h"

#define TURN 64           /* messages of one end at a time */
#define LAST_TURNS 1000   /* at the end */
#define CLOSE_MS 1000     /* to write what is left, at the end */
#define COMPLAIN_MS 10000 /* between two lines about bad messages */

enum { AT_INBOX, AT_AUTH_NOTES, AT_MAIL_NOTES, ENDS };

struct clerk {
	const struct worker_env *env;
	struct chain *chain;
	struct notes *notes;
	struct news *news;
	struct leases *leases;
	bool stop;
	bool is_orphan; /* the master is gone */
	uint64_t refused;
	int64_t complained_ms;
	struct pollfd at[ENDS + CHAIN_MAX];
	uint8_t in[MSG_MAX_OCTETS];
};

/* One message of an end into in; its length, 0 where there is none (any more). */
static size_t
take(struct clerk *c, int end)
{
	struct pst_err err;
	ssize_t n = channel_recv(end, c->in, sizeof(c->in), NULL, &err);

	if (n < 0 && err.kind == PST_E_CLOSED)
		c->is_orphan = true;
	else if (n < 0)
		pst_log_error(NULL, "clerk.message", "reason=\"%s\"", err.text);
	return n > 0 ? (size_t)n : 0;
}

static bool
obey(struct clerk *c)
{
	struct wire_order_msg order;
	struct msg_head head;
	struct pst_err err;
	size_t n = take(c, c->env->inbox);

	if (n == 0)
		return false;
	if (wire_order_decode((struct pst_str){ (const char *)c->in, n }, &head, &order, &err) != 0)
		pst_log_error(NULL, "clerk.message", "reason=\"%s\"", err.text);
	else if (order.order == ORDER_STOP)
		c->stop = true;
	else if (order.order == ORDER_CHANGED)
		news_changed(c->news, order.user);
	return true;
}

/* A broken worker may send much of it: the log has a line now and then, with their number. */
static void
complain(struct clerk *c, const char *from, const char *reason)
{
	const int64_t now_ms = pst_now_ms();

	c->refused++;
	if (c->complained_ms != 0 && now_ms - c->complained_ms < COMPLAIN_MS)
		return;
	pst_log_error(NULL, "clerk.refused", "from=%s reason=\"%s\" notes=%" PRIu64, from, reason,
	              c->refused);
	c->refused = 0;
	c->complained_ms = now_ms;
}

static bool
is_lease(uint8_t kind)
{
	return kind == NOTE_LEASE || kind == NOTE_LEASE_END;
}

/* Auth workers say who logged in and whose password is to be stored anew, mail workers what a
 * session did: neither says what is the other's to say. */
static bool
may_say(int at, uint8_t kind)
{
	if (at == AT_AUTH_NOTES)
		return kind == NOTE_LOGIN || kind == NOTE_REHASH;
	return kind == NOTE_SESSION || kind == NOTE_CHECK || is_lease(kind);
}

static void
take_note(struct clerk *c, int at, struct pst_str data)
{
	const char *from = at == AT_AUTH_NOTES ? "auth" : "mail";
	struct wire_note note;
	struct msg_head head;
	struct pst_err err;

	if (wire_note_decode(data, &head, &note, &err) != 0)
		complain(c, from, err.text);
	else if (!may_say(at, note.kind))
		complain(c, from, "it may not send this kind of note");
	else if (note.kind == NOTE_CHECK)
		news_check(c->news, note.user, note.remote_ip);
	else if (is_lease(note.kind) ? !leases_add(c->leases, &note)
	                             : !notes_add(c->notes, &note, pst_now_ms()))
		complain(c, from, "a note of no backend or user");
}

/* false: nothing waits. */
static bool
take_notes(struct clerk *c, int at, int most)
{
	const int end = at == AT_AUTH_NOTES ? c->env->auth_notes : c->env->mail_notes;
	int i;

	for (i = 0; i < most; i++) {
		size_t n = take(c, end);

		if (n == 0)
			return false;
		take_note(c, at, (struct pst_str){ (const char *)c->in, n });
		pst_wipe(c->in, n); /* it may have held what a password is stored as */
	}
	return true;
}

/* Milliseconds for poll: until something is due. */
static int
time_left(const struct clerk *c)
{
	const int64_t notes = notes_due(c->notes), news = news_due(c->news);
	const int64_t leases = leases_due(c->leases);
	const int64_t first = notes < news ? notes : news;
	const int64_t due = leases < first ? leases : first;
	const int64_t now_ms = pst_now_ms();

	if (due == INT64_MAX)
		return -1;
	if (due <= now_ms)
		return 0;
	return due - now_ms < 60000 ? (int)(due - now_ms) : 60000;
}

static int
wait_for_work(struct clerk *c)
{
	size_t watches = news_poll(c->news, c->at + ENDS);

	if (poll(c->at, ENDS + watches, time_left(c)) < 0) {
		size_t i;

		for (i = 0; i < ENDS + watches; i++)
			c->at[i].revents = 0;
		if (errno != EINTR)
			return -1;
	}
	if ((c->at[AT_INBOX].revents & (POLLHUP | POLLERR)) != 0)
		c->is_orphan = true;
	if (c->at[AT_INBOX].revents != 0)
		(void)obey(c);
	if (c->at[AT_AUTH_NOTES].revents != 0)
		(void)take_notes(c, AT_AUTH_NOTES, TURN);
	if (c->at[AT_MAIL_NOTES].revents != 0)
		(void)take_notes(c, AT_MAIL_NOTES, TURN);
	news_read(c->news, c->at + ENDS, watches);
	return 0;
}

/* The last sessions have just ended: what they said is here. */
static void
close_books(struct clerk *c)
{
	(void)take_notes(c, AT_AUTH_NOTES, LAST_TURNS * TURN);
	(void)take_notes(c, AT_MAIL_NOTES, LAST_TURNS * TURN);
	leases_close(c->leases, pst_now_ms() + CLOSE_MS);
	notes_close(c->notes, pst_now_ms() + CLOSE_MS);
}

static int
serve(struct clerk *c)
{
	c->at[AT_INBOX] = (struct pollfd){ .fd = c->env->inbox, .events = POLLIN };
	c->at[AT_AUTH_NOTES] = (struct pollfd){ .fd = c->env->auth_notes, .events = POLLIN };
	c->at[AT_MAIL_NOTES] = (struct pollfd){ .fd = c->env->mail_notes, .events = POLLIN };
	while (!c->stop && !c->is_orphan) {
		if (wait_for_work(c) != 0) {
			pst_log_error(NULL, "clerk.loop", "reason=\"%s\"", strerror(errno));
			return 1;
		}
		(void)leases_work(c->leases, pst_now_ms());
		(void)notes_work(c->notes, pst_now_ms());
		(void)news_work(c->news, pst_now_ms());
	}
	close_books(c);
	return c->is_orphan ? 1 : 0;
}

static int
prepare(struct clerk *c, struct pst_err *err)
{
	const struct worker_env *env = c->env;

	if (registry_start(env->plugins, "auth", err) != 0)
		return -1;
	c->chain = chain_create(env->settings, env->plugins, err);
	if (c->chain == NULL)
		return -1;
	c->leases = leases_create(env, c->chain);
	c->notes = notes_create(env);
	c->news = news_create(env, c->chain);
	/* The one before may have died with an order in hand. */
	if (env->incarnation > 1)
		news_ask_all(c->news);
	return 0;
}

int
clerk_run(const struct worker_env *env)
{
	struct clerk *c = pst_new(struct clerk);
	struct pst_err err;
	int status = 1;

	c->env = env;
	if (prepare(c, &err) == 0) {
		env_tell_state(env, SLOT_READY);
		slot_doing(env->self, PST_LIT("clerk"));
		status = serve(c);
	} else {
		slot_failure(env->self, pst_str_c(err.text));
		pst_log_error(NULL, "worker.failed", "slot=%u reason=\"%s\"", env->slot, err.text);
	}
	news_destroy(c->news);
	notes_destroy(c->notes);
	leases_destroy(c->leases);
	chain_destroy(c->chain);
	pst_wipe(c->in, sizeof(c->in));
	free(c);
	return status;
}
