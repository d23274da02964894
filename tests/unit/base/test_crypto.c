/* SPDX-License-Identifier: MIT */
/* Digests against published values, and the sealed box. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"

static void
hex(const uint8_t *p, size_t n, char *out)
{
	size_t i;

	for (i = 0; i < n; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static void
test_sha256_gives_the_published_values(void **state)
{
	uint8_t digest[32];
	char text[65];

	(void)state;
	pst_sha256("abc", 3, digest); /* FIPS 180-2, appendix B.1 */
	hex(digest, 32, text);
	assert_string_equal(text,
	                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	pst_sha256("", 0, digest);
	hex(digest, 32, text);
	assert_string_equal(text,
	                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void
test_digest_of_two_parts_is_that_of_both_joined(void **state)
{
	static const struct {
		enum pst_digest d;
		size_t octets;
		const char *begins; /* of "abc": FIPS 180-2, appendices A.1, B.1 and C.1 */
	} rows[] = {
		{ PST_SHA1, 20, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ PST_SHA256, 32, "ba7816bf8f01cfea414140de5dae2223" },
		{ PST_SHA512, 64, "ddaf35a193617abacc417349ae204131" },
	};
	size_t i, cut;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (cut = 0; cut <= 3; cut++) {
			uint8_t digest[PST_DIGEST_MAX];
			char text[2 * PST_DIGEST_MAX + 1];

			assert_int_equal(pst_digest_octets(rows[i].d), rows[i].octets);
			pst_digest(rows[i].d, (struct pst_str){ "abc", cut },
			           (struct pst_str){ &"abc"[cut], 3 - cut }, digest);
			hex(digest, rows[i].octets, text);
			assert_memory_equal(text, rows[i].begins, strlen(rows[i].begins));
		}
}

static void
test_hmac_gives_the_published_value(void **state)
{
	uint8_t mac[32];
	char text[65];

	(void)state;
	/* RFC 4231 section 4.3 */
	pst_hmac_sha256(PST_LIT("Jefe"), PST_LIT("what do ya want for nothing?"), mac);
	hex(mac, 32, text);
	assert_string_equal(text,
	                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void
test_random_octets_do_not_repeat(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };
	const uint8_t zeros[32] = { 0 };

	(void)state;
	pst_random(a, sizeof(a));
	pst_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, zeros, sizeof(a));
}

static void
test_sealed_box_opens_with_its_content_and_nonce(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 6000 };
	uint8_t key[PST_SEAL_KEY] = { 7 };
	struct pst_sealer *s = pst_sealer_create(key);
	uint8_t plain[6000], box[6000 + PST_SEAL_OVERHEAD], out[sizeof(box)];
	size_t i;

	(void)state;
	memset(plain, 'p', sizeof(plain));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pst_err err;
		uint64_t nonce = 0;
		size_t n = 99;

		pst_seal(s, 0x0102030405060708u + i, (struct pst_str){ (char *)plain, sizes[i] },
		         box);
		assert_int_equal(
			pst_unseal(s, (struct pst_str){ (char *)box, sizes[i] + PST_SEAL_OVERHEAD },
		                   out, &n, &nonce, &err),
			0);
		assert_int_equal(n, sizes[i]);
		assert_memory_equal(out, plain, n);
		assert_true(nonce == 0x0102030405060708u + i);
		if (n >= 16) /* it is not there in the clear */
			assert_memory_not_equal(box + 8, plain, 16);
	}
	pst_sealer_destroy(s);
	pst_sealer_destroy(NULL);
}

static void
test_box_of_another_key_or_with_any_octet_changed_stays_closed(void **state)
{
	uint8_t key[PST_SEAL_KEY] = { 7 };
	struct pst_sealer *s = pst_sealer_create(key);
	struct pst_sealer *other;
	uint8_t box[5 + PST_SEAL_OVERHEAD], out[sizeof(box)];
	struct pst_str sealed = { (char *)box, sizeof(box) };
	struct pst_err err;
	size_t n, i;

	(void)state;
	key[31] = 1;
	other = pst_sealer_create(key);
	pst_seal(s, 1, PST_LIT("hello"), box);
	assert_int_equal(pst_unseal(other, sealed, out, &n, NULL, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	for (i = 0; i < sizeof(box); i++) {
		box[i] ^= 0x40;
		assert_int_equal(pst_unseal(s, sealed, out, &n, NULL, &err), -1);
		box[i] ^= 0x40;
	}
	for (i = 0; i < sizeof(box); i++)
		assert_int_equal(
			pst_unseal(s, (struct pst_str){ sealed.p, i }, out, &n, NULL, &err), -1);
	assert_int_equal(pst_unseal(s, sealed, out, &n, NULL, &err), 0);
	pst_sealer_destroy(s);
	pst_sealer_destroy(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256_gives_the_published_values),
		cmocka_unit_test(test_digest_of_two_parts_is_that_of_both_joined),
		cmocka_unit_test(test_hmac_gives_the_published_value),
		cmocka_unit_test(test_random_octets_do_not_repeat),
		cmocka_unit_test(test_sealed_box_opens_with_its_content_and_nonce),
		cmocka_unit_test(test_box_of_another_key_or_with_any_octet_changed_stays_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
