/* SPDX-License-Identifier: MIT */
/* credentials/scheme.h - stored passwords: "{SCHEME}data".
 *
 * Forms and names are those in common use (Dovecot's, LDAP's). A check takes the time of its scheme
 * whether it matches or not; comparisons take constant time. */
#ifndef CREDENTIALS_SCHEME_H
#define CREDENTIALS_SCHEME_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

struct pst_arena;

enum scheme_match { SCHEME_MATCH = 1, SCHEME_DIFFERS, SCHEME_ERROR };

struct scheme_cost {
	int64_t argon2_memory; /* octets */
	int64_t argon2_passes;
	int64_t max_memory; /* octets; a stored hash that asks for more is SCHEME_ERROR */
};

/* stored: with its {SCHEME} prefix, or in default_scheme (but "$6$…" and the like say themselves what
 * they are). SCHEME_ERROR fills err (PST_E_PERM): an unknown or weak scheme, broken data, a cost
 * above the bounds; PST_E_TEMP where there is no memory for it. */
enum scheme_match scheme_verify(struct pst_str stored, struct pst_str password,
                                const char *default_scheme, const struct scheme_cost *cost,
                                struct pst_err *err);

/* A new stored form of password, with prefix, in the arena. */
int scheme_make(const char *scheme, struct pst_str password, const struct scheme_cost *cost,
                struct pst_arena *arena, struct pst_str *stored_out, struct pst_err *err);

/* Spends what a check of an existing user would: for a user that does not exist. */
void scheme_burn(const char *default_scheme, struct pst_str password,
                 const struct scheme_cost *cost);

bool scheme_is_known(const char *scheme);

#endif
