/* SPDX-License-Identifier: MIT */
/* Folding of user names; see username.h. */
#include "credentials/username.h"

#include <unistr.h>

static int
check_part(struct pst_str part, const char *which, struct pst_err *err)
{
	if (part.n == 0)
		return pst_err_set(err, PST_E_AUTH, "user name: the %s is empty", which);
	if (part.p[0] == '.')
		return pst_err_set(err, PST_E_AUTH, "user name: the %s begins with a dot", which);
	return 0;
}

static int
check_octets(struct pst_str s, struct pst_err *err)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f || c == '/')
			return pst_err_set(err, PST_E_AUTH,
			                   "user name: octet 0x%02x is not allowed in it", c);
	}
	return 0;
}

/* RFC 6856: names are UTF-8. Others would be a failure for a database and no unknown user, and an
 * overlong form of '/' or '@' could be one for somebody who reads it later; line ends there are
 * beyond ASCII, too. */
static int
check_utf8(struct pst_str s, struct pst_err *err)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t left = s.n;

	while (left > 0) {
		ucs4_t c;
		const int step = u8_mbtoucr(&c, p, left);

		if (step <= 0)
			return pst_err_set(err, PST_E_AUTH, "user name: not UTF-8");
		if ((c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029)
			return pst_err_set(err, PST_E_AUTH,
			                   "user name: U+%04X is not allowed in it", (unsigned)c);
		p += step;
		left -= (size_t)step;
	}
	return 0;
}

/* Sets local and domain from whole. */
static void
split(struct username *u)
{
	const char *at = u->whole.n == 0 ? NULL : memrchr(u->whole.p, '@', u->whole.n);

	u->local = u->whole;
	u->domain = (struct pst_str){ u->text + u->whole.n, 0 };
	u->home = u->domain;
	if (at != NULL) {
		u->local.n = (size_t)(at - u->whole.p);
		u->domain = (struct pst_str){ at + 1, u->whole.n - u->local.n - 1 };
	}
}

int
username_fold(struct pst_str asked, const char *default_domain, struct username *out,
              struct pst_err *err)
{
	const bool has_at = asked.n > 0 && memchr(asked.p, '@', asked.n) != NULL;
	const struct pst_str add = has_at ? PST_LIT("") : pst_str_c(default_domain);
	size_t n = 0;
	size_t i;

	if (asked.n > USERNAME_MAX || asked.n + (add.n > 0 ? 1 : 0) + add.n > USERNAME_MAX)
		return pst_err_set(err, PST_E_AUTH, "user name: longer than %d octets",
		                   USERNAME_MAX);
	for (i = 0; i < asked.n; i++)
		out->text[n++] = pst_lower(asked.p[i]);
	if (add.n > 0)
		out->text[n++] = '@';
	for (i = 0; i < add.n; i++)
		out->text[n++] = pst_lower(add.p[i]);
	out->text[n] = '\0';
	out->whole = (struct pst_str){ out->text, n };
	split(out);
	if (check_octets(out->whole, err) != 0 || check_utf8(out->whole, err) != 0 ||
	    check_part(out->local, "part before @", err) != 0)
		return -1;
	if (out->local.n < out->whole.n)
		return check_part(out->domain, "domain", err);
	return 0;
}
