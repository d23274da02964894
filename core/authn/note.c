/* SPDX-License-Identifier: MIT */
/* What the clerk is told; see answer.h. It is told without waiting: a note that finds no room is lost,
 * and counted. */
#include "authn/answer.h"

#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "credentials/verified.h"
#include "ipc/channel.h"

static void
send_note(struct request *r, const struct wire_note *note)
{
	struct authn *a = r->a;
	size_t n = wire_note_encode(note, a->env->incarnation, 0, a->out);
	struct pst_err err;

	if (n == 0 || channel_send(a->env->auth_notes, a->out, n, -1, &err) != 0)
		atomic_fetch_add(&a->env->self->notes_lost, 1);
	pst_wipe(a->out, n);
}

/* By the name that the backend knows the user by. */
static struct wire_note
make_note(const struct request *r, enum wire_note_kind kind)
{
	return (struct wire_note){
		.kind = (uint8_t)kind,
		.backend = (uint32_t)r->answer.backend,
		.at = (uint64_t)time(NULL),
		.user = r->answer.user.whole,
	};
}

/* The owner has not logged in, and the master is in no backend's statistics. */
static bool
is_masters(const struct request *r)
{
	return r->master.whole.n > 0;
}

void
note_login(struct request *r)
{
	struct wire_note note = make_note(r, NOTE_LOGIN);

	if (is_masters(r) || chain_auth(r->chain, r->answer.backend)->notes == NULL)
		return;
	note.remote_ip = r->wire.remote_ip;
	note.mechanism = r->wire.mechanism;
	if (r->answer.is_app)
		note.app_prefix = r->query.app_prefix;
	send_note(r, &note);
}

static enum rehash
policy_of(const struct request *r)
{
	static const char *const names[] = {
		[REHASH_OFF] = "off",
		[REHASH_REPORT] = "report",
		[REHASH_ON] = "on",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (pst_str_eq(r->answer.record.rehash, pst_str_c(names[i])))
			return (enum rehash)i;
	return (enum rehash)r->a->env->settings->auth.rehash;
}

static bool
would_store(const struct request *r)
{
	return !is_masters(r) && r->answer.verdict == CHAIN_OK && r->answer.outdated.n > 0 &&
	       policy_of(r) == REHASH_ON && chain_auth(r->chain, r->answer.backend)->rehash != NULL;
}

/* A mark says that it was done, or tried: a backend that does not store it is not asked again at each
 * poll. */
bool
note_wants_rehash(const struct request *r)
{
	const struct worker_env *env = r->a->env;

	return would_store(r) && !verified_is(env->verified, r->query.user, r->answer.outdated,
	                                      r->wire.password, env->settings->auth.verified_age);
}

/* What stands in "{SCHEME}", which is no secret; the rest is. */
static struct pst_str
scheme_of(struct pst_str stored)
{
	const char *end = stored.n > 0 ? memchr(stored.p, '}', stored.n) : NULL;

	if (end == NULL || stored.p[0] != '{')
		return PST_LIT("default");
	return (struct pst_str){ stored.p + 1, (size_t)(end - stored.p) - 1 };
}

static void
store_anew(struct request *r)
{
	const struct settings *s = r->a->env->settings;
	const struct scheme_cost cost = chain_cost(s);
	struct wire_note note = make_note(r, NOTE_REHASH);
	struct pst_err err;

	note.old_credential = r->answer.outdated;
	if (scheme_make(s->auth.default_scheme, r->wire.password, &cost, r->a->arena,
	                &note.new_credential, &err) != 0) {
		pst_log_warn(&r->log, "auth.rehash", "reason=\"%s\"", err.text);
		return;
	}
	verified_add(r->a->env->verified, r->query.user, note.old_credential, r->wire.password);
	verified_add(r->a->env->verified, r->query.user, note.new_credential, r->wire.password);
	send_note(r, &note);
}

void
note_rehash(struct request *r)
{
	if (is_masters(r) || r->answer.is_remembered)
		return; /* it was told or done when the hash was checked */
	if (!r->a->in_haste && would_store(r))
		store_anew(r);
	else if (r->answer.outdated.n > 0 && policy_of(r) == REHASH_REPORT)
		pst_log_info(&r->log, "auth.outdated", "backend=%s scheme=%.*s",
		             chain_name(r->chain, r->answer.backend),
		             PST_ARG(scheme_of(r->answer.outdated)));
}
