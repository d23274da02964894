/* SPDX-License-Identifier: MIT */
/* auth/pgsql/say.h - inside of the plugin: what PostgreSQL says, in words that the log may have. */
#ifndef AUTH_PGSQL_SAY_H
#define AUTH_PGSQL_SAY_H

#include <libpq-fe.h>
#include <stddef.h>

#include <postern/err.h>

/* The first line of libpq's words: what follows is advice, or detail that names values. */
void pg_words(const char *said, char *out, size_t cap);

/* An error of the server (PST_E_TEMP): SQLSTATE, its message, and what stands in text where it points
 * to. Neither details nor values: a value may be somebody's stored password. */
void pg_explain(const PGresult *result, const char *text, struct pst_err *err);

#endif
