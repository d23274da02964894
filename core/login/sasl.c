/* SPDX-License-Identifier: MIT */
/* What login does of each exchange; see sasl.h. */
#include "login/sasl.h"

#include <string.h>

#include "base/mem.h"
#include "credentials/base64.h"
#include "pop3/command.h"

/* Of one response: an attempt that is longer is hopeless, but no protocol error. */
#define RESPONSE_MAX (POP3_SASL_LINE_MAX / 4 * 3)

enum wanted { WANT_MESSAGE, WANT_USER, WANT_PASSWORD, WANT_DIGEST, WANT_RESPONSE };

/* By enum mechanism_start. */
static const enum wanted first_wanted[] = {
	[MECH_MESSAGE] = WANT_MESSAGE,
	[MECH_QUESTIONS] = WANT_USER,
	[MECH_CHALLENGE] = WANT_DIGEST,
	[MECH_RESPONSE] = WANT_RESPONSE,
};

/* By enum wanted: nothing, "Username:", "Password:"; where it is "" there may be one of its own. */
static const char *const challenges[] = { "", "VXNlcm5hbWU6", "UGFzc3dvcmQ6", NULL, "" };

struct sasl {
	enum mechanism_id id;
	enum wanted wanted;
	size_t user_n;
	char user[WIRE_USER + 1]; /* LOGIN's first answer, cut: one octet more than may be */
	char challenge[ATTEMPT_CHALLENGE];
	char encoded[BASE64_ROOM(ATTEMPT_CHALLENGE) + 1];
};

struct sasl *
sasl_create(enum mechanism_id id)
{
	struct sasl *s = pst_new(struct sasl);

	pst_assert(mechanisms[id].start != MECH_COMMAND);
	s->id = id;
	s->wanted = first_wanted[mechanisms[id].start];
	if (s->wanted == WANT_DIGEST) {
		attempt_make_challenge(s->challenge);
		s->encoded[base64_encode(s->challenge, strlen(s->challenge), BASE64_PADDED,
		                         s->encoded)] = '\0';
	}
	return s;
}

void
sasl_destroy(struct sasl *s)
{
	if (s == NULL)
		return;
	pst_wipe(s, sizeof(*s));
	free(s);
}

const char *
sasl_challenge(const struct sasl *s)
{
	return s->wanted == WANT_DIGEST ? s->encoded : challenges[s->wanted];
}

/* The octets up to the next NUL off *s; false where there is none. */
static bool
take_field(struct pst_str *s, struct pst_str *field_out)
{
	const char *nul = s->n == 0 ? NULL : memchr(s->p, '\0', s->n);
	size_t n;

	if (nul == NULL)
		return false;
	n = (size_t)(nul - s->p);
	*field_out = (struct pst_str){ s->p, n };
	*s = (struct pst_str){ s->p + n + 1, s->n - n - 1 };
	return true;
}

/* authzid NUL authcid NUL passwd (RFC 4616 section 2). */
static enum sasl_step
take_message(struct sasl *s, struct pst_str message, struct attempt *a, struct pst_err *err)
{
	struct pst_str authzid, user;

	if (!take_field(&message, &authzid) || !take_field(&message, &user) ||
	    pst_str_has_nul(message)) {
		pst_err_set(err, PST_E_CLIENT, "not a PLAIN message");
		return SASL_BAD;
	}
	attempt_set(a, s->id, user, message);
	if (authzid.n > sizeof(a->authzid)) {
		a->is_hopeless = true;
	} else if (authzid.n > 0 && !pst_str_eq(authzid, user)) {
		memcpy(a->authzid, authzid.p, authzid.n);
		a->authzid_n = authzid.n;
	}
	return SASL_DONE;
}

/* user SP digest (RFC 2195 section 2). */
static enum sasl_step
take_digest(struct sasl *s, struct pst_str response, struct attempt *a, struct pst_err *err)
{
	const char *space = response.n == 0 ? NULL : memrchr(response.p, ' ', response.n);
	struct pst_str user, digest;

	if (space == NULL) {
		pst_err_set(err, PST_E_CLIENT, "not a %s response", mechanisms[s->id].name);
		return SASL_BAD;
	}
	user = (struct pst_str){ response.p, (size_t)(space - response.p) };
	digest = (struct pst_str){ space + 1, response.n - user.n - 1 };
	attempt_set_response(a, s->id, user, digest);
	a->is_hopeless = a->is_hopeless || user.n == 0;
	memcpy(a->challenge, s->challenge, sizeof(a->challenge));
	return SASL_DONE;
}

static enum sasl_step
take_response(struct sasl *s, struct pst_str response, struct attempt *a, struct pst_err *err)
{
	switch (s->wanted) {
	case WANT_MESSAGE:
		return take_message(s, response, a, err);
	case WANT_USER:
		s->user_n = response.n < sizeof(s->user) ? response.n : sizeof(s->user);
		if (s->user_n > 0)
			memcpy(s->user, response.p, s->user_n);
		s->wanted = WANT_PASSWORD;
		return SASL_CHALLENGE;
	case WANT_DIGEST:
		return take_digest(s, response, a, err);
	case WANT_RESPONSE:
		attempt_set_response(a, s->id, PST_LIT(""), response);
		return SASL_DONE;
	case WANT_PASSWORD:
		break;
	}
	attempt_set(a, s->id, (struct pst_str){ s->user, s->user_n }, response);
	return SASL_DONE;
}

/* n octets of out are the response; false where text is no base64, and nothing of it is left in out. */
static bool
decode(struct pst_str text, uint8_t out[RESPONSE_MAX], size_t *n_out, struct pst_err *err)
{
	*n_out = 0;
	if (base64_decode(text, BASE64_PADDED, out, RESPONSE_MAX, n_out))
		return true;
	pst_wipe(out, RESPONSE_MAX); /* what was decoded until then */
	pst_err_set(err, PST_E_CLIENT, "not base64");
	return false;
}

static enum sasl_step
take_base64(struct sasl *s, struct pst_str text, struct attempt *a, struct pst_err *err)
{
	uint8_t response[RESPONSE_MAX];
	enum sasl_step step;
	size_t n;

	if (!decode(text, response, &n, err))
		return SASL_BAD;
	step = take_response(s, (struct pst_str){ (const char *)response, n }, a, err);
	pst_wipe(response, n);
	return step;
}

enum sasl_step
sasl_begin(struct sasl *s, struct pst_str initial, struct attempt *a, struct pst_err *err)
{
	if (initial.p == NULL)
		return SASL_CHALLENGE;
	if (s->wanted == WANT_DIGEST) { /* RFC 4422 section 5: there is nothing yet to respond to */
		pst_err_set(err, PST_E_CLIENT, "%s has no initial response",
		            mechanisms[s->id].name);
		return SASL_BAD;
	}
	if (pst_str_eq(initial, PST_LIT("="))) /* a response of no octets: RFC 5034 section 4 */
		initial.n = 0;
	return take_base64(s, initial, a, err);
}

static bool
is_cancel(struct pst_str line, struct pst_err *err)
{
	if (!pst_str_eq(line, PST_LIT("*")))
		return false;
	pst_err_set(err, PST_E_CLIENT, "authentication cancelled");
	return true;
}

enum sasl_step
sasl_line(struct sasl *s, struct pst_str line, struct attempt *a, struct pst_err *err)
{
	return is_cancel(line, err) ? SASL_BAD : take_base64(s, line, a, err);
}

int
sasl_decode(struct pst_str line, struct pst_str *response_out, struct pst_err *err)
{
	uint8_t response[RESPONSE_MAX];
	size_t n;

	if (is_cancel(line, err) || !decode(line, response, &n, err))
		return -1;
	*response_out = (struct pst_str){ (const char *)response, n };
	*response_out = (struct pst_str){ pst_str_dup(*response_out), n };
	pst_wipe(response, n);
	return 0;
}
