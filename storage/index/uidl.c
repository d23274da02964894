/* SPDX-License-Identifier: MIT */
/* Dovecot's pop3_uidl_format in both syntaxes, and the presets; see uidl.h. */
#include "storage/index/uidl.h"

#include <stdio.h>
#include <string.h>

#include "storage/index/hash.h"

#define VARIABLES 5

struct pst_str
uidl_hex(const uint8_t *octets, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[octets[i] >> 4];
		out[2 * i + 1] = digits[octets[i] & 15];
	}
	return (struct pst_str){ out, 2 * n };
}

bool
uidl_is_valid(struct pst_str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n >= 1 && s.n <= UIDL_MAX;
}

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
	bool is_hex, is_upper, is_lower, is_padded, is_md5;
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
put_variable(struct output *o, const struct variable *v, uidl_md5 *md5)
{
	char digits[16], hex[33];
	struct pst_str s = v->text;
	uint8_t sum[16];
	size_t i;

	if (v->is_number) {
		s.p = digits;
		s.n = (size_t)snprintf(digits, sizeof(digits), v->is_hex ? "%x" : "%u", v->number);
	}
	if (v->is_md5) {
		md5(s.p, s.n, sum);
		s = uidl_hex(sum, 16, hex);
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
choose(const struct uidl_values *values, struct pst_str name, struct variable *v)
{
	static const struct {
		struct pst_str letter, name;
	} names[] = {
		{ { "u", 1 }, { "uid", 3 } },      { { "v", 1 }, { "uidvalidity", 11 } },
		{ { "f", 1 }, { "filename", 8 } }, { { "g", 1 }, { "guid", 4 } },
		{ { "m", 1 }, { "md5", 3 } },
	};
	const struct pst_str texts[] = { values->base, values->guid, values->header_md5 };
	size_t i;

	for (i = 0; i < VARIABLES; i++)
		if (pst_str_eq(name, names[i].letter) || pst_str_eq(name, names[i].name))
			break;
	v->is_number = i < 2;
	v->number = i == 0 ? values->uid : values->validity;
	if (i >= 2 && i < VARIABLES)
		v->text = texts[i - 2];
	/* Without a name in it, or the header's sum, there is none. */
	return i < VARIABLES && (v->is_number || v->text.p != NULL);
}

/* [0][width][modifiers]letter */
static const char *
render_short(const char *p, const struct uidl_values *values, struct output *o)
{
	struct variable v = { .width = 0 };

	v.is_padded = *p == '0';
	for (; pst_is_digit(*p); p++)
		v.width = v.width > 1000 ? v.width : v.width * 10 + (size_t)(*p - '0');
	for (; *p == 'X' || *p == 'L' || *p == 'U' || *p == 'M';
	     p++) { /* one after the other: X is lower case */
		v.is_md5 |= *p == 'M';
		v.is_hex |= *p == 'X';
		v.is_lower = *p == 'L';
		v.is_upper = *p == 'U';
	}
	if (*p == '\0' || !choose(values, (struct pst_str){ p, 1 }, &v))
		return NULL;
	if ((v.is_hex && !v.is_number) || (v.is_md5 && (v.is_number || values->md5 == NULL)))
		return NULL;
	put_variable(o, &v, values->md5);
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
	if (!v->is_number && pst_str_eq(filter, PST_LIT("md5"))) {
		v->is_md5 = true;
		return true;
	}
	if (v->is_md5 && pst_str_eq(filter, PST_LIT("hexlify")))
		return true; /* it is printed so in any case */
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
	if (!pst_str_u64(filter, &width) || width > UIDL_MAX)
		return false;
	v->is_padded = true;
	v->width = (size_t)width;
	return true;
}

/* name | filter | filter} */
static const char *
render_long(const char *p, const struct uidl_values *values, struct output *o)
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
	if (v.is_md5 && values->md5 == NULL)
		return NULL;
	put_variable(o, &v, values->md5);
	return end + 1;
}

int
uidl_render(const char *format, const struct uidl_values *v, char *out, size_t room,
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
		                   "\"%.100s\" is not a format of u, v, f, g and m as in "
		                   "%%08Xu%%08Xv or %%{uid | hex(8)}",
		                   format);
	return o.is_full ? 0 : (int)o.n;
}

/* ---- Presets ---- */

static const struct {
	const char *name;
	unsigned drivers;
	enum uidl_kind kind;
	const char *format;
	bool from_mail; /* numbers are taken from the mail's headers alone */
} presets[] = {
	{ "basename", UIDL_FOR_MAILDIR, UIDL_NAME, NULL, false },
	{ "qmail", UIDL_FOR_MAILDIR, UIDL_NAME, NULL, false },
	{ "tpop3d_qmail", UIDL_FOR_MAILDIR, UIDL_NAME, NULL, false },
	{ "tpop3d", UIDL_FOR_MAILDIR, UIDL_TEMPLATE, "%Mf", false },
	{ "tpop3d", UIDL_FOR_MBOX, UIDL_TPOP3D, NULL, false },
	{ "digest", UIDL_FOR_MAILDIR, UIDL_DIGEST, NULL, false },
	{ "digest", UIDL_FOR_MBOX, UIDL_NAME, NULL, false },
	{ "popa3d", UIDL_FOR_BOTH, UIDL_POPA3D, NULL, false },
	{ "mailutils", UIDL_FOR_BOTH, UIDL_XUIDL, NULL, false },
	{ "x_uidl", UIDL_FOR_BOTH, UIDL_XUIDL, NULL, false },
	{ "dovecot_md5", UIDL_FOR_BOTH, UIDL_TEMPLATE, "%m", false },
	{ "dovecot", UIDL_FOR_MAILDIR, UIDL_TEMPLATE, "%08Xu%08Xv", false },
	{ "dovecot", UIDL_FOR_MBOX, UIDL_TEMPLATE, "%08Xu%08Xv", true },
	{ "uw", UIDL_FOR_MAILDIR, UIDL_TEMPLATE, "%08Xv%08Xu", false },
	{ "uw", UIDL_FOR_MBOX, UIDL_TEMPLATE, "%08Xv%08Xu", true },
	{ "cyrus", UIDL_FOR_MAILDIR, UIDL_TEMPLATE, "%v.%u", false },
	{ "cyrus", UIDL_FOR_MBOX, UIDL_TEMPLATE, "%v.%u", true },
	{ "cyrus_uid", UIDL_FOR_BOTH, UIDL_TEMPLATE, "%u", false },
	{ "cyrus_courier", UIDL_FOR_BOTH, UIDL_TEMPLATE, "%v-%u", false },
	{ "cyrus_dovecot", UIDL_FOR_BOTH, UIDL_TEMPLATE, "%08Xu%08Xv", false },
	{ "courier", UIDL_FOR_BOTH, UIDL_TEMPLATE, "UID%u-%v", false },
};

/* Whether what the format gives changes with the values. */
static bool
differs(const char *format, const struct uidl_values *a, const struct uidl_values *b)
{
	char one[UIDL_ROOM], two[UIDL_ROOM];
	struct pst_err err;
	int n = uidl_render(format, a, one, sizeof(one), &err);
	int m = uidl_render(format, b, two, sizeof(two), &err);

	return n != m || (n > 0 && memcmp(one, two, (size_t)n) != 0);
}

static void
no_md5(const void *data, size_t n, uint8_t out[16])
{
	memset(out, n == 0 ? 0 : *(const unsigned char *)data, 16);
}

static const struct uidl_values sample = {
	.uid = 1,
	.validity = 1,
	.base = { "b", 1 },
	.guid = { "b", 1 },
	.header_md5 = { "0123456789abcdef0123456789abcdef", 32 },
	.md5 = no_md5,
};

static int
learn_format(struct uidl_policy *p, unsigned driver, struct pst_err *err)
{
	struct uidl_values other = sample, here = sample;
	char out[UIDL_MAX];
	int n;

	if (driver == UIDL_FOR_MBOX)
		here.base = here.guid = (struct pst_str){ NULL, 0 };
	n = uidl_render(p->format, &here, out, sizeof(out), err);
	if (n < 0)
		return -1;
	if (!uidl_is_valid((struct pst_str){ out, (size_t)n }))
		return pst_err_set(err, PST_E_CLIENT,
		                   "\"%.100s\" gives no UIDL of 1 to 70 octets without blanks",
		                   p->format);
	other.uid = 2;
	p->has_uid = differs(p->format, &sample, &other);
	other = sample;
	other.validity = 2;
	p->has_validity = differs(p->format, &sample, &other);
	other = sample;
	other.header_md5 = (struct pst_str){ "f", 1 };
	p->has_header = differs(p->format, &sample, &other);
	other = sample;
	other.base = other.guid = (struct pst_str){ "c", 1 };
	if (!p->has_uid && !p->has_header && !differs(p->format, &sample, &other))
		return pst_err_set(err, PST_E_CLIENT, "\"%.100s\" is the same for all messages",
		                   p->format);
	return 0;
}

int
uidl_policy_parse(struct uidl_policy *p, const char *text, unsigned driver, struct pst_err *err)
{
	size_t i;

	*p = (struct uidl_policy){ .kind = UIDL_TEMPLATE, .format = text };
	if (strchr(text, '%') == NULL) {
		for (i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
			if (strcmp(presets[i].name, text) == 0 &&
			    (presets[i].drivers & driver) != 0)
				break;
		if (i == sizeof(presets) / sizeof(presets[0]))
			return pst_err_set(err, PST_E_CLIENT,
			                   "\"%.60s\" is no way to make UIDLs here, and no format",
			                   text);
		p->kind = presets[i].kind;
		p->format = presets[i].format;
		p->from_mail = presets[i].from_mail;
	}
	if (p->kind == UIDL_TEMPLATE && learn_format(p, driver, err) != 0)
		return -1;
	p->has_header |= p->kind == UIDL_POPA3D || p->kind == UIDL_XUIDL;
	p->id = UIDL_PLAIN_ID;
	if (p->kind != UIDL_NAME)
		p->id = (uint32_t)(index_hash(text, strlen(text), 4) | 0x80000000u);
	return 0;
}
