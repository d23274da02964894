/* SPDX-License-Identifier: MIT */
/* The spellings of a password, long ones, and that none of them stays in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/complaint.h"
#include "credentials/opaque.h"
#include "credentials/scheme.h"

static const struct scheme_cost cost = {
	.argon2_memory = 256 * 1024,
	.argon2_passes = 2,
	.max_memory = 64 << 20,
	.allow_weak = true,
};

/* What GnuTLS makes of the same: it knows RFC 8265's forerunner, RFC 7613, which says the same. */
static bool
library_spells(struct pst_str password, char *out, size_t *n_out)
{
	gnutls_datum_t made;

	if (gnutls_utf8_password_normalize((const unsigned char *)password.p, (unsigned)password.n,
	                                   &made, 0) != 0)
		return false;
	memcpy(out, made.data, made.size);
	*n_out = made.size;
	gnutls_free(made.data);
	return true;
}

static void
test_each_password_has_one_spelling(void **state)
{
	static const char *const passwords[] = {
		"plain",
		"two words",
		"a\xcc\x88", /* a, combining diaeresis */
		"\xc3\xa4",
		"A\xcc\x8angstr\xc3\xb6m",
		"\xe2\x84\xab", /* the Angstrom sign */
		"\xc2\xa0no\xe3\x80\x80"
		"break",                    /* other spaces */
		"\xef\xac\x81ne",           /* a ligature stays */
		"\xed\x95\x9c\xea\xb8\x80", /* Hangul */
		"\xe1\x84\x92\xe1\x85\xa1", /* in its parts */
		"\xf0\x9f\x94\x91 key",     /* a picture */
		"soft\xc2\xadhyphen",       /* not allowed */
		"zero\xe2\x80\x8bwidth",    /* not allowed */
		"\xe2\x80\xa8",             /* a line separator */
		"tab\there\xc3\xa4",        /* controls are not */
		"\xef\xb7\x90",             /* no character */
		"\xee\x80\x80",             /* for private use */
		"\xf4\x8f\xbf\xbf",
		"p\xe4ss", /* Latin-1 */
		"\xc0\xaf",
		"\xed\xa0\x80",
		"cut\xe2\x82",
		"\xd9\x80", /* RFC 5892's exception */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(passwords) / sizeof(passwords[0]); i++) {
		const struct pst_str sent = pst_str_c(passwords[i]);
		struct pst_str spelt;
		struct opaque o;
		char want[256];
		size_t n;

		spelt = opaque_open(sent, &o);
		if (!library_spells(sent, want, &n)) {
			memcpy(want, sent.p, sent.n);
			n = sent.n;
		}
		if (!pst_str_eq(spelt, (struct pst_str){ want, n }))
			fail_msg("%zu: \"%s\" becomes \"%.*s\", not \"%.*s\"", i, passwords[i],
			         PST_ARG(spelt), (int)n, want);
		opaque_clear(&o);
	}
}

static void
test_both_spellings_log_in_and_the_sent_octets_too(void **state)
{
	static const char composed[] = "p\xc3\xa4ss w\xc3\xb6rd",
			  parts[] = "pa\xcc\x88ss wo\xcc\x88rd";
	struct pst_arena *arena = pst_arena_create();
	struct pst_str stored;
	struct pst_err err;

	(void)state;
	/* Made of either, it takes both. */
	assert_int_equal(scheme_make("SSHA256", pst_str_c(parts), &cost, arena, &stored, &err), 0);
	assert_int_equal(scheme_verify(stored, pst_str_c(parts), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	assert_int_equal(scheme_verify(stored, pst_str_c(composed), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	/* Made by a tool that takes octets as they are. */
	stored = PST_LIT("{PLAIN}pa\xcc\x88ss wo\xcc\x88rd");
	assert_int_equal(scheme_verify(stored, pst_str_c(parts), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	stored = PST_LIT("{PLAIN}p\xe4ss");
	assert_int_equal(scheme_verify(stored, PST_LIT("p\xe4ss"), "PLAIN", &cost, &err),
	                 SCHEME_MATCH);
	pst_arena_destroy(arena);
}

static int64_t
cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
test_a_password_of_two_spellings_burns_twice(void **state)
{
	int64_t start, once, twice;

	(void)state;
	start = cpu_us();
	scheme_burn("SCRAM-SHA-256", PST_LIT("passwort"), &cost);
	once = cpu_us() - start;
	start = cpu_us();
	scheme_burn("SCRAM-SHA-256", PST_LIT("pa\xcc\x88sswort"), &cost);
	twice = cpu_us() - start;
	assert_true(twice * 2 > once * 3);
}

static void
test_long_passwords(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	char text[1000];
	const struct pst_str all = { text, sizeof(text) }, less = { text, sizeof(text) - 1 };
	struct scheme_info info;
	struct pst_str stored;
	struct pst_err err;
	size_t i, made = 0;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (i = 0; scheme_at(i, &info); i++) {
		if (scheme_make(info.name, all, &cost, arena, &stored, &err) != 0)
			continue;
		made++;
		assert_int_equal(scheme_verify(stored, all, "PLAIN", &cost, &err), SCHEME_MATCH);
		assert_int_equal(scheme_verify(stored, less, "PLAIN", &cost, &err), SCHEME_DIFFERS);
	}
	assert_int_equal(made, 17);
	/* htpasswd -niB: bcrypt sees 72 octets, whoever made it, and of however many. */
	assert_int_equal(
		scheme_make("BLF-CRYPT", (struct pst_str){ text, 72 }, &cost, arena, &stored, &err),
		0);
	assert_int_equal(scheme_verify(stored, all, "PLAIN", &cost, &err), SCHEME_MATCH);
	assert_int_equal(scheme_verify(stored, (struct pst_str){ text, 71 }, "PLAIN", &cost, &err),
	                 SCHEME_DIFFERS);
	pst_arena_destroy(arena);
}

static void
test_the_log_is_told_once_of_each_user(void **state)
{
	struct complaints *c = pst_new(struct complaints);

	(void)state;
	assert_true(complaint_is_new(c, PST_LIT("alice@example.org")));
	assert_false(complaint_is_new(c, PST_LIT("alice@example.org")));
	assert_true(complaint_is_new(c, PST_LIT("bob@example.org")));
	assert_true(complaint_is_new(c, PST_LIT("")));
	free(c);
}

/* ---- What stays in memory ---- */

#define KEY 0x55
#define NEEDLE_OCTETS 24

/* The needles are kept, and looked for, in a form that is not theirs. */
static void
set_needle(uint8_t *hidden, const char *letters)
{
	size_t i;

	for (i = 0; i < NEEDLE_OCTETS; i++)
		hidden[i] = (uint8_t)((uint8_t)letters[i] ^ KEY);
}

static size_t
count_in(const uint8_t *p, size_t n, const uint8_t *hidden)
{
	size_t found = 0;
	size_t i, k;

	for (i = 0; i + NEEDLE_OCTETS <= n; i++) {
		for (k = 0; k < NEEDLE_OCTETS && (p[i + k] ^ KEY) == hidden[k]; k++)
			;
		found += k == NEEDLE_OCTETS;
	}
	return found;
}

/* In all memory that can be written to and read. */
static size_t
count_in_memory(const uint8_t *hidden)
{
	FILE *f = fopen("/proc/self/maps", "r");
	size_t found = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *rest;
		uintptr_t from = strtoul(line, &rest, 16);
		uintptr_t to = strtoul(rest + 1, &rest, 16);

		if (strncmp(rest, " rw", 3) == 0)
			found += count_in((const uint8_t *)from, to - from, hidden);
	}
	fclose(f);
	return found;
}

static void
use_scheme(const char *name, const char *password_hidden, size_t n)
{
	struct pst_arena *arena = pst_arena_create();
	char password[2 * NEEDLE_OCTETS];
	struct pst_str text = { password, n };
	struct pst_str stored;
	struct pst_err err;
	size_t i;

	for (i = 0; i < n; i++)
		password[i] = (char)((uint8_t)password_hidden[i] ^ KEY);
	if (scheme_make(name, text, &cost, arena, &stored, &err) == 0)
		assert_int_equal(scheme_verify(stored, text, "PLAIN", &cost, &err), SCHEME_MATCH);
	else
		assert_int_equal(err.kind, PST_E_CLIENT); /* too long for DES */
	scheme_burn(name, text, &cost);
	pst_wipe(password, sizeof(password));
	pst_arena_destroy(arena);
}

static void
test_no_password_stays_in_memory(void **state)
{
	/* The second has two spellings. */
	static const char *const letters[] = { "canary-of-24-octets-here",
		                               "a\xcc\x88"
		                               "canary-of-24-octets-h" };
	struct scheme_info info;
	size_t i, k;

	(void)state;
#ifdef PST_SANITIZE
	skip(); /* the sanitizer keeps what was freed, and its own memory is without end */
#endif
	for (k = 0; k < 2; k++) {
		uint8_t hidden[NEEDLE_OCTETS];

		set_needle(hidden, letters[k]);
		/* The needle's own letters are read-only data; this shows that one would be found. */
		char *copy = pst_str_dup((struct pst_str){ letters[k], NEEDLE_OCTETS });
		assert_true(count_in_memory(hidden) > 0);
		pst_wipe(copy, NEEDLE_OCTETS);
		free(copy);
		assert_int_equal(count_in_memory(hidden), 0);
		for (i = 0; scheme_at(i, &info); i++) {
			size_t found;

			if (!info.is_made || strcmp(info.name, "PLAIN") == 0)
				continue;
			use_scheme(info.name, (const char *)hidden, NEEDLE_OCTETS);
			found = count_in_memory(hidden);
			if (found != 0)
				fail_msg("%s leaves %zu copies of password %zu", info.name, found,
				         k);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_password_has_one_spelling),
		cmocka_unit_test(test_both_spellings_log_in_and_the_sent_octets_too),
		cmocka_unit_test(test_a_password_of_two_spellings_burns_twice),
		cmocka_unit_test(test_long_passwords),
		cmocka_unit_test(test_the_log_is_told_once_of_each_user),
		cmocka_unit_test(test_no_password_stays_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
