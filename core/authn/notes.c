/* SPDX-License-Identifier: MIT */
/* Notes on their way to the backends; see notes.h. */
#include "authn/notes.h"

#include <inttypes.h>
#include <string.h>

#include <postern/auth.h>

#include "authn/busy.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "credentials/chain.h"
#include "plugin/registry.h"

struct held {
	struct pst_auth_note note; /* strings in text */
	int64_t since_ms;
	char *text;
};

struct rehash_note {
	struct pst_str user, old_credential, new_credential; /* in text */
	char *text;
	size_t octets;
};

/* One backend's. */
struct desk {
	const struct worker_env *env;
	const char *name;
	const struct pst_auth *auth;
	void *self;

	struct held *held; /* NOTES_HELD, as a ring; NULL until the first */
	size_t first, count;
	struct rehash_note rehash[NOTES_REHASHES]; /* a ring */
	size_t first_rehash, rehash_count;
	size_t singly; /* so many notes are given one by one: among them is one that it refuses */

	bool is_away;
	int64_t retry_ms; /* not before */
	int64_t wait_ms;
	uint64_t dropped; /* since it went away */
};

struct notes {
	struct desk *desk[CHAIN_MAX];
	size_t n;
	size_t turn; /* of the desk that is asked first */
	struct pst_auth_note batch[NOTES_BATCH];
};

/* ---- Making ---- */

static struct desk *
new_desk(const struct worker_env *env, struct pst_str name)
{
	struct plugin *p = registry_find(env->plugins, PST_AUTH, name);
	struct desk *d;

	if (p == NULL || plugin_descriptor(p)->auth == NULL)
		return NULL;
	d = pst_new(struct desk);
	d->env = env;
	d->name = plugin_instance(p);
	d->auth = plugin_descriptor(p)->auth;
	d->self = plugin_self(p);
	return d;
}

struct notes *
notes_create(const struct worker_env *env)
{
	struct notes *n = pst_new(struct notes);
	const char *list = env->settings->auth.backends;
	struct pst_str word;

	while (n->n < CHAIN_MAX && settings_next_word(&list, &word))
		n->desk[n->n++] = new_desk(env, word);
	return n;
}

/* ---- What is held ---- */

static struct held *
held_at(const struct desk *d, size_t idx)
{
	return &d->held[(d->first + idx) % NOTES_HELD];
}

static void
drop_first(struct desk *d)
{
	free(held_at(d, 0)->text);
	d->first = (d->first + 1) % NOTES_HELD;
	d->count--;
	if (d->singly > 0)
		d->singly--;
}

/* It holds what a password is stored as. */
static void
drop_first_rehash(struct desk *d)
{
	struct rehash_note *r = &d->rehash[d->first_rehash];

	pst_wipe(r->text, r->octets);
	free(r->text);
	d->first_rehash = (d->first_rehash + 1) % NOTES_REHASHES;
	d->rehash_count--;
}

void
notes_destroy(struct notes *n)
{
	size_t i;

	for (i = 0; n != NULL && i < n->n; i++) {
		struct desk *d = n->desk[i];

		while (d != NULL && d->count > 0)
			drop_first(d);
		while (d != NULL && d->rehash_count > 0)
			drop_first_rehash(d);
		if (d != NULL)
			free(d->held);
		free(d);
	}
	free(n);
}

/* Copies s to *to, which moves on. */
static struct pst_str
put(char **to, struct pst_str s)
{
	const struct pst_str copy = { *to, s.n };

	if (s.n > 0)
		memcpy(*to, s.p, s.n);
	(*to)[s.n] = '\0';
	*to += s.n + 1;
	return copy;
}

static void
split(struct pst_auth_note *n)
{
	const char *at = n->user.n == 0 ? NULL : memrchr(n->user.p, '@', n->user.n);

	n->local_part = n->user;
	if (at == NULL)
		return;
	n->local_part.n = (size_t)(at - n->user.p);
	n->domain = (struct pst_str){ at + 1, n->user.n - n->local_part.n - 1 };
}

static void
hold(struct desk *d, const struct wire_note *w, int64_t now_ms)
{
	struct held *h;
	char *to;

	if (d->held == NULL)
		d->held = pst_new_array(struct held, NOTES_HELD);
	if (d->count == NOTES_HELD) {
		drop_first(d);
		d->dropped++;
	}
	h = held_at(d, d->count++);
	to = pst_alloc(w->user.n + w->remote_ip.n + w->mechanism.n + w->app_prefix.n + 4);
	*h = (struct held){ .since_ms = now_ms, .text = to };
	h->note = (struct pst_auth_note){
		.event = w->kind == NOTE_LOGIN ? PST_AUTH_LOGIN : PST_AUTH_SESSION,
		.user = put(&to, w->user),
		.at = w->at > INT64_MAX ? INT64_MAX : (int64_t)w->at,
		.retrieved = w->retrieved,
		.deleted = w->deleted,
		.octets = w->octets,
		.seconds = w->seconds,
	};
	split(&h->note);
	h->note.remote_ip = put(&to, w->remote_ip);
	h->note.mechanism = put(&to, w->mechanism);
	h->note.app_prefix = put(&to, w->app_prefix);
}

static void
hold_rehash(struct desk *d, const struct wire_note *w)
{
	struct rehash_note *r;
	char *to;

	if (d->rehash_count == NOTES_REHASHES) { /* its user's next login brings it again */
		drop_first_rehash(d);
		d->dropped++;
	}
	r = &d->rehash[(d->first_rehash + d->rehash_count++) % NOTES_REHASHES];
	r->octets = w->user.n + w->old_credential.n + w->new_credential.n + 3;
	r->text = to = pst_alloc(r->octets);
	r->user = put(&to, w->user);
	r->old_credential = put(&to, w->old_credential);
	r->new_credential = put(&to, w->new_credential);
}

static bool
is_sound(const struct wire_note *w)
{
	return w->user.n > 0 && !pst_str_has_nul(w->user) && !pst_str_has_nul(w->remote_ip) &&
	       !pst_str_has_nul(w->mechanism) && !pst_str_has_nul(w->app_prefix) &&
	       !pst_str_has_nul(w->old_credential) && !pst_str_has_nul(w->new_credential);
}

bool
notes_add(struct notes *n, const struct wire_note *note, int64_t now_ms)
{
	struct desk *d;

	if (note->backend >= n->n || !is_sound(note))
		return false;
	d = n->desk[note->backend];
	if (d == NULL) /* this worker goes without it */
		return true;
	if (note->kind == NOTE_REHASH && d->auth->rehash != NULL)
		hold_rehash(d, note);
	else if (note->kind != NOTE_REHASH && d->auth->notes != NULL)
		hold(d, note, now_ms);
	return true;
}

/* ---- Giving ---- */

static void
went_away(struct desk *d, int64_t now_ms, const struct pst_err *err)
{
	if (!d->is_away)
		pst_log_warn(NULL, "clerk.backend_away", "backend=%s reason=\"%.*s\"", d->name,
		             (int)strnlen(err->text, sizeof(err->text)), err->text);
	d->is_away = true;
	d->wait_ms = d->wait_ms == 0 ? NOTES_WAIT_MS : 2 * d->wait_ms;
	if (d->wait_ms > NOTES_WAIT_MAX_MS)
		d->wait_ms = NOTES_WAIT_MAX_MS;
	d->retry_ms = now_ms + d->wait_ms;
}

static void
is_back(struct desk *d)
{
	if (d->is_away || d->dropped > 0)
		pst_log_warn(NULL, "clerk.backend_back", "backend=%s held=%zu dropped=%" PRIu64,
		             d->name, d->count + d->rehash_count, d->dropped);
	d->is_away = false;
	d->dropped = 0;
	d->wait_ms = d->retry_ms = 0;
}

/* Something is wrong with the notes, not with the backend. Which one shows when each goes alone. */
static void
refused(struct desk *d, size_t n, const struct pst_err *err)
{
	if (n > 1) {
		d->singly = n;
		return;
	}
	pst_log_error(NULL, "clerk.note_refused", "backend=%s user=\"%.*s\" reason=\"%.*s\"",
	              d->name, PST_ARG(held_at(d, 0)->note.user),
	              (int)strnlen(err->text, sizeof(err->text)), err->text);
	drop_first(d);
}

static void
give_batch(struct notes *ns, struct desk *d)
{
	const size_t most = d->singly > 0 ? 1 : NOTES_BATCH;
	const size_t n = d->count < most ? d->count : most;
	struct pst_err err;
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		ns->batch[i] = held_at(d, i)->note;
	pst_err_set(&err, PST_E_TEMP, "it gave no reason");
	busy_begin(d->env, d->name, "notes");
	rc = d->auth->notes(d->self, ns->batch, n, &err);
	busy_end(d->env);
	if (rc != 0 && err.kind == PST_E_TEMP) {
		went_away(d, pst_now_ms(), &err);
		return;
	}
	if (rc != 0) {
		refused(d, n, &err);
		return;
	}
	for (i = 0; i < n; i++)
		drop_first(d);
	is_back(d);
}

static void
give_rehash(struct desk *d)
{
	const struct rehash_note *r = &d->rehash[d->first_rehash];
	const struct pst_log log = { .user = r->user };
	enum pst_auth_result result;
	struct pst_err err;

	pst_err_set(&err, PST_E_TEMP, "it gave no reason");
	busy_begin(d->env, d->name, "rehash");
	result = d->auth->rehash(d->self, r->user, r->old_credential, r->new_credential, &err);
	busy_end(d->env);
	if (result == PST_AUTH_TEMP && err.kind == PST_E_TEMP) {
		went_away(d, pst_now_ms(), &err);
		return;
	}
	if (result == PST_AUTH_OK)
		pst_log_debug(&log, "clerk.rehashed", "backend=%s", d->name);
	else if (result == PST_AUTH_UNKNOWN) /* it was changed meanwhile, which is as good */
		pst_log_debug(&log, "clerk.rehash_late", "backend=%s", d->name);
	else
		pst_log_error(&log, "clerk.rehash_refused", "backend=%s reason=\"%.*s\"", d->name,
		              (int)strnlen(err.text, sizeof(err.text)), err.text);
	drop_first_rehash(d);
	is_back(d);
}

static int64_t
desk_due(const struct desk *d)
{
	int64_t due = INT64_MAX;

	if (d->count > 0)
		due = d->count >= NOTES_BATCH || d->singly > 0
		              ? 0
		              : held_at(d, 0)->since_ms + NOTES_AGE_MS;
	if (d->rehash_count > 0)
		due = 0;
	return due != INT64_MAX && due < d->retry_ms ? d->retry_ms : due;
}

int64_t
notes_due(const struct notes *n)
{
	int64_t due = INT64_MAX;
	size_t i;

	for (i = 0; i < n->n; i++) {
		int64_t one = n->desk[i] == NULL ? INT64_MAX : desk_due(n->desk[i]);

		if (one < due)
			due = one;
	}
	return due;
}

static void
give(struct notes *n, struct desk *d)
{
	if (d->rehash_count > 0)
		give_rehash(d);
	else
		give_batch(n, d);
}

bool
notes_work(struct notes *n, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < n->n; i++) {
		size_t at = (n->turn + i) % n->n;

		if (n->desk[at] == NULL || desk_due(n->desk[at]) > now_ms)
			continue;
		n->turn = at + 1;
		give(n, n->desk[at]);
		return true;
	}
	return false;
}

void
notes_close(struct notes *n, int64_t until_ms)
{
	size_t i;

	for (i = 0; i < n->n; i++) {
		struct desk *d = n->desk[i];

		if (d == NULL)
			continue;
		d->retry_ms = 0; /* once more, whatever the wait */
		while (d->count + d->rehash_count > 0 && d->retry_ms == 0 &&
		       pst_now_ms() < until_ms)
			give(n, d);
		if (d->count + d->rehash_count > 0)
			pst_log_warn(NULL, "clerk.lost", "backend=%s notes=%zu rehashes=%zu",
			             d->name, d->count, d->rehash_count);
	}
}
