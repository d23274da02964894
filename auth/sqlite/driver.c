/* SPDX-License-Identifier: MIT */
/* SQLite under the SQL core. The file is opened at the first call and kept open, with its prepared
 * statements; it is opened anew when another file has taken its place and after every error that
 * may lie in the handle. So a database that is missing, locked or broken is a temporary failure, and
 * over as soon as it is mended. */
#include <sqlite3.h>
#include <stdlib.h>

#include "auth/sqlite/link.h"
#include "auth/sqlite/sqlite.h"

/* In an auth worker what is looked up is read through a handle that can do nothing else, and the one
 * that writes is opened where there is something to write: in the clerk. */
struct sql_db {
	struct sqlite_link read, write;
	bool reads_apart;
};

struct sql_db *
sqlite_db_create(const char *path, bool reads_apart)
{
	struct sql_db *db = calloc(1, sizeof(*db));

	if (db != NULL) {
		db->read = (struct sqlite_link){ .path = path, .query_only = true };
		db->write = (struct sqlite_link){ .path = path };
		db->reads_apart = reads_apart;
	}
	return db;
}

static void
close_db(struct sql_db *db)
{
	sqlite_close_link(&db->read);
	sqlite_close_link(&db->write);
	free(db);
}

static struct sqlite_link *
link_for(struct sql_db *db, bool on_write)
{
	return db->reads_apart && !on_write ? &db->read : &db->write;
}

/* ---- Running ---- */

static enum sql_result
prepare(struct sqlite_link *l, const struct sql_query *q, struct pst_err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *rest;

	if (sqlite_need(l, err) != 0)
		return SQL_FAILED;
	if (l->stmt[q->id] != NULL)
		return SQL_OK;
	if (sqlite3_prepare_v3(l->h, q->text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &rest) !=
	    SQLITE_OK)
		return sqlite_classify(l, err);
	rest += strspn(rest, " \t\r\n;");
	if (stmt == NULL || rest[0] != '\0') {
		(void)pst_err_set(err, PST_E_TEMP, "it must be one statement");
	} else if (sqlite3_bind_parameter_count(stmt) != (int)q->param_count) {
		(void)pst_err_set(err, PST_E_TEMP, "a parameter is written as :name, no other way");
	} else if (sqlite3_column_count(stmt) > SQL_COLUMNS) {
		(void)pst_err_set(err, PST_E_TEMP, "more than %d columns", SQL_COLUMNS);
	} else {
		l->stmt[q->id] = stmt;
		return SQL_OK;
	}
	(void)sqlite3_finalize(stmt);
	return SQL_FAILED;
}

static int
bind_one(sqlite3_stmt *stmt, int place, enum sql_param param, const struct sql_value *v)
{
	uint64_t num;

	if (v->is_null)
		return sqlite3_bind_null(stmt, place);
	if (sql_param_is_number(param) && pst_str_u64(v->text, &num) && num <= INT64_MAX)
		return sqlite3_bind_int64(stmt, place, (sqlite3_int64)num);
	/* The value outlives the statement's run, after which the bindings are cleared. */
	return sqlite3_bind_text64(stmt, place, v->text.p, v->text.n, SQLITE_STATIC, SQLITE_UTF8);
}

static bool
bind_all(sqlite3_stmt *stmt, const struct sql_query *q, const struct sql_value *values)
{
	size_t i;

	for (i = 0; i < q->param_count; i++)
		if (bind_one(stmt, (int)i + 1, q->params[i], &values[q->params[i]]) != SQLITE_OK)
			return false;
	return true;
}

static int
give_row(sqlite3_stmt *stmt, bool names_only, sql_on_row *each, void *arg, struct pst_err *err)
{
	struct sql_value values[SQL_COLUMNS];
	const char *names[SQL_COLUMNS];
	const int n = sqlite3_column_count(stmt);
	int i;

	for (i = 0; i < n; i++) {
		const bool has_value = !names_only && sqlite3_column_type(stmt, i) != SQLITE_NULL;
		const void *p = has_value ? sqlite3_column_text(stmt, i) : NULL;

		names[i] = sqlite3_column_name(stmt, i);
		/* No memory for a value must not pass for NULL: "enabled" would be true. */
		if (names[i] == NULL || (has_value && p == NULL))
			return pst_err_set(err, PST_E_TEMP, "no memory");
		values[i].is_null = p == NULL;
		values[i].text =
			p == NULL ? PST_LIT("")
				  : (struct pst_str){ p, (size_t)sqlite3_column_bytes(stmt, i) };
	}
	return each(arg, &(struct sql_row){ (size_t)n, names, values }, err);
}

static enum sql_result
step_all(struct sqlite_link *l, sqlite3_stmt *stmt, sql_on_row *each, void *arg,
         struct pst_err *err)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		if (each != NULL && give_row(stmt, false, each, arg, err) != 0)
			return SQL_FAILED;
	return rc == SQLITE_DONE ? SQL_OK : sqlite_classify(l, err);
}

static enum sql_result
run(struct sql_db *db, const struct sql_query *q, const struct sql_value *values, sql_on_row *each,
    void *arg, uint64_t *changed_out, struct pst_err *err)
{
	struct sqlite_link *l = link_for(db, q->on_write);
	enum sql_result result = prepare(l, q, err);
	sqlite3_stmt *stmt;

	if (result != SQL_OK)
		return result;
	stmt = l->stmt[q->id];
	result = bind_all(stmt, q, values) ? step_all(l, stmt, each, arg, err)
	                                   : sqlite_classify(l, err);
	if (result == SQL_OK && changed_out != NULL)
		*changed_out = (uint64_t)sqlite3_changes(l->h);
	if (l->stmt[q->id] != NULL) { /* else the file was closed, and the statement is gone */
		(void)sqlite3_reset(stmt);
		(void)sqlite3_clear_bindings(stmt);
	}
	return result;
}

static int
describe(struct sql_db *db, const struct sql_query *q, sql_on_row *each, void *arg,
         struct pst_err *err)
{
	struct sqlite_link *l = link_for(db, q->on_write);

	if (prepare(l, q, err) != SQL_OK)
		return -1;
	return each == NULL ? 0 : give_row(l->stmt[q->id], true, each, arg, err);
}

/* ---- Transactions ---- */

static int
begin(struct sql_db *db, struct pst_err *err)
{
	if (sqlite_need(&db->write, err) != 0 ||
	    sqlite_exec(&db->write, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	db->write.in_transaction = true;
	return 0;
}

static int
commit(struct sql_db *db, struct pst_err *err)
{
	if (sqlite_exec(&db->write, "COMMIT", err) != 0)
		return -1;
	db->write.in_transaction = false;
	return 0;
}

static void
rollback(struct sql_db *db)
{
	if (db->write.h != NULL &&
	    sqlite3_exec(db->write.h, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		sqlite_close_link(&db->write);
	db->write.in_transaction = false;
}

/* ---- Tables ---- */

static int
create(struct sql_db *db, struct pst_err *err)
{
	return sqlite_create(&db->write, err);
}

/* Tables that somebody made by hand after ours may not say which they are: what they surely have is
 * what the first version had. */
static int
schema(struct sql_db *db, unsigned *version_out, struct pst_err *err)
{
	struct sqlite_link *l = link_for(db, false);
	unsigned version = SQL_SCHEMA;

	if (sqlite_need(l, err) != 0)
		return -1;
	if (!l->is_current && sqlite_version(l, &version, err) != 0)
		return -1;
	l->is_current = version >= SQL_SCHEMA;
	*version_out = l->is_current ? SQL_SCHEMA : version == 2 ? 2 : 1;
	return 0;
}

const struct sql_driver sqlite_driver = {
	.name = "sqlite",
	.mark = '?',
	.run = run,
	.describe = describe,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.create = create,
	.close = close_db,
	.schema = schema,
};
