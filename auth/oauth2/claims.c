/* SPDX-License-Identifier: MIT */
/* What a token says of itself; see oauth2.h. */
#include <string.h>

#include "auth/oauth2/oauth2.h"

/* Whether word stands in list, whose words are separated by spaces. */
static bool
has_word(const char *list, const char *word, size_t n)
{
	while (*list != '\0') {
		size_t len = strcspn(list, " ");

		if (len == n && memcmp(list, word, n) == 0)
			return true;
		list += len + (list[len] == ' ');
	}
	return false;
}

/* A claim that is a text of words, or a list of texts (RFC 7519 section 4.1.3 for aud). */
static bool
claim_has(const json_t *claim, const char *word, size_t n)
{
	size_t i;

	if (json_is_string(claim))
		return has_word(json_string_value(claim), word, n);
	for (i = 0; i < json_array_size(claim); i++) {
		const json_t *one = json_array_get(claim, i);

		if (json_is_string(one) && json_string_length(one) == n &&
		    memcmp(json_string_value(one), word, n) == 0)
			return true;
	}
	return false;
}

/* all: every word of wanted must be in the claim; else one is enough. */
static bool
claim_fits(const json_t *claim, const char *wanted, bool all)
{
	while (*wanted != '\0') {
		size_t n = strcspn(wanted, " ");
		bool has = n == 0 || claim_has(claim, wanted, n);

		if (n > 0 && has != all)
			return has;
		wanted += n + (wanted[n] == ' ');
	}
	return all;
}

static bool
get_time(const json_t *claims, const char *name, int64_t *out, bool *broken)
{
	const json_t *v = json_object_get(claims, name);

	if (v == NULL)
		return false;
	*out = 0;
	if (json_is_integer(v))
		*out = json_integer_value(v);
	else if (json_is_real(v) && json_real_value(v) > 0 && json_real_value(v) < 9e15)
		*out = (int64_t)json_real_value(v);
	else
		*broken = true;
	return true;
}

static const char *
check_times(const struct oauth2_conf *conf, const json_t *claims, bool needs_end, int64_t now)
{
	const int64_t leeway = conf->leeway / 1000;
	bool broken = false;
	int64_t at;

	if (get_time(claims, "exp", &at, &broken)) {
		if (broken || at <= now - leeway)
			return broken ? "exp is no time" : "it has expired";
	} else if (needs_end) {
		return "it never expires";
	}
	if (get_time(claims, "nbf", &at, &broken) && (broken || at > now + leeway))
		return broken ? "nbf is no time" : "it is not valid yet";
	if (get_time(claims, "iat", &at, &broken) && (broken || at > now + leeway))
		return broken ? "iat is no time" : "it comes from the future";
	return NULL;
}

/* The name, which must be able to stand in a query of plugins: a text without a NUL. */
static const char *
get_user(const struct oauth2_conf *conf, const json_t *claims, struct pst_str *user_out)
{
	const json_t *v = json_object_get(claims, conf->username_claim);
	const json_t *verified = json_object_get(claims, "email_verified");

	if (!json_is_string(v) || json_string_length(v) == 0)
		return "it names no user";
	*user_out = (struct pst_str){ json_string_value(v), json_string_length(v) };
	if (pst_str_has_nul(*user_out))
		return "its user has a NUL in it";
	if (strcmp(conf->username_claim, "email") == 0 && verified != NULL &&
	    !json_is_true(verified))
		return "its address was not verified";
	return NULL;
}

static const char *
check_origin(const struct oauth2_conf *conf, const json_t *claims)
{
	const json_t *issuer = json_object_get(claims, "iss");

	if (conf->issuer[0] != '\0' &&
	    (!json_is_string(issuer) || strcmp(json_string_value(issuer), conf->issuer) != 0))
		return "it is another issuer's";
	if (conf->audience[0] != '\0' &&
	    !claim_fits(json_object_get(claims, "aud"), conf->audience, false))
		return "it is meant for another server";
	return NULL;
}

enum oauth2_verdict
oauth2_claims_check(const struct oauth2_conf *conf, const json_t *claims, bool needs_end,
                    int64_t now, struct pst_str *user_out, const char **why_out)
{
	const json_t *scope = json_object_get(claims, "scope");

	*why_out = check_times(conf, claims, needs_end, now);
	if (*why_out == NULL)
		*why_out = check_origin(conf, claims);
	if (*why_out == NULL)
		*why_out = get_user(conf, claims, user_out);
	if (*why_out != NULL)
		return OAUTH2_BAD;
	if (scope == NULL)
		scope = json_object_get(claims, "scp"); /* what one large issuer calls it */
	if (!claim_fits(scope, conf->scope, true)) {
		*why_out = "a scope is missing";
		return OAUTH2_SCOPE;
	}
	return OAUTH2_GOOD;
}
