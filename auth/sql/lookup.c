/* SPDX-License-Identifier: MIT */
/* Finding a user, and the app password that may be meant; see sql.h. */
#include <time.h>

#include "auth/sql/core.h"
#include "auth/sql/user.h"

struct finding {
	struct sql *sql;
	const struct pst_auth_query *query;
	struct pst_auth_record *record;
	bool enabled, pop3_enabled, fails;
	unsigned rows;
};

static struct pst_str
keep(const struct finding *f, struct pst_str s)
{
	return s.n == 0 ? PST_LIT("")
	                : (struct pst_str){ f->sql->host->copy(f->record->arena, s), s.n };
}

/* The name is said only where it is another one. */
static void
keep_name(struct finding *f, struct pst_str name)
{
	if (!pst_str_eq(name, f->query->user))
		f->record->user = keep(f, name);
}

static void
keep_user(struct finding *f, const struct sql_user *u)
{
	struct pst_auth_record *r = f->record;

	keep_name(f, u->name);
	r->credential = keep(f, u->password);
	r->location = keep(f, u->maildrop);
	r->reason = keep(f, u->reason);
	r->home = keep(f, u->home);
	r->allow_nets = keep(f, u->allow_nets);
	r->rehash = keep(f, u->rehash);
	r->app_credential = keep(f, u->app_password);
	r->app_label = keep(f, u->app_label);
	r->alias = keep(f, u->alias);
	r->proxy = keep(f, u->proxy);
	r->uid = u->uid;
	r->gid = u->gid;
	r->max_sessions = u->max_sessions;
	r->max_listed = u->max_listed;
	r->min_poll_ms = (int64_t)u->min_poll * 1000;
	r->expire_days = u->expire_days;
	r->hold_days = u->hold_days;
	r->min_tls = u->min_tls;
	r->read_only = u->read_only;
	f->enabled = u->enabled;
	f->pop3_enabled = u->pop3_enabled;
	f->fails = u->fails;
}

static int
on_found(void *arg, const struct sql_row *row, struct pst_err *err)
{
	struct finding *f = arg;
	struct sql_user user;

	if (f->rows++ > 0)
		return pst_err_set(err, PST_E_TEMP, "more than one row for one user");
	if (sql_user_read(row, f->query->user, &user, err) != 0)
		return -1;
	keep_user(f, &user);
	return 0;
}

static void
set_asker(struct sql_value values[SQL_PARAMS], const struct pst_auth_query *query)
{
	sql_no_values(values);
	sql_set(&values[SQL_USER], query->user);
	sql_set(&values[SQL_LOCAL_PART], query->local_part);
	sql_set(&values[SQL_DOMAIN], query->domain);
	sql_set(&values[SQL_REMOTE_IP], query->remote_ip);
	sql_set(&values[SQL_LOCAL_IP], query->local_ip);
	sql_set(&values[SQL_SNI], query->sni);
	sql_set(&values[SQL_APP_PREFIX], query->app_prefix);
}

/* ---- App passwords ---- */

static int
on_app(void *arg, const struct sql_row *row, struct pst_err *err)
{
	struct finding *f = arg;
	struct sql_app app;

	if (f->rows++ > 0)
		return pst_err_set(err, PST_E_TEMP, "more than one row for one app password");
	if (sql_app_read(row, &app, err) != 0)
		return -1;
	if (!app.enabled || (app.expires != 0 && app.expires <= (int64_t)time(NULL)))
		return 0;
	f->record->app_credential = keep(f, app.password);
	f->record->app_label = keep(f, app.label);
	f->record->app_nets = keep(f, app.allow_nets);
	return 0;
}

/* By the name that the session will go by. */
static int
find_app(struct finding *f, struct sql_value *values, struct pst_err *err)
{
	f->rows = 0;
	if (f->record->user.n > 0)
		sql_set_name(values, f->record->user);
	return sql_run(f->sql, SQL_ID_APP_PASSWORD, values, on_app, f, NULL, err) == SQL_OK ? 0
	                                                                                    : -1;
}

/* ---- The whole of it ---- */

/* Whoever asks in these ways shows something else, or only whether the user may still be in. */
static bool
needs_password(struct pst_str mechanism)
{
	static const char *const without[] = { "", "EXTERNAL", "OAUTHBEARER", "XOAUTH2",
		                               "ANONYMOUS" };
	size_t i;

	for (i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (pst_str_eq(mechanism, pst_str_c(without[i])))
			return false;
	return true;
}

/* Why a user who is known may not log in, or NULL. */
static const char *
why_disabled(const struct finding *f)
{
	if (f->fails || !f->enabled)
		return "";
	if (!f->pop3_enabled)
		return "POP3 is switched off for this user";
	if (f->record->credential.n == 0 && f->record->app_credential.n == 0 &&
	    needs_password(f->query->mechanism))
		return "no password is stored"; /* an address that only forwards, say */
	return NULL;
}

enum pst_auth_result
sql_lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
           struct pst_err *err)
{
	struct sql *s = self;
	struct finding f = { .sql = s, .query = query, .record = record };
	struct sql_value values[SQL_PARAMS];
	const char *why;

	record->source = PST_LIT("lookup_query");
	set_asker(values, query);
	if (sql_run(s, SQL_ID_LOOKUP, values, on_found, &f, NULL, err) != SQL_OK)
		return PST_AUTH_TEMP;
	if (f.rows == 0)
		return PST_AUTH_UNKNOWN;
	if (f.enabled && !f.fails && record->alias.n > 0)
		return PST_AUTH_OK;
	if (query->app_prefix.n > 0 && sql_has(s, SQL_ID_APP_PASSWORD) &&
	    find_app(&f, values, err) != 0)
		return PST_AUTH_TEMP;
	why = why_disabled(&f);
	if (why == NULL)
		return PST_AUTH_OK;
	if (why[0] != '\0')
		record->reason = keep(&f, pst_str_c(why));
	return PST_AUTH_DISABLED;
}
