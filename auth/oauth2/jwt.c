/* SPDX-License-Identifier: MIT */
/* Signed tokens; see oauth2.h. The signature is libjwt's to check. Which key and which algorithm it may
 * use is decided here before, from the header: a token must not choose how it is checked (RFC 8725
 * section 3.1). */
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

#include "auth/oauth2/oauth2.h"

#define ALG_MAX 8
#define ID_MAX 256

struct head {
	char alg[ALG_MAX];
	char id[ID_MAX];
};

bool
oauth2_is_jwt(struct pst_str text)
{
	size_t dots = 0, i;

	for (i = 0; i < text.n; i++)
		dots += text.p[i] == '.';
	return dots == 2;
}

static bool
copy_member(const json_t *object, const char *name, char *out, size_t cap)
{
	const json_t *v = json_object_get(object, name);

	out[0] = '\0';
	if (v == NULL)
		return true;
	if (!json_is_string(v) || json_string_length(v) >= cap)
		return false;
	memcpy(out, json_string_value(v), json_string_length(v) + 1);
	return true;
}

static const char *
read_head(const char *token, struct head *out)
{
	static const char *const known[] = { "RS256", "RS384", "RS512", "ES256", "ES384",
		                             "ES512", "HS256", "HS384", "HS512" };
	size_t n = 0, i;
	unsigned char *text = oauth2_base64url(token, strcspn(token, "."), &n);
	json_t *head =
		text == NULL ? NULL : json_loadb((char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *why = "its header cannot be read";

	free(text);
	if (!json_is_object(head) || !copy_member(head, "alg", out->alg, sizeof(out->alg)) ||
	    !copy_member(head, "kid", out->id, sizeof(out->id)))
		goto out;
	why = "it has a critical extension"; /* RFC 7515 section 4.1.11: none is known here */
	if (json_object_get(head, "crit") != NULL)
		goto out;
	why = "its algorithm is not known";
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(out->alg, known[i]) == 0)
			why = NULL;
out:
	json_decref(head);
	return why;
}

static json_t *
take_claims(jwt_t *jwt)
{
	char *text = jwt_get_grants_json(jwt, NULL);
	json_t *claims = text == NULL ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	free(text);
	return claims;
}

json_t *
oauth2_jwt_claims(const struct oauth2_keys *keys, const char *token, const char **why_out)
{
	const struct oauth2_key *key;
	struct head head;
	size_t i;

	*why_out = read_head(token, &head);
	if (*why_out != NULL)
		return NULL;
	*why_out = "no key here fits it";
	for (i = 0; (key = oauth2_keys_find(keys, head.id, head.alg, i)) != NULL; i++) {
		jwt_t *jwt = NULL;
		json_t *claims = NULL;

		*why_out = "its signature is wrong";
		if (jwt_decode(&jwt, token, key->data, (int)key->n) != 0)
			continue;
		if (jwt_get_alg(jwt) == jwt_str_alg(head.alg))
			claims = take_claims(jwt);
		jwt_free(jwt);
		if (claims != NULL) {
			*why_out = NULL;
			return claims;
		}
	}
	return NULL;
}
