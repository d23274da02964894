/* SPDX-License-Identifier: MIT */
/* Both ends of a TLS session; see talk.h. */
#include "tests/unit/tls/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "keys/worker.h"
#include "tests/unit/tls/certs.h"

#define PRIORITY                                                                                   \
	"NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:%SERVER_PRECEDENCE"

static int
ask_chain(void *self, const struct wire_chain_request *ask, struct wire_chain_reply *reply,
          struct pst_err *err)
{
	struct world *w = self;
	struct msg_head head;
	size_t n = wire_chain_request_encode(ask, 1, 2, w->ask);

	if (w->is_away)
		return pst_err_set(err, PST_E_TEMP, "away");
	n = keys_answer(w->store, (struct pst_str){ (char *)w->ask, n }, pst_now_ms(), w->reply);
	return wire_chain_reply_decode((struct pst_str){ (char *)w->reply, n }, &head, reply, err);
}

static int
ask_sign(void *self, const struct wire_sign_request *ask, struct wire_sign_reply *reply,
         struct pst_err *err)
{
	struct world *w = self;
	struct msg_head head;
	size_t n = wire_sign_request_encode(ask, 1, 2, w->ask);

	if (w->is_away)
		return pst_err_set(err, PST_E_TEMP, "away");
	if (w->forgets) {
		w->forgets = false;
		store_destroy(w->store);
		w->store = store_create(&w->settings);
	}
	w->signatures++;
	n = keys_answer(w->store, (struct pst_str){ (char *)w->ask, n }, pst_now_ms(), w->reply);
	return wire_sign_reply_decode((struct pst_str){ (char *)w->reply, n }, &head, reply, err);
}

struct tls_server *
talk_server(struct world *w)
{
	struct pst_err err;
	struct tls_server *s = tls_server_create(&w->settings, &w->share, &w->oracle, &err);

	assert_non_null(s);
	return s;
}

int
talk_set_up(void **state)
{
	struct world *w = pst_new(struct world);

	w->dir = certs_folder();
	w->settings = (struct tls_settings){
		.directory = w->dir,
		.default_name = "default.test",
		.cache = 100,
		.check_interval = 5000,
		.priority = PRIORITY,
		.ticket_lifetime = 3600000,
	};
	certs_make(w->dir, "default.test", "", "default.test", CERT_EC, 30);
	certs_make(w->dir, "both.test", "", "both.test", CERT_EC, 30);
	certs_make(w->dir, "both.test", "-rsa", "both.test", CERT_RSA, 30);
	certs_make(w->dir, "ed.test", "", "ed.test", CERT_ED25519, 30);
	w->store = store_create(&w->settings);
	tls_share_renew(&w->share);
	w->oracle = (struct tls_oracle){ .self = w, .chain = ask_chain, .sign = ask_sign };
	w->server = talk_server(w);
	*state = w;
	return 0;
}

int
talk_tear_down(void **state)
{
	struct world *w = *state;

	tls_server_destroy(w->server);
	store_destroy(w->store);
	certs_remove(w->dir);
	free(w);
	return 0;
}

void
talk_open(struct world *w, const struct wish *wish, struct talk *t)
{
	struct pst_err err;
	gnutls_datum_t alpn;

	memset(t, 0, sizeof(*t));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t->ends), 0);
	t->server =
		tls_stream_open(wish->server != NULL ? wish->server : w->server, t->ends[0], &err);
	assert_non_null(t->server);
	assert_int_equal(
		gnutls_init(&t->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&t->credentials), 0);
	gnutls_credentials_set(t->client, GNUTLS_CRD_CERTIFICATE, t->credentials);
	if (wish->priority != NULL)
		assert_int_equal(gnutls_priority_set_direct(t->client, wish->priority, NULL), 0);
	else
		assert_int_equal(gnutls_set_default_priority(t->client), 0);
	if (wish->name != NULL)
		gnutls_server_name_set(t->client, GNUTLS_NAME_DNS, wish->name, strlen(wish->name));
	if (wish->alpn != NULL) {
		alpn = (gnutls_datum_t){ (unsigned char *)(uintptr_t)wish->alpn,
			                 (unsigned)strlen(wish->alpn) };
		gnutls_alpn_set_protocols(t->client, &alpn, 1, 0);
	}
	if (wish->resume != NULL)
		gnutls_session_set_data(t->client, wish->resume->data, wish->resume->size);
	gnutls_transport_set_int(t->client, t->ends[1]);
}

/* In turns, until both are through or one has failed. */
static bool
shake_hands(struct talk *t)
{
	bool server_done = false;
	bool client_done = false;
	unsigned i;

	for (i = 0; i < 100 && !(server_done && client_done); i++) {
		if (!client_done) {
			t->client_rc = gnutls_handshake(t->client);
			client_done = t->client_rc == 0;
			if (t->client_rc < 0 && gnutls_error_is_fatal(t->client_rc))
				return false;
		}
		if (!server_done) {
			t->server_io = tls_stream_handshake(t->server, &t->err);
			server_done = t->server_io == TLS_IO_DONE;
			if (t->server_io == TLS_IO_FAILED)
				return false;
		}
	}
	return server_done && client_done;
}

bool
talk_begin(struct world *w, const struct wish *wish, struct talk *t)
{
	talk_open(w, wish, t);
	return shake_hands(t);
}

void
talk_end(struct talk *t)
{
	tls_stream_close(t->server);
	gnutls_deinit(t->client);
	gnutls_certificate_free_credentials(t->credentials);
	if (t->ends[0] >= 0)
		close(t->ends[0]);
	if (t->ends[1] >= 0)
		close(t->ends[1]);
}

/* One record from the server; the client reads it, which also takes in a ticket that came before. */
void
talk_say_and_hear(struct talk *t, const char *text)
{
	char in[256];
	struct pst_err err;
	size_t n = 0;
	ssize_t got;

	assert_int_equal(tls_stream_write(t->server, text, strlen(text), &n, &err), TLS_IO_DONE);
	assert_int_equal(n, strlen(text));
	do {
		got = gnutls_record_recv(t->client, in, sizeof(in));
	} while (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED);
	assert_int_equal(got, strlen(text));
	assert_memory_equal(in, text, strlen(text));
}

void
talk_pattern(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)((i * 31 + i / 251) & 0xff);
}

void
talk_send(struct talk *t, const void *data, size_t n)
{
	assert_int_equal(gnutls_record_send(t->client, data, n), n);
}
