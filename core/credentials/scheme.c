/* SPDX-License-Identifier: MIT */
/* The table of schemes, and which row a stored password belongs to; see scheme.h. */
#include "credentials/scheme.h"

#include <stdarg.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/kinds.h"

#define CRYPT_ROW(name, begins, prefix, cost, longest)                                             \
	{                                                                                          \
		.names = { name }, .verify = crypt_match, .make = crypt_make,                      \
		.max_password = (longest), .setting = (begins), .gensalt = (prefix),               \
		.gensalt_cost = (cost)                                                             \
	}
#define SALTED_ROW(name, algorithm)                                                                \
	{                                                                                          \
		.names = { name }, .verify = salted_match, .make = salted_make,                    \
		.max_password = PST_SECRET_MAX, .digest = (algorithm)                              \
	}

/* Costs of new hashes: near those of argon2id with 19 MiB and two passes. */
static const struct scheme_row rows[] = {
	{ .names = { "ARGON2ID", "ARGON2" },
	  .verify = argon2_match,
	  .make = argon2_make,
	  .max_password = PST_SECRET_MAX,
	  .setting = "argon2id" },
	{ .names = { "ARGON2I" },
	  .verify = argon2_match,
	  .make = argon2_make,
	  .max_password = PST_SECRET_MAX,
	  .setting = "argon2i" },
	CRYPT_ROW("CRYPT", "", NULL, 0, 511),
	CRYPT_ROW("BLF-CRYPT", "$2", "$2y$", 10, 72),
	CRYPT_ROW("SHA256-CRYPT", "$5$", "$5$", 100000, 511),
	CRYPT_ROW("SHA512-CRYPT", "$6$", "$6$", 100000, 511),
	SALTED_ROW("SSHA", PST_SHA1),
	SALTED_ROW("SSHA256", PST_SHA256),
	SALTED_ROW("SSHA512", PST_SHA512),
	{ .names = { "PLAIN", "CLEAR", "CLEARTEXT" },
	  .verify = plain_match,
	  .make = plain_make,
	  .max_password = PST_SECRET_MAX },
};

/* Known by name, so that the log can say why: fast to guess, whatever the password. */
static const char *const weak_names[] = {
	"MD5",      "MD5-CRYPT", "DES-CRYPT", "SMD5",   "HMAC-MD5", "PLAIN-MD4",  "PLAIN-MD5",
	"LDAP-MD5", "SHA",       "SHA1",      "SHA256", "SHA512",   "DIGEST-MD5",
};

enum scheme_match
scheme_bad(struct pst_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)pst_err_vset(err, PST_E_PERM, fmt, ap);
	va_end(ap);
	return SCHEME_ERROR;
}

static const struct scheme_row *
find_row(struct pst_str name)
{
	size_t i, k;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (k = 0; k < SCHEME_NAMES && rows[i].names[k] != NULL; k++)
			if (pst_str_ieq(name, pst_str_c(rows[i].names[k])))
				return &rows[i];
	return NULL;
}

/* The same with the reason where there is none. */
static const struct scheme_row *
need_row(struct pst_str name, struct pst_err *err)
{
	const struct scheme_row *row = find_row(name);
	size_t i;

	if (row != NULL)
		return row;
	for (i = 0; i < sizeof(weak_names) / sizeof(weak_names[0]); i++)
		if (pst_str_ieq(name, pst_str_c(weak_names[i]))) {
			pst_err_set(err, PST_E_PERM, "password scheme %s is too weak, refused",
			            weak_names[i]);
			return NULL;
		}
	if (name.n > 24) /* no scheme's name: rather a piece of a password that begins with '{' */
		name = PST_LIT("in { }");
	pst_err_set(err, PST_E_PERM, "password scheme %.*s is not known", PST_ARG(name));
	return NULL;
}

/* Takes the "{SCHEME}" off *stored. Where there is none, a hash that says itself what it is ("$6$…")
 * goes by that, and all else by the default scheme. */
static const struct scheme_row *
take_scheme(struct pst_str *stored, const char *default_scheme, struct pst_err *err)
{
	const struct scheme_row *row;
	const char *end;

	if (stored->n > 0 && stored->p[0] == '{' &&
	    (end = memchr(stored->p, '}', stored->n)) != NULL) {
		struct pst_str name = { stored->p + 1, (size_t)(end - stored->p) - 1 };

		*stored = (struct pst_str){ end + 1, stored->n - name.n - 2 };
		return need_row(name, err);
	}
	row = need_row(pst_str_c(default_scheme), err);
	if (row == NULL || row->verify == plain_match || stored->n == 0 || stored->p[0] != '$')
		return row;
	return find_row(stored->n > 7 && memcmp(stored->p, "$argon2", 7) == 0 ? PST_LIT("ARGON2ID")
	                                                                      : PST_LIT("CRYPT"));
}

enum scheme_match
scheme_verify(struct pst_str stored, struct pst_str password, const char *default_scheme,
              const struct scheme_cost *cost, struct pst_err *err)
{
	const struct scheme_row *row = take_scheme(&stored, default_scheme, err);

	if (row == NULL)
		return SCHEME_ERROR;
	if (stored.n == 0)
		return scheme_bad(err, "%s: nothing is stored", row->names[0]);
	if (pst_str_has_nul(password) || password.n > PST_SECRET_MAX) {
		scheme_burn(row->names[0], PST_LIT("x"), cost); /* no scheme could store it */
		return SCHEME_DIFFERS;
	}
	return row->verify(row, stored, password, cost, err);
}

int
scheme_make(const char *scheme, struct pst_str password, const struct scheme_cost *cost,
            struct pst_arena *arena, struct pst_str *stored_out, struct pst_err *err)
{
	const struct scheme_row *row = need_row(pst_str_c(scheme), err);
	struct pst_str data;

	if (row == NULL)
		return -1;
	if (password.n == 0)
		return pst_err_set(err, PST_E_CLIENT, "the password is empty");
	if (pst_str_has_nul(password))
		return pst_err_set(err, PST_E_CLIENT, "the password has a NUL octet in it");
	if (password.n > row->max_password)
		return pst_err_set(err, PST_E_CLIENT,
		                   "the password has %zu octets; %s takes at most %zu", password.n,
		                   row->names[0], row->max_password);
	if (row->make(row, password, cost, arena, &data, err) != 0)
		return -1;
	*stored_out = pst_str_c(pst_arena_printf(arena, "{%s}%.*s", row->names[0], PST_ARG(data)));
	return 0;
}

void
scheme_burn(const char *default_scheme, struct pst_str password, const struct scheme_cost *cost)
{
	const struct scheme_row *row = find_row(pst_str_c(default_scheme));
	struct pst_arena *arena = pst_arena_create();
	struct pst_str data;
	struct pst_err err;

	if (password.n == 0 || pst_str_has_nul(password))
		password = PST_LIT("x");
	/* What is made is thrown away, and a failure costs nobody anything but the equal time. */
	if (row != NULL)
		(void)row->make(row, password, cost, arena, &data, &err);
	pst_arena_destroy(arena);
}

bool
scheme_is_known(const char *scheme)
{
	return find_row(pst_str_c(scheme)) != NULL;
}
