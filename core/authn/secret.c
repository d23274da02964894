/* SPDX-License-Identifier: MIT */
/* Stored and invented secrets; see secret.h. */
#include "authn/secret.h"

#include <string.h>

#include "authn/scram.h"
#include "base/arena.h"
#include "base/crypto.h"

/* What the server's boot makes of a user's name: the same at each attempt, and nobody else's. */
static void
derive(const struct request *r, const char *what, uint8_t out[32])
{
	const struct ticket_office *office = r->a->env->tickets;
	const char *text = pst_arena_printf(r->a->arena, "%s %.*s", what, PST_ARG(r->query.user));

	pst_hmac_sha256(
		(struct pst_str){ (const char *)office->boot_secret, sizeof(office->boot_secret) },
		pst_str_c(text), out);
}

static bool
has_credential(const struct request *r)
{
	const enum chain_verdict v = r->answer.verdict;

	return (v == CHAIN_OK || v == CHAIN_DISABLED) && r->answer.record.credential.n > 0;
}

/* An operator who has turned a mechanism on may want to know whom it does not serve. */
static void
tell_unsuited(const struct request *r)
{
	pst_log_info(&r->log, "auth.unsuited",
	             "mech=%s reason=\"the password is not stored in a form that it can use\"",
	             mechanisms[r->mechanism].name);
}

static int
broken(struct request *r, const struct pst_err *why)
{
	r->answer.verdict = CHAIN_ERROR;
	r->answer.err = *why;
	return -1;
}

void
secret_forget(struct request *r)
{
	struct pst_auth_record *record = &r->answer.record;
	union {
		const char *in;
		char *out;
	} p = { record->credential.p };

	if (record->credential.n > 0)
		pst_wipe(p.out, record->credential.n);
	record->credential = PST_LIT("");
}

/* ---- SCRAM ---- */

static uint32_t
usual_iterations(const struct auth_settings *s)
{
	if (s->scram_iterations > 0)
		return (uint32_t)s->scram_iterations;
	return strncasecmp(s->default_scheme, "SCRAM-", 6) == 0 ? SCRAM_ITERATIONS
	                                                        : SCRAM_ITERATIONS_MIN;
}

static void
invent_scram(const struct request *r, struct scram_keys *out)
{
	uint8_t salt[32];

	derive(r, mechanisms[r->mechanism].name, salt);
	*out = (struct scram_keys){
		.iterations = usual_iterations(&r->a->env->settings->auth),
		.salt_n = SCRAM_SALT_MADE,
		.key_n = pst_digest_octets(scram_digest(r->mechanism)),
	};
	memcpy(out->salt, salt, SCRAM_SALT_MADE);
	pst_random(out->stored_key, sizeof(out->stored_key));
	pst_random(out->server_key, sizeof(out->server_key));
}

/* Of a password that is stored as it is: with the salt that a user would have who is not there. */
static enum scheme_view
make_scram(const struct request *r, bool with_keys, struct scram_keys *out, struct pst_err *err)
{
	const char *scheme = r->a->env->settings->auth.default_scheme;
	struct pst_secret password;
	enum scheme_view view = scheme_plain(r->answer.record.credential, scheme, &password, err);

	if (view == SCHEME_HAS && with_keys)
		scram_make_opaque(scram_digest(r->mechanism), pst_secret_view(&password), out);
	pst_secret_clear(&password);
	return view;
}

int
secret_scram(struct request *r, bool with_keys, struct scram_keys *out, bool *is_real_out)
{
	const char *scheme = r->a->env->settings->auth.default_scheme;
	struct scram_keys stored = { 0 };
	enum scheme_view view;
	struct pst_err err;

	invent_scram(r, out);
	*is_real_out = false;
	if (!has_credential(r))
		return 0;
	view = scheme_scram(r->answer.record.credential, scheme, scram_digest(r->mechanism),
	                    &stored, &err);
	if (view == SCHEME_HAS)
		*out = stored;
	else if (view == SCHEME_HAS_NOT)
		view = make_scram(r, with_keys, out, &err);
	pst_wipe(&stored, sizeof(stored));
	if (view == SCHEME_BROKEN) {
		pst_wipe(out, sizeof(*out));
		return broken(r, &err);
	}
	*is_real_out = view == SCHEME_HAS;
	if (!*is_real_out && with_keys)
		tell_unsuited(r);
	return 0;
}

/* ---- APOP and CRAM-MD5 ---- */

int
secret_plain(struct request *r, struct pst_secret *out, bool *is_real_out)
{
	enum scheme_view view = SCHEME_HAS_NOT;
	struct pst_err err;

	*is_real_out = false;
	if (has_credential(r)) {
		view = scheme_plain(r->answer.record.credential,
		                    r->a->env->settings->auth.default_scheme, out, &err);
		if (view == SCHEME_BROKEN)
			return broken(r, &err);
		*is_real_out = view == SCHEME_HAS;
		if (!*is_real_out)
			tell_unsuited(r);
	}
	if (!*is_real_out) {
		out->n = SCRAM_SALT_MADE;
		pst_random(out->p, out->n);
	}
	return 0;
}

int
secret_cram(struct request *r, uint8_t out[CRAM_STATE_OCTETS], bool *is_real_out)
{
	const struct scheme_cost cost = chain_cost(r->a->env->settings);
	enum scheme_view view = SCHEME_HAS_NOT;
	struct pst_err err;

	*is_real_out = false;
	if (has_credential(r)) {
		view = scheme_cram(r->answer.record.credential,
		                   r->a->env->settings->auth.default_scheme, &cost, out, &err);
		if (view == SCHEME_BROKEN)
			return broken(r, &err);
		*is_real_out = view == SCHEME_HAS;
		if (!*is_real_out)
			tell_unsuited(r);
	}
	if (!*is_real_out)
		pst_random(out, CRAM_STATE_OCTETS);
	return 0;
}
