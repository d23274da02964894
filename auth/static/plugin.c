/* SPDX-License-Identifier: MIT */
/* The auth plugin static: every name, or every listed one, is a user, and all have the one password
 * whose stored form is a setting. For tests and trials; static_any asks for no password at all. */
#include "auth/static/template.h"

struct static_conf {
	const char *password;
	struct template_conf all;
};

static const struct pst_conf_key keys[] = {
	{ "password", PST_CONF_SECRET(struct static_conf, password), NULL, 3, 4000, "octets",
	  "Everybody's password, in its stored form: {SCHEME} and what belongs to it. There is no "
	  "value for \"any\": see the plugin static_any." },
	TEMPLATE_KEYS(struct static_conf, all),
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct static_conf *c = conf;
	const char *end = strchr(c->password, '}');

	if (c->password[0] != '{' || end == NULL || end == c->password + 1)
		return pst_err_set(err, PST_E_CLIENT, "password: must begin with its {SCHEME}");
	if (end[1] == '\0')
		return pst_err_set(err, PST_E_CLIENT,
		                   "password: nothing follows the {SCHEME}: anybody could log in");
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)err;
	*self_out = (void *)(uintptr_t)host->conf;
	return 0;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	const struct static_conf *c = self;

	(void)err;
	if (!template_has_user(&c->all, query))
		return PST_AUTH_UNKNOWN;
	template_fill(&c->all, record);
	record->credential = pst_str_c(c->password);
	return PST_AUTH_OK;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.lookup = lookup,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "static",
	.keys = keys,
	.conf_size = sizeof(struct static_conf),
	.check = check,
	.start = start,
	.auth = &auth,
	.needs = PST_NEEDS_FILES,
};
