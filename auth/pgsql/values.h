/* SPDX-License-Identifier: MIT */
/* auth/pgsql/values.h - inside of the plugin: a query's values as libpq takes them. */
#ifndef AUTH_PGSQL_VALUES_H
#define AUTH_PGSQL_VALUES_H

#include "auth/sql/driver.h"

struct pg_values;

/* Whether the server would take them as text: it refuses what is not UTF-8. A server name that is not
 * is no hindrance: it is given as an empty one. */
bool pg_values_can_be(const struct sql_query *q, const struct sql_value *values);

/* Copies. NULL: no memory. */
struct pg_values *pg_values_create(const struct sql_query *q, const struct sql_value *values);
void pg_values_destroy(struct pg_values *v); /* wipes them */

/* One for each placeholder; NULL in it is NULL. */
const char *const *pg_values_list(const struct pg_values *v);

/* Whether the octets are UTF-8 as RFC 3629 has it, without NUL. */
bool pg_is_utf8(struct pst_str s);

#endif
