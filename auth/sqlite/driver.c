/* SPDX-License-Identifier: MIT */
/* SQLite under the SQL core. The file is opened at the first call and kept open, with its prepared
 * statements; it is opened anew when another file has taken its place and after every error that
 * may lie in the handle. So a database that is missing, locked or broken is a temporary failure, and
 * over as soon as it is mended. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/sqlite/sqlite.h"

#define BUSY_MS 2000 /* how long a call waits for another writer */

struct sql_db {
	const char *path;
	bool read_only;
	bool in_transaction;
	sqlite3 *h; /* NULL: not open */
	sqlite3_stmt *stmt[SQL_IDS];
};

struct sql_db *
sqlite_db_create(const char *path, bool read_only)
{
	struct sql_db *db = calloc(1, sizeof(*db));

	if (db != NULL) {
		db->path = path;
		db->read_only = read_only;
	}
	return db;
}

static void
close_file(struct sql_db *db)
{
	size_t i;

	for (i = 0; i < SQL_IDS; i++) {
		(void)sqlite3_finalize(db->stmt[i]);
		db->stmt[i] = NULL;
	}
	(void)sqlite3_close(db->h); /* ends a transaction, without its changes */
	db->h = NULL;
	db->in_transaction = false;
}

static void
close_db(struct sql_db *db)
{
	close_file(db);
	free(db);
}

/* ---- Opening ---- */

/* The folders may be reached by symbolic links, the file itself may not: else whoever may write in
 * the folder could show us another database. */
static int
real_path(const char *path, char out[PATH_MAX], struct pst_err *err)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	size_t n;

	if (snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path + 1), path) >=
	    (int)sizeof(folder))
		return pst_err_set(err, PST_E_TEMP, "%s: the name is too long", path);
	if (realpath(folder, out) == NULL)
		return pst_err_sys(err, PST_E_TEMP, "%s", folder);
	n = strlen(out);
	if (snprintf(out + n, PATH_MAX - n, "/%s", slash + 1) >= (int)(PATH_MAX - n))
		return pst_err_set(err, PST_E_TEMP, "%s: the name is too long", path);
	return 0;
}

/* Why a file does not open, as far as its name tells. */
static int
explain_open(const struct sql_db *db, sqlite3 *h, const char *real, struct pst_err *err)
{
	struct stat st;

	if (lstat(real, &st) != 0 && errno == ENOENT)
		return pst_err_set(err, PST_E_TEMP,
		                   "%s is not there (posternctl user add makes it)", db->path);
	if (lstat(real, &st) == 0 && S_ISLNK(st.st_mode))
		return pst_err_set(err, PST_E_TEMP, "%s is a symbolic link: name the file itself",
		                   db->path);
	if (access(real, R_OK) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s", db->path);
	return pst_err_set(err, PST_E_TEMP, "%s: %s", db->path,
	                   h == NULL ? "no memory" : sqlite3_errmsg(h));
}

/* Locked down: no schema may run functions with side effects, and no text may break the file. */
static void
set_up(const struct sql_db *db, sqlite3 *h)
{
	(void)sqlite3_busy_timeout(h, BUSY_MS);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	if (db->read_only) {
		(void)sqlite3_exec(h, "PRAGMA query_only = 1", NULL, NULL, NULL);
		/* The worker may be killed at any time; who administers also tidies up. */
		(void)sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	}
}

static int
open_file(struct sql_db *db, struct pst_err *err)
{
	/* Readers of a database in WAL mode write too, into its index. */
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
	                  SQLITE_OPEN_EXRESCODE;
	char path[PATH_MAX];
	sqlite3 *h = NULL;

	if (real_path(db->path, path, err) != 0)
		return -1;
	if (sqlite3_open_v2(path, &h, flags, NULL) != SQLITE_OK) {
		(void)explain_open(db, h, path, err);
		(void)sqlite3_close(h);
		return -1;
	}
	set_up(db, h);
	db->h = h;
	return 0;
}

/* Whether the name stands for another file by now, or for none. */
static bool
has_moved(const struct sql_db *db)
{
	int moved = 0;

	return sqlite3_file_control(db->h, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	       moved != 0;
}

static int
need_file(struct sql_db *db, struct pst_err *err)
{
	if (db->h != NULL && !db->in_transaction && has_moved(db))
		close_file(db);
	return db->h != NULL ? 0 : open_file(db, err);
}

/* ---- Running ---- */

/* What the last call on the handle met. The texts of constraints name columns, not values. */
static enum sql_result
classify(struct sql_db *db, struct pst_err *err)
{
	const int code = sqlite3_extended_errcode(db->h);
	const bool is_folder = (code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN;

	if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE)
		return SQL_CONFLICT;
	if ((code & 0xff) == SQLITE_CONSTRAINT) {
		(void)pst_err_set(err, PST_E_CLIENT, "%s", sqlite3_errmsg(db->h));
		return SQL_REFUSED;
	}
	(void)pst_err_set(err, PST_E_TEMP, "%s: %s%s", db->path, sqlite3_errmsg(db->h),
	                  is_folder ? " (the file and its folder must be writable for this user)"
	                            : "");
	if ((code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_ERROR)
		close_file(db);
	return SQL_FAILED;
}

static enum sql_result
prepare(struct sql_db *db, const struct sql_query *q, struct pst_err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *rest;

	if (need_file(db, err) != 0)
		return SQL_FAILED;
	if (db->stmt[q->id] != NULL)
		return SQL_OK;
	if (sqlite3_prepare_v3(db->h, q->text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &rest) !=
	    SQLITE_OK)
		return classify(db, err);
	rest += strspn(rest, " \t\r\n;");
	if (stmt == NULL || rest[0] != '\0') {
		(void)pst_err_set(err, PST_E_TEMP, "it must be one statement");
	} else if (sqlite3_bind_parameter_count(stmt) != (int)q->param_count) {
		(void)pst_err_set(err, PST_E_TEMP, "a parameter is written as :name, no other way");
	} else if (sqlite3_column_count(stmt) > SQL_COLUMNS) {
		(void)pst_err_set(err, PST_E_TEMP, "more than %d columns", SQL_COLUMNS);
	} else {
		db->stmt[q->id] = stmt;
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
step_all(struct sql_db *db, sqlite3_stmt *stmt, sql_on_row *each, void *arg, struct pst_err *err)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		if (each != NULL && give_row(stmt, false, each, arg, err) != 0)
			return SQL_FAILED;
	return rc == SQLITE_DONE ? SQL_OK : classify(db, err);
}

static enum sql_result
run(struct sql_db *db, const struct sql_query *q, const struct sql_value *values, sql_on_row *each,
    void *arg, uint64_t *changed_out, struct pst_err *err)
{
	enum sql_result result = prepare(db, q, err);
	sqlite3_stmt *stmt;

	if (result != SQL_OK)
		return result;
	stmt = db->stmt[q->id];
	result = bind_all(stmt, q, values) ? step_all(db, stmt, each, arg, err) : classify(db, err);
	if (result == SQL_OK && changed_out != NULL)
		*changed_out = (uint64_t)sqlite3_changes(db->h);
	if (db->stmt[q->id] != NULL) { /* else the file was closed, and the statement is gone */
		(void)sqlite3_reset(stmt);
		(void)sqlite3_clear_bindings(stmt);
	}
	return result;
}

static int
describe(struct sql_db *db, const struct sql_query *q, sql_on_row *each, void *arg,
         struct pst_err *err)
{
	if (prepare(db, q, err) != SQL_OK)
		return -1;
	return each == NULL ? 0 : give_row(db->stmt[q->id], true, each, arg, err);
}

/* ---- Transactions, and a new database ---- */

static int
exec(struct sql_db *db, const char *text, struct pst_err *err)
{
	if (sqlite3_exec(db->h, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	if (classify(db, err) == SQL_CONFLICT)
		(void)pst_err_set(err, PST_E_TEMP, "%s: %s", db->path, sqlite3_errmsg(db->h));
	return -1;
}

static int
begin(struct sql_db *db, struct pst_err *err)
{
	if (need_file(db, err) != 0 || exec(db, "BEGIN IMMEDIATE", err) != 0)
		return -1;
	db->in_transaction = true;
	return 0;
}

static int
commit(struct sql_db *db, struct pst_err *err)
{
	if (exec(db, "COMMIT", err) != 0)
		return -1;
	db->in_transaction = false;
	return 0;
}

static void
rollback(struct sql_db *db)
{
	if (db->h != NULL && sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
		close_file(db);
	db->in_transaction = false;
}

/* An empty file, where there is none, that the group may read and nobody else. */
static int
create_file(const struct sql_db *db, struct pst_err *err)
{
	char path[PATH_MAX];
	int fd;

	if (real_path(db->path, path, err) != 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 && errno != EEXIST)
		return pst_err_sys(err, PST_E_TEMP, "%s", db->path);
	if (fd >= 0) {
		(void)fchmod(fd, 0640); /* whatever the umask */
		close(fd);
	}
	return 0;
}

static int
on_table(void *arg, int n, char **values, char **names)
{
	bool *has_table = arg;

	(void)n, (void)values, (void)names;
	*has_table = true;
	return 0;
}

/* A database that has any table is somebody's: nothing is added to it. Nothing stays open, so that the
 * files can be given to another user before they are in use. */
static int
create(struct sql_db *db, struct pst_err *err)
{
	bool has_table = false;
	int rc = -1;

	if (create_file(db, err) != 0 || need_file(db, err) != 0)
		return -1;
	if (sqlite3_exec(db->h, "SELECT 1 FROM sqlite_master LIMIT 1", on_table, &has_table,
	                 NULL) != SQLITE_OK)
		(void)classify(db, err);
	else
		rc = has_table ? 0 : exec(db, sqlite_schema, err);
	close_file(db);
	return rc;
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
};
