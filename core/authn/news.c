/* SPDX-License-Identifier: MIT */
/* Changes behind the server's back; see news.h. */
#include "authn/news.h"

#include <inttypes.h>
#include <string.h>

#include <postern/auth.h>

#include "authn/busy.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/changes.h"
#include "plugin/registry.h"

#define CHECKS 16384u /* users that wait to be looked up; a power of two */
#define TRIES 5       /* look-ups of one user, where the backend cannot tell now */
#define WAIT_MS 1000  /* after a failure; doubled each time */
#define WAIT_MAX_MS 30000
#define KNOWN_MS 60000 /* how long a look-up counts, where nothing changed */

/* So many changes in so long, and no more: a mail worker reads them once a second at least, and none
 * may be overwritten before. */
#define PACE (CHANGES_ROWS * 3 / 4)
#define PACE_MS 2500

/* So many readings in a second that bring nothing: the descriptor is not what it should be. */
#define EMPTY_READS 2000

struct watch {
	const char *name;
	const struct pst_auth *auth;
	void *self;
	int fd; /* -1: does not listen */
	bool is_away;
	int64_t retry_ms, wait_ms;
	int64_t second_ms; /* when counting began of: */
	unsigned empty_reads;
};

struct check {
	uint64_t id;
	struct pst_str user, remote_ip; /* in text */
	char *text;
	unsigned tries;
};

/* Who was looked up and may stay, in the epoch. */
struct known {
	uint64_t id;
	uint32_t epoch;
	int64_t at_ms;
};

struct news {
	const struct worker_env *env;
	struct chain *chain;
	struct pst_arena *arena;
	struct watch watch[CHAIN_MAX];
	size_t watches;

	uint8_t key[32];
	uint32_t epoch; /* raised whenever more than one user may have changed */
	struct known known[CHECKS];
	uint64_t waiting
		[CHECKS]; /* ids of check, by id; one that another displaced is asked twice */
	struct check check[CHECKS];
	size_t first, count;
	bool was_full; /* some were not taken: they are asked for again */

	bool is_failing; /* look-ups */
	int64_t retry_ms, wait_ms;

	int64_t pace_ms; /* when counting began of: */
	unsigned told;
	bool is_changed; /* by the reading that goes on */
};

/* ---- Making ---- */

static void
add_watch(struct news *n, const struct plugin *p)
{
	const struct pst_auth *auth = p == NULL ? NULL : plugin_descriptor(p)->auth;

	if (auth == NULL || auth->watch_fd == NULL || auth->watch_read == NULL ||
	    n->watches == CHAIN_MAX)
		return;
	n->watch[n->watches++] = (struct watch){
		.name = plugin_instance(p), .auth = auth, .self = plugin_self(p), .fd = -1
	};
}

struct news *
news_create(const struct worker_env *env, struct chain *chain)
{
	struct news *n = pst_new(struct news);
	const char *list = env->settings->auth.backends;
	struct pst_str word;

	n->env = env;
	n->chain = chain;
	n->arena = pst_arena_create();
	n->epoch = 1;
	pst_random(n->key, sizeof(n->key));
	while (settings_next_word(&list, &word))
		add_watch(n, registry_find(env->plugins, PST_AUTH, word));
	return n;
}

static void
drop_check(struct news *n)
{
	struct check *c = &n->check[n->first];

	if (n->waiting[c->id % CHECKS] == c->id)
		n->waiting[c->id % CHECKS] = 0;
	free(c->text);
	n->first = (n->first + 1) % CHECKS;
	n->count--;
}

void
news_destroy(struct news *n)
{
	if (n == NULL)
		return;
	while (n->count > 0)
		drop_check(n);
	pst_arena_destroy(n->arena);
	free(n);
}

/* ---- What the mail workers are told ---- */

static void
tell(struct news *n, enum change_kind kind, struct pst_str name, int64_t now_ms)
{
	if (now_ms - n->pace_ms >= PACE_MS) {
		n->pace_ms = now_ms;
		n->told = 0;
	}
	n->told++;
	changes_write(n->env->changes, kind, name);
}

static bool
is_ahead(const struct news *n, int64_t now_ms)
{
	return n->told >= PACE && now_ms - n->pace_ms < PACE_MS;
}

static void
ask(struct news *n, struct pst_str domain)
{
	n->epoch++;
	tell(n, CHANGE_ASK, domain, pst_now_ms());
}

void
news_ask_all(struct news *n)
{
	ask(n, PST_LIT(""));
}

/* ---- Who is to be looked up ---- */

/* Keyed: nobody can choose a name that is taken for another. */
static uint64_t
id_of(const struct news *n, struct pst_str user)
{
	uint8_t mac[32];
	uint64_t id;

	pst_hmac_sha256((struct pst_str){ (const char *)n->key, sizeof(n->key) }, user, mac);
	memcpy(&id, mac, sizeof(id));
	return id != 0 ? id : 1;
}

static void
want(struct news *n, uint64_t id, struct pst_str user, struct pst_str remote_ip)
{
	struct check *c;

	if (user.n == 0 || user.n > USERNAME_MAX || pst_str_has_nul(user) ||
	    pst_str_has_nul(remote_ip) || n->waiting[id % CHECKS] == id)
		return;
	if (n->count == CHECKS) {
		n->was_full = true;
		return;
	}
	n->waiting[id % CHECKS] = id;
	c = &n->check[(n->first + n->count++) % CHECKS];
	*c = (struct check){ .id = id, .text = pst_alloc(user.n + remote_ip.n + 2) };
	memcpy(c->text, user.p, user.n);
	if (remote_ip.n > 0)
		memcpy(c->text + user.n + 1, remote_ip.p, remote_ip.n);
	c->user = (struct pst_str){ c->text, user.n };
	c->remote_ip = (struct pst_str){ c->text + user.n + 1, remote_ip.n };
}

void
news_changed(struct news *n, struct pst_str user)
{
	const uint64_t id = id_of(n, user);

	if (n->known[id % CHECKS].id == id)
		n->known[id % CHECKS].id = 0;
	want(n, id, user, PST_LIT(""));
}

void
news_check(struct news *n, struct pst_str user, struct pst_str remote_ip)
{
	const uint64_t id = id_of(n, user);
	const struct known *k = &n->known[id % CHECKS];

	if (k->id == id && k->epoch == n->epoch && pst_now_ms() - k->at_ms < KNOWN_MS)
		return;
	want(n, id, user, remote_ip);
}

/* ---- Looking up ---- */

/* The first backend that cannot tell decides, and where it only checks passwords it never can. */
static bool
can_never_tell(const struct news *n, const struct chain_answer *answer)
{
	const struct plugin *p;

	if (answer->backend >= chain_count(n->chain))
		return false;
	p = registry_find(n->env->plugins, PST_AUTH,
	                  pst_str_c(chain_name(n->chain, answer->backend)));
	return p != NULL && plugin_descriptor(p)->auth->lookup == NULL;
}

static void
look_up(struct news *n, const struct check *c, struct chain_answer *answer)
{
	const struct chain_proof proof = { .kind = PROOF_NONE };
	const char *at = memrchr(c->user.p, '@', c->user.n);
	struct pst_auth_query query = {
		.user = c->user,
		.local_part = c->user,
		.remote_ip = c->remote_ip,
		.tls = true,
		.tls_version = 13,
	};

	if (at != NULL) {
		query.local_part.n = (size_t)(at - c->user.p);
		query.domain = (struct pst_str){ at + 1, c->user.n - query.local_part.n - 1 };
	}
	busy_begin(n->env, "look-up", c->text);
	chain_ask(n->chain, &query, &proof, n->arena, NULL, answer);
	busy_end(n->env);
}

/* The user stays, and is asked about again after a while. All others wait too: where one cannot be
 * looked up now, the next one hardly can. */
static void
put_off(struct news *n, const struct pst_err *why, int64_t now_ms)
{
	struct check c = n->check[n->first];

	if (!n->is_failing)
		pst_log_warn(NULL, "clerk.lookup_failed", "reason=\"%s\"", why->text);
	n->is_failing = true;
	n->wait_ms = n->wait_ms == 0 ? WAIT_MS : 2 * n->wait_ms;
	if (n->wait_ms > WAIT_MAX_MS)
		n->wait_ms = WAIT_MAX_MS;
	n->retry_ms = now_ms + n->wait_ms;
	if (++c.tries == TRIES) {
		drop_check(n);
		return;
	}
	n->first = (n->first + 1) % CHECKS; /* to the end of the queue, which has room: its own */
	n->check[(n->first + n->count - 1) % CHECKS] = c;
}

static void
settle(struct news *n, const struct chain_answer *answer, int64_t now_ms)
{
	const struct check *c = &n->check[n->first];
	const struct pst_log log = { .user = c->user };
	const bool must_end = answer->verdict == CHAIN_UNKNOWN || answer->verdict == CHAIN_DISABLED;

	if (answer->verdict == CHAIN_ERROR && !can_never_tell(n, answer)) {
		put_off(n, &answer->err, now_ms);
		return;
	}
	if (n->is_failing)
		pst_log_warn(NULL, "clerk.lookup_back", "waiting=%zu", n->count - 1);
	n->is_failing = false;
	n->wait_ms = n->retry_ms = 0;
	if (must_end) {
		pst_log_debug(&log, "clerk.end", "reason=%s",
		              answer->verdict == CHAIN_UNKNOWN ? "unknown" : "disabled");
		tell(n, CHANGE_END, c->user, now_ms);
	} else {
		n->known[c->id % CHECKS] = (struct known){ c->id, n->epoch, now_ms };
	}
	drop_check(n);
}

static void
check_first(struct news *n)
{
	struct chain_answer answer;

	look_up(n, &n->check[n->first], &answer);
	settle(n, &answer, pst_now_ms());
	pst_arena_reset(n->arena);
	if (n->count == 0 && n->was_full) { /* those who found no room ask again */
		n->was_full = false;
		tell(n, CHANGE_ASK, PST_LIT(""), pst_now_ms());
	}
}

/* ---- Listening ---- */

size_t
news_poll(const struct news *n, struct pollfd *to)
{
	size_t i;

	for (i = 0; i < n->watches; i++)
		to[i] = (struct pollfd){ .fd = n->watch[i].fd, .events = POLLIN };
	return n->watches;
}

static void
lost(struct watch *w, const struct pst_err *err)
{
	if (!w->is_away)
		pst_log_warn(NULL, "clerk.watch_away", "backend=%s reason=\"%.*s\"", w->name,
		             (int)strnlen(err->text, sizeof(err->text)), err->text);
	w->is_away = true;
	w->fd = -1;
}

/* What changed while nobody listened is asked for: also at the start, for the clerk before this one
 * may have died with news in hand. */
static void
listen_again(struct news *n, struct watch *w)
{
	struct pst_err err;
	int fd;

	pst_err_set(&err, PST_E_TEMP, "it gave no reason");
	busy_begin(n->env, w->name, "watch");
	fd = w->auth->watch_fd(w->self, &err);
	busy_end(n->env);
	if (fd < 0) {
		lost(w, &err);
		w->wait_ms = w->wait_ms == 0 ? WAIT_MS : 2 * w->wait_ms;
		if (w->wait_ms > WAIT_MAX_MS)
			w->wait_ms = WAIT_MAX_MS;
		w->retry_ms = pst_now_ms() + w->wait_ms;
		return;
	}
	if (w->is_away)
		pst_log_warn(NULL, "clerk.watch_back", "backend=%s", w->name);
	w->is_away = false;
	w->wait_ms = 0;
	w->fd = fd;
	news_ask_all(n);
}

static void
on_changed(void *arg, const struct pst_auth_change *change)
{
	struct news *n = arg;

	n->is_changed = true;
	if (change->user.n > 0)
		news_changed(n, change->user);
	else
		ask(n, change->domain);
}

/* A descriptor that is ready for ever and has nothing to say would take a whole processor. */
static bool
is_sane(struct news *n, struct watch *w)
{
	const int64_t now_ms = pst_now_ms();

	if (n->is_changed || now_ms - w->second_ms >= 1000) {
		w->second_ms = now_ms;
		w->empty_reads = 0;
	}
	return ++w->empty_reads < EMPTY_READS;
}

static void
read_watch(struct news *n, struct watch *w)
{
	struct pst_err err;
	int rc;

	n->is_changed = false;
	pst_err_set(&err, PST_E_TEMP, "it gave no reason");
	busy_begin(n->env, w->name, "changes");
	rc = w->auth->watch_read(w->self, on_changed, n, &err);
	busy_end(n->env);
	if (rc == 0 && is_sane(n, w))
		return;
	if (rc == 0)
		pst_err_set(&err, PST_E_TEMP, "its descriptor is always ready and tells nothing");
	lost(w, &err);
	w->retry_ms = rc == 0 ? pst_now_ms() + WAIT_MAX_MS : 0;
}

void
news_read(struct news *n, const struct pollfd *from, size_t count)
{
	size_t i;

	for (i = 0; i < count && i < n->watches; i++)
		if (from[i].revents != 0 && n->watch[i].fd == from[i].fd && from[i].fd >= 0)
			read_watch(n, &n->watch[i]);
}

/* ---- When ---- */

static int64_t
check_due(const struct news *n)
{
	int64_t due = n->retry_ms;

	if (n->count == 0)
		return INT64_MAX;
	if (n->told >= PACE && n->pace_ms + PACE_MS > due)
		due = n->pace_ms + PACE_MS;
	return due;
}

int64_t
news_due(const struct news *n)
{
	int64_t due = check_due(n);
	size_t i;

	for (i = 0; i < n->watches; i++)
		if (n->watch[i].fd < 0 && n->watch[i].retry_ms < due)
			due = n->watch[i].retry_ms;
	return due;
}

bool
news_work(struct news *n, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < n->watches; i++)
		if (n->watch[i].fd < 0 && n->watch[i].retry_ms <= now_ms) {
			listen_again(n, &n->watch[i]);
			return true;
		}
	if (n->count == 0 || n->retry_ms > now_ms || is_ahead(n, now_ms))
		return false;
	check_first(n);
	return true;
}
