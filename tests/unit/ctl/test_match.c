/* SPDX-License-Identifier: MIT */
/* Knowing messages again that lie on two servers, and what follows for order and UIDLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/match.h"
#include "ctl/octets.h"
#include "ctl/pairs.h"

/* ---- Likeness ---- */

static struct likeness
like_of(const char *text, size_t piece)
{
	struct likeness_maker m;
	struct likeness out;
	size_t n = strlen(text), at;

	likeness_begin(&m);
	for (at = 0; at < n; at += piece)
		likeness_feed(&m, (struct pst_str){ text + at, n - at < piece ? n - at : piece });
	likeness_end(&m, &out);
	return out;
}

static bool
is_alike(const char *a, const char *b)
{
	struct likeness x = like_of(a, 1000), y = like_of(b, 1);

	return memcmp(x.header, y.header, sizeof(x.header)) == 0;
}

static void
test_a_header_is_the_same_with_other_line_ends_and_without_what_stores_write(void **state)
{
	(void)state;
	assert_true(is_alike("A: 1\nB: 2\n\nbody", "A: 1\r\nB: 2\r\n\r\n"));
	assert_true(is_alike("A: 1\r\nB: 2\r\n\r\n", "A: 1\r\r\nB: 2\r\r\n\r\r\nother"));
	assert_true(is_alike("A: 1\nStatus: RO\nX-UID: 7\n and more\nB: 2\n\n", "A: 1\nB: 2\n\n"));
	assert_true(is_alike("A: 1", "A: 1\r\n"));
	assert_false(is_alike("A: 1\n\n", "A: 2\n\n"));
	assert_false(is_alike("A: 1\nB: 2\n\n", "B: 2\nA: 1\n\n"));
	assert_false(is_alike("Statuses: 1\n\n", "\n"));
	assert_false(is_alike("A: 1 \n\n", "A: 1\n\n"));
}

static void
test_fields_of_stores_are_counted_as_they_are_sent(void **state)
{
	struct likeness like;

	(void)state;
	like = like_of("A: 1\nStatus: RO\nX-Keywords: a\n b\n\nStatus: body", 3);
	assert_int_equal(like.own_octets, 12 + 15 + 4);
	assert_true(like.has_header);
	assert_false(like.has_letter);
	like = like_of("Message-ID: <a>\ndate: now\n\n", 100);
	assert_int_equal(like.own_octets, 0);
	assert_true(like.has_letter);
	assert_false(like_of("\nDate: x\n", 5).has_header);
}

/* ---- Matching ---- */

#define MANY 8

struct side {
	struct match_message all[MANY];
	uint32_t n;
};

static void
add(struct side *s, const char *header, uint64_t octets, const char *uidl)
{
	struct match_message *m = &s->all[s->n++];

	*m = (struct match_message){
		.octets = octets,
		.uidl = pst_str_c(uidl),
		.is_valid = *uidl != '\0',
		.is_known = true,
		.like = like_of(header, 100),
	};
}

static void
run(const struct side *old, const struct side *here, struct match *m, struct match_plan *p)
{
	match_make(m, old->all, old->n, here->all, here->n);
	match_plan(p, m, old->all, old->n, here->all, here->n);
}

/* "here:uidl here:uidl …" */
static void
check_plan(const struct side *old, const struct side *here, const char *expected)
{
	struct match m;
	struct match_plan p;
	char text[512] = "";
	size_t n = 0;
	uint32_t i;

	run(old, here, &m, &p);
	for (i = 0; i < here->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u:%.*s", i == 0 ? "" : " ",
		                      p.places[i].here, PST_ARG(p.places[i].uidl));
	assert_string_equal(text, expected);
	match_plan_clear(&p);
	match_clear(&m);
}

static void
test_order_and_uidls_are_the_old_servers_and_what_is_only_here_comes_behind(void **state)
{
	struct side old = { .n = 0 }, here = { .n = 0 };

	(void)state;
	add(&old, "A: 1\n\n", 10, "old1");
	add(&old, "A: 2\n\n", 10, "old2");
	add(&old, "A: 3\n\n", 10, "old3");
	add(&here, "A: 9\n\n", 10, "here9");
	add(&here, "A: 3\n\n", 10, "here3");
	add(&here, "A: 1\n\n", 10, "here1");
	check_plan(&old, &here, "2:old1 1:old3 0:here9");
	check_plan(&here, &here, "0:here9 1:here3 2:here1");
}

static void
test_equal_messages_are_taken_in_their_order(void **state)
{
	struct side old = { .n = 0 }, here = { .n = 0 };

	(void)state;
	add(&old, "A: 1\n\n", 10, "a");
	add(&old, "A: 1\n\n", 10, "b");
	add(&old, "A: 1\n\n", 11, "c");
	add(&here, "A: 1\n\n", 11, "x");
	add(&here, "A: 1\n\n", 10, "y");
	add(&here, "A: 1\n\n", 10, "z");
	add(&here, "A: 1\n\n", 10, "more");
	check_plan(&old, &here, "1:a 2:b 0:c 3:more");
}

static void
test_sizes_that_old_servers_get_wrong_do_not_hide_a_message(void **state)
{
	struct side old = { .n = 0 }, here = { .n = 0 };
	struct match m;

	(void)state;
	add(&old, "A: 1\n\n", 8, "a");   /* no last line end counted */
	add(&old, "A: 2\n\n", 999, "b"); /* a wrong size in a name: the only one like it */
	add(&old, "A: 3\n\n", 50, "c");  /* two like it here: which? */
	add(&old, "Message-ID: <4>\nDate: d\nX: old\n\n", 70, "d");
	add(&old, "A: 5\nStatus: RO\n\n", 33, "e"); /* what it writes for itself */
	add(&here, "A: 1\n\n", 10, "s");
	add(&here, "A: 2\n\n", 10, "t");
	add(&here, "A: 3\n\n", 11, "u");
	add(&here, "A: 3\n\n", 12, "v");
	add(&here, "Message-ID: <4>\nDate: d\nX: new\n\n", 70, "w");
	add(&here, "A: 5\n\n", 21, "x");
	check_plan(&old, &here, "0:a 1:b 4:d 5:e 2:u 3:v");
	match_make(&m, old.all, old.n, here.all, here.n);
	assert_int_equal(m.found, 4);
	assert_int_equal(m.by[MATCH_BY_LINE_END], 1);
	assert_int_equal(m.by[MATCH_BY_ALONE], 1);
	assert_int_equal(m.by[MATCH_BY_LETTER], 1);
	assert_int_equal(m.by[MATCH_BY_HEADER], 1);
	match_clear(&m);
}

static void
test_no_message_gets_a_uidl_that_the_old_server_shows_for_another(void **state)
{
	struct side old = { .n = 0 }, here = { .n = 0 };
	struct match m;
	struct match_plan p;

	(void)state;
	add(&old, "A: 1\n\n", 10, "x");
	add(&old, "A: 2\n\n", 10, "y"); /* not here */
	add(&old, "A: 3\n\n", 10, "x"); /* shown twice */
	add(&old, "A: 4\n\n", 10, "");  /* none that POP3 allows */
	add(&here, "A: 1\n\n", 10, "h1");
	add(&here, "A: 3\n\n", 10, "x");
	add(&here, "A: 4\n\n", 10, "h4");
	add(&here, "A: 8\n\n", 10, "h8");
	here.all[3].is_known = false; /* it could not be read */
	run(&old, &here, &m, &p);
	assert_int_equal(m.found, 3);
	assert_int_equal(p.not_taken, 2);
	assert_true(pst_str_eq(p.places[0].uidl, PST_LIT("x")));
	assert_int_equal(p.places[1].here, 1);
	assert_int_equal(p.places[1].uidl.n, 33); /* neither x nor anybody's */
	assert_true(pst_str_eq(p.places[2].uidl, PST_LIT("h4")));
	assert_true(pst_str_eq(p.places[3].uidl, PST_LIT("h8")));
	match_plan_clear(&p);
	match_clear(&m);
}

static void
test_what_was_taken_over_stays_when_it_is_done_again(void **state)
{
	struct side old = { .n = 0 }, here = { .n = 0 };

	(void)state;
	add(&old, "A: 1\n\n", 10, "a");
	add(&old, "A: 2\n\n", 10, "b");
	add(&here, "A: 1\n\n", 10, "a");
	add(&here, "A: changed\n\n", 17, "b"); /* by its UIDL */
	add(&here, "A: new\n\n", 10, "n");
	check_plan(&old, &here, "0:a 1:b 2:n");
}

static void
test_nothing_on_either_side_is_no_fault(void **state)
{
	struct side none = { .n = 0 }, one = { .n = 0 };

	(void)state;
	add(&one, "A: 1\n\n", 10, "a");
	check_plan(&none, &none, "");
	check_plan(&one, &none, "");
	check_plan(&none, &one, "0:a");
}

/* ---- Digests and pairs, for verify ---- */

static struct octets_digest
digest_of(const char *text, size_t piece)
{
	struct octets *o = octets_begin();
	struct octets_digest d;
	size_t n = strlen(text), at;

	for (at = 0; at < n; at += piece)
		octets_feed(o, (struct pst_str){ text + at, n - at < piece ? n - at : piece });
	octets_end(o, &d);
	return d;
}

static void
test_digests_tell_line_ends_apart_and_then_do_not(void **state)
{
	struct octets_digest a = digest_of("x\r\ny\r\n", 100), b = digest_of("x\r\r\ny\r\r\n", 1),
			     c = digest_of("x\r\ny", 2), d = digest_of("x\r\n\ry\r\n", 1);

	(void)state;
	assert_int_equal(a.count, 6);
	assert_int_equal(b.count, 8);
	assert_memory_not_equal(a.exact, b.exact, 32);
	assert_memory_equal(a.plain, b.plain, 32);
	assert_memory_equal(a.plain, c.plain, 32);
	assert_memory_not_equal(a.plain, d.plain, 32);
}

static void
fill(struct pop3listing *l, const char *uidls)
{
	struct pst_err err;

	*l = (struct pop3listing){ .has_uidls = true };
	pst_buf_init(&l->text, 1000);
	l->count = (uint32_t)strlen(uidls);
	l->all = calloc(l->count + 1, sizeof(*l->all));
	assert_int_equal(pst_buf_add(&l->text, pst_str_c(uidls), &err), 0);
	for (uint32_t i = 0; i < l->count; i++)
		l->all[i] = (struct pop3entry){ .uidl = i, .uidl_octets = 1, .is_valid = true };
}

/* with: a place, or '-'; then '<' for one that moved, '"' for one that is repeated. */
static void
check_pairs(const char *a, const char *b, const char *expected)
{
	struct pop3listing old, new;
	struct pairs p;
	char text[64] = "";
	size_t n = 0;
	uint32_t i;

	fill(&old, a);
	fill(&new, b);
	pairs_make(&p, &old, &new);
	for (i = 0; i < old.count; i++) {
		const struct pair *pair = &p.of_old[i];

		text[n++] = pair->with == PAIRS_NONE ? '-' : (char)('0' + pair->with);
		if (pair->is_moved)
			text[n++] = '<';
		if (pair->is_repeated)
			text[n++] = '"';
		if (pair->with != PAIRS_NONE)
			assert_int_equal(p.of_new[pair->with].with, i);
	}
	assert_string_equal(text, expected);
	pairs_clear(&p);
	pop3listing_clear(&old);
	pop3listing_clear(&new);
}

static void
test_as_few_messages_as_can_be_count_as_moved(void **state)
{
	(void)state;
	check_pairs("abcde", "abcde", "01234");
	check_pairs("abcde", "bcdea", "4<0123");
	check_pairs("abcde", "eabcd", "12340<");
	check_pairs("abcde", "acde", "0-123");
	check_pairs("abc", "axc", "012"); /* by place: another UIDL */
	check_pairs("aab", "axb", "01\"2");
	check_pairs("abc", "", "---");
	check_pairs("", "abc", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_header_is_the_same_with_other_line_ends_and_without_what_stores_write),
		cmocka_unit_test(test_fields_of_stores_are_counted_as_they_are_sent),
		cmocka_unit_test(
			test_order_and_uidls_are_the_old_servers_and_what_is_only_here_comes_behind),
		cmocka_unit_test(test_equal_messages_are_taken_in_their_order),
		cmocka_unit_test(test_sizes_that_old_servers_get_wrong_do_not_hide_a_message),
		cmocka_unit_test(test_no_message_gets_a_uidl_that_the_old_server_shows_for_another),
		cmocka_unit_test(test_what_was_taken_over_stays_when_it_is_done_again),
		cmocka_unit_test(test_nothing_on_either_side_is_no_fault),
		cmocka_unit_test(test_digests_tell_line_ends_apart_and_then_do_not),
		cmocka_unit_test(test_as_few_messages_as_can_be_count_as_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
