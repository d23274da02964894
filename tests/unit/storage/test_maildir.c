/* SPDX-License-Identifier: MIT */
/* A Maildir that nobody changes meanwhile: what is listed, with which size and UIDL, in which order,
 * and what comes out. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/storage/kit.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void
assert_listing(const struct pst_maildrop *d, const char *want)
{
	char *got = kit_listing(d);

	assert_string_equal(got, want);
	free(got);
}

static void
assert_lists(struct kit *k, const char *want)
{
	struct pst_maildrop *d = kit_open(k);

	assert_listing(d, want);
	drop_close(d);
}

/* ---- Octets ---- */

static const struct body {
	const char *name;
	struct pst_str stored, wire; /* wire without the ending dot */
} bodies[] = {
	{ "lf", PST_LIT("A: b\n\ntext\n"), PST_LIT("A: b\r\n\r\ntext\r\n") },
	{ "crlf", PST_LIT("A: b\r\n\r\ntext\r\n"), PST_LIT("A: b\r\n\r\ntext\r\n") },
	{ "mixed", PST_LIT("A: b\r\n\ntext\r\nx\n"), PST_LIT("A: b\r\n\r\ntext\r\nx\r\n") },
	{ "bare-cr", PST_LIT("A: b\n\na\rb\r\r\nc\r"), PST_LIT("A: b\r\n\r\na\rb\r\r\nc\r\r\n") },
	{ "nul", PST_LIT("A: b\n\na\0b\0\n"), PST_LIT("A: b\r\n\r\na\0b\0\r\n") },
	{ "8-bit", PST_LIT("A: \xfc\n\n\xff\xfe\n"), PST_LIT("A: \xfc\r\n\r\n\xff\xfe\r\n") },
	{ "no-newline", PST_LIT("A: b\n\ntext"), PST_LIT("A: b\r\n\r\ntext\r\n") },
	{ "empty", PST_LIT(""), PST_LIT("") },
	{ "newline", PST_LIT("\n"), PST_LIT("\r\n") },
	{ "no-blank", PST_LIT("A: b\n"), PST_LIT("A: b\r\n") },
	{ "dots", PST_LIT(".\n..\n.a\n."), PST_LIT("..\r\n...\r\n..a\r\n..\r\n") },
};

static uint64_t
unstuffed(struct pst_str wire)
{
	uint64_t n = wire.n;
	size_t i;

	for (i = 0; i + 1 < wire.n; i++)
		if (wire.p[i] == '.' && (i == 0 || wire.p[i - 1] == '\n'))
			n--;
	return n;
}

static void
assert_body(struct pst_maildrop *d, uint32_t idx, const struct body *b)
{
	struct pst_err err;
	size_t n;
	char *wire = kit_fetch(d, idx, &n, &err);

	assert_non_null(wire);
	assert_int_equal(n, b->wire.n + 3);
	assert_memory_equal(wire, b->wire.p, b->wire.n);
	assert_memory_equal(wire + n - 3, ".\r\n", 3);
	assert_int_equal(kit_message(d, idx).size_octets, unstuffed(b->wire));
	free(wire);
}

static void
test_each_form_of_body_has_its_size_on_the_wire(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	char name[64];
	size_t i;
	int round;

	for (i = 0; i < COUNT(bodies); i++) {
		(void)snprintf(name, sizeof(name), "17%02zu.%s:2,", i, bodies[i].name);
		kit_put(k, i % 2 != 0 ? "new" : "cur", name, bodies[i].stored.p,
		        bodies[i].stored.n);
	}
	for (round = 0; round < 2; round++) { /* from the mail, from the index */
		d = kit_open(k);
		assert_int_equal(drop_count(d), COUNT(bodies));
		for (i = 0; i < COUNT(bodies); i++)
			assert_body(d, (uint32_t)i, &bodies[i]);
		drop_close(d);
	}
	assert_int_equal(k->measured, COUNT(bodies));
	assert_int_equal(k->warned, 0);
}

static void
test_line_of_100_kb_keeps_its_octets(void **state)
{
	struct kit *k = *state;
	const size_t n = 100 * 1024;
	char *text = malloc(n);
	struct pst_maildrop *d;

	memset(text, 'x', n);
	kit_put(k, "new", "1.long", text, n);
	memset(text, '\n', n);
	kit_put(k, "new", "2.lines", text, n);
	d = kit_open(k);
	assert_int_equal(kit_message(d, 0).size_octets, n + 2);
	assert_int_equal(kit_message(d, 1).size_octets, 2 * n);
	drop_close(d);
	free(text);
}

/* Other servers believe these, and send empty bodies or refuse the whole maildrop. */
static void
test_size_in_a_name_is_not_believed(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "new", "1.a,S=1", "12345\n");
	kit_puts(k, "new", "2.b,S=0", "12345\n");
	kit_puts(k, "new", "3.c,S=6,W=9", "12345\n");
	kit_puts(k, "new", "4.d,S=10,W=12", "12345\n");
	kit_puts(k, "new", "5.e,S=", "12345\n");
	assert_lists(k, "1.a,S=1 7\n2.b,S=0 7\n3.c,S=6,W=9 7\n4.d,S=10,W=12 7\n5.e,S= 7\n");
	assert_string_equal(k->last_event, "maildir.wrong_size_in_name");
	assert_non_null(strstr(k->last_text, "files=4"));
}

static void
test_size_beyond_32_bits_is_whole(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct index ix;
	struct pst_err err;
	struct pst_body body;
	char path[512];

	/* Sparse; and in the index as if it had been read, for reading 5 GB of zeros takes a while. */
	kit_puts(k, "new", "1.big", "x");
	drop_close(kit_open(k));
	kit_path(k, "new/1.big", path);
	assert_int_equal(truncate(path, INT64_C(5) << 30), 0);
	assert_true(kit_load_index(k, &ix));
	memset((char *)ix.mem.p + ix.head_octets, 0, 16);
	((uint8_t *)ix.mem.p)[ix.head_octets + 4] = 1; /* 5 GiB + 2 on the wire */
	((uint8_t *)ix.mem.p)[ix.head_octets + 3] = 0x40;
	((uint8_t *)ix.mem.p)[ix.head_octets + 0] = 2;
	((uint8_t *)ix.mem.p)[ix.head_octets + 8 + 4] = 1; /* 5 GiB stored */
	((uint8_t *)ix.mem.p)[ix.head_octets + 8 + 3] = 0x40;
	kit_save_index(k, &ix);
	index_clear(&ix);
	d = kit_open(k);
	assert_true(kit_message(d, 0).size_octets == (UINT64_C(5) << 30) + 2);
	assert_int_equal(drop_fetch(d, 0, 0, &body, &err), PST_FETCH_OK);
	assert_true(body.length == UINT64_C(5) << 30);
	close(body.fd);
	drop_close(d);
}

/* ---- Names ---- */

static void
test_listing_is_in_order_with_uidls_of_base_names(void **state)
{
	struct kit *k = *state;

	kit_puts(k, "cur", "1700000002.M1P1.h:2,S", "a\n");
	kit_puts(k, "new", "1700000001.M20P1.h", "ab\n");
	kit_puts(k, "new", "1700000001.M3P1.h:2,", "abc\n");
	kit_puts(k, "cur", "plain", "abcd\n");
	kit_puts(k, "cur", "1699999999.x,S=5,W=6:2,FRS", "abcde\n");
	assert_lists(k, "plain 6\n"
	                "1699999999.x,S=5,W=6 7\n"
	                "1700000001.M3P1.h 5\n"
	                "1700000001.M20P1.h 4\n"
	                "1700000002.M1P1.h 3\n");
}

static void
test_names_of_any_octets_are_listed_with_a_digest(void **state)
{
	/* sha256sum of "", "a b", 255 times 'n', and 0xFF 0x0A 0x01 */
	static const char *const uidls[] = {
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4",
		"sha256:c8687a08aa5d6ed2044328fa6a697ab8e96dc342",
		"sha256:3bb555e4ed3e8c6e1818a52c8917ddaa25e9333e",
		"sha256:6e4e4de5946c5cd5a0cf792de022e1fb1a8e2a7d",
	};
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	char longest[256];
	size_t i, n;

	memset(longest, 'n', 255);
	longest[255] = '\0';
	kit_puts(k, "new", ":2,S", "1\n");
	kit_puts(k, "new", "a b", "12\n");
	kit_puts(k, "cur", longest, "123\n");
	kit_puts(k, "cur", "\xff\n\x01:2,", "1234\n");
	d = kit_open(k);
	assert_int_equal(drop_count(d), 4);
	for (i = 0; i < 4; i++) {
		struct pst_message m = kit_message(d, (uint32_t)i);
		char *wire = kit_fetch(d, (uint32_t)i, &n, &err);

		assert_non_null(wire);
		free(wire);
		assert_int_equal(m.size_octets, 3 + i);
		if (!pst_str_eq(m.uidl, pst_str_c(uidls[i])))
			fail_msg("%zu: %.*s", i, PST_ARG(m.uidl));
	}
	drop_close(d);
}

static void
test_what_is_no_message_is_not_listed(void **state)
{
	struct kit *k = *state;
	char path[512], target[512];

	kit_puts(k, "new", "1.mail", "x\n");
	kit_puts(k, "new", ".hidden", "x\n");
	kit_puts(k, "cur", "..odd", "x\n");
	kit_path(k, "new/folder", path);
	assert_int_equal(mkdir(path, 0700), 0);
	kit_path(k, "new/fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	kit_path(k, "new/1.mail", target);
	kit_path(k, "cur/link", path);
	assert_int_equal(symlink(target, path), 0);
	kit_path(k, ".Sent", path); /* a subfolder, with mail */
	assert_int_equal(mkdir(path, 0700), 0);
	kit_path(k, ".Sent/cur", path);
	assert_int_equal(mkdir(path, 0700), 0);
	kit_puts(k, ".Sent/cur", "9.sent:2,S", "x\n");
	assert_lists(k, "1.mail 3\n");
	assert_lists(k, "1.mail 3\n");
	assert_int_equal(k->warned, 0);
}

/* ---- Folders ---- */

static void
test_maildir_that_is_not_there_is_empty_and_is_not_made(void **state)
{
	struct kit *k = *state;
	struct pst_maildrop *d;
	struct stat st;
	uint32_t removed = 9;
	struct pst_err err;

	kit_remove_tree(k->maildir);
	d = kit_open(k);
	assert_int_equal(drop_count(d), 0);
	assert_int_equal(drop_commit(d, NULL, 0, &removed, &err), 0);
	assert_int_equal(removed, 0);
	drop_close(d);
	assert_int_not_equal(stat(k->maildir, &st), 0);
	assert_int_equal(mkdir(k->maildir, 0700), 0);
	assert_lists(k, ""); /* neither new/ nor cur/ */
	assert_lists(k, "");
}

static void
test_maildir_with_one_of_the_folders_is_listed(void **state)
{
	struct kit *k = *state;
	char path[512];

	kit_puts(k, "cur", "1.a:2,", "x\n");
	kit_path(k, "new", path);
	assert_int_equal(rmdir(path), 0);
	assert_lists(k, "1.a 3\n");
	assert_lists(k, "1.a 3\n");
	assert_int_equal(mkdir(path, 0700), 0); /* noticed when it comes */
	kit_puts(k, "new", "2.b", "x\n");
	assert_lists(k, "1.a 3\n2.b 3\n");
}

static void
assert_open_fails(struct kit *k, enum pst_err_kind kind)
{
	struct pst_maildrop *d;
	struct pst_err err;

	assert_int_equal(kit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, kind);
	assert_non_null(strstr(err.text, "Maildir"));
}

static void
test_maildir_that_is_something_else_is_refused(void **state)
{
	struct kit *k = *state;
	char path[512], other[512];

	kit_path(k, "cur", path);
	kit_path(k, "other", other);
	assert_int_equal(rename(path, other), 0);
	kit_spew(path, "", 0);
	assert_open_fails(k, PST_E_PERM); /* cur is a file */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_open_fails(k, PST_E_PERM); /* cur is a symbolic link */
	kit_remove_tree(k->maildir);
	kit_spew(k->maildir, "", 0);
	assert_open_fails(k, PST_E_PERM);
	assert_int_equal(unlink(k->maildir), 0);
}

static void
test_maildir_with_too_many_messages_is_refused(void **state)
{
	struct kit *k = *state;
	char name[32];
	int i;

	for (i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "%d.m", i);
		kit_puts(k, "new", name, "x\n");
	}
	k->conf.max_messages = 4;
	assert_open_fails(k, PST_E_PERM);
	assert_open_fails(k, PST_E_PERM); /* from the index */
	k->conf.max_messages = 5;
	assert_lists(k, "0.m 3\n1.m 3\n2.m 3\n3.m 3\n4.m 3\n");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(test_each_form_of_body_has_its_size_on_the_wire),
		T(test_line_of_100_kb_keeps_its_octets),
		T(test_size_in_a_name_is_not_believed),
		T(test_size_beyond_32_bits_is_whole),
		T(test_listing_is_in_order_with_uidls_of_base_names),
		T(test_names_of_any_octets_are_listed_with_a_digest),
		T(test_what_is_no_message_is_not_listed),
		T(test_maildir_that_is_not_there_is_empty_and_is_not_made),
		T(test_maildir_with_one_of_the_folders_is_listed),
		T(test_maildir_that_is_something_else_is_refused),
		T(test_maildir_with_too_many_messages_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
