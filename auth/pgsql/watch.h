/* SPDX-License-Identifier: MIT */
/* auth/pgsql/watch.h - inside of the plugin: LISTEN postern, and what the notifications say. */
#ifndef AUTH_PGSQL_WATCH_H
#define AUTH_PGSQL_WATCH_H

#include <postern/auth.h>

#include "auth/pgsql/link.h"

struct pg_watch;

/* link: to the server itself, not to a pooler; taken over. NULL: nothing is ever heard.
 * Gives NULL where there is no memory. */
struct pg_watch *pg_watch_create(struct pg_link *link);
void pg_watch_destroy(struct pg_watch *w); /* accepts NULL */

/* As in postern/auth.h. */
int pg_watch_fd(struct pg_watch *w, struct pst_err *err);
int pg_watch_read(struct pg_watch *w,
                  void (*changed)(void *arg, const struct pst_auth_change *change), void *arg,
                  struct pst_err *err);

/* "user NAME", "domain NAME"; anything else may mean anybody. Borrows from payload. */
struct pst_auth_change pg_watch_parse(const char *payload);

#endif
