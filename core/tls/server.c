/* SPDX-License-Identifier: MIT */
/* What TLS sessions share; see server.h. */
#include "tls/server.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tls/hello.h"
#include "tls/private.h"

/* Put behind the administrator's string: what must not be, though it says so. Without plain RSA key
 * exchange nothing is ever decrypted with a private key. */
#define NEVER ":-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL:-RSA:-COMP-ALL:+COMP-NULL"

/* Of a handshake message from a client: theirs are well below 2 KB. */
#define MAX_HANDSHAKE_OCTETS 16384

/* The raw ClientHello, before GnuTLS reads it. */
static int
on_client_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                const gnutls_datum_t *msg)
{
	struct tls_stream *t = gnutls_session_get_ptr(session);

	(void)type, (void)when;
	if (incoming)
		t->no_ecdsa_suite = !tls_hello_offers_ecdsa(
			(struct pst_str){ (const char *)msg->data, msg->size });
	return 0;
}

/* Whether the client verifies signatures by keys of this kind. One that says nothing (an old TLS 1.2
 * client) is taken to do both. */
static bool
client_verifies(gnutls_session_t session, gnutls_pk_algorithm_t pk)
{
	gnutls_sign_algorithm_t algorithm;
	size_t i;

	for (i = 0; gnutls_sign_algorithm_get_requested(session, i, &algorithm) == 0; i++)
		if (gnutls_sign_supports_pk_algorithm(algorithm, pk))
			return true;
	return i == 0;
}

static bool
can_use(gnutls_session_t session, const struct tls_stream *t, gnutls_pk_algorithm_t pk)
{
	if (pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS)
		return client_verifies(session, pk);
	if (t->no_ecdsa_suite && gnutls_protocol_get_version(session) < GNUTLS_TLS1_3)
		return false;
	return client_verifies(session, pk);
}

int
tls_server_on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                          gnutls_pcert_st **certs, unsigned *cert_count, gnutls_ocsp_data_st **ocsp,
                          unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
	struct tls_stream *t = gnutls_session_get_ptr(session);
	struct tls_server *s = t->server;
	char octets[TLS_NAME_MAX + 1];
	struct pst_err err = { .text = "" };
	struct tls_chain *chain;
	struct pst_str name;

	(void)info;
	tls_stream_name(t, octets);
	name = pst_str_c(octets);
	chain = tls_names_get(s->names, name, TLS_TYPE_ANY, pst_now_ms(), &err);
	if (chain != NULL && !can_use(session, t, chain->pk)) {
		struct tls_chain *rsa;

		rsa = tls_names_get(s->names, name, TLS_TYPE_RSA, pst_now_ms(), &err);
		if (rsa != NULL) {
			tls_names_release(s->names, chain);
			chain = rsa;
		}
	}
	if (chain == NULL) {
		(void)snprintf(t->why, sizeof(t->why), "%.79s", err.text);
		return -1;
	}
	tls_names_release(s->names, t->chain); /* none, unless GnuTLS asks twice */
	t->chain = chain;
	*certs = chain->certs;
	*cert_count = chain->cert_count;
	*ocsp = NULL;
	*ocsp_count = 0;
	*key = chain->key;
	*flags = 0; /* GnuTLS borrows them: t->chain is the count */
	return 0;
}

/* The master renews the key about daily: a new one is taken up by the next session. */
static void
follow_ticket_key(struct tls_server *s)
{
	if (atomic_load_explicit(&s->share->version, memory_order_acquire) != s->ticket_version)
		s->ticket_version = tls_share_read(s->share, s->ticket_key);
}

/* Whether clients may show a certificate. */
static bool
asks_clients(const struct tls_server *s)
{
	return s->settings->client_ca != NULL && s->settings->client_ca[0] != '\0';
}

int
tls_server_dress(struct tls_server *s, gnutls_session_t session, struct pst_err *err)
{
	static unsigned char pop3[] = "pop3";
	static const gnutls_datum_t protocol = { pop3, sizeof(pop3) - 1 };
	gnutls_datum_t ticket_key = { s->ticket_key, sizeof(s->ticket_key) };
	int rc = gnutls_priority_set(session, s->priority);

	if (rc == 0)
		rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, s->credentials);
	if (rc == 0)
		rc = gnutls_alpn_set_protocols(session, &protocol, 1, 0);
	if (rc == 0 && s->share != NULL) {
		follow_ticket_key(s);
		gnutls_db_set_cache_expiration(session, (int)(s->settings->ticket_lifetime / 1000));
		rc = gnutls_session_ticket_enable_server(session, &ticket_key);
	}
	if (rc != 0)
		return pst_err_set(err, PST_E_TEMP, "TLS session: %s", gnutls_strerror(rc));
	if (asks_clients(s))
		gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	gnutls_handshake_set_max_packet_length(session, MAX_HANDSHAKE_OCTETS);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE,
	                                   on_client_hello);
	return 0;
}

static int
make_priority(struct tls_server *s, struct pst_err *err)
{
	size_t n = strlen(s->settings->priority) + sizeof(NEVER);
	char *text = pst_alloc(n);
	const char *at = NULL;
	int rc;

	(void)snprintf(text, n, "%s%s", s->settings->priority, NEVER);
	rc = gnutls_priority_init(&s->priority, text, &at);
	if (rc != 0)
		pst_err_set(err, PST_E_PERM, "tls.priority: %s near \"%.60s\"", gnutls_strerror(rc),
		            rc == GNUTLS_E_INVALID_REQUEST && at != NULL ? at : text);
	free(text);
	return rc == 0 ? 0 : -1;
}

static int
trust_clients(struct tls_server *s, struct pst_err *err)
{
	int rc;

	if (!asks_clients(s))
		return 0;
	rc = gnutls_certificate_set_x509_trust_file(s->credentials, s->settings->client_ca,
	                                            GNUTLS_X509_FMT_PEM);
	if (rc > 0)
		return 0;
	return pst_err_set(err, PST_E_PERM, "tls.client_ca: %s: %s", s->settings->client_ca,
	                   rc == 0 ? "no certificate in it" : gnutls_strerror(rc));
}

struct tls_server *
tls_server_create(const struct tls_settings *settings, const struct tls_share *share,
                  const struct tls_oracle *oracle, struct pst_err *err)
{
	struct tls_server *s = pst_new(struct tls_server);
	int rc;

	s->settings = settings;
	s->share = share;
	s->oracle = *oracle;
	s->ticket_version = 1; /* odd: never a finished key */
	s->names = tls_names_create(&s->oracle, (size_t)settings->cache, settings->check_interval);
	if (make_priority(s, err) != 0)
		goto failed;
	rc = gnutls_certificate_allocate_credentials(&s->credentials);
	if (rc != 0) {
		pst_err_set(err, PST_E_PERM, "TLS credentials: %s", gnutls_strerror(rc));
		goto failed;
	}
	if (trust_clients(s, err) != 0)
		goto failed;
	gnutls_certificate_set_retrieve_function3(s->credentials, tls_server_on_certificate);
	return s;
failed:
	tls_server_destroy(s);
	return NULL;
}

void
tls_server_destroy(struct tls_server *s)
{
	if (s == NULL)
		return;
	if (s->credentials != NULL)
		gnutls_certificate_free_credentials(s->credentials);
	if (s->priority != NULL)
		gnutls_priority_deinit(s->priority);
	tls_names_destroy(s->names);
	pst_wipe(s->ticket_key, sizeof(s->ticket_key));
	free(s);
}
