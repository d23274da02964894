/* SPDX-License-Identifier: MIT */
/* auth/sql/defaults.h - the queries for the tables of contrib/schema. Each is read by SQLite and by
 * PostgreSQL, which wants to be told the type of a parameter where nothing beside it has one. */
#ifndef AUTH_SQL_DEFAULTS_H
#define AUTH_SQL_DEFAULTS_H

/* Of several users that the name could mean, one: the user of that name, whom an alias stands for,
 * then the same in the domain that this one is another name of. An alias is never followed twice. */
#define SQL_LOOKUP_OF(more)                                                                        \
	"WITH names (domain, place) AS ("                                                          \
	"SELECT CAST(:domain AS TEXT), 0 "                                                         \
	"UNION ALL SELECT domain, 2 FROM domain_aliases WHERE name = :domain AND enabled), "       \
	"found (domain, local_part, place) AS ("                                                   \
	"SELECT domain, CAST(:local_part AS TEXT), place FROM names "                              \
	"UNION ALL SELECT a.user_domain, a.user_local_part, n.place + 1 FROM names n "             \
	"JOIN aliases a ON a.domain = n.domain AND a.local_part = :local_part AND a.enabled) "     \
	"SELECT u.password, "                                                                      \
	"CASE u.domain WHEN '' THEN u.local_part "                                                 \
	"ELSE u.local_part || '@' || u.domain END AS \"user\", "                                   \
	"coalesce(u.maildrop, d.maildrop) AS maildrop, u.home, "                                   \
	"coalesce(u.uid, d.uid) AS uid, coalesce(u.gid, d.gid) AS gid, "                           \
	"u.enabled AND d.enabled AS enabled, "                                                     \
	"CASE WHEN d.enabled THEN u.reason ELSE d.reason END AS reason, "                          \
	"coalesce(u.pop3_enabled, d.pop3_enabled) AS pop3_enabled, "                               \
	"coalesce(u.allow_nets, d.allow_nets) AS allow_nets, "                                     \
	"coalesce(u.max_sessions, d.max_sessions) AS max_sessions, "                               \
	"coalesce(u.min_poll, d.min_poll) AS min_poll, "                                           \
	"coalesce(u.max_listed, d.max_listed) AS max_listed, "                                     \
	"coalesce(u.min_tls, d.min_tls) AS min_tls, "                                              \
	"coalesce(u.rehash, d.rehash) AS rehash, "                                                 \
	"coalesce(u.read_only, d.read_only) AS read_only" more                                     \
	" FROM found f JOIN users u ON u.domain = f.domain AND u.local_part = f.local_part "       \
	"JOIN domains d ON d.name = u.domain ORDER BY f.place LIMIT 1"
#define SQL_LOOKUP                                                                                 \
	SQL_LOOKUP_OF(", coalesce(u.expire_days, d.expire_days) AS expire_days, "                  \
	              "coalesce(u.hold_days, d.hold_days) AS hold_days")
#define SQL_LOOKUP_2 SQL_LOOKUP_OF("") /* for tables of the second version, without these two */

/* For tables of the first version, which had none of that. */
#define SQL_LOOKUP_1                                                                               \
	"SELECT u.password, u.maildrop, u.uid, u.gid, u.enabled AND d.enabled AS enabled, "        \
	"CASE WHEN d.enabled THEN u.reason ELSE d.reason END AS reason "                           \
	"FROM users u JOIN domains d ON d.name = u.domain "                                        \
	"WHERE u.domain = :domain AND u.local_part = :local_part"

#define SQL_WHERE_USER " WHERE domain = :domain AND local_part = :local_part"

#define SQL_APP_PASSWORD                                                                           \
	"SELECT password, label, allow_nets, expires FROM app_passwords" SQL_WHERE_USER            \
	" AND prefix = :app_prefix"

#define SQL_DOMAIN_INSERT "INSERT INTO domains (name) VALUES (:domain) ON CONFLICT DO NOTHING"
#define SQL_USER_INSERT_OF(columns, values)                                                        \
	"INSERT INTO users (domain, local_part, password, maildrop, uid, gid, enabled, reason, "   \
	"pop3_enabled, allow_nets, max_sessions, min_poll, max_listed, min_tls, home, rehash, "    \
	"read_only" columns                                                                        \
	") VALUES (:domain, :local_part, :password, :maildrop, :uid, :gid, :enabled, "             \
	":reason, :pop3_enabled, :allow_nets, :max_sessions, :min_poll, :max_listed, :min_tls, "   \
	":home, :rehash, :read_only" values ")"
#define SQL_USER_INSERT SQL_USER_INSERT_OF(", expire_days, hold_days", ", :expire_days, :hold_days")
#define SQL_USER_INSERT_2 SQL_USER_INSERT_OF("", "")
#define SQL_USER_INSERT_1                                                                          \
	"INSERT INTO users (domain, local_part, password, maildrop, uid, gid, enabled, reason) "   \
	"VALUES (:domain, :local_part, :password, :maildrop, :uid, :gid, :enabled, :reason)"
#define SQL_USER_PASSWORD "UPDATE users SET password = :password" SQL_WHERE_USER
#define SQL_USER_REHASH SQL_USER_PASSWORD " AND password = :old_password"
#define SQL_USER_ENABLE "UPDATE users SET enabled = :enabled, reason = :reason" SQL_WHERE_USER
#define SQL_USER_DELETE "DELETE FROM users" SQL_WHERE_USER
#define SQL_USER_LIST                                                                              \
	"SELECT CASE u.domain WHEN '' THEN u.local_part "                                          \
	"ELSE u.local_part || '@' || u.domain END AS \"user\", "                                   \
	"u.maildrop, u.uid, u.gid, u.enabled AND d.enabled AS enabled, "                           \
	"CASE WHEN d.enabled THEN u.reason ELSE d.reason END AS reason "                           \
	"FROM users u JOIN domains d ON d.name = u.domain "                                        \
	"WHERE u.domain = :domain OR :domain = '' ORDER BY 1"

/* What is said of the account, by the user and by the domain. */
#define SQL_USER_SHOW_OF(more)                                                                     \
	"SELECT password, enabled, reason, maildrop, home, uid, gid, "                             \
	"pop3_enabled, allow_nets, max_sessions, min_poll, max_listed, min_tls, rehash, "          \
	"read_only" more " FROM users" SQL_WHERE_USER
#define SQL_USER_SHOW SQL_USER_SHOW_OF(", expire_days, hold_days")
#define SQL_USER_SHOW_2 SQL_USER_SHOW_OF("")
#define SQL_DOMAIN_SHOW_OF(more)                                                                   \
	"SELECT enabled, reason, maildrop, uid, gid, "                                             \
	"pop3_enabled, allow_nets, max_sessions, min_poll, max_listed, min_tls, rehash, "          \
	"read_only" more " FROM domains WHERE name = :domain"
#define SQL_DOMAIN_SHOW SQL_DOMAIN_SHOW_OF(", expire_days, hold_days")
#define SQL_DOMAIN_SHOW_2 SQL_DOMAIN_SHOW_OF("")

/* One statement, so that nothing is lost of what somebody else changes meanwhile. */
/* clang-format off */
#define SQL_CHANGE(name)                                                                           \
	name " = CASE WHEN :unset LIKE '% " name " %' THEN NULL "                                  \
	"ELSE coalesce(:" name ", " name ") END"
#define SQL_USER_SET_OF(more)                                                                              \
	"UPDATE users SET " SQL_CHANGE("maildrop") ", "                                            \
	SQL_CHANGE("home") ", "                                                                    \
	SQL_CHANGE("uid") ", "                                                                     \
	SQL_CHANGE("gid") ", "                                                                     \
	SQL_CHANGE("pop3_enabled") ", "                                                            \
	SQL_CHANGE("allow_nets") ", "                                                              \
	SQL_CHANGE("max_sessions") ", "                                                            \
	SQL_CHANGE("min_poll") ", "                                                                \
	SQL_CHANGE("max_listed") ", "                                                              \
	SQL_CHANGE("min_tls") ", "                                                                 \
	SQL_CHANGE("rehash") ", "                                                                  \
	SQL_CHANGE("read_only") more                                                               \
	SQL_WHERE_USER
#define SQL_USER_SET SQL_USER_SET_OF(", " SQL_CHANGE("expire_days") ", " SQL_CHANGE("hold_days"))
#define SQL_USER_SET_2 SQL_USER_SET_OF("")
/* clang-format on */

/* A user who is gone by now is no error. */
#define SQL_LOGIN_NOTE                                                                             \
	"INSERT INTO activity "                                                                    \
	"(domain, local_part, last_login, last_ip, last_mechanism, logins) "                       \
	"SELECT domain, local_part, CAST(:at AS BIGINT), CAST(:remote_ip AS TEXT), "               \
	"CAST(:mechanism AS TEXT), 1 FROM users" SQL_WHERE_USER                                    \
	" ON CONFLICT (domain, local_part) DO UPDATE SET last_login = excluded.last_login, "       \
	"last_ip = excluded.last_ip, last_mechanism = excluded.last_mechanism, "                   \
	"logins = activity.logins + 1"
#define SQL_APP_NOTE                                                                               \
	"UPDATE app_passwords SET last_used = :at" SQL_WHERE_USER " AND prefix = :app_prefix"
#define SQL_SESSION_NOTE                                                                           \
	"INSERT INTO activity "                                                                    \
	"(domain, local_part, sessions, retrieved, deleted, octets, seconds) "                     \
	"SELECT domain, local_part, 1, CAST(:retrieved AS BIGINT), CAST(:deleted AS BIGINT), "     \
	"CAST(:octets AS BIGINT), CAST(:seconds AS BIGINT) FROM users" SQL_WHERE_USER              \
	" ON CONFLICT (domain, local_part) DO UPDATE SET sessions = activity.sessions + 1, "       \
	"retrieved = activity.retrieved + excluded.retrieved, "                                    \
	"deleted = activity.deleted + excluded.deleted, "                                          \
	"octets = activity.octets + excluded.octets, "                                             \
	"seconds = activity.seconds + excluded.seconds"

#endif
