/* SPDX-License-Identifier: MIT */
/* The methods of crypt(3) that are taken, and what a stored hash would cost.
 *
 * The library judges no cost ("rounds=999999999" would keep a worker for a quarter of an hour), so each
 * method has a row here with its bounds. They end well below auth.timeout: the dearest hash that is
 * taken costs about three seconds. */
#include <postern/str.h>

#include "credentials/kinds.h"

#define BCRYPT_COST_MAX 15 /* a step doubles it */
#define SHA_ROUNDS_MAX 5000000
#define SHA_ROUNDS 5000 /* where the hash names none */
#define SHA1_ROUNDS_MAX 2500000
#define MD5_ROUNDS_MAX 500000
#define SCRYPT_LANES_MAX 4
#define DES_CHARACTERS 13

/* "10$…": two digits. */
static int
check_bcrypt(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
             struct pst_err *err)
{
	int log_rounds;

	(void)cost;
	if (rest.n < 3 || !pst_is_digit(rest.p[0]) || !pst_is_digit(rest.p[1]) || rest.p[2] != '$')
		return pst_err_set(err, PST_E_PERM, "crypt: bcrypt without its cost");
	log_rounds = (rest.p[0] - '0') * 10 + (rest.p[1] - '0');
	if (log_rounds > BCRYPT_COST_MAX)
		return pst_err_set(err, PST_E_PERM, "crypt: bcrypt of cost %d, at most %d is taken",
		                   log_rounds, BCRYPT_COST_MAX);
	*work_out = (uint64_t)1 << log_rounds;
	return 0;
}

static int
check_count(struct pst_str rest, uint64_t max, const char *name, uint64_t *work_out,
            struct pst_err *err)
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
	*work_out = rounds;
	return 0;
}

/* A count may stand behind key, before the salt. */
static int
check_optional(struct pst_str rest, const char *key, uint64_t max, const char *name,
               uint64_t *work_out, struct pst_err *err)
{
	const size_t n = strlen(key);

	if (rest.n < n || memcmp(rest.p, key, n) != 0)
		return 0;
	return check_count((struct pst_str){ rest.p + n, rest.n - n }, max, name, work_out, err);
}

static int
check_sha(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
          struct pst_err *err)
{
	(void)cost;
	*work_out = SHA_ROUNDS;
	return check_optional(rest, "rounds=", SHA_ROUNDS_MAX, "SHA-crypt", work_out, err);
}

static int
check_sha1(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
           struct pst_err *err)
{
	(void)cost;
	return check_count(rest, SHA1_ROUNDS_MAX, "SHA1-crypt", work_out, err);
}

/* Sun's MD5: "$md5,rounds=N$", where "$md5$" has a count of its own. */
static int
check_sun(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
          struct pst_err *err)
{
	(void)cost;
	return check_optional(rest, ",rounds=", MD5_ROUNDS_MAX, "SunMD5", work_out, err);
}

/* Those whose cost has no choice, or not enough of one to hurt. */
static int
check_nothing(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
              struct pst_err *err)
{
	(void)rest, (void)cost, (void)work_out, (void)err;
	return 0;
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
                    uint64_t *work_out, struct pst_err *err)
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
	*work_out = (r * p) << log_n;
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
check_yescrypt(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
               struct pst_err *err)
{
	uint64_t flavour, log_n, r;

	if (!take_yescrypt_number(&rest, 0, &flavour) || !take_yescrypt_number(&rest, 1, &log_n) ||
	    !take_yescrypt_number(&rest, 1, &r) || rest.n == 0 || rest.p[0] != '$')
		return pst_err_set(err, PST_E_PERM,
		                   "crypt: yescrypt parameters that are not known");
	return check_scrypt_memory(log_n > 64 ? 64 : (uint32_t)log_n, r, 1, cost, work_out, err);
}

/* One character for log2 of N, five for r and five for p, little end first. */
static int
check_scrypt(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
             struct pst_err *err)
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
	return check_scrypt_memory(value_of(rest.p[0]), num[0], num[1], cost, work_out, err);
}

static const struct crypt_method methods[] = {
	{ "$2a$", NULL, true, check_bcrypt },
	{ "$2b$", NULL, true, check_bcrypt },
	{ "$2x$", NULL, true, check_bcrypt },
	{ "$2y$", NULL, true, check_bcrypt },
	{ "$5$", NULL, true, check_sha },
	{ "$6$", NULL, true, check_sha },
	{ "$y$", NULL, true, check_yescrypt },
	{ "$gy$", NULL, true, check_yescrypt },
	{ "$7$", NULL, true, check_scrypt },
	{ "$sha1$", NULL, true, check_sha1 },
	{ "$1$", "MD5-CRYPT", false, check_nothing },
	{ "$md5", "SUNMD5", true, check_sun },
	{ "$3$", "NT", false, check_nothing },
	{ "_", "DES-CRYPT", true, check_nothing }, /* BSDi's, of up to 2^24 rounds */
	{ "", "DES-CRYPT", false, check_nothing },
};

static bool
is_des(struct pst_str data)
{
	size_t i;

	for (i = 0; i < data.n; i++)
		if (value_of(data.p[i]) > 63)
			return false;
	return data.n == DES_CHARACTERS;
}

const struct crypt_method *
crypt_find_method(struct pst_str data)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const size_t n = strlen(methods[i].begins);

		if (n == 0 ? is_des(data)
		           : data.n >= n && memcmp(data.p, methods[i].begins, n) == 0)
			return &methods[i];
	}
	return NULL;
}

int
crypt_check_cost(const struct crypt_method *m, struct pst_str data, const struct scheme_cost *cost,
                 uint64_t *work_out, struct pst_err *err)
{
	const size_t n = strlen(m->begins);

	*work_out = 0;
	return m->check((struct pst_str){ data.p + n, data.n - n }, cost, work_out, err);
}

/* "!" and "*" lock a hash, and what matches nothing takes the time of a new one all the same. */
bool
crypt_is_slow(struct pst_str data)
{
	const struct crypt_method *m = crypt_find_method(data);

	return m != NULL ? m->is_slow : data.n == 0 || data.p[0] == '!' || data.p[0] == '*';
}
