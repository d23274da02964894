/* SPDX-License-Identifier: MIT */
/* The auth plugin oauth2: access tokens of OAUTHBEARER (RFC 7628) and XOAUTH2. It says whose a token
 * is; where that user's mail lies is another backend's to say. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "auth/oauth2/oauth2.h"

struct oauth2 {
	const struct pst_host *host;
	const struct oauth2_conf *conf;
	struct oauth2_client *client; /* made when it is first needed */
	struct oauth2_keys *keys;
	struct stat seen; /* of the file that keys, or the complaint, came from */
	char *error;      /* for clients: RFC 7628 section 3.2.2 */
	char *error_scope;
};

static const struct pst_conf_key conf_keys[] = {
	{ "keys", PST_CONF_READ_PATH(struct oauth2_conf, keys), "", 0, 4000, "octets",
	  "The issuer's public keys: a JWKS file (RFC 7517). With it, signed tokens (JWT) are checked "
	  "here and nobody is asked: RS256, RS384, RS512, ES256, ES384, ES512, and with secret keys "
	  "HS256, HS384, HS512. A file that has changed is read again; one that cannot be read, or "
	  "holds no key, leaves the keys as they were, and the log says so." },
	{ "introspection_url", PST_CONF_TEXT(struct oauth2_conf, introspection_url), "", 0, 2000,
	  "octets",
	  "Where the issuer is asked about tokens that keys cannot judge (RFC 7662): an https "
	  "address. Empty: such tokens are refused." },
	{ "client_id", PST_CONF_TEXT(struct oauth2_conf, client_id), "", 0, 255, "octets",
	  "Who asks there, by HTTP Basic authentication. Empty: without." },
	{ "client_secret_file", PST_CONF_READ_PATH(struct oauth2_conf, client_secret_file), "", 0,
	  4000, "octets", "A file whose first line is the password of client_id." },
	{ "ca_file", PST_CONF_READ_PATH(struct oauth2_conf, ca_file), "", 0, 4000, "octets",
	  "Certificates (PEM) that the issuer's certificate must lead to. Empty: the system's." },
	{ "issuer", PST_CONF_TEXT(struct oauth2_conf, issuer), "", 0, 1000, "octets",
	  "What the claim iss of a token must be. Empty: it is not looked at; the keys, or the "
	  "address that is asked, vouch for it." },
	{ "audience", PST_CONF_TEXT(struct oauth2_conf, audience), "", 0, 1000, "octets",
	  "Whom a token must be meant for: one of these names, separated by spaces, must be in its "
	  "claim aud. \"*\" takes tokens that are meant for any server of the issuer; must be set." },
	{ "scope", PST_CONF_TEXT(struct oauth2_conf, scope), "", 0, 1000, "octets",
	  "Scopes, separated by spaces, all of which a token must have. Empty: none." },
	{ "username_claim", PST_CONF_TEXT(struct oauth2_conf, username_claim), "email", 1, 64,
	  "octets",
	  "The claim that holds the user's name, as in the other backends. An \"email\" whose "
	  "email_verified is not true is refused." },
	{ "openid_configuration", PST_CONF_TEXT(struct oauth2_conf, openid_configuration), "", 0,
	  2000, "octets", "An address that a refused client is told, to get a token from." },
	{ "timeout", PST_CONF_TIME(struct oauth2_conf, timeout), "5s", 100, 60000, NULL,
	  "How long the issuer may take to answer." },
	{ "leeway", PST_CONF_TIME(struct oauth2_conf, leeway), "30s", 0, 300000, NULL,
	  "How far the issuer's clock may be from this one." },
	{ .key = NULL },
};

static int
check(const void *arg, struct pst_err *err)
{
	const struct oauth2_conf *c = arg;

	if (c->keys[0] == '\0' && c->introspection_url[0] == '\0')
		return pst_err_set(err, PST_E_CLIENT,
		                   "keys, introspection_url: one of them must be set");
	if (c->introspection_url[0] != '\0' && strncmp(c->introspection_url, "https://", 8) != 0)
		return pst_err_set(err, PST_E_CLIENT,
		                   "introspection_url: must begin with https://");
	if ((c->client_id[0] == '\0') != (c->client_secret_file[0] == '\0'))
		return pst_err_set(err, PST_E_CLIENT,
		                   "client_id, client_secret_file: one goes with the other");
	if (c->audience[0] == '\0')
		return pst_err_set(
			err, PST_E_CLIENT,
			"audience: must be set: the name of this server to the issuer, or "
			"\"*\" for tokens that are meant for any");
	return 0;
}

/* ---- The keys ---- */

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Reads the file again where it has changed. A bad one is complained of once. -1: there are no keys. */
static int
need_keys(struct oauth2 *o, struct pst_err *err)
{
	struct oauth2_keys *fresh;
	struct stat now;

	if (stat(o->conf->keys, &now) != 0)
		memset(&now, 0, sizeof(now));
	if (o->keys != NULL && is_same_file(&now, &o->seen))
		return 0;
	fresh = oauth2_keys_load(o->conf->keys, err);
	if (fresh == NULL && o->keys != NULL && !is_same_file(&now, &o->seen))
		o->host->log(o->host, PST_LOG_ERROR, "oauth.keys", "reason=\"%s\" still=%zu",
		             err->text, oauth2_keys_count(o->keys));
	o->seen = now;
	if (fresh == NULL)
		return o->keys != NULL ? 0 : -1;
	oauth2_keys_free(o->keys);
	o->keys = fresh;
	return 0;
}

/* ---- A token ---- */

/* The claims of a token that is good as such. NULL: *why, or err where it cannot be told now. */
static json_t *
get_claims(struct oauth2 *o, const char *token, bool *is_signed_out, const char **why,
           struct pst_err *err)
{
	const struct pst_str text = pst_str_c(token);
	json_t *claims;

	*why = NULL;
	*is_signed_out = o->conf->keys[0] != '\0' && oauth2_is_jwt(text);
	if (*is_signed_out)
		return need_keys(o, err) != 0 ? NULL : oauth2_jwt_claims(o->keys, token, why);
	if (o->conf->introspection_url[0] == '\0') {
		*why = "it is no signed token";
		return NULL;
	}
	if (o->client == NULL && (o->client = oauth2_client_create(o->conf, err)) == NULL)
		return NULL;
	claims = oauth2_introspect(o->client, text, err);
	if (claims != NULL && !json_is_true(json_object_get(claims, "active"))) {
		json_decref(claims);
		*why = "its issuer says that it is not active";
		return NULL;
	}
	return claims;
}

static enum pst_auth_result
refuse(const struct oauth2 *o, struct pst_auth_record *record, const char *json, const char *why)
{
	o->host->log(o->host, PST_LOG_DEBUG, "oauth.refused", "reason=\"%s\"", why);
	record->reason = pst_str_c(o->host->copy(record->arena, pst_str_c(why)));
	record->token_error = pst_str_c(o->host->copy(record->arena, pst_str_c(json)));
	return PST_AUTH_WRONG;
}

static enum pst_auth_result
judge(struct oauth2 *o, const json_t *claims, bool is_signed, struct pst_auth_record *record)
{
	struct oauth2_conf conf = *o->conf;
	struct pst_str user;
	const char *why;

	if (strcmp(conf.audience, "*") == 0)
		conf.audience = "";
	switch (oauth2_claims_check(&conf, claims, is_signed, time(NULL), &user, &why)) {
	case OAUTH2_GOOD:
		record->user = (struct pst_str){ o->host->copy(record->arena, user), user.n };
		return PST_AUTH_OK;
	case OAUTH2_SCOPE:
		return refuse(o, record, o->error_scope, why);
	case OAUTH2_BAD:
		break;
	}
	return refuse(o, record, o->error, why);
}

static enum pst_auth_result
check_token(void *self, const struct pst_auth_query *query, struct pst_str token,
            struct pst_auth_record *record, struct pst_err *err)
{
	struct oauth2 *o = self;
	enum pst_auth_result result;
	char *text = malloc(token.n + 1);
	json_t *claims;
	const char *why;
	bool is_signed;

	(void)query;
	if (text == NULL) {
		pst_err_set(err, PST_E_TEMP, "no memory");
		return PST_AUTH_TEMP;
	}
	if (token.n > 0)
		memcpy(text, token.p, token.n);
	text[token.n] = '\0';
	claims = get_claims(o, text, &is_signed, &why, err);
	if (claims != NULL)
		result = judge(o, claims, is_signed, record);
	else
		result = why != NULL ? refuse(o, record, o->error, why) : PST_AUTH_TEMP;
	json_decref(claims);
	explicit_bzero(text, token.n);
	free(text);
	return result;
}

static int
probe(void *self, struct pst_err *err)
{
	struct oauth2 *o = self;
	json_t *answer;

	if (o->conf->keys[0] != '\0' && need_keys(o, err) != 0)
		return -1;
	if (o->conf->introspection_url[0] == '\0')
		return 0;
	if (o->client == NULL && (o->client = oauth2_client_create(o->conf, err)) == NULL)
		return -1;
	answer = oauth2_introspect(o->client, PST_LIT("probe"), err);
	json_decref(answer);
	return answer != NULL ? 0 : -1;
}

/* ---- Start and stop ---- */

static char *
make_error(const struct oauth2_conf *c, const char *status)
{
	json_t *error = json_pack("{s:s}", "status", status);
	char *text;

	if (c->scope[0] != '\0')
		(void)json_object_set_new(error, "scope", json_string(c->scope));
	if (c->openid_configuration[0] != '\0')
		(void)json_object_set_new(error, "openid-configuration",
		                          json_string(c->openid_configuration));
	text = json_dumps(error, JSON_COMPACT);
	json_decref(error);
	return text;
}

static void
stop(void *self)
{
	struct oauth2 *o = self;

	if (o == NULL)
		return;
	oauth2_client_destroy(o->client);
	oauth2_keys_free(o->keys);
	free(o->error);
	free(o->error_scope);
	free(o);
}

/* Keys that cannot be read yet are no reason not to start: users with passwords can log in. */
static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	struct oauth2 *o = calloc(1, sizeof(*o));

	if (o != NULL) {
		o->host = host;
		o->conf = host->conf;
		o->error = make_error(o->conf, "invalid_token");
		o->error_scope = make_error(o->conf, "insufficient_scope");
	}
	if (o == NULL || o->error == NULL || o->error_scope == NULL) {
		stop(o);
		return pst_err_set(err, PST_E_TEMP, "no memory");
	}
	*self_out = o;
	return 0;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
	.probe = probe,
	.token = check_token,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "oauth2",
	.keys = conf_keys,
	.conf_size = sizeof(struct oauth2_conf),
	.check = check,
	.start = start,
	.stop = stop,
	.auth = &auth,
	.needs = PST_NEEDS_NET,
};
