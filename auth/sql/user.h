/* SPDX-License-Identifier: MIT */
/* auth/sql/user.h - inside of the SQL core: a row of an answer read as a user, by its columns' names.
 *
 * One table says of each name that is known what it does: it is used, it is ignored, or a value in it
 * is refused. Beside our own names it has those of Dovecot's passdb and userdb queries. A column that
 * is not in the table is an error: a mistyped "enabled" would let everybody in. */
#ifndef AUTH_SQL_USER_H
#define AUTH_SQL_USER_H

#include "auth/sql/driver.h"

#define SQL_NAME_MAX 512 /* octets of a name that is put together */
#define SQL_PATH_MAX 4096

/* Strings are borrowed from the row, or from the struct itself: not to be copied by assignment. Empty
 * and 0: there is no such column, or NULL in it. */
struct sql_user {
	/* What the answer says, once read. */
	struct pst_str name; /* put together, where it comes in parts */
	struct pst_str password;
	struct pst_str maildrop; /* a location, from Dovecot's forms too */
	struct pst_str reason;
	struct pst_str home;
	struct pst_str allow_nets;
	struct pst_str rehash;
	struct pst_str app_password, app_label;
	struct pst_str alias;
	struct pst_str proxy; /* who serves the user */
	uint32_t uid, gid;
	uint32_t max_sessions, max_listed;
	uint32_t expire_days, hold_days; /* as in the record */
	uint32_t min_poll;               /* seconds */
	uint32_t min_tls;                /* as in the record */
	bool enabled;                    /* true where nothing is said */
	bool pop3_enabled;               /* likewise */
	bool read_only;
	bool fails; /* Dovecot's nologin and fail */

	/* The parts. */
	struct pst_str username, domain;
	struct pst_str mail, mail_driver, mail_path, mail_inbox_path;
	struct pst_str host, port;
	bool has_proxy;
	char name_text[SQL_NAME_MAX];
	char maildrop_text[SQL_PATH_MAX];
	char proxy_text[SQL_NAME_MAX];
};

/* asked: the name that was asked for, where only a part of it is replaced; or empty. -1: PST_E_TEMP
 * for a column that is not known, or a value that cannot be meant. */
int sql_user_read(const struct sql_row *row, struct pst_str asked, struct sql_user *out,
                  struct pst_err *err);

/* An app password's row. */
struct sql_app {
	struct pst_str password, label, allow_nets;
	int64_t expires; /* seconds since 1970; 0: never */
	bool enabled;
};

int sql_app_read(const struct sql_row *row, struct sql_app *out, struct pst_err *err);

enum sql_columns { SQL_COLUMNS_USER, SQL_COLUMNS_APP };

/* Whether these columns may stand together in an answer, and those are there that must. -1:
 * PST_E_CLIENT. needed: a column's name. */
int sql_columns_check(enum sql_columns which, const struct sql_row *row, const char *needed,
                      struct pst_err *err);

/* What the tables have for a name ("used", "ignored", "refused"), or NULL: for tests. */
const char *sql_column_use(enum sql_columns which, const char *name);

/* ---- mail.c ---- */

/* Dovecot's mail location ("maildir:~/Maildir:LAYOUT=fs") as one of ours ("maildir:%{home}/Maildir").
 * What only says where Dovecot keeps its own files is left out. -1: PST_E_TEMP. */
int sql_mail_location(struct pst_str mail, char out[SQL_PATH_MAX], struct pst_err *err);

#endif
