/* SPDX-License-Identifier: MIT */
/* The auth plugin pgsql: users in PostgreSQL. See auth/sql for what it does with them. */
#include <string.h>

#include "auth/pgsql/pgsql.h"
#include "auth/pgsql/target.h"

static const struct pst_conf_key keys[] = {
	{ "read", PST_CONF_TEXT(struct pgsql_conf, read), NULL, 1, 4000, "octets",
	  "Where users are looked up: a connection string of libpq, \"host=db1,db2 dbname=mail "
	  "user=postern\" or \"postgresql://postern@db1,db2/mail\". Of several hosts the next one is "
	  "taken where one does not answer; target_session_attrs says which may serve (default any). "
	  "A host that begins with / is the folder of a local socket. The user must be said. "
	  "Each auth worker that looks users up keeps one connection." },
	{ "write", PST_CONF_TEXT(struct pgsql_conf, write), "", 0, 4000, "octets",
	  "Where last logins and passwords that are hashed anew are written, and posternctl user "
	  "works: as read, but target_session_attrs is read-write by default. Empty: the string of "
	  "read." },
	{ "listen", PST_CONF_TEXT(struct pgsql_conf, listen), "", 0, 4000, "octets",
	  "Where LISTEN tells of users that changed, so that it counts at once for sessions that are "
	  "open: as write. Empty: the string of write. It must lead to the server itself, not to a "
	  "pooler. \"off\": changes count at the next login." },
	{ "prepared", PST_CONF_BOOL(struct pgsql_conf, prepared), "yes", 0, 0, NULL,
	  "Whether queries are prepared once on each connection, which makes them cheaper. Behind a "
	  "pooler in transaction mode (pgbouncer) it must be \"no\", and listen be set." },
	{ "connect_timeout", PST_CONF_TIME(struct pgsql_conf, connect_ms), "2s", 100, 60000, NULL,
	  "How long one host may take until the connection stands; then the next one is tried." },
	{ "query_timeout", PST_CONF_TIME(struct pgsql_conf, query_ms), "3s", 100, 60000, NULL,
	  "How long a query may take. A login waits for no more than connect_timeout and "
	  "query_timeout together, which must be shorter than auth.timeout. While the database is "
	  "known to be away, logins are told so without waiting." },
	{ "password_file", PST_CONF_READ_PATH(struct pgsql_conf, password_file), "", 0, 4000,
	  "octets",
	  "A file whose first line is the password; server.auth_user must be able to read it, and "
	  "not everybody. It is read at each connect. Empty: there is none." },
	{ "passfile", PST_CONF_READ_PATH(struct pgsql_conf, passfile), "", 0, 4000, "octets",
	  "Passwords by host and user, in libpq's format; it must belong to server.auth_user with "
	  "mode 0600." },
	{ "ca_file", PST_CONF_READ_PATH(struct pgsql_conf, ca_file), "", 0, 4000, "octets",
	  "The certificates that sslmode=verify-ca and verify-full in the strings go by "
	  "(sslrootcert of libpq)." },
	{ "cert_file", PST_CONF_READ_PATH(struct pgsql_conf, cert_file), "", 0, 4000, "octets",
	  "A certificate to show to the server (sslcert of libpq)." },
	{ "key_file", PST_CONF_READ_PATH(struct pgsql_conf, key_file), "", 0, 4000, "octets",
	  "Its private key (sslkey of libpq)." },
	SQL_KEYS(struct pgsql_conf, sql),
	SQL_LEASE_KEYS(struct pgsql_conf, sql, PGSQL_LEASE, PGSQL_LEASE_END),
	{ .key = NULL },
};

const char *
pgsql_write_text(const struct pgsql_conf *conf)
{
	return conf->write[0] != '\0' ? conf->write : conf->read;
}

const char *
pgsql_listen_text(const struct pgsql_conf *conf)
{
	if (strcmp(conf->listen, PGSQL_NO_LISTEN) == 0)
		return NULL;
	return conf->listen[0] != '\0' ? conf->listen : pgsql_write_text(conf);
}

static int
check_string(const char *setting, const char *text, struct pst_err *err)
{
	struct pg_target target;
	struct pst_err why;

	if (pg_target_read(&target, text, "any", &why) != 0)
		return pst_err_set(err, PST_E_CLIENT, "%s: %.220s", setting, why.text);
	pg_target_clear(&target);
	return 0;
}

static int
check_path(const char *setting, const char *path, struct pst_err *err)
{
	if (path[0] != '\0' && path[0] != '/')
		return pst_err_set(err, PST_E_CLIENT, "%s: must begin with /", setting);
	return 0;
}

static int
check(const void *conf, struct pst_err *err)
{
	const struct pgsql_conf *c = conf;
	const bool has_listen = c->listen[0] != '\0';

	if (check_string("read", c->read, err) != 0)
		return -1;
	if (c->write[0] != '\0' && check_string("write", c->write, err) != 0)
		return -1;
	if (has_listen && pgsql_listen_text(c) != NULL &&
	    check_string("listen", c->listen, err) != 0)
		return -1;
	if (!c->prepared && !has_listen)
		return pst_err_set(err, PST_E_CLIENT,
		                   "listen: prepared = no is for poolers, which do not pass "
		                   "notifications on: name the server itself, or say \"off\"");
	if (check_path("password_file", c->password_file, err) != 0 ||
	    check_path("passfile", c->passfile, err) != 0 ||
	    check_path("ca_file", c->ca_file, err) != 0 ||
	    check_path("cert_file", c->cert_file, err) != 0 ||
	    check_path("key_file", c->key_file, err) != 0)
		return -1;
	return sql_check(&c->sql, pgsql_driver.mark, err);
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	const struct pgsql_conf *c = host->conf;
	struct sql_db *db = pgsql_db_create(host, err);

	if (db == NULL)
		return -1;
	return sql_start(host, &pgsql_driver, db, &c->sql, self_out, err);
}

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "pgsql",
	.keys = keys,
	.conf_size = sizeof(struct pgsql_conf),
	.check = check,
	.start = start,
	.stop = sql_stop,
	.auth = &sql_auth_watching,
	.needs = PST_NEEDS_FILES | PST_NEEDS_NET,
};
