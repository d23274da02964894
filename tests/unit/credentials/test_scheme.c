/* SPDX-License-Identifier: MIT */
/* Password schemes: hashes that other tools made, what is refused before it costs anything, and what
 * the schemes make themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/scheme.h"

#define PASSWORD "correct horse"

static const struct scheme_cost cost = {
	.argon2_memory = 256 * 1024,
	.argon2_passes = 2,
	.max_memory = 64 << 20,
};

static enum scheme_match
verify(const char *stored, const char *password, struct pst_err *err)
{
	return scheme_verify(pst_str_c(stored), pst_str_c(password), "ARGON2ID", &cost, err);
}

/* All of "correct horse". */
static const struct {
	const char *tool;
	const char *stored;
} known[] = {
	{ "argon2 -id", "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	                "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w" },
	{ "argon2 -id -p 4 -l 24", "{argon2id}$argon2id$v=19$m=512,t=3,p=4$c2FsdHNhbHRzYWx0$"
	                           "pKvH2kxa67elqRbmH9RXYj+8jbd88p+z" },
	{ "argon2 -i -p 2", "{ARGON2I}$argon2i$v=19$m=256,t=3,p=2$c2FsdHNhbHRzYWx0$"
	                    "Wl3M9uR5mRXjPeMp0wWiV827Njwfm1h2NfECojipkwk" },
	{ "argon2 -i -v 10", "{ARGON2}$argon2i$v=16$m=256,t=3,p=1$c2FsdHNhbHRzYWx0$"
	                     "Ib7lyD97nUJGxNUjymGEF9xVbMHpo+9oWR1rfR8Yh2U" },
	{ "argon2 -i -v 10, as it was written before v= was",
	  "{ARGON2I}$argon2i$m=256,t=3,p=1$"
	  "c2FsdHNhbHRzYWx0$Ib7lyD97nUJGxNUjymGE"
	  "F9xVbMHpo+9oWR1rfR8Yh2U" },
	{ "argon2 -id, no prefix", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$"
	                           "sDq4SJydHwxWnLTlXqq5ZzNDfmXrJUlaeTohxQaFrio" },
	{ "doveadm pw", "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$WCp8Hl6r0SIHz7zN+qIseA$"
	                "9q0ovtuy7JRdrZlOc9UrcJn7z6LLuOrA56Xm+ONEkEE" },
	{ "doveadm pw", "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$jiyYf5yQGpoxME1MX+a92w$"
	                "duFR9PBr4CbEQiidlvYEN2hy7lIUfvPwo+u49qVPmmw" },
	{ "doveadm pw", "{BLF-CRYPT}$2y$05$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW" },
	{ "doveadm pw", "{SHA512-CRYPT}$6$fTp2lVXIc91lqDLV$z0nnNagvTrYeilfypUO1..WxC5WN0eJMbHhcv7R4"
	                "XRGeQjPkpojoDavlahE1TPP2KjksX6oWpvtLNqJPzSXrE." },
	{ "doveadm pw", "{SHA256-CRYPT}$5$KxA5Xv.2MDBUMHaG$"
	                "yUl1b0B2DX2eec5gS/L/2GcKwGNSXD8zXKz/S9Fj7SC" },
	{ "doveadm pw", "{SSHA}OqMXc/yu5WlB8b0rk9GD7RYDzqM7nZwz" },
	{ "doveadm pw", "{SSHA256}5x0nGXqL4hcosEZ6QiMyrakvmhX7Np50ycXZsocJ67vGMf6t" },
	{ "doveadm pw",
	  "{SSHA512}9FVNjvVgLGtCPAvb3e4n+DwRw+qNAdMVdvJqchEky9Y637UlkCxM4K8K60wXd7fT74"
	  "Y666oU29/9C3JhrYs/UmuDUj0=" },
	{ "doveadm pw", "{PLAIN}correct horse" },
	{ "mkpasswd", "{CRYPT}$y$j9T$CpGVMgZLt/XAZsZAmETFm1$"
	              "wINkE/BCgDaqU7XA4grOtKyxAE5D.nNTC7hSxm2I0Z5" },
	{ "mkpasswd -R 1", "{crypt}$y$j75$/cSuaR48vEB3EF7wf6NEL0$"
	                   "lKTNdEvyV8dIXz1PWAFmC7nOfwjeMuSN3H9nyR9fpx8" },
	{ "mkpasswd", "{CRYPT}$gy$j9T$gT/QgS2OJ4kg/u7SRrRBl.$"
	              "4E66FynXrz09rZTKNCxNAAkqc2G2xPSi8CD2rR/fGuA" },
	{ "mkpasswd", "{CRYPT}$7$CU..../....sPAe5ZhSOSnzzEJ9oxWpf0$"
	              "SC5NHy6/kAY9txhd1z0y.g1Ml1ThkHwNlTHe22o8Tz/" },
	{ "mkpasswd", "{CRYPT}$2b$05$WL3S8Z.RD8UdUIXz9BoG/uRqJo76c6O4th3R6aT9Cjgj6TbcuD9b2" },
	{ "mkpasswd", "{BLF-CRYPT}$2a$05$GM9C596S7n2FWMB6dLlAZ.NdDSsV4.y9Co1ULyFBEEjCQ4oL.xinm" },
	{ "mkpasswd, no prefix",
	  "$6$dWnDbD0YsU5NUEd0$wk4sepsfmAlCHxLzzdgLeG5hyuNYS1WJurZAviKZuhbMKau"
	  "HRm9HeRvXpFTeni.lapObYu/TEMnh8M.sIsBe3/" },
	{ "mkpasswd -R 10000",
	  "{SHA512-CRYPT}$6$rounds=10000$83wu2PoCiJu6cNmZ$ylVCEFWOVnCYSOuqhjkwtg"
	  "4qdaeD68Uc0Pf2vbgPyd4QMxGCFpkNxLxMm63g8nC3ts33W38XPgxLuh58htjQ60" },
	{ "mkpasswd", "{CRYPT}$5$V9pkC5VQZz8GAaeK$gM0INji.5sDvKDviyva818MEVsTqjUJVf2TIRGQTqG5" },
	{ "openssl passwd -6",
	  "{CRYPT}$6$abcdefgh$yIZAF3gQPvtKZO/9qOJKffAKKbtS3ef3qmwyugk4uWVjX8YZf/"
	  "GV3A8SkFxEPY0T56CcilGrHKLffBsp6dLMG." },
	{ "openssl passwd -5", "{CRYPT}$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB" },
	{ "perl's crypt", "{CRYPT}$sha1$1000$abcdefgh$LpGT5uib.TPY6JU14eMS/Z58xRQB" },
	{ "python, salt with NUL", "{SSHA}d9OQCuB7puui5BKQpJjCrafS0YAA/2Fi" },
	{ "python", "{SSHA256}7yEXeP/hOfV3OpEE5XK/ijCO7XACl5uuWJwbupxEM7oA/2Fi" },
	{ "python",
	  "{SSHA512}WYrQsOhPH+pEtuFDSo99tp/kNqMYWySNVS4D1BiGxZiGJ4n/r3+GTIt01a2VZ4Ogx9AzF37K"
	  "jNbg1Kmwa8h58AD/YWI=" },
	{ "by hand", "{CLEARTEXT}correct horse" },
	{ "by hand", "{Clear}correct horse" },
};

static void
test_hashes_of_other_tools_match_their_password_and_no_other(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct pst_err err = { 0, "" };
		enum scheme_match right = verify(known[i].stored, PASSWORD, &err);

		if (right != SCHEME_MATCH)
			fail_msg("%s %s: %d %s", known[i].tool, known[i].stored, right, err.text);
		if (verify(known[i].stored, "correct horsf", &err) != SCHEME_DIFFERS ||
		    verify(known[i].stored, "correct hors", &err) != SCHEME_DIFFERS ||
		    verify(known[i].stored, "", &err) != SCHEME_DIFFERS)
			fail_msg("%s: takes a wrong password", known[i].stored);
	}
}

static void
test_passwords_are_octets_whatever_their_coding(void **state)
{
	struct pst_err err;

	(void)state;
	/* printf 'p\xc3\xa4ss w\xf6rd' | argon2 saltsaltsalt -id -t 2 -k 256 -p 1 -e */
	assert_int_equal(verify("{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	                        "Xk6mdx6febbnZJuX0ZjkxAZD962Jk8oYubH6MXPuyl8",
	                        "p\xc3\xa4ss w\xf6rd", &err),
	                 SCHEME_MATCH);
}

static const struct {
	const char *stored;
	const char *says; /* part of the reason */
} refused[] = {
	/* Costs that would take memory or time without end. */
	{ "{ARGON2ID}$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "4194304 KiB" },
	{ "{ARGON2ID}$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "4294967295 KiB" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=101,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "passes" },
	{ "{ARGON2ID}$argon2id$v=19$m=65536,t=65,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "too long" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=4294967295$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "lanes" },
	{ "{ARGON2ID}$argon2id$v=19$m=7,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "lanes" },
	{ "{CRYPT}$6$rounds=999999999$abcdefgh$x", "999999999 rounds" },
	{ "{CRYPT}$5$rounds=5000001$abcdefgh$x", "5000001 rounds" },
	{ "{CRYPT}$6$rounds=99999999999999999999999$abcdefgh$x", "without its rounds" },
	{ "{CRYPT}$6$rounds=-1$abcdefgh$x", "without its rounds" },
	{ "{CRYPT}$6$rounds=5000", "without its rounds" },
	{ "{BLF-CRYPT}$2y$16$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "cost 16" },
	{ "{BLF-CRYPT}$2y$31$3qd6155tRGOD05TIFusxfujt./UXr2URzLeq4GdziYCgJir8RKkeW", "cost 31" },
	{ "{CRYPT}$y$jCT$CpGVMgZLt/XAZsZAmETFm1$wINkE/BCgDaqU7XA4grOtKyxAE5D.nNTC7hSxm2I0Z5",
	  "max_hash_memory" },
	{ "{CRYPT}$y$jzzzzzT$CpGVMgZLt/XAZsZAmETFm1$x", "yescrypt" },
	{ "{CRYPT}$y$j9T0$CpGVMgZLt/XAZsZAmETFm1$x", "yescrypt" },
	{ "{CRYPT}$7$DU..../....salt$x", "max_hash_memory" },
	{ "{CRYPT}$7$zzzzzzzzzzz$salt$x", "out of bounds" },
	{ "{CRYPT}$7$CU....3....salt$x", "out of bounds" },
	{ "{CRYPT}$sha1$4294967295$abcdefgh$x", "rounds" },
	/* Broken data. */
	{ "{ARGON2ID}", "nothing" },
	{ "{ARGON2ID}x", "not of the form" },
	{ "{ARGON2ID}$argon2d$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "not of the form" },
	{ "{ARGON2ID}$argon2id$v=19$t=2,m=256,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "not of the form" },
	{ "{ARGON2ID}$argon2id$v=20$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "version 20" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$", "cut short" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0", "not of the form" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$pwZ7sGME81TL89Hs", "cut short" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2Fs$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "cut short" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w=",
	  "not of the form" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w$x",
	  "not of the form" },
	{ "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1,keyid=x$c2FsdHNhbHRzYWx0$"
	  "pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w",
	  "not of the form" },
	{ "{CRYPT}$6$abcdefgh$yIZAF3gQPvtKZO", "octets and should have" },
	{ "{CRYPT}$6$abcdefgh$", "octets and should have" },
	{ "{CRYPT}$2y$05$3qd6155tRGOD05TIFusxfujt", "crypt:" },
	{ "{CRYPT}$2y$", "without its cost" },
	{ "{SHA512-CRYPT}$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB",
	  "does not begin with $6$" },
	{ "{SSHA}****", "not base64" },
	{ "{SSHA}OqMXc/yu5WlB8b0rk9GD7RYDzqM=", "too few" },
	{ "{SSHA256}OqMX", "too few" },
	{ "{PLAIN}", "nothing" },
	{ "x", "not of the form" },
	{ "", "nothing" },
	/* Weak, or not known. */
	{ "{CRYPT}$1$abcdefgh$y6iHhJNbuC0xpbk0w9pm80", "too weak" },
	{ "{CRYPT}$md5,rounds=51844$.lcR6RWL$$DNdwA.I8hVM6NNVyWKIVI.", "too weak" },
	{ "{CRYPT}$3$$cfc43211ba8dc470832267827cac1407", "too weak" },
	{ "{CRYPT}gzPGqBFctyMQo", "too weak" },
	{ "{CRYPT}_J9..CCCCXBrJUJV154M", "too weak" },
	{ "$1$abcdefgh$y6iHhJNbuC0xpbk0w9pm80", "too weak" },
	{ "{MD5}y6iHhJNbuC0xpbk0w9pm80", "too weak" },
	{ "{plain-md5}0123456789abcdef0123456789abcdef", "too weak" },
	{ "{SHA}OqMXc/yu5WlB8b0rk9GD7RYDzqM=", "too weak" },
	{ "{ROT13}x", "ROT13 is not known" },
	{ "{}x", "not known" },
};

static int64_t
cpu_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
test_dear_broken_and_weak_hashes_are_refused_at_little_cost(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct pst_err err = { 0, "" };
		int64_t before = cpu_ms();

		if (verify(refused[i].stored, PASSWORD, &err) != SCHEME_ERROR)
			fail_msg("%s is taken", refused[i].stored);
		if (strstr(err.text, refused[i].says) == NULL || err.kind != PST_E_PERM)
			fail_msg("%s: %s", refused[i].stored, err.text);
		if (cpu_ms() - before > 1000)
			fail_msg("%s takes its time", refused[i].stored);
	}
}

static void
test_an_error_text_never_holds_what_is_stored(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(verify("{this is a password that begins with a brace}", "x", &err),
	                 SCHEME_ERROR);
	assert_null(strstr(err.text, "password that"));
}

static void
test_a_locked_hash_matches_nothing_and_is_no_error(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(verify("{CRYPT}!$5$abcdefgh$ruMep1ijHnJPZbETDNiumskxcX3kN4lzZd5VlsqE7eB",
	                        PASSWORD, &err),
	                 SCHEME_DIFFERS);
	assert_int_equal(verify("{CRYPT}*", PASSWORD, &err), SCHEME_DIFFERS);
	assert_int_equal(verify("{CRYPT}*", "*", &err), SCHEME_DIFFERS);
}

static void
test_without_prefix_the_default_scheme_counts(void **state)
{
	struct pst_err err;

	(void)state;
	assert_int_equal(scheme_verify(PST_LIT("d9OQCuB7puui5BKQpJjCrafS0YAA/2Fi"),
	                               PST_LIT(PASSWORD), "SSHA", &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_verify(PST_LIT(PASSWORD), PST_LIT(PASSWORD), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	/* A plain text may look like anything. */
	assert_int_equal(scheme_verify(PST_LIT("$6$x"), PST_LIT("$6$x"), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_verify(PST_LIT("{open"), PST_LIT("{open"), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_verify(PST_LIT("x"), PST_LIT("x"), "NONE", &cost, &err),
	                 SCHEME_ERROR);
}

static const char *const makers[] = {
	"ARGON2ID",     "ARGON2", "ARGON2I", "CRYPT",   "BLF-CRYPT", "SHA256-CRYPT",
	"SHA512-CRYPT", "SSHA",   "SSHA256", "SSHA512", "PLAIN",     "clear",
};

static void
test_what_is_made_matches_and_is_never_the_same_twice(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	struct pst_str a, b;
	struct pst_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		assert_int_equal(scheme_make(makers[i], PST_LIT(PASSWORD), &cost, arena, &a, &err),
		                 0);
		assert_int_equal(scheme_make(makers[i], PST_LIT(PASSWORD), &cost, arena, &b, &err),
		                 0);
		assert_int_equal(a.p[0], '{');
		assert_int_equal(scheme_verify(a, PST_LIT(PASSWORD), "PLAIN", &cost, &err),
		                 SCHEME_MATCH);
		assert_int_equal(scheme_verify(a, PST_LIT("Correct horse"), "PLAIN", &cost, &err),
		                 SCHEME_DIFFERS);
		if (strcmp(makers[i], "PLAIN") != 0 && strcmp(makers[i], "clear") != 0)
			assert_false(pst_str_eq(a, b));
		assert_true(scheme_is_usable(makers[i], &cost));
	}
	pst_arena_destroy(arena);
}

static void
test_make_refuses_what_could_not_be_checked_again(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	char text[PST_SECRET_MAX + 1];
	struct pst_str out;
	struct pst_err err;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(scheme_make("PLAIN", PST_LIT(""), &cost, arena, &out, &err), -1);
	assert_int_equal(scheme_make("PLAIN", PST_LIT("a\0b"), &cost, arena, &out, &err), -1);
	assert_int_equal(scheme_make("ROT13", PST_LIT("x"), &cost, arena, &out, &err), -1);
	/* bcrypt drops what stands behind 72 octets. */
	assert_int_equal(
		scheme_make("BLF-CRYPT", (struct pst_str){ text, 72 }, &cost, arena, &out, &err),
		0);
	assert_int_equal(
		scheme_make("BLF-CRYPT", (struct pst_str){ text, 73 }, &cost, arena, &out, &err),
		-1);
	assert_int_equal(err.kind, PST_E_CLIENT);
	assert_int_equal(
		scheme_make("CRYPT", (struct pst_str){ text, 512 }, &cost, arena, &out, &err), -1);
	assert_int_equal(scheme_make("ARGON2ID", (struct pst_str){ text, sizeof(text) - 1 }, &cost,
	                             arena, &out, &err),
	                 0);
	assert_int_equal(scheme_verify(out, (struct pst_str){ text, sizeof(text) - 1 }, "PLAIN",
	                               &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_make("ARGON2ID", (struct pst_str){ text, sizeof(text) }, &cost,
	                             arena, &out, &err),
	                 -1);
	pst_arena_destroy(arena);
}

static void
test_a_password_too_long_for_crypt_or_with_nul_never_matches(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	char text[600];
	struct pst_str out;
	struct pst_err err;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(scheme_make("SHA512-CRYPT", (struct pst_str){ text, 511 }, &cost, arena,
	                             &out, &err),
	                 0);
	assert_int_equal(scheme_verify(out, (struct pst_str){ text, 511 }, "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_verify(out, (struct pst_str){ text, 600 }, "PLAIN", &cost, &err),
	                 SCHEME_DIFFERS);
	assert_int_equal(
		scheme_verify(PST_LIT("{PLAIN}abc"), PST_LIT("abc\0d"), "PLAIN", &cost, &err),
		SCHEME_DIFFERS);
	pst_arena_destroy(arena);
}

static long
resident_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
test_argon2_gives_its_memory_back(void **state)
{
	struct scheme_cost dear = cost;
	struct pst_arena *arena = pst_arena_create();
	struct pst_str out;
	struct pst_err err;
	long before;

	(void)state;
	dear.argon2_memory = 32 << 20;
	dear.argon2_passes = 1;
	before = resident_kib();
	assert_true(before > 0);
	assert_int_equal(scheme_make("ARGON2ID", PST_LIT("x"), &dear, arena, &out, &err), 0);
	assert_in_range(resident_kib(), 0, before + 8192);
	pst_arena_destroy(arena);
}

static void
test_burning_costs_what_a_check_does(void **state)
{
	struct scheme_cost dear = cost;
	struct pst_arena *arena = pst_arena_create();
	struct pst_str out;
	struct pst_err err;
	int64_t start, check, burn;

	(void)state;
	dear.argon2_memory = 32 << 20;
	dear.argon2_passes = 4;
	assert_int_equal(scheme_make("ARGON2ID", PST_LIT("x"), &dear, arena, &out, &err), 0);
	start = cpu_ms();
	assert_int_equal(scheme_verify(out, PST_LIT("y"), "PLAIN", &dear, &err), SCHEME_DIFFERS);
	check = cpu_ms() - start;
	start = cpu_ms();
	scheme_burn("ARGON2ID", PST_LIT("y"), &dear);
	burn = cpu_ms() - start;
	/* Far off is a step left out; the rest is the machine's noise. */
	assert_true(burn * 3 >= check && burn <= check * 3);
	pst_arena_destroy(arena);
}

static void
test_base64_is_strict_and_loses_no_bit(void **state)
{
	static const char *const bad[] = { "=",     "A",    "A===", "AB=",  "ABC=D", "AB==CD==",
		                           "AA AA", "AB==", "ABB=", "A-B_", "AAAA=", "AAAA====" };
	uint8_t out[64];
	char text[BASE64_ROOM(4)];
	size_t i, n = 9;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64_decode(pst_str_c(bad[i]), BASE64_EITHER, out, sizeof(out), &n))
			fail_msg("%s is taken", bad[i]);
	assert_true(base64_decode(PST_LIT(""), BASE64_PADDED, out, 0, &n) && n == 0);
	assert_true(base64_decode(PST_LIT("YQ=="), BASE64_PADDED, out, 1, &n) && n == 1);
	assert_true(base64_decode(PST_LIT("YQ"), BASE64_BARE, out, 1, &n) && n == 1);
	assert_true(base64_decode(PST_LIT("YQ"), BASE64_EITHER, out, 1, &n) && out[0] == 'a');
	assert_false(base64_decode(PST_LIT("YQ"), BASE64_PADDED, out, 1, &n));
	assert_false(base64_decode(PST_LIT("YQ=="), BASE64_BARE, out, 1, &n));
	assert_false(base64_decode(PST_LIT("YWI="), BASE64_PADDED, out, 1, &n));
	assert_true(base64_decode(PST_LIT("YWJj"), BASE64_BARE, out, 3, &n) && n == 3);
	assert_memory_equal(out, "abc", 3);
	for (i = 1; i <= 4; i++) {
		size_t len = base64_encode("\xff\x00\xfe\x01", i, BASE64_PADDED, text);

		assert_true(base64_decode((struct pst_str){ text, len }, BASE64_PADDED, out,
		                          sizeof(out), &n));
		assert_int_equal(n, i);
		assert_memory_equal(out, "\xff\x00\xfe\x01", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes_of_other_tools_match_their_password_and_no_other),
		cmocka_unit_test(test_passwords_are_octets_whatever_their_coding),
		cmocka_unit_test(test_dear_broken_and_weak_hashes_are_refused_at_little_cost),
		cmocka_unit_test(test_an_error_text_never_holds_what_is_stored),
		cmocka_unit_test(test_a_locked_hash_matches_nothing_and_is_no_error),
		cmocka_unit_test(test_without_prefix_the_default_scheme_counts),
		cmocka_unit_test(test_what_is_made_matches_and_is_never_the_same_twice),
		cmocka_unit_test(test_make_refuses_what_could_not_be_checked_again),
		cmocka_unit_test(test_a_password_too_long_for_crypt_or_with_nul_never_matches),
		cmocka_unit_test(test_argon2_gives_its_memory_back),
		cmocka_unit_test(test_burning_costs_what_a_check_does),
		cmocka_unit_test(test_base64_is_strict_and_loses_no_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
