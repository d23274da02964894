/* SPDX-License-Identifier: MIT */
/* auth/oauth2/oauth2.h - whose access token is it? Either a signed one (JWT, RFC 7519) that is checked
 * here against a set of keys (JWKS, RFC 7517), or one that its issuer is asked about (RFC 7662). */
#ifndef AUTH_OAUTH2_OAUTH2_H
#define AUTH_OAUTH2_OAUTH2_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <postern/auth.h>

struct oauth2_conf {
	const char *keys;
	const char *introspection_url, *client_id, *client_secret_file, *ca_file;
	const char *issuer, *audience, *scope, *username_claim, *openid_configuration;
	int64_t timeout;
	int64_t leeway;
};

/* ---- keys.c ---- */

enum oauth2_key_type { OAUTH2_RSA = 1, OAUTH2_P256, OAUTH2_P384, OAUTH2_P521, OAUTH2_OCT };

struct oauth2_key {
	enum oauth2_key_type type;
	char *id;            /* "" where it has none */
	char *alg;           /* the only one it is for; "": any of its type */
	unsigned char *data; /* PEM, or the secret itself; data[n] is 0 */
	size_t n;
};

struct oauth2_keys;

/* The keys of a JWKS file. Keys that are not for signatures, and types that are not known, are left out;
 * a file with none that is left is an error. NULL: PST_E_TEMP, or PST_E_CLIENT for what is written in
 * it. */
struct oauth2_keys *oauth2_keys_load(const char *path, struct pst_err *err);
struct oauth2_keys *oauth2_keys_parse(const char *text, size_t n, struct pst_err *err);
void oauth2_keys_free(struct oauth2_keys *k); /* wipes; accepts NULL */
size_t oauth2_keys_count(const struct oauth2_keys *k);

/* The key for a signature made with alg: by its id, or, where id is "", the idx-th that fits. NULL where
 * there is none: a key is never used with the algorithm of another type. */
const struct oauth2_key *oauth2_keys_find(const struct oauth2_keys *k, const char *id,
                                          const char *alg, size_t idx);

/* base64url (RFC 4648 section 5) without padding; allocated, ended by 0; NULL where it is none. */
unsigned char *oauth2_base64url(const char *text, size_t chars, size_t *n_out);

/* ---- claims.c ---- */

enum oauth2_verdict { OAUTH2_GOOD = 1, OAUTH2_BAD, OAUTH2_SCOPE };

/* Whether what the token says holds for this server at now (seconds since 1970). needs_end: a token
 * without an end is refused. user_out is borrowed from claims. why: for the log. */
enum oauth2_verdict oauth2_claims_check(const struct oauth2_conf *conf, const json_t *claims,
                                        bool needs_end, int64_t now, struct pst_str *user_out,
                                        const char **why_out);

/* ---- jwt.c ---- */

/* Whether text has the form of a signed token: three parts with dots between them. */
bool oauth2_is_jwt(struct pst_str text);

/* The claims of a token whose signature holds, a new reference; NULL, and why, where it does not. */
json_t *oauth2_jwt_claims(const struct oauth2_keys *keys, const char *token, const char **why_out);

/* ---- introspect.c ---- */

struct oauth2_client;

/* NULL: PST_E_TEMP. */
struct oauth2_client *oauth2_client_create(const struct oauth2_conf *conf, struct pst_err *err);
void oauth2_client_destroy(struct oauth2_client *c); /* accepts NULL */

/* What the issuer says of the token: a new reference to an object. NULL: PST_E_TEMP, it does not answer
 * as it should. */
json_t *oauth2_introspect(struct oauth2_client *c, struct pst_str token, struct pst_err *err);

#endif
