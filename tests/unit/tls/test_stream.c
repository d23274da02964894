/* SPDX-License-Identifier: MIT */
/* Octets through a session, however they are cut and whoever is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/tls/talk.h"

#define BIG 3000000

/* Sends n octets to a client that reads too little, as login does: the rest is given again from a copy
 * at another address, and more may be behind it. */
static void
test_nothing_is_lost_when_the_socket_is_full(void **state)
{
	char *data = pst_alloc(BIG);
	char *got = pst_alloc(BIG);
	size_t sent = 0;
	size_t have = 0;
	unsigned blocked = 0;
	struct pst_err err;
	struct talk t;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	talk_pattern(data, BIG);
	while (have < BIG) {
		size_t part = BIG - sent < 200000 ? BIG - sent : 200000;
		char *copy = pst_alloc(part + 1);
		size_t n = 0;
		ssize_t rc;

		memcpy(copy, data + sent, part);
		if (sent < BIG) {
			enum tls_io io = tls_stream_write(t.server, copy, part, &n, &err);

			assert_true(io == TLS_IO_DONE || io == TLS_IO_WANT_WRITE);
			blocked += io == TLS_IO_WANT_WRITE;
			sent += n;
		}
		free(copy);
		rc = gnutls_record_recv(t.client, got + have,
		                        BIG - have < 9000 ? BIG - have : 9000);
		assert_true(rc > 0 || rc == GNUTLS_E_AGAIN);
		have += rc > 0 ? (size_t)rc : 0;
	}
	assert_true(blocked > 0);
	assert_int_equal(sent, BIG);
	assert_memory_equal(data, got, BIG);
	talk_end(&t);
	free(data);
	free(got);
}

static void
test_the_end_is_said_even_when_the_socket_is_full(void **state)
{
	char *data = pst_alloc(BIG);
	struct pst_err err;
	enum tls_io io;
	struct talk t;
	size_t n;
	char in[16384];
	ssize_t rc;
	size_t have = 0;
	unsigned waited = 0;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	talk_pattern(data, BIG);
	assert_int_equal(tls_stream_write(t.server, data, BIG, &n, &err), TLS_IO_WANT_WRITE);
	/* The record that is cut already goes first. */
	while ((io = tls_stream_bye(t.server)) == TLS_IO_WANT_WRITE) {
		waited++;
		rc = gnutls_record_recv(t.client, in, sizeof(in));
		if (rc == GNUTLS_E_AGAIN) /* that was the ticket */
			continue;
		assert_true(rc > 0);
		assert_memory_equal(in, data + have, (size_t)rc);
		have += (size_t)rc;
	}
	assert_int_equal(io, TLS_IO_DONE);
	assert_true(waited > 0);
	while ((rc = gnutls_record_recv(t.client, in, sizeof(in))) > 0)
		have += (size_t)rc;
	assert_int_equal(rc, 0); /* a clean end: close_notify */
	assert_true(have > n && have <= n + TLS_RECORD_MAX);
	talk_end(&t);
	free(data);
}

static void
test_records_are_read_whole_and_the_end_is_seen(void **state)
{
	static char big[TLS_RECORD_MAX];
	static char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_WANT_READ);
	assert_int_equal(n, 0);
	talk_pattern(big, sizeof(big));
	talk_send(&t, "USER a\r\n", 8);
	talk_send(&t, big, sizeof(big));
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
	assert_int_equal(n, 8);
	assert_memory_equal(in, "USER a\r\n", 8);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
	assert_int_equal(n, sizeof(big));
	assert_memory_equal(in, big, sizeof(big));
	assert_false(tls_stream_pending(t.server));
	assert_int_equal(gnutls_bye(t.client, GNUTLS_SHUT_WR), 0);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	/* Half closed: the other direction still works. */
	talk_say_and_hear(&t, "+OK goodbye");
	talk_end(&t);
}

static void
test_a_hangup_is_an_end_and_no_failure(void **state)
{
	char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	talk_say_and_hear(&t, "+OK");
	close(t.ends[1]);
	t.ends[1] = -1;
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_CLOSED);
	talk_end(&t);
	talk_open(*state, &(struct wish){ .name = "both.test" }, &t);
	(void)gnutls_handshake(t.client);
	close(t.ends[1]);
	t.ends[1] = -1;
	while ((t.server_io = tls_stream_handshake(t.server, &t.err)) == TLS_IO_WANT_READ)
		;
	assert_int_equal(t.server_io, TLS_IO_FAILED);
	assert_int_equal(t.err.kind, PST_E_CLOSED);
	talk_end(&t);
}

static void
test_renegotiation_ends_the_session(void **state)
{
	const struct wish wish = { .priority = "NORMAL:-VERS-ALL:+VERS-TLS1.2",
		                   .name = "both.test" };
	char in[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	size_t n;

	assert_true(talk_begin(*state, &wish, &t));
	talk_say_and_hear(&t, "+OK");
	(void)gnutls_handshake(t.client); /* a ClientHello within the session */
	assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_FAILED);
	assert_int_equal(n, 0);
	talk_end(&t);
}

/* What is for the caller does not count. */
static void
test_a_session_may_go_on_for_ever(void **state)
{
	static char in[TLS_RECORD_MAX];
	static char out[TLS_RECORD_MAX];
	struct pst_err err;
	struct talk t;
	unsigned i;
	size_t n;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	for (i = 0; i < 20; i++) {
		talk_send(&t, out, sizeof(out));
		assert_int_equal(tls_stream_read(t.server, in, sizeof(in), &n, &err), TLS_IO_DONE);
		assert_int_equal(n, sizeof(out));
	}
	talk_end(&t);
}

/* What the client's GnuTLS writes, gathered, so that it can arrive in other pieces than records. */
struct wire {
	char octets[1 << 20];
	size_t n;
};

static ssize_t
gather(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct wire *w = ptr;

	assert_true(n <= sizeof(w->octets) - w->n);
	memcpy(w->octets + w->n, data, n);
	w->n += n;
	return (ssize_t)n;
}

static void
gather_from(struct talk *t, struct wire *w)
{
	w->n = 0;
	gnutls_transport_set_ptr2(t->client, (gnutls_transport_ptr_t)(intptr_t)t->ends[1], w);
	gnutls_transport_set_push_function(t->client, gather);
}

static void
send_numbers(struct talk *t, unsigned from, unsigned to)
{
	char text[16];

	for (; from < to; from++) {
		(void)snprintf(text, sizeof(text), "%u\r\n", from);
		talk_send(t, text, strlen(text));
	}
}

static void
read_numbers(struct talk *t, unsigned from, unsigned to)
{
	static char in[TLS_RECORD_MAX];
	struct pst_err err;
	char text[16];
	size_t n;

	for (; from < to; from++) {
		(void)snprintf(text, sizeof(text), "%u\r\n", from);
		assert_int_equal(tls_stream_read(t->server, in, sizeof(in), &n, &err), TLS_IO_DONE);
		assert_int_equal(n, strlen(text));
		assert_memory_equal(in, text, n);
	}
}

/* Two sessions share the buffer for what is read ahead; neither gets the other's octets. */
static void
test_octets_read_ahead_stay_with_their_session(void **state)
{
	struct wire *w = pst_new(struct wire);
	struct talk one, other;

	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &one));
	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &other));
	gather_from(&one, w);
	send_numbers(&one, 0, 100); /* some 2,700 octets: all are read with the first */
	assert_int_equal(write(one.ends[1], w->octets, w->n), w->n);
	gather_from(&other, w);
	send_numbers(&other, 500, 600);
	assert_int_equal(write(other.ends[1], w->octets, w->n), w->n);
	read_numbers(&one, 0, 10);
	assert_true(tls_stream_pending(one.server));
	read_numbers(&other, 500, 510);
	assert_true(tls_stream_pending(one.server));
	assert_true(tls_stream_pending(other.server));
	read_numbers(&one, 10, 20);
	read_numbers(&other, 510, 599);
	read_numbers(&one, 20, 100);
	assert_false(tls_stream_pending(one.server));
	read_numbers(&other, 599, 600);
	assert_false(tls_stream_pending(other.server));
	/* One that ends with octets of its in the buffer leaves it in order. */
	gather_from(&one, w);
	send_numbers(&one, 0, 100);
	assert_int_equal(write(one.ends[1], w->octets, w->n), w->n);
	read_numbers(&one, 0, 1);
	talk_end(&one);
	gather_from(&other, w);
	send_numbers(&other, 0, 3);
	assert_int_equal(write(other.ends[1], w->octets, w->n), w->n);
	read_numbers(&other, 0, 3);
	talk_end(&other);
	free(w);
}

static void
test_records_may_be_cut_anywhere(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 6, 7, 28, 4095, 4096, 4097, 16405, 100000 };
	static char big[TLS_RECORD_MAX], in[TLS_RECORD_MAX];
	struct wire *w = pst_new(struct wire);
	struct pst_err err;
	struct talk t;
	size_t i;

	talk_pattern(big, sizeof(big));
	assert_true(talk_begin(*state, &(struct wish){ .name = "both.test" }, &t));
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t expected = 200 + sizeof(big) + 300;
		size_t have = 0;
		size_t at = 0;
		char *got = pst_alloc(expected);

		gather_from(&t, w);
		talk_send(&t, big, 200);
		talk_send(&t, big + 200, sizeof(big) - 200);
		talk_send(&t, big, 500);
		while (at < w->n) {
			size_t n = w->n - at < pieces[i] ? w->n - at : pieces[i];
			enum tls_io io;

			assert_int_equal(write(t.ends[1], w->octets + at, n), n);
			at += n;
			while ((io = tls_stream_read(t.server, in, sizeof(in), &n, &err)) ==
			       TLS_IO_DONE) {
				memcpy(got + have, in, n);
				have += n;
			}
			assert_int_equal(io, TLS_IO_WANT_READ);
			assert_false(tls_stream_pending(t.server));
		}
		assert_int_equal(have, sizeof(big) + 500);
		assert_memory_equal(got, big, sizeof(big));
		assert_memory_equal(got + sizeof(big), big, 500);
		free(got);
	}
	talk_end(&t);
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(test_nothing_is_lost_when_the_socket_is_full),
		WITH_WORLD(test_the_end_is_said_even_when_the_socket_is_full),
		WITH_WORLD(test_records_are_read_whole_and_the_end_is_seen),
		WITH_WORLD(test_a_hangup_is_an_end_and_no_failure),
		WITH_WORLD(test_renegotiation_ends_the_session),
		WITH_WORLD(test_a_session_may_go_on_for_ever),
		WITH_WORLD(test_octets_read_ahead_stay_with_their_session),
		WITH_WORLD(test_records_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
