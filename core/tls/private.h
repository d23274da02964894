/* SPDX-License-Identifier: MIT */
/* tls/private.h - between server.c and stream.c only. */
#ifndef TLS_PRIVATE_H
#define TLS_PRIVATE_H

#include <gnutls/gnutls.h>

#include "tls/names.h"
#include "tls/stream.h"

/* Ciphertext that was read beyond what GnuTLS asked for: it asks for five octets, then for the rest of
 * a record, and a call into the kernel costs more than a copy. One buffer serves all streams, for
 * each normally takes all of it before another has its turn; what it leaves is kept apart for it. */
struct tls_ahead {
	struct tls_stream *owner; /* of octets at … n */
	size_t at, n;
	uint8_t octets[TLS_AHEAD];
};

struct tls_server {
	const struct tls_settings *settings;
	const struct tls_share *share;
	struct tls_oracle oracle;
	struct tls_names *names;
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t credentials;
	uint8_t ticket_key[TLS_TICKET_KEY];
	uint32_t ticket_version; /* of ticket_key; odd: none was read yet */
	struct tls_ahead ahead;
};

struct tls_stream {
	gnutls_session_t session;
	struct tls_server *server;
	struct tls_chain *chain; /* counted; after the session was freed it goes back to names */
	int fd;                  /* borrowed */
	uint32_t budget; /* octets that may still come before one of them is for the caller */
	uint32_t kept_n, kept_at;
	uint8_t *kept;       /* out of the server's ahead, or NULL */
	bool no_ecdsa_suite; /* of TLS 1.2 in the ClientHello */
	char why[80];        /* why there was no certificate; "" else */
};

/* Called by GnuTLS at each full handshake (gnutls_certificate_retrieve_function3). */
int tls_server_on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                              gnutls_pcert_st **certs, unsigned *cert_count,
                              gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count,
                              gnutls_privkey_t *key, unsigned *flags);

/* The settings of a new session. */
int tls_server_dress(struct tls_server *s, gnutls_session_t session, struct pst_err *err);

#endif
