/* SPDX-License-Identifier: MIT */
/* tls/stream.h - one TLS session over a non-blocking socket.
 *
 * The caller owns the socket and waits for what a call says it wants; calls never block, but for a
 * question to the keys process within the handshake. */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/server.h"

#define TLS_RECORD_MAX 16384
#define TLS_NAME_MAX 255
#define TLS_AHEAD 4096 /* octets that are read from the socket at once, where records are small */

struct tls_stream;

enum tls_io {
	TLS_IO_DONE = 1,
	TLS_IO_WANT_READ,
	TLS_IO_WANT_WRITE,
	TLS_IO_CLOSED, /* the peer has said or shown that it sends no more */
	TLS_IO_FAILED, /* err is filled: PST_E_CLOSED where the peer just went away */
};

/* What the log says of a session. Strings are constants. */
struct tls_facts {
	const char *version; /* "TLS1.3" */
	const char *cipher;  /* "TLS_AES_128_GCM_SHA256" */
	bool resumed;
	uint8_t number; /* 12, 13 */
};

struct tls_stream *tls_stream_open(struct tls_server *s, int fd, struct pst_err *err);

/* Wipes and frees; sends nothing. Accepts NULL. */
void tls_stream_close(struct tls_stream *t);

enum tls_io tls_stream_handshake(struct tls_stream *t, struct pst_err *err);

/* At most one record, whole: cap is at least TLS_RECORD_MAX. */
enum tls_io tls_stream_read(struct tls_stream *t, char *out, size_t cap, size_t *n_out,
                            struct pst_err *err);

/* Octets that are out of the socket already: poll does not see them, so read on while this is true. They
 * are at most TLS_AHEAD octets of small records and one of any size. */
bool tls_stream_pending(const struct tls_stream *t);

/* Sends from the front of data, *n_out octets of it. On WANT_WRITE a record has been cut from what
 * follows these: the next call must be given the same octets from there on. */
enum tls_io tls_stream_write(struct tls_stream *t, const char *data, size_t n, size_t *n_out,
                             struct pst_err *err);

/* Says that we send no more (close_notify); again after WANT_WRITE. Without it clients would not resume
 * the session. */
enum tls_io tls_stream_bye(struct tls_stream *t);

void tls_stream_facts(const struct tls_stream *t, struct tls_facts *out);

/* The channel binding tls-exporter (RFC 9266), of which both ends have the same and nobody else: octets in
 * out, or 0 where this session has none. */
#define TLS_BINDING_MAX 64
size_t tls_stream_binding(const struct tls_stream *t, uint8_t out[TLS_BINDING_MAX]);

/* Whom the client's certificate names, as tls.client_name says; "" where it has shown none. -1
 * (PST_E_CLIENT): the one that it has shown does not count, and why. */
#define TLS_CLIENT_MAX 255
int tls_stream_client(const struct tls_stream *t, char out[TLS_CLIENT_MAX + 1],
                      struct pst_err *err);

/* The server name that the client gave, lower case, or "". */
void tls_stream_name(const struct tls_stream *t, char out[TLS_NAME_MAX + 1]);

#endif
