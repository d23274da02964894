/* SPDX-License-Identifier: MIT */
/* auth/sqlite/link.h - inside of the plugin: one open handle on the database file. */
#ifndef AUTH_SQLITE_LINK_H
#define AUTH_SQLITE_LINK_H

#include "auth/sql/driver.h"

struct sqlite3;
struct sqlite3_stmt;

struct sqlite_link {
	const char *path;
	bool query_only;
	bool in_transaction;
	bool is_current;   /* the tables are known to be of SQL_SCHEMA */
	struct sqlite3 *h; /* NULL: not open */
	struct sqlite3_stmt *stmt[SQL_IDS];
};

/* The file's own name, without links on its way, into PATH_MAX octets. */
int sqlite_real_path(const char *path, char *out, struct pst_err *err);

/* Opens the file where it is not open, or another one has its name by now. */
int sqlite_need(struct sqlite_link *l, struct pst_err *err);
void sqlite_close_link(struct sqlite_link *l);

/* What the last call on the handle met, which may close it. */
enum sql_result sqlite_classify(struct sqlite_link *l, struct pst_err *err);

/* Statements without values, on an open handle. */
int sqlite_exec(struct sqlite_link *l, const char *text, struct pst_err *err);

/* The number that the database has for its tables; 0 where nobody set one. */
int sqlite_version(struct sqlite_link *l, unsigned *out, struct pst_err *err);

/* ---- create.c ---- */

/* Makes the file and the tables where there are none, and brings older ones up to date. */
int sqlite_create(struct sqlite_link *l, struct pst_err *err);

#endif
