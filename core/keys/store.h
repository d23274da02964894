/* SPDX-License-Identifier: MIT */
/* keys/store.h - certificates and keys by server name, from a folder of folders.
 *
 *	tls.directory/mail.example.org/fullchain.pem       the chain, first certificate first
 *	                              /privkey.pem         its key: ECDSA, Ed25519 or RSA
 *	                              /fullchain-rsa.pem   optional: an RSA pair beside it, for
 *	                              /privkey-rsa.pem     clients that cannot do the first
 *	tls.directory/_.example.org/…                      *.example.org
 *
 * A name is looked for as it is, then as a wildcard (one label, as in certificates), then comes
 * tls.default_name. Nothing is read before it is asked for. What is loaded is believed for
 * tls.check_interval, then its files are looked at. A pair that does not load costs its own name
 * only: the one loaded before it stays, or the search goes on as if it were not there. */
#ifndef KEYS_STORE_H
#define KEYS_STORE_H

#include "config/settings.h"
#include "keys/pair.h"

struct store;

struct store *store_create(const struct tls_settings *settings); /* borrowed */
void store_destroy(struct store *s);                             /* wipes all keys; accepts NULL */

/* The pair for a name (lower case; "" is the default) and a type (tls/oracle.h): where the name has
 * both, RSA for TLS_TYPE_RSA, the other one else. NULL: there is not even a default. Borrowed until
 * the next call. */
const struct pair *store_find(struct store *s, struct pst_str name, uint8_t type, int64_t now_ms,
                              bool *is_default_out);

/* By the version that a chain was given out with, or NULL. A pair that was replaced on disk can
 * still sign until login has certainly heard of the new one. */
const struct pair *store_by_version(struct store *s, uint64_t version);

/* Whether a client may ask for this name: letters, digits, '-' and '.', no empty label. Upper case
 * is refused: the caller folds. */
bool store_name_is_good(struct pst_str name);

#endif
