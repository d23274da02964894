/* SPDX-License-Identifier: MIT */
/* auth/pgsql/name.h - inside of the plugin: addresses of a host, looked up within a time limit.
 *
 * The C library's look-up has limits of its own, which are longer than a login may take. It runs in a
 * thread, and is asked again later for what did not come in time. */
#ifndef AUTH_PGSQL_NAME_H
#define AUTH_PGSQL_NAME_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include <postern/err.h>

#define PG_ADDRS 8

struct pg_name;

struct pg_name *pg_name_create(const char *host); /* borrowed; NULL: no memory */
void pg_name_destroy(struct pg_name *n);          /* accepts NULL */

/* Looks the name up, until that time (CLOCK_MONOTONIC). -1 (PST_E_TEMP): nothing is known of it; else
 * there are addresses, found now or, where that fails, the last time. */
int pg_name_find(struct pg_name *n, int64_t until_ms, struct pst_err *err);

size_t pg_name_count(const struct pg_name *n);
const char *pg_name_addr(const struct pg_name *n, size_t idx); /* valid until the next find */

#endif
