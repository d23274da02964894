/* SPDX-License-Identifier: MIT */
/* An auth plugin that knows nobody. */
#include <postern/auth.h>

static enum pst_auth_result
fake_lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
            struct pst_err *err)
{
	(void)self, (void)query, (void)record, (void)err;
	return PST_AUTH_UNKNOWN;
}

static const struct pst_auth fake_auth = { .size = sizeof(struct pst_auth), .lookup = fake_lookup };

struct fake_conf {
	const char *secret;
};

static const struct pst_conf_key fake_keys[] = {
	{ "secret", PST_CONF_SECRET(struct fake_conf, secret), "", 0, 0, NULL,
	  "Something that only auth workers may see." },
	{ .key = NULL },
};

static int
fake_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "fakeauth",
	.keys = fake_keys,
	.conf_size = sizeof(struct fake_conf),
	.start = fake_start,
	.auth = &fake_auth,
};
