/* SPDX-License-Identifier: MIT */
/* auth/sql/user.h - inside of the SQL core: a row of an answer read as a user, by its columns' names. */
#ifndef AUTH_SQL_USER_H
#define AUTH_SQL_USER_H

#include "auth/sql/driver.h"

/* Strings are borrowed from the row. */
struct sql_user {
	struct pst_str name;
	struct pst_str password;
	struct pst_str maildrop;
	struct pst_str reason;
	uint32_t uid, gid;
	bool enabled; /* true where there is no such column, or NULL in it */
};

/* -1 (PST_E_TEMP): a column that is not known, or a value that cannot be meant. */
int sql_user_read(const struct sql_row *row, struct sql_user *out, struct pst_err *err);

/* Whether a column may stand in an answer. */
bool sql_user_has(const char *column);

/* Their names, separated by ", ". */
#define SQL_USER_COLUMNS "password, user, maildrop, uid, gid, enabled, reason"

#endif
