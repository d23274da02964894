/* SPDX-License-Identifier: MIT */
/* tls/server.h - what all TLS sessions of a login worker share: settings, names, the ticket key.
 *
 * TLS 1.2 and 1.3 with forward secrecy only, whatever the priority setting says; no renegotiation; one
 * session ticket; ALPN "pop3". Certificates come from the oracle when a handshake first needs them, so
 * nothing is read at start. The client's name (SNI) chooses; RSA is given to those that cannot do
 * ECDSA. */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include <stdint.h>

#include <postern/err.h>

#include "config/settings.h"
#include "ipc/shm.h"
#include "tls/oracle.h"

struct tls_server;

/* Loads whatever GnuTLS would else load at its first use, so that it works in a sandbox afterwards.
 * settings and share are borrowed; share NULL: no tickets. The oracle is copied. */
struct tls_server *tls_server_create(const struct tls_settings *settings,
                                     const struct tls_share *share, const struct tls_oracle *oracle,
                                     struct pst_err *err);

/* After all streams. Wipes the ticket key. Accepts NULL. */
void tls_server_destroy(struct tls_server *s);

#endif
