/* SPDX-License-Identifier: MIT */
/* auth/sql/sql.h - users in an SQL database, whichever it is: the same queries, columns and errors for
 * every driver. A plugin is a driver, its own settings, and what is here. */
#ifndef AUTH_SQL_SQL_H
#define AUTH_SQL_SQL_H

#include <postern/auth.h>

#include "auth/sql/driver.h"

/* The settings that every such plugin has: the queries. "" where there is none. */
struct sql_texts {
	const char *lookup;
	const char *domain_insert, *user_insert, *user_password, *user_enable, *user_delete;
	const char *user_list;
};

/* The rows of its table: conf is the plugin's struct, at its member of type struct sql_texts. The
 * defaults are for contrib/schema. */
#define SQL_KEY(conf, at, key, member, def, doc)                                                   \
	{ /* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name takes none */             \
		(key), PST_CONF_TEXT(conf, at.member), (def), 0, 16384, "octets", (doc)            \
	}
#define SQL_KEYS(conf, at)                                                                         \
	SQL_KEY(conf, at, "lookup_query", lookup, SQL_LOOKUP,                                      \
	        "Finds a user. Parameters: :user, :local_part, :domain (as folded to lower "       \
	        "case), :remote_ip, :local_ip, :sni. Columns, by name: password (with its "        \
	        "{SCHEME}, or in auth.default_scheme; NULL: this user cannot log in), and if "     \
	        "there are such: maildrop (a location as in mail.location), uid, gid, enabled, "   \
	        "reason, user (the name that the session goes by). No row: the user is not "       \
	        "known; more than one is an error."),                                              \
		SQL_KEY(conf, at, "domain_insert", domain_insert, SQL_DOMAIN_INSERT,               \
	                "Adds the domain of a new user where it is not there yet. Parameters: "    \
	                ":user, :local_part, :domain. Empty: nothing is done for the domain."),    \
		SQL_KEY(conf, at, "user_insert", user_insert, SQL_USER_INSERT,                     \
	                "Adds a user. Parameters: :user, :local_part, :domain, :password, "        \
	                ":maildrop, :uid, :gid, :enabled (1 or 0), :reason; what is not said is "  \
	                "NULL. Empty: users cannot be added with posternctl."),                    \
		SQL_KEY(conf, at, "user_password", user_password, SQL_USER_PASSWORD,               \
	                "Changes a password. Parameters: :user, :local_part, :domain, "            \
	                ":password."),                                                             \
		SQL_KEY(conf, at, "user_enable", user_enable, SQL_USER_ENABLE,                     \
	                "Enables or disables a user. Parameters: :user, :local_part, :domain, "    \
	                ":enabled (1 or 0), :reason."),                                            \
		SQL_KEY(conf, at, "user_delete", user_delete, SQL_USER_DELETE,                     \
	                "Deletes a user, not the mail. Parameters: :user, :local_part, :domain."), \
		SQL_KEY(conf, at, "user_list", user_list, SQL_USER_LIST,                           \
	                "Lists users in the order of their names. Parameter: :domain, empty for "  \
	                "all. Columns: user, and as in lookup_query; a password is not looked "    \
	                "at.")

#define SQL_LOOKUP                                                                                 \
	"SELECT u.password, u.maildrop, u.uid, u.gid, u.enabled AND d.enabled AS enabled, "        \
	"CASE WHEN d.enabled THEN u.reason ELSE d.reason END AS reason "                           \
	"FROM users u JOIN domains d ON d.name = u.domain "                                        \
	"WHERE u.domain = :domain AND u.local_part = :local_part"
#define SQL_DOMAIN_INSERT "INSERT INTO domains (name) VALUES (:domain) ON CONFLICT DO NOTHING"
#define SQL_USER_INSERT                                                                            \
	"INSERT INTO users (domain, local_part, password, maildrop, uid, gid, enabled, reason) "   \
	"VALUES (:domain, :local_part, :password, :maildrop, :uid, :gid, :enabled, :reason)"
#define SQL_WHERE_USER " WHERE domain = :domain AND local_part = :local_part"
#define SQL_USER_PASSWORD "UPDATE users SET password = :password" SQL_WHERE_USER
#define SQL_USER_ENABLE "UPDATE users SET enabled = :enabled, reason = :reason" SQL_WHERE_USER
#define SQL_USER_DELETE "DELETE FROM users" SQL_WHERE_USER
#define SQL_USER_LIST                                                                              \
	"SELECT CASE u.domain WHEN '' THEN u.local_part "                                          \
	"ELSE u.local_part || '@' || u.domain END AS \"user\", "                                   \
	"u.maildrop, u.uid, u.gid, u.enabled AND d.enabled AS enabled, "                           \
	"CASE WHEN d.enabled THEN u.reason ELSE d.reason END AS reason "                           \
	"FROM users u JOIN domains d ON d.name = u.domain "                                        \
	"WHERE u.domain = :domain OR :domain = '' ORDER BY 1"

/* Whether the queries' parameters are known: for the plugin's check. No side effects. */
int sql_check(const struct sql_texts *texts, char mark, struct pst_err *err);

struct sql;

/* *sql_out is the plugin's self. Takes db, also on failure. Does not connect yet. */
int sql_start(const struct pst_host *host, const struct sql_driver *driver, struct sql_db *db,
              const struct sql_texts *texts, void **sql_out, struct pst_err *err);
void sql_stop(void *sql); /* accepts NULL */

/* lookup, user_… and probe for the self that sql_start gave. */
extern const struct pst_auth sql_auth;
/* The same, and watch_… for a driver that has them. */
extern const struct pst_auth sql_auth_watching;

#endif
