/* SPDX-License-Identifier: MIT */
/* The bounded table of names, the look into a ClientHello, and the cache of chains over an oracle
 * that counts its questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <gnutls/x509.h>
#include <stdio.h>

#include "base/mem.h"
#include "keys/store.h"
#include "tests/unit/tls/certs.h"
#include "tls/hello.h"
#include "tls/lru.h"
#include "tls/names.h"

#define INTERVAL 5000

/* ---- The table ---- */

struct thing {
	struct lru_item item;
	unsigned *dropped;
};

static void
on_drop(void *arg, struct lru_item *item)
{
	struct thing *t = (struct thing *)item;

	assert_ptr_equal(arg, t->dropped);
	++*t->dropped;
	free(t);
}

static void
add_thing(struct lru *l, unsigned number, unsigned *dropped)
{
	struct thing *t = pst_new(struct thing);
	char name[16];

	t->dropped = dropped;
	(void)snprintf(name, sizeof(name), "n%u", number);
	lru_add(l, &t->item, pst_str_c(name));
}

static bool
has_thing(struct lru *l, unsigned number)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "n%u", number);
	return lru_find(l, pst_str_c(name)) != NULL;
}

static void
test_lru_drops_the_longest_unused_and_only_when_full(void **state)
{
	unsigned dropped = 0;
	struct lru l;
	unsigned i;

	(void)state;
	lru_init(&l, 1000, on_drop, &dropped);
	assert_null(lru_find(&l, PST_LIT("n1")));
	for (i = 0; i < 1000; i++)
		add_thing(&l, i, &dropped);
	assert_int_equal(dropped, 0);
	for (i = 0; i < 1000; i++)
		assert_true(has_thing(&l, i));
	assert_true(has_thing(&l, 0)); /* used last now */
	for (i = 1000; i < 1500; i++)
		add_thing(&l, i, &dropped);
	assert_int_equal(dropped, 500);
	assert_int_equal(l.n, 1000);
	assert_true(has_thing(&l, 0));
	assert_false(has_thing(&l, 1));
	assert_false(has_thing(&l, 500));
	assert_true(has_thing(&l, 501));
	assert_true(has_thing(&l, 1499));
	lru_remove(&l, lru_find(&l, PST_LIT("n0")));
	assert_false(has_thing(&l, 0));
	assert_int_equal(dropped, 501);
	lru_clear(&l);
	assert_int_equal(dropped, 1500);
	add_thing(&l, 7, &dropped);
	assert_true(has_thing(&l, 7));
	lru_clear(&l);
}

/* ---- The ClientHello ---- */

static void
test_hello_tells_ecdsa_suites_and_survives_any_cut(void **state)
{
	/* version, random, session id of 1 octet, two suites, compression */
	char hello[34 + 2 + 2 + 4 + 2] = { 3, 3 };
	size_t n;

	(void)state;
	hello[34] = 1;
	hello[36] = 0, hello[37] = 4;
	hello[38] = (char)0xc0, hello[39] = 0x2f; /* ECDHE-RSA-AES128-GCM */
	hello[40] = (char)0xc0, hello[41] = 0x2b; /* ECDHE-ECDSA-AES128-GCM */
	assert_true(tls_hello_offers_ecdsa((struct pst_str){ hello, sizeof(hello) }));
	for (n = 0; n < 42; n++) {
		char *exact = pst_alloc(n); /* so that a checker sees a step beyond */

		memcpy(exact, hello, n);
		assert_false(tls_hello_offers_ecdsa((struct pst_str){ exact, n }));
		free(exact);
	}
	hello[41] = 0x30;
	assert_false(tls_hello_offers_ecdsa((struct pst_str){ hello, sizeof(hello) }));
	hello[36] = (char)0xff;
	assert_false(tls_hello_offers_ecdsa((struct pst_str){ hello, sizeof(hello) }));
}

/* ---- The cache ---- */

/* Answers from memory, without a key: names[i] has chain version versions[i]; others get version 9 as
 * the default. */
struct oracle {
	struct tls_oracle calls;
	struct tls_names *names;
	char *dir;
	struct pair *pair;
	uint64_t own; /* the version of "own.test" */
	uint64_t fallback;
	bool is_away;
	bool has_nothing;
	unsigned asked, sent; /* questions, and chains that had to be sent */
};

static int
give_chain(void *self, const struct wire_chain_request *ask, struct wire_chain_reply *reply,
           struct pst_err *err)
{
	struct oracle *o = self;

	o->asked++;
	if (o->is_away)
		return pst_err_set(err, PST_E_TEMP, "away");
	*reply = (struct wire_chain_reply){ .status = TLS_CHAIN_NONE };
	if (o->has_nothing)
		return 0;
	reply->is_default = !pst_str_eq(ask->name, PST_LIT("own.test"));
	reply->version = reply->is_default ? o->fallback : o->own;
	reply->pk_algorithm = (uint32_t)o->pair->pk;
	reply->bits = o->pair->bits;
	reply->type = o->pair->type;
	reply->status = reply->version == ask->version ? TLS_CHAIN_CURRENT : TLS_CHAIN_HERE;
	if (reply->status == TLS_CHAIN_HERE) {
		o->sent++;
		reply->chain = (struct pst_str){ o->pair->chain, o->pair->chain_n };
	}
	return 0;
}

static int
give_no_signature(void *self, const struct wire_sign_request *ask, struct wire_sign_reply *reply,
                  struct pst_err *err)
{
	(void)self, (void)ask, (void)reply;
	return pst_err_set(err, PST_E_TEMP, "away");
}

static struct pst_str
read_pem(const char *dir, const char *file)
{
	char path[4096];
	char *text = pst_alloc(65536);
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/a/%s", dir, file);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, 65536, f);
	(void)fclose(f);
	return (struct pst_str){ text, n };
}

static int
open_oracle(void **state)
{
	struct oracle *o = pst_new(struct oracle);
	struct pst_str certs, key;
	struct pst_err err;
	bool fits;

	o->dir = certs_folder();
	certs_make(o->dir, "a", "", "own.test", CERT_EC, 30);
	certs = read_pem(o->dir, "fullchain.pem");
	key = read_pem(o->dir, "privkey.pem");
	assert_int_equal(pair_create(certs, key, "own.test", &o->pair, &fits, &err), 0);
	assert_true(fits);
	free((char *)(uintptr_t)certs.p);
	free((char *)(uintptr_t)key.p);
	o->own = 1;
	o->fallback = 9;
	o->calls = (struct tls_oracle){ .self = o, .chain = give_chain, .sign = give_no_signature };
	o->names = tls_names_create(&o->calls, 4, INTERVAL);
	*state = o;
	return 0;
}

static int
close_oracle(void **state)
{
	struct oracle *o = *state;

	tls_names_destroy(o->names);
	pair_destroy(o->pair);
	certs_remove(o->dir);
	free(o);
	return 0;
}

/* The version of a name, at a time; 0: none. */
static uint64_t
get(struct oracle *o, const char *name, int64_t now_ms)
{
	struct pst_err err = { .kind = 0 };
	struct tls_chain *c = tls_names_get(o->names, pst_str_c(name), TLS_TYPE_ANY, now_ms, &err);
	uint64_t version;

	if (c == NULL) {
		assert_true(err.text[0] != '\0');
		return 0;
	}
	version = c->version;
	assert_int_equal(c->cert_count, 1);
	tls_names_release(o->names, c);
	return version;
}

static void
test_a_name_is_asked_once_and_confirmed_after_the_interval(void **state)
{
	struct oracle *o = *state;

	assert_int_equal(get(o, "own.test", 0), 1);
	assert_int_equal(get(o, "own.test", INTERVAL - 1), 1);
	assert_int_equal(o->asked, 1);
	assert_int_equal(get(o, "own.test", INTERVAL), 1);
	assert_int_equal(o->asked, 2);
	assert_int_equal(o->sent, 1); /* confirmed, not sent again */
	o->own = 2;
	assert_int_equal(get(o, "own.test", 2 * INTERVAL), 2);
	assert_int_equal(o->sent, 2);
}

static void
test_strangers_share_one_default_chain(void **state)
{
	struct oracle *o = *state;
	unsigned i;

	assert_int_equal(get(o, "own.test", 0), 1);
	for (i = 0; i < 5000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "x%u.test", i);
		assert_int_equal(get(o, name, 0), 9);
	}
	assert_int_equal(o->sent, 2);
	assert_int_equal(o->asked, 5001);
	assert_int_equal(get(o, "own.test", 0), 1); /* pushed out by none of them */
	assert_int_equal(o->asked, 5001);
}

static void
test_a_stranger_that_gets_a_certificate_changes_tables(void **state)
{
	struct oracle *o = *state;

	o->own = 9; /* the default, as yet */
	assert_int_equal(get(o, "x.test", 0), 9);
	assert_int_equal(get(o, "own.test", 0), 9);
	o->own = 5;
	assert_int_equal(get(o, "own.test", INTERVAL), 5);
	assert_int_equal(get(o, "x.test", INTERVAL), 9);
	o->own = 9;
	assert_int_equal(get(o, "own.test", 2 * INTERVAL), 9);
}

static void
test_while_the_oracle_is_away_the_last_answer_counts(void **state)
{
	struct oracle *o = *state;

	assert_int_equal(get(o, "own.test", 0), 1);
	o->is_away = true;
	assert_int_equal(get(o, "own.test", INTERVAL), 1);
	assert_int_equal(get(o, "other.test", INTERVAL), 0);
	o->is_away = false;
	assert_int_equal(get(o, "other.test", INTERVAL), 9);
}

static void
test_no_certificate_at_all_is_remembered_for_the_interval(void **state)
{
	struct oracle *o = *state;

	o->has_nothing = true;
	assert_int_equal(get(o, "own.test", 0), 0);
	assert_int_equal(get(o, "own.test", 1), 0);
	assert_int_equal(o->asked, 1);
	o->has_nothing = false;
	assert_int_equal(get(o, "own.test", INTERVAL), 1);
}

static void
test_a_chain_in_use_outlives_its_place_in_the_cache(void **state)
{
	struct oracle *o = *state;
	struct pst_err err;
	struct tls_chain *c = tls_names_get(o->names, PST_LIT("own.test"), TLS_TYPE_ANY, 0, &err);

	assert_non_null(c);
	o->own = 2;
	assert_int_equal(get(o, "own.test", INTERVAL), 2);
	assert_int_equal(c->version, 1); /* a checker of memory would see that it is gone */
	assert_int_equal(c->cert_count, 1);
	tls_names_release(o->names, c);
}

int
main(void)
{
#define WITH_ORACLE(f) cmocka_unit_test_setup_teardown(f, open_oracle, close_oracle)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lru_drops_the_longest_unused_and_only_when_full),
		cmocka_unit_test(test_hello_tells_ecdsa_suites_and_survives_any_cut),
		WITH_ORACLE(test_a_name_is_asked_once_and_confirmed_after_the_interval),
		WITH_ORACLE(test_strangers_share_one_default_chain),
		WITH_ORACLE(test_a_stranger_that_gets_a_certificate_changes_tables),
		WITH_ORACLE(test_while_the_oracle_is_away_the_last_answer_counts),
		WITH_ORACLE(test_no_certificate_at_all_is_remembered_for_the_interval),
		WITH_ORACLE(test_a_chain_in_use_outlives_its_place_in_the_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
