/* SPDX-License-Identifier: MIT */
/* Dovecot's pop3_uidl_format, and the order of old servers; see foreign.h. */
#include <string.h>

#include "storage/maildir/foreign.h"

int
foreign_render(const char *format, const struct foreign_values *v, char *out, size_t room,
               struct pst_err *err)
{
	const struct uidl_values values = {
		.uid = v->uid,
		.validity = v->validity,
		.base = v->base,
		.guid = v->guid,
		.md5 = v->md5,
	};

	return uidl_render(format, &values, out, room, err);
}

/* ---- Order ---- */

enum { CLASS_ORDERED, CLASS_NUMBERED, CLASS_UNLISTED };

static bool
has_micros(struct pst_str base)
{
	const char *dot = base.n == 0 ? NULL : memchr(base.p, '.', base.n);
	const char *end, *m;
	size_t n;

	if (dot == NULL)
		return false;
	n = base.n - (size_t)(dot + 1 - base.p);
	end = memchr(dot + 1, '.', n);
	if (end != NULL)
		n = (size_t)(end - (dot + 1));
	m = memchr(dot + 1, 'M', n);
	return m != NULL;
}

void
foreign_key(const struct foreign *f, struct pst_str base, struct foreign_key *out)
{
	const struct foreign_record *r = NULL;

	*out = (struct foreign_key){ .kind = (uint8_t)f->kind, .class = CLASS_UNLISTED };
	maildir_key(base, &out->key);
	if (f->kind != FOREIGN_DOVECOT)
		return;
	out->has_micros = has_micros(base);
	r = foreign_find(f, base);
	if (r == NULL)
		return;
	out->is_listed = !r->is_ours;
	out->class = (r->flags & FOREIGN_HAS_ORDER) != 0 ? CLASS_ORDERED : CLASS_NUMBERED;
	out->number = out->class == CLASS_ORDERED ? r->order : r->uid;
}

/* Both servers compare names as C does with char on x86, up to the ':' before the flags. */
static int
compare_names(struct pst_str a, struct pst_str b)
{
	size_t i;

	for (i = 0; i < a.n || i < b.n; i++) {
		signed char x = i < a.n ? (signed char)a.p[i] : ':';
		signed char y = i < b.n ? (signed char)b.p[i] : ':';

		if (x != y)
			return x < y ? -1 : 1;
		if (i >= a.n || i >= b.n)
			break; /* no base name holds ':' */
	}
	return a.n < b.n ? -1 : a.n > b.n;
}

int
foreign_key_compare(const struct foreign_key *a, const struct foreign_key *b)
{
	if (a->kind == FOREIGN_NONE)
		return maildir_key_compare(&a->key, &b->key);
	if (a->class != b->class)
		return a->class < b->class ? -1 : 1;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	if (a->key.seconds != b->key.seconds)
		return a->key.seconds < b->key.seconds ? -1 : 1;
	if (a->has_micros && b->has_micros && a->key.micros != b->key.micros)
		return a->key.micros < b->key.micros ? -1 : 1;
	return compare_names(a->key.base, b->key.base);
}

bool
foreign_goes_before(const struct foreign_key *arrival, const struct foreign_key *listed)
{
	if (listed->kind == FOREIGN_DOVECOT && !listed->is_listed &&
	    arrival->class != CLASS_UNLISTED)
		return false;
	return foreign_key_compare(arrival, listed) < 0;
}
