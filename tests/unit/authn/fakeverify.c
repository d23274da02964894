/* SPDX-License-Identifier: MIT */
/* An auth backend for tests that checks passwords itself. */
#include <postern/auth.h>

static enum pst_auth_result
verify(void *self, const struct pst_auth_query *query, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	(void)self;
	record->uid = 9;
	if (pst_str_eq(query->local_part, PST_LIT("vtemp"))) {
		pst_err_set(err, PST_E_TEMP, "directory away");
		return PST_AUTH_TEMP;
	}
	if (!pst_str_eq(query->local_part, PST_LIT("ver")))
		return PST_AUTH_UNKNOWN;
	return pst_str_eq(password, PST_LIT("vsecret")) ? PST_AUTH_OK : PST_AUTH_WRONG;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

static const struct pst_auth auth = { .size = sizeof(struct pst_auth), .verify = verify };

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "fakeverify",
	.start = start,
	.auth = &auth,
};
