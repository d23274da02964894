/* SPDX-License-Identifier: MIT */
/* Tickets: a few fields in a sealed box whose nonce is the ticket's number; see ticket.h. */
#include "ipc/ticket.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "ipc/message.h"
#include "ipc/wire.h"

#define TICKET_FORMAT 4
#define TICKET_LOCATION 4096 /* octets */
#define PLAIN_MAX (WIRE_TICKET - PST_SEAL_OVERHEAD)

struct ticket_desk {
	struct ticket_office *office; /* borrowed */
	struct pst_sealer *sealer;
};

void
ticket_office_init(struct ticket_office *o)
{
	pst_random(o->key, sizeof(o->key));
	pst_random(o->boot_secret, sizeof(o->boot_secret));
	/* 0 marks a place where nothing was served: so they are mapped, and not written here, which
	 * would take half a megabyte for nothing. */
	atomic_store(&o->next, 1);
}

struct ticket_desk *
ticket_desk_create(struct ticket_office *o)
{
	struct ticket_desk *d = pst_new(struct ticket_desk);

	d->office = o;
	d->sealer = pst_sealer_create(o->key);
	return d;
}

void
ticket_desk_destroy(struct ticket_desk *d)
{
	if (d == NULL)
		return;
	pst_sealer_destroy(d->sealer);
	free(d);
}

size_t
ticket_seal(struct ticket_desk *d, const struct ticket *t, uint8_t *out)
{
	uint8_t plain[PLAIN_MAX];
	struct msg_writer w = { .p = plain, .cap = sizeof(plain) };
	size_t n;

	if (t->sid.n > WIRE_SID || t->user.n > WIRE_USER || t->location.n > TICKET_LOCATION ||
	    t->mechanism.n > WIRE_NAME || t->master.n > WIRE_USER || t->app.n > WIRE_TEXT)
		return 0;
	msg_put_u8(&w, TICKET_FORMAT);
	msg_put_u32(&w, t->uid);
	msg_put_u32(&w, t->gid);
	msg_put_u64(&w, (uint64_t)(pst_now_ms() + TICKET_LIFE_MS));
	msg_put_str(&w, t->sid);
	msg_put_str(&w, t->user);
	msg_put_str(&w, t->location);
	msg_put_str(&w, t->mechanism);
	msg_put_str(&w, t->master);
	msg_put_str(&w, t->app);
	msg_put_u32(&w, t->backend);
	msg_put_u8(&w, t->wants_notes);
	msg_put_u64(&w, t->changes_at);
	msg_put_u32(&w, t->max_sessions);
	msg_put_u32(&w, t->max_listed);
	msg_put_u64(&w, t->min_poll_ms > 0 ? (uint64_t)t->min_poll_ms : 0);
	msg_put_u8(&w, t->read_only);
	msg_put_u32(&w, t->expire_days);
	msg_put_u32(&w, t->hold_days);
	msg_put_u64(&w, (uint64_t)t->leased_ms);
	n = msg_end(&w);
	pst_assert(n > 0); /* the bounds above fit in together */
	pst_seal(d->sealer, atomic_fetch_add(&d->office->next, 1),
	         (struct pst_str){ (const char *)plain, n }, out);
	return n + PST_SEAL_OVERHEAD;
}

/* True once for each number. A number whose place has seen a later one is taken for served: by
 * then TICKET_SERVED others were made, more than a ticket's life allows. */
static bool
mark_served(struct ticket_office *o, uint64_t number)
{
	_Atomic uint64_t *place = &o->served[number % TICKET_SERVED];
	uint64_t seen = atomic_load(place);

	while (seen < number)
		if (atomic_compare_exchange_weak(place, &seen, number))
			return true;
	return false;
}

static int
read_fields(struct pst_str plain, struct ticket *t_out, struct pst_err *err)
{
	struct msg_reader r = { .p = (const uint8_t *)plain.p, .left = plain.n };

	if (msg_get_u8(&r) != TICKET_FORMAT)
		return pst_err_set(err, PST_E_PERM, "ticket of another format");
	t_out->uid = msg_get_u32(&r);
	t_out->gid = msg_get_u32(&r);
	t_out->expires_ms = (int64_t)msg_get_u64(&r);
	t_out->sid = msg_get_str(&r, WIRE_SID);
	t_out->user = msg_get_str(&r, WIRE_USER);
	t_out->location = msg_get_str(&r, TICKET_LOCATION);
	t_out->mechanism = msg_get_str(&r, WIRE_NAME);
	t_out->master = msg_get_str(&r, WIRE_USER);
	t_out->app = msg_get_str(&r, WIRE_TEXT);
	t_out->backend = msg_get_u32(&r);
	t_out->wants_notes = msg_get_u8(&r) != 0;
	t_out->changes_at = msg_get_u64(&r);
	t_out->max_sessions = msg_get_u32(&r);
	t_out->max_listed = msg_get_u32(&r);
	t_out->min_poll_ms = (int64_t)msg_get_u64(&r);
	t_out->read_only = msg_get_u8(&r) != 0;
	t_out->expire_days = msg_get_u32(&r);
	t_out->hold_days = msg_get_u32(&r);
	t_out->leased_ms = (int64_t)msg_get_u64(&r);
	return msg_close(&r, err);
}

int
ticket_open(struct ticket_desk *d, struct pst_str sealed, struct pst_str sid, uint8_t *scratch,
            struct ticket *t_out, struct pst_err *err)
{
	uint64_t number;
	size_t n;

	if (sealed.n > WIRE_TICKET)
		return pst_err_set(err, PST_E_PERM, "ticket too long: %zu octets", sealed.n);
	if (pst_unseal(d->sealer, sealed, scratch, &n, &number, err) != 0)
		return -1;
	if (read_fields((struct pst_str){ (const char *)scratch, n }, t_out, err) != 0)
		return -1;
	if (!pst_str_eq(t_out->sid, sid))
		return pst_err_set(err, PST_E_PERM, "ticket of another session");
	if (pst_now_ms() >= t_out->expires_ms)
		return pst_err_set(err, PST_E_PERM, "ticket has expired");
	if (!mark_served(d->office, number))
		return pst_err_set(err, PST_E_PERM, "ticket was served before");
	return 0;
}
