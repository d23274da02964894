/* SPDX-License-Identifier: MIT */
/* Fields in and out of a message; see message.h. */
#include "ipc/message.h"

#include <string.h>

#define MSG_VERSION 1
#define MSG_LAST MSG_NOTE

static void
put(struct msg_writer *w, const void *p, size_t n)
{
	if (w->bad || n > w->cap - w->n) {
		w->bad = true;
		return;
	}
	if (n > 0)
		memcpy(w->p + w->n, p, n);
	w->n += n;
}

static void
put_number(struct msg_writer *w, uint64_t v, size_t octets)
{
	uint8_t b[8];
	size_t i;

	for (i = 0; i < octets; i++)
		b[i] = (uint8_t)(v >> (8 * (octets - 1 - i)));
	put(w, b, octets);
}

void
msg_begin(struct msg_writer *w, void *out, size_t cap, const struct msg_head *head)
{
	*w = (struct msg_writer){ .p = out, .cap = cap };
	msg_put_u8(w, MSG_VERSION);
	msg_put_u8(w, (uint8_t)head->type);
	msg_put_u32(w, head->incarnation);
	msg_put_u64(w, head->request);
}

void
msg_put_u8(struct msg_writer *w, uint8_t v)
{
	put(w, &v, 1);
}

void
msg_put_u32(struct msg_writer *w, uint32_t v)
{
	put_number(w, v, 4);
}

void
msg_put_u64(struct msg_writer *w, uint64_t v)
{
	put_number(w, v, 8);
}

void
msg_put_str(struct msg_writer *w, struct pst_str s)
{
	if (s.n > MSG_MAX_OCTETS) {
		w->bad = true;
		return;
	}
	msg_put_u32(w, (uint32_t)s.n);
	put(w, s.p, s.n);
}

size_t
msg_end(struct msg_writer *w)
{
	return w->bad ? 0 : w->n;
}

/* The next n octets, or NULL. After the first failure everything fails. */
static const uint8_t *
take(struct msg_reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return p;
}

static uint64_t
get_number(struct msg_reader *r, size_t octets)
{
	const uint8_t *p = take(r, octets);
	uint64_t v = 0;
	size_t i;

	for (i = 0; p != NULL && i < octets; i++)
		v = v << 8 | p[i];
	return v;
}

int
msg_open(struct msg_reader *r, struct pst_str data, struct msg_head *head_out, struct pst_err *err)
{
	uint8_t version, type;

	*r = (struct msg_reader){ .p = (const uint8_t *)data.p, .left = data.n };
	version = msg_get_u8(r);
	type = msg_get_u8(r);
	head_out->incarnation = msg_get_u32(r);
	head_out->request = msg_get_u64(r);
	if (r->bad)
		return pst_err_set(err, PST_E_PERM, "message too short: %zu octets", data.n);
	if (version != MSG_VERSION)
		return pst_err_set(err, PST_E_PERM, "message of version %u", version);
	if (type == 0 || type > MSG_LAST)
		return pst_err_set(err, PST_E_PERM, "message of unknown type %u", type);
	head_out->type = (enum msg_type)type;
	return 0;
}

uint8_t
msg_get_u8(struct msg_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint32_t
msg_get_u32(struct msg_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t
msg_get_u64(struct msg_reader *r)
{
	return get_number(r, 8);
}

struct pst_str
msg_get_str(struct msg_reader *r, size_t max)
{
	size_t n = msg_get_u32(r);
	const uint8_t *p;

	if (n > max)
		r->bad = true;
	p = take(r, n);
	if (p == NULL)
		return (struct pst_str){ "", 0 };
	return (struct pst_str){ (const char *)p, n };
}

int
msg_close(struct msg_reader *r, struct pst_err *err)
{
	if (r->bad)
		return pst_err_set(err, PST_E_PERM, "message with a field that is cut or too long");
	if (r->left > 0)
		return pst_err_set(err, PST_E_PERM, "message with %zu octets too many", r->left);
	return 0;
}
