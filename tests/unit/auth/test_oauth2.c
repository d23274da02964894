/* SPDX-License-Identifier: MIT */
/* Tokens and keys of the plugin oauth2: tokens are made with libjwt and keys of GnuTLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <jwt.h>

#include "auth/oauth2/oauth2.h"

#define NOW 1800000000

/* ---- Keys and tokens ---- */

static char private_pem[3][8192]; /* RSA, P-256, RSA again */
static char set[16384];           /* all public ones, and a secret */
static const char secret[] = "0123456789abcdef0123456789abcdef";

static void
base64url(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t i;

	for (i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;

		v |= i + 1 < n ? (unsigned)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? (unsigned)p[i + 2] : 0;
		*out++ = digits[v >> 18 & 63];
		*out++ = digits[v >> 12 & 63];
		if (i + 1 < n)
			*out++ = digits[v >> 6 & 63];
		if (i + 2 < n)
			*out++ = digits[v & 63];
	}
	*out = '\0';
}

static void
export_private(gnutls_privkey_t key, char *out, size_t cap)
{
	gnutls_x509_privkey_t x;

	assert_int_equal(gnutls_privkey_export_x509(key, &x), 0);
	assert_int_equal(gnutls_x509_privkey_export(x, GNUTLS_X509_FMT_PEM, out, &cap), 0);
	gnutls_x509_privkey_deinit(x);
}

static void
add_rsa(size_t idx, const char *id, unsigned bits)
{
	char n_text[1024], e_text[64];
	gnutls_datum_t n, e;
	gnutls_privkey_t key;

	assert_int_equal(gnutls_privkey_init(&key), 0);
	assert_int_equal(gnutls_privkey_generate(key, GNUTLS_PK_RSA, bits, 0), 0);
	assert_int_equal(
		gnutls_privkey_export_rsa_raw(key, &n, &e, NULL, NULL, NULL, NULL, NULL, NULL), 0);
	base64url(n.data, n.size, n_text);
	base64url(e.data, e.size, e_text);
	(void)snprintf(
		set + strlen(set), sizeof(set) - strlen(set),
		"{\"kty\":\"RSA\",\"use\":\"sig\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"},", id,
		n_text, e_text);
	export_private(key, private_pem[idx], sizeof(private_pem[idx]));
	gnutls_free(n.data);
	gnutls_free(e.data);
	gnutls_privkey_deinit(key);
}

static void
add_ec(size_t idx, const char *id)
{
	char x_text[128], y_text[128];
	gnutls_ecc_curve_t curve;
	gnutls_datum_t x, y;
	gnutls_privkey_t key;

	assert_int_equal(gnutls_privkey_init(&key), 0);
	assert_int_equal(gnutls_privkey_generate(key, GNUTLS_PK_ECDSA,
	                                         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
	                                         0),
	                 0);
	assert_int_equal(
		gnutls_privkey_export_ecc_raw2(key, &curve, &x, &y, NULL, GNUTLS_EXPORT_FLAG_NO_LZ),
		0);
	base64url(x.data, x.size, x_text);
	base64url(y.data, y.size, y_text);
	(void)snprintf(set + strlen(set), sizeof(set) - strlen(set),
	               "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"alg\":\"ES256\","
	               "\"x\":\"%s\",\"y\":\"%s\"},",
	               id, x_text, y_text);
	export_private(key, private_pem[idx], sizeof(private_pem[idx]));
	gnutls_free(x.data);
	gnutls_free(y.data);
	gnutls_privkey_deinit(key);
}

static int
make_keys(void **state)
{
	char k[64];

	(void)state;
	(void)snprintf(set, sizeof(set), "{\"keys\":[");
	add_rsa(0, "rsa", 2048);
	add_ec(1, "ec");
	add_rsa(2, "weak", 1024);
	base64url((const unsigned char *)secret, sizeof(secret) - 1, k);
	(void)snprintf(set + strlen(set), sizeof(set) - strlen(set),
	               "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\"},"
	               "{\"kty\":\"RSA\",\"use\":\"enc\",\"kid\":\"enc\"},"
	               "{\"kty\":\"oct\",\"kid\":\"short\",\"k\":\"c2hvcnQ\"},"
	               "{\"kty\":\"oct\",\"kid\":\"oct\",\"k\":\"%s\"}]}",
	               k);
	return 0;
}

static struct oauth2_keys *
all_keys(void)
{
	struct pst_err err;
	struct oauth2_keys *keys = oauth2_keys_parse(set, strlen(set), &err);

	assert_non_null(keys);
	return keys;
}

/* kid may be NULL. */
static char *
make_token(jwt_alg_t alg, const char *kid, const char *key)
{
	jwt_t *jwt;
	char *text;

	assert_int_equal(jwt_new(&jwt), 0);
	assert_int_equal(jwt_add_grant(jwt, "email", "alice@example.test"), 0);
	if (kid != NULL)
		assert_int_equal(jwt_add_header(jwt, "kid", kid), 0);
	assert_int_equal(jwt_set_alg(jwt, alg, (const unsigned char *)key,
	                             key != NULL ? (int)strlen(key) : 0),
	                 0);
	text = jwt_encode_str(jwt);
	assert_non_null(text);
	jwt_free(jwt);
	return text;
}

/* NULL where the token is taken; else why not. */
static const char *
refusal(const char *token)
{
	struct oauth2_keys *keys = all_keys();
	const char *why = NULL;
	json_t *claims = oauth2_jwt_claims(keys, token, &why);

	if (claims != NULL) {
		assert_null(why);
		assert_string_equal(json_string_value(json_object_get(claims, "email")),
		                    "alice@example.test");
	} else {
		assert_non_null(why);
	}
	json_decref(claims);
	oauth2_keys_free(keys);
	return why;
}

static void
expect(jwt_alg_t alg, const char *kid, const char *key, const char *why)
{
	char *token = make_token(alg, kid, key);
	const char *got = refusal(token);

	if (why == NULL)
		assert_null(got);
	else
		assert_string_equal(got, why);
	free(token);
}

/* ---- Keys ---- */

static void
test_only_keys_that_can_check_a_signature_are_taken(void **state)
{
	struct oauth2_keys *keys = all_keys();

	(void)state;
	assert_int_equal(oauth2_keys_count(keys), 3);
	assert_non_null(oauth2_keys_find(keys, "rsa", "RS256", 0));
	assert_null(oauth2_keys_find(keys, "rsa", "RS256", 1));
	assert_null(oauth2_keys_find(keys, "weak", "RS256", 0));
	assert_null(oauth2_keys_find(keys, "enc", "RS256", 0));
	assert_null(oauth2_keys_find(keys, "short", "HS256", 0));
	oauth2_keys_free(keys);
}

static void
test_a_key_is_never_used_with_another_types_algorithm(void **state)
{
	struct oauth2_keys *keys = all_keys();

	(void)state;
	assert_null(oauth2_keys_find(keys, "rsa", "HS256", 0));
	assert_null(oauth2_keys_find(keys, "rsa", "ES256", 0));
	assert_null(oauth2_keys_find(keys, "ec", "ES384", 0));
	assert_null(oauth2_keys_find(keys, "ec", "HS256", 0));
	assert_null(oauth2_keys_find(keys, "oct", "RS256", 0));
	oauth2_keys_free(keys);
}

static void
test_broken_sets_are_told_of(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "line" },
		{ "{", "line 1" },
		{ "[]", "no list" },
		{ "{\"keys\":{}}", "no list" },
		{ "{\"keys\":[]}", "no key" },
		{ "{\"keys\":[1,null,\"x\",{}]}", "no key" },
		{ "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}]}", "no key" },
		{ "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
		  "no key" },
	};
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(oauth2_keys_parse(rows[i].text, strlen(rows[i].text), &err));
		assert_int_equal(err.kind, PST_E_CLIENT);
		assert_non_null(strstr(err.text, rows[i].says));
	}
	assert_null(oauth2_keys_load("/nonexistent/keys", &err));
	assert_int_equal(err.kind, PST_E_TEMP);
}

static void
test_base64url_is_strict(void **state)
{
	static const char *const bad[] = { "", "A", "AA==", "A+", "A/", "A*", "AA\n" };
	unsigned char *p;
	size_t n, i;

	(void)state;
	p = oauth2_base64url("_-8", 3, &n);
	assert_non_null(p);
	assert_int_equal(n, 2);
	assert_memory_equal(p, "\xff\xef", 2);
	free(p);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(oauth2_base64url(bad[i], strlen(bad[i]), &n));
}

/* ---- Signatures ---- */

static void
test_tokens_of_known_keys_are_taken(void **state)
{
	(void)state;
	expect(JWT_ALG_RS256, "rsa", private_pem[0], NULL);
	expect(JWT_ALG_RS512, NULL, private_pem[0], NULL);
	expect(JWT_ALG_ES256, "ec", private_pem[1], NULL);
	expect(JWT_ALG_HS256, "oct", secret, NULL);
}

static void
test_tokens_of_other_keys_are_refused(void **state)
{
	(void)state;
	expect(JWT_ALG_RS256, "rsa", private_pem[2], "its signature is wrong");
	expect(JWT_ALG_RS256, "ec", private_pem[0], "no key here fits it");
	expect(JWT_ALG_RS256, "other", private_pem[0], "no key here fits it");
	expect(JWT_ALG_HS256, "oct", "another secret, as long as it is", "its signature is wrong");
}

/* The classic: the public key, which anybody may know, as the secret of an HMAC. */
static void
test_a_public_key_is_no_secret(void **state)
{
	struct oauth2_keys *keys = all_keys();
	const struct oauth2_key *key = oauth2_keys_find(keys, "rsa", "RS256", 0);

	(void)state;
	expect(JWT_ALG_HS256, "rsa", (const char *)key->data, "no key here fits it");
	oauth2_keys_free(keys);
}

static void
test_unsigned_tokens_are_refused(void **state)
{
	(void)state;
	expect(JWT_ALG_NONE, NULL, NULL, "its algorithm is not known");
	assert_non_null(refusal("e30.e30."));
	assert_non_null(refusal("..."));
	assert_non_null(refusal(""));
}

static void
test_any_changed_octet_is_noticed(void **state)
{
	char *token = make_token(JWT_ALG_ES256, "ec", private_pem[1]);
	const size_t n = strlen(token);
	size_t i;

	(void)state;
	for (i = 0; i < n - 1; i++) { /* the last one has bits that mean nothing */
		const char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_non_null(refusal(token));
		token[i] = was;
	}
	assert_null(refusal(token));
	free(token);
}

static void
test_a_critical_extension_is_refused(void **state)
{
	jwt_t *jwt;
	char *token;

	(void)state;
	assert_int_equal(jwt_new(&jwt), 0);
	assert_int_equal(jwt_add_headers_json(jwt, "{\"crit\":[\"b64\"]}"), 0);
	assert_int_equal(
		jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, sizeof(secret) - 1),
		0);
	token = jwt_encode_str(jwt);
	assert_string_equal(refusal(token), "it has a critical extension");
	free(token);
	jwt_free(jwt);
}

/* ---- Claims ---- */

static const struct oauth2_conf conf = {
	.issuer = "https://id.example.test",
	.audience = "pop3 mail",
	.scope = "read mail.pop",
	.username_claim = "email",
	.leeway = 30000,
};

#define GOOD                                                                                       \
	"\"iss\":\"https://id.example.test\",\"aud\":\"mail\",\"exp\":1800000100,"                 \
	"\"email\":\"alice@example.test\",\"scope\":\"mail.pop openid read\""

static void
test_claims(void **state)
{
	static const struct {
		const char *text;
		enum oauth2_verdict verdict;
		bool may_be_endless;
	} rows[] = {
		{ GOOD, OAUTH2_GOOD, false },
		{ GOOD ",\"exp\":1799999971", OAUTH2_GOOD, false }, /* within the leeway */
		{ GOOD ",\"exp\":1799999970", OAUTH2_BAD, false },
		{ GOOD ",\"exp\":1.8e9", OAUTH2_GOOD, false },
		{ GOOD ",\"exp\":\"1800000100\"", OAUTH2_BAD, false },
		{ GOOD ",\"exp\":null", OAUTH2_BAD, true },
		{ GOOD ",\"nbf\":1800000030", OAUTH2_GOOD, false },
		{ GOOD ",\"nbf\":1800000031", OAUTH2_BAD, false },
		{ GOOD ",\"iat\":1800000031", OAUTH2_BAD, false },
		{ GOOD ",\"iss\":\"https://id.example.test/\"", OAUTH2_BAD, false },
		{ GOOD ",\"iss\":[\"https://id.example.test\"]", OAUTH2_BAD, false },
		{ GOOD ",\"aud\":[\"x\",\"pop3\"]", OAUTH2_GOOD, false },
		{ GOOD ",\"aud\":[\"x\",\"pop\"]", OAUTH2_BAD, false },
		{ GOOD ",\"aud\":\"pop\"", OAUTH2_BAD, false },
		{ GOOD ",\"aud\":{}", OAUTH2_BAD, false },
		{ GOOD ",\"scope\":\"read\"", OAUTH2_SCOPE, false },
		{ GOOD ",\"scope\":\"mail.popread\"", OAUTH2_SCOPE, false },
		{ GOOD ",\"scope\":[\"read\",\"mail.pop\"]", OAUTH2_GOOD, false },
		{ GOOD ",\"email\":\"\"", OAUTH2_BAD, false },
		{ GOOD ",\"email\":7", OAUTH2_BAD, false },
		{ GOOD ",\"email\":\"a\\u0000b\"", OAUTH2_BAD, false },
		{ GOOD ",\"email_verified\":true", OAUTH2_GOOD, false },
		{ GOOD ",\"email_verified\":false", OAUTH2_BAD, false },
		{ GOOD ",\"email_verified\":\"true\"", OAUTH2_BAD, false },
		{ "\"aud\":\"mail\",\"exp\":1800000100", OAUTH2_BAD, false },
	};
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pst_str user;
		const char *why;
		json_t *claims;
		enum oauth2_verdict got;

		(void)snprintf(text, sizeof(text), "{%s}", rows[i].text);
		claims = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(claims);
		got = oauth2_claims_check(&conf, claims, !rows[i].may_be_endless, NOW, &user, &why);
		if (got != rows[i].verdict)
			fail_msg("row %zu: %s: %s", i, text, why != NULL ? why : "taken");
		assert_true((why == NULL) == (got == OAUTH2_GOOD));
		if (got == OAUTH2_GOOD)
			assert_true(pst_str_eq(user, PST_LIT("alice@example.test")));
		json_decref(claims);
	}
}

static void
test_an_end_is_needed_where_nobody_is_asked(void **state)
{
	json_t *claims = json_loads("{\"email\":\"a\"}", 0, NULL);
	const struct oauth2_conf open = {
		.issuer = "", .audience = "", .scope = "", .username_claim = "email"
	};
	struct pst_str user;
	const char *why;

	(void)state;
	assert_int_equal(oauth2_claims_check(&open, claims, true, NOW, &user, &why), OAUTH2_BAD);
	assert_int_equal(oauth2_claims_check(&open, claims, false, NOW, &user, &why), OAUTH2_GOOD);
	json_decref(claims);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_keys_that_can_check_a_signature_are_taken),
		cmocka_unit_test(test_a_key_is_never_used_with_another_types_algorithm),
		cmocka_unit_test(test_broken_sets_are_told_of),
		cmocka_unit_test(test_base64url_is_strict),
		cmocka_unit_test(test_tokens_of_known_keys_are_taken),
		cmocka_unit_test(test_tokens_of_other_keys_are_refused),
		cmocka_unit_test(test_a_public_key_is_no_secret),
		cmocka_unit_test(test_unsigned_tokens_are_refused),
		cmocka_unit_test(test_any_changed_octet_is_noticed),
		cmocka_unit_test(test_a_critical_extension_is_refused),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_an_end_is_needed_where_nobody_is_asked),
	};

	return cmocka_run_group_tests(tests, make_keys, NULL);
}
