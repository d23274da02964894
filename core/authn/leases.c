/* SPDX-License-Identifier: MIT */
/* Leases; see leases.h. Notes are taken in their order: what ends a lease never overtakes what makes it
 * hold longer. While the database is away they wait; one that waited for longer than a lease holds is of
 * no use any more. */
#include "authn/leases.h"

#include <inttypes.h>
#include <unistd.h>

#include "authn/busy.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ipc/changes.h"
#include "ipc/leases.h"

#define HELD 8192
#define BATCH 64
#define RETRY_MS 1000

struct lease_note {
	uint8_t kind;
	uint32_t backend, place;
	int64_t at_ms;
	struct pst_str maildrop, taker; /* in text */
	char *text;
};

struct leases {
	const struct worker_env *env;
	struct chain *chain;
	struct lease_note *held; /* HELD, as a ring; NULL until the first */
	size_t first, count;
	int64_t retry_ms; /* not before */
	bool is_away;
	uint64_t dropped;
};

static struct pst_str
holder_of(const struct settings *s)
{
	static char name[256];

	if (s->mail.lease_holder[0] != '\0')
		return pst_str_c(s->mail.lease_holder);
	if (name[0] == '\0' && gethostname(name, sizeof(name) - 1) != 0)
		return PST_LIT("localhost");
	return pst_str_c(name);
}

/* ---- In an auth worker ---- */

static int
refuse(const struct request *r, enum pst_err_kind kind, const char *reason, struct pst_err *err)
{
	const enum pst_log_level level = kind == PST_E_IN_USE ? PST_LOG_INFO : PST_LOG_ERROR;

	pst_log_write(level, &r->log, kind == PST_E_IN_USE ? "lease.held" : "lease.broken",
	              "backend=%s reason=\"%s\"", chain_name(r->chain, r->answer.backend), reason);
	return pst_err_set(err, kind, "%s", "");
}

int
leases_take(struct request *r, int64_t *leased_ms_out, struct pst_err *err)
{
	const struct settings *s = r->a->env->settings;
	const struct pst_auth *auth = chain_auth(r->chain, r->answer.backend);
	const int64_t now_ms = pst_now_ms(); /* before it is asked for: it never holds for less */
	struct pst_auth_lease lease;
	struct pst_err why;

	*leased_ms_out = 0;
	if (s->mail.locks != LOCKS_LEASE)
		return 0;
	lease = (struct pst_auth_lease){
		.maildrop = r->answer.location,
		.holder = holder_of(s),
		.taker = r->wire.sid,
		.seconds = s->mail.lease_time / 1000,
	};
	if (auth->lease == NULL)
		return refuse(r, PST_E_PERM, "mail.locks is \"lease\", and this backend gives none",
		              err);
	if (auth->lease(chain_self(r->chain, r->answer.backend), &lease, 1, &why) != 0)
		return refuse(r, why.kind == PST_E_PERM ? PST_E_PERM : PST_E_TEMP, why.text, err);
	if (!lease.is_ours)
		return refuse(r, PST_E_IN_USE, "another server has the maildrop's lease", err);
	*leased_ms_out = now_ms;
	return 0;
}

/* ---- In the clerk ---- */

struct leases *
leases_create(const struct worker_env *env, struct chain *chain)
{
	struct leases *l = pst_new(struct leases);

	l->env = env;
	l->chain = chain;
	return l;
}

static struct lease_note *
held_at(const struct leases *l, size_t idx)
{
	return &l->held[(l->first + idx) % HELD];
}

static void
drop_first(struct leases *l)
{
	free(held_at(l, 0)->text);
	l->first = (l->first + 1) % HELD;
	l->count--;
}

void
leases_destroy(struct leases *l)
{
	if (l == NULL)
		return;
	while (l->count > 0)
		drop_first(l);
	free(l->held);
	free(l);
}

bool
leases_add(struct leases *l, const struct wire_note *note)
{
	struct lease_note *to;

	if (note->backend >= chain_count(l->chain) || note->maildrop.n == 0 ||
	    pst_str_has_nul(note->maildrop) || pst_str_has_nul(note->taker) ||
	    chain_auth(l->chain, note->backend)->lease == NULL ||
	    chain_auth(l->chain, note->backend)->lease_end == NULL)
		return false;
	if (l->count == HELD) { /* who asked will ask again, or let the lease end */
		drop_first(l);
		l->dropped++;
	}
	if (l->held == NULL)
		l->held = pst_new_array(struct lease_note, HELD);
	to = held_at(l, l->count++);
	*to = (struct lease_note){ .kind = note->kind,
		                   .backend = note->backend,
		                   .place = note->place,
		                   .at_ms = (int64_t)note->at };
	to->text = pst_realloc(NULL, note->maildrop.n + note->taker.n + 1);
	memcpy(to->text, note->maildrop.p, note->maildrop.n);
	if (note->taker.n > 0)
		memcpy(to->text + note->maildrop.n, note->taker.p, note->taker.n);
	to->maildrop = (struct pst_str){ to->text, note->maildrop.n };
	to->taker = (struct pst_str){ to->text + note->maildrop.n, note->taker.n };
	return true;
}

int64_t
leases_due(const struct leases *l)
{
	return l->count == 0 ? INT64_MAX : l->retry_ms;
}

static void
tell_away(struct leases *l, const char *backend, const struct pst_err *why)
{
	if (!l->is_away)
		pst_log_error(NULL, "lease.away",
		              "backend=%s reason=\"%s\": sessions end before their leases do",
		              backend, why->text);
	l->is_away = true;
}

static void
tell_back(struct leases *l, const char *backend)
{
	if (l->is_away)
		pst_log_info(NULL, "lease.back", "backend=%s dropped=%" PRIu64, backend,
		             l->dropped);
	l->is_away = false;
	l->dropped = 0;
}

/* Of the first ones, those of one kind and backend. */
static size_t
gather(const struct leases *l, struct pst_auth_lease *out)
{
	const struct lease_note *first = held_at(l, 0);
	size_t n;

	for (n = 0; n < BATCH && n < l->count; n++) {
		const struct lease_note *note = held_at(l, n);

		if (note->kind != first->kind || note->backend != first->backend)
			break;
		out[n] = (struct pst_auth_lease){
			.maildrop = note->maildrop,
			.holder = holder_of(l->env->settings),
			.taker = note->kind == NOTE_LEASE_END ? note->taker : PST_LIT(""),
			.seconds = l->env->settings->mail.lease_time / 1000,
		};
	}
	return n;
}

static void
answer(struct leases *l, const struct lease_note *note, bool is_ours)
{
	struct lease_board *board = &l->env->changes->leases;

	if (is_ours)
		leases_confirm(board, note->place, note->taker, note->at_ms);
	else
		leases_deny(board, note->place, note->taker);
}

static void
drop_stale(struct leases *l, int64_t now_ms)
{
	while (l->count > 0 && now_ms - held_at(l, 0)->at_ms > l->env->settings->mail.lease_time) {
		drop_first(l);
		l->dropped++;
	}
}

static int
ask(const struct leases *l, const struct lease_note *first, struct pst_auth_lease *batch, size_t n,
    struct pst_err *err)
{
	const struct pst_auth *auth = chain_auth(l->chain, first->backend);
	void *self = chain_self(l->chain, first->backend);

	return first->kind == NOTE_LEASE ? auth->lease(self, batch, n, err)
	                                 : auth->lease_end(self, batch, n, err);
}

bool
leases_work(struct leases *l, int64_t now_ms)
{
	struct pst_auth_lease batch[BATCH];
	struct pst_err err;
	size_t n, i;
	int rc;

	drop_stale(l, now_ms);
	if (l->count == 0 || now_ms < l->retry_ms)
		return false;
	n = gather(l, batch);
	busy_begin(l->env, chain_name(l->chain, held_at(l, 0)->backend), "lease");
	rc = ask(l, held_at(l, 0), batch, n, &err);
	busy_end(l->env);
	if (rc != 0) {
		tell_away(l, chain_name(l->chain, held_at(l, 0)->backend), &err);
		l->retry_ms = pst_now_ms() + RETRY_MS;
		return true;
	}
	tell_back(l, chain_name(l->chain, held_at(l, 0)->backend));
	for (i = 0; i < n; i++) {
		if (held_at(l, 0)->kind == NOTE_LEASE)
			answer(l, held_at(l, 0), batch[i].is_ours);
		drop_first(l);
	}
	return true;
}

void
leases_close(struct leases *l, int64_t until_ms)
{
	int64_t now_ms;

	while (l->count > 0 && (now_ms = pst_now_ms()) < until_ms && now_ms >= l->retry_ms)
		(void)leases_work(l, now_ms);
}
