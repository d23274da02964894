/* SPDX-License-Identifier: MIT */
/* auth/sqlite/sqlite.h - inside of the plugin: SQLite as a driver of the SQL core. */
#ifndef AUTH_SQLITE_SQLITE_H
#define AUTH_SQLITE_SQLITE_H

#include "auth/sql/driver.h"

extern const struct sql_driver sqlite_driver;

/* Not open yet: each call opens the file as needed. path is absolute and borrowed. reads_apart: what is
 * looked up is read through a handle that cannot write. NULL: no memory. */
struct sql_db *sqlite_db_create(const char *path, bool reads_apart);

/* contrib/schema/sqlite.sql */
extern const char sqlite_schema[];

#endif
