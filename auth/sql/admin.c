/* SPDX-License-Identifier: MIT */
/* The administration of users; see sql.h. */
#include "auth/sql/core.h"
#include "auth/sql/user.h"

int
sql_change_user(struct sql *s, enum sql_id id, const struct sql_value *values, struct pst_err *err)
{
	uint64_t changed = 0;

	if (sql_run(s, id, values, NULL, NULL, &changed, err) != SQL_OK)
		return -1;
	if (changed == 0)
		return pst_err_set(err, PST_E_CLIENT, "there is no such user");
	return 0;
}

/* The domain and the user, as one. */
static int
insert_both(struct sql *s, const struct sql_value *values, struct pst_err *err)
{
	struct pst_str domain = values[SQL_DOMAIN].text;
	enum sql_result result;
	uint64_t changed = 0;

	if (sql_has(s, SQL_ID_DOMAIN_INSERT)) {
		result = sql_run(s, SQL_ID_DOMAIN_INSERT, values, NULL, NULL, &changed, err);
		if (result != SQL_OK && result != SQL_CONFLICT)
			return -1;
		if (result == SQL_OK && changed > 0 && domain.n > 0)
			s->host->log(s->host, PST_LOG_INFO, "sql.domain_added", "domain=%.*s",
			             PST_ARG(domain));
	}
	changed = 0;
	result = sql_run(s, SQL_ID_USER_INSERT, values, NULL, NULL, &changed, err);
	if (result == SQL_CONFLICT || (result == SQL_OK && changed == 0))
		return pst_err_set(err, PST_E_CLIENT, "there is such a user already");
	return result == SQL_OK ? 0 : -1;
}

static void
set_count(struct sql_value *v, struct sql_number *at, uint64_t num)
{
	if (num != 0)
		sql_set_number(v, at, num);
}

/* In the tables, no days at all are 0. */
static void
set_days(struct sql_value *v, struct sql_number *at, uint32_t days)
{
	if (days != 0)
		sql_set_number(v, at, days == PST_AUTH_NO_DAYS ? 0 : days);
}

static void
set_choice(struct sql_value *v, enum pst_auth_choice choice)
{
	if (choice != PST_AUTH_UNSAID)
		sql_set(v, choice == PST_AUTH_YES ? PST_LIT("1") : PST_LIT("0"));
}

static void
set_contract(struct sql_value values[SQL_PARAMS], struct sql_account *num,
             const struct pst_auth_user *user)
{
	static const struct {
		uint32_t version;
		const char *word;
	} tls[] = { { 10, "any" }, { 12, "1.2" }, { 13, "1.3" } };
	size_t i;

	sql_set_said(&values[SQL_HOME], user->home);
	sql_set_said(&values[SQL_ALLOW_NETS], user->allow_nets);
	sql_set_said(&values[SQL_REHASH], user->rehash);
	set_count(&values[SQL_MAX_SESSIONS], &num->max_sessions, user->max_sessions);
	set_count(&values[SQL_MAX_LISTED], &num->max_listed, user->max_listed);
	set_count(&values[SQL_MIN_POLL], &num->min_poll, (uint64_t)(user->min_poll_ms / 1000));
	set_days(&values[SQL_EXPIRE_DAYS], &num->expire_days, user->expire_days);
	set_days(&values[SQL_HOLD_DAYS], &num->hold_days, user->hold_days);
	set_choice(&values[SQL_POP3_ENABLED], user->pop3_enabled);
	set_choice(&values[SQL_READ_ONLY], user->read_only);
	for (i = 0; i < sizeof(tls) / sizeof(tls[0]); i++)
		if (user->min_tls == tls[i].version)
			sql_set(&values[SQL_MIN_TLS], pst_str_c(tls[i].word));
}

void
sql_set_account(struct sql_value values[SQL_PARAMS], struct sql_account *num,
                const struct pst_auth_user *user)
{
	sql_set_name(values, user->name);
	sql_set_said(&values[SQL_MAILDROP], user->location);
	set_count(&values[SQL_UID], &num->uid, user->uid);
	set_count(&values[SQL_GID], &num->gid, user->gid);
	set_contract(values, num, user);
}

/* Whether more is said than older tables can hold. */
static bool
says_any(const struct sql_value values[SQL_PARAMS], uint64_t params)
{
	size_t i;

	for (i = 0; i < SQL_PARAMS; i++)
		if ((params & SQL_BIT(i)) != 0 && !values[i].is_null)
			return true;
	return false;
}

int
sql_check_tables(struct sql *s, enum sql_id id, const struct sql_value values[SQL_PARAMS],
                 struct pst_err *err)
{
	const enum sql_id wanted = id;

	if (sql_adapt(s, &id, err) != 0)
		return -1;
	if (id != wanted &&
	    (id < SQL_ID_LOOKUP_2 || id == SQL_IDS || says_any(values, SQL_SINCE_3)))
		return pst_err_set(err, PST_E_CLIENT,
		                   "the tables are of an older version, which has no place for "
		                   "this: first run posternctl user upgrade");
	return 0;
}

int
sql_user_add(void *self, const struct pst_auth_user *user, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	struct sql_account num;

	sql_no_values(values);
	sql_set_account(values, &num, user);
	sql_set(&values[SQL_PASSWORD], user->credential);
	sql_set_said(&values[SQL_REASON], user->reason);
	sql_set(&values[SQL_ENABLED], user->enabled ? PST_LIT("1") : PST_LIT("0"));
	if ((says_any(values, SQL_CONTRACT) &&
	     sql_check_tables(s, SQL_ID_USER_INSERT, values, err) != 0) ||
	    s->driver->begin(s->db, err) != 0)
		return -1;
	if (insert_both(s, values, err) != 0 || s->driver->commit(s->db, err) != 0) {
		s->driver->rollback(s->db);
		return -1;
	}
	return 0;
}

int
sql_user_passwd(void *self, struct pst_str name, struct pst_str credential, struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	sql_no_values(values);
	sql_set_name(values, name);
	sql_set(&values[SQL_PASSWORD], credential);
	return sql_change_user(self, SQL_ID_USER_PASSWORD, values, err);
}

int
sql_user_enable(void *self, struct pst_str name, bool enabled, struct pst_str reason,
                struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	sql_no_values(values);
	sql_set_name(values, name);
	sql_set(&values[SQL_ENABLED], enabled ? PST_LIT("1") : PST_LIT("0"));
	sql_set_said(&values[SQL_REASON], reason);
	return sql_change_user(self, SQL_ID_USER_ENABLE, values, err);
}

int
sql_user_delete(void *self, struct pst_str name, struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	sql_no_values(values);
	sql_set_name(values, name);
	return sql_change_user(self, SQL_ID_USER_DELETE, values, err);
}

struct listing {
	void (*each)(void *arg, const struct pst_auth_user *user);
	void *arg;
};

static int
on_listed(void *arg, const struct sql_row *row, struct pst_err *err)
{
	const struct listing *l = arg;
	struct sql_user u;

	if (sql_user_read(row, PST_LIT(""), &u, err) != 0)
		return -1;
	l->each(l->arg, &(struct pst_auth_user){
				.name = u.name,
				.location = u.maildrop,
				.reason = u.reason,
				.uid = u.uid,
				.gid = u.gid,
				.enabled = u.enabled,
			});
	return 0;
}

int
sql_user_list(void *self, struct pst_str domain,
              void (*each)(void *arg, const struct pst_auth_user *), void *arg, struct pst_err *err)
{
	struct listing l = { each, arg };
	struct sql_value values[SQL_PARAMS];

	sql_no_values(values);
	sql_set(&values[SQL_DOMAIN], domain);
	return sql_run(self, SQL_ID_USER_LIST, values, on_listed, &l, NULL, err) == SQL_OK ? 0 : -1;
}

int
sql_create(void *self, struct pst_err *err)
{
	struct sql *s = self;

	if (s->driver->create == NULL)
		return pst_err_set(err, PST_E_CLIENT, "the database must be made by hand");
	return s->driver->create(s->db, err);
}
