/* SPDX-License-Identifier: MIT */
/* Messages: what is written is read again, and nothing else is taken for a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/wire.h"

#define INCARNATION 0x01020304u
#define REQUEST 0x1122334455667788u

static uint8_t out[MSG_MAX_OCTETS + 64];

/* A full message of each type, its encoder and its decoder, by one shape. */
struct sample {
	const char *name;
	size_t (*encode)(uint8_t *to);
	int (*decode)(struct pst_str in, struct msg_head *head, struct pst_err *err);
	enum msg_type type;
};

static const struct wire_auth_request auth_request = {
	.login_slot = 3,
	.row = 0xfffffffe,
	.sid = { "9f2c0a1b2c3d4e5f", 16 },
	.mechanism = { "PLAIN", 5 },
	.user = { "alice@example.test", 18 },
	.password = { "p\0w\xff", 4 },
	.remote_ip = { "192.0.2.1", 9 },
	.local_ip = { "2001:db8::1", 11 },
	.sni = { "mail.example.test", 17 },
	.listener = { "pop3", 4 },
	.tls = true,
	.authzid = { "bob", 3 },
};
static const struct wire_auth_reply auth_reply = {
	.ok = true,
	.kind = PST_E_AUTH,
	.delay_ms = 2000,
	.user = { "alice@example.test", 18 },
	.text = { "wait", 4 },
	.ticket = { "\1\0\2", 3 },
	.master = { "support", 7 },
};
static const struct wire_auth_step auth_step = {
	.login_slot = 2,
	.exchange = UINT64_C(0x8000000000000001),
	.response = { "c=biws\0", 7 },
};
static const struct wire_note note = {
	.kind = NOTE_REHASH,
	.backend = 1,
	.at = UINT64_C(1700000000),
	.user = { "alice@example.test", 18 },
	.remote_ip = { "192.0.2.1", 9 },
	.mechanism = { "PLAIN", 5 },
	.retrieved = 1,
	.deleted = 2,
	.octets = UINT64_C(0x123456789a),
	.seconds = 3,
	.old_credential = { "{PLAIN}x", 8 },
	.new_credential = { "{PLAIN}y", 8 },
};
static const struct wire_handoff handoff = {
	.login_slot = 1,
	.row = 7,
	.sid = { "9f2c", 4 },
	.remote_ip = { "192.0.2.1", 9 },
	.user = { "alice", 5 },
	.ticket = { "tt\0t", 4 },
	.input = { "STAT\r\nLIST\r\n", 12 },
	.tls = true,
	.utf8 = true,
	.language = 2,
};
static const struct wire_order_msg order = { ORDER_CHANGED, 77, { "alice@example.test", 18 } };
static const struct wire_chain_request chain_request = { { "mail.example.test", 17 }, 2, 5 };
static const struct wire_chain_reply chain_reply = {
	1, 2, 2048, 1, 1ull << 40, true, { "\0\0\0\1x", 5 }
};
static const struct wire_sign_request sign_request = { 9, 0x80000001, true, { "hash\0hash", 9 } };
static const struct wire_sign_reply sign_reply = { true, { "\x30\x45\0", 3 } };

#define SAMPLE(name)                                                                               \
	static size_t encode_##name(uint8_t *to)                                                   \
	{                                                                                          \
		return wire_##name##_encode(&name, INCARNATION, REQUEST, to);                      \
	}                                                                                          \
	static int decode_##name(struct pst_str in, struct msg_head *head, struct pst_err *err)    \
	{                                                                                          \
		struct wire_##name m;                                                              \
                                                                                                   \
		return wire_##name##_decode(in, head, &m, err);                                    \
	}

SAMPLE(auth_request)
SAMPLE(auth_reply)
SAMPLE(auth_step)
SAMPLE(note)
SAMPLE(handoff)
SAMPLE(chain_request)
SAMPLE(chain_reply)
SAMPLE(sign_request)
SAMPLE(sign_reply)

static size_t
encode_order(uint8_t *to)
{
	return wire_order_encode(&order, to);
}

static int
decode_order(struct pst_str in, struct msg_head *head, struct pst_err *err)
{
	struct wire_order_msg m;

	return wire_order_decode(in, head, &m, err);
}

#define ROW(name, type)                                                                            \
	{                                                                                          \
#name, encode_##name, decode_##name, type                                          \
	}

static const struct sample samples[] = {
	ROW(auth_request, MSG_AUTH_REQUEST),
	ROW(auth_reply, MSG_AUTH_REPLY),
	ROW(auth_step, MSG_AUTH_STEP),
	ROW(note, MSG_NOTE),
	ROW(handoff, MSG_HANDOFF),
	ROW(order, MSG_ORDER),
	ROW(chain_request, MSG_CHAIN_REQUEST),
	ROW(chain_reply, MSG_CHAIN_REPLY),
	ROW(sign_request, MSG_SIGN_REQUEST),
	ROW(sign_reply, MSG_SIGN_REPLY),
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static struct pst_str
as_str(const uint8_t *p, size_t n)
{
	return (struct pst_str){ (const char *)p, n };
}

static void
assert_str(struct pst_str a, struct pst_str b)
{
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p, b.p, a.n);
}

static void
test_auth_request_comes_back_as_it_was(void **state)
{
	struct wire_auth_request m;
	struct msg_head head;
	struct pst_err err;
	size_t n = wire_auth_request_encode(&auth_request, INCARNATION, REQUEST, out);

	(void)state;
	assert_int_equal(wire_auth_request_decode(as_str(out, n), &head, &m, &err), 0);
	assert_int_equal(head.type, MSG_AUTH_REQUEST);
	assert_int_equal(head.incarnation, INCARNATION);
	assert_true(head.request == REQUEST);
	assert_int_equal(m.login_slot, 3);
	assert_int_equal(m.row, 0xfffffffe);
	assert_str(m.sid, auth_request.sid);
	assert_str(m.mechanism, auth_request.mechanism);
	assert_str(m.user, auth_request.user);
	assert_str(m.password, auth_request.password);
	assert_str(m.remote_ip, auth_request.remote_ip);
	assert_str(m.local_ip, auth_request.local_ip);
	assert_str(m.sni, auth_request.sni);
	assert_str(m.listener, auth_request.listener);
	assert_true(m.tls);
	assert_str(m.authzid, auth_request.authzid);
}

static void
test_auth_reply_and_handoff_come_back_as_they_were(void **state)
{
	struct wire_auth_reply r;
	struct wire_handoff h;
	struct msg_head head;
	struct pst_err err;
	size_t n = encode_auth_reply(out);

	(void)state;
	assert_int_equal(wire_auth_reply_decode(as_str(out, n), &head, &r, &err), 0);
	assert_true(r.ok);
	assert_int_equal(r.kind, PST_E_AUTH);
	assert_int_equal(r.delay_ms, 2000);
	assert_str(r.user, auth_reply.user);
	assert_str(r.text, auth_reply.text);
	assert_str(r.ticket, auth_reply.ticket);
	assert_str(r.master, auth_reply.master);
	n = encode_handoff(out);
	assert_int_equal(wire_handoff_decode(as_str(out, n), &head, &h, &err), 0);
	assert_int_equal(h.login_slot, 1);
	assert_int_equal(h.row, 7);
	assert_str(h.sid, handoff.sid);
	assert_str(h.remote_ip, handoff.remote_ip);
	assert_str(h.user, handoff.user);
	assert_str(h.ticket, handoff.ticket);
	assert_str(h.input, handoff.input);
	assert_true(h.tls);
	assert_true(h.utf8);
	assert_int_equal(h.language, 2);
}

static void
test_messages_about_keys_come_back_as_they_were(void **state)
{
	struct wire_chain_request q;
	struct wire_chain_reply c;
	struct wire_sign_request s;
	struct wire_sign_reply r;
	struct msg_head head;
	struct pst_err err;

	(void)state;
	assert_int_equal(
		wire_chain_request_decode(as_str(out, encode_chain_request(out)), &head, &q, &err),
		0);
	assert_str(q.name, chain_request.name);
	assert_int_equal(q.type, 2);
	assert_true(q.version == 5);
	assert_int_equal(
		wire_chain_reply_decode(as_str(out, encode_chain_reply(out)), &head, &c, &err), 0);
	assert_int_equal(c.status, 1);
	assert_int_equal(c.type, 2);
	assert_int_equal(c.bits, 2048);
	assert_int_equal(c.pk_algorithm, 1);
	assert_true(c.version == 1ull << 40);
	assert_true(c.is_default);
	assert_str(c.chain, chain_reply.chain);
	assert_int_equal(
		wire_sign_request_decode(as_str(out, encode_sign_request(out)), &head, &s, &err),
		0);
	assert_true(s.version == 9);
	assert_int_equal(s.algorithm, 0x80000001);
	assert_true(s.is_hash);
	assert_str(s.data, sign_request.data);
	assert_int_equal(
		wire_sign_reply_decode(as_str(out, encode_sign_reply(out)), &head, &r, &err), 0);
	assert_true(r.ok);
	assert_str(r.signature, sign_reply.signature);
}

static void
test_order_comes_back_and_an_unknown_one_is_refused(void **state)
{
	struct wire_order_msg m = { 0 };
	struct msg_head head;
	struct pst_err err;
	size_t n = wire_order_encode(&order, out);

	(void)state;
	assert_int_equal(wire_order_decode(as_str(out, n), &head, &m, &err), 0);
	assert_int_equal(m.order, ORDER_CHANGED);
	assert_int_equal(m.row, 77);
	assert_str(m.user, order.user);
	out[14] = ORDER_CLAIMED + 1; /* behind the head of 14 octets */
	assert_int_equal(wire_order_decode(as_str(out, n), &head, &m, &err), -1);
	out[14] = 0;
	assert_int_equal(wire_order_decode(as_str(out, n), &head, &m, &err), -1);
}

static void
test_message_cut_at_any_octet_is_refused(void **state)
{
	size_t i, cut;

	(void)state;
	for (i = 0; i < SAMPLES; i++) {
		size_t n = samples[i].encode(out);

		for (cut = 0; cut < n; cut++) {
			/* Of exactly that size, so that a sanitizer sees a read past the end. */
			uint8_t *part = malloc(cut == 0 ? 1 : cut);
			struct msg_head head;
			struct pst_err err;

			memcpy(part, out, cut);
			if (samples[i].decode(as_str(part, cut), &head, &err) != -1)
				fail_msg("%s cut to %zu octets was taken", samples[i].name, cut);
			assert_int_equal(err.kind, PST_E_PERM);
			free(part);
		}
	}
}

static void
test_octets_behind_a_message_are_refused(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < SAMPLES; i++) {
		struct msg_head head;
		struct pst_err err;
		size_t n = samples[i].encode(out);

		out[n] = 0;
		assert_int_equal(samples[i].decode(as_str(out, n), &head, &err), 0);
		assert_int_equal(samples[i].decode(as_str(out, n + 1), &head, &err), -1);
	}
}

static void
test_message_of_another_type_or_version_is_refused(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < SAMPLES; i++) {
		struct msg_head head;
		struct pst_err err;
		size_t n = samples[i].encode(out);

		assert_int_equal(wire_type(as_str(out, n)), samples[i].type);
		for (j = 0; j < SAMPLES; j++)
			if (j != i)
				assert_int_equal(samples[j].decode(as_str(out, n), &head, &err),
				                 -1);
		out[0]++;
		assert_int_equal(samples[i].decode(as_str(out, n), &head, &err), -1);
		assert_int_equal(wire_type(as_str(out, n)), 0);
	}
	assert_int_equal(wire_type(as_str(out, 0)), 0);
}

/* The lengths of the strings of an auth request, one at a time, made larger than what is there, and
 * larger than the field's bound though it is there. */
static void
test_length_beyond_the_message_or_the_bound_is_refused(void **state)
{
	const size_t n = encode_auth_request(out);
	const size_t sid_length_at = 14 + 4 + 4; /* behind the head and two numbers */
	const uint32_t lengths[] = { (uint32_t)n, UINT32_MAX, INT32_MAX, WIRE_SID + 1 };
	struct msg_head head;
	struct pst_err err;
	size_t i;

	(void)state;
	assert_int_equal(out[sid_length_at + 3], auth_request.sid.n);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t k;

		for (k = 0; k < 4; k++)
			out[sid_length_at + k] = (uint8_t)(lengths[i] >> (8 * (3 - k)));
		assert_int_equal(decode_auth_request(as_str(out, n), &head, &err), -1);
	}
}

static void
test_boolean_other_than_0_and_1_is_refused(void **state)
{
	struct msg_head head;
	struct pst_err err;
	struct wire_auth_request m = auth_request;
	size_t n, tls_at;

	(void)state;
	m.authzid.n = 0;
	n = wire_auth_request_encode(&m, INCARNATION, REQUEST, out);
	/* tls_version and all else that is not set: zeros and empty strings */
	tls_at = n - 1;
	while (out[tls_at] == 0)
		tls_at--;
	assert_int_equal(out[tls_at], 1);
	out[tls_at] = 2;
	assert_int_equal(decode_auth_request(as_str(out, n), &head, &err), -1);
}

static void
test_string_over_its_limit_is_neither_written_nor_read(void **state)
{
	static char longer[WIRE_CHAIN + 1];
	struct wire_auth_request m = { .user = { longer, WIRE_USER } };
	struct wire_chain_reply c = { .chain = { longer, WIRE_CHAIN } };
	struct msg_head head;
	struct pst_err err;
	size_t n;

	(void)state;
	n = wire_auth_request_encode(&m, 1, 2, out);
	assert_int_not_equal(n, 0);
	assert_int_equal(wire_auth_request_decode(as_str(out, n), &head, &m, &err), 0);
	assert_int_equal(m.user.n, WIRE_USER);
	m.user = (struct pst_str){ longer, WIRE_USER + 1 };
	assert_int_equal(wire_auth_request_encode(&m, 1, 2, out), 0);
	n = wire_chain_reply_encode(&c, 1, 2, out);
	assert_int_not_equal(n, 0);
	assert_int_equal(wire_chain_reply_decode(as_str(out, n), &head, &c, &err), 0);
	c.chain = (struct pst_str){ longer, WIRE_CHAIN + 1 };
	assert_int_equal(wire_chain_reply_encode(&c, 1, 2, out), 0);
}

/* The longest of every string fits into one message. */
static void
test_every_message_fits_with_all_strings_at_their_limits(void **state)
{
	static char x[WIRE_CHAIN];
	const struct wire_auth_request q = {
		.sid = { x, WIRE_SID },
		.mechanism = { x, WIRE_NAME },
		.user = { x, WIRE_USER },
		.password = { x, WIRE_PASSWORD },
		.remote_ip = { x, WIRE_ADDR },
		.local_ip = { x, WIRE_ADDR },
		.sni = { x, WIRE_NAME },
		.listener = { x, WIRE_NAME },
		.response = { x, WIRE_RESPONSE },
		.challenge = { x, WIRE_CHALLENGE },
		.binding = { x, WIRE_BINDING },
		.cert_name = { x, WIRE_USER },
		.authzid = { x, WIRE_USER },
	};
	const struct wire_handoff h = {
		.sid = { x, WIRE_SID },
		.remote_ip = { x, WIRE_ADDR },
		.user = { x, WIRE_USER },
		.ticket = { x, WIRE_TICKET },
		.input = { x, WIRE_INPUT },
	};
	const struct wire_auth_reply r = {
		.user = { x, WIRE_USER },
		.text = { x, WIRE_TEXT },
		.ticket = { x, WIRE_TICKET },
		.master = { x, WIRE_USER },
		.challenge = { x, WIRE_CHALLENGE },
	};

	(void)state;
	assert_int_not_equal(wire_auth_request_encode(&q, 1, 2, out), 0);
	assert_int_not_equal(wire_handoff_encode(&h, 1, 2, out), 0);
	assert_int_not_equal(wire_auth_reply_encode(&r, 1, 2, out), 0);
}

static void
test_writer_without_room_says_so_once_and_writes_nothing_past_it(void **state)
{
	const struct msg_head head = { MSG_HANDOFF, 1, 2 };
	struct msg_writer w;
	uint8_t room[24];
	size_t cap;

	(void)state;
	for (cap = 0; cap <= 22; cap++) {
		memset(room, 0xaa, sizeof(room));
		msg_begin(&w, room, cap, &head);
		msg_put_str(&w, PST_LIT("abcd"));
		assert_int_equal(msg_end(&w), cap < 22 ? 0 : 22);
		assert_int_equal(room[cap], 0xaa);
		assert_int_equal(room[23], 0xaa);
	}
}

static void
test_reader_gives_nothing_after_the_first_bad_field(void **state)
{
	const uint8_t data[] = { 0, 0, 0, 9, 'a', 'b', 7 };
	struct msg_reader r = { .p = data, .left = sizeof(data) };
	struct pst_err err;

	(void)state;
	assert_int_equal(msg_get_str(&r, 8).n, 0);
	assert_int_equal(msg_get_u8(&r), 0);
	assert_int_equal(msg_get_u32(&r), 0);
	assert_true(msg_get_u64(&r) == 0);
	assert_int_equal(msg_close(&r, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auth_request_comes_back_as_it_was),
		cmocka_unit_test(test_auth_reply_and_handoff_come_back_as_they_were),
		cmocka_unit_test(test_messages_about_keys_come_back_as_they_were),
		cmocka_unit_test(test_order_comes_back_and_an_unknown_one_is_refused),
		cmocka_unit_test(test_message_cut_at_any_octet_is_refused),
		cmocka_unit_test(test_octets_behind_a_message_are_refused),
		cmocka_unit_test(test_message_of_another_type_or_version_is_refused),
		cmocka_unit_test(test_length_beyond_the_message_or_the_bound_is_refused),
		cmocka_unit_test(test_boolean_other_than_0_and_1_is_refused),
		cmocka_unit_test(test_string_over_its_limit_is_neither_written_nor_read),
		cmocka_unit_test(test_every_message_fits_with_all_strings_at_their_limits),
		cmocka_unit_test(test_writer_without_room_says_so_once_and_writes_nothing_past_it),
		cmocka_unit_test(test_reader_gives_nothing_after_the_first_bad_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
