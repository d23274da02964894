/* SPDX-License-Identifier: MIT */
/* auth/pgsql/secret.h - inside of the plugin: the password that its file holds. */
#ifndef AUTH_PGSQL_SECRET_H
#define AUTH_PGSQL_SECRET_H

#include <postern/err.h>

#define PG_SECRET_MAX 1000

/* The file's first line, read anew each time: a password that was changed counts at the next connect.
 * path "": out is empty. A file that everybody may read is refused. The caller wipes out. */
int pg_secret_read(const char *path, char out[PG_SECRET_MAX + 1], struct pst_err *err);

#endif
