/* SPDX-License-Identifier: MIT */
/* The auth plugin static_any: whoever comes is who they say, with any password. For a migration behind
 * a proxy that has checked the password, and for tests. Nobody gets it by a forgotten setting: it is a
 * plugin of its own, wants allow_any = true in so many words, and the networks that it is open to. */
#include "auth/static/template.h"

struct any_conf {
	bool allow_any;
	struct template_conf all;
};

static const struct pst_conf_key keys[] = {
	{ "allow_any", PST_CONF_BOOL(struct any_conf, allow_any), "false", 0, 0, NULL,
	  "Must be true: every client of allow_nets gets everybody's mail, with any password." },
	TEMPLATE_KEYS(struct any_conf, all),
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct any_conf *c = conf;

	if (!c->allow_any)
		return pst_err_set(err, PST_E_CLIENT,
		                   "allow_any: this plugin lets everybody in with any password; "
		                   "set it to true if that is what you want");
	if (!template_names_nets(&c->all))
		return pst_err_set(err, PST_E_CLIENT,
		                   "allow_nets: must name the networks that may come in without a "
		                   "password");
	return 0;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	const struct any_conf *c = host->conf;

	(void)err;
	if (strcmp(host->worker, "auth") == 0)
		host->log(host, PST_LOG_WARN, "static.open",
		          "nets=\"%s\" what=\"any password lets in whoever comes from there\"",
		          c->all.allow_nets);
	*self_out = (void *)(uintptr_t)c;
	return 0;
}

static enum pst_auth_result
verify(void *self, const struct pst_auth_query *query, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	const struct any_conf *c = self;

	(void)password, (void)err;
	if (!template_has_user(&c->all, query))
		return PST_AUTH_UNKNOWN;
	template_fill(&c->all, record);
	return PST_AUTH_OK;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.verify = verify,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "static_any",
	.keys = keys,
	.conf_size = sizeof(struct any_conf),
	.check = check,
	.start = start,
	.auth = &auth,
	.needs = PST_NEEDS_FILES,
};
