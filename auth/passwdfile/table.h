/* SPDX-License-Identifier: MIT */
/* auth/passwdfile/table.h - the users of one file, as it was when it was read: its text, and where in
 * it each name begins. */
#ifndef AUTH_PASSWDFILE_TABLE_H
#define AUTH_PASSWDFILE_TABLE_H

#include <stdint.h>

#include <postern/err.h>
#include <postern/str.h>

#include "auth/passwdfile/line.h"

struct passwd_table;

/* Takes the text (of malloc, below 4 GiB), also on failure; it is wiped when it is no longer needed.
 * name: of the file, for errors and problems: "NAME:LINE: …". seed: any number, so that nobody can
 * choose names that fall together. NULL with err: a line that cannot be of such a file. */
struct passwd_table *passwd_table_create(char *text, size_t octets, const char *name, uint32_t seed,
                                         struct pst_err *err);
void passwd_table_destroy(struct passwd_table *t); /* accepts NULL */

/* Names compare without case, as the server folds them. false: there is none. *line_num_out: 1-based. */
bool passwd_table_find(const struct passwd_table *t, struct pst_str name, struct passwd_line *out,
                       uint32_t *line_num_out);

size_t passwd_table_count(const struct passwd_table *t);
size_t passwd_table_octets(const struct passwd_table *t); /* of memory */

/* Lines whose user must not log in or comes twice (then the first one counts): how many, and what is
 * wrong with the first of them. */
size_t passwd_table_problems(const struct passwd_table *t, const char **first_out);

/* Every user in the order of names; name and user are borrowed. */
void passwd_table_each(const struct passwd_table *t,
                       void (*each)(void *arg, const struct passwd_line *line), void *arg);

#endif
