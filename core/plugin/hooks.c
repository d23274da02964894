/* SPDX-License-Identifier: MIT */
/* Policies at a login; see hooks.h. */
#include "plugin/hooks.h"

#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"

#define DELAY_MAX_MS 300000

struct hook {
	const char *name;
	struct plugin *plugin;
	const struct pst_policy *policy;
};

struct hooks {
	struct hook v[REGISTRY_MAX];
	size_t n;
	hooks_said *said; /* or NULL */
	void *arg;
};

struct hooks *
hooks_create(const char *order, const struct registry *r, struct pst_err *err)
{
	struct hooks *h = pst_new(struct hooks);
	struct pst_str word;

	while (settings_next_word(&order, &word)) {
		struct plugin *p = registry_find(r, PST_POLICY, word);
		const struct pst_policy *policy;

		if (p == NULL || h->n == REGISTRY_MAX) {
			pst_err_set(err, PST_E_PERM, "policy %.*s is not loaded", PST_ARG(word));
			hooks_destroy(h);
			return NULL;
		}
		policy = plugin_descriptor(p)->policy;
		if (policy != NULL && (policy->before_auth != NULL || policy->after_auth != NULL))
			h->v[h->n++] = (struct hook){ plugin_instance(p), p, policy };
	}
	return h;
}

void
hooks_destroy(struct hooks *h)
{
	free(h);
}

void
hooks_watch(struct hooks *h, hooks_said *said, void *arg)
{
	h->said = said;
	h->arg = arg;
}

static bool
is_kind(enum pst_err_kind kind)
{
	return kind >= PST_E_TEMP && kind <= PST_E_CLOSED;
}

/* Adds what one hook said to *all; false once the login is refused. */
static bool
add_verdict(const struct hook *h, enum pst_verdict verdict, const struct pst_decision *one,
            struct pst_decision *all)
{
	int64_t delay_ms = one->delay_ms < DELAY_MAX_MS ? one->delay_ms : DELAY_MAX_MS;

	switch (verdict) {
	case PST_PASS:
		return true;
	case PST_DELAY:
		if (delay_ms > all->delay_ms)
			all->delay_ms = delay_ms;
		return true;
	case PST_REFUSE:
		if (delay_ms > all->delay_ms)
			all->delay_ms = delay_ms;
		all->kind = is_kind(one->kind) ? one->kind : PST_E_AUTH;
		memcpy(all->text, one->text, sizeof(all->text));
		all->text[sizeof(all->text) - 1] = '\0';
		return false;
	}
	pst_log_error(NULL, "auth.policy",
	              "plugin=%s reason=\"gave the verdict %d, which is none\"", h->name,
	              (int)verdict);
	all->kind = PST_E_PERM;
	all->text[0] = '\0';
	return false;
}

/* Takes one hook's word; false once the login is refused. */
static bool
take(const struct hooks *h, size_t idx, bool is_after, enum pst_verdict verdict,
     const struct pst_decision *one, struct pst_decision *all)
{
	if (h->said != NULL)
		h->said(h->arg, h->v[idx].name, is_after, verdict, one);
	return add_verdict(&h->v[idx], verdict, one, all);
}

enum pst_verdict
hooks_before(const struct hooks *h, const struct pst_auth_query *query, struct pst_decision *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < h->n; i++) {
		const struct hook *hook = &h->v[i];
		struct pst_decision one = { 0 };
		enum pst_verdict verdict;

		if (hook->policy->before_auth == NULL)
			continue;
		verdict = hook->policy->before_auth(plugin_self(hook->plugin), query, &one);
		if (!take(h, i, false, verdict, &one, out))
			return PST_REFUSE;
	}
	return PST_PASS;
}

enum pst_verdict
hooks_after(const struct hooks *h, const struct pst_auth_query *query, bool ok,
            const struct pst_auth_record *record, struct pst_decision *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < h->n; i++) {
		const struct hook *hook = &h->v[i];
		struct pst_decision one = { 0 };
		enum pst_verdict verdict;

		if (hook->policy->after_auth == NULL)
			continue;
		verdict = hook->policy->after_auth(plugin_self(hook->plugin), query, ok, record,
		                                   &one);
		if (!take(h, i, true, verdict, &one, out))
			return PST_REFUSE;
	}
	return PST_PASS;
}
