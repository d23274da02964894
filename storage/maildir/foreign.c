/* SPDX-License-Identifier: MIT */
/* Finding and keeping what an old server's list says; see foreign.h. */
#include "storage/maildir/foreign.h"

#include <string.h>
#include <unistd.h>

#include "storage/index/hash.h"

#define NO_RECORD UINT32_MAX

/* ---- What the parsers need ---- */

bool
foreign_next_line(struct pst_str *rest, struct pst_str *line_out)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->p, '\n', rest->n);
	*line_out = (struct pst_str){ rest->p, end == NULL ? rest->n : (size_t)(end - rest->p) };
	rest->p += line_out->n + (end != NULL);
	rest->n -= line_out->n + (end != NULL);
	return true;
}

void
foreign_number(struct foreign *f, uint64_t number)
{
	if (number >= f->next)
		f->next = number + 1; /* <= 2^48: for both kinds */
}

void
foreign_note_bad(struct foreign *f, uint32_t line, const char *why)
{
	if (f->bad_lines++ > 0)
		return;
	f->first_bad_line = line;
	f->first_bad = why;
}

static bool
is_valid_uidl(struct pst_str uidl)
{
	size_t i;

	for (i = 0; i < uidl.n; i++)
		if (uidl.p[i] < 0x21 || uidl.p[i] > 0x7e)
			return false;
	return uidl.n >= 1 && uidl.n <= INDEX_UIDL_MAX;
}

int
foreign_add(struct foreign *f, const struct foreign_record *r, struct pst_str uidl,
            struct pst_err *err)
{
	size_t n = is_valid_uidl(uidl) ? uidl.n : 0;
	struct foreign_record *to;

	if (mem_grow(&f->mem_records, ((size_t)f->count + 1) * sizeof(*r), SIZE_MAX / 8) != 0 ||
	    mem_grow(&f->mem_text, f->text_used + n + 1, UINT32_MAX) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for the old server's list");
	f->records = f->mem_records.p;
	f->text = f->mem_text.p;
	to = &f->records[f->count++];
	*to = *r;
	to->uidl = f->text_used;
	to->uidl_octets = (uint8_t)n;
	if (n > 0)
		memcpy(f->text + f->text_used, uidl.p, n);
	f->text_used += (uint32_t)n;
	return 0;
}

/* ---- Finding ---- */

static struct pst_str
base_of(const struct foreign_record *r)
{
	return (struct pst_str){ r->base, r->base_octets };
}

/* The slot of a base name, or the free one where it belongs. */
static size_t
slot_of(const struct foreign *f, struct pst_str base)
{
	size_t at = (size_t)index_hash(base.p, base.n, f->seed) & f->slot_mask;

	while (f->slots[at] != NO_RECORD && !pst_str_eq(base_of(&f->records[f->slots[at]]), base))
		at = (at + 1) & f->slot_mask;
	return at;
}

int
foreign_make_findable(struct foreign *f, uint64_t seed, struct pst_err *err)
{
	size_t slots = 16, at;
	uint32_t i;

	while (slots < (size_t)f->count * 2)
		slots *= 2;
	mem_drop(&f->mem_slots);
	if (mem_get(&f->mem_slots, slots * sizeof(*f->slots)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for the old server's list");
	f->slots = f->mem_slots.p;
	f->slot_mask = slots - 1;
	f->seed = seed;
	memset(f->slots, 0xff, slots * sizeof(*f->slots));
	for (i = 0; i < f->count; i++) {
		at = slot_of(f, base_of(&f->records[i]));
		if (f->slots[at] != NO_RECORD)
			f->records[f->slots[at]].flags |= FOREIGN_REPLACED;
		f->slots[at] = i;
	}
	return 0;
}

const struct foreign_record *
foreign_find(const struct foreign *f, struct pst_str base)
{
	uint32_t i;

	if (f->count == 0)
		return NULL;
	i = f->slots[slot_of(f, base)];
	return i == NO_RECORD ? NULL : &f->records[i];
}

struct pst_str
foreign_uidl(const struct foreign *f, const struct foreign_record *r)
{
	return (struct pst_str){ f->text + r->uidl, r->uidl_octets };
}

void
foreign_clear(struct foreign *f)
{
	if (f->owns_dirfd)
		close(f->dirfd);
	mem_drop(&f->mem_octets);
	mem_drop(&f->mem_records);
	mem_drop(&f->mem_text);
	mem_drop(&f->mem_slots);
	*f = (struct foreign){ .kind = FOREIGN_NONE };
}
