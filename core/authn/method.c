/* SPDX-License-Identifier: MIT */
/* The mechanisms without a password; see method.h. */
#include "authn/method.h"

#include <stdio.h>
#include <string.h>

#include "authn/exchange.h"
#include "authn/request.h"
#include "authn/secret.h"
#include "base/arena.h"
#include "credentials/gs2.h"

static struct pst_str
keep_name(struct request *r, const struct gs2_name *name)
{
	const struct pst_str s = { name->text, name->n };

	return (struct pst_str){ pst_arena_copy(r->a->arena, s), s.n };
}

static bool
read_bearer(const struct request *r, struct bearer *out)
{
	return r->mechanism == MECH_XOAUTH2 ? bearer_read_xoauth2(r->wire.response, out)
	                                    : bearer_read_rfc7628(r->wire.response, out);
}

/* For another than user: else there is nothing to say about it. */
static void
set_authzid(struct request *r, struct pst_str authzid)
{
	r->wire.authzid = pst_str_ieq(authzid, r->wire.user) ? PST_LIT("") : authzid;
}

static void
name_by_scram(struct request *r)
{
	struct scram_first first;

	r->wire.user = r->wire.authzid = PST_LIT("");
	if (!scram_first_read(r->wire.response, &first))
		return;
	r->wire.user = keep_name(r, &first.user);
	set_authzid(r, keep_name(r, &first.gs2.authzid));
}

static void
name_by_token(struct request *r)
{
	struct bearer bearer;

	r->wire.user = r->wire.authzid = PST_LIT("");
	if (read_bearer(r, &bearer))
		r->wire.user = keep_name(r, &bearer.user);
}

/* The response of EXTERNAL is whom to act for (RFC 4422 appendix A). */
static void
name_by_certificate(struct request *r)
{
	r->wire.user = r->wire.cert_name;
	if (pst_str_has_nul(r->wire.response) || r->wire.response.n > WIRE_USER)
		r->wire.user = PST_LIT("");
	else
		set_authzid(r, r->wire.response);
}

void
method_name(struct request *r)
{
	switch (mechanisms[r->mechanism].proof) {
	case MECH_BY_SCRAM:
		name_by_scram(r);
		break;
	case MECH_BY_TOKEN:
		name_by_token(r);
		break;
	case MECH_BY_CERTIFICATE:
		name_by_certificate(r);
		break;
	case MECH_BY_NOTHING:
		r->wire.user = mechanism_guest(&r->a->env->settings->auth, r->wire.sni);
		break;
	case MECH_BY_PASSWORD:
	case MECH_BY_DIGEST:
		break;
	}
}

/* ---- A digest of the challenge ---- */

static void
write_hex(const uint8_t *octets, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", octets[i]);
}

/* RFC 1939 section 7. */
static int
apop_digest(struct request *r, uint8_t out[CRAM_DIGEST_OCTETS], bool *is_real_out)
{
	struct pst_secret password;

	if (secret_plain(r, &password, is_real_out) != 0)
		return -1;
	pst_digest(PST_MD5, r->wire.challenge, pst_secret_view(&password), out);
	pst_secret_clear(&password);
	return 0;
}

/* RFC 2195 section 2. */
static int
cram_digest(struct request *r, uint8_t out[CRAM_DIGEST_OCTETS], bool *is_real_out)
{
	uint8_t state[CRAM_STATE_OCTETS];

	if (secret_cram(r, state, is_real_out) != 0)
		return -1;
	cram_answer(state, r->wire.challenge, out);
	pst_wipe(state, sizeof(state));
	return 0;
}

static void
judge_digest(struct request *r)
{
	uint8_t digest[CRAM_DIGEST_OCTETS];
	char hex[2 * CRAM_DIGEST_OCTETS + 1];
	bool is_real;
	int rc;

	request_ask(r, PROOF_KEEP, PST_LIT(""));
	rc = r->mechanism == MECH_APOP ? apop_digest(r, digest, &is_real)
	                               : cram_digest(r, digest, &is_real);
	secret_forget(r);
	if (rc == 0) {
		write_hex(digest, sizeof(digest), hex);
		answer_proven(r, pst_secret_equal(r->wire.response, pst_str_c(hex)) && is_real &&
		                         r->wire.challenge.n > 0);
	}
	pst_wipe(digest, sizeof(digest));
	pst_wipe(hex, sizeof(hex));
	answer_settle(r);
}

/* ---- A certificate, or nothing ---- */

static void
judge_certificate(struct request *r)
{
	request_ask(r, PROOF_KEEP, PST_LIT(""));
	secret_forget(r);
	answer_proven(r, true);
	answer_settle(r);
}

static void
judge_guest(struct request *r)
{
	request_ask(r, PROOF_KEEP, PST_LIT(""));
	secret_forget(r);
	answer_proven(r, true);
	r->answer.record.read_only = true;
	answer_settle(r);
}

/* ---- A token ---- */

/* RFC 7628 section 3.2.2: what is wrong is told in a challenge, before the refusal. */
static void
tell_token_error(struct request *r)
{
	const struct pst_str said = r->answer.record.token_error;

	if (r->reply.ok || r->reply.kind != PST_E_AUTH)
		return;
	r->reply.has_challenge = true;
	r->reply.challenge = said.n > 0 && said.n <= WIRE_CHALLENGE
	                             ? said
	                             : PST_LIT("{\"status\":\"invalid_token\"}");
}

static void
judge_token(struct request *r)
{
	struct bearer bearer;

	pst_assert(read_bearer(r, &bearer));
	request_ask(r, PROOF_TOKEN, bearer.token);
	if (r->answer.verdict == CHAIN_SLOW) {
		forward_send(r);
		return;
	}
	answer_settle(r);
	tell_token_error(r);
}

/* A token may say by itself who it is. */
bool
method_is_possible(struct request *r)
{
	const bool by_token = mechanisms[r->mechanism].proof == MECH_BY_TOKEN;
	struct bearer bearer;

	if (r->is_user || (by_token && read_bearer(r, &bearer) && bearer.user.n == 0))
		return true;
	answer_refuse(r, PST_E_AUTH, "");
	if (by_token)
		tell_token_error(r);
	return false;
}

void
method_judge(struct request *r)
{
	switch (mechanisms[r->mechanism].proof) {
	case MECH_BY_DIGEST:
		judge_digest(r);
		break;
	case MECH_BY_SCRAM:
		exchanges_begin(r);
		break;
	case MECH_BY_CERTIFICATE:
		judge_certificate(r);
		break;
	case MECH_BY_TOKEN:
		judge_token(r);
		break;
	case MECH_BY_NOTHING:
		judge_guest(r);
		break;
	case MECH_BY_PASSWORD:
		pst_assert(false);
	}
}
