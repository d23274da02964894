/* SPDX-License-Identifier: MIT */
/* User names as they are folded, and the places that they make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/location.h"
#include "credentials/username.h"

static const struct {
	const char *asked;
	const char *default_domain;
	const char *whole, *local, *domain; /* NULL: refused */
} names[] = {
	{ "alice@example.org", "", "alice@example.org", "alice", "example.org" },
	{ "Alice@EXAMPLE.Org", "", "alice@example.org", "alice", "example.org" },
	{ "alice", "", "alice", "alice", "" },
	{ "alice", "Example.ORG", "alice@example.org", "alice", "example.org" },
	{ "alice@b.test", "example.org", "alice@b.test", "alice", "b.test" },
	{ "a@b@c.test", "", "a@b@c.test", "a@b", "c.test" },
	{ "\xc3\x84@b.test", "", "\xc3\x84@b.test", "\xc3\x84", "b.test" }, /* ASCII letters only */
	{ "o'brien+tag@b.test", "", "o'brien+tag@b.test", "o'brien+tag", "b.test" },
	{ "a b@c.test", "", "a b@c.test", "a b", "c.test" },
	{ "a%{user}@c.test", "", "a%{user}@c.test", "a%{user}", "c.test" },
	{ "a..b@c.test", "", "a..b@c.test", "a..b", "c.test" },
	{ "", "", NULL, NULL, NULL },
	{ "", "example.org", NULL, NULL, NULL },
	{ "@", "", NULL, NULL, NULL },
	{ "@example.org", "", NULL, NULL, NULL },
	{ "alice@", "example.org", NULL, NULL, NULL },
	{ ".", "", NULL, NULL, NULL },
	{ "..", "", NULL, NULL, NULL },
	{ "..", "example.org", NULL, NULL, NULL },
	{ ".alice@b.test", "", NULL, NULL, NULL },
	{ "alice@..", "", NULL, NULL, NULL },
	{ "alice@.hidden", "", NULL, NULL, NULL },
	{ "a/b@c.test", "", NULL, NULL, NULL },
	{ "../../etc@c.test", "", NULL, NULL, NULL },
	{ "alice@c/../d", "", NULL, NULL, NULL },
	{ "a\nb@c.test", "", NULL, NULL, NULL },
	{ "a\x7f@c.test", "", NULL, NULL, NULL },
	{ "alice@c.test\r", "", NULL, NULL, NULL },
	{ "\xe6\x97\xa5\xe6\x9c\xac@\xe4\xbe\x8b.test", "",
	  "\xe6\x97\xa5\xe6\x9c\xac@\xe4\xbe\x8b.test", "\xe6\x97\xa5\xe6\x9c\xac",
	  "\xe4\xbe\x8b.test" },
	{ "\xf0\x9f\x93\xac", "b.test", "\xf0\x9f\x93\xac@b.test", "\xf0\x9f\x93\xac", "b.test" },
	{ "m\xfcller@c.test", "", NULL, NULL, NULL },   /* Latin-1 */
	{ "a\xc0\xaf..@c.test", "", NULL, NULL, NULL }, /* '/', overlong */
	{ "a\xc1\x80"
	  "b.test@c.test",
	  "", NULL, NULL, NULL }, /* '@', overlong */
	{ "a\xe0\x80\xaf@c.test", "", NULL, NULL, NULL },
	{ "a\xed\xa0\x80@c.test", "", NULL, NULL, NULL }, /* half of a pair */
	{ "a\xf4\x90\x80\x80@c.test", "", NULL, NULL, NULL },
	{ "a\xe6\x97@c.test", "", NULL, NULL, NULL },     /* cut */
	{ "a\xc2\x85@c.test", "", NULL, NULL, NULL },     /* a line end of C1 */
	{ "a\xe2\x80\xa8@c.test", "", NULL, NULL, NULL }, /* a line separator */
	{ "alice@c.test\xe6", "", NULL, NULL, NULL },
};

static void
test_names_are_folded_split_and_kept_out_of_paths(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct username u;
		struct pst_err err;
		int rc =
			username_fold(pst_str_c(names[i].asked), names[i].default_domain, &u, &err);

		if (rc != (names[i].whole == NULL ? -1 : 0))
			fail_msg("\"%s\": %d", names[i].asked, rc);
		if (rc != 0) {
			assert_int_equal(err.kind, PST_E_AUTH);
			continue;
		}
		assert_true(pst_str_eq(u.whole, pst_str_c(names[i].whole)));
		assert_true(pst_str_eq(u.local, pst_str_c(names[i].local)));
		assert_true(pst_str_eq(u.domain, pst_str_c(names[i].domain)));
	}
}

static void
test_a_name_with_nul_is_refused_not_cut(void **state)
{
	struct username u;
	struct pst_err err;

	(void)state;
	assert_int_equal(username_fold(PST_LIT("alice\0x@b.test"), "", &u, &err), -1);
	assert_int_equal(username_fold(PST_LIT("alice@b.test\0"), "", &u, &err), -1);
}

static void
test_a_name_has_at_most_255_octets_with_its_domain(void **state)
{
	char text[300];
	struct username u;
	struct pst_err err;

	(void)state;
	memset(text, 'A', sizeof(text));
	assert_int_equal(username_fold((struct pst_str){ text, 255 }, "", &u, &err), 0);
	assert_int_equal(u.whole.n, 255);
	assert_int_equal(username_fold((struct pst_str){ text, 256 }, "", &u, &err), -1);
	assert_int_equal(username_fold((struct pst_str){ text, 253 }, "b", &u, &err), 0);
	assert_int_equal(u.whole.n, 255);
	assert_int_equal(username_fold((struct pst_str){ text, 254 }, "b", &u, &err), -1);
	assert_int_equal(username_fold((struct pst_str){ text, sizeof(text) }, "b", &u, &err), -1);
}

static const struct {
	const char *template;
	const char *user;
	const char *filled; /* NULL: refused */
} places[] = {
	{ "maildir:/srv/%{domain}/%{local}/Maildir", "Alice@B.test",
	  "maildir:/srv/b.test/alice/Maildir" },
	{ "maildir:/srv/%{user}", "alice@b.test", "maildir:/srv/alice@b.test" },
	{ "maildir:/srv/%{local}%{local}", "a@b", "maildir:/srv/aa" },
	{ "mbox:/var/mail/%{user}", "alice", "mbox:/var/mail/alice" },
	{ "my_store2:/x", "alice", "my_store2:/x" },
	{ "maildir:/100%%/%{user}", "alice", "maildir:/100%/alice" },
	/* What a user is called is not read again. */
	{ "maildir:/srv/%{user}", "a%{domain}@b", "maildir:/srv/a%{domain}@b" },
	{ "maildir:/srv/%{user}x", "a%", "maildir:/srv/a%x" },
	{ "maildir:/a/..b/%{user}", "alice", "maildir:/a/..b/alice" },
	{ "maildir:%{home}/Maildir", "alice", NULL }, /* no home is known */
	/* "/srv/%{domain}/x" would be the folder of a user called x. */
	{ "maildir:/srv/%{domain}/%{local}", "alice", NULL },
	{ "maildir:/srv/../etc/%{user}", "alice", NULL },
	{ "maildir:/srv/%{user}/..", "alice", NULL },
	{ "maildir:/srv/%{local}..", "alice", "maildir:/srv/alice.." },
	{ "maildir:/srv/%{home}", "alice", NULL },
	{ "maildir:/srv/%{user", "alice", NULL },
	{ "maildir:/srv/%u", "alice", NULL },
	{ "maildir:/srv/%", "alice", NULL },
	{ "maildir:srv/%{user}", "alice", NULL },
	{ "maildir:", "alice", NULL },
	{ "/srv/%{user}", "alice", NULL },
	{ ":/srv/%{user}", "alice", NULL },
	{ "../x:/srv/%{user}", "alice", NULL },
	{ "Maildir:/srv", "alice", NULL },
	{ "%{user}:/srv", "alice", NULL },
	{ "", "alice", NULL },
};

static void
test_templates_are_filled_and_lead_nowhere_else(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct username u;
		struct pst_str out = { NULL, 0 };
		struct pst_err err;
		int rc;

		assert_int_equal(username_fold(pst_str_c(places[i].user), "", &u, &err), 0);
		rc = location_fill(pst_str_c(places[i].template), &u, arena, &out, &err);
		if (rc != (places[i].filled == NULL ? -1 : 0))
			fail_msg("\"%s\" of %s: %d %.*s", places[i].template, places[i].user, rc,
			         PST_ARG(out));
		if (rc == 0) {
			assert_string_equal(out.p, places[i].filled);
			assert_int_equal(out.n, strlen(places[i].filled));
			assert_int_equal(location_check(pst_str_c(places[i].template), &err), 0);
		} else {
			assert_int_equal(err.kind, PST_E_PERM);
		}
	}
	pst_arena_destroy(arena);
}

static void
test_a_place_that_gets_too_long_is_an_error(void **state)
{
	struct pst_arena *arena = pst_arena_create();
	char template[LOCATION_MAX + 1];
	char name[255];
	struct username u;
	struct pst_str out;
	struct pst_err err;

	(void)state;
	memset(name, 'a', sizeof(name));
	memset(template, 'x', sizeof(template));
	memcpy(template, "maildir:/%{user}", 16);
	assert_int_equal(username_fold((struct pst_str){ name, sizeof(name) }, "", &u, &err), 0);
	assert_int_equal(
		location_fill((struct pst_str){ template, LOCATION_MAX }, &u, arena, &out, &err),
		-1);
	assert_int_equal(location_check((struct pst_str){ template, LOCATION_MAX + 1 }, &err), -1);
	/* 16 octets of template before, 7 of them a variable that becomes 255. */
	assert_int_equal(location_fill((struct pst_str){ template, LOCATION_MAX - 248 }, &u, arena,
	                               &out, &err),
	                 0);
	assert_int_equal(out.n, LOCATION_MAX);
	assert_int_equal(location_fill((struct pst_str){ template, LOCATION_MAX - 247 }, &u, arena,
	                               &out, &err),
	                 -1);
	pst_arena_destroy(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_folded_split_and_kept_out_of_paths),
		cmocka_unit_test(test_a_name_with_nul_is_refused_not_cut),
		cmocka_unit_test(test_a_name_has_at_most_255_octets_with_its_domain),
		cmocka_unit_test(test_templates_are_filled_and_lead_nowhere_else),
		cmocka_unit_test(test_a_place_that_gets_too_long_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
