/* SPDX-License-Identifier: MIT */
/* What a plugin gave; see question.h. */
#include "credentials/location.h"
#include "credentials/question.h"

#define CREDENTIAL_MAX 4096 /* octets that a backend may give for one */

static bool
is_text(struct pst_str s, size_t max)
{
	return s.n <= max && (s.n == 0 || (s.p != NULL && !pst_str_has_nul(s)));
}

int
record_check(const struct backend *b, const struct pst_auth_record *r, struct pst_err *err)
{
	const struct {
		const char *name;
		struct pst_str text;
		size_t max;
	} texts[] = {
		{ "user name", r->user, USERNAME_MAX },
		{ "credential", r->credential, CREDENTIAL_MAX },
		{ "location", r->location, LOCATION_MAX },
		{ "reason", r->reason, LOCATION_MAX },
		{ "home", r->home, LOCATION_MAX },
		{ "list of networks", r->allow_nets, LOCATION_MAX },
		{ "word for rehash", r->rehash, USERNAME_MAX },
		{ "app credential", r->app_credential, CREDENTIAL_MAX },
		{ "app label", r->app_label, LOCATION_MAX },
		{ "list of an app password's networks", r->app_nets, LOCATION_MAX },
		{ "token error", r->token_error, LOCATION_MAX },
		{ "alias", r->alias, USERNAME_MAX },
		{ "proxy", r->proxy, LOCATION_MAX },
		{ "source", r->source, USERNAME_MAX },
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!is_text(texts[i].text, texts[i].max))
			return pst_err_set(err, PST_E_PERM, "plugin %s gave a bad %s", b->name,
			                   texts[i].name);
	return 0;
}

int
record_settle(const struct question *q, struct pst_err *err)
{
	const struct settings *s = q->chain->settings;
	struct chain_answer *out = q->out;
	struct pst_str name = out->record.user.n > 0 ? out->record.user : q->query->user;
	struct pst_str template =
		out->record.location.n > 0 ? out->record.location : pst_str_c(s->mail.location);

	if (username_fold(name, s->auth.default_domain, &out->user, err) != 0)
		return pst_err_set(err, PST_E_PERM, "plugin %s gave a user that cannot be: %.*s",
		                   q->chain->v[out->backend].name, PST_ARG(name));
	out->user.home = out->record.home;
	if (q->chain->needs_no_mail)
		return 0;
	return location_fill(template, &out->user, q->arena, &out->location, err);
}
