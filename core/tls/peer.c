/* SPDX-License-Identifier: MIT */
/* What a session says about its client beyond octets: a channel binding, a certificate's name. */
#include "tls/stream.h"

#include <gnutls/x509.h>
#include <string.h>

#include "tls/private.h"

size_t
tls_stream_binding(const struct tls_stream *t, uint8_t out[TLS_BINDING_MAX])
{
	gnutls_datum_t binding = { NULL, 0 };
	size_t n = 0;

	/* Fails in TLS 1.2 without extended master secret: RFC 9266 section 2. */
	if (gnutls_session_channel_binding(t->session, GNUTLS_CB_TLS_EXPORTER, &binding) != 0)
		return 0;
	if (binding.size <= TLS_BINDING_MAX) {
		memcpy(out, binding.data, binding.size);
		n = binding.size;
	}
	gnutls_free(binding.data);
	return n;
}

/* A user's name is one line of text, whatever an authority has signed. */
static bool
is_name(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
			return false;
	return n > 0;
}

/* The first alternative name of the type. */
static bool
find_alt_name(gnutls_x509_crt_t crt, int type, char *out, size_t cap)
{
	unsigned i;
	int rc;

	for (i = 0;; i++) {
		size_t n = cap - 1;

		rc = gnutls_x509_crt_get_subject_alt_name(crt, i, out, &n, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (rc != type)
			continue; /* another type, or one that does not fit */
		out[n] = '\0';
		return is_name(out, n);
	}
}

static bool
find_common_name(gnutls_x509_crt_t crt, char *out, size_t cap)
{
	size_t n = cap - 1;

	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &n) != 0)
		return false;
	out[n] = '\0';
	return is_name(out, n);
}

static bool
find_name(gnutls_x509_crt_t crt, int64_t which, char *out, size_t cap)
{
	switch ((enum client_name)which) {
	case CLIENT_NAME_EMAIL:
		return find_alt_name(crt, GNUTLS_SAN_RFC822NAME, out, cap);
	case CLIENT_NAME_DNS:
		return find_alt_name(crt, GNUTLS_SAN_DNSNAME, out, cap);
	case CLIENT_NAME_CN:
		break;
	}
	return find_common_name(crt, out, cap);
}

static int
check_chain(const struct tls_stream *t, struct pst_err *err)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT
	};
	gnutls_datum_t why = { NULL, 0 };
	unsigned status = 0;
	int rc = gnutls_certificate_verify_peers(t->session, &purpose, 1, &status);

	if (rc != 0)
		return pst_err_set(err, PST_E_CLIENT, "%s", gnutls_strerror(rc));
	if (status == 0)
		return 0;
	(void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
	pst_err_set(err, PST_E_CLIENT, "%.150s",
	            why.data != NULL ? (const char *)why.data : "it is not valid");
	gnutls_free(why.data);
	return -1;
}

int
tls_stream_client(const struct tls_stream *t, char out[TLS_CLIENT_MAX + 1], struct pst_err *err)
{
	const gnutls_datum_t *certs;
	gnutls_x509_crt_t crt;
	unsigned count = 0;
	bool found;

	out[0] = '\0';
	certs = gnutls_certificate_get_peers(t->session, &count);
	if (certs == NULL || count == 0)
		return 0;
	if (check_chain(t, err) != 0)
		return -1;
	if (gnutls_x509_crt_init(&crt) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for a certificate");
	found = gnutls_x509_crt_import(crt, &certs[0], GNUTLS_X509_FMT_DER) == 0 &&
	        find_name(crt, t->server->settings->client_name, out, TLS_CLIENT_MAX + 1);
	gnutls_x509_crt_deinit(crt);
	if (found)
		return 0;
	out[0] = '\0';
	return pst_err_set(err, PST_E_CLIENT, "it has no name of the kind tls.client_name");
}
