/* SPDX-License-Identifier: MIT */
/* postern/policy.h - what a policy plugin does: let pass, delay, or refuse.
 *
 * Each hook says in which process it runs and whether it may block. A NULL hook
 * means "not interested". Policies are asked in the order of the configuration;
 * the first refusal counts, delays add up to the longest. */
#ifndef POSTERN_POLICY_H
#define POSTERN_POLICY_H

#include <postern/auth.h>

enum pst_verdict { PST_PASS = 1, PST_DELAY, PST_REFUSE };

struct pst_decision {
	int64_t delay_ms;       /* PST_DELAY: waited out by a timer, costs no worker */
	enum pst_err_kind kind; /* PST_REFUSE: the response code, e.g. PST_E_AUTH */
	char text[80];          /* PST_REFUSE: what the client reads; empty: the kind's own text */
};

struct pst_connection {
	struct pst_str remote_ip; /* as text */
	struct pst_str local_ip;
	struct pst_str listener; /* its name in the configuration */
	bool tls;                /* an implicit TLS listener */
};

struct pst_policy {
	/* sizeof(struct pst_policy) that the plugin was built with; members are only appended. */
	uint32_t size;

	/* login worker, before a byte is read or sent. Must not block. */
	enum pst_verdict (*on_connect)(void *self, const struct pst_connection *conn,
	                               struct pst_decision *decision);

	/* auth worker, before a backend is asked. May block. */
	enum pst_verdict (*before_auth)(void *self, const struct pst_auth_query *query,
	                                struct pst_decision *decision);

	/* auth worker, after the backends. ok: the credentials were good. May block. */
	enum pst_verdict (*after_auth)(void *self, const struct pst_auth_query *query, bool ok,
	                               const struct pst_auth_record *record,
	                               struct pst_decision *decision);
};

#endif
