/* SPDX-License-Identifier: MIT */
/* Are the queries right? The database says so itself, without running them. */
#include "auth/sql/core.h"
#include "auth/sql/user.h"

/* The answers that are read, and the column without which nothing can be made of one. */
static const struct answer {
	enum sql_id id;
	enum sql_columns columns;
	const char *needed;
} answers[] = {
	{ SQL_ID_LOOKUP, SQL_COLUMNS_USER, "password" },
	{ SQL_ID_LOOKUP_1, SQL_COLUMNS_USER, "password" },
	{ SQL_ID_LOOKUP_2, SQL_COLUMNS_USER, "password" },
	{ SQL_ID_USER_SHOW_2, SQL_COLUMNS_USER, "password" },
	{ SQL_ID_DOMAIN_SHOW_2, SQL_COLUMNS_USER, "enabled" },
	{ SQL_ID_USER_LIST, SQL_COLUMNS_USER, "user" },
	{ SQL_ID_USER_SHOW, SQL_COLUMNS_USER, "password" },
	{ SQL_ID_DOMAIN_SHOW, SQL_COLUMNS_USER, "enabled" },
	{ SQL_ID_APP_PASSWORD, SQL_COLUMNS_APP, "password" },
};

static const struct answer *
find_answer(enum sql_id id)
{
	size_t i;

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].id == id)
			return &answers[i];
	return NULL;
}

static int
on_columns(void *arg, const struct sql_row *row, struct pst_err *err)
{
	const struct answer *a = arg;

	return sql_columns_check(a->columns, row, a->needed, err);
}

static int
probe_one(struct sql *s, enum sql_id id, struct pst_err *err)
{
	struct answer a = { .id = SQL_IDS };

	if (!sql_has(s, id))
		return 0;
	if (sql_adapt(s, &id, err) != 0)
		return -1;
	if (id == SQL_IDS)
		return 0;
	if (find_answer(id) != NULL)
		a = *find_answer(id);
	if (s->driver->describe(s->db, &s->q[id], a.id != SQL_IDS ? on_columns : NULL, &a, err) !=
	    0)
		return sql_blame(s, id, err);
	return 0;
}

int
sql_probe(void *self, struct pst_err *err)
{
	struct sql *s = self;
	size_t i;

	/* Those for older tables are tried where they stand in. */
	for (i = 0; i < SQL_ID_LOOKUP_1; i++) {
		/* Nor need the table of ours be there where no leases are given. */
		if ((i == SQL_ID_LEASE || i == SQL_ID_LEASE_END) && !s->has_own_leases)
			continue;
		if (probe_one(s, (enum sql_id)i, err) != 0)
			return -1;
	}
	return 0;
}
