/* SPDX-License-Identifier: MIT */
/* Masters, who log in for others with a password of their own; see answer.h.
 *
 * The master's password comes first: who does not know it learns nothing of the owner of the mail, as
 * nobody looks the owner up. All that judges a client (policies, networks) judges the master; of the
 * owner counts that there is one, who is not disabled, and how the mail may travel. */
#include "authn/answer.h"

#include "base/arena.h"
#include "credentials/contract.h"

/* "alice@example.org*support"; neither is empty. */
static bool
take_apart(struct pst_str name, char separator, struct pst_str *owner_out,
           struct pst_str *master_out)
{
	const char *at =
		separator == '\0' || name.n == 0 ? NULL : memrchr(name.p, separator, name.n);
	size_t n;

	if (at == NULL)
		return false;
	n = (size_t)(at - name.p);
	if (n == 0 || n + 1 == name.n)
		return false;
	*owner_out = (struct pst_str){ name.p, n };
	*master_out = (struct pst_str){ at + 1, name.n - n - 1 };
	return true;
}

/* Only who is known by what the client shows can act for another. */
static bool
may_be_master(const struct request *r)
{
	const enum mechanism_proof proof =
		r->mechanism == MECH_COUNT ? MECH_BY_PASSWORD : mechanisms[r->mechanism].proof;

	if (r->a->masters == NULL)
		return false;
	return r->wire.password.n > 0 || proof == MECH_BY_SCRAM || proof == MECH_BY_CERTIFICATE;
}

enum master_way
master_names(const struct request *r, struct pst_str *owner_out, struct pst_str *master_out)
{
	const struct auth_settings *s = &r->a->env->settings->auth;

	if (r->wire.authzid.n > 0) {
		*owner_out = r->wire.authzid;
		*master_out = r->wire.user;
		return may_be_master(r) ? MASTER_FOR_OWNER : MASTER_FORBIDDEN;
	}
	*owner_out = r->wire.user;
	*master_out = PST_LIT("");
	if (r->a->masters != NULL && r->wire.password.n > 0 &&
	    take_apart(r->wire.user, s->master_separator[0], owner_out, master_out))
		return MASTER_FOR_OWNER;
	return MASTER_NONE;
}

bool
master_reads_only(const struct request *r)
{
	return r->a->env->settings->auth.master_read_only || r->answer.record.read_only;
}

/* Who came, and how, is the master. */
static struct pst_auth_query
ask_for_owner(const struct request *r)
{
	struct pst_auth_query query = r->query;

	query.user = r->user.whole;
	query.local_part = r->user.local;
	query.domain = r->user.domain;
	query.app_prefix = PST_LIT("");
	return query;
}

void
master_find_owner(struct request *r)
{
	static const struct chain_proof nothing = { .kind = PROOF_NONE };
	const struct pst_auth_query query = ask_for_owner(r);

	r->chain = r->a->chain;
	chain_ask(r->chain, &query, &nothing, r->a->arena, NULL, &r->answer);
	/* The master may be told all about the owner; from where the owner may come does not bind
	 * the master. */
	r->answer.password_right = true;
	r->answer.record.allow_nets = PST_LIT("");
}
