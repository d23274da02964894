/* SPDX-License-Identifier: MIT */
/* Look-ups and the administration of users by SQL; see sql.h. */
#include "auth/sql/sql.h"

#include <stdlib.h>

#include "auth/sql/user.h"

struct sql {
	const struct pst_host *host;
	const struct sql_driver *driver;
	struct sql_db *db; /* owned */
	struct sql_query q[SQL_IDS];
};

/* What a query may be told, and whether its answer is users. By enum sql_id. */
static const struct {
	const char *setting;
	size_t offset; /* in struct sql_texts */
	unsigned allowed;
	bool gives_users;
} kinds[SQL_IDS] = {
	{ "lookup_query", offsetof(struct sql_texts, lookup), SQL_ASKER, true },
	{ "domain_insert", offsetof(struct sql_texts, domain_insert), SQL_NAME, false },
	{ "user_insert", offsetof(struct sql_texts, user_insert),
	  SQL_NAME | SQL_BIT(SQL_PASSWORD) | SQL_BIT(SQL_MAILDROP) | SQL_BIT(SQL_UID) |
	          SQL_BIT(SQL_GID) | SQL_BIT(SQL_ENABLED) | SQL_BIT(SQL_REASON),
	  false },
	{ "user_password", offsetof(struct sql_texts, user_password),
	  SQL_NAME | SQL_BIT(SQL_PASSWORD), false },
	{ "user_enable", offsetof(struct sql_texts, user_enable),
	  SQL_NAME | SQL_BIT(SQL_ENABLED) | SQL_BIT(SQL_REASON), false },
	{ "user_delete", offsetof(struct sql_texts, user_delete), SQL_NAME, false },
	{ "user_list", offsetof(struct sql_texts, user_list), SQL_BIT(SQL_DOMAIN), true },
};

static const char *
query_text(const struct sql_texts *texts, size_t id)
{
	const char *text;

	memcpy(&text, (const char *)texts + kinds[id].offset, sizeof(text));
	return text;
}

/* Puts the setting's name before the reason. */
static int
name_setting(const char *setting, struct pst_err *err)
{
	struct pst_err why = *err;

	return pst_err_set(err, why.kind, "%s: %.200s", setting, why.text);
}

static int
parse_one(const struct sql_texts *texts, size_t id, char mark, struct sql_query *q,
          struct pst_err *err)
{
	q->id = (enum sql_id)id;
	q->on_write = q->id != SQL_ID_LOOKUP; /* a replica may not have yet what was just added */
	q->setting = kinds[id].setting;
	if (sql_query_parse(q, query_text(texts, id), kinds[id].allowed, mark, err) != 0)
		return name_setting(q->setting, err);
	return 0;
}

int
sql_check(const struct sql_texts *texts, char mark, struct pst_err *err)
{
	size_t i;

	if (texts->lookup[0] == '\0')
		return pst_err_set(err, PST_E_CLIENT, "lookup_query: it is empty");
	for (i = 0; i < SQL_IDS; i++) {
		struct sql_query q;

		if (parse_one(texts, i, mark, &q, err) != 0)
			return -1;
		sql_query_clear(&q);
	}
	return 0;
}

int
sql_start(const struct pst_host *host, const struct sql_driver *driver, struct sql_db *db,
          const struct sql_texts *texts, void **sql_out, struct pst_err *err)
{
	struct sql *s = calloc(1, sizeof(*s));
	size_t i;

	if (s == NULL) {
		driver->close(db);
		return pst_err_set(err, PST_E_TEMP, "no memory");
	}
	s->host = host;
	s->driver = driver;
	s->db = db;
	for (i = 0; i < SQL_IDS; i++)
		if (parse_one(texts, i, driver->mark, &s->q[i], err) != 0) {
			sql_stop(s);
			return -1;
		}
	*sql_out = s;
	return 0;
}

void
sql_stop(void *sql)
{
	struct sql *s = sql;
	size_t i;

	if (s == NULL)
		return;
	s->driver->close(s->db);
	for (i = 0; i < SQL_IDS; i++)
		sql_query_clear(&s->q[i]);
	free(s);
}

/* ---- Values and results ---- */

static void
no_values(struct sql_value values[SQL_PARAMS])
{
	size_t i;

	for (i = 0; i < SQL_PARAMS; i++)
		values[i] = (struct sql_value){ { "", 0 }, true };
}

static void
set_text(struct sql_value *v, struct pst_str text)
{
	*v = (struct sql_value){ text.p == NULL ? PST_LIT("") : text, false };
}

/* An empty one is NULL: nothing is said. */
static void
set_optional(struct sql_value *v, struct pst_str text)
{
	if (text.n > 0)
		set_text(v, text);
}

static void
set_name(struct sql_value values[SQL_PARAMS], struct pst_str name)
{
	const char *at = name.n == 0 ? NULL : memrchr(name.p, '@', name.n);
	size_t local = at == NULL ? name.n : (size_t)(at - name.p);

	set_text(&values[SQL_USER], name);
	set_text(&values[SQL_LOCAL_PART], (struct pst_str){ name.p, local });
	set_text(&values[SQL_DOMAIN],
	         at == NULL ? PST_LIT("") : (struct pst_str){ at + 1, name.n - local - 1 });
}

static enum sql_result
run(struct sql *s, enum sql_id id, const struct sql_value *values, sql_on_row *each, void *arg,
    uint64_t *changed_out, struct pst_err *err)
{
	enum sql_result result = SQL_FAILED;

	if (s->q[id].text == NULL) {
		(void)pst_err_set(err, PST_E_CLIENT, "there is no such query in the settings");
		result = SQL_REFUSED;
	} else {
		result = s->driver->run(s->db, &s->q[id], values, each, arg, changed_out, err);
	}
	if (result == SQL_CONFLICT)
		(void)pst_err_set(err, PST_E_CLIENT, "it is there already");
	if (result == SQL_REFUSED || result == SQL_FAILED)
		(void)name_setting(s->q[id].setting, err);
	return result;
}

/* ---- Look-up ---- */

struct finding {
	struct sql *sql;
	struct pst_auth_record *record;
	struct sql_user user; /* borrows from the row: only its flags are good later */
	unsigned rows;
};

static struct pst_str
keep(const struct finding *f, struct pst_str s)
{
	return s.n == 0 ? PST_LIT("")
	                : (struct pst_str){ f->sql->host->copy(f->record->arena, s), s.n };
}

static int
on_found(void *arg, const struct sql_row *row, struct pst_err *err)
{
	struct finding *f = arg;

	if (f->rows++ > 0)
		return pst_err_set(err, PST_E_TEMP, "more than one row for one user");
	if (sql_user_read(row, &f->user, err) != 0)
		return -1;
	f->record->user = keep(f, f->user.name);
	f->record->credential = keep(f, f->user.password);
	f->record->location = keep(f, f->user.maildrop);
	f->record->reason = keep(f, f->user.reason);
	f->record->uid = f->user.uid;
	f->record->gid = f->user.gid;
	return 0;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	struct sql *s = self;
	struct finding f = { .sql = s, .record = record };
	struct sql_value values[SQL_PARAMS];

	no_values(values);
	set_text(&values[SQL_USER], query->user);
	set_text(&values[SQL_LOCAL_PART], query->local_part);
	set_text(&values[SQL_DOMAIN], query->domain);
	set_text(&values[SQL_REMOTE_IP], query->remote_ip);
	set_text(&values[SQL_LOCAL_IP], query->local_ip);
	set_text(&values[SQL_SNI], query->sni);
	if (run(s, SQL_ID_LOOKUP, values, on_found, &f, NULL, err) != SQL_OK)
		return PST_AUTH_TEMP;
	if (f.rows == 0)
		return PST_AUTH_UNKNOWN;
	if (!f.user.enabled)
		return PST_AUTH_DISABLED;
	if (record->credential.n == 0) { /* an address that only forwards, say */
		record->reason = keep(&f, PST_LIT("no password is stored"));
		return PST_AUTH_DISABLED;
	}
	return PST_AUTH_OK;
}

/* ---- Administration ---- */

/* One query that is meant to change exactly one user. */
static int
change_user(struct sql *s, enum sql_id id, const struct sql_value *values, struct pst_err *err)
{
	uint64_t changed = 0;

	if (run(s, id, values, NULL, NULL, &changed, err) != SQL_OK)
		return -1;
	if (changed == 0)
		return pst_err_set(err, PST_E_CLIENT, "there is no such user");
	return 0;
}

static void
set_number(struct sql_value *v, char text[16], uint32_t num)
{
	int n = snprintf(text, 16, "%u", num);

	set_text(v, (struct pst_str){ text, (size_t)n });
}

/* The domain and the user, as one. */
static int
insert_both(struct sql *s, const struct sql_value *values, struct pst_err *err)
{
	struct pst_str domain = values[SQL_DOMAIN].text;
	enum sql_result result;
	uint64_t changed = 0;

	if (s->q[SQL_ID_DOMAIN_INSERT].text != NULL) {
		result = run(s, SQL_ID_DOMAIN_INSERT, values, NULL, NULL, &changed, err);
		if (result != SQL_OK && result != SQL_CONFLICT)
			return -1;
		if (result == SQL_OK && changed > 0 && domain.n > 0)
			s->host->log(s->host, PST_LOG_INFO, "sql.domain_added", "domain=%.*s",
			             PST_ARG(domain));
	}
	changed = 0;
	result = run(s, SQL_ID_USER_INSERT, values, NULL, NULL, &changed, err);
	if (result == SQL_CONFLICT || (result == SQL_OK && changed == 0))
		return pst_err_set(err, PST_E_CLIENT, "there is such a user already");
	return result == SQL_OK ? 0 : -1;
}

static int
user_add(void *self, const struct pst_auth_user *user, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	char uid[16], gid[16];

	no_values(values);
	set_name(values, user->name);
	set_text(&values[SQL_PASSWORD], user->credential);
	set_optional(&values[SQL_MAILDROP], user->location);
	set_optional(&values[SQL_REASON], user->reason);
	set_text(&values[SQL_ENABLED], user->enabled ? PST_LIT("1") : PST_LIT("0"));
	if (user->uid != 0)
		set_number(&values[SQL_UID], uid, user->uid);
	if (user->gid != 0)
		set_number(&values[SQL_GID], gid, user->gid);
	if (s->driver->begin(s->db, err) != 0)
		return -1;
	if (insert_both(s, values, err) != 0 || s->driver->commit(s->db, err) != 0) {
		s->driver->rollback(s->db);
		return -1;
	}
	return 0;
}

static int
user_passwd(void *self, struct pst_str name, struct pst_str credential, struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	no_values(values);
	set_name(values, name);
	set_text(&values[SQL_PASSWORD], credential);
	return change_user(self, SQL_ID_USER_PASSWORD, values, err);
}

static int
user_enable(void *self, struct pst_str name, bool enabled, struct pst_str reason,
            struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	no_values(values);
	set_name(values, name);
	set_text(&values[SQL_ENABLED], enabled ? PST_LIT("1") : PST_LIT("0"));
	set_optional(&values[SQL_REASON], reason);
	return change_user(self, SQL_ID_USER_ENABLE, values, err);
}

static int
user_delete(void *self, struct pst_str name, struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];

	no_values(values);
	set_name(values, name);
	return change_user(self, SQL_ID_USER_DELETE, values, err);
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

	if (sql_user_read(row, &u, err) != 0)
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

static int
user_list(void *self, struct pst_str domain, void (*each)(void *arg, const struct pst_auth_user *),
          void *arg, struct pst_err *err)
{
	struct listing l = { each, arg };
	struct sql_value values[SQL_PARAMS];

	no_values(values);
	set_text(&values[SQL_DOMAIN], domain);
	return run(self, SQL_ID_USER_LIST, values, on_listed, &l, NULL, err) == SQL_OK ? 0 : -1;
}

/* ---- Are the queries right? ---- */

struct columns {
	bool has_password, has_user;
};

static int
on_columns(void *arg, const struct sql_row *row, struct pst_err *err)
{
	struct columns *c = arg;
	size_t i;

	for (i = 0; i < row->n; i++) {
		struct pst_str name = pst_str_c(row->names[i]);

		if (!sql_user_has(row->names[i]))
			return pst_err_set(err, PST_E_CLIENT,
			                   "column %.64s is not known (known: " SQL_USER_COLUMNS
			                   ")",
			                   row->names[i]);
		c->has_password = c->has_password || pst_str_ieq(name, PST_LIT("password"));
		c->has_user = c->has_user || pst_str_ieq(name, PST_LIT("user"));
	}
	return 0;
}

static int
probe_one(struct sql *s, enum sql_id id, struct pst_err *err)
{
	struct columns c = { false, false };

	if (s->q[id].text == NULL)
		return 0;
	if (s->driver->describe(s->db, &s->q[id], kinds[id].gives_users ? on_columns : NULL, &c,
	                        err) != 0)
		return -1;
	if (id == SQL_ID_LOOKUP && !c.has_password)
		return pst_err_set(err, PST_E_CLIENT, "there is no column password");
	if (id == SQL_ID_USER_LIST && !c.has_user)
		return pst_err_set(err, PST_E_CLIENT, "there is no column user");
	return 0;
}

static int
probe(void *self, struct pst_err *err)
{
	struct sql *s = self;
	size_t i;

	for (i = 0; i < SQL_IDS; i++)
		if (probe_one(s, (enum sql_id)i, err) != 0)
			return name_setting(s->q[i].setting, err);
	return 0;
}

static int
create(void *self, struct pst_err *err)
{
	struct sql *s = self;

	if (s->driver->create == NULL)
		return pst_err_set(err, PST_E_CLIENT, "the database must be made by hand");
	return s->driver->create(s->db, err);
}

/* ---- Changes ---- */

static int
watch_fd(void *self, struct pst_err *err)
{
	struct sql *s = self;

	return s->driver->watch_fd(s->db, err);
}

static int
watch_read(void *self, void (*changed)(void *arg, const struct pst_auth_change *change), void *arg,
           struct pst_err *err)
{
	struct sql *s = self;

	return s->driver->watch_read(s->db, changed, arg, err);
}

#define SQL_AUTH                                                                                   \
	.size = sizeof(struct pst_auth), .lookup = lookup, .user_add = user_add,                   \
	.user_passwd = user_passwd, .user_enable = user_enable, .user_delete = user_delete,        \
	.user_list = user_list, .probe = probe, .create = create

const struct pst_auth sql_auth = { SQL_AUTH };
const struct pst_auth sql_auth_watching = { SQL_AUTH, .watch_fd = watch_fd,
	                                    .watch_read = watch_read };
