/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/storage/mboxkit.h"

#define FROM "From a@example.test Thu Nov  9 22:06:57 2023\n"

/* ---- Octets ---- */

static const struct {
	const char *file;
	const char *wire[4]; /* what RETR sends, message by message */
} files[] = {
	{ "", { NULL } },
	{ "\n\n", { NULL } },
	{ FROM "A: 1\n\nbody\n\n", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\n\nbody\n", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\n\nbody", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\n\nbody\n\n\n", { "A: 1\r\n\r\nbody\r\n\r\n" } },
	{ "\n\n" FROM "A: 1\n\nbody\n\n", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\n\nx\n\n" FROM "B: 2\n\ny\n\n", { "A: 1\r\n\r\nx\r\n", "B: 2\r\n\r\ny\r\n" } },
	{ FROM "A: 1\n\nx\n\n\n\n" FROM "B: 2\n\ny\n",
	  { "A: 1\r\n\r\nx\r\n\r\n\r\n", "B: 2\r\n\r\ny\r\n" } },
	/* the empty line of the header is the message's */
	{ FROM "A: 1\n\n" FROM "B: 2\n\n", { "A: 1\r\n\r\n", "B: 2\r\n\r\n" } },
	{ FROM "A: 1\n\n\n" FROM "B: 2\n\n\n", { "A: 1\r\n\r\n", "B: 2\r\n\r\n" } },
	{ FROM "A: 1\n", { "A: 1\r\n" } },
	{ FROM, { "" } },
	/* CRLF, both, neither */
	{ "From a Thu Nov  9 22:06:57 2023\r\nA: 1\r\n\r\nx\r\n\r\nFrom b Thu Nov  9 22:06:57 2023\r\n"
	  "B: 2\r\n\r\ny\r\n\r\n",
	  { "A: 1\r\n\r\nx\r\n", "B: 2\r\n\r\ny\r\n" } },
	{ FROM "A: 1\r\n\nx\r\ny\n\r\n" FROM "B: 2\n\n\r\r\nz\r",
	  { "A: 1\r\n\r\nx\r\ny\r\n", "B: 2\r\n\r\n\r\r\nz\r\r\n" } },
	/* quoting stays, and what only looks like a From_ line is text */
	{ FROM "A: 1\n\n>From me\n\nFrom here to there\nx\n\n",
	  { "A: 1\r\n\r\n>From me\r\n\r\nFrom here to there\r\nx\r\n" } },
	{ FROM "A: 1\n\nx\n" FROM "no empty line before it\n\n",
	  { "A: 1\r\n\r\nx\r\nFrom a@example.test Thu Nov  9 22:06:57 2023\r\n"
	    "no empty line before it\r\n" } },
	/* hidden headers */
	{ FROM "Status: RO\nA: 1\nX-UID: 7\n\nbody\n\n", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\r\nX-Keywords: \r\n\r\nbody\r\n\r\n", { "A: 1\r\n\r\nbody\r\n" } },
	{ FROM "A: 1\nStatus: RO", { "A: 1\r\n" } },
	{ FROM "Status: RO\n", { "" } },
	/* Content-Length: right, wrong, absurd */
	{ FROM "Content-Length: 68\nA: 1\n\nx\n\n" FROM "still the body\n\n" FROM "B: 2\n\ny\n\n",
	  { "A: 1\r\n\r\nx\r\n", "still the body\r\n\r\n", "B: 2\r\n\r\ny\r\n" } },
	{ FROM "Content-Length: 63\nA: 1\n\nx\n\n" FROM "still the body\n\n" FROM "B: 2\n\ny\n\n",
	  { "A: 1\r\n\r\nx\r\n\r\nFrom a@example.test Thu Nov  9 22:06:57 2023\r\nstill the body\r\n",
	    "B: 2\r\n\r\ny\r\n" } },
	{ FROM "Content-Length: 18446744073709551615\nA: 1\n\nx\n\n", { "A: 1\r\n\r\nx\r\n" } },
	{ FROM "Content-Length: 4\nA: 1\n\nabcd", { "A: 1\r\n\r\nabcd\r\n" } },
	{ FROM "Content-Length: 3\nA: 1\n\nabc\n\n" FROM "\ny\n",
	  { "A: 1\r\n\r\nabc\r\n", "\r\ny\r\n" } },
	/* the folder's own note */
	{ FROM
	  "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 9 3\n\nx\n\n" FROM
	  "B: 2\n\ny\n\n",
	  { "B: 2\r\n\r\ny\r\n" } },
};

static void
test_octets_of_every_kind_of_file(void **state)
{
	struct mboxkit *k = *state;
	struct pst_err err;
	size_t i, j, n;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct pst_maildrop *d;

		mboxkit_puts(k, files[i].file);
		d = mboxkit_open(k);
		for (j = 0; j < 4 && files[i].wire[j] != NULL; j++) {
			char *wire = mboxkit_fetch(d, (uint32_t)j, &n, &err);

			assert_non_null(wire);
			if (strcmp(wire, files[i].wire[j]) != 0)
				fail_msg("file %zu message %zu: \"%s\"", i, j, wire);
			free(wire);
		}
		assert_int_equal(mbox_count(d), j);
		mbox_close(d);
	}
}

/* What ends a header and what only parts two messages is the mbox's to say; and it is remembered. */
static void
test_header_without_end_is_told_and_remembered(void **state)
{
	static const struct {
		const char *file, *ends; /* a letter for each message: n, it has none */
	} mails[] = {
		{ FROM "A: 1\n\n" FROM "B: 2\n", "yn" },
		{ FROM "A: 1\n\n" FROM "B: 2\n\n", "yy" },
		{ FROM "A: 1\n\n" FROM "B: \xc3\xbc", "yn" },
		{ FROM "A: \xc3\xbc\n\n" FROM, "yn" },
		{ FROM "A: 1\n\n" FROM "Status: RO\n", "yn" },
		{ FROM "A: 1\n\n" FROM "Status: RO\n\n", "yy" },
		/* added from elsewhere: the empty line behind the first one is not its own */
		{ FROM "X-Postern-Octets: 5 a\nA: 1\n\n" FROM "X-Postern-Octets: 6 b\nB: 2\n\n\n",
		  "ny" },
		{ FROM "X-Postern-Octets: 0 a\n\n" FROM "X-Postern-Octets: 1 b\n\n\n", "ny" },
	};
	struct mboxkit *k = *state;
	size_t i, j, look;

	for (i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		mboxkit_clear(k);
		mboxkit_puts(k, mails[i].file);
		for (look = 0; look < 2; look++) {
			struct pst_maildrop *d = mboxkit_open(k);

			assert_int_equal(mbox_count(d), strlen(mails[i].ends));
			for (j = 0; mails[i].ends[j] != '\0'; j++) {
				struct pst_message m = { .size_octets = 0 };
				struct pst_err err;
				size_t n;

				mbox_message_of(d, (uint32_t)j, &m);
				if (m.has_no_header_end != (mails[i].ends[j] == 'n'))
					fail_msg("file %zu message %zu look %zu", i, j, look);
				free(mboxkit_fetch(d, (uint32_t)j, &n, &err)); /* compares */
			}
			mbox_close(d);
		}
	}
}

static void
test_nul_and_eight_bits_are_octets(void **state)
{
	static const char file[] = FROM "A: 1\n\n\0\xff\0\n\xc3\xa4\n\n";
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	char *wire;
	size_t n;

	mboxkit_write(k, file, sizeof(file) - 1);
	d = mboxkit_open(k);
	wire = mboxkit_fetch(d, 0, &n, &err);
	assert_int_equal(n, 17);
	assert_memory_equal(wire, "A: 1\r\n\r\n\0\xff\0\r\n\xc3\xa4\r\n", 17);
	free(wire);
	mbox_close(d);
}

/* Lines and messages of all lengths around the ends of the reader's buffer. */
static void
test_octets_around_the_ends_of_buffers(void **state)
{
	static const size_t lengths[] = { 65535 - 60, 262144 - 70, 262144 - 64, 262144, 600000 };
	struct mboxkit *k = *state;
	char *file = malloc(2000000), *wire;
	struct pst_err err;
	size_t i, off, n;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (off = 0; off < 40; off++) {
			size_t body = lengths[i] + off, at = sizeof(FROM "A: 1\n\n") - 1;
			struct pst_maildrop *d;

			memcpy(file, FROM "A: 1\n\n", at);
			memset(file + at, 'x', body);
			at += body;
			n = (size_t)snprintf(file + at, 200, "\r\n\r\n%sB: 2\n\ny\n", FROM);
			mboxkit_write(k, file, at + n);
			d = mboxkit_open(k);
			assert_int_equal(mbox_count(d), 2);
			wire = mboxkit_fetch(d, 0, &n, &err);
			assert_int_equal(n, 8 + body + 2);
			free(wire);
			wire = mboxkit_fetch(d, 1, &n, &err);
			assert_string_equal(wire, "B: 2\r\n\r\ny\r\n");
			free(wire);
			mbox_close(d);
		}
	free(file);
}

static void
test_what_is_no_mbox_is_refused(void **state)
{
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;

	mboxkit_puts(k, "Dear diary\n");
	assert_int_equal(mboxkit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_int_equal(unlink(k->path), 0);
	assert_int_equal(mkdir(k->path, 0700), 0);
	assert_int_equal(mboxkit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_int_equal(rmdir(k->path), 0);
	assert_int_equal(symlink("/etc/passwd", k->path), 0);
	assert_int_equal(mboxkit_try_open(k, &d, &err), -1);
	assert_int_equal(err.kind, PST_E_PERM);
	assert_int_equal(unlink(k->path), 0);
}

static void
test_absent_file_is_an_empty_maildrop_and_stays_absent(void **state)
{
	struct mboxkit *k = *state;
	char *listing;

	(void)unlink(k->path);
	listing = mboxkit_listing(k);
	assert_string_equal(listing, "");
	assert_int_equal(access(k->path, F_OK), -1);
	free(listing);
}

/* ---- UIDLs ---- */

static char *
make_mail(unsigned number, const char *more)
{
	static char text[400];

	(void)snprintf(text, sizeof(text), FROM "Subject: %u\n%s\ntext %u\n\n", number, more,
	               number);
	return text;
}

static void
drop_index(const struct mboxkit *k)
{
	char name[600];

	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index", k->root);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/.mbox.postern.index.spare", k->root);
	(void)unlink(name);
}

static void
test_uidls_stay_whatever_happens_to_private_headers_and_the_index(void **state)
{
	struct mboxkit *k = *state;
	char *first, *again;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	first = mboxkit_listing(k);
	mboxkit_puts(k, make_mail(1, "Status: RO\nX-UID: 1\n"));
	mboxkit_adds(k, make_mail(2, "X-Status: A\n"));
	again = mboxkit_listing(k);
	assert_string_equal(again, first); /* also their octets */
	free(again);
	drop_index(k);
	again = mboxkit_listing(k);
	assert_string_equal(again, first);
	free(again);
	free(first);
}

static void
test_uidls_of_equal_messages_differ_and_stay(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t second = 1;
	char *listing, *again;
	char one[80], two[80], three[80];
	struct pst_err err;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(1, ""));
	listing = mboxkit_listing(k);
	assert_int_equal(sscanf(listing, "%79s %*d %79s %*d %79s", one, two, three), 3);
	assert_string_not_equal(one, two);
	assert_string_not_equal(two, three);
	assert_int_equal(mboxkit_remove(k, &second, 1, &err), 0);
	again = mboxkit_listing(k);
	assert_null(strstr(again, two));
	assert_non_null(strstr(again, three)); /* it does not become the second */
	free(listing);
	free(again);
}

static void
test_uidls_that_another_server_showed(void **state)
{
	static const struct {
		const char *uidl, *want;
	} cases[] = {
		{ "dovecot", "0000000500001000 " },
		{ "uw", "0000100000000005 " },
		{ "cyrus", "4096.5 " },
		{ "x_uidl", "old-one " },
	};
	struct mboxkit *k = *state;
	size_t i;

	for (i = 0; i < 4; i++) {
		char *listing, *second;

		drop_index(k);
		mboxkit_policy(k, cases[i].uidl);
		mboxkit_puts(
			k,
			make_mail(1, "X-IMAPbase: 4096 0000000006\nX-UID: 5\nX-UIDL: old-one\n"));
		mboxkit_adds(k, make_mail(2, "X-UID: 5\nX-UIDL: old-one\n")); /* forged */
		mboxkit_adds(k, make_mail(3, "X-UID: 7\nX-UIDL: a b\n")); /* too high; no UIDL */
		listing = mboxkit_listing(k);
		assert_memory_equal(listing, cases[i].want, strlen(cases[i].want));
		second = strchr(listing, '\n') + 1;
		assert_int_equal(strcspn(second, " "), MBOX_IDENTITY);
		second = strchr(second, '\n') + 1;
		assert_int_equal(strcspn(second, " "), MBOX_IDENTITY);
		free(listing);
	}
	mboxkit_policy(k, "digest");
	mboxkit_adds(k, make_mail(4, ""));
	{
		char *listing = mboxkit_listing(k); /* shown once, it stays */

		assert_memory_equal(listing, "old-one ", 8);
		free(listing);
	}
}

/* ---- Changes ---- */

static void
test_deliveries_while_a_session_is_open(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t idx[] = { 0, 2 };
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t removed, i;
	char *text, *wire;
	size_t n;

	mboxkit_puts(k, make_mail(1, ""));
	for (i = 2; i <= 4; i++)
		mboxkit_adds(k, make_mail(i, ""));
	d = mboxkit_open(k);
	mboxkit_adds(k, make_mail(5, ""));
	assert_int_equal(mbox_count(d), 4);
	for (i = 0; i < 4; i++) {
		wire = mboxkit_fetch(d, i, &n, &err);
		assert_non_null(wire);
		assert_int_equal(wire[9] - '0', i + 1);
		free(wire);
	}
	assert_int_equal(mbox_commit(d, idx, 2, &removed, &err), 0);
	assert_int_equal(removed, 2);
	mbox_close(d);
	text = mboxkit_text(k);
	assert_null(strstr(text, "text 1"));
	assert_non_null(strstr(text, "text 2"));
	assert_null(strstr(text, "text 3"));
	assert_non_null(strstr(text, "text 4"));
	assert_non_null(strstr(text, "text 5"));
	free(text);
}

/* No lock is held when a message is fetched: a delivery may be at any octet. */
static void
test_a_delivery_that_is_being_written(void **state)
{
	static const char delivery[] =
		"From b@example.test Sun Nov 22 06:00:00 2026\nSubject: n\n\n";
	struct mboxkit *k = *state;
	struct pst_maildrop *d;
	struct pst_err err;
	size_t i, n;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	d = mboxkit_open(k);
	for (i = 0; i < sizeof(delivery) - 1; i++) {
		char *wire;

		mboxkit_append(k, delivery + i, 1);
		wire = mboxkit_fetch(d, 1, &n, &err);
		if (wire == NULL)
			fail_msg("octet %zu: %s", i, err.text);
		free(wire);
	}
	mbox_close(d);
}

/* Another program removes the first message while a session is open. */
static void
test_messages_that_moved_are_refused_and_removed_where_they_are(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t idx[] = { 0, 2 };
	struct pst_maildrop *d;
	struct pst_err err;
	uint32_t removed;
	char *text, *before, *after;
	size_t n;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, "X: longer\n"));
	mboxkit_adds(k, make_mail(3, ""));
	mboxkit_adds(k, make_mail(4, ""));
	d = mboxkit_open(k);
	before = mboxkit_listing_of(d);
	mboxkit_puts(k, make_mail(2, "X: longer\n"));
	mboxkit_adds(k, make_mail(3, ""));
	mboxkit_adds(k, make_mail(4, ""));
	assert_null(mboxkit_fetch(d, 1, &n, &err));
	assert_int_equal(err.kind, PST_E_TEMP);
	assert_int_equal(mbox_commit(d, idx, 2, &removed, &err), 0);
	assert_int_equal(removed, 2);
	mbox_close(d);
	text = mboxkit_text(k);
	assert_non_null(strstr(text, "text 2"));
	assert_null(strstr(text, "text 3"));
	assert_non_null(strstr(text, "text 4"));
	after = mboxkit_listing(k);
	assert_memory_equal(after, strchr(before, '\n') + 1,
	                    strcspn(strchr(before, '\n') + 1, "\n"));
	free(text);
	free(before);
	free(after);
}

static void
test_only_what_came_is_read(void **state)
{
	struct mboxkit *k = *state;
	char *before, *after;
	unsigned i;

	mboxkit_puts(k, make_mail(1, ""));
	for (i = 2; i < 40; i++)
		mboxkit_adds(k, make_mail(i, ""));
	before = mboxkit_listing(k);
	mboxkit_adds(k, make_mail(99, ""));
	after = mboxkit_listing(k);
	assert_memory_equal(after, before, strlen(before));
	assert_int_equal(strlen(after), strlen(before) + 32 + 4);
	free(before);
	free(after);
}

static void
test_removing_all_and_again_from_nothing(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t idx[] = { 0, 1 };
	struct pst_err err;
	char *text, *listing;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	assert_int_equal(mboxkit_remove(k, idx, 2, &err), 0);
	text = mboxkit_text(k);
	assert_string_equal(text, "");
	free(text);
	listing = mboxkit_listing(k);
	assert_string_equal(listing, "");
	free(listing);
	mboxkit_adds(k, make_mail(3, ""));
	listing = mboxkit_listing(k);
	assert_int_not_equal(strlen(listing), 0);
	free(listing);
}

static void
test_mode_owner_and_inode_stay(void **state)
{
	struct mboxkit *k = *state;
	const uint32_t first = 0;
	struct stat before, after;
	struct pst_err err;

	mboxkit_puts(k, make_mail(1, ""));
	mboxkit_adds(k, make_mail(2, ""));
	assert_int_equal(chmod(k->path, 0640), 0);
	assert_int_equal(stat(k->path, &before), 0);
	assert_int_equal(mboxkit_remove(k, &first, 1, &err), 0);
	assert_int_equal(stat(k->path, &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
	assert_true(after.st_size * 2 == before.st_size);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, mboxkit_set_up, mboxkit_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_octets_of_every_kind_of_file),
		TEST(test_header_without_end_is_told_and_remembered),
		TEST(test_nul_and_eight_bits_are_octets),
		TEST(test_octets_around_the_ends_of_buffers),
		TEST(test_what_is_no_mbox_is_refused),
		TEST(test_absent_file_is_an_empty_maildrop_and_stays_absent),
		TEST(test_uidls_stay_whatever_happens_to_private_headers_and_the_index),
		TEST(test_uidls_of_equal_messages_differ_and_stay),
		TEST(test_uidls_that_another_server_showed),
		TEST(test_deliveries_while_a_session_is_open),
		TEST(test_a_delivery_that_is_being_written),
		TEST(test_messages_that_moved_are_refused_and_removed_where_they_are),
		TEST(test_only_what_came_is_read),
		TEST(test_removing_all_and_again_from_nothing),
		TEST(test_mode_owner_and_inode_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
