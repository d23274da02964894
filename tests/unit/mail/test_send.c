/* SPDX-License-Identifier: MIT */
/* Long replies: exact to the octet, in bounded memory, whatever the client reads and when; and never
 * whole where the stored message is not what the listing said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/session.h"
#include "tests/unit/mail/harness.h"
#include "tests/unit/pop3/naive_body.h"

#define REFUSED "-ERR [SYS/TEMP] temporary failure, try again later\r\n"

static int
setup(void **state)
{
	struct harness *h = pst_new(struct harness);

	harness_init(h);
	*state = h;
	return 0;
}

static int
teardown(void **state)
{
	harness_clear(*state);
	free(*state);
	return 0;
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Lines of all lengths and ends, many with a dot in front. The caller frees p. */
static struct pst_str
make_mail(size_t n, uint32_t seed)
{
	char *p = malloc(n);
	size_t at = 0;

	while (at < n) {
		uint32_t r = next_random(&seed);
		size_t len = r % 200 == 0 ? 5000 : r % 80;

		if (r % 5 == 0)
			p[at++] = '.';
		for (; len > 0 && at < n; len--)
			p[at++] = (char)('a' + next_random(&seed) % 26);
		if (at < n && r % 3 == 0)
			p[at++] = '\r';
		if (at < n)
			p[at++] = '\n';
	}
	return (struct pst_str){ p, n };
}

/* A session whose client takes little at a time: the server's side fills up again and again. */
static void
start_slow(struct harness *h)
{
	int ends[2], octets = 5000;

	harness_pair(ends);
	assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets)), 0);
	harness_start_on(h, ends, (struct pst_str){ "", 0 });
	harness_skip_line(h);
}

static void
start_fast(struct harness *h)
{
	harness_start(h);
	harness_skip_line(h);
}

/* "+OK …" and the body's wire form, and nothing else. */
static void
expect_body(struct harness *h, const char *first, struct pst_str stored, uint64_t lines)
{
	struct naive_reply r = naive_body(stored.p, stored.n, lines);

	harness_expect(h, first);
	harness_expect_octets(h, r.n);
	assert_int_equal(h->got.len, r.n);
	assert_memory_equal(h->got.data, r.p, r.n);
	pst_buf_take(&h->got, r.n);
	free(r.p);
}

static void
test_large_message_is_exact_for_a_fast_and_for_a_slow_client(void **state)
{
	static const size_t sizes[] = { 65535, 65536, 65537, 200000, 3000000 };
	struct harness *h = *state;
	size_t i;
	int slow, waits;

	for (i = 0; i < 5; i++) {
		struct pst_str mail = make_mail(sizes[i], (uint32_t)i);
		struct fake_message *m = fake_add(&h->fake, mail);
		char line[64], first[64];

		snprintf(line, sizeof(line), "RETR %u\r\n", h->fake.n);
		snprintf(first, sizeof(first), "+OK %llu octets\r\n",
		         (unsigned long long)m->size_octets);
		for (slow = 0; slow < 2; slow++) {
			for (waits = 0; waits < 2; waits++) {
				m->waits = waits;
				if (slow)
					start_slow(h);
				else
					start_fast(h);
				harness_send(h, pst_str_c(line), SIZE_MAX);
				expect_body(h, first, mail, NAIVE_RETR);
				harness_say(h, "NOOP", "+OK\r\n");
				harness_hang_up(h);
			}
		}
		free((char *)(uintptr_t)mail.p);
	}
}

/* The client that hangs on NULs is sent 0x80 instead, as many octets; another one what is stored. */
static void
test_nuls_are_hidden_on_demand_and_sizes_stay(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(300000, 7);
	char *text = malloc(mail.n);
	size_t i;
	int slow, hides;

	memcpy(text, mail.p, mail.n);
	for (i = 11; i < mail.n; i += 97)
		if (text[i] != '\r' && text[i] != '\n')
			text[i] = '\0';
	fake_add(&h->fake, (struct pst_str){ text, mail.n });
	for (slow = 0; slow < 2; slow++)
		for (hides = 0; hides < 2; hides++) {
			char *seen = malloc(mail.n);
			char line[64];

			for (i = 0; i < mail.n; i++)
				seen[i] = hides && text[i] == '\0' ? (char)0x80 : text[i];
			h->mail.limits.hides_nuls = hides;
			(slow ? start_slow : start_fast)(h);
			harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
			snprintf(line, sizeof(line), "+OK %llu octets\r\n",
			         (unsigned long long)h->fake.v[3].size_octets);
			expect_body(h, line, (struct pst_str){ seen, mail.n }, NAIVE_RETR);
			harness_hang_up(h);
			free(seen);
		}
	free(text);
	free((char *)(uintptr_t)mail.p);
}

static void
test_top_of_a_large_message_sends_no_more_than_asked(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(2000000, 9);
	static const uint64_t lines[] = { 0, 1, 100, 5000, 20000, UINT64_MAX - 1 };
	size_t i;

	memcpy((char *)(uintptr_t)mail.p + 30000, "\n\n",
	       2); /* the header ends here at the latest */
	fake_add(&h->fake, mail);
	start_slow(h);
	for (i = 0; i < 6; i++) {
		char line[64];

		snprintf(line, sizeof(line), "TOP 4 %llu\r\n", (unsigned long long)lines[i]);
		harness_send(h, pst_str_c(line), SIZE_MAX);
		expect_body(h, "+OK top of message follows\r\n", mail, lines[i]);
	}
	harness_say(h, "NOOP", "+OK\r\n");
	free((char *)(uintptr_t)mail.p);
}

static void
test_empty_message(void **state)
{
	struct harness *h = *state;
	int waits;

	fake_add(&h->fake, PST_LIT(""))->waits = true;
	for (waits = 1; waits >= 0; waits--) {
		h->fake.v[3].waits = waits;
		start_slow(h);
		harness_say(h, "RETR 4", "+OK 0 octets\r\n.\r\n");
		harness_say(h, "TOP 4 3", "+OK top of message follows\r\n.\r\n");
		harness_hang_up(h);
	}
}

/* Header alone, nothing at all, a last line without its end: each gets its empty line where that is set,
 * and all sizes say so. What has one already is sent as it is. */
static void
test_header_alone_is_ended_on_demand_and_counted(void **state)
{
	struct harness *h = *state;
	int waits, ends;

	fake_add(&h->fake, PST_LIT("a: b\n"))->has_no_header_end = true;
	fake_add(&h->fake, PST_LIT(""))->has_no_header_end = true;
	fake_add(&h->fake, PST_LIT(".a: b"))->has_no_header_end = true;
	for (ends = 1; ends >= 0; ends--)
		for (waits = 1; waits >= 0; waits--) {
			h->fake.v[3].waits = h->fake.v[4].waits = h->fake.v[5].waits = waits;
			h->mail.limits.ends_headers = ends;
			start_slow(h);
			harness_say(h, "LIST 4", ends ? "+OK 4 8\r\n" : "+OK 4 6\r\n");
			harness_say(h, "RETR 4",
			            ends ? "+OK 8 octets\r\na: b\r\n\r\n.\r\n"
			                 : "+OK 6 octets\r\na: b\r\n.\r\n");
			harness_say(h, "TOP 4 0",
			            ends ? "+OK top of message follows\r\na: b\r\n\r\n.\r\n"
			                 : "+OK top of message follows\r\na: b\r\n.\r\n");
			harness_say(h, "RETR 5",
			            ends ? "+OK 2 octets\r\n\r\n.\r\n" : "+OK 0 octets\r\n.\r\n");
			harness_say(h, "RETR 6",
			            ends ? "+OK 9 octets\r\n..a: b\r\n\r\n.\r\n"
			                 : "+OK 7 octets\r\n..a: b\r\n.\r\n");
			harness_say(h, "TOP 6 9",
			            ends ? "+OK top of message follows\r\n..a: b\r\n\r\n.\r\n"
			                 : "+OK top of message follows\r\n..a: b\r\n.\r\n");
			harness_say(h, "TOP 1 0",
			            "+OK top of message follows\r\nSubject: one\r\n\r\n.\r\n");
			harness_say(h, "DELE 1", "+OK message 1 deleted\r\n");
			harness_say(h, "DELE 2", "+OK message 2 deleted\r\n");
			harness_say(h, "DELE 3", "+OK message 3 deleted\r\n");
			harness_say(h, "STAT", ends ? "+OK 3 19\r\n" : "+OK 3 13\r\n");
			harness_hang_up(h);
		}
}

/* The last octets of a reply that the socket took piece by piece. */
static void
test_large_header_alone_is_ended_for_a_slow_client(void **state)
{
	struct harness *h = *state;
	const size_t n = 3000000;
	char *text = malloc(n + 2);
	struct fake_message *m;
	char line[64];
	size_t i;

	for (i = 0; i < n; i++)
		text[i] = i % 70 == 69 ? '\n' : 'x';
	text[n - 1] = 'x';
	m = fake_add(&h->fake, (struct pst_str){ text, n });
	m->has_no_header_end = true;
	memcpy(text + n, "\n\n", 2); /* as it is sent */
	h->mail.limits.ends_headers = true;
	start_slow(h);
	snprintf(line, sizeof(line), "+OK %llu octets\r\n", (unsigned long long)m->size_octets + 2);
	harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
	expect_body(h, line, (struct pst_str){ text, n + 2 }, NAIVE_RETR);
	harness_send(h, PST_LIT("TOP 4 0\r\n"), SIZE_MAX);
	expect_body(h, "+OK top of message follows\r\n", (struct pst_str){ text, n + 2 },
	            NAIVE_RETR);
	harness_hang_up(h);
	free(text);
}

static void
test_slow_client_costs_no_memory_for_its_message(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(3000000, 3);
	const struct mail_session *s;
	size_t most = 0;

	fake_add(&h->fake, mail);
	start_slow(h);
	harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
	s = h->mail.sessions;
	while (h->got.len < 3000000) {
		harness_round(h, true);
		if (s->send.is_active && s->pending.cap > most)
			most = s->pending.cap;
	}
	assert_true(most > 0);
	assert_true(most <= 128);
	free((char *)(uintptr_t)mail.p);
}

static void
test_client_that_does_not_read_stops_the_commands_not_the_worker(void **state)
{
	struct harness *h = *state;
	const struct mail_session *s;
	int ends[2], other, i;

	fake_add_many(&h->fake, 20000);
	start_slow(h);
	/* 100 listings of some 200 KB each, and the client takes nothing */
	for (i = 0; i < 100; i++)
		harness_push(h, "UIDL\r\n");
	for (i = 0; i < 50; i++)
		harness_run(h);
	s = h->mail.sessions;
	assert_true(s->is_blocked);
	assert_in_range(s->pending.len, 1, MAIL_HIGH_WATER + 100);
	assert_true(s->in.len < MAIL_READ_MAX);
	assert_true(h->fake.messages < 20003 + 2 * 20003);

	/* another one is served meanwhile */
	other = h->client;
	harness_pair(ends);
	harness_start_on(h, ends, (struct pst_str){ "", 0 });
	harness_expect(h, "+OK 20003 messages");
	close(h->client);
	h->client = other;
}

static void
expect_listing(struct harness *h, uint32_t n, bool is_uidl)
{
	char line[128];
	uint32_t i;
	size_t at = 0;

	for (i = 1; i <= n; i++) {
		int len = is_uidl ? snprintf(line, sizeof(line), "%u uidl-%u\r\n", i, i)
		                  : snprintf(line, sizeof(line), "%u %llu\r\n", i,
		                             (unsigned long long)h->fake.v[i - 1].size_octets);

		harness_expect_octets(h, at + (size_t)len);
		assert_memory_equal(h->got.data + at, line, (size_t)len);
		at += (size_t)len;
	}
	harness_expect_octets(h, at + 3);
	assert_int_equal(h->got.len, at + 3);
	assert_memory_equal(h->got.data + at, ".\r\n", 3);
	pst_buf_reset(&h->got);
}

static void
test_listing_of_100000_messages_is_whole_and_in_pieces(void **state)
{
	struct harness *h = *state;

	fake_add_many(&h->fake, 99997);
	start_slow(h);
	harness_say(h, "UIDL", "+OK unique-id listing follows\r\n");
	expect_listing(h, 100000, true);
	harness_say(h, "LIST", "+OK 100000 messages (10299762 octets)\r\n");
	expect_listing(h, 100000, false);
	assert_true(h->mail.out.cap <= MAIL_OUT_MAX);
}

static void
test_50000_deletions_and_a_listing_cost_one_look_each(void **state)
{
	struct harness *h = *state;
	char *text = malloc(50000 * 16);
	size_t n = 0;
	uint32_t i;
	unsigned long before;

	fake_add_many(&h->fake, 50000);
	start_slow(h);
	before = h->fake.messages;
	for (i = 1; i <= 50000; i++)
		n += (size_t)sprintf(text + n, "DELE %u\r\n", i);
	harness_send(h, (struct pst_str){ text, n }, SIZE_MAX);
	harness_say(h, "STAT", "+OK message 1 deleted\r\n");
	while (h->got.len < 11 || memcmp(h->got.data + h->got.len - 11, "+OK 3 312\r\n", 11) != 0)
		harness_round(h, true);
	pst_buf_reset(&h->got);
	harness_say(h, "LIST",
	            "+OK 3 messages (312 octets)\r\n50001 103\r\n50002 104\r\n50003 105\r\n.\r\n");
	assert_true(h->fake.messages - before <= 50003);
	harness_say(h, "QUIT", "+OK 50000 messages deleted\r\n");
	assert_int_equal(h->fake.last_commit, 50000);
	assert_false(h->fake.v[50000].is_removed);
	free(text);
}

/* ---- What the listing promised and the file does not keep ---- */

static void
test_small_message_of_another_size_is_refused_before_it_is_begun(void **state)
{
	struct harness *h = *state;
	int waits, off;

	for (waits = 0; waits < 2; waits++) {
		for (off = -1; off <= 1; off += 2) {
			h->fake.v[1].waits = waits;
			h->fake.v[1].size_octets = (uint64_t)(22 + off);
			start_fast(h);
			harness_say(h, "RETR 3\r\nRETR 2\r\nRETR 3\r\nTOP 2 0\r\nNOOP",
			            "+OK 26 octets\r\nSubject: three\r\n\r\nno end\r\n.\r\n" REFUSED
			            "+OK 26 octets\r\nSubject: three\r\n\r\nno end\r\n.\r\n"
			            "+OK top of message follows\r\nSubject: two\r\n\r\n.\r\n"
			            "+OK\r\n");
			harness_hang_up(h);
		}
	}
}

static void
test_small_file_that_is_shorter_than_told_is_refused(void **state)
{
	struct harness *h = *state;
	int waits;

	h->fake.v[2].length += 10; /* the last one: the file ends before */
	for (waits = 0; waits < 2; waits++) {
		h->fake.v[2].waits = waits;
		start_fast(h);
		harness_say(h, "RETR 3\r\nTOP 3 0\r\nRETR 3\r\nNOOP",
		            REFUSED REFUSED REFUSED "+OK\r\n");
		harness_hang_up(h);
	}
}

/* The connection ends, after a true part of the message, without the ending dot. */
static void
expect_cut(struct harness *h, const char *first, struct pst_str stored)
{
	struct naive_reply r = naive_body(stored.p, stored.n, NAIVE_RETR);
	const size_t n = strlen(first);

	harness_until_eof(h);
	assert_in_range(h->got.len, n + 1, n + r.n - 4);
	assert_memory_equal(h->got.data, first, n);
	assert_memory_equal(h->got.data + n, r.p, h->got.len - n);
	free(r.p);
	harness_hang_up(h);
}

static void
test_large_message_of_another_size_is_cut_off_without_its_dot(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(500000, 4);
	struct fake_message *m = fake_add(&h->fake, mail);
	const uint64_t size = m->size_octets;
	char first[64];
	int off, slow;

	for (off = -1; off <= 1; off += 2) {
		for (slow = 0; slow < 2; slow++) {
			m->size_octets = size + (uint64_t)off;
			snprintf(first, sizeof(first), "+OK %llu octets\r\n",
			         (unsigned long long)m->size_octets);
			if (slow)
				start_slow(h);
			else
				start_fast(h);
			harness_send(h, PST_LIT("DELE 1\r\nRETR 4\r\nNOOP\r\nQUIT\r\n"), SIZE_MAX);
			harness_expect(h, "+OK message 1 deleted\r\n");
			expect_cut(h, first, mail);
		}
	}
	assert_int_equal(h->fake.commits, 0); /* the QUIT behind it was not looked at */
	free((char *)(uintptr_t)mail.p);
}

static void
test_large_file_that_ends_early_is_cut_off(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(500000, 5);
	struct fake_message *m = fake_add(&h->fake, mail);
	char first[64];

	m->length += 100;
	m->size_octets += 102;
	snprintf(first, sizeof(first), "+OK %llu octets\r\n", (unsigned long long)m->size_octets);
	start_slow(h);
	harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
	expect_cut(h, first, mail);
	free((char *)(uintptr_t)mail.p);
}

static void
test_top_of_a_file_that_ends_early_is_cut_off_once_begun(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(30000, 11);
	struct fake_message *m = fake_add(&h->fake, mail);
	const char *const first = "+OK top of message follows\r\n";

	m->length += 100;
	start_slow(h);
	h->mail.sessions->drop.has_no_cache_read = true; /* so the reply goes out piece by piece */
	harness_send(h, PST_LIT("TOP 4 100000\r\n"), SIZE_MAX);
	expect_cut(h, first, mail);
	free((char *)(uintptr_t)mail.p);
}

/* ---- Ends in the middle ---- */

static void
start_long_reply(struct harness *h)
{
	struct pst_str mail = make_mail(500000, 6);

	fake_add(&h->fake, mail);
	free((char *)(uintptr_t)mail.p);
	start_slow(h);
	harness_send(h, PST_LIT("DELE 1\r\nRETR 4\r\nQUIT\r\n"), SIZE_MAX);
	harness_expect(h, "+OK message 1 deleted\r\n+OK ");
}

static void
test_stop_in_the_middle_of_a_reply_adds_no_line_to_it(void **state)
{
	struct harness *h = *state;

	start_long_reply(h);
	mail_stop(&h->mail);
	harness_until_eof(h);
	assert_null(memmem(h->got.data, h->got.len, "-ERR", 4));
	assert_null(memmem(h->got.data, h->got.len, "\r\n.\r\n", 5));
	harness_until_empty(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_client_that_does_not_read_for_too_long_is_left(void **state)
{
	struct harness *h = *state;
	int i;

	start_long_reply(h);
	for (i = 0; i < 10; i++)
		harness_run(h);
	uv_update_time(&h->loop);
	mail_tick(&h->mail, (int64_t)uv_now(&h->loop) + HARNESS_IDLE_MS + 1);
	harness_until_empty(h);
	assert_int_equal(h->fake.commits, 0);
}

static void
test_client_that_reads_slowly_is_not_left(void **state)
{
	struct harness *h = *state;
	int64_t start;

	start_long_reply(h);
	uv_update_time(&h->loop);
	start = (int64_t)uv_now(&h->loop);
	poll(NULL, 0, 5); /* time passes: that is the thing tested */
	harness_expect_octets(h, h->got.len + 100000);
	mail_tick(&h->mail, start + HARNESS_IDLE_MS + 1);
	assert_int_equal(h->mail.session_count, 1);
	harness_until_eof(h);
	assert_memory_equal(h->got.data + h->got.len - 24, "+OK 1 messages deleted\r\n", 24);
}

static void
test_quit_behind_a_message_that_was_not_taken_removes_nothing(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(40000, 7); /* all of its reply fits into mail->out */
	const struct mail_session *s;
	int i;

	fake_add(&h->fake, mail);
	free((char *)(uintptr_t)mail.p);
	start_slow(h);
	harness_push(h, "RETR 4\r\nDELE 4\r\nQUIT\r\n");
	s = h->mail.sessions;
	for (i = 0; i < 10000 && !(s->is_blocked && s->has_body_unsent); i++) {
		harness_run(h);
		(void)poll(NULL, 0,
		           1); /* for the pool, where the file system has no cached reads */
	}
	assert_true(s->is_blocked && s->has_body_unsent);
	harness_hang_up(h);
	assert_int_equal(h->fake.commits, 0);
	assert_false(h->fake.v[3].is_removed);
}

static void
test_quit_counts_when_the_message_was_taken_and_only_its_answer_is_not(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(40000, 7);
	struct naive_reply r = naive_body(mail.p, mail.n, NAIVE_RETR);

	fake_add(&h->fake, mail);
	start_slow(h);
	harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
	harness_skip_line(h);
	harness_expect_octets(h, r.n);
	harness_push(h, "DELE 4\r\nQUIT\r\n");
	harness_hang_up(h);
	assert_true(h->fake.v[3].is_removed);
	free((char *)(uintptr_t)mail.p);
	free(r.p);
}

static void
test_answers_that_nobody_reads_do_not_keep_a_quit_from_its_end(void **state)
{
	struct harness *h = *state;
	const struct mail_session *s;

	fake_add_many(&h->fake, 2000);
	start_slow(h);
	h->fake.is_slow = true;
	harness_push(h, "LIST\r\nDELE 1\r\nQUIT\r\n");
	while (h->fake.calls == 0)
		harness_run(h);
	s = h->mail.sessions;
	assert_true(s->is_blocked && s->phase == MAIL_QUITTING);
	close(h->client);
	h->client = -1;
	while (!s->is_lost)
		harness_run(h);
	assert_int_equal(s->mask, 0); /* else the loop would spin until the pool is through */
	sem_post(&h->fake.go);
	harness_until_empty(h);
	assert_true(h->fake.v[0].is_removed);
}

/* A turn ends with whole commands left over, while the socket would take more and the client has
 * sent more: those are not read before these are served. With 2500 octets a message it is the end of
 * the 49th that uses up a turn. */
static void
test_commands_beyond_a_turns_share_wait_for_the_next(void **state)
{
	const char *const first = "+OK 2500 octets\r\n";
	const size_t count = 5000; /* more than one reading gives */
	struct harness *h = *state;
	struct naive_reply r;
	char mail[2500], *text = malloc(count * 8);
	size_t i;

	for (i = 0; i < sizeof(mail); i++)
		mail[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	r = naive_body(mail, sizeof(mail), NAIVE_RETR);
	fake_add(&h->fake, (struct pst_str){ mail, sizeof(mail) });
	for (i = 0; i < count; i++)
		memcpy(text + i * 8, "RETR 4\r\n", 8);
	start_fast(h);
	harness_send(h, (struct pst_str){ text, count * 8 }, SIZE_MAX);
	for (i = 0; i < count; i++) {
		harness_expect(h, first);
		harness_expect_octets(h, r.n);
		assert_memory_equal(h->got.data, r.p, r.n);
		pst_buf_take(&h->got, r.n);
		assert_true(h->mail.sessions->in.len < MAIL_READ_MAX + POP3_LINE_MAX);
	}
	free(text);
	free(r.p);
}

static void
test_many_pipelined_messages_and_quit_lose_nothing(void **state)
{
	struct harness *h = *state;
	struct pst_str mail = make_mail(30000, 8);
	struct naive_reply r = naive_body(mail.p, mail.n, NAIVE_RETR);
	struct fake_message *m = fake_add(&h->fake, mail);
	int kind, i;

	for (kind = 0; kind < 2; kind++) {
		int ends[2];
		char first[64];

		snprintf(first, sizeof(first), "+OK %llu octets\r\n",
		         (unsigned long long)m->size_octets);
		if (kind == 0)
			harness_pair(ends);
		else
			harness_tcp_pair(ends);
		harness_start_on(h, ends, (struct pst_str){ "", 0 });
		for (i = 0; i < 50; i++)
			harness_send(h, PST_LIT("RETR 4\r\n"), SIZE_MAX);
		/* octets behind QUIT must not make the kernel throw away what is on its way */
		harness_send(h, PST_LIT("QUIT\r\nNOOP\r\nNOOP\r\n"), SIZE_MAX);
		harness_skip_line(h);
		for (i = 0; i < 50; i++) {
			harness_expect(h, first);
			harness_expect_octets(h, r.n);
			assert_memory_equal(h->got.data, r.p, r.n);
			pst_buf_take(&h->got, r.n);
		}
		harness_expect(h, "+OK 0 messages deleted\r\n");
		harness_expect_eof(h);
		harness_hang_up(h);
	}
	free((char *)(uintptr_t)mail.p);
	free(r.p);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_large_message_is_exact_for_a_fast_and_for_a_slow_client),
		T(test_nuls_are_hidden_on_demand_and_sizes_stay),
		T(test_top_of_a_large_message_sends_no_more_than_asked),
		T(test_empty_message),
		T(test_header_alone_is_ended_on_demand_and_counted),
		T(test_large_header_alone_is_ended_for_a_slow_client),
		T(test_slow_client_costs_no_memory_for_its_message),
		T(test_client_that_does_not_read_stops_the_commands_not_the_worker),
		T(test_listing_of_100000_messages_is_whole_and_in_pieces),
		T(test_50000_deletions_and_a_listing_cost_one_look_each),
		T(test_small_message_of_another_size_is_refused_before_it_is_begun),
		T(test_small_file_that_is_shorter_than_told_is_refused),
		T(test_large_message_of_another_size_is_cut_off_without_its_dot),
		T(test_large_file_that_ends_early_is_cut_off),
		T(test_top_of_a_file_that_ends_early_is_cut_off_once_begun),
		T(test_quit_counts_when_the_message_was_taken_and_only_its_answer_is_not),
		T(test_answers_that_nobody_reads_do_not_keep_a_quit_from_its_end),
		T(test_commands_beyond_a_turns_share_wait_for_the_next),
		T(test_stop_in_the_middle_of_a_reply_adds_no_line_to_it),
		T(test_client_that_does_not_read_for_too_long_is_left),
		T(test_client_that_reads_slowly_is_not_left),
		T(test_quit_behind_a_message_that_was_not_taken_removes_nothing),
		T(test_many_pipelined_messages_and_quit_lose_nothing),
	};

	pst_log_set_level(PST_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
