/* SPDX-License-Identifier: MIT */
/* File names of a Maildir; see name.h. */
#include "storage/maildir/name.h"

#include <postern/storage.h>

#include "storage/index/index.h"

struct pst_str
maildir_base(struct pst_str name)
{
	const char *colon = name.n == 0 ? NULL : memchr(name.p, ':', name.n);

	return (struct pst_str){ name.p, colon == NULL ? name.n : (size_t)(colon - name.p) };
}

bool
maildir_is_message(struct pst_str name)
{
	if (name.n == 0 || name.n > INDEX_NAME_MAX || name.p[0] == '.')
		return false;
	return memchr(name.p, '/', name.n) == NULL && memchr(name.p, '\0', name.n) == NULL;
}

bool
maildir_field(struct pst_str base, char letter, uint64_t *num_out)
{
	size_t i;

	for (i = 0; i + 3 < base.n; i++) {
		struct pst_str digits = { base.p + i + 3, 0 };

		if (base.p[i] != ',' || base.p[i + 1] != letter || base.p[i + 2] != '=')
			continue;
		while (i + 3 + digits.n < base.n && base.p[i + 3 + digits.n] != ',')
			digits.n++;
		return pst_str_u64(digits, num_out);
	}
	return false;
}

/* Digits at the front of s; too large a number is the largest. */
static uint64_t
leading_number(struct pst_str s)
{
	uint64_t num = 0;
	size_t i;

	for (i = 0; i < s.n && pst_is_digit(s.p[i]); i++) {
		uint64_t digit = (uint64_t)(s.p[i] - '0');

		if (num > (UINT64_MAX - digit) / 10)
			return UINT64_MAX;
		num = num * 10 + digit;
	}
	return num;
}

/* What lies between the first dot and the second. */
static struct pst_str
second_part(struct pst_str base)
{
	const char *dot = base.n == 0 ? NULL : memchr(base.p, '.', base.n);
	const char *end;
	struct pst_str rest;

	if (dot == NULL)
		return (struct pst_str){ base.p, 0 };
	rest = (struct pst_str){ dot + 1, base.n - (size_t)(dot + 1 - base.p) };
	end = rest.n == 0 ? NULL : memchr(rest.p, '.', rest.n);
	if (end != NULL)
		rest.n = (size_t)(end - rest.p);
	return rest;
}

void
maildir_key(struct pst_str base, struct maildir_key *out)
{
	struct pst_str part = second_part(base);
	const char *m = part.n == 0 ? NULL : memchr(part.p, 'M', part.n);

	out->seconds = leading_number(base);
	out->micros = 0;
	if (m != NULL)
		out->micros = leading_number(
			(struct pst_str){ m + 1, part.n - (size_t)(m + 1 - part.p) });
	out->base = base;
}

int
maildir_key_compare(const struct maildir_key *a, const struct maildir_key *b)
{
	size_t common = a->base.n < b->base.n ? a->base.n : b->base.n;
	int order;

	if (a->seconds != b->seconds)
		return a->seconds < b->seconds ? -1 : 1;
	if (a->micros != b->micros)
		return a->micros < b->micros ? -1 : 1;
	order = common == 0 ? 0 : memcmp(a->base.p, b->base.p, common);
	if (order != 0)
		return order;
	return a->base.n < b->base.n ? -1 : a->base.n > b->base.n;
}

static bool
is_plain_uidl(struct pst_str base)
{
	size_t i;

	if (base.n == 0 || base.n > PST_UIDL_MAX)
		return false;
	for (i = 0; i < base.n; i++)
		if (base.p[i] < 0x21 || base.p[i] > 0x7e)
			return false;
	return true;
}

struct pst_str
maildir_uidl(const struct pst_host *host, struct pst_str base, char buf[MAILDIR_UIDL_ROOM])
{
	static const char hex[] = "0123456789abcdef";
	static const char prefix[] = "sha256:";
	uint8_t sum[32];
	size_t n = sizeof(prefix) - 1;
	size_t i;

	if (is_plain_uidl(base))
		return base;
	host->sha256(base.p, base.n, sum);
	memcpy(buf, prefix, n);
	for (i = 0; i < 20; i++) {
		buf[n++] = hex[sum[i] >> 4];
		buf[n++] = hex[sum[i] & 15];
	}
	return (struct pst_str){ buf, n };
}
