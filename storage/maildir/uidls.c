/* SPDX-License-Identifier: MIT */
/* Choosing UIDLs so that none is given twice; see uidls.h. */
#include "storage/maildir/uidls.h"

#include <stdio.h>
#include <string.h>

#include "storage/index/hash.h"

/* A UIDL that may not be given to a message with another base name. */
struct taken {
	struct pst_str uidl; /* n 0: a free slot */
	struct pst_str base;
};

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
is_plain(const struct scan *s, const struct foreign *f)
{
	struct index_message m;
	uint32_t i;

	if (f->kind != FOREIGN_NONE)
		return false;
	for (i = 0; i < s->known_count; i++) {
		index_at(s->known, i, &m);
		if (!is_from_base(&m))
			return false;
	}
	return true;
}

/* Whether the UIDL may be a message's; it is taken then. */
static bool
take(struct uidls *u, struct pst_str uidl, struct pst_str base)
{
	size_t at = (size_t)index_hash(uidl.p, uidl.n, u->s->self->seed) & u->mask;

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

static void
choose_listed(struct uidls *u, uint32_t fresh)
{
	struct pst_str base = base_of_fresh(u->s, fresh);
	const struct foreign_record *r = foreign_find(u->f, base);

	if (r == NULL || r->uidl_octets == 0)
		return;
	if (take(u, foreign_uidl(u->f, r), base)) {
		u->chosen[fresh] = foreign_uidl(u->f, r);
		u->taken_over++;
	} else {
		u->refused++;
	}
}

/* The base name's; where another has that, digests of it with a number behind. */
static void
choose_own(struct uidls *u, uint32_t fresh)
{
	const struct pst_host *host = u->s->self->host;
	char *buf = u->text + (size_t)fresh * MAILDIR_UIDL_ROOM;
	char numbered[INDEX_NAME_MAX + 32];
	struct pst_str base = base_of_fresh(u->s, fresh);
	struct pst_str uidl = maildir_uidl(host, base, buf);
	unsigned tries = 0;

	while (!take(u, uidl, base)) {
		int n = snprintf(numbered, sizeof(numbered), "%.*s:%080u", PST_ARG(base), ++tries);

		if (n < 0 || (size_t)n >= sizeof(numbered))
			n = (int)sizeof(numbered) - 1;
		uidl = maildir_uidl(host, (struct pst_str){ numbered, (size_t)n }, buf);
	}
	u->chosen[fresh] = uidl;
}

static int
make_room(struct uidls *u, struct pst_err *err)
{
	uint64_t fresh = u->s->fresh_count;
	uint64_t all = fresh + u->s->known_count + u->f->count;
	size_t slots = 16;

	while (slots < all * 2)
		slots *= 2;
	if (mem_get(&u->mem_taken, slots * sizeof(*u->taken)) != 0 ||
	    mem_get(&u->mem_chosen, (size_t)fresh * sizeof(*u->chosen)) != 0 ||
	    mem_get(&u->mem_text, (size_t)fresh * MAILDIR_UIDL_ROOM) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to list the maildrop");
	u->taken = u->mem_taken.p;
	u->mask = slots - 1;
	u->chosen = u->mem_chosen.p;
	u->text = u->mem_text.p;
	return 0;
}

int
uidls_choose(struct uidls *u, const struct scan *s, const struct foreign *f, struct pst_err *err)
{
	uint32_t i;

	*u = (struct uidls){ .s = s, .f = f };
	if (is_plain(s, f))
		return 0;
	if (make_room(u, err) != 0)
		return -1;
	take_known(u);
	take_listed(u);
	for (i = 0; i < s->fresh_count; i++)
		if (is_new(&s->fresh[i]))
			choose_listed(u, i);
	for (i = 0; i < s->fresh_count; i++)
		if (is_new(&s->fresh[i]) && u->chosen[i].n == 0)
			choose_own(u, i);
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

struct pst_str
uidls_of(const struct uidls *u, uint32_t fresh, char buf[MAILDIR_UIDL_ROOM])
{
	if (u->chosen != NULL)
		return u->chosen[fresh];
	return maildir_uidl(u->s->self->host, base_of_fresh(u->s, fresh), buf);
}
