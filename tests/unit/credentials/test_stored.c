/* SPDX-License-Identifier: MIT */
/* Password schemes of old databases, what mechanisms need of a stored password, and what can be said of
 * one without the password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/hex.h"
#include "credentials/views.h"

#define PASSWORD "correct horse"
#define USER "alice@example.org"

static const struct scheme_cost cost = {
	.argon2_memory = 256 * 1024,
	.argon2_passes = 2,
	.max_memory = 64 << 20,
	.allow_weak = true,
};
static const struct scheme_cost strict = {
	.argon2_memory = 256 * 1024,
	.argon2_passes = 2,
	.max_memory = 64 << 20,
};

static enum scheme_match
verify(const char *stored, const char *password, const struct scheme_cost *c, struct pst_err *err)
{
	return scheme_verify_user(pst_str_c(stored), PST_LIT(USER), pst_str_c(password), "ARGON2ID",
	                          c, err);
}

/* All of "correct horse", by `doveadm pw -u alice@example.org` unless it says something else. */
static const struct {
	const char *stored;
	const char *weak;
} known[] = {
	{ "{SCRAM-SHA-256}4096,szX69JjAEQI3wZkEpGJVgA==,OobsNkMW7AMg3D5JR6BWY1p1reTB0L2jg144AnpzIcQ="
	  ",R2BbmNJuHJgQ0BwxG8EyfH4GvGBotXfB7ujO5Egxlpw=",
	  NULL },
	{ "{SCRAM-SHA-1}4096,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  NULL },
	{ "{PBKDF2}$1$y7H8jaenD9/CBnOC$5000$9d70258227c690899eec2d1dc7a9796cc09dcfec", NULL },
	{ "{SSHA.HEX}35d09fe32a005bd74e90253edd0d58bc34b94b6a3d9cb85d", NULL },
	{ "{PLAIN.B64}Y29ycmVjdCBob3JzZQ==", NULL },
	{ "{plain.base64}Y29ycmVjdCBob3JzZQ", NULL },
	{ "{PLAIN-TRUNC}8-correct ", NULL }, /* by hand, the three */
	{ "{PLAIN-TRUNC}13-correct horse", NULL },
	{ "{PLAIN-TRUNC}40-correct horse", NULL },
	{ "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "SHA" },
	{ "{SHA1}2f9e53523b62abc141a2b4d6019d23cba835dbd0", "SHA" }, /* sha1sum */
	{ "{SHA256}QQTTb42iwlQ0n4WDZ5Pr4CngyVcGOjTJHC6SAxh7VjE=", "SHA256" },
	{ "{SHA256.HEX}4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631",
	  "SHA256" },
	{ "{SHA512}VraY3v7bWkNbY0r+MyC7rz/c2SC2xQOkRvx7endrKY1HnRumqLYXgI6wv1ec6aldZoNHvKtxSQhayTyyeZ"
	  "UZew==",
	  "SHA512" },
	{ "{SMD5}ULaXLeysOWonif1cGnBiPRoOo7k=", "SMD5" },
	{ "{PLAIN-MD5}3cb4e732631f47e6eb961f34554b7cde", "PLAIN-MD5" },
	{ "{PLAIN-MD5}3CB4E732631F47E6EB961F34554B7CDE", "PLAIN-MD5" },
	{ "{LDAP-MD5}PLTnMmMfR+brlh80VUt83g==", "LDAP-MD5" },
	{ "{MD5}PLTnMmMfR+brlh80VUt83g==", "MD5" },
	{ "{MD5}3cb4e732631f47e6eb961f34554b7cde", "MD5" },
	{ "{MD5}$1$IUfMRBKq$IulhLDF0pgbDrcul9e3uW/", "MD5" },
	{ "{MD5-CRYPT}$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1", "MD5-CRYPT" },
	{ "{CRYPT}$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1", "MD5-CRYPT" },
	{ "$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1", "MD5-CRYPT" },
	{ "{PLAIN-MD4}b4fe5d2ad49f136f957a7a6b1c029cd2", "PLAIN-MD4" },
	{ "{HMAC-MD5}38b57fd1a0c4b46c814aa05f20318edd71c455380655f2c0ac35c5b359528d29",
	  "CRAM-MD5" },
	{ "{CRAM-MD5}38b57fd1a0c4b46c814aa05f20318edd71c455380655f2c0ac35c5b359528d29",
	  "CRAM-MD5" },
	{ "{DIGEST-MD5}61249fae4f54de6c481fcb1a75f10acf", "DIGEST-MD5" },
	{ "{DIGEST-MD5.BASE64}YSSfrk9U3mxIH8sadfEKzw==", "DIGEST-MD5" },
};

static void
test_old_hashes_of_other_tools_match_their_password_and_no_other(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct pst_err err = { 0, "" };
		enum scheme_match right = verify(known[i].stored, PASSWORD, &cost, &err);

		if (right != SCHEME_MATCH)
			fail_msg("%s: %d %s", known[i].stored, right, err.text);
		if (verify(known[i].stored, "Correct horse", &cost, &err) != SCHEME_DIFFERS ||
		    verify(known[i].stored, "correct", &cost, &err) != SCHEME_DIFFERS ||
		    verify(known[i].stored, "", &cost, &err) != SCHEME_DIFFERS)
			fail_msg("%s: takes a wrong password", known[i].stored);
	}
}

static void
test_des_sees_eight_octets_as_it_always_did(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(verify("{DES-CRYPT}7PVChVT0YTLJg", PASSWORD, &cost, &err), SCHEME_MATCH);
	assert_int_equal(verify("{CRYPT}7PVChVT0YTLJg", "correct ", &cost, &err), SCHEME_MATCH);
	assert_int_equal(verify("{CRYPT}7PVChVT0YTLJg", "correct", &cost, &err), SCHEME_DIFFERS);
	assert_string_equal(scheme_weak_name(PST_LIT("7PVChVT0YTLJg"), "CRYPT"), "DES-CRYPT");
	assert_null(scheme_weak_name(PST_LIT("7PVChVT0YTLJg"), "PLAIN"));
}

static void
test_a_digest_md5_is_of_one_user(void **state)
{
	const struct pst_str stored = PST_LIT("{DIGEST-MD5}61249fae4f54de6c481fcb1a75f10acf");
	struct pst_err err;

	(void)state;
	assert_int_equal(scheme_verify_user(stored, PST_LIT("bob@example.org"), PST_LIT(PASSWORD),
	                                    "PLAIN", &cost, &err),
	                 SCHEME_DIFFERS);
	assert_int_equal(scheme_verify(stored, PST_LIT(PASSWORD), "PLAIN", &cost, &err),
	                 SCHEME_DIFFERS);
}

static void
test_weak_ones_are_refused_unless_allowed(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *name = scheme_weak_name(pst_str_c(known[i].stored), "ARGON2ID");
		struct pst_err err = { 0, "" };

		if ((name == NULL) != (known[i].weak == NULL) ||
		    (name != NULL && strcmp(name, known[i].weak) != 0))
			fail_msg("%s is %s", known[i].stored, name != NULL ? name : "not weak");
		if (name == NULL)
			continue;
		if (verify(known[i].stored, PASSWORD, &strict, &err) != SCHEME_ERROR ||
		    err.kind != PST_E_PERM || strstr(err.text, "too weak") == NULL)
			fail_msg("%s: %s", known[i].stored, err.text);
	}
	assert_false(scheme_is_usable("SHA256", &strict));
	assert_true(scheme_is_usable("SHA256", &cost));
	assert_false(scheme_is_usable("DIGEST-MD5", &cost));
	assert_false(scheme_is_usable("ROT13", &cost));
}

static const struct {
	const char *stored;
	const char *says;
} refused[] = {
	{ "{SHA}", "nothing" },
	{ "{SHA}abcd", "not 20 octets" },
	{ "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A", NULL }, /* without padding: base64 all the same */
	{ "{SHA}2f9e53523b62abc141a2b4d6019d23cba835dbdx", "not 20 octets" },
	{ "{SHA.rot13}abcd", "a suffix" },
	{ "{SHA.}abcd", "a suffix" },
	{ "{SHA.hex}abc", "is not hex" },
	{ "{SHA.hex}abcd", "not 20 octets" },
	{ "{PLAIN.b64}a", "is not b64" },
	{ "{PLAIN.b64}", "nothing" },
	{ "{.hex}00", "not known" },
	{ "{PLAIN-TRUNC}correct horse", "NUMBER-TEXT" },
	{ "{PLAIN-TRUNC}0-", "NUMBER-TEXT" },
	{ "{PLAIN-TRUNC}3-correct", "NUMBER-TEXT" },
	{ "{PLAIN-TRUNC}-3-cor", "NUMBER-TEXT" },
	{ "{DES-CRYPT}$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1", "not of its form" },
	{ "{DES-CRYPT}7PVChVT0YTLJ", "not of its form" },
	{ "{MD5-CRYPT}7PVChVT0YTLJg", "does not begin with $1$" },
	{ "{CRYPT}$md5,rounds=500001$abcdefgh$$x", "500001 rounds" },
	{ "{CRYPT}7PVChVT0YTLJgg", "no method" },
	{ "{CRAM-MD5}38b57f", "not 32 octets" },
	{ "{PBKDF2}$1$salt$5000001$9d70258227c690899eec2d1dc7a9796cc09dcfec", "5000001 rounds" },
	{ "{PBKDF2}$1$salt$0$9d70258227c690899eec2d1dc7a9796cc09dcfec", "0 rounds" },
	{ "{PBKDF2}$1$salt$18446744073709551616$9d70258227c690899eec2d1dc7a9796cc09dcfec", "form" },
	{ "{PBKDF2}$1$salt$5000$9d70258227c690899eec2d1dc7a9796cc09dcf", "form" },
	{ "{PBKDF2}$1$$5000$9d70258227c690899eec2d1dc7a9796cc09dcfec", "form" },
	{ "{PBKDF2}$2$salt$5000$9d70258227c690899eec2d1dc7a9796cc09dcfec", "form" },
	{ "{SCRAM-SHA-1}4095,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "4095 iterations" },
	{ "{SCRAM-SHA-1}5000001,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "5000001 iterations" },
	{ "{SCRAM-SHA-256}4096,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "form" },
	{ "{SCRAM-SHA-1}4096,,V0cODknAHDgEyl2ACMKyOhAdhPk=,u1rDazMa/bj/fvpTT2W5orwsO1M=", "form" },
	{ "{SCRAM-SHA-1}4096,4j8+,V0cODknAHDgEyl2ACMKyOhAdhPk=", "form" },
	{ "{SCRAM-SHA-1}4096,4j8+,V0cODknAHDgEyl2ACMKyOhAdhPk=,u1rDazMa/bj/fvpTT2W5orwsO1M=,x",
	  "form" },
};

static void
test_broken_old_hashes_are_errors_and_never_a_wrong_password(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct pst_err err = { 0, "" };
		enum scheme_match match = verify(refused[i].stored, PASSWORD, &cost, &err);

		if (refused[i].says == NULL) {
			assert_int_equal(match, SCHEME_MATCH);
			continue;
		}
		if (match != SCHEME_ERROR || err.kind != PST_E_PERM ||
		    strstr(err.text, refused[i].says) == NULL)
			fail_msg("%s: %d %s", refused[i].stored, match, err.text);
	}
}

/* SCRAM's two keys are of one password, or neither counts. */
static void
test_scram_keys_that_do_not_belong_together_match_nothing(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(
		verify("{SCRAM-SHA-1}4096,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	               "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	               PASSWORD, &cost, &err),
		SCHEME_DIFFERS);
}

static void
test_what_is_made_of_every_scheme_matches(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	struct scheme_info info;
	struct pst_str stored;
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; scheme_at(i, &info); i++) {
		int rc = scheme_make(info.name, PST_LIT("8 octets"), &cost, arena, &stored, &err);

		assert_int_equal(rc, info.is_made ? 0 : -1);
		if (rc != 0)
			continue;
		if (scheme_verify(stored, PST_LIT("8 octets"), "PLAIN", &cost, &err) !=
		    SCHEME_MATCH)
			fail_msg("%s: %.*s", info.name, PST_ARG(stored));
		if (scheme_verify(stored, PST_LIT("8 octet"), "PLAIN", &cost, &err) !=
		    SCHEME_DIFFERS)
			fail_msg("%s takes another password", info.name);
		if (scheme_is_outdated(stored, info.name, &cost))
			fail_msg("%s: what was made just now is outdated", info.name);
		assert_int_equal(scheme_is_slow(stored, "PLAIN"), info.is_slow);
		assert_int_equal(scheme_is_slow(PST_LIT(""), info.name), info.is_slow);
		assert_int_equal(scheme_weak_name(stored, "PLAIN") != NULL, info.is_weak);
		if (info.is_weak)
			assert_int_equal(scheme_make(info.name, PST_LIT("8 octets"), &strict, arena,
			                             &stored, &err),
			                 -1);
	}
	assert_true(i > 20);
	pst_arena_destroy(arena);
}

static const struct {
	const char *stored, *wanted;
	bool outdated;
} ages[] = {
	{ "{PLAIN}x", "PLAIN", false },
	{ "x", "PLAIN", false },
	{ "{CLEARTEXT}x", "plain", false },
	{ "{PLAIN}x", "ARGON2ID", true },
	{ "{SSHA}OqMXc/yu5WlB8b0rk9GD7RYDzqM7nZwz", "SSHA", false },
	{ "{SSHA}OqMXc/yu5WlB8b0rk9GD7RYDzqM7nZwz", "SSHA256", true },
	{ "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=", "SSHA", true },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "ARGON2ID", false },
	{ "$argon2id$v=19$m=512,t=1,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "ARGON2ID", false },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "ARGON2ID", true },
	{ "{ARGON2ID}$argon2id$v=19$m=128,t=9,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "ARGON2ID", true },
	{ "{ARGON2ID}$argon2id$v=16$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "ARGON2ID", true },
	{ "{ARGON2I}$argon2i$v=19$m=256,t=3,p=2$c2FsdHNhbHRzYWx0$"
	  "Wl3M9uR5mRXjPeMp0wWiV827Njwfm1h2NfECojipkwk",
	  "ARGON2ID", true },
	{ "{ARGON2I}$argon2i$v=19$m=256,t=3,p=2$c2FsdHNhbHRzYWx0$"
	  "Wl3M9uR5mRXjPeMp0wWiV827Njwfm1h2NfECojipkwk",
	  "ARGON2I", false },
	{ "{BLF-CRYPT}$2y$05$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "BLF-CRYPT",
	  true },
	{ "{CRYPT}$2b$10$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "BLF-CRYPT",
	  false },
	{ "{CRYPT}$2x$12$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "BLF-CRYPT",
	  true },
	{ "{BLF-CRYPT}$2y$10$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "CRYPT",
	  true },
	{ "{CRYPT}$y$j9T$CpGVMgZLt/XAZsZAmETFm1$wINkE/BCgDaqU7XA4grOtKyxAE5D.nNTC7hSxm2I0Z5",
	  "CRYPT", false },
	{ "{CRYPT}$y$j75$/cSuaR48vEB3EF7wf6NEL0$lKTNdEvyV8dIXz1PWAFmC7nOfwjeMuSN3H9nyR9fpx8",
	  "CRYPT", true },
	{ "{SHA512-CRYPT}$6$abcdefgh$x", "SHA512-CRYPT", true },
	{ "$6$rounds=100000$abcdefgh$x", "SHA512-CRYPT", false },
	{ "$5$rounds=100000$abcdefgh$x", "SHA512-CRYPT", true },
	{ "{CRYPT}$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1", "SHA512-CRYPT", true },
	{ "{PBKDF2}$1$salt$5000$9d70258227c690899eec2d1dc7a9796cc09dcfec", "PBKDF2", true },
	{ "$1$salt$2000000$9d70258227c690899eec2d1dc7a9796cc09dcfec", "PBKDF2", false },
	{ "{SCRAM-SHA-1}4096,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "SCRAM-SHA-1", true },
	{ "{SCRAM-SHA-1}200000,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "SCRAM-SHA-1", false },
	{ "{SCRAM-SHA-1}200000,4j8+rQ2iEfKIFgcLewmL5A==,V0cODknAHDgEyl2ACMKyOhAdhPk=,"
	  "u1rDazMa/bj/fvpTT2W5orwsO1M=",
	  "SCRAM-SHA-256", true },
	/* What is broken or not known stays as it is. */
	{ "{ROT13}x", "ARGON2ID", false },
	{ "{ARGON2ID}x", "ARGON2ID", false },
	{ "{PLAIN}", "ARGON2ID", false },
	{ "{PLAIN}x", "ROT13", false },
};

static void
test_what_is_outdated(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
		if (scheme_is_outdated(pst_str_c(ages[i].stored), ages[i].wanted, &cost) !=
		    ages[i].outdated)
			fail_msg("%s for %s", ages[i].stored, ages[i].wanted);
}

static void
test_what_is_slow(void **state)
{
	(void)state;
	assert_true(scheme_is_slow(PST_LIT("$6$abcdefgh$x"), "PLAIN") == false); /* a plain text */
	assert_true(scheme_is_slow(PST_LIT("$6$abcdefgh$x"), "SSHA"));
	assert_true(scheme_is_slow(PST_LIT("{CRYPT}!$6$abcdefgh$x"), "PLAIN"));
	assert_true(scheme_is_slow(PST_LIT("{CRYPT.hex}243624"), "PLAIN"));
	assert_true(scheme_is_slow(PST_LIT("{CRYPT}_zzz.saltuh01RCB/hSE"), "PLAIN"));
	assert_false(scheme_is_slow(PST_LIT("{CRYPT}$1$3/jrAkCo$g6YAPF2m/lbwumYjvdqHq1"), "PLAIN"));
	assert_false(scheme_is_slow(PST_LIT("{CRYPT}7PVChVT0YTLJg"), "PLAIN"));
	assert_false(scheme_is_slow(PST_LIT("{ROT13}x"), "ARGON2ID"));
}

/* ---- What mechanisms need ---- */

static void
test_scram_keys_as_they_are_stored_and_of_a_plain_password(void **state)
{
	const struct pst_str stored = PST_LIT("{SCRAM-SHA-256}4096,szX69JjAEQI3wZkEpGJVgA==,"
	                                      "OobsNkMW7AMg3D5JR6BWY1p1reTB0L2jg144AnpzIcQ=,"
	                                      "R2BbmNJuHJgQ0BwxG8EyfH4GvGBotXfB7ujO5Egxlpw=");
	struct scram_keys keys, made;
	struct pst_err err;

	(void)state;
	assert_int_equal(scheme_scram(stored, "PLAIN", PST_SHA256, &keys, &err), SCHEME_HAS);
	assert_int_equal(keys.iterations, 4096);
	assert_int_equal(keys.salt_n, 16);
	assert_int_equal(keys.key_n, 32);
	assert_int_equal(keys.salt[0], 0xb3);
	assert_int_equal(keys.stored_key[0], 0x3a);
	assert_int_equal(keys.server_key[0], 0x47);
	made = keys;
	memset(made.stored_key, 0, sizeof(made.stored_key));
	memset(made.server_key, 0, sizeof(made.server_key));
	scram_make(PST_SHA256, PST_LIT(PASSWORD), &made);
	assert_memory_equal(made.stored_key, keys.stored_key, 32);
	assert_memory_equal(made.server_key, keys.server_key, 32);
	assert_int_equal(scheme_scram(stored, "PLAIN", PST_SHA1, &keys, &err), SCHEME_HAS_NOT);
	assert_int_equal(scheme_scram(PST_LIT("{PLAIN}x"), "PLAIN", PST_SHA1, &keys, &err),
	                 SCHEME_HAS_NOT);
	assert_int_equal(
		scheme_scram(PST_LIT("{SCRAM-SHA-1}1,a,b,c"), "PLAIN", PST_SHA1, &keys, &err),
		SCHEME_BROKEN);
	assert_int_equal(scheme_scram(PST_LIT("{ROT13}x"), "PLAIN", PST_SHA1, &keys, &err),
	                 SCHEME_BROKEN);
	assert_int_equal(err.kind, PST_E_PERM);
}

static void
test_a_plain_password_is_told_and_no_other(void **state)
{
	struct pst_secret plain = { 0 };
	struct pst_err err;

	(void)state;
	assert_int_equal(
		scheme_plain(PST_LIT("{CLEAR.b64}Y29ycmVjdCBob3JzZQ=="), "SSHA", &plain, &err),
		SCHEME_HAS);
	assert_true(pst_str_eq(pst_secret_view(&plain), PST_LIT(PASSWORD)));
	assert_int_equal(scheme_plain(PST_LIT("$6$x"), "PLAIN", &plain, &err), SCHEME_HAS);
	assert_true(pst_str_eq(pst_secret_view(&plain), PST_LIT("$6$x")));
	assert_int_equal(scheme_plain(PST_LIT("{SHA}x"), "PLAIN", &plain, &err), SCHEME_HAS_NOT);
	assert_int_equal(scheme_plain(PST_LIT("{PLAIN}"), "PLAIN", &plain, &err), SCHEME_BROKEN);
	assert_int_equal(scheme_plain(PST_LIT("{PLAIN.hex}610062"), "PLAIN", &plain, &err),
	                 SCHEME_BROKEN);
	pst_secret_clear(&plain);
}

/* RFC 2195, section 2. */
static void
test_cram_md5_answers_as_the_rfc_says(void **state)
{
	static const char challenge[] = "<1896.697170952@postoffice.reston.mci.net>";
	uint8_t state_octets[CRAM_STATE_OCTETS], answer[CRAM_DIGEST_OCTETS];
	char text[2 * CRAM_DIGEST_OCTETS];
	struct pst_err err;

	(void)state;
	cram_make(PST_LIT("tanstaaftanstaaf"), state_octets);
	cram_answer(state_octets, pst_str_c(challenge), answer);
	assert_int_equal(hex_encode(answer, sizeof(answer), text), sizeof(text));
	assert_memory_equal(text, "b913a602c7eda7a495b4e6e7334d3890", sizeof(text));
	assert_int_equal(scheme_cram(PST_LIT("{PLAIN}tanstaaftanstaaf"), "SSHA", &strict,
	                             state_octets, &err),
	                 SCHEME_HAS);
	cram_answer(state_octets, pst_str_c(challenge), answer);
	(void)hex_encode(answer, sizeof(answer), text);
	assert_memory_equal(text, "b913a602c7eda7a495b4e6e7334d3890", sizeof(text));
}

static void
test_a_stored_cram_state_counts_only_where_weak_ones_do(void **state)
{
	const struct pst_str stored = PST_LIT(
		"{CRAM-MD5}38b57fd1a0c4b46c814aa05f20318edd71c455380655f2c0ac35c5b359528d29");
	uint8_t a[CRAM_STATE_OCTETS], b[CRAM_STATE_OCTETS];
	struct pst_err err;

	(void)state;
	assert_int_equal(scheme_cram(stored, "SSHA", &cost, a, &err), SCHEME_HAS);
	cram_make(PST_LIT(PASSWORD), b);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(scheme_cram(stored, "SSHA", &strict, a, &err), SCHEME_BROKEN);
	assert_int_equal(scheme_cram(PST_LIT("{SSHA}x"), "SSHA", &cost, a, &err), SCHEME_HAS_NOT);
	assert_int_equal(scheme_cram(PST_LIT("{CRAM-MD5}00"), "SSHA", &cost, a, &err),
	                 SCHEME_BROKEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_hashes_of_other_tools_match_their_password_and_no_other),
		cmocka_unit_test(test_des_sees_eight_octets_as_it_always_did),
		cmocka_unit_test(test_a_digest_md5_is_of_one_user),
		cmocka_unit_test(test_weak_ones_are_refused_unless_allowed),
		cmocka_unit_test(test_broken_old_hashes_are_errors_and_never_a_wrong_password),
		cmocka_unit_test(test_scram_keys_that_do_not_belong_together_match_nothing),
		cmocka_unit_test(test_what_is_made_of_every_scheme_matches),
		cmocka_unit_test(test_what_is_outdated),
		cmocka_unit_test(test_what_is_slow),
		cmocka_unit_test(test_scram_keys_as_they_are_stored_and_of_a_plain_password),
		cmocka_unit_test(test_a_plain_password_is_told_and_no_other),
		cmocka_unit_test(test_cram_md5_answers_as_the_rfc_says),
		cmocka_unit_test(test_a_stored_cram_state_counts_only_where_weak_ones_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
