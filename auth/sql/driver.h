/* SPDX-License-Identifier: MIT */
/* auth/sql/driver.h - what a database's library must do for the SQL core. */
#ifndef AUTH_SQL_DRIVER_H
#define AUTH_SQL_DRIVER_H

#include <postern/auth.h>

#include "auth/sql/query.h"

struct sql_db; /* the driver's: settings, connection, prepared statements */

struct sql_value {
	struct pst_str text;
	bool is_null;
};

/* Borrowed until the function that was given it returns. */
struct sql_row {
	size_t n;
	const char *const *names;
	const struct sql_value *values;
};

/* -1 with err: stop, the query has failed. */
typedef int sql_on_row(void *arg, const struct sql_row *row, struct pst_err *err);

enum sql_result {
	SQL_OK = 1,
	SQL_CONFLICT, /* a row with this key is there already */
	SQL_REFUSED,  /* another rule of the schema was broken, err is filled (PST_E_CLIENT) */
	SQL_FAILED,   /* err is filled (PST_E_TEMP): away, locked, broken, or the query is wrong */
};

#define SQL_SCHEMA 3   /* the version of contrib/schema's tables */
#define SQL_COLUMNS 32 /* that a query may give */

/* Each call connects, prepares and prepares again as needed, and leaves nothing half done: after a
 * failure the next call starts afresh. A driver with two connections, one to read and one to write,
 * goes by q->on_write; a transaction is on the one to write. */
struct sql_driver {
	const char *name;
	char mark; /* of a placeholder: "?1" or "$1" */

	/* values by enum sql_param; those that the query names are bound. each may be NULL.
	 * *changed_out: rows inserted, updated or deleted; may be NULL. */
	enum sql_result (*run)(struct sql_db *db, const struct sql_query *q,
	                       const struct sql_value *values, sql_on_row *each, void *arg,
	                       uint64_t *changed_out, struct pst_err *err);

	/* The names of the columns that the query would give, found without running it. */
	int (*describe)(struct sql_db *db, const struct sql_query *q, sql_on_row *each, void *arg,
	                struct pst_err *err);

	/* Several queries as one. rollback never fails: at worst it ends the connection. */
	int (*begin)(struct sql_db *db, struct pst_err *err);
	int (*commit)(struct sql_db *db, struct pst_err *err);
	void (*rollback)(struct sql_db *db);

	/* Makes the database with its schema where there is none, and brings tables of an older
	 * version of ours up to date; or NULL. */
	int (*create)(struct sql_db *db, struct pst_err *err);

	void (*close)(struct sql_db *db); /* frees db */

	/* As in postern/auth.h; or NULL, both. */
	int (*watch_fd)(struct sql_db *db, struct pst_err *err);
	int (*watch_read)(struct sql_db *db,
	                  void (*changed)(void *arg, const struct pst_auth_change *change),
	                  void *arg, struct pst_err *err);

	/* The version of the tables of ours that are there: at most SQL_SCHEMA. NULL: always that. */
	int (*schema)(struct sql_db *db, unsigned *version_out, struct pst_err *err);

	/* The defaults of lease_query and lease_end_query. NULL: there are none. */
	const char *lease, *lease_end;
};

#endif
