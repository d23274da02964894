/* SPDX-License-Identifier: MIT */
/* auth/pgsql/pgsql.h - inside of the plugin: its settings, and PostgreSQL as a driver of the SQL core. */
#ifndef AUTH_PGSQL_PGSQL_H
#define AUTH_PGSQL_PGSQL_H

#include "auth/sql/sql.h"

struct pgsql_conf {
	const char *read, *write, *listen; /* connection strings */
	bool prepared;
	int64_t connect_ms, query_ms;
	const char *password_file, *passfile;
	const char *ca_file, *cert_file, *key_file; /* "": none */
	struct sql_texts sql;
};

#define PGSQL_NO_LISTEN "off"

/* The strings that count: write stands for read where it is empty, and so on. */
const char *pgsql_write_text(const struct pgsql_conf *conf);
const char *pgsql_listen_text(const struct pgsql_conf *conf); /* NULL: off */

/* One row a maildrop; whoever comes while another server's is in force changes none. */
#define PGSQL_LEASE                                                                                \
	"INSERT INTO leases AS l (maildrop, holder, taker, until) VALUES (:maildrop, :holder, "    \
	":taker, clock_timestamp() + make_interval(secs => :seconds)) "                            \
	"ON CONFLICT (maildrop) DO UPDATE SET holder = excluded.holder, "                          \
	"taker = CASE excluded.taker WHEN '' THEN l.taker ELSE excluded.taker END, "               \
	"until = excluded.until WHERE l.holder = excluded.holder OR l.until < clock_timestamp()"
#define PGSQL_LEASE_END                                                                            \
	"DELETE FROM leases WHERE maildrop = :maildrop AND holder = :holder AND taker = :taker"

extern const struct sql_driver pgsql_driver;

/* Connects at the first call. host and its conf are borrowed. NULL: err is filled. */
struct sql_db *pgsql_db_create(const struct pst_host *host, struct pst_err *err);

#endif
