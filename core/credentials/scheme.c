/* SPDX-License-Identifier: MIT */
/* The table of schemes, and which row a stored password belongs to; see scheme.h. */
#include "credentials/scheme.h"

#include <stdarg.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/hex.h"
#include "credentials/kinds.h"
#include "credentials/opaque.h"

#define ARGON2_ROW(type, ...)                                                                      \
	{                                                                                          \
		.names = { __VA_ARGS__ }, .verify = argon2_match, .make = argon2_make,             \
		.slow = scheme_always_slow, .outdated = argon2_outdated,                           \
		.max_password = PST_SECRET_MAX, .setting = (type)                                  \
	}
#define CRYPT_ROW(name, begins, prefix, cost, longest)                                             \
	{                                                                                          \
		.names = { name }, .verify = crypt_match, .make = crypt_make,                      \
		.slow = crypt_is_slow, .outdated = crypt_outdated, .max_password = (longest),      \
		.setting = (begins), .gensalt = (prefix), .gensalt_cost = (cost)                   \
	}
#define OLD_CRYPT_ROW(name, verifier, begins, longest)                                             \
	{                                                                                          \
		.names = { name }, .verify = (verifier), .make = crypt_make,                       \
		.outdated = crypt_outdated, .max_password = (longest), .setting = (begins),        \
		.gensalt = (begins), .is_weak = true                                               \
	}
#define SALTED_ROW(name, algorithm, weak)                                                          \
	{                                                                                          \
		.names = { name }, .verify = salted_match, .make = salted_make,                    \
		.max_password = PST_SECRET_MAX, .digest = (algorithm), .is_weak = (weak)           \
	}
#define DIGEST_ROW(algorithm, hex, ...)                                                            \
	{                                                                                          \
		.names = { __VA_ARGS__ }, .verify = digest_match, .make = digest_make,             \
		.max_password = PST_SECRET_MAX, .digest = (algorithm), .is_hex = (hex),            \
		.is_weak = true                                                                    \
	}
#define SCRAM_ROW(name, algorithm)                                                                 \
	{                                                                                          \
		.names = { name }, .verify = scram_match, .make = scram_make_row,                  \
		.slow = scheme_always_slow, .outdated = scram_outdated,                            \
		.max_password = PST_SECRET_MAX, .digest = (algorithm)                              \
	}
#define WEAK_ROW(verifier, maker, ...)                                                             \
	{                                                                                          \
		.names = { __VA_ARGS__ }, .verify = (verifier), .make = (maker),                   \
		.max_password = PST_SECRET_MAX, .is_weak = true                                    \
	}

/* Costs of new hashes: near those of argon2id with 19 MiB and two passes, where nobody but the server
 * pays them. The posternctl(1) page shows them all. */
static const struct scheme_row rows[] = {
	ARGON2_ROW("argon2id", "ARGON2ID", "ARGON2"),
	ARGON2_ROW("argon2i", "ARGON2I"),
	CRYPT_ROW("CRYPT", "", NULL, 0, 511),
	CRYPT_ROW("BLF-CRYPT", "$2", "$2y$", 10, 72),
	CRYPT_ROW("SHA256-CRYPT", "$5$", "$5$", 100000, 511),
	CRYPT_ROW("SHA512-CRYPT", "$6$", "$6$", 100000, 511),
	SCRAM_ROW("SCRAM-SHA-256", PST_SHA256),
	SCRAM_ROW("SCRAM-SHA-1", PST_SHA1),
	{ .names = { "PBKDF2" },
	  .verify = pbkdf2_match,
	  .make = pbkdf2_make,
	  .slow = scheme_always_slow,
	  .outdated = pbkdf2_outdated,
	  .max_password = PST_SECRET_MAX },
	SALTED_ROW("SSHA512", PST_SHA512, false),
	SALTED_ROW("SSHA256", PST_SHA256, false),
	SALTED_ROW("SSHA", PST_SHA1, false),
	{ .names = { "PLAIN", "CLEAR", "CLEARTEXT" },
	  .verify = plain_match,
	  .make = plain_make,
	  .max_password = PST_SECRET_MAX },
	{ .names = { "PLAIN-TRUNC" }, .verify = truncated_match },
	OLD_CRYPT_ROW("MD5-CRYPT", crypt_match, "$1$", 511),
	OLD_CRYPT_ROW("DES-CRYPT", des_match, "", 8),
	SALTED_ROW("SMD5", PST_MD5, true),
	DIGEST_ROW(PST_SHA1, false, "SHA", "SHA1"),
	DIGEST_ROW(PST_SHA256, false, "SHA256"),
	DIGEST_ROW(PST_SHA512, false, "SHA512"),
	DIGEST_ROW(PST_MD5, true, "PLAIN-MD5"),
	DIGEST_ROW(PST_MD5, false, "LDAP-MD5"),
	{ .names = { "MD5" },
	  .verify = md5_match,
	  .make = crypt_make,
	  .max_password = 511,
	  .setting = "$1$",
	  .gensalt = "$1$",
	  .digest = PST_MD5,
	  .is_weak = true },
	WEAK_ROW(md4_match, md4_make, "PLAIN-MD4"),
	WEAK_ROW(cram_match, cram_make_row, "CRAM-MD5", "HMAC-MD5"),
	WEAK_ROW(digest_md5_match, NULL, "DIGEST-MD5"),
};

bool
scheme_always_slow(struct pst_str data)
{
	(void)data;
	return true;
}

const struct scheme_row *
scheme_row_at(size_t idx)
{
	return idx < sizeof(rows) / sizeof(rows[0]) ? &rows[idx] : NULL;
}

enum scheme_match
scheme_bad(struct pst_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)pst_err_vset(err, PST_E_PERM, fmt, ap);
	va_end(ap);
	return SCHEME_ERROR;
}

enum scheme_match
scheme_compare(const void *a, const void *b, size_t n)
{
	return pst_secret_equal((struct pst_str){ a, n }, (struct pst_str){ b, n })
	               ? SCHEME_MATCH
	               : SCHEME_DIFFERS;
}

bool
scheme_take_octets(const struct scheme_input *in, size_t octets, uint8_t *out)
{
	size_t n = in->data.n;

	if (in->is_octets && n == octets)
		memcpy(out, in->data.p, n);
	else if (in->is_octets)
		return false;
	else if (n == 2 * octets)
		return hex_decode(in->data, out, octets, &n);
	else
		return base64_decode(in->data, BASE64_EITHER, out, octets, &n) && n == octets;
	return true;
}

/* ---- Which row ---- */

const struct scheme_row *
scheme_find_row(struct pst_str name)
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
	const struct scheme_row *row = scheme_find_row(name);

	if (row != NULL)
		return row;
	if (name.n > 24) /* no scheme's name: rather a piece of a password that begins with '{' */
		name = PST_LIT("in { }");
	pst_err_set(err, PST_E_PERM, "password scheme %.*s is not known", PST_ARG(name));
	return NULL;
}

/* Without a prefix: a hash that says itself what it is ("$6$…") goes by that, and all else by the
 * default scheme. Only "$1$" could be two things, and PBKDF2 it is where that is the default. */
static const struct scheme_row *
guess_row(struct pst_str data, const char *default_scheme, struct pst_err *err)
{
	const struct scheme_row *row = need_row(pst_str_c(default_scheme), err);

	if (row == NULL || row->verify == plain_match || row->verify == truncated_match ||
	    data.n == 0 || data.p[0] != '$')
		return row;
	if (data.n > 7 && memcmp(data.p, "$argon2", 7) == 0)
		return scheme_find_row(PST_LIT("ARGON2ID"));
	if (row->verify == pbkdf2_match && data.n > 3 && memcmp(data.p, "$1$", 3) == 0)
		return row;
	return scheme_find_row(PST_LIT("CRYPT"));
}

/* ".hex" and its kin behind a scheme's name: data is taken from its digits into s->room. */
static int
decode(struct pst_str suffix, struct scheme_stored *s, struct pst_err *err)
{
	uint8_t *room = (uint8_t *)s->room;
	size_t n = 0;
	bool good;

	if (pst_str_ieq(suffix, PST_LIT("hex")))
		good = hex_decode(s->data, room, sizeof(s->room), &n);
	else if (pst_str_ieq(suffix, PST_LIT("b64")) || pst_str_ieq(suffix, PST_LIT("base64")))
		good = base64_decode(s->data, BASE64_EITHER, room, sizeof(s->room), &n);
	else
		return pst_err_set(err, PST_E_PERM,
		                   "password scheme %s: a suffix that is not hex, b64 or base64",
		                   s->row->names[0]);
	s->is_octets = true;
	if (!good)
		return pst_err_set(err, PST_E_PERM, "%s: what is stored is not %.*s",
		                   s->row->names[0], PST_ARG(suffix));
	s->data = (struct pst_str){ s->room, n };
	return 0;
}

int
scheme_open(struct pst_str stored, const char *default_scheme, struct scheme_stored *out,
            struct pst_err *err)
{
	const char *end, *dot;
	struct pst_str name;

	out->is_octets = false;
	out->data = stored;
	if (stored.n == 0 || stored.p[0] != '{' ||
	    (end = memchr(stored.p, '}', stored.n)) == NULL) {
		out->row = guess_row(stored, default_scheme, err);
		return out->row == NULL ? -1 : 0;
	}
	name = (struct pst_str){ stored.p + 1, (size_t)(end - stored.p) - 1 };
	out->data = (struct pst_str){ end + 1, stored.n - name.n - 2 };
	dot = name.n == 0 ? NULL : memchr(name.p, '.', name.n);
	if (dot != NULL)
		name.n = (size_t)(dot - name.p);
	out->row = need_row(name, err);
	if (out->row == NULL)
		return -1;
	return dot == NULL ? 0
	                   : decode((struct pst_str){ dot + 1, (size_t)(end - dot) - 1 }, out, err);
}

void
scheme_clear(struct scheme_stored *s)
{
	if (s->is_octets)
		pst_wipe(s->room, sizeof(s->room));
}

/* ---- Weak ones ---- */

const char *
scheme_weakness(const struct scheme_stored *s)
{
	const struct crypt_method *method;

	if (s->row->is_weak)
		return s->row->names[0];
	if (s->row->verify != crypt_match)
		return NULL;
	method = crypt_find_method(s->data);
	return method != NULL ? method->weak : NULL;
}

static int
refuse_weak(const char *name, const struct scheme_cost *cost, struct pst_err *err)
{
	if (name == NULL || cost->allow_weak)
		return 0;
	return pst_err_set(err, PST_E_PERM,
	                   "password scheme %s is too weak, refused (auth.allow_weak_schemes)",
	                   name);
}

int
scheme_refuse_weak(const struct scheme_stored *s, const struct scheme_cost *cost,
                   struct pst_err *err)
{
	return refuse_weak(scheme_weakness(s), cost, err);
}

/* ---- Checking and making ---- */

/* The password in its one spelling, and then as it was sent. Somebody without an account waits as
 * long: see scheme_burn. */
static enum scheme_match
verify_spellings(const struct scheme_row *row, struct scheme_input *in, struct pst_err *err)
{
	const struct pst_str sent = in->password;
	enum scheme_match match;
	struct opaque o;

	in->password = opaque_open(sent, &o);
	match = row->verify(row, in, err);
	if (match == SCHEME_DIFFERS && in->password.p != sent.p) {
		in->password = sent;
		match = row->verify(row, in, err);
	}
	opaque_clear(&o);
	return match;
}

static enum scheme_match
verify_open(const struct scheme_stored *s, struct scheme_input *in, struct pst_err *err)
{
	if (scheme_refuse_weak(s, in->cost, err) != 0)
		return SCHEME_ERROR;
	if (s->data.n == 0)
		return scheme_bad(err, "%s: nothing is stored", s->row->names[0]);
	if (pst_str_has_nul(in->password) || in->password.n > PST_SECRET_MAX) {
		scheme_burn(s->row->names[0], PST_LIT("x"),
		            in->cost); /* no scheme could store it */
		return SCHEME_DIFFERS;
	}
	in->data = s->data;
	in->is_octets = s->is_octets;
	return verify_spellings(s->row, in, err);
}

enum scheme_match
scheme_verify_user(struct pst_str stored, struct pst_str user, struct pst_str password,
                   const char *default_scheme, const struct scheme_cost *cost, struct pst_err *err)
{
	struct scheme_input in = { .user = user, .password = password, .cost = cost };
	enum scheme_match match = SCHEME_ERROR;
	struct scheme_stored s;

	if (scheme_open(stored, default_scheme, &s, err) == 0)
		match = verify_open(&s, &in, err);
	scheme_clear(&s);
	return match;
}

enum scheme_match
scheme_verify(struct pst_str stored, struct pst_str password, const char *default_scheme,
              const struct scheme_cost *cost, struct pst_err *err)
{
	return scheme_verify_user(stored, PST_LIT(""), password, default_scheme, cost, err);
}

/* Whether the scheme can hold this password. */
static int
check_new(const struct scheme_row *row, struct pst_str password, const struct scheme_cost *cost,
          struct pst_err *err)
{
	if (refuse_weak(row->is_weak ? row->names[0] : NULL, cost, err) != 0)
		return -1;
	if (row->make == NULL)
		return pst_err_set(err, PST_E_PERM, "password scheme %s is only checked, not made",
		                   row->names[0]);
	if (password.n == 0)
		return pst_err_set(err, PST_E_CLIENT, "the password is empty");
	if (pst_str_has_nul(password))
		return pst_err_set(err, PST_E_CLIENT, "the password has a NUL octet in it");
	if (password.n > row->max_password)
		return pst_err_set(err, PST_E_CLIENT,
		                   "the password has %zu octets; %s takes at most %zu", password.n,
		                   row->names[0], row->max_password);
	return 0;
}

int
scheme_make(const char *scheme, struct pst_str password, const struct scheme_cost *cost,
            struct pst_arena *arena, struct pst_str *stored_out, struct pst_err *err)
{
	const struct scheme_row *row = need_row(pst_str_c(scheme), err);
	struct pst_str data;
	struct opaque o;
	int rc = -1;

	if (row == NULL)
		return -1;
	password = opaque_open(password, &o);
	if (check_new(row, password, cost, err) == 0)
		rc = row->make(row, password, cost, arena, &data, err);
	opaque_clear(&o);
	if (rc == 0)
		*stored_out = pst_str_c(
			pst_arena_printf(arena, "{%s}%.*s", row->names[0], PST_ARG(data)));
	return rc;
}

void
scheme_burn(const char *default_scheme, struct pst_str password, const struct scheme_cost *cost)
{
	const struct scheme_row *row = scheme_find_row(pst_str_c(default_scheme));
	struct pst_arena *arena = pst_arena_create();
	struct pst_str data, spelt;
	struct opaque o = { 0 };
	struct pst_err err;

	if (password.n == 0 || password.n > PST_SECRET_MAX || pst_str_has_nul(password))
		password = PST_LIT("x");
	spelt = opaque_open(password, &o);
	/* What is made is thrown away, and a failure costs nobody anything but the equal time. A wrong
	 * password is tried in both its spellings, if there are two. */
	if (row != NULL && row->make != NULL)
		(void)row->make(row, spelt, cost, arena, &data, &err);
	if (row != NULL && row->make != NULL && spelt.p != password.p)
		(void)row->make(row, password, cost, arena, &data, &err);
	opaque_clear(&o);
	pst_arena_destroy(arena);
}
