/* SPDX-License-Identifier: MIT */
/* A policy for tests: what it says hangs on the address that the client comes from. */
#include <stdio.h>

#include <postern/policy.h>

static enum pst_verdict
on_connect(void *self, const struct pst_connection *conn, struct pst_decision *d)
{
	(void)self;
	if (pst_str_eq(conn->remote_ip, PST_LIT("127.0.0.2"))) {
		d->kind = PST_E_TEMP;
		(void)snprintf(d->text, sizeof(d->text), "not from %.*s of %.*s",
		               PST_ARG(conn->listener), PST_ARG(conn->local_ip));
		return PST_REFUSE;
	}
	if (pst_str_eq(conn->remote_ip, PST_LIT("127.0.0.3"))) {
		d->kind = (enum pst_err_kind)99;
		return PST_REFUSE;
	}
	if (pst_str_eq(conn->remote_ip, PST_LIT("127.0.0.4")))
		d->delay_ms = 400;
	if (pst_str_eq(conn->remote_ip, PST_LIT("127.0.0.5")))
		d->delay_ms = 60000;
	return d->delay_ms > 0 ? PST_DELAY : PST_PASS;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

static const struct pst_policy policy = {
	.size = sizeof(struct pst_policy),
	.on_connect = on_connect,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_POLICY,
	.name = "fakegate",
	.start = start,
	.policy = &policy,
};
