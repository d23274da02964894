/* SPDX-License-Identifier: MIT */
/* Queries of the settings, and how they are run; see sql.h. */
#include "auth/sql/core.h"

#include <inttypes.h>
#include <stdlib.h>

#define NOTE (SQL_NAME | SQL_BIT(SQL_REMOTE_IP) | SQL_BIT(SQL_MECHANISM) | SQL_BIT(SQL_AT))
#define INSERTED                                                                                   \
	(SQL_NAME | SQL_BIT(SQL_PASSWORD) | SQL_BIT(SQL_MAILDROP) | SQL_BIT(SQL_UID) |             \
	 SQL_BIT(SQL_GID) | SQL_BIT(SQL_ENABLED) | SQL_BIT(SQL_REASON))

/* What a query may be told, and where it comes from: a setting, or a text for older tables. */
struct kind {
	const char *setting;
	size_t offset; /* in struct sql_texts */
	uint64_t allowed;
	bool is_read;          /* a look-up: a replica will do */
	bool goes_with_lookup; /* the default is for the default of lookup_query alone */
	const char *def;       /* the default, where it asks for more than the first tables had */
	enum sql_id old;       /* what stands in for it there; SQL_IDS: nothing does */
	enum sql_id second;    /* the same for tables of the second version; 0: it does itself */
	const char *fixed;     /* the text, which is no setting's */
};

#define TEXT(member) .offset = offsetof(struct sql_texts, member)

/* By enum sql_id. */
static const struct kind kinds[SQL_IDS] = {
	[SQL_ID_LOOKUP] = { "lookup_query", TEXT(lookup), .allowed = SQL_ASKER, .is_read = true,
	                    .def = SQL_LOOKUP, .old = SQL_ID_LOOKUP_1, .second = SQL_ID_LOOKUP_2 },
	[SQL_ID_DOMAIN_INSERT] = { "domain_insert", TEXT(domain_insert), .allowed = SQL_NAME },
	[SQL_ID_USER_INSERT] = { "user_insert", TEXT(user_insert),
	                         .allowed = INSERTED | SQL_CONTRACT, .def = SQL_USER_INSERT,
	                         .old = SQL_ID_USER_INSERT_1, .second = SQL_ID_USER_INSERT_2 },
	[SQL_ID_USER_PASSWORD] = { "user_password", TEXT(user_password),
	                           .allowed = SQL_NAME | SQL_BIT(SQL_PASSWORD) },
	[SQL_ID_USER_ENABLE] = { "user_enable", TEXT(user_enable),
	                         .allowed = SQL_NAME | SQL_BIT(SQL_ENABLED) | SQL_BIT(SQL_REASON) },
	[SQL_ID_USER_DELETE] = { "user_delete", TEXT(user_delete), .allowed = SQL_NAME },
	[SQL_ID_USER_LIST] = { "user_list", TEXT(user_list), .allowed = SQL_BIT(SQL_DOMAIN) },
	[SQL_ID_APP_PASSWORD] = { "app_password_query", TEXT(app_password), .allowed = SQL_ASKER,
	                          .is_read = true, .goes_with_lookup = true,
	                          .def = SQL_APP_PASSWORD, .old = SQL_IDS },
	[SQL_ID_REHASH] = { "user_rehash", TEXT(user_rehash),
	                    .allowed = SQL_NAME | SQL_BIT(SQL_PASSWORD) | SQL_BIT(SQL_OLD_PASSWORD),
	                    .goes_with_lookup = true },
	[SQL_ID_LOGIN_NOTE] = { "login_note", TEXT(login_note),
	                        .allowed = NOTE | SQL_BIT(SQL_APP_PREFIX), .goes_with_lookup = true,
	                        .def = SQL_LOGIN_NOTE, .old = SQL_IDS },
	[SQL_ID_APP_NOTE] = { "app_note", TEXT(app_note), .allowed = NOTE | SQL_BIT(SQL_APP_PREFIX),
	                      .goes_with_lookup = true, .def = SQL_APP_NOTE, .old = SQL_IDS },
	[SQL_ID_SESSION_NOTE] = { "session_note", TEXT(session_note),
	                          .allowed = NOTE | SQL_BIT(SQL_RETRIEVED) | SQL_BIT(SQL_DELETED) |
	                                     SQL_BIT(SQL_OCTETS) | SQL_BIT(SQL_SECONDS),
	                          .goes_with_lookup = true, .def = SQL_SESSION_NOTE,
	                          .old = SQL_IDS },
	[SQL_ID_USER_SHOW] = { "user_show", TEXT(user_show), .allowed = SQL_NAME,
	                       .goes_with_lookup = true, .def = SQL_USER_SHOW, .old = SQL_IDS,
	                       .second = SQL_ID_USER_SHOW_2 },
	[SQL_ID_DOMAIN_SHOW] = { "domain_show", TEXT(domain_show), .allowed = SQL_NAME,
	                         .goes_with_lookup = true, .def = SQL_DOMAIN_SHOW, .old = SQL_IDS,
	                         .second = SQL_ID_DOMAIN_SHOW_2 },
	[SQL_ID_USER_SET] = { "user_set", TEXT(user_set),
	                      .allowed = SQL_NAME | SQL_CONTRACT | SQL_BIT(SQL_MAILDROP) |
	                                 SQL_BIT(SQL_UID) | SQL_BIT(SQL_GID) | SQL_BIT(SQL_UNSET),
	                      .goes_with_lookup = true, .def = SQL_USER_SET, .old = SQL_IDS,
	                      .second = SQL_ID_USER_SET_2 },
	[SQL_ID_LEASE] = { "lease_query", TEXT(lease),
	                   .allowed = SQL_BIT(SQL_MAILDROP) | SQL_BIT(SQL_HOLDER) |
	                              SQL_BIT(SQL_TAKER) | SQL_BIT(SQL_SECONDS) },
	[SQL_ID_LEASE_END] = { "lease_end_query", TEXT(lease_end),
	                       .allowed = SQL_BIT(SQL_MAILDROP) | SQL_BIT(SQL_HOLDER) |
	                                  SQL_BIT(SQL_TAKER) },
	[SQL_ID_LOOKUP_1] = { "lookup_query", .allowed = SQL_ASKER, .is_read = true,
	                      .fixed = SQL_LOOKUP_1 },
	[SQL_ID_USER_INSERT_1] = { "user_insert", .allowed = INSERTED, .fixed = SQL_USER_INSERT_1 },
	[SQL_ID_LOOKUP_2] = { "lookup_query", .allowed = SQL_ASKER, .is_read = true,
	                      .fixed = SQL_LOOKUP_2 },
	[SQL_ID_USER_INSERT_2] = { "user_insert", .allowed = INSERTED | SQL_CONTRACT,
	                           .fixed = SQL_USER_INSERT_2 },
	[SQL_ID_USER_SHOW_2] = { "user_show", .allowed = SQL_NAME, .fixed = SQL_USER_SHOW_2 },
	[SQL_ID_DOMAIN_SHOW_2] = { "domain_show", .allowed = SQL_NAME, .fixed = SQL_DOMAIN_SHOW_2 },
	[SQL_ID_USER_SET_2] = { "user_set",
	                        .allowed = SQL_NAME | SQL_CONTRACT | SQL_BIT(SQL_MAILDROP) |
	                                   SQL_BIT(SQL_UID) | SQL_BIT(SQL_GID) | SQL_BIT(SQL_UNSET),
	                        .fixed = SQL_USER_SET_2 },
};

static const char *
setting_text(const struct sql_texts *texts, size_t id)
{
	const char *text;

	memcpy(&text, (const char *)texts + kinds[id].offset, sizeof(text));
	return text;
}

/* user_rehash has no tables of its own, and so no def: what is compared is the setting's default. */
static bool
is_left_out(const struct sql_texts *texts, size_t id)
{
	const char *def = kinds[id].def != NULL ? kinds[id].def : SQL_USER_REHASH;

	return kinds[id].goes_with_lookup && strcmp(setting_text(texts, id), def) == 0 &&
	       strcmp(texts->lookup, SQL_LOOKUP) != 0;
}

static const char *
query_text(const struct sql_texts *texts, size_t id)
{
	if (kinds[id].fixed != NULL)
		return kinds[id].fixed;
	return is_left_out(texts, id) ? "" : setting_text(texts, id);
}

static int
name_setting(const char *setting, struct pst_err *err)
{
	struct pst_err why = *err;

	return pst_err_set(err, why.kind, "%s: %.200s", setting, why.text);
}

int
sql_blame(const struct sql *s, enum sql_id id, struct pst_err *err)
{
	return name_setting(s->q[id].setting, err);
}

static int
parse_one(const struct sql_texts *texts, size_t id, char mark, struct sql_query *q,
          struct pst_err *err)
{
	q->id = (enum sql_id)id;
	q->setting = kinds[id].setting;
	q->on_write = !kinds[id].is_read; /* a replica may not have yet what was just added */
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

static bool
has_own_leases(const struct sql_texts *texts, const struct sql_driver *driver)
{
	return (driver->lease == NULL || strcmp(texts->lease, driver->lease) != 0) ||
	       (driver->lease_end == NULL || strcmp(texts->lease_end, driver->lease_end) != 0);
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
	s->has_own_leases = has_own_leases(texts, driver);
	for (i = 0; i < SQL_IDS; i++) {
		const char *text = query_text(texts, i);

		s->wants_new[i] = kinds[i].def != NULL && strcmp(text, kinds[i].def) == 0;
		if (parse_one(texts, i, driver->mark, &s->q[i], err) != 0) {
			sql_stop(s);
			return -1;
		}
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

/* ---- Tables of older versions ---- */

bool
sql_has(const struct sql *s, enum sql_id id)
{
	return s->q[id].text != NULL;
}

/* Once in each process. */
static void
tell_old(struct sql *s, unsigned version)
{
	if (s->told_old)
		return;
	s->told_old = true;
	s->host->log(s->host, PST_LOG_WARN, "sql.old_tables",
	             "reason=\"the tables are of an older version, without %s: see posternctl user "
	             "upgrade\"",
	             version < 2 ? "aliases, limits, app passwords and last logins"
	                         : "expire_days and hold_days");
}

int
sql_adapt(struct sql *s, enum sql_id *id, struct pst_err *err)
{
	unsigned version = SQL_SCHEMA;

	if (!s->wants_new[*id] || s->driver->schema == NULL)
		return 0;
	if (s->driver->schema(s->db, &version, err) != 0)
		return name_setting(s->q[*id].setting, err);
	if (version == 2 && kinds[*id].second == 0)
		return 0;
	if (version < SQL_SCHEMA) {
		tell_old(s, version);
		*id = version < 2 ? kinds[*id].old : kinds[*id].second;
	}
	return 0;
}

/* ---- Running ---- */

enum sql_result
sql_run(struct sql *s, enum sql_id id, const struct sql_value *values, sql_on_row *each, void *arg,
        uint64_t *changed_out, struct pst_err *err)
{
	enum sql_result result;

	if (changed_out != NULL)
		*changed_out = 0;
	if (sql_adapt(s, &id, err) != 0)
		return SQL_FAILED;
	if (id == SQL_IDS)
		return SQL_OK;
	if (s->q[id].text == NULL) {
		(void)pst_err_set(err, PST_E_CLIENT, "there is no such query in the settings");
		result = SQL_REFUSED;
	} else {
		result = s->driver->run(s->db, &s->q[id], values, each, arg, changed_out, err);
	}
	if (result == SQL_CONFLICT)
		(void)pst_err_set(err, PST_E_CLIENT, "it is there already");
	if (result == SQL_REFUSED || result == SQL_FAILED)
		(void)sql_blame(s, id, err);
	return result;
}

/* ---- Values ---- */

void
sql_no_values(struct sql_value values[SQL_PARAMS])
{
	size_t i;

	for (i = 0; i < SQL_PARAMS; i++)
		values[i] = (struct sql_value){ { "", 0 }, true };
}

void
sql_set(struct sql_value *v, struct pst_str text)
{
	*v = (struct sql_value){ text.p == NULL ? PST_LIT("") : text, false };
}

void
sql_set_said(struct sql_value *v, struct pst_str text)
{
	if (text.n > 0)
		sql_set(v, text);
}

void
sql_set_number(struct sql_value *v, struct sql_number *at, uint64_t num)
{
	int n = snprintf(at->text, sizeof(at->text), "%" PRIu64, num);

	sql_set(v, (struct pst_str){ at->text, (size_t)n });
}

void
sql_set_name(struct sql_value values[SQL_PARAMS], struct pst_str name)
{
	const char *at = name.n == 0 ? NULL : memrchr(name.p, '@', name.n);
	size_t local = at == NULL ? name.n : (size_t)(at - name.p);

	sql_set(&values[SQL_USER], name);
	sql_set(&values[SQL_LOCAL_PART], (struct pst_str){ name.p, local });
	sql_set(&values[SQL_DOMAIN],
	        at == NULL ? PST_LIT("") : (struct pst_str){ at + 1, name.n - local - 1 });
}

/* ---- The plugin's functions ---- */

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
	.size = sizeof(struct pst_auth), .lookup = sql_lookup, .user_add = sql_user_add,           \
	.user_passwd = sql_user_passwd, .user_enable = sql_user_enable,                            \
	.user_delete = sql_user_delete, .user_list = sql_user_list, .probe = sql_probe,            \
	.user_show = sql_user_show, .user_set = sql_user_set, .create = sql_create,                \
	.rehash = sql_rehash, .notes = sql_notes, .lease = sql_lease, .lease_end = sql_lease_end

const struct pst_auth sql_auth = { SQL_AUTH };
const struct pst_auth sql_auth_watching = { SQL_AUTH, .watch_fd = watch_fd,
	                                    .watch_read = watch_read };
