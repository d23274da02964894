/* SPDX-License-Identifier: MIT */
/* A new database, and one of an older version; see link.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/sqlite/link.h"
#include "auth/sqlite/sqlite.h"

/* An empty file, where there is none, that the group may read and nobody else. */
static int
create_file(const struct sqlite_link *l, struct pst_err *err)
{
	char path[PATH_MAX];
	int fd;

	if (sqlite_real_path(l->path, path, err) != 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 && errno != EEXIST)
		return pst_err_sys(err, PST_E_TEMP, "%s", l->path);
	if (fd >= 0) {
		(void)fchmod(fd, 0640); /* whatever the umask */
		close(fd);
	}
	return 0;
}

/* ---- From older versions to this one ---- */

/* What a table of an older version may lack. The text that makes a new database has the same. */
static const struct addition {
	const char *table, *column, *definition;
} additions[] = {
#define BOOLEAN(name) "INTEGER CHECK (" name " IN (0, 1))"
#define DAYS(name) "INTEGER CHECK (" name " BETWEEN 0 AND 36500)"
#define CONTRACT(table)                                                                            \
	{ table, "pop3_enabled", BOOLEAN("pop3_enabled") }, { table, "allow_nets", "TEXT" },       \
		{ table, "max_sessions", "INTEGER CHECK (max_sessions BETWEEN 1 AND 1000000)" },   \
		{ table, "min_poll", "INTEGER CHECK (min_poll BETWEEN 1 AND 604800)" },            \
		{ table, "max_listed", "INTEGER CHECK (max_listed BETWEEN 1 AND 2147483647)" },    \
		{ table, "min_tls", "TEXT CHECK (min_tls IN ('any', '1.2', '1.3'))" },             \
		{ table, "rehash", "TEXT CHECK (rehash IN ('off', 'report', 'on'))" },             \
		{ table, "read_only", BOOLEAN("read_only") },                                      \
		{ table, "expire_days", DAYS("expire_days") },                                     \
	{                                                                                          \
		table, "hold_days", DAYS("hold_days")                                              \
	}
	CONTRACT("domains"),
	{ "domains", "maildrop", "TEXT" },
	{ "domains", "uid", "INTEGER CHECK (uid BETWEEN 1 AND 4294967294)" },
	{ "domains", "gid", "INTEGER CHECK (gid BETWEEN 1 AND 4294967294)" },
	CONTRACT("users"),
	{ "users", "home", "TEXT CHECK (home LIKE '/%')" },
};

static int
on_any(void *arg, int n, char **values, char **names)
{
	bool *found = arg;

	(void)n, (void)values, (void)names;
	*found = true;
	return 0;
}

static int
ask_any(struct sqlite_link *l, const char *text, bool *found, struct pst_err *err)
{
	*found = false;
	if (sqlite3_exec(l->h, text, on_any, found, NULL) == SQLITE_OK)
		return 0;
	(void)sqlite_classify(l, err);
	return -1;
}

/* Those that are there already were added by a run that did not end. */
static int
add_columns(struct sqlite_link *l, struct pst_err *err)
{
	char text[256];
	size_t i;

	for (i = 0; i < sizeof(additions) / sizeof(additions[0]); i++) {
		const struct addition *a = &additions[i];
		bool found;

		(void)snprintf(text, sizeof(text),
		               "SELECT 1 FROM pragma_table_info('%s') WHERE name = '%s'", a->table,
		               a->column);
		if (ask_any(l, text, &found, err) != 0)
			return -1;
		(void)snprintf(text, sizeof(text), "ALTER TABLE %s ADD COLUMN %s %s", a->table,
		               a->column, a->definition);
		if (!found && sqlite_exec(l, text, err) != 0)
			return -1;
	}
	return 0;
}

/* The new tables, and the number that says that all is there, come last. */
static int
upgrade(struct sqlite_link *l, struct pst_err *err)
{
	if (add_columns(l, err) != 0)
		return -1;
	return sqlite_exec(l, sqlite_schema, err);
}

/* A database that has any table is somebody's, unless it says that it is ours: nothing is added to
 * it. Nothing stays open, so that the files can be given to another user before they are in use. */
int
sqlite_create(struct sqlite_link *l, struct pst_err *err)
{
	unsigned version;
	bool has_table;
	int rc = -1;

	if (create_file(l, err) != 0 || sqlite_version(l, &version, err) != 0 ||
	    ask_any(l, "SELECT 1 FROM sqlite_master LIMIT 1", &has_table, err) != 0)
		goto out;
	if (!has_table)
		rc = sqlite_exec(l, sqlite_schema, err);
	else if (version == 1 || version == 2)
		rc = upgrade(l, err);
	else
		rc = 0;
out:
	sqlite_close_link(l);
	return rc;
}
