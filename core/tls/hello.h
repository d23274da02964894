/* SPDX-License-Identifier: MIT */
/* tls/hello.h - what of a ClientHello GnuTLS does not tell the certificate callback. */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include <stdbool.h>

#include <postern/str.h>

/* body: the message without its handshake head (RFC 5246 section 7.4.1.2). True where a cipher suite
 * of TLS 1.2 with an ECDSA certificate is offered: without one, a client that may well verify ECDSA
 * signatures can still only be served with an RSA certificate. False too for a broken message. */
bool tls_hello_offers_ecdsa(struct pst_str body);

#endif
