/* SPDX-License-Identifier: MIT */
/* What is said of one account: shown as it is stored, and changed; see sql.h. */
#include "auth/sql/core.h"
#include "auth/sql/user.h"

/* ---- Showing ---- */

struct showing {
	void (*each)(void *arg, const struct pst_auth_user *stored, bool is_domain);
	void *arg;
	struct pst_str name; /* the user's; or the domain's */
	bool is_domain;
	unsigned rows;
};

/* What the row says, where it says anything of it. */
static enum pst_auth_choice
choice_of(const struct sql_row *row, const char *column, bool value)
{
	size_t i;

	for (i = 0; i < row->n; i++)
		if (pst_str_ieq(pst_str_c(row->names[i]), pst_str_c(column)) &&
		    !row->values[i].is_null)
			return value ? PST_AUTH_YES : PST_AUTH_NO;
	return PST_AUTH_UNSAID;
}

static int
on_stored(void *arg, const struct sql_row *row, struct pst_err *err)
{
	struct showing *sh = arg;
	struct sql_user u;

	if (sh->rows++ > 0)
		return pst_err_set(err, PST_E_CLIENT, "more than one row");
	if (sql_user_read(row, sh->name, &u, err) != 0)
		return -1;
	sh->each(sh->arg,
	         &(struct pst_auth_user){
			 .name = sh->name,
			 .credential = u.password,
			 .location = u.maildrop,
			 .reason = u.reason,
			 .uid = u.uid,
			 .gid = u.gid,
			 .enabled = u.enabled && !u.fails,
			 .home = u.home,
			 .allow_nets = u.allow_nets,
			 .rehash = u.rehash,
			 .min_tls = u.min_tls,
			 .max_sessions = u.max_sessions,
			 .max_listed = u.max_listed,
			 .min_poll_ms = (int64_t)u.min_poll * 1000,
			 .pop3_enabled = choice_of(row, "pop3_enabled", u.pop3_enabled),
			 .expire_days = u.expire_days,
			 .hold_days = u.hold_days,
			 .read_only = choice_of(row, "read_only", u.read_only),
		 },
	         sh->is_domain);
	return 0;
}

int
sql_user_show(void *self, struct pst_str name,
              void (*each)(void *arg, const struct pst_auth_user *stored, bool is_domain),
              void *arg, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	struct showing user = { .each = each, .arg = arg, .name = name };
	struct showing domain = { .each = each, .arg = arg, .is_domain = true };

	sql_no_values(values);
	sql_set_name(values, name);
	domain.name = values[SQL_DOMAIN].text;
	if (sql_check_tables(s, SQL_ID_USER_SHOW, values, err) != 0 ||
	    sql_run(s, SQL_ID_USER_SHOW, values, on_stored, &user, NULL, err) != SQL_OK)
		return -1;
	if (user.rows == 0)
		return pst_err_set(err, PST_E_CLIENT, "there is no such user");
	if (sql_has(s, SQL_ID_DOMAIN_SHOW) &&
	    sql_run(s, SQL_ID_DOMAIN_SHOW, values, on_stored, &domain, NULL, err) != SQL_OK)
		return -1;
	return 0;
}

/* ---- Changing ---- */

static const struct {
	enum pst_auth_field field;
	const char *word; /* with a space behind it */
} words[] = {
	{ PST_AUTH_FIELD_LOCATION, "maildrop " },
	{ PST_AUTH_FIELD_HOME, "home " },
	{ PST_AUTH_FIELD_UID, "uid " },
	{ PST_AUTH_FIELD_GID, "gid " },
	{ PST_AUTH_FIELD_POP3_ENABLED, "pop3_enabled " },
	{ PST_AUTH_FIELD_ALLOW_NETS, "allow_nets " },
	{ PST_AUTH_FIELD_MAX_SESSIONS, "max_sessions " },
	{ PST_AUTH_FIELD_MIN_POLL, "min_poll " },
	{ PST_AUTH_FIELD_MAX_LISTED, "max_listed " },
	{ PST_AUTH_FIELD_MIN_TLS, "min_tls " },
	{ PST_AUTH_FIELD_REHASH, "rehash " },
	{ PST_AUTH_FIELD_READ_ONLY, "read_only " },
	{ PST_AUTH_FIELD_EXPIRE_DAYS, "expire_days " },
	{ PST_AUTH_FIELD_HOLD_DAYS, "hold_days " },
};

#define UNSET_MAX 200

/* " uid gid ", or nothing. */
static struct pst_str
unset_words(uint32_t unset, char out[UNSET_MAX])
{
	size_t n = 1;
	size_t i;

	out[0] = ' ';
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((unset & words[i].field) != 0) {
			const size_t len = strlen(words[i].word);

			memcpy(out + n, words[i].word, len); /* all of them fit */
			n += len;
		}
	return (struct pst_str){ out, n > 1 ? n : 0 };
}

int
sql_user_set(void *self, const struct pst_auth_user *user, uint32_t unset, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	struct sql_account num;
	char text[UNSET_MAX];

	sql_no_values(values);
	sql_set_account(values, &num, user);
	sql_set(&values[SQL_UNSET], unset_words(unset, text));
	if (sql_check_tables(s, SQL_ID_USER_SET, values, err) != 0)
		return -1;
	return sql_change_user(s, SQL_ID_USER_SET, values, err);
}
