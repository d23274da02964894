/* SPDX-License-Identifier: MIT */
/* auth/sql/sql.h - users in an SQL database, whichever it is: the same queries, columns and errors for
 * every driver. A plugin is a driver, its own settings, and what is here. */
#ifndef AUTH_SQL_SQL_H
#define AUTH_SQL_SQL_H

#include <postern/auth.h>

#include "auth/sql/defaults.h"
#include "auth/sql/driver.h"

/* The settings that every such plugin has: the queries. "" where there is none. */
struct sql_texts {
	const char *lookup;
	const char *domain_insert, *user_insert, *user_password, *user_enable, *user_delete;
	const char *user_list;
	const char *app_password;
	const char *user_rehash;
	const char *login_note, *app_note, *session_note;
	const char *user_show, *domain_show, *user_set;
	const char *lease, *lease_end;
};

#define SQL_DOC_OWN                                                                                \
	" The default goes with the default of lookup_query: where that is set, and this is not, " \
	"there is none."

/* The rows of its table: conf is the plugin's struct, at its member of type struct sql_texts. The
 * defaults are for contrib/schema. */
#define SQL_KEY(conf, at, key, member, def, doc)                                                   \
	{ /* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name takes none */             \
		(key), PST_CONF_TEXT(conf, at.member), (def), 0, 16384, "octets", (doc)            \
	}
#define SQL_KEYS(conf, at)                                                                                                          \
	SQL_KEY(conf, at, "lookup_query", lookup, SQL_LOOKUP,                                                                       \
	        "Finds a user. Parameters: :user, :local_part, :domain (as folded to lower "                                        \
	        "case), :remote_ip, :local_ip, :sni, :app_prefix (see app_password_query; else "                                    \
	        "empty). Columns, by name: password (with its {SCHEME}, or in "                                                     \
	        "auth.default_scheme; NULL: no password of its own), and if there are such: "                                       \
	        "user (the name that the session goes by), alias (whose record counts instead), "                                   \
	        "enabled, reason, pop3_enabled, allow_nets (192.0.2.0/24, 2001:db8::/32), "                                         \
	        "max_sessions, min_poll (seconds), max_listed, min_tls (any, 1.2 or 1.3), "                                         \
	        "maildrop (a location as in mail.location), home, uid, gid, rehash (off, report "                                   \
	        "or on), read_only, expire_days, hold_days (0: none), app_password, app_label. NULL is not said, and a value that " \
	        "cannot be meant is an error: -ERR [SYS/TEMP]. Dovecot's names of fields are "                                      \
	        "known too (contrib/schema/README.md has them all); another name is an error. No "                                  \
	        "row: the user is not known; more than one is an error."),                                                          \
		SQL_KEY(conf, at, "domain_insert", domain_insert, SQL_DOMAIN_INSERT,                                                \
	                "Adds the domain of a new user where it is not there yet. Parameters: "                                     \
	                ":user, :local_part, :domain. Empty: nothing is done for the domain."),                                     \
		SQL_KEY(conf, at, "user_insert", user_insert, SQL_USER_INSERT,                                                      \
	                "Adds a user. Parameters: :user, :local_part, :domain, :password, "                                         \
	                ":maildrop, :uid, :gid, :enabled (1 or 0), :reason, :pop3_enabled, "                                        \
	                ":allow_nets, :max_sessions, :min_poll, :max_listed, :min_tls, :home, "                                     \
	                ":rehash, :read_only, :expire_days, :hold_days; what is not said is NULL. Empty: users cannot be "          \
	                "added with posternctl."),                                                                                  \
		SQL_KEY(conf, at, "user_password", user_password, SQL_USER_PASSWORD,                                                \
	                "Changes a password. Parameters: :user, :local_part, :domain, "                                             \
	                ":password."),                                                                                              \
		SQL_KEY(conf, at, "user_enable", user_enable, SQL_USER_ENABLE,                                                      \
	                "Enables or disables a user. Parameters: :user, :local_part, :domain, "                                     \
	                ":enabled (1 or 0), :reason."),                                                                             \
		SQL_KEY(conf, at, "user_delete", user_delete, SQL_USER_DELETE,                                                      \
	                "Deletes a user, not the mail. Parameters: :user, :local_part, :domain."),                                  \
		SQL_KEY(conf, at, "user_list", user_list, SQL_USER_LIST,                                                            \
	                "Lists users in the order of their names. Parameter: :domain, empty for "                                   \
	                "all. Columns: user, and as in lookup_query; a password is not looked "                                     \
	                "at."),                                                                                                     \
		SQL_KEY(conf, at, "app_password_query", app_password, SQL_APP_PASSWORD,                                             \
	                "Finds one app password of a user that lookup_query has found, where the "                                  \
	                "password that the client gave has the form of one: four groups of 4 to "                                   \
	                "8 lower-case letters and digits, joined by '-', of which the first is "                                    \
	                ":app_prefix. Parameters: as in lookup_query, and :user, :local_part, "                                     \
	                ":domain are those of the session. Columns: password (of the whole), "                                      \
	                "label, allow_nets, expires (seconds since 1970), enabled. No row, or one "                                 \
	                "that has expired: only the user's own password counts. More than one is "                                  \
	                "an error." SQL_DOC_OWN),                                                                                   \
		SQL_KEY(conf, at, "user_rehash", user_rehash, SQL_USER_REHASH,                                                      \
	                "Stores a new hash of a user's password in place of the old one, and only "                                 \
	                "of that (see auth.rehash). Parameters: :user, :local_part, :domain, "                                      \
	                ":password, :old_password." SQL_DOC_OWN),                                                                   \
		SQL_KEY(conf, at, "login_note", login_note, SQL_LOGIN_NOTE,                                                         \
	                "Notes a login, now and then, in one transaction with others. Parameters: "                                 \
	                ":user, :local_part, :domain, :remote_ip, :mechanism, :at (seconds since "                                  \
	                "1970), :app_prefix (empty where it was the user's own password). Empty: "                                  \
	                "logins are not noted." SQL_DOC_OWN),                                                                       \
		SQL_KEY(conf, at, "app_note", app_note, SQL_APP_NOTE,                                                               \
	                "Notes the use of an app password. Parameters: as in "                                                      \
	                "login_note." SQL_DOC_OWN),                                                                                 \
		SQL_KEY(conf, at, "session_note", session_note, SQL_SESSION_NOTE,                                                   \
	                "Notes a session that has ended. Parameters: :user, :local_part, :domain, "                                 \
	                ":remote_ip, :mechanism, :at, :retrieved, :deleted (messages), :octets "                                    \
	                "(sent), :seconds." SQL_DOC_OWN),                                                                           \
		SQL_KEY(conf, at, "user_show", user_show, SQL_USER_SHOW,                                                            \
	                "What is said of one account, for posternctl user show. Parameters: "                                       \
	                ":user, :local_part, :domain. Columns: password, and as in lookup_query, "                                  \
	                "with NULL for what is not said. The user's own values alone, without the "                                 \
	                "domain's." SQL_DOC_OWN),                                                                                   \
		SQL_KEY(conf, at, "domain_show", domain_show, SQL_DOMAIN_SHOW,                                                      \
	                "What a domain says for its users, for posternctl user show. Parameters: "                                  \
	                ":user, :local_part, :domain. Columns: enabled, and as in user_show. Empty "                                \
	                "or no row: nothing." SQL_DOC_OWN),                                                                         \
		SQL_KEY(conf, at, "user_set", user_set, SQL_USER_SET,                                                               \
	                "Changes what is said of an account, for posternctl user set. Parameters: "                                 \
	                ":user, :local_part, :domain, those of the account as in user_insert, NULL "                                \
	                "for what is to stay as it is, and :unset, the names of those that are to "                                 \
	                "become NULL, each between spaces (empty: none)." SQL_DOC_OWN)

/* The rows of those whose default is for one database alone: by its clock. */
#define SQL_LEASE_KEYS(conf, at, def_take, def_end)                                                 \
	SQL_KEY(conf, at, "lease_query", lease, def_take,                                           \
	        "Takes a maildrop's lease, or keeps it (see mail.locks). It must change one row "   \
	        "where nobody else has the lease now, by the database's clock, and none where "     \
	        "somebody has. Parameters: :maildrop (the location), :holder (mail.lease_holder), " \
	        ":taker (the session's id; empty: the lease is to hold longer, and the taker "      \
	        "stays), :seconds (from now)."),                                                    \
		SQL_KEY(conf, at, "lease_end_query", lease_end, def_end,                            \
	                "Gives a lease back, if no other session has taken it since. Parameters: "  \
	                ":maildrop, :holder, :taker.")

/* Whether the queries' parameters are known: for the plugin's check. No side effects. */
int sql_check(const struct sql_texts *texts, char mark, struct pst_err *err);

struct sql;

/* *sql_out is the plugin's self. Takes db, also on failure. Does not connect yet. */
int sql_start(const struct pst_host *host, const struct sql_driver *driver, struct sql_db *db,
              const struct sql_texts *texts, void **sql_out, struct pst_err *err);
void sql_stop(void *sql); /* accepts NULL */

/* All of struct pst_auth but verify, token and watch_…, for the self that sql_start gave. */
extern const struct pst_auth sql_auth;
/* The same, and watch_… for a driver that has them. */
extern const struct pst_auth sql_auth_watching;

#endif
