/* SPDX-License-Identifier: MIT */
/* TLS as a client; see client.h. */
#include "tls/client.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* SHA-1 and short keys count as no security with NORMAL; COMPAT keeps very old servers from choking. */
#define PRIORITY "NORMAL"
#define PRIORITY_OLD "LEGACY:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT"

struct tls_client {
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	int fd; /* borrowed */
	bool is_up;
};

int
tls_client_wait(int fd, bool to_write, int64_t deadline_ms, struct pst_err *err)
{
	struct pollfd p = { .fd = fd, .events = to_write ? POLLOUT : POLLIN };

	for (;;) {
		int64_t left = deadline_ms - pst_now_ms();
		int n;

		if (left <= 0)
			return pst_err_set(err, PST_E_TEMP, "no answer in time");
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return pst_err_sys(err, PST_E_TEMP, "poll");
	}
}

/* After a call that would block, or that a signal ended. */
static int
wait_for(struct tls_client *t, int64_t deadline_ms, struct pst_err *err)
{
	return tls_client_wait(t->fd, gnutls_record_get_direction(t->session) == 1, deadline_ms,
	                       err);
}

static int
fail(struct pst_err *err, const char *what, int rc)
{
	return pst_err_set(err, PST_E_TEMP, "%s: %s", what, gnutls_strerror(rc));
}

static int
read_authorities(struct tls_client *t, const struct tls_client_settings *s, struct pst_err *err)
{
	int n;

	if (s->ca_file != NULL)
		n = gnutls_certificate_set_x509_trust_file(t->credentials, s->ca_file,
		                                           GNUTLS_X509_FMT_PEM);
	else
		n = gnutls_certificate_set_x509_system_trust(t->credentials);
	if (n > 0 || (n == 0 && s->ca_file == NULL))
		return 0;
	return pst_err_set(err, PST_E_PERM, "%s: no certificates of authorities: %s",
	                   s->ca_file == NULL ? "the system" : s->ca_file,
	                   n < 0 ? gnutls_strerror(n) : "it has none");
}

static bool
is_address(const char *host)
{
	unsigned char room[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

static int
prepare(struct tls_client *t, const struct tls_client_settings *s, struct pst_err *err)
{
	int rc = gnutls_certificate_allocate_credentials(&t->credentials);

	if (rc != 0)
		return fail(err, "TLS", rc);
	if (!s->insecure && read_authorities(t, s, err) != 0)
		return -1;
	rc = gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	if (rc == 0)
		rc = gnutls_priority_set_direct(t->session, s->insecure ? PRIORITY_OLD : PRIORITY,
		                                NULL);
	if (rc == 0)
		rc = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, t->credentials);
	if (rc == 0 && !is_address(s->host))
		rc = gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, s->host, strlen(s->host));
	if (rc != 0)
		return fail(err, "TLS", rc);
	if (!s->insecure)
		gnutls_session_set_verify_cert(t->session, s->host, 0);
	gnutls_transport_set_int(t->session, t->fd);
	gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* ours counts */
	return 0;
}

static int
refuse_certificate(const struct tls_client *t, const char *host, struct pst_err *err)
{
	unsigned status = gnutls_session_get_verify_cert_status(t->session);
	gnutls_datum_t why = { NULL, 0 };

	(void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
	pst_err_set(err, PST_E_PERM, "the certificate is not good for %.60s: %.150s", host,
	            why.data != NULL ? (const char *)why.data : "it cannot be checked");
	gnutls_free(why.data);
	return -1;
}

static int
shake_hands(struct tls_client *t, const char *host, int64_t deadline_ms, struct pst_err *err)
{
	int rc;

	while ((rc = gnutls_handshake(t->session)) < 0) {
		if (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED) {
			if (wait_for(t, deadline_ms, err) != 0)
				return -1;
		} else if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
			return refuse_certificate(t, host, err);
		} else if (gnutls_error_is_fatal(rc)) {
			return fail(err, "TLS handshake", rc);
		}
	}
	t->is_up = true;
	return 0;
}

struct tls_client *
tls_client_open(int fd, const struct tls_client_settings *settings, int64_t deadline_ms,
                struct pst_err *err)
{
	struct tls_client *t = pst_new(struct tls_client);

	t->fd = fd;
	if (prepare(t, settings, err) == 0 && shake_hands(t, settings->host, deadline_ms, err) == 0)
		return t;
	tls_client_close(t);
	return NULL;
}

ssize_t
tls_client_read(struct tls_client *t, void *to, size_t n, int64_t deadline_ms, struct pst_err *err)
{
	for (;;) {
		ssize_t got = gnutls_record_recv(t->session, to, n);

		if (got >= 0)
			return got;
		if (got == GNUTLS_E_PREMATURE_TERMINATION)
			return 0;
		if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) {
			if (wait_for(t, deadline_ms, err) != 0)
				return -1;
		} else if (gnutls_error_is_fatal((int)got)) {
			return fail(err, "TLS", (int)got);
		}
	}
}

int
tls_client_write(struct tls_client *t, const void *from, size_t n, int64_t deadline_ms,
                 struct pst_err *err)
{
	const char *p = from;

	while (n > 0) {
		ssize_t put = gnutls_record_send(t->session, p, n);

		if (put >= 0) {
			p += put;
			n -= (size_t)put;
		} else if (put == GNUTLS_E_AGAIN || put == GNUTLS_E_INTERRUPTED) {
			if (wait_for(t, deadline_ms, err) != 0)
				return -1;
		} else if (gnutls_error_is_fatal((int)put)) {
			return fail(err, "TLS", (int)put);
		}
	}
	return 0;
}

void
tls_client_close(struct tls_client *t)
{
	if (t == NULL)
		return;
	if (t->is_up)
		(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
	if (t->session != NULL)
		gnutls_deinit(t->session);
	if (t->credentials != NULL)
		gnutls_certificate_free_credentials(t->credentials);
	free(t);
}
