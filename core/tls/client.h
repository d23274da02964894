/* SPDX-License-Identifier: MIT */
/* tls/client.h - the client's side of TLS, for posternctl: one connection, blocking, with deadlines. */
#ifndef TLS_CLIENT_H
#define TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <postern/err.h>

struct tls_client;

struct tls_client_settings {
	const char *host;    /* a name or an address: what the certificate must be for */
	const char *ca_file; /* PEM; NULL: the authorities that the system trusts */
	bool insecure; /* any certificate, and TLS 1.0: for servers that are on their way out */
};

/* The handshake over fd, which is non-blocking and stays the caller's; deadlines are of pst_now_ms.
 * NULL: PST_E_TEMP where it took too long or broke, PST_E_PERM where the certificate is not good. */
struct tls_client *tls_client_open(int fd, const struct tls_client_settings *settings,
                                   int64_t deadline_ms, struct pst_err *err);

/* At least one octet, at most n; 0: the peer ended it. -1: PST_E_TEMP. */
ssize_t tls_client_read(struct tls_client *t, void *to, size_t n, int64_t deadline_ms,
                        struct pst_err *err);

/* All n octets. -1: PST_E_TEMP. */
int tls_client_write(struct tls_client *t, const void *from, size_t n, int64_t deadline_ms,
                     struct pst_err *err);

/* Says good-bye without waiting for an answer. Accepts NULL. */
void tls_client_close(struct tls_client *t);

/* Waits until fd can be read (or written). -1 (PST_E_TEMP): the deadline is over. */
int tls_client_wait(int fd, bool to_write, int64_t deadline_ms, struct pst_err *err);

#endif
