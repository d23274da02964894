/* SPDX-License-Identifier: MIT */
/* Lines of a password file; see line.h. */
#include "auth/passwdfile/line.h"

struct pst_str
passwd_next_line(struct pst_str *rest)
{
	const char *end = memchr(rest->p, '\n', rest->n);
	struct pst_str line = { rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n };
	const size_t taken = line.n + (end != NULL);

	*rest = (struct pst_str){ rest->p + taken, rest->n - taken };
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* Takes the text up to the next colon off *rest, and the colon. */
static struct pst_str
next_field(struct pst_str *rest)
{
	const char *colon = rest->n == 0 ? NULL : memchr(rest->p, ':', rest->n);
	struct pst_str field = { rest->p, colon != NULL ? (size_t)(colon - rest->p) : rest->n };
	const size_t taken = field.n + (colon != NULL);

	*rest = (struct pst_str){ rest->p + taken, rest->n - taken };
	return field;
}

enum passwd_line_kind
passwd_line_parse(struct pst_str text, struct passwd_line *out, struct pst_err *err)
{
	struct pst_str rest = text;

	if (text.n == 0 || text.p[0] == '#' || text.p[0] == ':')
		return PASSWD_NOTHING;
	if (text.n > PASSWD_LINE_MAX) {
		pst_err_set(err, PST_E_TEMP, "a line of more than %d octets", PASSWD_LINE_MAX);
		return PASSWD_BAD;
	}
	if (pst_str_has_nul(text)) {
		pst_err_set(err, PST_E_TEMP, "a NUL octet");
		return PASSWD_BAD;
	}
	if (memchr(text.p, ':', text.n) == NULL) {
		pst_err_set(err, PST_E_TEMP, "no colon: is this user:password:… ?");
		return PASSWD_BAD;
	}
	out->name = next_field(&rest);
	out->password = next_field(&rest);
	out->uid = next_field(&rest);
	out->gid = next_field(&rest);
	(void)next_field(&rest); /* gecos */
	out->home = next_field(&rest);
	(void)next_field(&rest); /* shell */
	out->extra = rest;
	return PASSWD_USER;
}
