/* SPDX-License-Identifier: MIT */
/* The chain of auth backends; see chain.h. */
#include "credentials/chain.h"

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/location.h"

#define CREDENTIAL_MAX 4096 /* octets that a backend may give for one */

struct backend {
	const char *name;
	struct plugin *plugin;
	const struct pst_auth *auth;
};

struct chain {
	const struct settings *settings;
	struct scheme_cost cost;
	struct backend v[CHAIN_MAX];
	size_t n;
	bool has_lookup; /* then an unknown user is ours to make as slow as a wrong password */
};

/* One question on its way. */
struct question {
	struct chain *chain;
	const struct pst_auth_query *query;
	const struct pst_str *password; /* or NULL */
	struct pst_arena *arena;
	struct chain_answer *out;
	bool spent; /* the time of a check */
};

struct scheme_cost
chain_cost(const struct settings *settings)
{
	return (struct scheme_cost){
		.argon2_memory = settings->auth.argon2_memory,
		.argon2_passes = settings->auth.argon2_passes,
		.max_memory = settings->auth.max_hash_memory,
	};
}

void
chain_check_settings(const struct settings *settings, const struct conf_texts *t,
                     struct conf_problems *problems)
{
	static const char path[] = "auth.default_scheme";
	const struct conf_text *text = conf_texts_get(t, path);

	if (!scheme_is_known(settings->auth.default_scheme))
		conf_problems_add(problems, text != NULL ? text->file : NULL,
		                  text != NULL ? text->line : 0,
		                  "%s: \"%s\" is not a known password scheme", path,
		                  settings->auth.default_scheme);
}

static int
add_backend(struct chain *c, const struct registry *r, struct pst_str instance, struct pst_err *err)
{
	struct plugin *p = registry_find(r, PST_AUTH, instance);
	const struct pst_auth *auth;

	if (p == NULL)
		return pst_err_set(err, PST_E_PERM, "auth backend %.*s is not loaded",
		                   PST_ARG(instance));
	if (c->n == CHAIN_MAX)
		return pst_err_set(err, PST_E_PERM, "auth.backends: more than %d", CHAIN_MAX);
	auth = plugin_descriptor(p)->auth;
	if (auth == NULL || (auth->lookup == NULL && auth->verify == NULL))
		return pst_err_set(err, PST_E_PERM, "plugin %s has neither lookup nor verify",
		                   plugin_instance(p));
	c->v[c->n++] = (struct backend){ plugin_instance(p), p, auth };
	c->has_lookup = c->has_lookup || auth->lookup != NULL;
	return 0;
}

struct chain *
chain_create(const struct settings *settings, const struct registry *r, struct pst_err *err)
{
	struct chain *c = pst_new(struct chain);
	const char *list = settings->auth.backends;
	struct pst_str word;

	c->settings = settings;
	c->cost = chain_cost(settings);
	if (!scheme_is_known(settings->auth.default_scheme)) {
		pst_err_set(err, PST_E_PERM, "auth.default_scheme: %s is not known",
		            settings->auth.default_scheme);
		goto fail;
	}
	if (location_check(pst_str_c(settings->mail.location), err) != 0)
		goto fail;
	while (settings_next_word(&list, &word))
		if (add_backend(c, r, word, err) != 0)
			goto fail;
	if (c->n == 0) {
		pst_err_set(err, PST_E_PERM, "auth.backends: there is none");
		goto fail;
	}
	return c;
fail:
	chain_destroy(c);
	return NULL;
}

void
chain_destroy(struct chain *c)
{
	free(c);
}

size_t
chain_count(const struct chain *c)
{
	return c->n;
}

const char *
chain_name(const struct chain *c, size_t idx)
{
	pst_assert(idx < c->n);
	return c->v[idx].name;
}

/* ---- What a plugin may hand back ---- */

static bool
is_text(struct pst_str s, size_t max)
{
	return s.n <= max && (s.n == 0 || (s.p != NULL && !pst_str_has_nul(s)));
}

/* A plugin may be anybody's: what it gave is looked at before it is believed. */
static int
check_record(const struct backend *b, const struct pst_auth_record *r, struct pst_err *err)
{
	if (!is_text(r->user, USERNAME_MAX))
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a bad user name", b->name);
	if (!is_text(r->credential, CREDENTIAL_MAX))
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a bad credential", b->name);
	if (!is_text(r->location, LOCATION_MAX))
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a bad location", b->name);
	if (!is_text(r->reason, LOCATION_MAX))
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a bad reason", b->name);
	return 0;
}

/* The name and the place of the mail: as the record says, else as asked and as set. */
static int
settle_user(const struct question *q, struct pst_err *err)
{
	const struct settings *s = q->chain->settings;
	struct chain_answer *out = q->out;
	struct pst_str name = out->record.user.n > 0 ? out->record.user : q->query->user;
	struct pst_str template =
		out->record.location.n > 0 ? out->record.location : pst_str_c(s->mail.location);

	if (username_fold(name, s->auth.default_domain, &out->user, err) != 0)
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a user that cannot be: %.*s",
		                   q->chain->v[out->backend].name, PST_ARG(name));
	return location_fill(template, &out->user, q->arena, &out->location, err);
}

static void
fail(struct chain_answer *out, struct pst_err *err)
{
	out->verdict = CHAIN_ERROR;
	if (err->kind != PST_E_PERM)
		err->kind = PST_E_TEMP;
	err->text[sizeof(err->text) - 1] = '\0';
	out->err = *err;
}

static enum scheme_match
check_password(struct question *q, struct pst_str credential, struct pst_err *err)
{
	enum scheme_match match =
		scheme_verify(credential, *q->password, q->chain->settings->auth.default_scheme,
	                      &q->chain->cost, err);

	q->spent = match != SCHEME_ERROR;
	q->out->password_right = match == SCHEME_MATCH;
	return match;
}

/* lookup found the user. */
static void
take_found(struct question *q, const struct backend *b)
{
	struct chain_answer *out = q->out;
	struct pst_str credential = out->record.credential;
	struct pst_err err;

	out->record.credential = PST_LIT("");
	if (credential.n == 0) {
		pst_err_set(&err, PST_E_PERM, "plugin %s gave a user without a credential",
		            b->name);
		fail(out, &err);
		return;
	}
	if (q->password != NULL) {
		enum scheme_match match = check_password(q, credential, &err);

		if (match == SCHEME_ERROR)
			fail(out, &err);
		if (match == SCHEME_DIFFERS)
			out->verdict = CHAIN_WRONG;
		if (match != SCHEME_MATCH)
			return;
	}
	if (settle_user(q, &err) != 0)
		fail(out, &err);
	else
		out->verdict = CHAIN_OK;
}

/* Known, and may not log in. The password is looked at all the same, so that the log can tell a
 * user who should be told from somebody who guesses; a broken credential is no matter here. */
static void
take_disabled(struct question *q)
{
	struct pst_str credential = q->out->record.credential;
	struct pst_err err;

	q->out->record.credential = PST_LIT("");
	q->out->verdict = CHAIN_DISABLED;
	if (credential.n > 0 && q->password != NULL)
		(void)check_password(q, credential, &err);
}

/* verify has checked the password itself. */
static void
take_verified(struct question *q)
{
	struct pst_err err;

	q->out->record.credential = PST_LIT("");
	q->out->password_right = true;
	if (settle_user(q, &err) != 0)
		fail(q->out, &err);
	else
		q->out->verdict = CHAIN_OK;
}

static enum pst_auth_result
call_backend(struct question *q, const struct backend *b, struct pst_err *err)
{
	void *self = plugin_self(b->plugin);
	enum pst_auth_result result;

	pst_err_set(err, PST_E_TEMP, "plugin %s gave no reason", b->name);
	if (b->auth->lookup != NULL) {
		result = b->auth->lookup(self, q->query, &q->out->record, err);
	} else if (q->password != NULL) {
		result = b->auth->verify(self, q->query, *q->password, &q->out->record, err);
	} else {
		pst_err_set(err, PST_E_TEMP, "plugin %s can only check a password", b->name);
		return PST_AUTH_TEMP;
	}
	if (result == PST_AUTH_TEMP || result == PST_AUTH_UNKNOWN ||
	    (result == PST_AUTH_WRONG && b->auth->lookup == NULL))
		return result;
	if ((result == PST_AUTH_OK || result == PST_AUTH_DISABLED) &&
	    check_record(b, &q->out->record, err) == 0)
		return result;
	if (result != PST_AUTH_OK && result != PST_AUTH_DISABLED)
		pst_err_set(err, PST_E_PERM, "plugin %s gave the result %d, which is none", b->name,
		            (int)result);
	return PST_AUTH_TEMP; /* with PST_E_PERM: an admin must act */
}

static void
ask_backend(struct question *q, size_t idx, const struct chain_watch *watch)
{
	const struct backend *b = &q->chain->v[idx];
	enum pst_auth_result result;
	struct pst_err err;

	q->out->record = (struct pst_auth_record){ .arena = q->arena };
	q->out->backend = idx;
	if (watch != NULL && watch->asking != NULL)
		watch->asking(watch->arg, idx);
	result = call_backend(q, b, &err);
	if (watch != NULL && watch->answered != NULL)
		watch->answered(watch->arg, idx, result, &err);
	switch (result) {
	case PST_AUTH_OK:
		if (b->auth->lookup != NULL)
			take_found(q, b);
		else
			take_verified(q);
		break;
	case PST_AUTH_UNKNOWN:
		q->out->verdict = CHAIN_UNKNOWN;
		break;
	case PST_AUTH_WRONG:
		q->out->verdict = CHAIN_WRONG;
		q->spent = true;
		break;
	case PST_AUTH_DISABLED:
		take_disabled(q);
		break;
	case PST_AUTH_TEMP:
		fail(q->out, &err);
		q->spent = true; /* everybody gets this answer */
		break;
	}
	if (q->out->verdict == CHAIN_OK)
		q->spent = true;
}

void
chain_ask(struct chain *c, const struct pst_auth_query *query, const struct pst_str *password,
          struct pst_arena *arena, const struct chain_watch *watch, struct chain_answer *out)
{
	struct question q;
	size_t idx;

	memset(out, 0, sizeof(*out));
	out->verdict = CHAIN_UNKNOWN;
	q = (struct question){ c, query, password, arena, out, false };
	for (idx = 0; idx < c->n && out->verdict == CHAIN_UNKNOWN; idx++)
		ask_backend(&q, idx, watch);
	if (out->verdict == CHAIN_UNKNOWN) {
		out->record = (struct pst_auth_record){ .arena = arena };
		out->backend = c->n;
	}
	if (password != NULL && !q.spent)
		chain_burn(c, *password);
}

void
chain_burn(struct chain *c, struct pst_str password)
{
	if (c->has_lookup)
		scheme_burn(c->settings->auth.default_scheme, password, &c->cost);
}
