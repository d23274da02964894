/* SPDX-License-Identifier: MIT */
/* Finding the same messages; see match.h. */
#include "ctl/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

/* ---- Passes: each has a key, and messages of both sides with equal keys are the same ---- */

struct key {
	uint8_t digest[32];
	uint64_t octets;
	uint32_t i;
};

static int
compare_key(const struct key *a, const struct key *b)
{
	int rc = memcmp(a->digest, b->digest, sizeof(a->digest));

	return rc != 0 ? rc : (a->octets > b->octets) - (a->octets < b->octets);
}

static int
compare_sorted(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int rc = compare_key(x, y);

	return rc != 0 ? rc : (x->i > y->i) - (x->i < y->i);
}

/* false: the message takes no part in this pass. is_old: of the old server. */
static bool
make_key(const struct match_message *m, enum match_by by, bool is_old, struct key *out)
{
	const struct likeness *like = &m->like;
	const uint64_t own = like->own_octets < m->octets ? like->own_octets : m->octets;

	out->octets = m->octets - own;
	switch (by) {
	case MATCH_BY_HEADER:
		memcpy(out->digest, like->header, sizeof(out->digest));
		return m->is_known;
	case MATCH_BY_LINE_END:
		memcpy(out->digest, like->header, sizeof(out->digest));
		out->octets += is_old ? 2 : 0;
		return m->is_known && like->has_header;
	case MATCH_BY_UIDL:
		pst_sha256(m->uidl.p, m->uidl.n, out->digest);
		out->octets = 0;
		return m->is_valid;
	case MATCH_BY_ALONE:
		memcpy(out->digest, like->header, sizeof(out->digest));
		out->octets = 0;
		return m->is_known && like->has_header;
	case MATCH_BY_LETTER:
		memcpy(out->digest, like->letter, sizeof(out->digest));
		return m->is_known && like->has_letter;
	case MATCH_WAYS:
		break;
	}
	return false;
}

/* Of those that are not found yet. */
static struct key *
sort_keys(const struct match_message *all, uint32_t n, const uint32_t *found, enum match_by by,
          bool is_old, uint32_t *n_out)
{
	struct key *keys = pst_new_array(struct key, n + (size_t)1);
	uint32_t i, count = 0;

	for (i = 0; i < n; i++)
		if (found[i] == MATCH_NONE && make_key(&all[i], by, is_old, &keys[count]))
			keys[count++].i = i;
	if (count > 0)
		qsort(keys, count, sizeof(*keys), compare_sorted);
	*n_out = count;
	return keys;
}

static uint32_t
count_equal(const struct key *keys, uint32_t at, uint32_t n)
{
	uint32_t end = at + 1;

	while (end < n && compare_key(&keys[at], &keys[end]) == 0)
		end++;
	return end - at;
}

static void
take_equal(struct match *m, enum match_by by, const struct key *old, uint32_t old_n,
           const struct key *here, uint32_t here_n)
{
	uint32_t i, n = old_n < here_n ? old_n : here_n;

	if ((by == MATCH_BY_ALONE || by == MATCH_BY_UIDL) && (old_n != 1 || here_n != 1))
		return;
	for (i = 0; i < n; i++) {
		m->with[old[i].i] = here[i].i;
		m->back[here[i].i] = old[i].i;
	}
	m->by[by] += n;
	m->found += n;
}

static void
pass(struct match *m, enum match_by by, const struct match_message *old, uint32_t old_n,
     const struct match_message *here, uint32_t here_n)
{
	uint32_t a_n, b_n, i = 0, k = 0;
	struct key *a = sort_keys(old, old_n, m->with, by, true, &a_n);
	struct key *b = sort_keys(here, here_n, m->back, by, false, &b_n);

	while (i < a_n && k < b_n) {
		int rc = compare_key(&a[i], &b[k]);
		uint32_t a_same = rc <= 0 ? count_equal(a, i, a_n) : 0;
		uint32_t b_same = rc >= 0 ? count_equal(b, k, b_n) : 0;

		if (rc == 0)
			take_equal(m, by, a + i, a_same, b + k, b_same);
		i += a_same;
		k += b_same;
	}
	free(a);
	free(b);
}

void
match_make(struct match *m, const struct match_message *old, uint32_t old_n,
           const struct match_message *here, uint32_t here_n)
{
	enum match_by by;

	*m = (struct match){ .found = 0 };
	m->with = pst_new_array(uint32_t, old_n + (size_t)1);
	m->back = pst_new_array(uint32_t, here_n + (size_t)1);
	memset(m->with, 0xff, (old_n + (size_t)1) * sizeof(*m->with));
	memset(m->back, 0xff, (here_n + (size_t)1) * sizeof(*m->back));
	for (by = MATCH_BY_HEADER; by < MATCH_WAYS; by++)
		pass(m, by, old, old_n, here, here_n);
}

void
match_clear(struct match *m)
{
	free(m->with);
	free(m->back);
	*m = (struct match){ .found = 0 };
}

/* ---- The plan ---- */

/* UIDLs that are somebody's, and whose. */
struct owned {
	struct pst_str uidl; /* n 0: free */
	uint32_t old;
};

struct owners {
	struct owned *slots;
	size_t mask;
};

static struct owned *
find_owner(const struct owners *o, struct pst_str uidl)
{
	uint8_t sum[32];
	uint64_t at;

	pst_sha256(uidl.p, uidl.n, sum);
	memcpy(&at, sum, sizeof(at));
	while (o->slots[at & o->mask].uidl.n > 0 && !pst_str_eq(o->slots[at & o->mask].uidl, uidl))
		at++;
	return &o->slots[at & o->mask];
}

/* The first message that the old server shows it for has it. */
static void
own_all(struct owners *o, const struct match_message *old, uint32_t n, uint32_t here_n)
{
	size_t slots = 16;
	uint32_t i;

	while (slots < ((size_t)n + here_n) * 2)
		slots *= 2;
	o->slots = pst_new_array(struct owned, slots);
	o->mask = slots - 1;
	for (i = 0; i < n; i++) {
		struct owned *at = old[i].is_valid ? find_owner(o, old[i].uidl) : NULL;

		if (at != NULL && at->uidl.n == 0)
			*at = (struct owned){ old[i].uidl, i };
	}
}

#define MADE_OCTETS 33

/* In place of a UIDL that is another's: a digest of it, with a number. */
static struct pst_str
make_uidl(struct match_plan *p, const struct owners *o, struct pst_str was)
{
	char *to = p->made.data + p->made.len; /* there is room for each message */
	struct pst_str uidl = { to, MADE_OCTETS };
	uint8_t sum[32];
	uint32_t number = 0;
	unsigned i;

	p->made.len += MADE_OCTETS;
	do {
		const struct pst_str n = { (const char *)&number, sizeof(number) };

		number++;
		pst_digest(PST_SHA256, was, n, sum);
		to[0] = 'm';
		for (i = 0; i < (MADE_OCTETS - 1) / 2; i++) {
			to[1 + 2 * i] = "0123456789abcdef"[sum[i] >> 4];
			to[2 + 2 * i] = "0123456789abcdef"[sum[i] & 15];
		}
	} while (find_owner(o, uidl)->uidl.n > 0);
	return uidl;
}

static void
put(struct match_plan *p, uint32_t *n, uint32_t here, struct pst_str uidl,
    const struct match_message *all)
{
	p->moved += here != *n;
	p->renamed += !pst_str_eq(uidl, all[here].uidl);
	p->places[(*n)++] = (struct match_place){ here, uidl };
}

/* What a message here is called if the old server has nothing to say: as now, unless that is another's. */
static struct pst_str
keep(struct match_plan *p, struct owners *o, struct pst_str uidl)
{
	struct owned *at = find_owner(o, uidl);

	if (at->uidl.n > 0)
		uidl = make_uidl(p, o, uidl);
	*find_owner(o, uidl) = (struct owned){ uidl, MATCH_NONE };
	return uidl;
}

void
match_plan(struct match_plan *p, const struct match *m, const struct match_message *old,
           uint32_t old_n, const struct match_message *here, uint32_t here_n)
{
	struct owners o = { NULL, 0 };
	struct pst_err err;
	uint32_t i, n = 0;

	*p = (struct match_plan){ .moved = 0 };
	p->places = pst_new_array(struct match_place, here_n + (size_t)1);
	pst_buf_init(&p->made, ((size_t)here_n + 1) * MADE_OCTETS);
	(void)pst_buf_reserve(&p->made, ((size_t)here_n + 1) * MADE_OCTETS, &err);
	own_all(&o, old, old_n, here_n);
	for (i = 0; i < old_n; i++) {
		const uint32_t at = m->with[i];

		if (at == MATCH_NONE)
			continue;
		if (old[i].is_valid && find_owner(&o, old[i].uidl)->old == i) {
			put(p, &n, at, old[i].uidl, here);
		} else {
			p->not_taken++;
			put(p, &n, at, keep(p, &o, here[at].uidl), here);
		}
	}
	for (i = 0; i < here_n; i++)
		if (m->back[i] == MATCH_NONE)
			put(p, &n, i, keep(p, &o, here[i].uidl), here);
	free(o.slots);
}

void
match_plan_clear(struct match_plan *p)
{
	free(p->places);
	pst_buf_clear(&p->made);
	*p = (struct match_plan){ .moved = 0 };
}
