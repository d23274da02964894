/* SPDX-License-Identifier: MIT */
/* crypt(3) by libxcrypt: bcrypt, SHA-crypt, yescrypt, scrypt and their kin, and the weak ones before
 * them. The library judges no cost and takes whatever length a stored hash has: see methods.c. */
#include <crypt.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/kinds.h"

static bool
begins_with(struct pst_str s, const char *text)
{
	size_t n = strlen(text);

	return s.n >= n && memcmp(s.p, text, n) == 0;
}

static int
check_setting(const struct scheme_row *row, struct pst_str data, const struct scheme_cost *cost,
              struct pst_err *err)
{
	const struct crypt_method *method;
	uint64_t work;

	if (data.n >= CRYPT_OUTPUT_SIZE || pst_str_has_nul(data))
		return pst_err_set(err, PST_E_PERM, "crypt: the stored hash is too long");
	if (!begins_with(data, row->setting))
		return pst_err_set(err, PST_E_PERM, "%s: the stored hash does not begin with %s",
		                   row->names[0], row->setting);
	method = crypt_find_method(data);
	if (method == NULL)
		return pst_err_set(err, PST_E_PERM, "crypt: of no method that is known");
	return crypt_check_cost(method, data, cost, &work, err);
}

/* The library takes text that ends with NUL, and no more than this of a password. A longer one was
 * never stored, but it must cost the same time. */
static void
copy_password(struct pst_str password, char out[CRYPT_MAX_PASSPHRASE_SIZE])
{
	size_t n =
		password.n < CRYPT_MAX_PASSPHRASE_SIZE ? password.n : CRYPT_MAX_PASSPHRASE_SIZE - 1;

	if (n > 0)
		memcpy(out, password.p, n);
	out[n] = '\0';
}

/* crypt(3) itself; *out_out borrows from work. */
static int
run_crypt(struct crypt_data *work, struct pst_str password, const char *setting,
          struct pst_str *out_out, struct pst_err *err)
{
	char text[CRYPT_MAX_PASSPHRASE_SIZE];
	const char *out;

	copy_password(password, text);
	out = crypt_rn(text, setting, work, (int)sizeof(*work));
	if (out == NULL)
		(void)pst_err_sys(err, errno == ENOMEM ? PST_E_TEMP : PST_E_PERM,
		                  "crypt: the stored hash is broken");
	pst_wipe(text, sizeof(text));
	*out_out = pst_str_c(out);
	return out == NULL ? -1 : 0;
}

/* bcrypt drops what stands behind 72 octets, wherever the hash was made; the others drop nothing of
 * what they are given, and nobody could give them more than the library takes. */
static bool
could_be_stored(struct pst_str data, struct pst_str password)
{
	return password.n < CRYPT_MAX_PASSPHRASE_SIZE || begins_with(data, "$2");
}

SCHEME_VERIFY(crypt_match)
{
	const struct pst_str data = in->data;
	enum scheme_match match = SCHEME_ERROR;
	char setting[CRYPT_OUTPUT_SIZE];
	struct crypt_data *work;
	struct pst_str made;

	if (data.p[0] == '!' || data.p[0] == '*') { /* locked, as in shadow(5): nothing matches */
		scheme_burn(row->names[0], in->password, in->cost);
		return SCHEME_DIFFERS;
	}
	if (check_setting(row, data, in->cost, err) != 0)
		return SCHEME_ERROR;
	memcpy(setting, data.p, data.n);
	setting[data.n] = '\0';
	work = pst_new(struct crypt_data);
	if (run_crypt(work, in->password, setting, &made, err) == 0) {
		if (made.n != data.n)
			(void)pst_err_set(
				err, PST_E_PERM,
				"crypt: the stored hash has %zu octets and should have %zu", data.n,
				made.n);
		else if (pst_secret_equal(made, data) && could_be_stored(data, in->password))
			match = SCHEME_MATCH;
		else
			match = SCHEME_DIFFERS;
	}
	pst_wipe(work, sizeof(*work));
	free(work);
	pst_wipe(setting, sizeof(setting));
	return match;
}

SCHEME_VERIFY(des_match)
{
	const struct crypt_method *method = crypt_find_method(in->data);

	if (method == NULL || method->weak == NULL || strcmp(method->weak, row->names[0]) != 0)
		return scheme_bad(err, "%s: not of its form", row->names[0]);
	return crypt_match(row, in, err);
}

/* A NULL prefix is the method that the system holds for the best; it reads random octets itself. */
static int
make_setting(const struct scheme_row *row, char setting[CRYPT_GENSALT_OUTPUT_SIZE],
             struct pst_err *err)
{
	if (crypt_gensalt_rn(row->gensalt, row->gensalt_cost, NULL, 0, setting,
	                     CRYPT_GENSALT_OUTPUT_SIZE) == NULL)
		return pst_err_sys(err, PST_E_PERM, "%s: crypt_gensalt", row->names[0]);
	return 0;
}

/* bcrypt's letters differ in errors of old makers: "x" alone marks hashes that have one. */
static bool
is_same_method(const struct crypt_method *a, const struct crypt_method *b)
{
	return a == b || (a->check == b->check && begins_with(pst_str_c(a->begins), "$2") &&
	                  strcmp(a->begins, "$2x$") != 0);
}

SCHEME_OUTDATED(crypt_outdated)
{
	const struct crypt_method *is = crypt_find_method(data);
	const struct crypt_method *wanted;
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	uint64_t work, wanted_work;
	struct pst_err err;

	if (is == NULL || make_setting(row, setting, &err) != 0)
		return false;
	wanted = crypt_find_method(pst_str_c(setting));
	if (wanted == NULL) /* DES, whose setting is not of a hash's length */
		return is->begins[0] != '\0';
	if (!is_same_method(is, wanted))
		return true;
	return crypt_check_cost(is, data, cost, &work, &err) == 0 &&
	       crypt_check_cost(wanted, pst_str_c(setting), cost, &wanted_work, &err) == 0 &&
	       work < wanted_work;
}

SCHEME_MAKE(crypt_make)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *work;
	struct pst_str made;
	int rc;

	(void)cost;
	if (make_setting(row, setting, err) != 0)
		return -1;
	work = pst_new(struct crypt_data);
	rc = run_crypt(work, password, setting, &made, err);
	if (rc == 0)
		*data_out = (struct pst_str){ pst_arena_copy(arena, made), made.n };
	pst_wipe(work, sizeof(*work));
	free(work);
	return rc;
}
