/* SPDX-License-Identifier: MIT */
/* First messages of clients; see gs2.h. */
#include "credentials/gs2.h"

#include <string.h>

/* Up to the next end octet, which is taken off with it; false where there is none. */
static bool
take_until(struct pst_str *s, char end, struct pst_str *field_out)
{
	const char *at = s->n == 0 ? NULL : memchr(s->p, end, s->n);
	size_t n;

	if (at == NULL)
		return false;
	n = (size_t)(at - s->p);
	*field_out = (struct pst_str){ s->p, n };
	*s = (struct pst_str){ s->p + n + 1, s->n - n - 1 };
	return true;
}

/* Takes prefix off the front of *s. */
static bool
take_prefix(struct pst_str *s, struct pst_str prefix)
{
	if (s->n < prefix.n || !pst_str_ieq((struct pst_str){ s->p, prefix.n }, prefix))
		return false;
	*s = (struct pst_str){ s->p + prefix.n, s->n - prefix.n };
	return true;
}

/* "=2C" and "=3D" at s: the octet that they stand for, or 0. */
static char
unescape(struct pst_str s)
{
	if (s.n < 3)
		return 0;
	if (memcmp(s.p, "=2C", 3) == 0)
		return ',';
	return memcmp(s.p, "=3D", 3) == 0 ? '=' : 0;
}

static bool
decode_name(struct pst_str s, struct gs2_name *out)
{
	out->n = 0;
	while (s.n > 0) {
		char c = s.p[0];
		size_t n = 1;

		if (c == '=') {
			c = unescape(s);
			n = 3;
		}
		if (c == '\0' || out->n == GS2_NAME_MAX)
			return false;
		out->text[out->n++] = c;
		s = (struct pst_str){ s.p + n, s.n - n };
	}
	out->text[out->n] = '\0';
	return out->n > 0;
}

bool
gs2_take(struct pst_str *s, struct gs2 *out)
{
	struct pst_str flag, authzid;

	*out = (struct gs2){ 0 };
	if (!take_until(s, ',', &flag) || !take_until(s, ',', &authzid) || flag.n == 0)
		return false;
	out->flag = flag.p[0];
	if (out->flag == 'p') {
		if (!take_prefix(&flag, PST_LIT("p=")) || flag.n == 0)
			return false;
		out->binding = flag;
	} else if ((out->flag != 'y' && out->flag != 'n') || flag.n != 1) {
		return false;
	}
	if (authzid.n == 0)
		return true;
	return authzid.n > 2 && memcmp(authzid.p, "a=", 2) == 0 &&
	       decode_name((struct pst_str){ authzid.p + 2, authzid.n - 2 }, &out->authzid);
}

/* An attribute that must be understood ("m=") would stand where the name stands. */
bool
scram_first_read(struct pst_str message, struct scram_first *out)
{
	struct pst_str name;

	if (pst_str_has_nul(message) || !gs2_take(&message, &out->gs2) ||
	    !take_until(&message, ',', &name))
		return false;
	return name.n > 2 && memcmp(name.p, "n=", 2) == 0 &&
	       decode_name((struct pst_str){ name.p + 2, name.n - 2 }, &out->user);
}

/* ---- Tokens ---- */

/* What stands behind "Bearer " (RFC 6750 section 2.1: b64token). */
static bool
read_token(struct pst_str value, struct pst_str *token_out)
{
	size_t i;

	if (!take_prefix(&value, PST_LIT("Bearer ")))
		return false;
	while (value.n > 0 && value.p[0] == ' ')
		value = (struct pst_str){ value.p + 1, value.n - 1 };
	for (i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] <= 0x20 || (unsigned char)value.p[i] >= 0x7f)
			return false;
	*token_out = value;
	return value.n > 0;
}

/* Pairs key=value, each ended by 0x01, and one more 0x01 at the end. user is NULL where it is no key. */
static bool
read_pairs(struct pst_str s, struct gs2_name *user, struct pst_str *token_out)
{
	struct pst_str pair;

	*token_out = (struct pst_str){ NULL, 0 };
	for (;;) {
		if (!take_until(&s, '\x01', &pair))
			return false;
		if (pair.n == 0)
			return s.n == 0 && token_out->p != NULL;
		if (take_prefix(&pair, PST_LIT("auth="))) {
			if (token_out->p != NULL || !read_token(pair, token_out))
				return false;
		} else if (user != NULL && take_prefix(&pair, PST_LIT("user="))) {
			if (user->n > 0 || pair.n == 0 || pair.n > GS2_NAME_MAX)
				return false;
			memcpy(user->text, pair.p, pair.n);
			user->n = pair.n;
		}
	}
}

bool
bearer_read_rfc7628(struct pst_str message, struct bearer *out)
{
	struct gs2 gs2;
	struct pst_str nothing;

	*out = (struct bearer){ 0 };
	if (pst_str_has_nul(message) || !gs2_take(&message, &gs2) || gs2.flag == 'p')
		return false;
	out->user = gs2.authzid;
	return take_until(&message, '\x01', &nothing) && nothing.n == 0 &&
	       read_pairs(message, NULL, &out->token);
}

bool
bearer_read_xoauth2(struct pst_str message, struct bearer *out)
{
	*out = (struct bearer){ 0 };
	return !pst_str_has_nul(message) && read_pairs(message, &out->user, &out->token) &&
	       out->user.n > 0;
}
