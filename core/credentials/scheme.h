/* SPDX-License-Identifier: MIT */
/* credentials/scheme.h - stored passwords: "{SCHEME}data".
 *
 * Forms and names are those in common use (Dovecot's, LDAP's). A check takes the time of its scheme
 * whether it matches or not; comparisons take constant time.
 *
 * A password is taken in its one spelling by RFC 8265 (OpaqueString), and where nothing matches in
 * the very octets that were sent. New hashes are made of the first. */
#ifndef CREDENTIALS_SCHEME_H
#define CREDENTIALS_SCHEME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

struct pst_arena;

enum scheme_match { SCHEME_MATCH = 1, SCHEME_DIFFERS, SCHEME_ERROR };

struct scheme_cost {
	int64_t argon2_memory; /* octets */
	int64_t argon2_passes;
	int64_t max_memory; /* octets; a stored hash that asks for more is SCHEME_ERROR */
	bool allow_weak;    /* what is fast to guess whatever the password; else SCHEME_ERROR */
};

/* stored: with its {SCHEME} prefix, or in default_scheme (but "$6$…" and the like say themselves what
 * they are). SCHEME_ERROR fills err (PST_E_PERM): an unknown or weak scheme, broken data, a cost
 * above the bounds; PST_E_TEMP where there is no memory for it. */
enum scheme_match scheme_verify(struct pst_str stored, struct pst_str password,
                                const char *default_scheme, const struct scheme_cost *cost,
                                struct pst_err *err);

/* The same for a user of that name: DIGEST-MD5 has it in the hash. */
enum scheme_match scheme_verify_user(struct pst_str stored, struct pst_str user,
                                     struct pst_str password, const char *default_scheme,
                                     const struct scheme_cost *cost, struct pst_err *err);

/* A new stored form of password, with prefix, in the arena. -1: PST_E_CLIENT where the password
 * cannot be stored in this scheme, PST_E_PERM where there is no such scheme (or a weak one). */
int scheme_make(const char *scheme, struct pst_str password, const struct scheme_cost *cost,
                struct pst_arena *arena, struct pst_str *stored_out, struct pst_err *err);

/* Spends what a check of an existing user would: for a user that does not exist. */
void scheme_burn(const char *default_scheme, struct pst_str password,
                 const struct scheme_cost *cost);

/* Whether new passwords could be stored in it, and old ones be without prefix. */
bool scheme_is_usable(const char *scheme, const struct scheme_cost *cost);

/* Whether a check takes more than some half a millisecond. Of an empty stored one: whether
 * scheme_burn does. What is broken or not known is fast: it is refused. */
bool scheme_is_slow(struct pst_str stored, const char *default_scheme);

/* Whether it is stored in another scheme, or at lower costs, than scheme_make would do it now. False
 * for what is not known or broken. */
bool scheme_is_outdated(struct pst_str stored, const char *default_scheme,
                        const struct scheme_cost *cost);

/* The name of the weak scheme that it is stored in, for the log; NULL where it is none. */
const char *scheme_weak_name(struct pst_str stored, const char *default_scheme);

/* One scheme after the other, for who makes a list: false where idx is past the last. */
struct scheme_info {
	const char *name;
	bool is_weak;
	bool is_slow;
	bool is_made; /* scheme_make can */
};
bool scheme_at(size_t idx, struct scheme_info *out);

#endif
