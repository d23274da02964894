/* SPDX-License-Identifier: MIT */
/* The connect hook; see policy.h. */
#include "login/policy.h"

#include "plugin/registry.h"

static const struct pst_policy *
policy_at(const struct registry *r, size_t idx)
{
	const struct pst_plugin *p = plugin_descriptor(registry_at(r, idx));

	return p->kind == PST_POLICY && p->policy != NULL && p->policy->on_connect != NULL
	               ? p->policy
	               : NULL;
}

static void
log_refusal(const struct plugin *p, const char *peer, const struct pst_decision *decision)
{
	const struct pst_log log = { .peer = peer };

	pst_log_info(&log, "login.refused", "policy=%s text=\"%s\"", plugin_instance(p),
	             decision->text);
}

void
local_address(int fd, char out[PST_ADDR_TEXT])
{
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(ss);

	(void)getsockname(fd, (struct sockaddr *)&ss, &n);
	pst_addr_text(&ss, out);
}

enum pst_verdict
policy_connect(const struct listener *l, int fd, const char *peer,
               struct pst_decision *decision_out)
{
	const struct registry *r = l->login->env->plugins;
	struct pst_connection conn = { .remote_ip = pst_str_c(peer) };
	enum pst_verdict verdict = PST_PASS;
	char local[PST_ADDR_TEXT];
	size_t i;

	*decision_out = (struct pst_decision){ 0 };
	for (i = 0; i < registry_count(r); i++) {
		const struct pst_policy *policy = policy_at(r, i);
		struct pst_decision one = { 0 };
		enum pst_verdict said;

		if (policy == NULL)
			continue;
		if (conn.local_ip.p == NULL) {
			local_address(fd, local);
			conn.local_ip = pst_str_c(local);
			conn.listener = pst_str_c(l->settings->name);
			conn.tls = l->settings->tls == TLS_IMPLICIT;
		}
		said = policy->on_connect(plugin_self(registry_at(r, i)), &conn, &one);
		if (said == PST_REFUSE) {
			one.kind = one.kind < PST_E_TEMP || one.kind >= PST_E_CLOSED ? PST_E_PERM
			                                                             : one.kind;
			one.text[sizeof(one.text) - 1] = '\0';
			*decision_out = one;
			log_refusal(registry_at(r, i), peer, &one);
			return said;
		}
		if (said == PST_DELAY && one.delay_ms > decision_out->delay_ms) {
			decision_out->delay_ms = one.delay_ms;
			verdict = said;
		}
	}
	return verdict;
}
