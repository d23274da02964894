/* SPDX-License-Identifier: MIT */
/* credentials/kinds.h - inside this folder: what a row of the table of schemes is made of. */
#ifndef CREDENTIALS_KINDS_H
#define CREDENTIALS_KINDS_H

#include "base/crypto.h"
#include "credentials/scheme.h"

#define SCHEME_NAMES 3
#define SCHEME_ROOM 4096 /* octets of a stored form that is coded as a whole */

/* What a check is given. */
struct scheme_input {
	struct pst_str data; /* what stands behind the prefix, not empty */
	bool is_octets;      /* the prefix said ".hex" or ".b64", and data is decoded */
	struct pst_str user;
	struct pst_str password; /* has no NUL octet */
	const struct scheme_cost *cost;
};

struct scheme_row {
	/* In any case in "{NAME}"; the first is the one we write. */
	const char *names[SCHEME_NAMES];

	enum scheme_match (*verify)(const struct scheme_row *row, const struct scheme_input *in,
	                            struct pst_err *err);
	/* NULL: such hashes are only checked. */
	int (*make)(const struct scheme_row *row, struct pst_str password,
	            const struct scheme_cost *cost, struct pst_arena *arena,
	            struct pst_str *data_out, struct pst_err *err);
	bool (*slow)(struct pst_str data); /* NULL: never; data may be empty: what make gives */
	/* Whether data, of any scheme of the same verify, is less than make would give now. NULL:
	 * nothing of the same scheme is. */
	bool (*outdated)(const struct scheme_row *row, struct pst_str data,
	                 const struct scheme_cost *cost);

	size_t max_password; /* make refuses a longer one, of which the scheme would drop the end */
	const char *setting; /* crypt(3): what a stored hash begins with; "": any that is known */
	const char *gensalt; /* crypt(3): what a new one begins with; NULL: the system's best */
	unsigned long gensalt_cost;
	enum pst_digest digest;
	bool is_hex; /* how the octets of a digest are written */
	bool is_weak;
};

/* ---- scheme.c ---- */

/* A stored form taken apart. */
struct scheme_stored {
	const struct scheme_row *row;
	struct pst_str data;
	bool is_octets;
	char room[SCHEME_ROOM];
};

/* data borrows from stored or from out->room: no copies by assignment. -1 (PST_E_PERM): an unknown
 * scheme, or coded data that is broken. Weak ones are opened too. To be cleared in either case. */
int scheme_open(struct pst_str stored, const char *default_scheme, struct scheme_stored *out,
                struct pst_err *err);
void scheme_clear(struct scheme_stored *s);

/* The name of the weak scheme, or NULL. */
const char *scheme_weakness(const struct scheme_stored *s);
/* Fills err where it is weak and the settings do not allow that; -1 then. */
int scheme_refuse_weak(const struct scheme_stored *s, const struct scheme_cost *cost,
                       struct pst_err *err);

const struct scheme_row *scheme_row_at(size_t idx); /* NULL: past the last */
const struct scheme_row *scheme_find_row(struct pst_str name);

/* Fills err (PST_E_PERM) and returns SCHEME_ERROR, so that a failing line can be one line. */
enum scheme_match scheme_bad(struct pst_err *err, const char *fmt, ...) PST_PRINTF(2, 3);

/* In constant time. */
enum scheme_match scheme_compare(const void *a, const void *b, size_t n);

/* The octets of data that has no salt: hex where it is exactly twice as long, else base64. */
bool scheme_take_octets(const struct scheme_input *in, size_t octets, uint8_t *out);

/* ---- The kinds; each make and verify is one of a row ---- */

#define SCHEME_VERIFY(name)                                                                        \
	enum scheme_match name(const struct scheme_row *row, const struct scheme_input *in,        \
	                       struct pst_err *err)
#define SCHEME_MAKE(name)                                                                          \
	int name(const struct scheme_row *row, struct pst_str password,                            \
	         const struct scheme_cost *cost, struct pst_arena *arena,                          \
	         struct pst_str *data_out, struct pst_err *err)
#define SCHEME_OUTDATED(name)                                                                      \
	bool name(const struct scheme_row *row, struct pst_str data, const struct scheme_cost *cost)

bool scheme_always_slow(struct pst_str data);

/* argon2.c. The type is what stands in the hash: $argon2id$ or $argon2i$. */
SCHEME_VERIFY(argon2_match);
SCHEME_MAKE(argon2_make);
SCHEME_OUTDATED(argon2_outdated);

/* crypt.c: all that crypt(3) of this system knows; methods.c: its methods and their costs. */
SCHEME_VERIFY(crypt_match);
SCHEME_VERIFY(des_match); /* its 13 characters say nothing else about themselves */
SCHEME_MAKE(crypt_make);
SCHEME_OUTDATED(crypt_outdated);

/* What crypt(3) would do with a setting. */
struct crypt_method {
	const char *begins; /* "": DES, known by its length */
	const char *weak;   /* its name as a scheme; NULL: it is not */
	bool is_slow;
	/* Holds the cost against the bounds; *work_out grows with the time that it takes. */
	int (*check)(struct pst_str rest, const struct scheme_cost *cost, uint64_t *work_out,
	             struct pst_err *err);
};
const struct crypt_method *crypt_find_method(struct pst_str data); /* NULL: none that is taken */
/* check, with what stands behind the method's own prefix. */
int crypt_check_cost(const struct crypt_method *m, struct pst_str data,
                     const struct scheme_cost *cost, uint64_t *work_out, struct pst_err *err);
bool crypt_is_slow(struct pst_str data);

/* digest.c: digests with a salt, digests without, and the password itself. */
SCHEME_VERIFY(salted_match);
SCHEME_MAKE(salted_make);
SCHEME_VERIFY(digest_match);
SCHEME_MAKE(digest_make);
SCHEME_VERIFY(plain_match);
SCHEME_MAKE(plain_make);
SCHEME_VERIFY(truncated_match);

/* md5.c: what only old databases hold. */
SCHEME_VERIFY(md4_match);
SCHEME_MAKE(md4_make);
SCHEME_VERIFY(md5_match); /* an MD5, or the crypt(3) method of that name */
SCHEME_VERIFY(digest_md5_match);
SCHEME_VERIFY(cram_match);
SCHEME_MAKE(cram_make_row);
bool cram_take_state(const struct scheme_input *in, uint8_t *out);

/* pbkdf2.c, scram.c */
SCHEME_VERIFY(pbkdf2_match);
SCHEME_MAKE(pbkdf2_make);
SCHEME_OUTDATED(pbkdf2_outdated);
SCHEME_VERIFY(scram_match);
SCHEME_MAKE(scram_make_row);
SCHEME_OUTDATED(scram_outdated);

#endif
