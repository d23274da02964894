/* SPDX-License-Identifier: MIT */
/* What the keys process answers to messages, good and bad; and chains of several certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gnutls/abstract.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "keys/store.h"
#include "keys/worker.h"
#include "tests/unit/tls/certs.h"
#include "tls/oracle.h"

struct desk {
	char *dir;
	struct tls_settings settings;
	struct store *store;
	uint8_t ask[MSG_MAX_OCTETS], reply[MSG_MAX_OCTETS];
};

static int
open_desk(void **state)
{
	struct desk *d = pst_new(struct desk);
	struct pst_err err;
	char log[256];

	d->dir = certs_folder();
	(void)snprintf(log, sizeof(log), "%s/log", d->dir);
	assert_int_equal(pst_log_open(log, &err), 0);
	d->settings = (struct tls_settings){ .directory = d->dir,
		                             .default_name = "default.test",
		                             .cache = 10,
		                             .check_interval = 5000 };
	certs_make(d->dir, "default.test", "", "default.test", CERT_EC, 30);
	certs_make(d->dir, "rsa.test", "", "rsa.test", CERT_RSA, 30);
	certs_make(d->dir, "ed.test", "", "ed.test", CERT_ED25519, 30);
	d->store = store_create(&d->settings);
	*state = d;
	return 0;
}

static int
close_desk(void **state)
{
	struct desk *d = *state;

	store_destroy(d->store);
	certs_remove(d->dir);
	free(d);
	return 0;
}

static struct wire_chain_reply
ask_chain(struct desk *d, const char *name, uint64_t version)
{
	const struct wire_chain_request ask = { .name = pst_str_c(name), .version = version };
	struct wire_chain_reply reply;
	struct msg_head head;
	struct pst_err err;
	size_t n = wire_chain_request_encode(&ask, 3, 44, d->ask);

	n = keys_answer(d->store, (struct pst_str){ (char *)d->ask, n }, 0, d->reply);
	assert_true(n > 0);
	assert_int_equal(wire_chain_reply_decode((struct pst_str){ (char *)d->reply, n }, &head,
	                                         &reply, &err),
	                 0);
	assert_int_equal(head.incarnation, 3); /* the asker's, and its number */
	assert_int_equal(head.request, 44);
	return reply;
}

static struct wire_sign_reply
ask_sign(struct desk *d, uint64_t version, gnutls_sign_algorithm_t algorithm, bool is_hash,
         struct pst_str data)
{
	const struct wire_sign_request ask = { .version = version,
		                               .algorithm = (uint32_t)algorithm,
		                               .is_hash = is_hash,
		                               .data = data };
	struct wire_sign_reply reply;
	struct msg_head head;
	struct pst_err err;
	size_t n = wire_sign_request_encode(&ask, 3, 45, d->ask);

	n = keys_answer(d->store, (struct pst_str){ (char *)d->ask, n }, 0, d->reply);
	assert_true(n > 0);
	assert_int_equal(wire_sign_reply_decode((struct pst_str){ (char *)d->reply, n }, &head,
	                                        &reply, &err),
	                 0);
	return reply;
}

/* The first certificate of a chain verifies the signature. */
static bool
verifies(struct pst_str chain, gnutls_sign_algorithm_t algorithm, bool is_hash, struct pst_str data,
         struct pst_str signature)
{
	const gnutls_datum_t der = { (unsigned char *)(uintptr_t)chain.p + 4,
		                     (unsigned)(uint8_t)chain.p[2] << 8 | (uint8_t)chain.p[3] };
	const gnutls_datum_t in = { (unsigned char *)(uintptr_t)data.p, (unsigned)data.n };
	const gnutls_datum_t sig = { (unsigned char *)(uintptr_t)signature.p,
		                     (unsigned)signature.n };
	gnutls_pubkey_t pub;
	int rc;

	assert_int_equal(gnutls_pubkey_init(&pub), 0);
	assert_int_equal(gnutls_pubkey_import_x509_raw(pub, &der, GNUTLS_X509_FMT_DER, 0), 0);
	if (is_hash)
		rc = gnutls_pubkey_verify_hash2(pub, algorithm, 0, &in, &sig);
	else
		rc = gnutls_pubkey_verify_data2(pub, algorithm, 0, &in, &sig);
	gnutls_pubkey_deinit(pub);
	return rc >= 0;
}

static void
test_signatures_are_of_the_chain_that_was_given(void **state)
{
	static const struct {
		const char *name;
		gnutls_sign_algorithm_t algorithm;
		bool is_hash;
	} rows[] = {
		{ "", GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, true },
		{ "", GNUTLS_SIGN_ECDSA_SHA256, true },
		{ "rsa.test", GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, true },
		{ "rsa.test", GNUTLS_SIGN_RSA_SHA256, true },
		{ "ed.test", GNUTLS_SIGN_EDDSA_ED25519, false },
	};
	static const char hash[32] = "thirty-two octets of some digest";
	const struct pst_str data = { hash, sizeof(hash) };
	struct desk *d = *state;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_chain_reply chain = ask_chain(d, rows[i].name, 0);
		char *kept = pst_alloc(chain.chain.n);
		struct pst_str der = { kept, chain.chain.n };
		struct wire_sign_reply signature;

		memcpy(kept, chain.chain.p, chain.chain.n);
		signature = ask_sign(d, chain.version, rows[i].algorithm, rows[i].is_hash, data);
		assert_true(signature.ok);
		assert_true(verifies(der, rows[i].algorithm, rows[i].is_hash, data,
		                     signature.signature));
		free(kept);
	}
}

static void
test_what_cannot_be_signed_is_refused(void **state)
{
	const struct pst_str hash = PST_LIT("thirty-two octets of some digest");
	struct desk *d = *state;
	uint64_t version = ask_chain(d, "", 0).version;

	assert_false(ask_sign(d, version + 1, GNUTLS_SIGN_ECDSA_SHA256, true, hash).ok);
	assert_false(
		ask_sign(d, version, GNUTLS_SIGN_RSA_SHA256, true, hash).ok); /* not its kind */
	assert_false(ask_sign(d, version, (gnutls_sign_algorithm_t)9999, true, hash).ok);
	assert_false(ask_sign(d, version, GNUTLS_SIGN_ECDSA_SHA256, true, PST_LIT("short")).ok);
	assert_false(ask_sign(d, version, GNUTLS_SIGN_ECDSA_SHA256, true, PST_LIT("")).ok);
	assert_true(ask_sign(d, version, GNUTLS_SIGN_ECDSA_SHA256, true, hash).ok);
}

static void
test_a_version_that_is_current_is_not_sent_again(void **state)
{
	struct desk *d = *state;
	struct wire_chain_reply first = ask_chain(d, "rsa.test", 0);
	uint64_t version = first.version;
	struct wire_chain_reply again;

	assert_int_equal(first.status, TLS_CHAIN_HERE);
	assert_true(first.chain.n > 100);
	assert_int_equal(first.type, TLS_TYPE_RSA);
	assert_int_equal(first.bits, 2048);
	again = ask_chain(d, "rsa.test", version);
	assert_int_equal(again.status, TLS_CHAIN_CURRENT);
	assert_int_equal(again.chain.n, 0);
	assert_int_equal(again.version, version);
	assert_int_equal(ask_chain(d, "rsa.test", version + 1).status, TLS_CHAIN_HERE);
	assert_true(ask_chain(d, "nobody.test", version).is_default);
}

static void
test_bad_messages_have_no_answer(void **state)
{
	const struct wire_sign_request sign = { .version = 1, .data = PST_LIT("x") };
	const struct wire_handoff other = { .sid = PST_LIT("x") };
	struct desk *d = *state;
	size_t whole = wire_sign_request_encode(&sign, 1, 1, d->ask);
	size_t n;

	for (n = 0; n < whole; n++)
		assert_int_equal(
			keys_answer(d->store, (struct pst_str){ (char *)d->ask, n }, 0, d->reply),
			0);
	n = wire_handoff_encode(&other, 1, 1, d->ask);
	assert_int_equal(keys_answer(d->store, (struct pst_str){ (char *)d->ask, n }, 0, d->reply),
	                 0);
}

/* Certificates of a chain as they are sent, by their lengths; 0: it is broken. */
static unsigned
count_certs(struct pst_str chain)
{
	unsigned count = 0;

	while (chain.n >= 4) {
		size_t n = (size_t)(uint8_t)chain.p[1] << 16 | (size_t)(uint8_t)chain.p[2] << 8 |
		           (uint8_t)chain.p[3];

		if (n > chain.n - 4)
			return 0;
		chain = (struct pst_str){ chain.p + 4 + n, chain.n - 4 - n };
		count++;
	}
	return chain.n == 0 ? count : 0;
}

static void
test_a_chain_is_sent_whole_and_in_order(void **state)
{
	struct desk *d = *state;
	struct wire_chain_reply reply;

	certs_make_chain(d->dir, "chain.test", "chain.test", 3, false);
	reply = ask_chain(d, "chain.test", 0);
	assert_false(reply.is_default);
	assert_int_equal(count_certs(reply.chain), 3);
	/* The first one is the key's; the others are put right. */
	certs_make_chain(d->dir, "mixed.test", "mixed.test", 4, true);
	reply = ask_chain(d, "mixed.test", 0);
	assert_false(reply.is_default);
	assert_int_equal(count_certs(reply.chain), 4);
	/* More than any client would look at. */
	certs_make_chain(d->dir, "long.test", "long.test", 20, false);
	assert_true(ask_chain(d, "long.test", 0).is_default);
}

int
main(void)
{
#define WITH_DESK(f) cmocka_unit_test_setup_teardown(f, open_desk, close_desk)
	const struct CMUnitTest tests[] = {
		WITH_DESK(test_signatures_are_of_the_chain_that_was_given),
		WITH_DESK(test_what_cannot_be_signed_is_refused),
		WITH_DESK(test_a_version_that_is_current_is_not_sent_again),
		WITH_DESK(test_bad_messages_have_no_answer),
		WITH_DESK(test_a_chain_is_sent_whole_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
