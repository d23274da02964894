/* SPDX-License-Identifier: MIT */
/* auth/pgsql/target.h - inside of the plugin: a connection string taken apart.
 *
 * libpq's own walk through several hosts knows no time limit when it must not block, and it looks up
 * names while it blocks. So each host is tried by itself here, at an address that is known. */
#ifndef AUTH_PGSQL_TARGET_H
#define AUTH_PGSQL_TARGET_H

#include <stddef.h>

#include "auth/pgsql/name.h"
#include "auth/pgsql/pgsql.h"

#define PG_PLACES 16  /* hosts in one string */
#define PG_OPTIONS 64 /* libpq has some 40 */

struct pg_place {
	const char *host;     /* a name, or a folder of a socket; NULL: libpq's default */
	const char *addr;     /* as text, if the string gives it; else NULL */
	const char *port;     /* NULL: libpq's default */
	struct pg_name *name; /* of a host that must be looked up; else NULL */
	char label[80];       /* for the log */
};

struct pg_target {
	struct pg_place places[PG_PLACES];
	size_t count;
	const char *attrs;            /* target_session_attrs */
	const char *keys[PG_OPTIONS]; /* the other options */
	const char *values[PG_OPTIONS];
	size_t option_count;
	char *memory; /* what all these point into */
};

/* default_attrs: where the string does not say. -1: PST_E_CLIENT. */
int pg_target_read(struct pg_target *t, const char *text, const char *default_attrs,
                   struct pst_err *err);
void pg_target_clear(struct pg_target *t);

#endif
