/* SPDX-License-Identifier: MIT */
/* Argon2i and Argon2id by libargon2, in the form of the PHC string format:
 *
 *	$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
 *
 * The library believes any number that it reads there, so the string is read here and its cost held
 * against the bounds first. The memory is a mapping of its own, so that it goes back to the system
 * after each check. Lanes are computed one after the other: no thread is made. */
#include <argon2.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/mem.h"
#include "credentials/base64.h"
#include "credentials/kinds.h"

#define PASSES_MAX 100
#define WORK_MAX_KIB ((uint64_t)4 << 20) /* memory times passes: some six seconds */
#define LANES_MAX 64
#define SALT_MADE 16
#define HASH_MADE 32
#define HASH_MIN 16 /* a shorter one is a piece of one */
#define HASH_MAX 64
#define SALT_MAX 64
#define HUGE_PAGE ((size_t)2 << 20)

struct argon2_hash {
	argon2_type type;
	uint32_t version;
	uint32_t memory_kib, passes, lanes;
	uint8_t salt[SALT_MAX], hash[HASH_MAX];
	size_t salt_n, hash_n;
};

/* Takes text off the front of *s. */
static bool
take_text(struct pst_str *s, const char *text)
{
	size_t n = strlen(text);

	if (s->n < n || memcmp(s->p, text, n) != 0)
		return false;
	*s = (struct pst_str){ s->p + n, s->n - n };
	return true;
}

/* A decimal number of 32 bits, no zeros before it, as the reference writes it. */
static bool
take_number(struct pst_str *s, uint32_t *num_out)
{
	uint64_t num;
	size_t n = 0;

	while (n < s->n && n < 11 && pst_is_digit(s->p[n]))
		n++;
	if (!pst_str_u64((struct pst_str){ s->p, n }, &num) || num > UINT32_MAX ||
	    (n > 1 && s->p[0] == '0'))
		return false;
	*s = (struct pst_str){ s->p + n, s->n - n };
	*num_out = (uint32_t)num;
	return true;
}

static bool
take_base64(struct pst_str *s, uint8_t *out, size_t cap, size_t *n_out)
{
	const char *end = s->n == 0 ? NULL : memchr(s->p, '$', s->n);
	struct pst_str text = { s->p, end == NULL ? s->n : (size_t)(end - s->p) };

	*s = (struct pst_str){ s->p + text.n, s->n - text.n };
	return base64_decode(text, BASE64_BARE, out, cap, n_out);
}

static bool
parse(struct pst_str s, struct argon2_hash *h)
{
	if (take_text(&s, "$argon2id$"))
		h->type = Argon2_id;
	else if (take_text(&s, "$argon2i$"))
		h->type = Argon2_i;
	else
		return false;
	h->version = ARGON2_VERSION_10; /* what a string without it was made with */
	if (take_text(&s, "v=") && !(take_number(&s, &h->version) && take_text(&s, "$")))
		return false;
	return take_text(&s, "m=") && take_number(&s, &h->memory_kib) && take_text(&s, ",t=") &&
	       take_number(&s, &h->passes) && take_text(&s, ",p=") && take_number(&s, &h->lanes) &&
	       take_text(&s, "$") && take_base64(&s, h->salt, sizeof(h->salt), &h->salt_n) &&
	       take_text(&s, "$") && take_base64(&s, h->hash, sizeof(h->hash), &h->hash_n) &&
	       s.n == 0;
}

static int
check_bounds(const struct argon2_hash *h, const struct scheme_cost *cost, struct pst_err *err)
{
	if (h->version != ARGON2_VERSION_10 && h->version != ARGON2_VERSION_13)
		return pst_err_set(err, PST_E_PERM, "argon2: version %u is not known", h->version);
	if ((int64_t)h->memory_kib > cost->max_memory / 1024)
		return pst_err_set(err, PST_E_PERM,
		                   "argon2: the hash asks for %u KiB, auth.max_hash_memory is "
		                   "%lld KiB",
		                   h->memory_kib, (long long)(cost->max_memory / 1024));
	if (h->passes == 0 || h->passes > PASSES_MAX)
		return pst_err_set(err, PST_E_PERM, "argon2: %u passes, 1 to %d are taken",
		                   h->passes, PASSES_MAX);
	if ((uint64_t)h->memory_kib * h->passes > WORK_MAX_KIB)
		return pst_err_set(err, PST_E_PERM, "argon2: %u passes over %u KiB take too long",
		                   h->passes, h->memory_kib);
	if (h->lanes == 0 || h->lanes > LANES_MAX || h->memory_kib < 8 * h->lanes)
		return pst_err_set(err, PST_E_PERM, "argon2: %u lanes do not go with %u KiB",
		                   h->lanes, h->memory_kib);
	if (h->salt_n < ARGON2_MIN_SALT_LENGTH || h->hash_n < HASH_MIN)
		return pst_err_set(err, PST_E_PERM, "argon2: the salt or the hash is cut short");
	return 0;
}

/* The memory is read all over the place, so most of the time goes to page faults and to the TLB
 * where pages are small: whole huge pages make it a quarter faster. The mapping is made too long and
 * cut to the part that begins at one. */
static size_t
huge_octets(size_t octets)
{
	return (octets + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static int
map_memory(uint8_t **memory, size_t octets)
{
	const size_t want = huge_octets(octets);
	uint8_t *p = mmap(NULL, want + HUGE_PAGE, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t skip;

	if (p == MAP_FAILED)
		return ARGON2_MEMORY_ALLOCATION_ERROR;
	skip = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
	if (skip > 0)
		(void)munmap(p, skip);
	(void)munmap(p + skip + want, HUGE_PAGE - skip);
	(void)madvise(p + skip, want, MADV_DONTDUMP);
	(void)madvise(p + skip, octets / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
	*memory = p + skip;
	return ARGON2_OK;
}

static void
unmap_memory(uint8_t *memory, size_t octets)
{
	(void)munmap(memory, huge_octets(octets));
}

/* Fills out with as many octets as h->hash has. The password is read only: no flag asks the library
 * to clear it. */
static int
compute(const struct argon2_hash *h, struct pst_str password, uint8_t *out, struct pst_err *err)
{
	argon2_context ctx = {
		.out = out,
		.outlen = (uint32_t)h->hash_n,
		.pwd = (uint8_t *)(uintptr_t)password.p,
		.pwdlen = (uint32_t)password.n,
		.salt = (uint8_t *)(uintptr_t)h->salt,
		.saltlen = (uint32_t)h->salt_n,
		.t_cost = h->passes,
		.m_cost = h->memory_kib,
		.lanes = h->lanes,
		.threads = 1,
		.version = h->version,
		.allocate_cbk = map_memory,
		.free_cbk = unmap_memory,
	};
	int rc = argon2_ctx(&ctx, h->type);

	if (rc == ARGON2_MEMORY_ALLOCATION_ERROR)
		return pst_err_set(err, PST_E_TEMP, "argon2: no memory for %u KiB", h->memory_kib);
	if (rc != ARGON2_OK)
		return pst_err_set(err, PST_E_PERM, "argon2: %s", argon2_error_message(rc));
	return 0;
}

static argon2_type
type_of(const struct scheme_row *row)
{
	return strcmp(row->setting, "argon2i") == 0 ? Argon2_i : Argon2_id;
}

SCHEME_VERIFY(argon2_match)
{
	enum scheme_match match = SCHEME_ERROR;
	struct argon2_hash h = { 0 };
	uint8_t made[HASH_MAX];

	(void)row;
	if (!parse(in->data, &h))
		return scheme_bad(err, "argon2: not of the form $argon2id$v=19$m=…,t=…,p=…$…$…");
	if (check_bounds(&h, in->cost, err) == 0 && compute(&h, in->password, made, err) == 0)
		match = scheme_compare(h.hash, made, h.hash_n);
	pst_wipe(made, sizeof(made));
	pst_wipe(&h, sizeof(h));
	return match;
}

SCHEME_OUTDATED(argon2_outdated)
{
	const uint64_t memory_kib = (uint64_t)cost->argon2_memory / 1024;
	struct argon2_hash h = { 0 };
	bool less;

	if (!parse(data, &h))
		return false;
	less = h.type != type_of(row) || h.version < ARGON2_VERSION_13 ||
	       h.memory_kib < memory_kib ||
	       (uint64_t)h.memory_kib * h.passes < memory_kib * (uint64_t)cost->argon2_passes;
	pst_wipe(&h, sizeof(h));
	return less;
}

SCHEME_MAKE(argon2_make)
{
	struct argon2_hash h = {
		.type = type_of(row),
		.version = ARGON2_VERSION_13,
		.memory_kib = (uint32_t)(cost->argon2_memory / 1024),
		.passes = (uint32_t)cost->argon2_passes,
		.lanes = 1,
		.salt_n = SALT_MADE,
		.hash_n = HASH_MADE,
	};
	char salt[BASE64_ROOM(SALT_MADE)], hash[BASE64_ROOM(HASH_MADE)];
	size_t salt_n, hash_n;

	pst_random(h.salt, h.salt_n);
	if (check_bounds(&h, cost, err) != 0 || compute(&h, password, h.hash, err) != 0)
		return -1;
	salt_n = base64_encode(h.salt, h.salt_n, BASE64_BARE, salt);
	hash_n = base64_encode(h.hash, h.hash_n, BASE64_BARE, hash);
	*data_out = pst_str_c(pst_arena_printf(arena, "$%s$v=%u$m=%u,t=%u,p=%u$%.*s$%.*s",
	                                       row->setting, h.version, h.memory_kib, h.passes,
	                                       h.lanes, (int)salt_n, salt, (int)hash_n, hash));
	pst_wipe(hash, sizeof(hash));
	pst_wipe(&h, sizeof(h));
	return 0;
}
