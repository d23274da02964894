/* SPDX-License-Identifier: MIT */
/* Choosing UIDLs so that none is given twice; see uidls.h. */
#include "storage/maildir/uidls.h"

#include <stdio.h>
#include <string.h>

#include "storage/index/hash.h"
#include "storage/maildir/renamed.h"

/* A UIDL that may not be given to a message with another base name. */
struct taken {
	struct pst_str uidl; /* n 0: a free slot */
	struct pst_str base;
};

/* No base name: of a message that is gone for good. */
static const struct pst_str nobody = { "/", 1 };

static bool
is_new(const struct scan_fresh *f)
{
	return f->known == SCAN_NONE && f->state == FRESH_MEASURED;
}

static struct pst_str
base_of_fresh(const struct scan *s, uint32_t fresh)
{
	uint32_t place;

	return maildir_base(scan_name(s, s->known_count + fresh, &place));
}

/* Base names, and digests of them, which hold a ':', are unique without being looked up. */
static bool
is_from_base(const struct index_message *m)
{
	static const char prefix[] = "sha256:";

	return pst_str_eq(m->uidl, m->identity) ||
	       (m->uidl.n >= sizeof(prefix) && memcmp(m->uidl.p, prefix, sizeof(prefix) - 1) == 0);
}

static bool
has_missing(const struct scan *s)
{
	uint32_t i;

	for (i = 0; i < s->known_count; i++)
		if (s->marks[i].round == 0)
			return true;
	return false;
}

static bool
is_plain(const struct uidls *u)
{
	const struct scan *s = u->s;
	struct index_message m;
	uint32_t i;

	if (u->f->kind != FOREIGN_NONE || u->ledger->count > 0 ||
	    u->self->policy.kind != UIDL_NAME || has_missing(s))
		return false;
	for (i = 0; i < s->known_count; i++) {
		index_at(s->known, i, &m);
		if (!is_from_base(&m))
			return false;
	}
	return true;
}

/* ---- Which are taken ---- */

/* Whether the UIDL may be a message's; it is taken then. */
static bool
take(struct uidls *u, struct pst_str uidl, struct pst_str base)
{
	size_t at = (size_t)index_hash(uidl.p, uidl.n, u->self->seed) & u->mask;

	for (; u->taken[at].uidl.n > 0; at = (at + 1) & u->mask)
		if (pst_str_eq(u->taken[at].uidl, uidl))
			return pst_str_eq(u->taken[at].base, base);
	u->taken[at] = (struct taken){ uidl, base };
	return true;
}

static void
take_known(struct uidls *u)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < u->s->known_count; i++) {
		index_at(u->s->known, i, &m);
		(void)take(u, m.uidl, m.identity);
	}
}

static void
take_recorded(struct uidls *u)
{
	uint32_t i;

	for (i = 0; i < u->ledger->count; i++) {
		const struct ledger_entry *e = &u->ledger->entries[i];

		(void)take(u, e->uidl, e->is_gone ? nobody : e->key);
	}
}

/* All of the list's, also those of messages that are gone; of equal ones the first has it. */
static void
take_listed(struct uidls *u)
{
	uint32_t i;

	for (i = 0; i < u->f->count; i++) {
		const struct foreign_record *r = &u->f->records[i];

		if (r->uidl_octets > 0 && (r->flags & FOREIGN_REPLACED) == 0)
			(void)take(u, foreign_uidl(u->f, r),
			           (struct pst_str){ r->base, r->base_octets });
	}
}

/* ---- Choosing ---- */

static void
choose(struct uidls *u, uint32_t fresh, struct pst_str uidl, enum uidl_origin origin)
{
	u->chosen[fresh].uidl = uidl;
	u->chosen[fresh].origin = (uint8_t)origin;
}

static void
choose_recorded(struct uidls *u, uint32_t fresh)
{
	struct pst_str base = base_of_fresh(u->s, fresh);
	const struct ledger_entry *e = ledger_find(u->ledger, base, NULL);

	for (; e != NULL; e = ledger_find(u->ledger, base, e)) {
		if (!take(u, e->uidl, base))
			continue; /* the index knows better */
		choose(u, fresh, e->uidl, UIDL_FROM_LEDGER);
		u->chosen[fresh].uid = e->uid;
		u->chosen[fresh].validity = e->validity;
		u->chosen[fresh].is_recorded = true;
		return;
	}
}

static void
choose_listed(struct uidls *u, uint32_t fresh)
{
	struct pst_str base = base_of_fresh(u->s, fresh);
	const struct foreign_record *r = foreign_find(u->f, base);

	if (r == NULL || r->uidl_octets == 0)
		return;
	if (take(u, foreign_uidl(u->f, r), base)) {
		choose(u, fresh, foreign_uidl(u->f, r), UIDL_FROM_LIST);
		u->taken_over++;
	} else {
		u->refused++;
	}
}

static char *
room_of(const struct uidls *u, uint32_t fresh)
{
	return u->text + (size_t)fresh * UIDL_ROOM;
}

/* What the policy makes of the message itself; n 0: nothing. */
static struct pst_str
own_of(const struct uidls *u, uint32_t fresh)
{
	const struct uidl_policy *policy = &u->self->policy;
	const struct scan_fresh *f = &u->s->fresh[fresh];
	struct pst_str base = base_of_fresh(u->s, fresh);
	struct pst_str own = { u->s->text + f->own, f->own_octets };
	struct uidl_values v = {
		.base = base, .guid = base, .header_md5 = own, .md5 = u->self->host->md5
	};
	char *room = room_of(u, fresh);
	struct pst_err err;
	int n;

	if (policy->kind == UIDL_NAME || (policy->kind == UIDL_TEMPLATE && policy->has_uid))
		return (struct pst_str){ NULL, 0 };
	if (policy->kind != UIDL_TEMPLATE)
		return own;
	n = uidl_render(policy->format, &v, room, UIDL_MAX, &err);
	own = (struct pst_str){ room, n < 0 ? 0 : (size_t)n };
	return uidl_is_valid(own) ? own : (struct pst_str){ NULL, 0 };
}

/* The base name's; where another has that, digests of it with a number behind. */
static void
choose_name(struct uidls *u, uint32_t fresh, bool is_told)
{
	const struct pst_host *host = u->self->host;
	char *buf = room_of(u, fresh);
	char numbered[INDEX_NAME_MAX + 32];
	struct pst_str base = base_of_fresh(u->s, fresh);
	struct pst_str uidl = maildir_uidl(host, base, buf);
	unsigned tries = 0;

	while (!take(u, uidl, base)) {
		int n = snprintf(numbered, sizeof(numbered), "%.*s:%080u", PST_ARG(base), ++tries);

		if (n < 0 || (size_t)n >= sizeof(numbered))
			n = (int)sizeof(numbered) - 1;
		uidl = maildir_uidl(host, (struct pst_str){ numbered, (size_t)n }, buf);
		is_told = false;
	}
	choose(u, fresh, uidl, is_told ? UIDL_FROM_MAIL : UIDL_GIVEN);
}

static void
choose_own(struct uidls *u, uint32_t fresh)
{
	struct pst_str own = own_of(u, fresh);

	if (own.n > 0 && take(u, own, base_of_fresh(u->s, fresh)))
		choose(u, fresh, own, UIDL_FROM_MAIL);
	else
		choose_name(u, fresh, own.n == 0);
}

/* One without a UIDL from elsewhere, before the list is written to. Numbers are given later, but where
 * the list has the message it has its number there. */
static void
choose_beside_list(struct uidls *u, uint32_t fresh)
{
	if (!u->self->policy.has_uid)
		choose_own(u, fresh);
	else if (foreign_find(u->f, base_of_fresh(u->s, fresh)) != NULL)
		choose_name(u, fresh, false);
}

/* ---- Numbers ---- */

static bool
next_number(struct uidls *u, uint32_t *uid_out, int64_t now_s)
{
	const struct index_head *head = &u->s->known->head;
	bool is_bare = !u->self->policy.has_validity;

	if (!u->has_numbers)
		ledger_numbers(u->ledger, head->uid_validity, head->next_uid, now_s, is_bare);
	u->has_numbers = true;
	if (ledger_next(u->ledger, uid_out))
		return true;
	ledger_numbers(u->ledger, 0, 0, now_s, is_bare);
	return ledger_next(u->ledger, uid_out);
}

static void
number(struct uidls *u, uint32_t fresh, int64_t now_s)
{
	struct uidl_choice *c = &u->chosen[fresh];
	struct pst_str base = base_of_fresh(u->s, fresh), uidl;
	const struct scan_fresh *f = &u->s->fresh[fresh];
	struct uidl_values v = {
		.base = base,
		.guid = base,
		.header_md5 = { u->s->text + f->own, f->own_octets },
		.md5 = u->self->host->md5,
	};
	char *room = room_of(u, fresh);
	struct pst_err err;
	int n;

	while (next_number(u, &v.uid, now_s)) {
		v.validity = u->ledger->validity;
		n = uidl_render(u->self->policy.format, &v, room, UIDL_MAX, &err);
		uidl = (struct pst_str){ room, n < 0 ? 0 : (size_t)n };
		if (!uidl_is_valid(uidl))
			break;
		if (!take(u, uidl, base))
			continue; /* shown by another server, perhaps */
		choose(u, fresh, uidl, UIDL_GIVEN);
		c->uid = v.uid;
		c->validity = v.validity;
		return;
	}
	choose_name(u, fresh, false); /* the format and this name do not go together */
}

void
uidls_name(struct uidls *u, uint32_t fresh, int64_t now_s)
{
	if (u->chosen == NULL || u->chosen[fresh].uidl.n > 0)
		return;
	if (u->self->policy.has_uid)
		number(u, fresh, now_s);
	else
		choose_own(u, fresh);
}

/* ---- All ---- */

static int
make_room(struct uidls *u, struct pst_err *err)
{
	uint64_t fresh = u->s->fresh_count;
	uint64_t all = fresh + u->s->known_count + u->f->count + u->ledger->count;
	size_t slots = 16;

	while (slots < all * 2)
		slots *= 2;
	if (mem_get(&u->mem_taken, slots * sizeof(*u->taken)) != 0 ||
	    mem_get(&u->mem_chosen, (size_t)fresh * sizeof(*u->chosen)) != 0 ||
	    mem_get(&u->mem_text, (size_t)fresh * UIDL_ROOM) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	u->taken = u->mem_taken.p;
	u->mask = slots - 1;
	u->chosen = u->mem_chosen.p;
	u->text = u->mem_text.p;
	return 0;
}

int
uidls_choose(struct uidls *u, struct scan *s, const struct foreign *f, struct ledger *ledger,
             struct pst_err *err)
{
	uint32_t i;

	*u = (struct uidls){ .self = s->self, .s = s, .f = f, .ledger = ledger };
	for (i = 0; i < s->known_count; i++)
		s->marks[i].is_renamed = false; /* this may be done again, with another list */
	if (is_plain(u))
		return 0;
	if (make_room(u, err) != 0)
		return -1;
	take_known(u);
	take_recorded(u);
	take_listed(u);
	for (i = 0; i < s->fresh_count; i++) {
		u->chosen[i].renamed = SCAN_NONE;
		if (is_new(&s->fresh[i]))
			choose_recorded(u, i);
	}
	if (renamed_find(u, err) != 0)
		return -1;
	for (i = 0; i < s->fresh_count; i++)
		if (is_new(&s->fresh[i]) && u->chosen[i].uidl.n == 0)
			choose_listed(u, i);
	for (i = 0; i < s->fresh_count; i++)
		if (is_new(&s->fresh[i]) && u->chosen[i].uidl.n == 0 && f->kind != FOREIGN_NONE)
			choose_beside_list(u, i);
	return 0;
}

void
uidls_clear(struct uidls *u)
{
	mem_drop(&u->mem_chosen);
	mem_drop(&u->mem_taken);
	mem_drop(&u->mem_text);
	*u = (struct uidls){ .taken_over = 0 };
}

struct uidl_choice *
uidls_choice(const struct uidls *u, uint32_t fresh)
{
	return u->chosen == NULL ? NULL : &u->chosen[fresh];
}

struct pst_str
uidls_of(const struct uidls *u, uint32_t fresh, char buf[MAILDIR_UIDL_ROOM])
{
	if (u->chosen != NULL)
		return u->chosen[fresh].uidl;
	return maildir_uidl(u->self->host, base_of_fresh(u->s, fresh), buf);
}

bool
uidls_is_told(const struct maildir *self, const struct index_message *m)
{
	const struct uidl_policy *policy = &self->policy;
	const struct uidl_values v = { .base = m->identity,
		                       .guid = m->identity,
		                       .md5 = self->host->md5 };
	char buf[UIDL_ROOM];
	struct pst_err err;
	int n;

	if (policy->kind == UIDL_NAME)
		return pst_str_eq(maildir_uidl(self->host, m->identity, buf), m->uidl);
	if (policy->kind != UIDL_TEMPLATE || policy->has_uid || policy->has_header)
		return false;
	n = uidl_render(policy->format, &v, buf, UIDL_MAX, &err);
	return n > 0 && pst_str_eq((struct pst_str){ buf, (size_t)n }, m->uidl);
}
