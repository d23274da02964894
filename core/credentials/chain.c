/* SPDX-License-Identifier: MIT */
/* The chain of auth backends; see chain.h. */
#include "base/mem.h"
#include "credentials/location.h"
#include "credentials/question.h"

struct scheme_cost
chain_cost(const struct settings *settings)
{
	return (struct scheme_cost){
		.argon2_memory = settings->auth.argon2_memory,
		.argon2_passes = settings->auth.argon2_passes,
		.max_memory = settings->auth.max_hash_memory,
		.allow_weak = settings->auth.allow_weak_schemes,
	};
}

void
chain_check_settings(const struct settings *settings, const struct conf_texts *t,
                     struct conf_problems *problems)
{
	static const char path[] = "auth.default_scheme";
	const struct conf_text *text = conf_texts_get(t, path);
	const struct scheme_cost cost = chain_cost(settings);

	if (!scheme_is_usable(settings->auth.default_scheme, &cost))
		conf_problems_add(problems, text != NULL ? text->file : NULL,
		                  text != NULL ? text->line : 0,
		                  "%s: \"%s\" is not a known password scheme, or a weak one", path,
		                  settings->auth.default_scheme);
}

/* Stands for a backend that this worker goes without. Who is not known to those before it might be its
 * user: nobody can tell now. */
static enum pst_auth_result
left_out_lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
                struct pst_err *err)
{
	(void)self, (void)query, (void)record;
	pst_err_set(err, PST_E_TEMP,
	            "its plugin is left out for a while: it ended workers at start");
	return PST_AUTH_TEMP;
}

static const struct pst_auth left_out = {
	.size = sizeof(struct pst_auth),
	.lookup = left_out_lookup,
};

static int
add_backend(struct chain *c, const struct registry *r, struct pst_str instance, struct pst_err *err)
{
	struct plugin *p = registry_find(r, PST_AUTH, instance);
	const struct plugin_section *section = settings_section(c->settings, PST_AUTH, instance);
	const char *name = registry_left_out(r, instance);
	const struct pst_auth *auth;

	if (name != NULL && c->n < CHAIN_MAX) {
		c->v[c->n++] = (struct backend){ .name = name, .auth = &left_out };
		if (section != NULL)
			c->v[c->n - 1].rules = section->rules;
		return 0;
	}
	if (p == NULL)
		return pst_err_set(err, PST_E_PERM, "auth backend %.*s is not loaded",
		                   PST_ARG(instance));
	if (c->n == CHAIN_MAX)
		return pst_err_set(err, PST_E_PERM, "auth.backends: more than %d", CHAIN_MAX);
	auth = plugin_descriptor(p)->auth;
	if (auth == NULL || (auth->lookup == NULL && auth->verify == NULL && auth->token == NULL))
		return pst_err_set(err, PST_E_PERM,
		                   "plugin %s has neither lookup nor verify nor token",
		                   plugin_instance(p));
	c->v[c->n++] = (struct backend){ .name = plugin_instance(p), .plugin = p, .auth = auth };
	if (section != NULL)
		c->v[c->n - 1].rules = section->rules;
	return 0;
}

static struct chain *
create(const struct settings *settings, const char *list, const struct registry *r,
       struct pst_err *err)
{
	struct chain *c = pst_new(struct chain);
	struct pst_str word;

	c->settings = settings;
	c->cost = chain_cost(settings);
	if (!scheme_is_usable(settings->auth.default_scheme, &c->cost)) {
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
	c->checks = rules_checks(c);
	return c;
fail:
	chain_destroy(c);
	return NULL;
}

struct chain *
chain_create(const struct settings *settings, const struct registry *r, struct pst_err *err)
{
	return create(settings, settings->auth.backends, r, err);
}

struct chain *
chain_create_masters(const struct settings *settings, const struct registry *r, struct pst_err *err)
{
	struct chain *c = create(settings, settings->auth.master_backends, r, err);

	if (c != NULL)
		c->needs_no_mail = true;
	return c;
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

const struct pst_auth *
chain_auth(const struct chain *c, size_t idx)
{
	pst_assert(idx < c->n);
	return c->v[idx].auth;
}

void *
chain_self(const struct chain *c, size_t idx)
{
	pst_assert(idx < c->n);
	return c->v[idx].plugin == NULL ? NULL : plugin_self(c->v[idx].plugin);
}

void
chain_remember(struct chain *c, struct verified *v, int64_t age_ms)
{
	c->verified = v;
	c->verified_age_ms = age_ms;
}

bool
chain_burn(struct chain *c, struct pst_str password, bool in_haste)
{
	return proof_burn(c, password, c->checks, in_haste);
}
