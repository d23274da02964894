/* SPDX-License-Identifier: MIT */
/* TLS sessions against GnuTLS's own client, both in one process, over socket pairs. The keys are in a
 * real store and are asked by real messages. */
#ifndef TEST_TALK_H
#define TEST_TALK_H

#include <gnutls/gnutls.h>

#include "keys/store.h"
#include "tls/stream.h"

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, talk_set_up, talk_tear_down)

struct world {
	char *dir;
	struct tls_settings settings;
	struct store *store;
	struct tls_share share;
	struct tls_oracle oracle;
	struct tls_server *server;
	uint8_t ask[MSG_MAX_OCTETS], reply[MSG_MAX_OCTETS];
	bool is_away;
	bool forgets; /* a keys process that was killed after it had given the chain */
	unsigned signatures;
};

/* A client's wishes. */
struct wish {
	const char *priority; /* NULL: GnuTLS's default */
	const char *name;     /* SNI, or NULL */
	const char *alpn;     /* or NULL */
	const gnutls_datum_t *resume;
	struct tls_server *server; /* NULL: the world's */
};

struct talk {
	int ends[2]; /* 0 the server's */
	struct tls_stream *server;
	gnutls_session_t client;
	gnutls_certificate_credentials_t credentials;
	enum tls_io server_io;
	int client_rc;
	struct pst_err err; /* of the server */
};

int talk_set_up(void **state); /* *state: a struct world */
int talk_tear_down(void **state);

/* One more server with the same keys and tickets. */
struct tls_server *talk_server(struct world *w);

void talk_open(struct world *w, const struct wish *wish, struct talk *t);
bool talk_begin(struct world *w, const struct wish *wish, struct talk *t); /* with the handshake */
void talk_end(struct talk *t);

/* One record from the server; the client reads it, and a ticket that came before. */
void talk_say_and_hear(struct talk *t, const char *text);
void talk_send(struct talk *t, const void *data, size_t n); /* from the client */

void talk_pattern(char *p, size_t n);

#endif
