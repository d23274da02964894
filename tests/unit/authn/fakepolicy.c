/* SPDX-License-Identifier: MIT */
/* A policy for tests: what it says is in the domain that is asked for. */
#include <string.h>

#include <postern/policy.h>

static enum pst_verdict
say(struct pst_decision *d, enum pst_verdict verdict, int64_t delay_ms, enum pst_err_kind kind,
    const char *text)
{
	const size_t n = strlen(text) + 1;

	d->delay_ms = delay_ms;
	d->kind = kind;
	/* A long one leaves no NUL: the server ends it. */
	memcpy(d->text, text, n < sizeof(d->text) ? n : sizeof(d->text));
	return verdict;
}

#define TOO_LONG                                                                                   \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"

static enum pst_verdict
before_auth(void *self, const struct pst_auth_query *query, struct pst_decision *d)
{
	(void)self;
	if (pst_str_eq(query->domain, PST_LIT("before.test")))
		return say(d, PST_REFUSE, 5, PST_E_LIMIT, "slow down");
	if (pst_str_eq(query->domain, PST_LIT("delay.test")))
		return say(d, PST_DELAY, 70000, 0, "");
	if (pst_str_eq(query->domain, PST_LIT("mad.test")))
		return (enum pst_verdict)0;
	if (pst_str_eq(query->domain, PST_LIT("kind.test")))
		return say(d, PST_REFUSE, -5, (enum pst_err_kind)99, TOO_LONG);
	return PST_PASS;
}

static enum pst_verdict
after_auth(void *self, const struct pst_auth_query *query, bool ok,
           const struct pst_auth_record *record, struct pst_decision *d)
{
	(void)self;
	if (record->credential.n > 0)
		return say(d, PST_REFUSE, 0, PST_E_PERM, "a policy saw a credential");
	if (pst_str_eq(query->domain, PST_LIT("after.test")))
		return say(d, PST_REFUSE, 0, PST_E_PERM, ok ? "was right" : "was wrong");
	if (pst_str_eq(query->domain, PST_LIT("delay.test")))
		return say(d, PST_DELAY, 60000, 0, "");
	return PST_PASS;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

static const struct pst_policy policy = { .size = sizeof(struct pst_policy),
	                                  .before_auth = before_auth,
	                                  .after_auth = after_auth };

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_POLICY,
	.name = "fakepolicy",
	.start = start,
	.policy = &policy,
};
