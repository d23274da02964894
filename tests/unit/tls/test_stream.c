/* SPDX-License-Identifier: MIT */
/* TLS sessions against GnuTLS's own client, both in this process, over socket pairs. The keys are in a
 * real store and are asked by real messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "keys/store.h"
#include "keys/worker.h"
#include "tests/unit/tls/certs.h"
#include "tls/stream.h"

#define PRIORITY                                                                                   \
	"NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:%SERVER_PRECEDENCE"
#define BIG 3000000

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

static struct tls_server *
make_server(struct world *w)
{
	struct pst_err err;
	struct tls_server *s = tls_server_create(&w->settings, &w->share, &w->oracle, &err);

	assert_non_null(s);
	return s;
}

static int
open_world(void **state)
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
	w->server = make_server(w);
	*state = w;
	return 0;
}

static int
close_world(void **state)
{
	struct world *w = *state;

	tls_server_destroy(w->server);
	store_destroy(w->store);
	certs_remove(w->dir);
	free(w);
	return 0;
}

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

static void
open_talk(struct world *w, const struct wish *wish, struct talk *t)
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

static bool
begin_talk(struct world *w, const struct wish *wish, struct talk *t)
{
	open_talk(w, wish, t);
	return shake_hands(t);
}

static void
end_talk(struct talk *t)
{
	tls_stream_close(t->server);
	gnutls_deinit(t->client);
	gnutls_certificate_free_credentials(t->credentials);
	if (t->ends[0] >= 0)
		close(t->ends[0]);
	if (t->ends[1] >= 0)
		close(t->ends[1]);
}

/* The public key algorithm that the client saw. */
static gnutls_pk_algorithm_t
seen(const struct talk *t)
{
	const gnutls_datum_t *der = gnutls_certificate_get_peers(t->client, NULL);
	gnutls_x509_crt_t crt;
	int pk;

	assert_non_null(der);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER), 0);
	pk = gnutls_x509_crt_get_pk_algorithm(crt, NULL);
	gnutls_x509_crt_deinit(crt);
	return (gnutls_pk_algorithm_t)pk;
}

static bool
is_for(const struct talk *t, const char *host)
{
	const gnutls_datum_t *der = gnutls_certificate_get_peers(t->client, NULL);
	gnutls_x509_crt_t crt;
	bool yes;

	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER), 0);
	yes = gnutls_x509_crt_check_hostname(crt, host) != 0;
	gnutls_x509_crt_deinit(crt);
	return yes;
}

/* One record from the server; the client reads it, which also takes in a ticket that came before. */
static void
say_and_hear(struct talk *t, const char *text)
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

static void
test_default_client_gets_tls13_and_aes128(void **state)
{
	struct talk t;
	struct tls_facts facts;
	char name[TLS_NAME_MAX + 1];

	assert_true(begin_talk(*state, &(struct wish){ .name = "Both.Test", .alpn = "pop3" }, &t));
	tls_stream_facts(t.server, &facts);
	assert_string_equal(facts.version, "TLS1.3");
	assert_string_equal(facts.cipher, "TLS_AES_128_GCM_SHA256");
	assert_false(facts.resumed);
	tls_stream_name(t.server, name);
	assert_string_equal(name, "both.test");
	assert_true(is_for(&t, "both.test"));
	assert_int_equal(seen(&t), GNUTLS_PK_ECDSA);
	{
		gnutls_datum_t alpn = { NULL, 0 };

		assert_int_equal(gnutls_alpn_get_selected_protocol(t.client, &alpn), 0);
		assert_int_equal(alpn.size, 4);
		assert_memory_equal(alpn.data, "pop3", 4);
	}
	end_talk(&t);
}

static void
test_no_name_and_unknown_name_get_the_default(void **state)
{
	struct talk t;
	char name[TLS_NAME_MAX + 1];

	assert_true(begin_talk(*state, &(struct wish){ .alpn = "imap" }, &t)); /* ignored */
	assert_true(is_for(&t, "default.test"));
	tls_stream_name(t.server, name);
	assert_string_equal(name, "");
	end_talk(&t);
	assert_true(begin_talk(*state, &(struct wish){ .name = "nobody.test" }, &t));
	assert_true(is_for(&t, "default.test"));
	end_talk(&t);
}

static void
test_the_certificate_fits_what_the_client_can(void **state)
{
	static const struct {
		const char *priority;
		const char *name;
		gnutls_pk_algorithm_t pk;
	} rows[] = {
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", "both.test", GNUTLS_PK_ECDSA },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256",
		  "both.test", GNUTLS_PK_RSA },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256",
		  "both.test", GNUTLS_PK_RSA },
		/* Verifies ECDSA, but offers no suite with it. */
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA", "both.test", GNUTLS_PK_RSA },
		{ "NORMAL", "ed.test", GNUTLS_PK_EDDSA_ED25519 },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", "ed.test", GNUTLS_PK_EDDSA_ED25519 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct wish wish = { .priority = rows[i].priority, .name = rows[i].name };
		struct talk t;

		if (!begin_talk(*state, &wish, &t))
			fail_msg("row %zu: client %s, server %s", i, gnutls_strerror(t.client_rc),
			         t.err.text);
		assert_int_equal(seen(&t), rows[i].pk);
		say_and_hear(&t, "+OK");
		end_talk(&t);
	}
}

static void
test_what_may_not_be_is_refused(void **state)
{
	static const char *const rows[] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", /* no forward secrecy */
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+3DES-CBC",
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct wish wish = { .priority = rows[i], .name = "both.test" };
		struct talk t;

		assert_false(begin_talk(*state, &wish, &t));
		assert_int_equal(t.server_io, TLS_IO_FAILED);
		assert_int_equal(t.err.kind, PST_E_CLIENT);
		end_talk(&t);
	}
}

static void
test_the_setting_cannot_allow_what_may_not_be(void **state)
{
	struct world *w = *state;
	const char *kept = w->settings.priority;
	struct wish wish = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT" };
	struct pst_err err;
	struct talk t;

	w->settings.priority = "LEGACY:+VERS-TLS1.0:+VERS-TLS1.1:+RSA";
	wish.server = make_server(w);
	w->settings.priority = kept;
	assert_false(begin_talk(w, &wish, &t));
	end_talk(&t);
	tls_server_destroy(wish.server);
	w->settings.priority = "NORMAL:+NONSENSE";
	assert_null(tls_server_create(&w->settings, NULL, &w->oracle, &err));
	assert_non_null(strstr(err.text, "tls.priority"));
}

static gnutls_datum_t
session_of(const struct talk *t)
{
	gnutls_datum_t data = { NULL, 0 };

	assert_int_equal(gnutls_session_get_data2(t->client, &data), 0);
	return data;
}

static void
resumes(struct world *w, const char *priority, struct tls_server *second, bool expected)
{
	struct wish wish = { .priority = priority, .name = "both.test" };
	struct tls_facts facts;
	gnutls_datum_t data;
	unsigned before;
	struct talk t;

	assert_true(begin_talk(w, &wish, &t));
	say_and_hear(&t, "+OK");
	data = session_of(&t);
	end_talk(&t);
	wish.resume = &data;
	wish.server = second;
	if (!expected)
		tls_share_renew(&w->share);
	before = w->signatures;
	assert_true(begin_talk(w, &wish, &t));
	tls_stream_facts(t.server, &facts);
	assert_int_equal(facts.resumed, expected);
	assert_int_equal(w->signatures - before, expected ? 0 : 1);
	say_and_hear(&t, "+OK");
	end_talk(&t);
	gnutls_free(data.data);
}

static void
test_a_ticket_resumes_on_another_server_until_the_key_changes(void **state)
{
	static const char *const priorities[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.3",
		                                  "NORMAL:-VERS-ALL:+VERS-TLS1.2" };
	struct world *w = *state;
	struct tls_server *second = make_server(w);
	size_t i;

	for (i = 0; i < 2; i++) {
		resumes(w, priorities[i], second, true);
		resumes(w, priorities[i], NULL, true);
		resumes(w, priorities[i], second, false);
		resumes(w, priorities[i], second, true); /* the new key is taken up by all */
	}
	tls_server_destroy(second);
}

static void
fill_pattern(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)((i * 31 + i / 251) & 0xff);
}

/* Sends n octets to a client that reads too little, as login does: the rest is given again from a copy
 * at another address, and more may be behind it. */
static void
test_nothing_is_lost_when_the_socket_is_full(void **state)
{
	char *data = pst_alloc(BIG);
	char *got = pst_alloc(BIG);
	size_t sent = 0;
	size_t have = 0;
	unsigned blocked = 0;
	struct pst_err err;
	struct talk t;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	fill_pattern(data, BIG);
	while (have < BIG) {
		size_t part = BIG - sent < 200000 ? BIG - sent : 200000;
		char *copy = pst_alloc(part + 1);
		size_t n = 0;
		ssize_t rc;

		memcpy(copy, data + sent, part);
		if (sent < BIG) {
			enum tls_io io = tls_stream_write(t.server, copy, part, &n, &err);

			assert_true(io == TLS_IO_DONE || io == TLS_IO_WANT_WRITE);
			blocked += io == TLS_IO_WANT_WRITE;
			sent += n;
		}
		free(copy);
		rc = gnutls_record_recv(t.client, got + have,
		                        BIG - have < 9000 ? BIG - have : 9000);
		assert_true(rc > 0 || rc == GNUTLS_E_AGAIN);
		have += rc > 0 ? (size_t)rc : 0;
	}
	assert_true(blocked > 0);
	assert_int_equal(sent, BIG);
	assert_memory_equal(data, got, BIG);
	end_talk(&t);
	free(data);
	free(got);
}

static void
test_the_end_is_said_even_when_the_socket_is_full(void **state)
{
	char *data = pst_alloc(BIG);
	struct pst_err err;
	enum tls_io io;
	struct talk t;
	size_t n;
	char in[16384];
	ssize_t rc;
	size_t have = 0;
	unsigned waited = 0;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	fill_pattern(data, BIG);
	assert_int_equal(tls_stream_write(t.server, data, BIG, &n, &err), TLS_IO_WANT_WRITE);
	/* The record that is cut already goes first. */
	while ((io = tls_stream_bye(t.server)) == TLS_IO_WANT_WRITE) {
		waited++;
		rc = gnutls_record_recv(t.client, in, sizeof(in));
		if (rc == GNUTLS_E_AGAIN) /* that was the ticket */
			continue;
		assert_true(rc > 0);
		assert_memory_equal(in, data + have, (size_t)rc);
		have += (size_t)rc;
	}
	assert_int_equal(io, TLS_IO_DONE);
	assert_true(waited > 0);
	while ((rc = gnutls_record_recv(t.client, in, sizeof(in))) > 0)
		have += (size_t)rc;
	assert_int_equal(rc, 0); /* a clean end: close_notify */
	assert_true(have > n && have <= n + TLS_RECORD_MAX);
	end_talk(&t);
	free(data);
}

static void
send_from_client(struct talk *t, const void *data, size_t n)
{
	assert_int_equal(gnutls_record_send(t->client, data, n), n);
}

static void
test_records_are_read_whole_and_the_end_is_seen(void **state)
{
	static char big[TLS_RECORD_MAX];
	static char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_WANT_READ);
	assert_int_equal(n, 0);
	fill_pattern(big, sizeof(big));
	send_from_client(&t, "USER a\r\n", 8);
	send_from_client(&t, big, sizeof(big));
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
	assert_int_equal(n, 8);
	assert_memory_equal(in, "USER a\r\n", 8);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
	assert_int_equal(n, sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
	assert_false(tls_stream_pending(t.server));
	assert_int_equal(gnutls_bye(t.client, GNUTLS_SHUT_WR), 0);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	/* Half closed: the other direction still works. */
	say_and_hear(&t, "+OK goodbye");
	end_talk(&t);
}

static void
test_a_hangup_is_an_end_and_no_failure(void **state)
{
	char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	say_and_hear(&t, "+OK");
	close(t.ends[1]);
	t.ends[1] = -1;
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	end_talk(&t);
	open_talk(*state, &(struct wish){ .name = "both.test" }, &t);
	(void)gnutls_handshake(t.client);
	close(t.ends[1]);
	t.ends[1] = -1;
	while ((t.server_io = tls_stream_handshake(t.server, &t.err)) == TLS_IO_WANT_READ)
		;
	assert_int_equal(t.server_io, TLS_IO_FAILED);
	assert_int_equal(t.err.kind, PST_E_CLOSED);
	end_talk(&t);
}

static void
test_plain_text_and_junk_fail_the_handshake(void **state)
{
	static const char *const junk[] = { "USER alice\r\n", "GET / HTTP/1.1\r\n\r\n",
		                            "\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00\x00",
		                            "\x16\x03\x01\x00\x04\x02\x00\x00\x00" };
	size_t i;

	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		struct talk t;

		open_talk(*state, &(struct wish){ .name = "both.test" }, &t);
		assert_true(write(t.ends[1], junk[i],
		                  i < 2    ? strlen(junk[i])
		                  : i == 2 ? 12
		                           : 9) > 0);
		assert_int_equal(tls_stream_handshake(t.server, &t.err), TLS_IO_FAILED);
		assert_int_equal(t.err.kind, PST_E_CLIENT);
		end_talk(&t);
	}
}

static void
test_renegotiation_ends_the_session(void **state)
{
	const struct wish wish = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2",
		                   .name = "both.test" };
	char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(begin_talk(*state, &wish, &t));
	say_and_hear(&t, "+OK");
	(void)gnutls_handshake(t.client); /* a ClientHello within the session */
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_FAILED);
	assert_int_equal(n, 0);
	end_talk(&t);
}

static void
test_without_the_keys_process_a_handshake_fails_and_says_why(void **state)
{
	struct world *w = *state;
	struct talk t;

	w->is_away = true;
	assert_false(begin_talk(w, &(struct wish){ .name = "both.test" }, &t));
	assert_string_equal(t.err.text, "away");
	assert_int_equal(t.err.kind, PST_E_TEMP);
	end_talk(&t);
	w->is_away = false;
	assert_true(begin_talk(w, &(struct wish){ .name = "both.test" }, &t));
	end_talk(&t);
	/* Known chain, but nobody to sign. */
	w->is_away = true;
	assert_false(begin_talk(w, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(t.server_io, TLS_IO_FAILED);
	end_talk(&t);
}

static void
test_a_keys_process_that_was_replaced_signs_all_the_same(void **state)
{
	struct world *w = *state;
	struct talk t;

	assert_true(begin_talk(w, &(struct wish){ .name = "both.test" }, &t));
	end_talk(&t);
	w->forgets = true;
	w->signatures = 0;
	assert_true(begin_talk(w, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(w->signatures,
	                 2); /* not known; known after the chain was asked for again */
	say_and_hear(&t, "+OK");
	end_talk(&t);
}

/* A message that says it is 5 MB long, in records of 1,000: GnuTLS would gather it all. */
static void
test_a_huge_client_hello_is_refused_before_it_is_there(void **state)
{
	unsigned char record[5 + 1000] = {
		0x16, 3, 1, 1000 >> 8, 1000 & 0xff, 1, 0x4e, 0x20, 0x20
	};
	enum tls_io io = TLS_IO_WANT_READ;
	struct talk t;
	unsigned i;

	open_talk(*state, &(struct wish){ .name = "both.test" }, &t);
	for (i = 0; i < 100 && io == TLS_IO_WANT_READ; i++) {
		assert_true(write(t.ends[1], record, sizeof(record)) == sizeof(record));
		memset(record + 5, 0, 4);
		io = tls_stream_handshake(t.server, &t.err);
	}
	assert_int_equal(io, TLS_IO_FAILED);
	assert_true(i <= 66);
	assert_int_equal(t.err.kind, PST_E_CLIENT);
	end_talk(&t);
}

/* What is for the caller does not count. */
static void
test_a_session_may_go_on_for_ever(void **state)
{
	static char in[TLS_RECORD_MAX];
	static char out[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	unsigned i;
	size_t n;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	for (i = 0; i < 20; i++) {
		send_from_client(&t, out, sizeof(out));
		assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
		assert_int_equal(n, sizeof(out));
	}
	end_talk(&t);
}

/* What the client's GnuTLS writes, gathered, so that it can arrive in other pieces than records. */
struct wire {
	char octets[1 << 20];
	size_t n;
};

static ssize_t
gather(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct wire *w = ptr;

	assert_true(n <= sizeof(w->octets) - w->n);
	memcpy(w->octets + w->n, data, n);
	w->n += n;
	return (ssize_t)n;
}

static void
gather_from(struct talk *t, struct wire *w)
{
	w->n = 0;
	gnutls_transport_set_ptr2(t->client, (gnutls_transport_ptr_t)(intptr_t)t->ends[1], w);
	gnutls_transport_set_push_function(t->client, gather);
}

static void
send_numbers(struct talk *t, unsigned from, unsigned to)
{
	char text[16];

	for (; from < to; from++) {
		(void)snprintf(text, sizeof(text), "%u\r\n", from);
		send_from_client(t, text, strlen(text));
	}
}

static void
read_numbers(struct talk *t, unsigned from, unsigned to)
{
	static char in[TLS_RECORD_MAX];
	struct pst_err err;
	char text[16];
	size_t n;

	for (; from < to; from++) {
		(void)snprintf(text, sizeof(text), "%u\r\n", from);
		assert_int_equal(tls_stream_read(t->server, in, sizeof(in), &n, &err), TLS_IO_DONE);
		assert_int_equal(n, strlen(text));
		assert_memory_equal(in, text, n);
	}
}

/* Two sessions share the buffer for what is read ahead; neither gets the other's octets. */
static void
test_octets_read_ahead_stay_with_their_session(void **state)
{
	struct wire *w = pst_new(struct wire);
	struct talk one, other;

	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &one));
	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &other));
	gather_from(&one, w);
	send_numbers(&one, 0, 100); /* some 2,700 octets: all are read with the first */
	assert_int_equal(write(one.ends[1], w->octets, w->n), w->n);
	gather_from(&other, w);
	send_numbers(&other, 500, 600);
	assert_int_equal(write(other.ends[1], w->octets, w->n), w->n);
	read_numbers(&one, 0, 10);
	assert_true(tls_stream_pending(one.server));
	read_numbers(&other, 500, 510);
	assert_true(tls_stream_pending(one.server));
	assert_true(tls_stream_pending(other.server));
	read_numbers(&one, 10, 20);
	read_numbers(&other, 510, 599);
	read_numbers(&one, 20, 100);
	assert_false(tls_stream_pending(one.server));
	read_numbers(&other, 599, 600);
	assert_false(tls_stream_pending(other.server));
	/* One that ends with octets of its in the buffer leaves it in order. */
	gather_from(&one, w);
	send_numbers(&one, 0, 100);
	assert_int_equal(write(one.ends[1], w->octets, w->n), w->n);
	read_numbers(&one, 0, 1);
	end_talk(&one);
	gather_from(&other, w);
	send_numbers(&other, 0, 3);
	assert_int_equal(write(other.ends[1], w->octets, w->n), w->n);
	read_numbers(&other, 0, 3);
	end_talk(&other);
	free(w);
}

static void
test_records_may_be_cut_anywhere(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 6, 7, 28, 4095, 4096, 4097, 16405, 100000 };
	static char big[TLS_RECORD_MAX], in[TLS_RECORD_MAX];
	struct wire *w = pst_new(struct wire);
	struct pst_err err;
	struct talk t;
	size_t i;

	fill_pattern(big, sizeof(big));
	assert_true(begin_talk(*state, &(struct wish){ .name = "both.test" }, &t));
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t expected = 200 + sizeof(big) + 300;
		size_t have = 0;
		size_t at = 0;
		char *got = pst_alloc(expected);

		gather_from(&t, w);
		send_from_client(&t, big, 200);
		send_from_client(&t, big + 200, sizeof(big) - 200);
		send_from_client(&t, big, 500);
		while (at < w->n) {
			size_t n = w->n - at < pieces[i] ? w->n - at : pieces[i];
			enum tls_io io;

			assert_int_equal(write(t.ends[1], w->octets + at, n), n);
			at += n;
			while ((io = tls_stream_read(t.server, in, sizeof(in), &n, &err)) ==
			       TLS_IO_DONE) {
				memcpy(got + have, in, n);
				have += n;
			}
			assert_int_equal(io, TLS_IO_WANT_READ);
			assert_false(tls_stream_pending(t.server));
		}
		assert_int_equal(have, sizeof(big) + 500);
		assert_memory_equal(got, big, sizeof(big));
		assert_memory_equal(got + sizeof(big), big, 500);
		free(got);
	}
	end_talk(&t);
	free(w);
}

int
main(void)
{
#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
	const struct CMUnitTest tests[] = {
		WITH_WORLD(test_default_client_gets_tls13_and_aes128),
		WITH_WORLD(test_no_name_and_unknown_name_get_the_default),
		WITH_WORLD(test_the_certificate_fits_what_the_client_can),
		WITH_WORLD(test_what_may_not_be_is_refused),
		WITH_WORLD(test_the_setting_cannot_allow_what_may_not_be),
		WITH_WORLD(test_a_ticket_resumes_on_another_server_until_the_key_changes),
		WITH_WORLD(test_nothing_is_lost_when_the_socket_is_full),
		WITH_WORLD(test_the_end_is_said_even_when_the_socket_is_full),
		WITH_WORLD(test_records_are_read_whole_and_the_end_is_seen),
		WITH_WORLD(test_a_hangup_is_an_end_and_no_failure),
		WITH_WORLD(test_plain_text_and_junk_fail_the_handshake),
		WITH_WORLD(test_renegotiation_ends_the_session),
		WITH_WORLD(test_without_the_keys_process_a_handshake_fails_and_says_why),
		WITH_WORLD(test_a_keys_process_that_was_replaced_signs_all_the_same),
		WITH_WORLD(test_a_huge_client_hello_is_refused_before_it_is_there),
		WITH_WORLD(test_a_session_may_go_on_for_ever),
		WITH_WORLD(test_octets_read_ahead_stay_with_their_session),
		WITH_WORLD(test_records_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
