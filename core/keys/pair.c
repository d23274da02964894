/* SPDX-License-Identifier: MIT */
/* A chain and its key; see pair.h. */
#include "keys/pair.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "tls/oracle.h"

#define ID_OCTETS 64

static gnutls_datum_t
datum_of(struct pst_str s)
{
	/* GnuTLS takes a pointer to what it may not change without saying so. */
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)s.p, (unsigned)s.n };
}

static int
refuse(struct pst_err *err, const char *what, int rc)
{
	return pst_err_set(err, PST_E_PERM, "%s: %s", what, gnutls_strerror(rc));
}

/* Appends one certificate, its length before it. */
static int
add_der(struct pair *p, gnutls_x509_crt_t cert, struct pst_err *err)
{
	gnutls_datum_t der = { NULL, 0 };
	int rc = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_DER, &der);
	uint8_t *at;

	if (rc != 0)
		return refuse(err, "certificate", rc);
	if (der.size > WIRE_CHAIN - 4 || p->chain_n > WIRE_CHAIN - 4 - der.size) {
		gnutls_free(der.data);
		return pst_err_set(err, PST_E_PERM, "the chain has more than %d octets",
		                   WIRE_CHAIN);
	}
	p->chain = pst_realloc(p->chain, p->chain_n + 4 + der.size);
	at = (uint8_t *)p->chain + p->chain_n;
	at[0] = (uint8_t)(der.size >> 24);
	at[1] = (uint8_t)(der.size >> 16);
	at[2] = (uint8_t)(der.size >> 8);
	at[3] = (uint8_t)der.size;
	memcpy(at + 4, der.data, der.size);
	p->chain_n += 4 + der.size;
	gnutls_free(der.data);
	return 0;
}

static int
take_facts(struct pair *p, gnutls_x509_crt_t leaf, const char *host, bool *fits_out,
           struct pst_err *err)
{
	unsigned bits = 0;
	int pk = gnutls_x509_crt_get_pk_algorithm(leaf, &bits);

	if (pk < 0)
		return refuse(err, "certificate", pk);
	p->pk = (gnutls_pk_algorithm_t)pk;
	p->type = pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS ? TLS_TYPE_RSA : TLS_TYPE_EC;
	p->bits = bits;
	p->expires = (int64_t)gnutls_x509_crt_get_expiration_time(leaf);
	*fits_out = host[0] == '\0' || gnutls_x509_crt_check_hostname(leaf, host) != 0;
	return 0;
}

static int
load_chain(struct pair *p, struct pst_str text, const char *host, bool *fits_out,
           gnutls_x509_crt_t *leaf_out, struct pst_err *err)
{
	const gnutls_datum_t pem = datum_of(text);
	gnutls_x509_crt_t *certs = NULL;
	unsigned count = 0;
	unsigned i;
	int rc = gnutls_x509_crt_list_import2(&certs, &count, &pem, GNUTLS_X509_FMT_PEM,
	                                      GNUTLS_X509_CRT_LIST_SORT);

	if (rc < 0)
		return refuse(err, "certificate", rc);
	if (count > TLS_CHAIN_CERTS)
		rc = pst_err_set(err, PST_E_PERM, "more than %d certificates", TLS_CHAIN_CERTS);
	else
		rc = take_facts(p, certs[0], host, fits_out, err);
	for (i = 0; rc == 0 && i < count; i++)
		rc = add_der(p, certs[i], err);
	for (i = 1; i < count; i++)
		gnutls_x509_crt_deinit(certs[i]);
	if (rc == 0)
		*leaf_out = certs[0];
	else
		gnutls_x509_crt_deinit(certs[0]);
	gnutls_free(certs);
	return rc;
}

static int
load_key(struct pair *p, struct pst_str text, struct pst_err *err)
{
	const gnutls_datum_t pem = datum_of(text);
	int rc = gnutls_privkey_init(&p->key);

	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(p->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	return rc == 0 ? 0 : refuse(err, "private key", rc);
}

/* The digest of a public key. */
static int
key_id(gnutls_pubkey_t pub, uint8_t out[ID_OCTETS], size_t *n_out)
{
	*n_out = ID_OCTETS;
	return gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, out, n_out);
}

static int
check_match(const struct pair *p, gnutls_x509_crt_t leaf, struct pst_err *err)
{
	uint8_t in_cert[ID_OCTETS], of_key[ID_OCTETS];
	size_t cert_n = 0, key_n = 0;
	gnutls_pubkey_t pub = NULL;
	int rc = gnutls_pubkey_init(&pub);

	if (rc == 0)
		rc = gnutls_pubkey_import_x509(pub, leaf, 0);
	if (rc == 0)
		rc = key_id(pub, in_cert, &cert_n);
	gnutls_pubkey_deinit(pub);
	pub = NULL;
	if (rc == 0)
		rc = gnutls_pubkey_init(&pub);
	if (rc == 0)
		rc = gnutls_pubkey_import_privkey(pub, p->key, 0, 0);
	if (rc == 0)
		rc = key_id(pub, of_key, &key_n);
	gnutls_pubkey_deinit(pub);
	if (rc != 0)
		return refuse(err, "public key", rc);
	if (cert_n != key_n || memcmp(in_cert, of_key, cert_n) != 0)
		return pst_err_set(err, PST_E_PERM,
		                   "the private key does not belong to the certificate");
	return 0;
}

static uint64_t
version_of(const struct pair *p)
{
	uint8_t digest[32];
	uint64_t version = 0;
	size_t i;

	pst_sha256(p->chain, p->chain_n, digest);
	for (i = 0; i < sizeof(version); i++)
		version = version << 8 | digest[i];
	return version == 0 ? 1 : version; /* 0 means "none" on the wire */
}

int
pair_create(struct pst_str certs, struct pst_str key, const char *host, struct pair **pair_out,
            bool *fits_out, struct pst_err *err)
{
	struct pair *p = pst_new(struct pair);
	gnutls_x509_crt_t leaf = NULL;
	int rc = -1;

	if (load_chain(p, certs, host, fits_out, &leaf, err) != 0 || load_key(p, key, err) != 0 ||
	    check_match(p, leaf, err) != 0)
		goto out;
	p->version = version_of(p);
	*pair_out = p;
	p = NULL;
	rc = 0;
out:
	if (leaf != NULL)
		gnutls_x509_crt_deinit(leaf);
	pair_destroy(p);
	return rc;
}

void
pair_destroy(struct pair *p)
{
	if (p == NULL)
		return;
	if (p->key != NULL)
		gnutls_privkey_deinit(p->key); /* GnuTLS wipes the numbers */
	free(p->chain);
	free(p);
}

int
pair_sign(const struct pair *p, uint32_t algorithm, bool is_hash, struct pst_str data, char *out,
          size_t cap, size_t *n_out, struct pst_err *err)
{
	const gnutls_sign_algorithm_t sign = (gnutls_sign_algorithm_t)algorithm;
	const gnutls_datum_t in = datum_of(data);
	gnutls_datum_t signature = { NULL, 0 };
	size_t hash_n;
	int rc;

	if (!gnutls_sign_supports_pk_algorithm(sign, p->pk))
		return pst_err_set(err, PST_E_PERM, "signature algorithm %u is not for this key",
		                   algorithm);
	/* 0: for RSA with TLS 1.2 GnuTLS has put the algorithm's name before the hash already. */
	hash_n = gnutls_hash_get_len(gnutls_sign_get_hash_algorithm(sign));
	if (is_hash && hash_n != 0 && data.n != hash_n)
		return pst_err_set(err, PST_E_PERM, "a hash of %zu octets", data.n);
	if (is_hash)
		rc = gnutls_privkey_sign_hash2(p->key, sign, 0, &in, &signature);
	else
		rc = gnutls_privkey_sign_data2(p->key, sign, 0, &in, &signature);
	if (rc != 0)
		return refuse(err, "sign", rc);
	if (signature.size > cap) {
		gnutls_free(signature.data);
		return pst_err_set(err, PST_E_PERM, "signature of %u octets", signature.size);
	}
	memcpy(out, signature.data, signature.size);
	*n_out = signature.size;
	gnutls_free(signature.data);
	return 0;
}
