/* SPDX-License-Identifier: MIT */
/* An open database file; see link.h. */
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/sqlite/link.h"

#define BUSY_MS 2000 /* how long a call waits for another writer */

void
sqlite_close_link(struct sqlite_link *l)
{
	size_t i;

	for (i = 0; i < SQL_IDS; i++) {
		(void)sqlite3_finalize(l->stmt[i]);
		l->stmt[i] = NULL;
	}
	(void)sqlite3_close(l->h); /* ends a transaction, without its changes */
	l->h = NULL;
	l->in_transaction = false;
	l->is_current = false;
}

/* The folders may be reached by symbolic links, the file itself may not: else whoever may write in
 * the folder could show us another database. */
int
sqlite_real_path(const char *path, char *out, struct pst_err *err)
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
explain_open(const struct sqlite_link *l, sqlite3 *h, const char *real, struct pst_err *err)
{
	struct stat st;

	if (lstat(real, &st) != 0 && errno == ENOENT)
		return pst_err_set(err, PST_E_TEMP,
		                   "%s is not there (posternctl user add makes it)", l->path);
	if (lstat(real, &st) == 0 && S_ISLNK(st.st_mode))
		return pst_err_set(err, PST_E_TEMP, "%s is a symbolic link: name the file itself",
		                   l->path);
	if (access(real, R_OK) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s", l->path);
	return pst_err_set(err, PST_E_TEMP, "%s: %s", l->path,
	                   h == NULL ? "no memory" : sqlite3_errmsg(h));
}

/* Locked down: no schema may run functions with side effects, and no text may break the file. */
static void
set_up(const struct sqlite_link *l, sqlite3 *h)
{
	(void)sqlite3_busy_timeout(h, BUSY_MS);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(h, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	if (l->query_only) {
		(void)sqlite3_exec(h, "PRAGMA query_only = 1", NULL, NULL, NULL);
		/* The worker may be killed at any time; who administers also tidies up. */
		(void)sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	}
}

static int
open_file(struct sqlite_link *l, struct pst_err *err)
{
	/* Readers of a database in WAL mode write too, into its index. */
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
	                  SQLITE_OPEN_EXRESCODE;
	char path[PATH_MAX];
	sqlite3 *h = NULL;

	if (sqlite_real_path(l->path, path, err) != 0)
		return -1;
	if (sqlite3_open_v2(path, &h, flags, NULL) != SQLITE_OK) {
		(void)explain_open(l, h, path, err);
		(void)sqlite3_close(h);
		return -1;
	}
	set_up(l, h);
	l->h = h;
	return 0;
}

/* Whether the name stands for another file by now, or for none. */
static bool
has_moved(const struct sqlite_link *l)
{
	int moved = 0;

	return sqlite3_file_control(l->h, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	       moved != 0;
}

int
sqlite_need(struct sqlite_link *l, struct pst_err *err)
{
	if (l->h != NULL && !l->in_transaction && has_moved(l))
		sqlite_close_link(l);
	return l->h != NULL ? 0 : open_file(l, err);
}

/* What the last call on the handle met. The texts of constraints name columns, not values. */
enum sql_result
sqlite_classify(struct sqlite_link *l, struct pst_err *err)
{
	const int code = sqlite3_extended_errcode(l->h);
	const bool is_folder = (code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN;

	if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE)
		return SQL_CONFLICT;
	if ((code & 0xff) == SQLITE_CONSTRAINT) {
		(void)pst_err_set(err, PST_E_CLIENT, "%s", sqlite3_errmsg(l->h));
		return SQL_REFUSED;
	}
	(void)pst_err_set(err, PST_E_TEMP, "%s: %s%s", l->path, sqlite3_errmsg(l->h),
	                  is_folder ? " (the file and its folder must be writable for this user)"
	                            : "");
	if ((code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_ERROR)
		sqlite_close_link(l);
	return SQL_FAILED;
}

int
sqlite_exec(struct sqlite_link *l, const char *text, struct pst_err *err)
{
	if (sqlite3_exec(l->h, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	if (sqlite_classify(l, err) == SQL_CONFLICT)
		(void)pst_err_set(err, PST_E_TEMP, "%s: %s", l->path, sqlite3_errmsg(l->h));
	return -1;
}

static int
on_version(void *arg, int n, char **values, char **names)
{
	uint64_t version;

	(void)n, (void)names;
	if (values[0] != NULL && pst_str_u64(pst_str_c(values[0]), &version) && version <= UINT_MAX)
		*(unsigned *)arg = (unsigned)version;
	return 0;
}

int
sqlite_version(struct sqlite_link *l, unsigned *out, struct pst_err *err)
{
	*out = 0;
	if (sqlite_need(l, err) != 0)
		return -1;
	if (sqlite3_exec(l->h, "PRAGMA user_version", on_version, out, NULL) == SQLITE_OK)
		return 0;
	(void)sqlite_classify(l, err);
	return -1;
}
