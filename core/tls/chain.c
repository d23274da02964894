/* SPDX-License-Identifier: MIT */
/* Certificate chains with a key that lives elsewhere; see chain.h. */
#include "tls/chain.h"

#include <gnutls/gnutls.h>
#include <string.h>

#include "base/mem.h"

/* The next certificate off *chain; false at the end or where the lengths do not fit. */
static bool
next_cert(struct pst_str *chain, gnutls_datum_t *der_out)
{
	size_t n;

	if (chain->n < 4)
		return false;
	n = (size_t)(uint8_t)chain->p[0] << 24 | (size_t)(uint8_t)chain->p[1] << 16 |
	    (size_t)(uint8_t)chain->p[2] << 8 | (size_t)(uint8_t)chain->p[3];
	if (n == 0 || n > chain->n - 4)
		return false;
	/* GnuTLS takes a pointer to what it may not change without saying so. */
	der_out->data = (unsigned char *)(uintptr_t)(chain->p + 4);
	der_out->size = (unsigned)n;
	*chain = (struct pst_str){ chain->p + 4 + n, chain->n - 4 - n };
	return true;
}

static int
import_certs(struct tls_chain *c, struct pst_str chain, struct pst_err *err)
{
	gnutls_datum_t der;
	int rc;

	c->certs = pst_new_array(gnutls_pcert_st, TLS_CHAIN_CERTS);
	while (c->cert_count < TLS_CHAIN_CERTS && next_cert(&chain, &der)) {
		rc = gnutls_pcert_import_x509_raw(&c->certs[c->cert_count], &der,
		                                  GNUTLS_X509_FMT_DER, 0);
		if (rc != 0)
			return pst_err_set(err, PST_E_PERM, "certificate: %s", gnutls_strerror(rc));
		c->cert_count++;
	}
	if (chain.n != 0 || c->cert_count == 0)
		return pst_err_set(err, PST_E_PERM, "certificate chain is cut");
	return 0;
}

/* One question; 0 with a signature that GnuTLS will free, 1 where the key is not known there, -1. */
static int
ask_once(struct tls_chain *c, gnutls_sign_algorithm_t algorithm, bool is_hash,
         const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	const struct wire_sign_request ask = {
		.version = c->version,
		.algorithm = (uint32_t)algorithm,
		.is_hash = is_hash,
		.data = { (const char *)data->data, data->size },
	};
	struct wire_sign_reply reply;
	struct pst_err err;

	if (c->oracle->sign(c->oracle->self, &ask, &reply, &err) != 0)
		return -1;
	if (!reply.ok || reply.signature.n == 0)
		return 1;
	signature->data = gnutls_malloc(reply.signature.n);
	if (signature->data == NULL)
		return -1;
	memcpy(signature->data, reply.signature.p, reply.signature.n);
	signature->size = (unsigned)reply.signature.n;
	return 0;
}

/* An oracle that was started anew, or that has thrown the name out of its cache, knows it again after it
 * was asked for the chain; the same files give the same version. */
static int
ask(struct tls_chain *c, gnutls_sign_algorithm_t algorithm, bool is_hash,
    const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	const struct wire_chain_request remind = {
		.name = pst_str_c(c->name),
		.type = c->type,
		.version = c->version,
	};
	struct wire_chain_reply reply;
	struct pst_err err;
	int rc = ask_once(c, algorithm, is_hash, data, signature);

	if (rc > 0 && c->oracle->chain(c->oracle->self, &remind, &reply, &err) == 0 &&
	    reply.version == c->version)
		rc = ask_once(c, algorithm, is_hash, data, signature);
	return rc == 0 ? 0 : GNUTLS_E_PK_SIGN_FAILED;
}

static int
on_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
             unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	(void)key, (void)flags;
	return ask(userdata, algorithm, true, hash, signature);
}

static int
on_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
             unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	(void)key, (void)flags;
	return ask(userdata, algorithm, false, data, signature);
}

static int
on_info(gnutls_privkey_t key, unsigned flags, void *userdata)
{
	const struct tls_chain *c = userdata;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)c->pk;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)c->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), c->pk) !=
		       0;
	return -1;
}

struct tls_chain *
tls_chain_create(const struct tls_oracle *oracle, struct pst_str name, uint8_t type,
                 const struct wire_chain_reply *reply, struct pst_err *err)
{
	struct tls_chain *c = pst_new(struct tls_chain);
	int rc;

	c->refs = 1;
	c->version = reply->version;
	c->pk = (gnutls_pk_algorithm_t)reply->pk_algorithm;
	c->bits = reply->bits;
	c->oracle = oracle;
	c->name = pst_str_dup(name);
	c->type = type;
	if (import_certs(c, reply->chain, err) != 0)
		goto failed;
	rc = gnutls_privkey_init(&c->key);
	if (rc == 0)
		rc = gnutls_privkey_import_ext4(c->key, c, on_sign_data, on_sign_hash, NULL, NULL,
		                                on_info, 0);
	if (rc != 0) {
		pst_err_set(err, PST_E_PERM, "key of %.100s: %s", c->name, gnutls_strerror(rc));
		goto failed;
	}
	return c;
failed:
	tls_chain_destroy(c);
	return NULL;
}

void
tls_chain_asked(struct tls_chain *c, struct pst_str name, uint8_t type)
{
	c->type = type;
	if (pst_str_eq(pst_str_c(c->name), name))
		return;
	free(c->name);
	c->name = pst_str_dup(name);
}

void
tls_chain_destroy(struct tls_chain *c)
{
	unsigned i;

	if (c == NULL)
		return;
	if (c->key != NULL)
		gnutls_privkey_deinit(c->key);
	for (i = 0; i < c->cert_count; i++)
		gnutls_pcert_deinit(&c->certs[i]);
	free(c->certs);
	free(c->name);
	free(c);
}
