/* SPDX-License-Identifier: MIT */
/* Who gets which certificate, what is refused, who resumes: handshakes with GnuTLS's own client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/tls/talk.h"

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

static void
test_default_client_gets_tls13_and_aes128(void **state)
{
	struct talk t;
	struct tls_facts facts;
	char name[TLS_NAME_MAX + 1];

	assert_true(talk_begin(*state, &(struct wish){ .name = "Both.Test", .alpn = "pop3" }, &t));
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
	talk_end(&t);
}

static void
test_no_name_and_unknown_name_get_the_default(void **state)
{
	struct talk t;
	char name[TLS_NAME_MAX + 1];

	assert_true(talk_begin(*state, &(struct wish){ .alpn = "imap" }, &t)); /* ignored */
	assert_true(is_for(&t, "default.test"));
	tls_stream_name(t.server, name);
	assert_string_equal(name, "");
	talk_end(&t);
	assert_true(talk_begin(*state, &(struct wish){ .name = "nobody.test" }, &t));
	assert_true(is_for(&t, "default.test"));
	talk_end(&t);
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

		if (!talk_begin(*state, &wish, &t))
			fail_msg("row %zu: client %s, server %s", i, gnutls_strerror(t.client_rc),
			         t.err.text);
		assert_int_equal(seen(&t), rows[i].pk);
		talk_say_and_hear(&t, "+OK");
		talk_end(&t);
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

		assert_false(talk_begin(*state, &wish, &t));
		assert_int_equal(t.server_io, TLS_IO_FAILED);
		assert_int_equal(t.err.kind, PST_E_CLIENT);
		talk_end(&t);
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
	wish.server = talk_server(w);
	w->settings.priority = kept;
	assert_false(talk_begin(w, &wish, &t));
	talk_end(&t);
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

	assert_true(talk_begin(w, &wish, &t));
	talk_say_and_hear(&t, "+OK");
	data = session_of(&t);
	talk_end(&t);
	wish.resume = &data;
	wish.server = second;
	if (!expected)
		tls_share_renew(&w->share);
	before = w->signatures;
	assert_true(talk_begin(w, &wish, &t));
	tls_stream_facts(t.server, &facts);
	assert_int_equal(facts.resumed, expected);
	assert_int_equal(w->signatures - before, expected ? 0 : 1);
	talk_say_and_hear(&t, "+OK");
	talk_end(&t);
	gnutls_free(data.data);
}

static void
test_a_ticket_resumes_on_another_server_until_the_key_changes(void **state)
{
	static const char *const priorities[] = { "NORMAL:-VERS-ALL:+VERS-TLS1.3",
		                                  "NORMAL:-VERS-ALL:+VERS-TLS1.2" };
	struct world *w = *state;
	struct tls_server *second = talk_server(w);
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
test_plain_text_and_junk_fail_the_handshake(void **state)
{
	static const char *const junk[] = { "USER alice\r\n", "GET / HTTP/1.1\r\n\r\n",
		                            "\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00\x00",
		                            "\x16\x03\x01\x00\x04\x02\x00\x00\x00" };
	size_t i;

	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		struct talk t;

		talk_open(*state, &(struct wish){ .name = "both.test" }, &t);
		assert_true(write(t.ends[1], junk[i],
		                  i < 2    ? strlen(junk[i])
		                  : i == 2 ? 12
		                           : 9) > 0);
		assert_int_equal(tls_stream_handshake(t.server, &t.err), TLS_IO_FAILED);
		assert_int_equal(t.err.kind, PST_E_CLIENT);
		talk_end(&t);
	}
}

static void
test_without_the_keys_process_a_handshake_fails_and_says_why(void **state)
{
	struct world *w = *state;
	struct talk t;

	w->is_away = true;
	assert_false(talk_begin(w, &(struct wish){ .name = "both.test" }, &t));
	assert_string_equal(t.err.text, "away");
	assert_int_equal(t.err.kind, PST_E_TEMP);
	talk_end(&t);
	w->is_away = false;
	assert_true(talk_begin(w, &(struct wish){ .name = "both.test" }, &t));
	talk_end(&t);
	/* Known chain, but nobody to sign. */
	w->is_away = true;
	assert_false(talk_begin(w, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(t.server_io, TLS_IO_FAILED);
	talk_end(&t);
}

static void
test_a_keys_process_that_was_replaced_signs_all_the_same(void **state)
{
	struct world *w = *state;
	struct talk t;

	assert_true(talk_begin(w, &(struct wish){ .name = "both.test" }, &t));
	talk_end(&t);
	w->forgets = true;
	w->signatures = 0;
	assert_true(talk_begin(w, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(w->signatures,
	                 2); /* not known; known after the chain was asked for again */
	talk_say_and_hear(&t, "+OK");
	talk_end(&t);
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

	talk_open(*state, &(struct wish){ .name = "both.test" }, &t);
	for (i = 0; i < 100 && io == TLS_IO_WANT_READ; i++) {
		assert_true(write(t.ends[1], record, sizeof(record)) == sizeof(record));
		memset(record + 5, 0, 4);
		io = tls_stream_handshake(t.server, &t.err);
	}
	assert_int_equal(io, TLS_IO_FAILED);
	assert_true(i <= 66);
	assert_int_equal(t.err.kind, PST_E_CLIENT);
	talk_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(test_default_client_gets_tls13_and_aes128),
		WITH_WORLD(test_no_name_and_unknown_name_get_the_default),
		WITH_WORLD(test_the_certificate_fits_what_the_client_can),
		WITH_WORLD(test_what_may_not_be_is_refused),
		WITH_WORLD(test_the_setting_cannot_allow_what_may_not_be),
		WITH_WORLD(test_a_ticket_resumes_on_another_server_until_the_key_changes),
		WITH_WORLD(test_plain_text_and_junk_fail_the_handshake),
		WITH_WORLD(test_without_the_keys_process_a_handshake_fails_and_says_why),
		WITH_WORLD(test_a_keys_process_that_was_replaced_signs_all_the_same),
		WITH_WORLD(test_a_huge_client_hello_is_refused_before_it_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
