/* SPDX-License-Identifier: MIT */
/* tls/oracle.h - how a TLS server without keys asks the process that has them. */
#ifndef TLS_ORACLE_H
#define TLS_ORACLE_H

#include <postern/err.h>

#include "ipc/wire.h"

/* Each waits for its answer, for a bounded time: GnuTLS cannot put off either question. -1: there was
 * no answer (PST_E_TEMP). Strings of the reply are borrowed until the next call. */
struct tls_oracle {
	void *self;
	int (*chain)(void *self, const struct wire_chain_request *ask,
	             struct wire_chain_reply *reply, struct pst_err *err);
	int (*sign)(void *self, const struct wire_sign_request *ask, struct wire_sign_reply *reply,
	            struct pst_err *err);
};

/* wire_chain_request.type */
#define TLS_TYPE_ANY 0
#define TLS_TYPE_EC 1
#define TLS_TYPE_RSA 2

#define TLS_CHAIN_CERTS 16 /* in a chain, at most */

/* wire_chain_reply.status */
#define TLS_CHAIN_NONE 0
#define TLS_CHAIN_HERE 1
#define TLS_CHAIN_CURRENT 2

#endif
