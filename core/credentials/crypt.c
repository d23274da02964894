/* SPDX-License-Identifier: MIT */
/* crypt(3) by libxcrypt: bcrypt, SHA-crypt, yescrypt, scrypt and their kin.
 *
 * The library judges no cost ("rounds=999999999" would keep a worker for a quarter of an hour) and takes
 * whatever length a stored hash has. So each method that is taken has a row here with its bounds;
 * what has none (DES, MD5, NT) is refused as weak. The bounds end well below auth.timeout: the
 * dearest hash that is taken costs about three seconds. */
#include <crypt.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/kinds.h"

#define BCRYPT_COST_MAX 15 /* a step doubles it */
#define SHA_ROUNDS_MAX 5000000
#define SHA1_ROUNDS_MAX 2500000
#define SCRYPT_LANES_MAX 4

struct method {
	const char *begins;
	int (*check)(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err);
};

/* "10$…": two digits. */
static int
check_bcrypt(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err)
{
	int log_rounds;

	(void)cost;
	if (rest.n < 3 || !pst_is_digit(rest.p[0]) || !pst_is_digit(rest.p[1]) || rest.p[2] != '$')
		return pst_err_set(err, PST_E_PERM, "crypt: bcrypt without its cost");
	log_rounds = (rest.p[0] - '0') * 10 + (rest.p[1] - '0');
	if (log_rounds > BCRYPT_COST_MAX)
		return pst_err_set(err, PST_E_PERM, "crypt: bcrypt of cost %d, at most %d is taken",
		                   log_rounds, BCRYPT_COST_MAX);
	return 0;
}

static int
check_count(struct pst_str rest, uint64_t max, const char *name, struct pst_err *err)
{
	const char *end = rest.n == 0 ? NULL : memchr(rest.p, '$', rest.n);
	uint64_t rounds;

	if (end == NULL ||
	    !pst_str_u64((struct pst_str){ rest.p, (size_t)(end - rest.p) }, &rounds))
		return pst_err_set(err, PST_E_PERM, "crypt: %s without its rounds", name);
	if (rounds > max)
		return pst_err_set(err, PST_E_PERM,
		                   "crypt: %s of %llu rounds, at most %llu are taken", name,
		                   (unsigned long long)rounds, (unsigned long long)max);
	return 0;
}

/* "rounds=N$" may stand before the salt. */
static int
check_sha(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err)
{
	static const char key[] = "rounds=";
	const size_t n = sizeof(key) - 1;

	(void)cost;
	if (rest.n < n || memcmp(rest.p, key, n) != 0)
		return 0;
	return check_count((struct pst_str){ rest.p + n, rest.n - n }, SHA_ROUNDS_MAX, "SHA-crypt",
	                   err);
}

static int
check_sha1(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err)
{
	(void)cost;
	return check_count(rest, SHA1_ROUNDS_MAX, "SHA1-crypt", err);
}

/* The alphabet of crypt(3): 64 or more for an octet outside of it. */
static uint32_t
value_of(char c)
{
	if (c == '.' || c == '/')
		return (uint32_t)(c - '.');
	if (pst_is_digit(c))
		return (uint32_t)(c - '0') + 2;
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A') + 12;
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 38;
	return 64;
}

static int
check_scrypt_memory(uint32_t log_n, uint64_t r, uint64_t p, const struct scheme_cost *cost,
                    struct pst_err *err)
{
	if (log_n > 40 || r == 0 || r > UINT32_MAX || p == 0 || p > SCRYPT_LANES_MAX)
		return pst_err_set(err, PST_E_PERM,
		                   "crypt: the cost of this yescrypt or scrypt hash "
		                   "is out of bounds");
	if (r * 128 > (uint64_t)cost->max_memory >> log_n)
		return pst_err_set(err, PST_E_PERM,
		                   "crypt: the hash asks for 2^%u times %llu octets, "
		                   "auth.max_hash_memory is %lld",
		                   log_n, (unsigned long long)r * 128, (long long)cost->max_memory);
	return 0;
}

/* One number of yescrypt's parameters off the front of *s. The first character says how many
 * follow: 0 to 47 none, then half of what is left one, half of that two, and so on. */
static bool
take_yescrypt_number(struct pst_str *s, uint32_t least, uint64_t *num_out)
{
	uint32_t first = 0, last = 47;
	uint32_t c;
	unsigned more = 0;
	uint64_t num = least;

	if (s->n == 0 || (c = value_of(s->p[0])) > 63)
		return false;
	while (c > last) {
		num += (uint64_t)(last + 1 - first) << (6 * more);
		first = last + 1;
		last = first + (62 - last) / 2;
		more++;
	}
	if (more > 5 || s->n <= more)
		return false;
	num += (uint64_t)(c - first) << (6 * more);
	*s = (struct pst_str){ s->p + 1, s->n - 1 };
	for (; more > 0; more--) {
		if ((c = value_of(s->p[0])) > 63)
			return false;
		num += (uint64_t)c << (6 * (more - 1));
		*s = (struct pst_str){ s->p + 1, s->n - 1 };
	}
	*num_out = num;
	return true;
}

/* "j9T$…": flavour, log2 of N, r. What may follow (p, t, g) no tool writes. */
static int
check_yescrypt(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err)
{
	uint64_t flavour, log_n, r;

	if (!take_yescrypt_number(&rest, 0, &flavour) || !take_yescrypt_number(&rest, 1, &log_n) ||
	    !take_yescrypt_number(&rest, 1, &r) || rest.n == 0 || rest.p[0] != '$')
		return pst_err_set(err, PST_E_PERM,
		                   "crypt: yescrypt parameters that are not known");
	return check_scrypt_memory(log_n > 64 ? 64 : (uint32_t)log_n, r, 1, cost, err);
}

/* One character for log2 of N, five for r and five for p, little end first. */
static int
check_scrypt(struct pst_str rest, const struct scheme_cost *cost, struct pst_err *err)
{
	uint64_t num[2] = { 0, 0 };
	size_t i;

	if (rest.n < 11)
		return pst_err_set(err, PST_E_PERM, "crypt: scrypt without its parameters");
	for (i = 0; i < 11; i++)
		if (value_of(rest.p[i]) > 63)
			return pst_err_set(err, PST_E_PERM, "crypt: scrypt without its parameters");
	for (i = 0; i < 10; i++)
		num[i / 5] |= (uint64_t)value_of(rest.p[1 + i]) << (6 * (i % 5));
	return check_scrypt_memory(value_of(rest.p[0]), num[0], num[1], cost, err);
}

static const struct method methods[] = {
	{ "$2a$", check_bcrypt },  { "$2b$", check_bcrypt },   { "$2x$", check_bcrypt },
	{ "$2y$", check_bcrypt },  { "$5$", check_sha },       { "$6$", check_sha },
	{ "$y$", check_yescrypt }, { "$gy$", check_yescrypt }, { "$7$", check_scrypt },
	{ "$sha1$", check_sha1 },
};

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
	size_t i;

	if (data.n >= CRYPT_OUTPUT_SIZE || pst_str_has_nul(data))
		return pst_err_set(err, PST_E_PERM, "crypt: the stored hash is too long");
	if (!begins_with(data, row->setting))
		return pst_err_set(err, PST_E_PERM, "%s: the stored hash does not begin with %s",
		                   row->names[0], row->setting);
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		size_t n = strlen(methods[i].begins);

		if (begins_with(data, methods[i].begins))
			return methods[i].check((struct pst_str){ data.p + n, data.n - n }, cost,
			                        err);
	}
	return pst_err_set(err, PST_E_PERM,
	                   "crypt: no method that is taken (DES, MD5 and NT are too "
	                   "weak)");
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

enum scheme_match
crypt_match(const struct scheme_row *row, struct pst_str data, struct pst_str password,
            const struct scheme_cost *cost, struct pst_err *err)
{
	enum scheme_match match = SCHEME_ERROR;
	char setting[CRYPT_OUTPUT_SIZE];
	struct crypt_data *work;
	struct pst_str made;

	if (data.p[0] == '!' || data.p[0] == '*') { /* locked, as in shadow(5): nothing matches */
		scheme_burn(row->names[0], password, cost);
		return SCHEME_DIFFERS;
	}
	if (check_setting(row, data, cost, err) != 0)
		return SCHEME_ERROR;
	memcpy(setting, data.p, data.n);
	setting[data.n] = '\0';
	work = pst_new(struct crypt_data);
	if (run_crypt(work, password, setting, &made, err) == 0) {
		if (made.n != data.n)
			(void)pst_err_set(
				err, PST_E_PERM,
				"crypt: the stored hash has %zu octets and should have %zu", data.n,
				made.n);
		else if (pst_secret_equal(made, data) && password.n < CRYPT_MAX_PASSPHRASE_SIZE)
			match = SCHEME_MATCH;
		else
			match = SCHEME_DIFFERS;
	}
	pst_wipe(work, sizeof(*work));
	free(work);
	pst_wipe(setting, sizeof(setting));
	return match;
}

int
crypt_make(const struct scheme_row *row, struct pst_str password, const struct scheme_cost *cost,
           struct pst_arena *arena, struct pst_str *data_out, struct pst_err *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *work;
	struct pst_str made;
	int rc;

	(void)cost;
	/* A NULL prefix is the method that the system holds for the best; it reads random octets
	 * itself. */
	if (crypt_gensalt_rn(row->gensalt, row->gensalt_cost, NULL, 0, setting,
	                     (int)sizeof(setting)) == NULL)
		return pst_err_sys(err, PST_E_PERM, "%s: crypt_gensalt", row->names[0]);
	work = pst_new(struct crypt_data);
	rc = run_crypt(work, password, setting, &made, err);
	if (rc == 0)
		*data_out = (struct pst_str){ pst_arena_copy(arena, made), made.n };
	pst_wipe(work, sizeof(*work));
	free(work);
	return rc;
}
