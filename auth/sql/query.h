/* SPDX-License-Identifier: MIT */
/* auth/sql/query.h - an admin's query: SQL with named parameters, read once.
 *
 * ":user" and its like become the driver's placeholders; their values are always bound, never put
 * into the text. What stands in quotes or comments is left alone, and so is "::". The mark tells the
 * dialect: with '$', also PostgreSQL's dollar quotes, E'' and comments in comments are known. */
#ifndef AUTH_SQL_QUERY_H
#define AUTH_SQL_QUERY_H

#include <postern/err.h>
#include <postern/str.h>

enum sql_param {
	SQL_USER,
	SQL_LOCAL_PART,
	SQL_DOMAIN,
	SQL_REMOTE_IP,
	SQL_LOCAL_IP,
	SQL_SNI,
	SQL_APP_PREFIX,
	SQL_PASSWORD, /* the stored form; administration only, as those below */
	SQL_OLD_PASSWORD,
	SQL_MAILDROP,
	SQL_UID,
	SQL_GID,
	SQL_ENABLED,
	SQL_REASON,
	SQL_POP3_ENABLED,
	SQL_ALLOW_NETS,
	SQL_MAX_SESSIONS,
	SQL_MIN_POLL,
	SQL_MAX_LISTED,
	SQL_MIN_TLS,
	SQL_HOME,
	SQL_REHASH,
	SQL_READ_ONLY,
	SQL_EXPIRE_DAYS,
	SQL_HOLD_DAYS,
	SQL_UNSET, /* " uid gid ": the columns that become NULL */
	SQL_AT,    /* seconds since 1970; notes only, as those below */
	SQL_MECHANISM,
	SQL_RETRIEVED,
	SQL_DELETED,
	SQL_OCTETS,
	SQL_SECONDS,
	SQL_HOLDER, /* of a lease */
	SQL_TAKER,
	SQL_PARAMS
};

#define SQL_BIT(param) (UINT64_C(1) << (param))
#define SQL_ASKER                                                                                  \
	(SQL_BIT(SQL_USER) | SQL_BIT(SQL_LOCAL_PART) | SQL_BIT(SQL_DOMAIN) |                       \
	 SQL_BIT(SQL_REMOTE_IP) | SQL_BIT(SQL_LOCAL_IP) | SQL_BIT(SQL_SNI) |                       \
	 SQL_BIT(SQL_APP_PREFIX))
#define SQL_NAME (SQL_BIT(SQL_USER) | SQL_BIT(SQL_LOCAL_PART) | SQL_BIT(SQL_DOMAIN))
#define SQL_CONTRACT                                                                               \
	(SQL_BIT(SQL_POP3_ENABLED) | SQL_BIT(SQL_ALLOW_NETS) | SQL_BIT(SQL_MAX_SESSIONS) |         \
	 SQL_BIT(SQL_MIN_POLL) | SQL_BIT(SQL_MAX_LISTED) | SQL_BIT(SQL_MIN_TLS) |                  \
	 SQL_BIT(SQL_HOME) | SQL_BIT(SQL_REHASH) | SQL_BIT(SQL_READ_ONLY) | SQL_SINCE_3)
/* What the tables have had since their third version. */
#define SQL_SINCE_3 (SQL_BIT(SQL_EXPIRE_DAYS) | SQL_BIT(SQL_HOLD_DAYS))

/* The queries of each SQL plugin. */
enum sql_id {
	SQL_ID_LOOKUP,
	SQL_ID_DOMAIN_INSERT,
	SQL_ID_USER_INSERT,
	SQL_ID_USER_PASSWORD,
	SQL_ID_USER_ENABLE,
	SQL_ID_USER_DELETE,
	SQL_ID_USER_LIST,
	SQL_ID_APP_PASSWORD,
	SQL_ID_REHASH,
	SQL_ID_LOGIN_NOTE,
	SQL_ID_APP_NOTE,
	SQL_ID_SESSION_NOTE,
	SQL_ID_USER_SHOW,
	SQL_ID_DOMAIN_SHOW,
	SQL_ID_USER_SET,
	SQL_ID_LEASE,
	SQL_ID_LEASE_END,
	SQL_ID_LOOKUP_1, /* for tables of the first version */
	SQL_ID_USER_INSERT_1,
	SQL_ID_LOOKUP_2, /* for those of the second */
	SQL_ID_USER_INSERT_2,
	SQL_ID_USER_SHOW_2,
	SQL_ID_DOMAIN_SHOW_2,
	SQL_ID_USER_SET_2,
	SQL_IDS
};

struct sql_query {
	enum sql_id id;
	bool on_write;       /* where the database is written: all queries but the look-ups */
	const char *setting; /* its key, for messages; borrowed */
	char *text;          /* with placeholders ?1 or $1; owned; NULL: there is no such query */
	enum sql_param params[SQL_PARAMS]; /* placeholder k stands for params[k - 1] */
	size_t param_count;
};

/* Counts, ids, times, yes and no; all others are texts. */
bool sql_param_is_number(enum sql_param param);

/* Fills text, params and param_count from source. allowed: SQL_BITs. mark: '?' or '$'. An empty source
 * is a query that does not exist. -1: PST_E_CLIENT. */
int sql_query_parse(struct sql_query *q, const char *source, uint64_t allowed, char mark,
                    struct pst_err *err);
void sql_query_clear(struct sql_query *q);

#endif
