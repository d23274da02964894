/* SPDX-License-Identifier: MIT */
/* Columns into a user; see user.h. */
#include "auth/sql/user.h"

struct column {
	const char *name;
	int (*read)(struct pst_str text, void *to, struct pst_err *err);
	size_t offset; /* in struct sql_user */
};

static int
read_text(struct pst_str text, void *to, struct pst_err *err)
{
	if (pst_str_has_nul(text))
		return pst_err_set(err, PST_E_TEMP, "a NUL octet in it");
	memcpy(to, &text, sizeof(text));
	return 0;
}

static int
read_id(struct pst_str text, void *to, struct pst_err *err)
{
	uint64_t num;
	uint32_t id;

	if (text.n == 0)
		return 0;
	/* The highest one means "no id" to the kernel. */
	if (!pst_str_u64(text, &num) || num >= UINT32_MAX)
		return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is no id", PST_ARG(text));
	id = (uint32_t)num;
	memcpy(to, &id, sizeof(id));
	return 0;
}

/* What databases and home-grown schemas write for yes and no. Anything else is no guess to make: a
 * user who should be shut out might come in. */
static int
read_bool(struct pst_str text, void *to, struct pst_err *err)
{
	static const char *const words[] = { "0", "1",     "f",    "t",  "n",
		                             "y", "false", "true", "no", "yes" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (pst_str_ieq(text, pst_str_c(words[i]))) {
			const bool yes = i % 2 == 1;

			memcpy(to, &yes, sizeof(yes));
			return 0;
		}
	return pst_err_set(err, PST_E_TEMP, "\"%.*s\" is neither 1 nor 0", PST_ARG(text));
}

static const struct column columns[] = {
	{ "password", read_text, offsetof(struct sql_user, password) },
	{ "user", read_text, offsetof(struct sql_user, name) },
	{ "maildrop", read_text, offsetof(struct sql_user, maildrop) },
	{ "uid", read_id, offsetof(struct sql_user, uid) },
	{ "gid", read_id, offsetof(struct sql_user, gid) },
	{ "enabled", read_bool, offsetof(struct sql_user, enabled) },
	{ "reason", read_text, offsetof(struct sql_user, reason) },
};

static const struct column *
find_column(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		if (pst_str_ieq(pst_str_c(name), pst_str_c(columns[i].name)))
			return &columns[i];
	return NULL;
}

bool
sql_user_has(const char *column)
{
	return find_column(column) != NULL;
}

int
sql_user_read(const struct sql_row *row, struct sql_user *out, struct pst_err *err)
{
	struct pst_err why;
	size_t i;

	*out = (struct sql_user){ .enabled = true };
	for (i = 0; i < row->n; i++) {
		const struct column *c = find_column(row->names[i]);

		if (c == NULL)
			return pst_err_set(err, PST_E_TEMP,
			                   "column %.64s is not known (known: " SQL_USER_COLUMNS
			                   ")",
			                   row->names[i]);
		if (row->values[i].is_null)
			continue;
		if (c->read(row->values[i].text, (char *)out + c->offset, &why) != 0)
			return pst_err_set(err, PST_E_TEMP, "column %s: %.100s", c->name, why.text);
	}
	return 0;
}
