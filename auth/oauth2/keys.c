/* SPDX-License-Identifier: MIT */
/* A set of keys; see oauth2.h. libjwt takes keys as PEM, so GnuTLS writes them so. */
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "auth/oauth2/oauth2.h"

#define KEYS_MAX 64
#define FILE_MAX_OCTETS (1 << 20)
#define RSA_MIN_BITS 2048
#define OCT_MIN_OCTETS 32 /* RFC 7518 section 3.2: as long as the hash */

struct oauth2_keys {
	struct oauth2_key v[KEYS_MAX];
	size_t n;
};

static void
free_key(struct oauth2_key *k)
{
	if (k->data != NULL)
		explicit_bzero(k->data, k->n);
	free(k->data);
	free(k->id);
	free(k->alg);
	*k = (struct oauth2_key){ 0 };
}

void
oauth2_keys_free(struct oauth2_keys *k)
{
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < k->n; i++)
		free_key(&k->v[i]);
	free(k);
}

size_t
oauth2_keys_count(const struct oauth2_keys *k)
{
	return k->n;
}

unsigned char *
oauth2_base64url(const char *text, size_t chars, size_t *n_out)
{
	const size_t padded = (chars + 3) / 4 * 4;
	unsigned char *out = NULL;
	gnutls_datum_t in, raw;
	char *std = malloc(padded + 1);
	size_t i;

	if (std == NULL || chars % 4 == 1)
		goto out;
	for (i = 0; i < chars; i++) {
		if (text[i] == '+' || text[i] == '/' || text[i] == '=')
			goto out;
		std[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	}
	memset(std + chars, '=', padded - chars);
	std[padded] = '\0';
	in = (gnutls_datum_t){ (unsigned char *)std, (unsigned)padded };
	if (chars == 0 || gnutls_base64_decode2(&in, &raw) != 0)
		goto out;
	out = malloc(raw.size + 1);
	if (out != NULL) {
		memcpy(out, raw.data, raw.size);
		out[raw.size] = '\0';
		*n_out = raw.size;
	}
	explicit_bzero(raw.data, raw.size);
	gnutls_free(raw.data);
out:
	free(std);
	return out;
}

/* A member of the key that is base64url; an empty datum where it is not there or none. */
static gnutls_datum_t
get_octets(const json_t *jwk, const char *name)
{
	const json_t *v = json_object_get(jwk, name);
	gnutls_datum_t d = { NULL, 0 };
	size_t n = 0;

	if (json_is_string(v))
		d.data = oauth2_base64url(json_string_value(v), json_string_length(v), &n);
	d.size = (unsigned)n;
	return d;
}

static bool
export_pem(gnutls_pubkey_t pub, struct oauth2_key *out)
{
	gnutls_datum_t pem;

	if (gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_PEM, &pem) != 0)
		return false;
	out->data = malloc(pem.size + 1);
	if (out->data != NULL) {
		memcpy(out->data, pem.data, pem.size);
		out->data[pem.size] = '\0';
		out->n = pem.size;
	}
	gnutls_free(pem.data);
	return out->data != NULL;
}

static bool
read_rsa(const json_t *jwk, gnutls_pubkey_t pub, struct oauth2_key *out)
{
	gnutls_datum_t n = get_octets(jwk, "n"), e = get_octets(jwk, "e");
	unsigned bits = 0;
	bool ok = n.data != NULL && e.data != NULL &&
	          gnutls_pubkey_import_rsa_raw(pub, &n, &e) == 0 &&
	          gnutls_pubkey_get_pk_algorithm(pub, &bits) == GNUTLS_PK_RSA &&
	          bits >= RSA_MIN_BITS && export_pem(pub, out);

	free(n.data);
	free(e.data);
	out->type = OAUTH2_RSA;
	return ok;
}

static const struct {
	const char *name;
	gnutls_ecc_curve_t curve;
	enum oauth2_key_type type;
} curves[] = {
	{ "P-256", GNUTLS_ECC_CURVE_SECP256R1, OAUTH2_P256 },
	{ "P-384", GNUTLS_ECC_CURVE_SECP384R1, OAUTH2_P384 },
	{ "P-521", GNUTLS_ECC_CURVE_SECP521R1, OAUTH2_P521 },
};

static bool
read_ec(const json_t *jwk, gnutls_pubkey_t pub, struct oauth2_key *out)
{
	const char *name = json_string_value(json_object_get(jwk, "crv"));
	gnutls_datum_t x = get_octets(jwk, "x"), y = get_octets(jwk, "y");
	bool ok = false;
	size_t i;

	for (i = 0; name != NULL && i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(name, curves[i].name) != 0)
			continue;
		out->type = curves[i].type;
		ok = x.data != NULL && y.data != NULL &&
		     gnutls_pubkey_import_ecc_raw(pub, curves[i].curve, &x, &y) == 0 &&
		     export_pem(pub, out);
	}
	free(x.data);
	free(y.data);
	return ok;
}

static bool
read_oct(const json_t *jwk, struct oauth2_key *out)
{
	gnutls_datum_t k = get_octets(jwk, "k");

	out->type = OAUTH2_OCT;
	out->data = k.data;
	out->n = k.size;
	return k.data != NULL && k.size >= OCT_MIN_OCTETS;
}

/* False: it is for something else, of a type that is not known, or too weak. */
static bool
read_key(const json_t *jwk, struct oauth2_key *out)
{
	const char *type = json_string_value(json_object_get(jwk, "kty"));
	const char *use = json_string_value(json_object_get(jwk, "use"));
	const char *id = json_string_value(json_object_get(jwk, "kid"));
	const char *alg = json_string_value(json_object_get(jwk, "alg"));
	gnutls_pubkey_t pub;
	bool ok = false;

	if (type == NULL || (use != NULL && strcmp(use, "sig") != 0) ||
	    gnutls_pubkey_init(&pub) != 0)
		return false;
	if (strcmp(type, "RSA") == 0)
		ok = read_rsa(jwk, pub, out);
	else if (strcmp(type, "EC") == 0)
		ok = read_ec(jwk, pub, out);
	else if (strcmp(type, "oct") == 0)
		ok = read_oct(jwk, out);
	gnutls_pubkey_deinit(pub);
	out->id = strdup(id != NULL ? id : "");
	out->alg = strdup(alg != NULL ? alg : "");
	return ok && out->id != NULL && out->alg != NULL;
}

struct oauth2_keys *
oauth2_keys_parse(const char *text, size_t n, struct pst_err *err)
{
	struct oauth2_keys *keys = calloc(1, sizeof(*keys));
	json_error_t why;
	json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	const json_t *list = json_object_get(root, "keys");
	size_t i;

	if (keys == NULL) {
		pst_err_set(err, PST_E_TEMP, "no memory");
		goto fail;
	}
	if (!json_is_array(list)) {
		pst_err_set(err, PST_E_CLIENT, "line %d: %s", root == NULL ? why.line : 1,
		            root == NULL ? why.text : "no list \"keys\" (RFC 7517 section 5)");
		goto fail;
	}
	for (i = 0; i < json_array_size(list) && keys->n < KEYS_MAX; i++)
		if (read_key(json_array_get(list, i), &keys->v[keys->n]))
			keys->n++;
		else
			free_key(&keys->v[keys->n]);
	if (keys->n == 0) {
		pst_err_set(err, PST_E_CLIENT,
		            "no key in it can check a signature (RSA of 2048 bits or more, EC on "
		            "P-256, P-384 or P-521, or oct)");
		goto fail;
	}
	json_decref(root);
	return keys;
fail:
	json_decref(root);
	oauth2_keys_free(keys);
	return NULL;
}

struct oauth2_keys *
oauth2_keys_load(const char *path, struct pst_err *err)
{
	struct oauth2_keys *keys = NULL;
	FILE *f = fopen(path, "re");
	char *text = malloc(FILE_MAX_OCTETS + 1);
	struct pst_err why;
	size_t n;

	if (f == NULL || text == NULL) {
		pst_err_sys(err, PST_E_TEMP, "%s", path);
		goto out;
	}
	n = fread(text, 1, FILE_MAX_OCTETS + 1, f);
	if (ferror(f))
		pst_err_sys(err, PST_E_TEMP, "%s", path);
	else if (n > FILE_MAX_OCTETS)
		pst_err_set(err, PST_E_CLIENT, "%s: more than %d octets", path, FILE_MAX_OCTETS);
	else if ((keys = oauth2_keys_parse(text, n, &why)) == NULL)
		pst_err_set(err, why.kind, "%s: %.200s", path, why.text);
	explicit_bzero(text, n);
out:
	free(text);
	if (f != NULL)
		(void)fclose(f);
	return keys;
}

static bool
fits(enum oauth2_key_type type, const char *alg)
{
	switch (type) {
	case OAUTH2_RSA:
		return strncmp(alg, "RS", 2) == 0;
	case OAUTH2_P256:
		return strcmp(alg, "ES256") == 0;
	case OAUTH2_P384:
		return strcmp(alg, "ES384") == 0;
	case OAUTH2_P521:
		return strcmp(alg, "ES512") == 0;
	case OAUTH2_OCT:
		return strncmp(alg, "HS", 2) == 0;
	}
	return false;
}

const struct oauth2_key *
oauth2_keys_find(const struct oauth2_keys *keys, const char *id, const char *alg, size_t idx)
{
	size_t i;

	for (i = 0; i < keys->n; i++) {
		const struct oauth2_key *k = &keys->v[i];

		if (!fits(k->type, alg) || (k->alg[0] != '\0' && strcmp(k->alg, alg) != 0) ||
		    (id[0] != '\0' && strcmp(id, k->id) != 0))
			continue;
		if (idx-- == 0)
			return k;
	}
	return NULL;
}
