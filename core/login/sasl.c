/* SPDX-License-Identifier: MIT */
/* PLAIN and LOGIN; see sasl.h. */
#include "login/sasl.h"

#include <string.h>

#include "base/mem.h"
#include "credentials/base64.h"
#include "pop3/command.h"

/* Of one response: an attempt that is longer is hopeless, but no protocol error. */
#define RESPONSE_MAX (POP3_SASL_LINE_MAX / 4 * 3)

enum wanted { WANT_MESSAGE, WANT_USER, WANT_PASSWORD };

struct mechanism {
	const char *name;
	enum wanted first;
};

static const struct mechanism mechanisms[] = {
	{ "PLAIN", WANT_MESSAGE },
	{ "LOGIN", WANT_USER },
};

/* By enum wanted: nothing, "Username:", "Password:". */
static const char *const challenges[] = { "", "VXNlcm5hbWU6", "UGFzc3dvcmQ6" };

struct sasl {
	const struct mechanism *mechanism;
	enum wanted wanted;
	size_t user_n;
	char user[WIRE_USER + 1]; /* LOGIN's first answer, cut: one octet more than may be */
};

static void
copy_cut(char *out, size_t cap, size_t *n_out, struct pst_str from)
{
	*n_out = from.n < cap ? from.n : cap;
	if (*n_out > 0)
		memcpy(out, from.p, *n_out);
}

void
attempt_set(struct attempt *a, const char *mechanism, struct pst_str user, struct pst_str password)
{
	a->mechanism = mechanism;
	copy_cut(a->user, sizeof(a->user), &a->user_n, user);
	copy_cut(a->password, sizeof(a->password), &a->password_n, password);
	a->is_hopeless = user.n == 0 || password.n == 0 || user.n > WIRE_USER ||
	                 password.n > WIRE_PASSWORD || pst_str_has_nul(user) ||
	                 pst_str_has_nul(password);
}

void
attempt_destroy(struct attempt *a)
{
	if (a == NULL)
		return;
	pst_wipe(a, sizeof(*a));
	free(a);
}

struct sasl *
sasl_create(struct pst_str mechanism)
{
	struct sasl *s;
	size_t i;

	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		if (!pst_str_ieq(mechanism, pst_str_c(mechanisms[i].name)))
			continue;
		s = pst_new(struct sasl);
		s->mechanism = &mechanisms[i];
		s->wanted = mechanisms[i].first;
		return s;
	}
	return NULL;
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
	return challenges[s->wanted];
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
	attempt_set(a, s->mechanism->name, user, message);
	if (authzid.n > 0 && !pst_str_eq(authzid, user))
		a->is_hopeless = true; /* nobody may act for another here */
	return SASL_DONE;
}

static enum sasl_step
take_response(struct sasl *s, struct pst_str response, struct attempt *a, struct pst_err *err)
{
	switch (s->wanted) {
	case WANT_MESSAGE:
		return take_message(s, response, a, err);
	case WANT_USER:
		copy_cut(s->user, sizeof(s->user), &s->user_n, response);
		s->wanted = WANT_PASSWORD;
		return SASL_CHALLENGE;
	case WANT_PASSWORD:
		break;
	}
	attempt_set(a, s->mechanism->name, (struct pst_str){ s->user, s->user_n }, response);
	return SASL_DONE;
}

static enum sasl_step
take_base64(struct sasl *s, struct pst_str text, struct attempt *a, struct pst_err *err)
{
	uint8_t response[RESPONSE_MAX];
	enum sasl_step step;
	size_t n = 0;

	if (!base64_decode(text, BASE64_PADDED, response, sizeof(response), &n)) {
		pst_wipe(response, sizeof(response)); /* what was decoded until then */
		pst_err_set(err, PST_E_CLIENT, "not base64");
		return SASL_BAD;
	}
	step = take_response(s, (struct pst_str){ (const char *)response, n }, a, err);
	pst_wipe(response, n);
	return step;
}

enum sasl_step
sasl_begin(struct sasl *s, struct pst_str initial, struct attempt *a, struct pst_err *err)
{
	if (initial.p == NULL)
		return SASL_CHALLENGE;
	if (pst_str_eq(initial, PST_LIT("="))) /* a response of no octets: RFC 5034 section 4 */
		initial.n = 0;
	return take_base64(s, initial, a, err);
}

enum sasl_step
sasl_line(struct sasl *s, struct pst_str line, struct attempt *a, struct pst_err *err)
{
	if (pst_str_eq(line, PST_LIT("*"))) {
		pst_err_set(err, PST_E_CLIENT, "authentication cancelled");
		return SASL_BAD;
	}
	return take_base64(s, line, a, err);
}
