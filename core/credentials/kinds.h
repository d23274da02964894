/* SPDX-License-Identifier: MIT */
/* credentials/kinds.h - inside this folder: what a row of the table of schemes is made of. */
#ifndef CREDENTIALS_KINDS_H
#define CREDENTIALS_KINDS_H

#include "base/crypto.h"
#include "credentials/scheme.h"

#define SCHEME_NAMES 3

struct scheme_row {
	/* In any case in "{NAME}"; the first is the one we write. */
	const char *names[SCHEME_NAMES];

	/* data is what stands behind the prefix, password has no NUL octet. */
	enum scheme_match (*verify)(const struct scheme_row *row, struct pst_str data,
	                            struct pst_str password, const struct scheme_cost *cost,
	                            struct pst_err *err);
	int (*make)(const struct scheme_row *row, struct pst_str password,
	            const struct scheme_cost *cost, struct pst_arena *arena,
	            struct pst_str *data_out, struct pst_err *err);

	size_t max_password; /* make refuses a longer one, of which the scheme would drop the end */
	const char *setting; /* crypt(3): what a stored hash begins with; "": any that is known */
	const char *gensalt; /* crypt(3): what a new one begins with; NULL: the system's best */
	unsigned long gensalt_cost;
	enum pst_digest digest; /* salted digests */
};

/* argon2.c. The type is what stands in the hash: $argon2id$ or $argon2i$. */
enum scheme_match argon2_match(const struct scheme_row *row, struct pst_str data,
                               struct pst_str password, const struct scheme_cost *cost,
                               struct pst_err *err);
int argon2_make(const struct scheme_row *row, struct pst_str password,
                const struct scheme_cost *cost, struct pst_arena *arena, struct pst_str *data_out,
                struct pst_err *err);

/* crypt.c: all that crypt(3) of this system knows and that is not weak. */
enum scheme_match crypt_match(const struct scheme_row *row, struct pst_str data,
                              struct pst_str password, const struct scheme_cost *cost,
                              struct pst_err *err);
int crypt_make(const struct scheme_row *row, struct pst_str password,
               const struct scheme_cost *cost, struct pst_arena *arena, struct pst_str *data_out,
               struct pst_err *err);

/* digest.c: salted digests, and the password itself. */
enum scheme_match salted_match(const struct scheme_row *row, struct pst_str data,
                               struct pst_str password, const struct scheme_cost *cost,
                               struct pst_err *err);
int salted_make(const struct scheme_row *row, struct pst_str password,
                const struct scheme_cost *cost, struct pst_arena *arena, struct pst_str *data_out,
                struct pst_err *err);
enum scheme_match plain_match(const struct scheme_row *row, struct pst_str data,
                              struct pst_str password, const struct scheme_cost *cost,
                              struct pst_err *err);
int plain_make(const struct scheme_row *row, struct pst_str password,
               const struct scheme_cost *cost, struct pst_arena *arena, struct pst_str *data_out,
               struct pst_err *err);

/* Fills err (PST_E_PERM) and returns SCHEME_ERROR, so that a failing line can be one line. */
enum scheme_match scheme_bad(struct pst_err *err, const char *fmt, ...) PST_PRINTF(2, 3);

#endif
