/* SPDX-License-Identifier: MIT */
/* Values for libpq; see values.h. */
#include "auth/pgsql/values.h"

#include <stdlib.h>

struct pg_values {
	const char *list[SQL_PARAMS];
	size_t octets;
	char text[];
};

/* How many octets the character at p has, 0 where it is none. */
static size_t
character(const unsigned char *p, size_t n)
{
	static const struct {
		unsigned char first, last; /* of the lead octet */
		unsigned char low, high;   /* of the second */
		size_t octets;
	} kinds[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t i, k;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (p[0] < kinds[i].first || p[0] > kinds[i].last)
			continue;
		if (kinds[i].octets > n)
			return 0;
		if (kinds[i].octets > 1 && (p[1] < kinds[i].low || p[1] > kinds[i].high))
			return 0;
		for (k = 2; k < kinds[i].octets; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return kinds[i].octets;
	}
	return 0;
}

bool
pg_is_utf8(struct pst_str s)
{
	size_t at = 0;

	while (at < s.n) {
		size_t n = character((const unsigned char *)s.p + at, s.n - at);

		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

bool
pg_values_can_be(const struct sql_query *q, const struct sql_value *values)
{
	size_t i;

	for (i = 0; i < q->param_count; i++)
		if (q->params[i] != SQL_SNI && !values[q->params[i]].is_null &&
		    !pg_is_utf8(values[q->params[i]].text))
			return false;
	return true;
}

struct pg_values *
pg_values_create(const struct sql_query *q, const struct sql_value *values)
{
	size_t octets = 0, i;
	struct pg_values *v;
	char *to;

	for (i = 0; i < q->param_count; i++)
		octets += values[q->params[i]].text.n + 1;
	v = calloc(1, sizeof(*v) + octets);
	if (v == NULL)
		return NULL;
	v->octets = octets;
	to = v->text;
	for (i = 0; i < q->param_count; i++) {
		const struct sql_value *value = &values[q->params[i]];

		if (value->is_null)
			continue;
		v->list[i] = to;
		if (pg_is_utf8(value->text))
			to = mempcpy(to, value->text.p, value->text.n);
		*to++ = '\0';
	}
	return v;
}

void
pg_values_destroy(struct pg_values *v)
{
	if (v == NULL)
		return;
	explicit_bzero(v, sizeof(*v) + v->octets);
	free(v);
}

const char *const *
pg_values_list(const struct pg_values *v)
{
	return v->list;
}
