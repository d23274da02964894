/* SPDX-License-Identifier: MIT */
/* Certificates by name, as files come, change and break; time is given, so nothing waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "keys/store.h"
#include "tests/unit/tls/certs.h"
#include "tls/oracle.h"

#define INTERVAL 5000

struct shop {
	char *dir;
	char log[128];
	struct tls_settings settings;
	struct store *store;
	int64_t now_ms;
};

static int
open_shop(void **state)
{
	struct shop *sh = pst_new(struct shop);
	struct pst_err err;

	sh->dir = certs_folder();
	sh->settings = (struct tls_settings){
		.directory = sh->dir,
		.default_name = "default.test",
		.cache = 3,
		.check_interval = INTERVAL,
	};
	(void)snprintf(sh->log, sizeof(sh->log), "%s/log", sh->dir);
	assert_int_equal(pst_log_open(sh->log, &err), 0);
	sh->store = store_create(&sh->settings);
	sh->now_ms = 1000000;
	*state = sh;
	return 0;
}

static int
close_shop(void **state)
{
	struct shop *sh = *state;

	store_destroy(sh->store);
	certs_remove(sh->dir);
	free(sh);
	return 0;
}

/* How often word stands in the log. */
static unsigned
logged(const struct shop *sh, const char *word)
{
	char text[65536] = "";
	FILE *f = fopen(sh->log, "r");
	unsigned count = 0;
	const char *p;

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	for (p = text; (p = strstr(p, word)) != NULL; p++)
		count++;
	return count;
}

static uint64_t
find(struct shop *sh, const char *name, uint8_t type, bool *is_default)
{
	const struct pair *p = store_find(sh->store, pst_str_c(name), type, sh->now_ms, is_default);

	return p == NULL ? 0 : p->version;
}

static uint64_t
find_any(struct shop *sh, const char *name)
{
	bool is_default;

	return find(sh, name, TLS_TYPE_ANY, &is_default);
}

static void
an_interval_later(struct shop *sh)
{
	sh->now_ms += INTERVAL;
}

static void
make(struct shop *sh, const char *folder, const char *host)
{
	certs_make(sh->dir, folder, "", host, CERT_EC, 30);
}

static void
test_exact_name_comes_before_wildcard_before_default(void **state)
{
	struct shop *sh = *state;
	uint64_t exact, wildcard, other;
	bool is_default;

	make(sh, "mail.example.test", "mail.example.test");
	make(sh, "_.example.test", "*.example.test");
	make(sh, "default.test", "default.test");
	exact = find(sh, "mail.example.test", TLS_TYPE_ANY, &is_default);
	assert_false(is_default);
	wildcard = find(sh, "pop.example.test", TLS_TYPE_ANY, &is_default);
	assert_false(is_default);
	other = find(sh, "elsewhere.test", TLS_TYPE_ANY, &is_default);
	assert_true(is_default);
	assert_true(exact != 0 && wildcard != 0 && other != 0);
	assert_true(exact != wildcard && wildcard != other && exact != other);
	/* A star is one label, and the parent itself is not one of its. */
	assert_int_equal(find_any(sh, "a.b.example.test"), other);
	assert_int_equal(find_any(sh, "example.test"), other);
	assert_int_equal(find(sh, "", TLS_TYPE_ANY, &is_default), other);
	assert_true(is_default);
	assert_int_equal(logged(sh, "keys.wrong_name"), 0);
}

static void
test_names_that_could_leave_the_folder_are_refused(void **state)
{
	static const char *const bad[] = { "",    ".",     "..",    "../x",   "a/b",
		                           ".a",  "a..b",  "a.",    "A.test", "_.example.test",
		                           "a b", "a\x80", "*.test" };
	char text[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(store_name_is_good(pst_str_c(bad[i])));
	assert_false(store_name_is_good((struct pst_str){ "a\0b", 3 }));
	memset(text, 'a', sizeof(text));
	assert_false(store_name_is_good((struct pst_str){ text, 254 }));
	assert_true(store_name_is_good((struct pst_str){ text, 253 }));
	assert_true(store_name_is_good(PST_LIT("xn--mller-kva.example.test")));
	assert_true(store_name_is_good(PST_LIT("127.0.0.1")));
}

static void
test_no_default_is_said_once_a_minute(void **state)
{
	struct shop *sh = *state;

	assert_int_equal(find_any(sh, "nobody.test"), 0);
	assert_int_equal(find_any(sh, "nobody.test"), 0);
	assert_int_equal(logged(sh, "keys.no_default"), 1);
	sh->now_ms += 60000;
	assert_int_equal(find_any(sh, ""), 0);
	assert_int_equal(logged(sh, "keys.no_default"), 2);
}

static void
test_rsa_beside_ecdsa_is_given_to_those_who_need_it(void **state)
{
	struct shop *sh = *state;
	const struct pair *p;
	bool is_default;

	make(sh, "both.test", "both.test");
	certs_make(sh->dir, "both.test", "-rsa", "both.test", CERT_RSA, 30);
	certs_make(sh->dir, "only-rsa.test", "", "only-rsa.test", CERT_RSA, 30);
	make(sh, "only-ec.test", "only-ec.test");
	p = store_find(sh->store, PST_LIT("both.test"), TLS_TYPE_ANY, sh->now_ms, &is_default);
	assert_int_equal(p->type, TLS_TYPE_EC);
	p = store_find(sh->store, PST_LIT("both.test"), TLS_TYPE_RSA, sh->now_ms, &is_default);
	assert_int_equal(p->type, TLS_TYPE_RSA);
	assert_int_equal(p->bits, 2048);
	p = store_find(sh->store, PST_LIT("only-rsa.test"), TLS_TYPE_ANY, sh->now_ms, &is_default);
	assert_int_equal(p->type, TLS_TYPE_RSA);
	p = store_find(sh->store, PST_LIT("only-ec.test"), TLS_TYPE_RSA, sh->now_ms, &is_default);
	assert_int_equal(p->type, TLS_TYPE_EC);
}

static void
test_an_rsa_file_that_is_not_rsa_is_left_out(void **state)
{
	struct shop *sh = *state;
	const struct pair *p;
	bool is_default;

	make(sh, "a.test", "a.test");
	certs_make(sh->dir, "a.test", "-rsa", "a.test", CERT_EC, 30);
	p = store_find(sh->store, PST_LIT("a.test"), TLS_TYPE_RSA, sh->now_ms, &is_default);
	assert_non_null(p);
	assert_int_equal(logged(sh, "not an RSA certificate"), 1);
}

static void
test_a_changed_file_is_taken_up_after_the_interval(void **state)
{
	struct shop *sh = *state;
	uint64_t before, after;

	make(sh, "a.test", "a.test");
	before = find_any(sh, "a.test");
	make(sh, "a.test", "a.test");
	assert_int_equal(find_any(sh, "a.test"), before);
	an_interval_later(sh);
	after = find_any(sh, "a.test");
	assert_true(after != before && after != 0);
	/* What login was told just before can still be signed for, but not for ever. */
	assert_non_null(store_by_version(sh->store, before));
	assert_non_null(store_by_version(sh->store, after));
	sh->now_ms += 3 * INTERVAL;
	assert_int_equal(find_any(sh, "a.test"), after);
	assert_null(store_by_version(sh->store, before));
	assert_int_equal(logged(sh, "keys.loaded"), 1); /* the change; a first load is debug */
}

static void
test_a_name_that_appears_is_found_after_the_interval(void **state)
{
	struct shop *sh = *state;
	uint64_t fallback;

	make(sh, "default.test", "default.test");
	fallback = find_any(sh, "late.test");
	make(sh, "late.test", "late.test");
	assert_int_equal(find_any(sh, "late.test"), fallback);
	an_interval_later(sh);
	assert_true(find_any(sh, "late.test") != fallback);
}

static void
remove_file(const struct shop *sh, const char *folder, const char *file)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", sh->dir, folder, file);
	assert_int_equal(unlink(path), 0);
}

static void
test_a_name_that_is_taken_away_gets_the_default(void **state)
{
	struct shop *sh = *state;
	uint64_t fallback, own;

	make(sh, "default.test", "default.test");
	make(sh, "a.test", "a.test");
	own = find_any(sh, "a.test");
	fallback = find_any(sh, "");
	remove_file(sh, "a.test", "fullchain.pem");
	remove_file(sh, "a.test", "privkey.pem");
	an_interval_later(sh);
	assert_int_equal(find_any(sh, "a.test"), fallback);
	make(sh, "a.test", "a.test");
	an_interval_later(sh);
	assert_true(find_any(sh, "a.test") != fallback && find_any(sh, "a.test") != own);
}

static void
test_broken_pair_at_first_sight_gives_default_and_is_said_once(void **state)
{
	struct shop *sh = *state;
	uint64_t fallback;
	unsigned i;

	make(sh, "default.test", "default.test");
	make(sh, "a.test", "a.test");
	make(sh, "b.test", "b.test");
	certs_copy(sh->dir, "b.test", "a.test", "privkey.pem"); /* not the certificate's */
	fallback = find_any(sh, "");
	for (i = 0; i < 4; i++) {
		assert_int_equal(find_any(sh, "a.test"), fallback);
		an_interval_later(sh);
	}
	assert_int_equal(logged(sh, "keys.broken"), 1);
	assert_int_equal(logged(sh, "does not belong to the certificate"), 1);
	assert_true(find_any(sh, "b.test") != fallback);
	/* Mended. */
	make(sh, "a.test", "a.test");
	an_interval_later(sh);
	assert_true(find_any(sh, "a.test") != fallback);
}

static void
test_broken_later_keeps_the_version_before(void **state)
{
	struct shop *sh = *state;
	uint64_t good;

	make(sh, "a.test", "a.test");
	good = find_any(sh, "a.test");
	certs_write(sh->dir, "a.test", "fullchain.pem", "nonsense", 8);
	an_interval_later(sh);
	assert_int_equal(find_any(sh, "a.test"), good);
	assert_non_null(store_by_version(sh->store, good));
	certs_write(sh->dir, "a.test", "fullchain.pem", "", 0);
	an_interval_later(sh);
	assert_int_equal(find_any(sh, "a.test"), good);
	remove_file(sh, "a.test", "fullchain.pem");
	an_interval_later(sh);
	assert_int_equal(find_any(sh, "a.test"), good);
	assert_int_equal(logged(sh, "keys.broken"), 3);
	assert_int_equal(logged(sh, "stays in use"), 3);
}

static void
test_a_touched_file_is_the_same_version(void **state)
{
	struct shop *sh = *state;
	uint64_t before;

	make(sh, "a.test", "a.test");
	before = find_any(sh, "a.test");
	certs_copy(sh->dir, "a.test", "a.test", "privkey.pem");
	an_interval_later(sh);
	assert_int_equal(find_any(sh, "a.test"), before);
	assert_int_equal(logged(sh, "keys.broken"), 0);
}

/* So a keys process that was started anew can sign for what login was told by the one before. */
static void
test_another_store_gives_the_same_version(void **state)
{
	struct shop *sh = *state;
	struct store *other = store_create(&sh->settings);
	bool is_default;

	make(sh, "a.test", "a.test");
	assert_int_equal(store_find(other, PST_LIT("a.test"), TLS_TYPE_ANY, sh->now_ms, &is_default)
	                         ->version,
	                 find_any(sh, "a.test"));
	store_destroy(other);
}

static void
test_the_cache_is_bounded_and_forgets_the_longest_unused(void **state)
{
	struct shop *sh = *state;
	uint64_t version[4];
	unsigned i;

	for (i = 0; i < 4; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%u.test", i);
		make(sh, name, name);
		version[i] = find_any(sh, name);
		assert_true(version[i] != 0);
		(void)find_any(sh, "n0.test"); /* stays the newest */
	}
	assert_null(store_by_version(sh->store, version[1])); /* cache is 3 */
	assert_non_null(store_by_version(sh->store, version[0]));
	assert_non_null(store_by_version(sh->store, version[2]));
	assert_non_null(store_by_version(sh->store, version[3]));
	assert_int_equal(find_any(sh, "n1.test"), version[1]); /* loaded again */
}

static void
test_made_up_names_push_no_real_one_out(void **state)
{
	struct shop *sh = *state;
	uint64_t version;
	unsigned i;

	make(sh, "a.test", "a.test");
	version = find_any(sh, "a.test");
	for (i = 0; i < 20000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "x%u.nowhere.test", i);
		assert_int_equal(find_any(sh, name), 0);
	}
	assert_non_null(store_by_version(sh->store, version));
}

static void
test_what_an_administrator_should_know_is_said(void **state)
{
	struct shop *sh = *state;

	certs_make(sh->dir, "old.test", "", "old.test", CERT_EC, -1);
	make(sh, "wrong.test", "other.test");
	make(sh, "_.stars.test", "*.stars.test");
	assert_true(find_any(sh, "old.test") != 0); /* served all the same */
	assert_true(find_any(sh, "wrong.test") != 0);
	assert_true(find_any(sh, "a.stars.test") != 0);
	assert_int_equal(logged(sh, "keys.expired"), 1);
	assert_int_equal(logged(sh, "keys.wrong_name"), 1);
}

static void
test_things_that_are_no_files_do_no_harm(void **state)
{
	struct shop *sh = *state;
	char path[4096];

	make(sh, "a.test", "a.test");
	remove_file(sh, "a.test", "privkey.pem");
	(void)snprintf(path, sizeof(path), "%s/a.test/privkey.pem", sh->dir);
	assert_int_equal(mkfifo(path, 0600),
	                 0); /* opening one for reading would wait for a writer */
	assert_int_equal(find_any(sh, "a.test"), 0);
	assert_int_equal(logged(sh, "keys.broken"), 1);
	make(sh, "b.test", "b.test");
	remove_file(sh, "b.test", "fullchain.pem");
	(void)snprintf(path, sizeof(path), "%s/b.test/fullchain.pem", sh->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(find_any(sh, "b.test"), 0);
	assert_int_equal(logged(sh, "keys.broken"), 2);
}

int
main(void)
{
#define WITH_SHOP(f) cmocka_unit_test_setup_teardown(f, open_shop, close_shop)
	const struct CMUnitTest tests[] = {
		WITH_SHOP(test_exact_name_comes_before_wildcard_before_default),
		cmocka_unit_test(test_names_that_could_leave_the_folder_are_refused),
		WITH_SHOP(test_no_default_is_said_once_a_minute),
		WITH_SHOP(test_rsa_beside_ecdsa_is_given_to_those_who_need_it),
		WITH_SHOP(test_an_rsa_file_that_is_not_rsa_is_left_out),
		WITH_SHOP(test_a_changed_file_is_taken_up_after_the_interval),
		WITH_SHOP(test_a_name_that_appears_is_found_after_the_interval),
		WITH_SHOP(test_a_name_that_is_taken_away_gets_the_default),
		WITH_SHOP(test_broken_pair_at_first_sight_gives_default_and_is_said_once),
		WITH_SHOP(test_broken_later_keeps_the_version_before),
		WITH_SHOP(test_a_touched_file_is_the_same_version),
		WITH_SHOP(test_another_store_gives_the_same_version),
		WITH_SHOP(test_the_cache_is_bounded_and_forgets_the_longest_unused),
		WITH_SHOP(test_made_up_names_push_no_real_one_out),
		WITH_SHOP(test_what_an_administrator_should_know_is_said),
		WITH_SHOP(test_things_that_are_no_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
