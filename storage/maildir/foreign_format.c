/* SPDX-License-Identifier: MIT */
/* Dovecot's pop3_uidl_format in both syntaxes, and the order of old servers; see foreign.h. */
#include <stdio.h>
#include <string.h>

#include "storage/maildir/foreign.h"

/* ---- Formats ---- */

struct output {
	char *p;
	size_t n, room;
	bool is_full;
};

/* A variable with what is done to it. */
struct variable {
	bool is_number;
	uint32_t number;
	struct pst_str text;
	bool is_hex, is_upper, is_lower, is_padded;
	size_t width; /* 0: none */
};

static void
put(struct output *o, const char *p, size_t n)
{
	if (n > o->room - o->n) {
		o->is_full = true;
		return;
	}
	if (n > 0)
		memcpy(o->p + o->n, p, n);
	o->n += n;
}

static char
in_case(char c, const struct variable *v)
{
	if (v->is_upper && c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	return v->is_lower ? pst_lower(c) : c;
}

/* A width pads with zeros, or without a zero in front of it cuts. */
static void
put_variable(struct output *o, const struct variable *v)
{
	char digits[16];
	struct pst_str s = v->text;
	size_t i;

	if (v->is_number) {
		s.p = digits;
		s.n = (size_t)snprintf(digits, sizeof(digits), v->is_hex ? "%x" : "%u", v->number);
	}
	for (i = s.n; v->is_padded && i < v->width; i++)
		put(o, "0", 1);
	if (!v->is_padded && v->width > 0 && s.n > v->width)
		s.n = v->width;
	for (i = 0; i < s.n && !o->is_full; i++) {
		char c = in_case(s.p[i], v);

		put(o, &c, 1);
	}
}

static bool
choose(const struct foreign_values *values, struct pst_str name, struct variable *v)
{
	static const struct {
		struct pst_str letter, name;
	} names[] = {
		{ { "u", 1 }, { "uid", 3 } },
		{ { "v", 1 }, { "uidvalidity", 11 } },
		{ { "f", 1 }, { "filename", 8 } },
		{ { "g", 1 }, { "guid", 4 } },
	};
	size_t i;

	for (i = 0; i < 4; i++)
		if (pst_str_eq(name, names[i].letter) || pst_str_eq(name, names[i].name))
			break;
	v->is_number = i < 2;
	v->number = i == 0 ? values->uid : values->validity;
	v->text = i == 2 ? values->base : values->guid;
	return i < 4;
}

/* [0][width][modifiers]letter */
static const char *
render_short(const char *p, const struct foreign_values *values, struct output *o)
{
	struct variable v = { .width = 0 };

	v.is_padded = *p == '0';
	for (; pst_is_digit(*p); p++)
		v.width = v.width > 1000 ? v.width : v.width * 10 + (size_t)(*p - '0');
	for (; *p == 'X' || *p == 'L' || *p == 'U';
	     p++) { /* one after the other: X is lower case */
		v.is_hex |= *p == 'X';
		v.is_lower = *p == 'L';
		v.is_upper = *p == 'U';
	}
	if (*p == '\0' || !choose(values, (struct pst_str){ p, 1 }, &v))
		return NULL;
	if (v.is_hex && !v.is_number)
		return NULL;
	put_variable(o, &v);
	return p + 1;
}

static struct pst_str
trim(struct pst_str s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = (struct pst_str){ s.p + 1, s.n - 1 };
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

static bool
apply(struct pst_str filter, struct variable *v)
{
	uint64_t width = 0;

	if (pst_str_eq(filter, PST_LIT("lower"))) {
		v->is_lower = true;
		v->is_upper = false;
		return true;
	}
	if (pst_str_eq(filter, PST_LIT("upper"))) {
		v->is_upper = true;
		v->is_lower = false;
		return true;
	}
	if (!v->is_number || filter.n < 3 || memcmp(filter.p, "hex", 3) != 0)
		return false;
	filter = (struct pst_str){ filter.p + 3, filter.n - 3 };
	v->is_hex = true;
	v->is_upper = false;
	if (filter.n == 0)
		return true;
	if (filter.n < 3 || filter.p[0] != '(' || filter.p[filter.n - 1] != ')')
		return false;
	filter = (struct pst_str){ filter.p + 1, filter.n - 2 };
	if (!pst_str_u64(filter, &width) || width > INDEX_UIDL_MAX)
		return false;
	v->is_padded = true;
	v->width = (size_t)width;
	return true;
}

/* name | filter | filter} */
static const char *
render_long(const char *p, const struct foreign_values *values, struct output *o)
{
	const char *end = strchr(p, '}');
	struct variable v = { .width = 0 };
	bool is_first = true;

	if (end == NULL)
		return NULL;
	for (;;) {
		size_t n = strcspn(p, "|}");
		struct pst_str word = trim((struct pst_str){ p, n });

		if (is_first ? word.n < 2 || !choose(values, word, &v) : !apply(word, &v))
			return NULL;
		is_first = false;
		p += n;
		if (p == end)
			break;
		p++;
	}
	put_variable(o, &v);
	return end + 1;
}

int
foreign_render(const char *format, const struct foreign_values *v, char *out, size_t room,
               struct pst_err *err)
{
	struct output o = { .p = out, .room = room };
	const char *p = format;

	while (p != NULL && *p != '\0') {
		if (*p != '%') {
			put(&o, p++, 1);
		} else if (p[1] == '%') {
			put(&o, "%", 1);
			p += 2;
		} else if (p[1] == '{') {
			p = render_long(p + 2, v, &o);
		} else {
			p = render_short(p + 1, v, &o);
		}
	}
	if (p == NULL)
		return pst_err_set(err, PST_E_CLIENT,
		                   "\"%.100s\" is not a format of u, v, f and g as in %%08Xu%%08Xv "
		                   "or %%{uid | hex(8)}",
		                   format);
	return o.is_full ? 0 : (int)o.n;
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
