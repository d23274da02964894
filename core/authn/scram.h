/* SPDX-License-Identifier: MIT */
/* authn/scram.h - one SCRAM exchange (RFC 5802, RFC 7677), by GNU SASL, with what that library leaves to
 * its users: the downgrade of a channel binding, and a binding under a name that has none. */
#ifndef AUTHN_SCRAM_H
#define AUTHN_SCRAM_H

#include "credentials/gs2.h"
#include "credentials/mechanism.h"
#include "credentials/views.h"

struct scram_library; /* of a process */
struct scram;         /* an exchange */

struct scram_library *scram_library_create(struct pst_err *err);
void scram_library_destroy(struct scram_library *l); /* accepts NULL */

enum pst_digest scram_digest(enum mechanism_id id);

/* What the connection has of a channel binding (tls-exporter). */
struct scram_binding {
	struct pst_str octets; /* empty: none to be had */
	bool is_offered;       /* a mechanism with a binding was */
};

/* Whether a client that was offered what this one was may begin so under this name. */
bool scram_may_begin(enum mechanism_id id, const struct gs2 *gs2,
                     const struct scram_binding *binding);

/* The first step: the message was read into first, which scram_may_begin has let pass. Of keys the salt
 * and the iterations count. NULL: it is no such message. The server's message, in *text_out, lives as long
 * as the exchange. */
struct scram *scram_begin(struct scram_library *l, enum mechanism_id id, struct pst_str message,
                          const struct scram_first *first, const struct scram_keys *keys,
                          const struct scram_binding *binding, struct pst_str *text_out);

/* The second: whether the client has shown that it knows the password of keys. *text_out, with the server's
 * own proof, likewise. */
bool scram_is_right(struct scram *x, struct pst_str message, const struct scram_keys *keys,
                    const struct scram_binding *binding, struct pst_str *text_out);

/* Accepts NULL. GNU SASL does not wipe what it frees: the keys of the stored form, base64, and the nonces. */
void scram_end(struct scram *x);

#endif
