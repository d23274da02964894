/* SPDX-License-Identifier: MIT */
/* One TLS session; see stream.h. */
#include "tls/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tls/private.h"

/* GnuTLS gathers a handshake message of up to 16 MB before it looks at its size, so this is what bounds
 * the memory of a client without manners: no handshake takes so much, and no record. */
#define BUDGET 65536

#define RECORD_HEAD 5 /* octets before each record, which GnuTLS asks for by themselves */

static ssize_t
receive(struct tls_stream *t, void *out, size_t n)
{
	ssize_t got;

	if (t->budget == 0) {
		gnutls_transport_set_errno(t->session, EMSGSIZE);
		return -1;
	}
	got = recv(t->fd, out, n < t->budget ? n : t->budget, MSG_DONTWAIT);
	if (got > 0)
		t->budget -= (uint32_t)got;
	else if (got < 0)
		gnutls_transport_set_errno(t->session, errno);
	return got;
}

static size_t
take(const uint8_t *from, size_t left, void *out, size_t n)
{
	n = n < left ? n : left;
	memcpy(out, from, n);
	return n;
}

static void
forget_kept(struct tls_stream *t)
{
	free(t->kept);
	t->kept = NULL;
}

static ssize_t
take_kept(struct tls_stream *t, void *out, size_t n)
{
	n = take(t->kept + t->kept_at, t->kept_n - t->kept_at, out, n);
	t->kept_at += (uint32_t)n;
	if (t->kept_at == t->kept_n)
		forget_kept(t);
	return (ssize_t)n;
}

static ssize_t
take_ahead(struct tls_ahead *a, void *out, size_t n)
{
	n = take(a->octets + a->at, a->n - a->at, out, n);
	a->at += n;
	if (a->at == a->n)
		a->owner = NULL;
	return (ssize_t)n;
}

/* The buffer is for another stream now: what its owner has not taken goes with the owner. */
static void
clear_ahead(struct tls_ahead *a)
{
	struct tls_stream *t = a->owner;

	if (t == NULL)
		return;
	t->kept_n = (uint32_t)(a->n - a->at);
	t->kept_at = 0;
	t->kept = pst_alloc(t->kept_n);
	memcpy(t->kept, a->octets + a->at, t->kept_n);
	a->owner = NULL;
}

static ssize_t
on_pull(gnutls_transport_ptr_t ptr, void *out, size_t n)
{
	struct tls_stream *t = ptr;
	struct tls_ahead *a = &t->server->ahead;
	ssize_t got;

	if (t->kept != NULL)
		return take_kept(t, out, n);
	if (a->owner == t)
		return take_ahead(a, out, n);
	if (n != RECORD_HEAD)
		return receive(t, out, n);
	clear_ahead(a);
	got = receive(t, a->octets, sizeof(a->octets));
	if (got <= 0)
		return got;
	a->owner = t;
	a->at = 0;
	a->n = (size_t)got;
	return take_ahead(a, out, n);
}

struct tls_stream *
tls_stream_open(struct tls_server *s, int fd, struct pst_err *err)
{
	struct tls_stream *t = pst_new(struct tls_stream);
	int rc = gnutls_init(&t->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

	t->server = s;
	if (rc != 0) {
		pst_err_set(err, PST_E_TEMP, "TLS session: %s", gnutls_strerror(rc));
		free(t);
		return NULL;
	}
	gnutls_session_set_ptr(t->session, t);
	t->fd = fd;
	t->budget = BUDGET;
	/* Sending stays GnuTLS's own, which takes a descriptor for a pointer. */
	gnutls_transport_set_ptr2(t->session, t, (gnutls_transport_ptr_t)(intptr_t)fd);
	gnutls_transport_set_pull_function(t->session, on_pull);
	if (tls_server_dress(s, t->session, err) != 0) {
		tls_stream_close(t);
		return NULL;
	}
	return t;
}

void
tls_stream_close(struct tls_stream *t)
{
	if (t == NULL)
		return;
	if (t->server->ahead.owner == t)
		t->server->ahead.owner = NULL;
	forget_kept(t);
	gnutls_deinit(t->session);
	tls_names_release(t->server->names, t->chain);
	free(t);
}

static enum tls_io
wanted(const struct tls_stream *t)
{
	return gnutls_record_get_direction(t->session) ? TLS_IO_WANT_WRITE : TLS_IO_WANT_READ;
}

/* Errors that only say that the peer went away: nobody's fault, and nothing for the log. */
static bool
is_hangup(int rc)
{
	return rc == GNUTLS_E_PREMATURE_TERMINATION || rc == GNUTLS_E_PUSH_ERROR ||
	       rc == GNUTLS_E_PULL_ERROR;
}

static enum tls_io
fail(struct tls_stream *t, int rc, struct pst_err *err)
{
	const char *alert;

	if (t->budget == 0) {
		pst_err_set(err, PST_E_CLIENT, "more than %d octets of handshake", BUDGET);
	} else if (is_hangup(rc)) {
		pst_err_set(err, PST_E_CLOSED, "the client went away");
	} else if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED) {
		alert = gnutls_alert_get_name(gnutls_alert_get(t->session));
		pst_err_set(err, PST_E_CLIENT, "the client says: %s", alert == NULL ? "?" : alert);
	} else if (t->why[0] != '\0') {
		pst_err_set(err, PST_E_TEMP, "%s", t->why);
	} else {
		pst_err_set(err, PST_E_CLIENT, "%s", gnutls_strerror(rc));
	}
	return TLS_IO_FAILED;
}

enum tls_io
tls_stream_handshake(struct tls_stream *t, struct pst_err *err)
{
	int rc;

	do {
		rc = gnutls_handshake(t->session);
		if (rc == GNUTLS_E_AGAIN)
			return wanted(t);
	} while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc == 0)
		return TLS_IO_DONE;
	if (!is_hangup(rc))
		(void)gnutls_alert_send_appropriate(t->session, rc); /* a full socket is no loss */
	return fail(t, rc, err);
}

/* Copies what a packet holds and wipes it there: it may have been a password. */
static size_t
empty_packet(gnutls_packet_t packet, char *out, size_t cap)
{
	gnutls_datum_t data = { NULL, 0 };

	gnutls_packet_get(packet, &data, NULL);
	pst_assert(data.size <= cap);
	if (data.size > 0) {
		memcpy(out, data.data, data.size);
		pst_wipe(data.data, data.size);
	}
	gnutls_packet_deinit(packet);
	return data.size;
}

enum tls_io
tls_stream_read(struct tls_stream *t, char *out, size_t cap, size_t *n_out, struct pst_err *err)
{
	gnutls_packet_t packet = NULL;
	ssize_t rc;

	*n_out = 0;
	pst_assert(cap >= TLS_RECORD_MAX);
	do {
		rc = gnutls_record_recv_packet(t->session, &packet);
	} while (rc == GNUTLS_E_INTERRUPTED);
	if (rc >= 0 && packet != NULL) { /* an empty record is not the end */
		*n_out = empty_packet(packet, out, cap);
		t->budget = BUDGET;
		return TLS_IO_DONE;
	}
	if (rc == GNUTLS_E_AGAIN)
		return wanted(t);
	if (rc == 0 || rc == GNUTLS_E_PREMATURE_TERMINATION)
		return TLS_IO_CLOSED;
	/* GNUTLS_E_REHANDSHAKE is one of the rest: renegotiation is not done here. */
	return fail(t, (int)rc, err);
}

bool
tls_stream_pending(const struct tls_stream *t)
{
	return t->kept != NULL || t->server->ahead.owner == t ||
	       gnutls_record_check_pending(t->session) > 0;
}

enum tls_io
tls_stream_write(struct tls_stream *t, const char *data, size_t n, size_t *n_out,
                 struct pst_err *err)
{
	ssize_t rc;

	*n_out = 0;
	while (*n_out < n) {
		rc = gnutls_record_send(t->session, data + *n_out, n - *n_out);
		if (rc > 0)
			*n_out += (size_t)rc;
		else if (rc == GNUTLS_E_AGAIN)
			return TLS_IO_WANT_WRITE;
		else if (rc != GNUTLS_E_INTERRUPTED)
			return fail(t, (int)rc, err);
	}
	return TLS_IO_DONE;
}

enum tls_io
tls_stream_bye(struct tls_stream *t)
{
	int rc;

	do {
		rc = gnutls_bye(t->session, GNUTLS_SHUT_WR);
	} while (rc == GNUTLS_E_INTERRUPTED);
	if (rc == GNUTLS_E_AGAIN)
		return TLS_IO_WANT_WRITE;
	return rc == 0 ? TLS_IO_DONE : TLS_IO_FAILED;
}

void
tls_stream_facts(const struct tls_stream *t, struct tls_facts *out)
{
	const char *version = gnutls_protocol_get_name(gnutls_protocol_get_version(t->session));
	const char *cipher = gnutls_ciphersuite_get(t->session);

	out->version = version == NULL ? "?" : version;
	out->cipher = cipher == NULL ? "?" : cipher;
	out->resumed = gnutls_session_is_resumed(t->session) != 0;
	out->number = gnutls_protocol_get_version(t->session) == GNUTLS_TLS1_2 ? 12 : 13;
}

void
tls_stream_name(const struct tls_stream *t, char out[TLS_NAME_MAX + 1])
{
	size_t n = TLS_NAME_MAX;
	unsigned type = 0;
	size_t i;

	out[0] = '\0';
	if (gnutls_server_name_get(t->session, out, &n, &type, 0) != 0 || type != GNUTLS_NAME_DNS) {
		out[0] = '\0';
		return;
	}
	out[TLS_NAME_MAX] = '\0';
	for (i = 0; out[i] != '\0'; i++)
		out[i] = pst_lower(out[i]);
}
