/* SPDX-License-Identifier: MIT */
/* The messages: one table of fields each, which both the encoder and the decoder walk. */
#include "ipc/wire.h"

#include <stddef.h>

enum field_type { FIELD_END, FIELD_BOOL, FIELD_U8, FIELD_U32, FIELD_U64, FIELD_STR };

struct field {
	enum field_type type;
	size_t offset;
	size_t max; /* FIELD_STR: octets */
};

/* The offset; compiles only if the member has type c. */
#define AT(m, f, c) (offsetof(struct m, f) + 0 * sizeof((c *)0 == &((struct m *)0)->f))
/* A row a line: */
/* clang-format off */
#define BOOL(m, f) { FIELD_BOOL, AT(m, f, bool), 0 }
#define U8(m, f) { FIELD_U8, AT(m, f, uint8_t), 0 }
#define U32(m, f) { FIELD_U32, AT(m, f, uint32_t), 0 }
#define U64(m, f) { FIELD_U64, AT(m, f, uint64_t), 0 }
#define STR(m, f, max) { FIELD_STR, AT(m, f, struct pst_str), max }
#define END { FIELD_END, 0, 0 }
/* clang-format on */

static const struct field auth_request[] = {
	U32(wire_auth_request, login_slot),
	U32(wire_auth_request, row),
	STR(wire_auth_request, sid, WIRE_SID),
	STR(wire_auth_request, mechanism, WIRE_NAME),
	STR(wire_auth_request, user, WIRE_USER),
	STR(wire_auth_request, password, WIRE_PASSWORD),
	STR(wire_auth_request, remote_ip, WIRE_ADDR),
	STR(wire_auth_request, local_ip, WIRE_ADDR),
	STR(wire_auth_request, sni, WIRE_NAME),
	STR(wire_auth_request, listener, WIRE_NAME),
	BOOL(wire_auth_request, tls),
	U8(wire_auth_request, tls_version),
	BOOL(wire_auth_request, has_response),
	STR(wire_auth_request, response, WIRE_RESPONSE),
	STR(wire_auth_request, challenge, WIRE_CHALLENGE),
	STR(wire_auth_request, binding, WIRE_BINDING),
	BOOL(wire_auth_request, binding_offered),
	STR(wire_auth_request, cert_name, WIRE_USER),
	STR(wire_auth_request, authzid, WIRE_USER),
	BOOL(wire_auth_request, is_forwarded),
	U64(wire_auth_request, started_ms),
	U32(wire_auth_request, policy_delay_ms),
	END,
};

static const struct field auth_step[] = {
	U32(wire_auth_step, login_slot),
	U64(wire_auth_step, exchange),
	BOOL(wire_auth_step, cancelled),
	STR(wire_auth_step, response, WIRE_RESPONSE),
	END,
};

static const struct field auth_reply[] = {
	BOOL(wire_auth_reply, ok),
	U8(wire_auth_reply, kind),
	U32(wire_auth_reply, delay_ms),
	STR(wire_auth_reply, user, WIRE_USER),
	STR(wire_auth_reply, text, WIRE_TEXT),
	STR(wire_auth_reply, ticket, WIRE_TICKET),
	STR(wire_auth_reply, master, WIRE_USER),
	BOOL(wire_auth_reply, more),
	U32(wire_auth_reply, auth_slot),
	U64(wire_auth_reply, exchange),
	BOOL(wire_auth_reply, has_challenge),
	STR(wire_auth_reply, challenge, WIRE_CHALLENGE),
	END,
};

static const struct field note[] = {
	U8(wire_note, kind),
	U32(wire_note, backend),
	U64(wire_note, at),
	STR(wire_note, user, WIRE_USER),
	STR(wire_note, remote_ip, WIRE_ADDR),
	STR(wire_note, mechanism, WIRE_NAME),
	STR(wire_note, app_prefix, WIRE_NAME),
	U32(wire_note, retrieved),
	U32(wire_note, deleted),
	U64(wire_note, octets),
	U32(wire_note, seconds),
	STR(wire_note, old_credential, WIRE_CREDENTIAL),
	STR(wire_note, new_credential, WIRE_CREDENTIAL),
	STR(wire_note, maildrop, WIRE_LOCATION),
	STR(wire_note, taker, WIRE_SID),
	U32(wire_note, place),
	END,
};

static const struct field handoff[] = {
	U32(wire_handoff, login_slot),
	U32(wire_handoff, row),
	STR(wire_handoff, sid, WIRE_SID),
	STR(wire_handoff, remote_ip, WIRE_ADDR),
	STR(wire_handoff, user, WIRE_USER),
	STR(wire_handoff, ticket, WIRE_TICKET),
	STR(wire_handoff, input, WIRE_INPUT),
	U32(wire_handoff, offered),
	BOOL(wire_handoff, tls),
	BOOL(wire_handoff, utf8),
	U8(wire_handoff, language),
	END,
};

static const struct field chain_request[] = {
	STR(wire_chain_request, name, WIRE_NAME),
	U8(wire_chain_request, type),
	U64(wire_chain_request, version),
	END,
};

static const struct field chain_reply[] = {
	U8(wire_chain_reply, status),
	U8(wire_chain_reply, type),
	U32(wire_chain_reply, bits),
	U32(wire_chain_reply, pk_algorithm),
	U64(wire_chain_reply, version),
	BOOL(wire_chain_reply, is_default),
	STR(wire_chain_reply, chain, WIRE_CHAIN),
	END,
};

static const struct field sign_request[] = {
	U64(wire_sign_request, version),
	U32(wire_sign_request, algorithm),
	BOOL(wire_sign_request, is_hash),
	STR(wire_sign_request, data, WIRE_SIGNATURE),
	END,
};

static const struct field sign_reply[] = {
	BOOL(wire_sign_reply, ok),
	STR(wire_sign_reply, signature, WIRE_SIGNATURE),
	END,
};

static void
put_field(struct msg_writer *w, const struct field *f, const void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
		msg_put_u8(w, *(const bool *)at);
		break;
	case FIELD_U8:
		msg_put_u8(w, *(const uint8_t *)at);
		break;
	case FIELD_U32:
		msg_put_u32(w, *(const uint32_t *)at);
		break;
	case FIELD_U64:
		msg_put_u64(w, *(const uint64_t *)at);
		break;
	case FIELD_STR: {
		struct pst_str s = *(const struct pst_str *)at;

		if (s.n > f->max)
			w->bad = true;
		else
			msg_put_str(w, s);
		break;
	}
	case FIELD_END:
		break;
	}
}

static size_t
encode(const struct field *fields, enum msg_type type, const void *m, uint32_t incarnation,
       uint64_t request, uint8_t *out)
{
	const struct msg_head head = { type, incarnation, request };
	struct msg_writer w;
	const struct field *f;

	msg_begin(&w, out, MSG_MAX_OCTETS, &head);
	for (f = fields; f->type != FIELD_END; f++)
		put_field(&w, f, (const char *)m + f->offset);
	return msg_end(&w);
}

static bool
get_bool(struct msg_reader *r)
{
	uint8_t v = msg_get_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

static void
get_field(struct msg_reader *r, const struct field *f, void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
		*(bool *)at = get_bool(r);
		break;
	case FIELD_U8:
		*(uint8_t *)at = msg_get_u8(r);
		break;
	case FIELD_U32:
		*(uint32_t *)at = msg_get_u32(r);
		break;
	case FIELD_U64:
		*(uint64_t *)at = msg_get_u64(r);
		break;
	case FIELD_STR:
		*(struct pst_str *)at = msg_get_str(r, f->max);
		break;
	case FIELD_END:
		break;
	}
}

static int
decode(const struct field *fields, enum msg_type type, struct pst_str data,
       struct msg_head *head_out, void *m_out, struct pst_err *err)
{
	struct msg_reader r;
	const struct field *f;

	if (msg_open(&r, data, head_out, err) != 0)
		return -1;
	if (head_out->type != type)
		return pst_err_set(err, PST_E_PERM, "message of type %u where %u is due",
		                   (unsigned)head_out->type, (unsigned)type);
	for (f = fields; f->type != FIELD_END; f++)
		get_field(&r, f, (char *)m_out + f->offset);
	return msg_close(&r, err);
}

/* Each message's pair of functions is the two walks over its table. */
#define MESSAGE(name, type)                                                                        \
	size_t wire_##name##_encode(const struct wire_##name *m, uint32_t incarnation,             \
	                            uint64_t request, uint8_t *out)                                \
	{                                                                                          \
		return encode(name, type, m, incarnation, request, out);                           \
	}                                                                                          \
                                                                                                   \
	int wire_##name##_decode(struct pst_str data, struct msg_head *head_out,                   \
	                         struct wire_##name *m_out, struct pst_err *err)                   \
	{                                                                                          \
		return decode(name, type, data, head_out, m_out, err);                             \
	}

MESSAGE(auth_request, MSG_AUTH_REQUEST)
MESSAGE(auth_reply, MSG_AUTH_REPLY)
MESSAGE(auth_step, MSG_AUTH_STEP)
MESSAGE(note, MSG_NOTE)
MESSAGE(handoff, MSG_HANDOFF)
MESSAGE(chain_request, MSG_CHAIN_REQUEST)
MESSAGE(chain_reply, MSG_CHAIN_REPLY)
MESSAGE(sign_request, MSG_SIGN_REQUEST)
MESSAGE(sign_reply, MSG_SIGN_REPLY)

/* An order is the master's own word: there is no asker whose incarnation it could bear. */
size_t
wire_order_encode(const struct wire_order_msg *m, uint8_t *out)
{
	const struct msg_head head = { MSG_ORDER, 0, 0 };
	struct msg_writer w;

	msg_begin(&w, out, MSG_MAX_OCTETS, &head);
	msg_put_u8(&w, (uint8_t)m->order);
	msg_put_u32(&w, m->row);
	msg_put_str(&w, m->user);
	return msg_end(&w);
}

int
wire_order_decode(struct pst_str data, struct msg_head *head_out, struct wire_order_msg *m_out,
                  struct pst_err *err)
{
	struct msg_reader r;
	uint8_t order;

	if (msg_open(&r, data, head_out, err) != 0)
		return -1;
	if (head_out->type != MSG_ORDER)
		return pst_err_set(err, PST_E_PERM, "message of type %u where an order is due",
		                   (unsigned)head_out->type);
	order = msg_get_u8(&r);
	m_out->row = msg_get_u32(&r);
	m_out->user = msg_get_str(&r, WIRE_USER);
	if (msg_close(&r, err) != 0)
		return -1;
	if (order < ORDER_DRAIN || order > ORDER_CLAIMED)
		return pst_err_set(err, PST_E_PERM, "unknown order %u", order);
	m_out->order = (enum wire_order)order;
	return 0;
}

enum msg_type
wire_type(struct pst_str data)
{
	struct msg_reader r;
	struct msg_head head;
	struct pst_err err;

	return msg_open(&r, data, &head, &err) == 0 ? head.type : (enum msg_type)0;
}
