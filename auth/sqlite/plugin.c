/* SPDX-License-Identifier: MIT */
/* The auth plugin sqlite: users in one file. See auth/sql for what it does with them. */
#include <string.h>

#include "auth/sql/sql.h"
#include "auth/sqlite/sqlite.h"

struct sqlite_conf {
	const char *database;
	struct sql_texts sql;
};

static const struct pst_conf_key keys[] = {
	{ "database", PST_CONF_WRITE_PATH(struct sqlite_conf, database), NULL, 2, 4000, "octets",
	  "The database file. SQLite keeps its journal beside it, so the folder must be writable "
	  "for server.auth_user as well. `posternctl user add` makes a file that is not there; a "
	  "file that is replaced is taken up at the next login." },
	SQL_KEYS(struct sqlite_conf, sql),
	SQL_LEASE_KEYS(struct sqlite_conf, sql, "", ""),
	{ .key = NULL },
};

static int
check(const void *conf, struct pst_err *err)
{
	const struct sqlite_conf *c = conf;

	if (c->database[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "database: must begin with /");
	return sql_check(&c->sql, sqlite_driver.mark, err);
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	const struct sqlite_conf *c = host->conf;
	struct sql_db *db = sqlite_db_create(c->database, strcmp(host->worker, "auth") == 0);

	if (db == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	return sql_start(host, &sqlite_driver, db, &c->sql, self_out, err);
}

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "sqlite",
	.keys = keys,
	.conf_size = sizeof(struct sqlite_conf),
	.check = check,
	.start = start,
	.stop = sql_stop,
	.auth = &sql_auth,
	.needs = PST_NEEDS_FILES,
};
