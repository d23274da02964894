/* SPDX-License-Identifier: MIT */
/* What the server has to tell the database, in the clerk's process; see sql.h. */
#include "auth/sql/core.h"

#include <stdlib.h>

static uint64_t
seconds_of(int64_t at)
{
	return at > 0 ? (uint64_t)at : 0;
}

struct numbers {
	struct sql_number at, retrieved, deleted, octets, seconds;
};

static void
set_note(struct sql_value values[SQL_PARAMS], struct numbers *num, const struct pst_auth_note *note)
{
	sql_no_values(values);
	sql_set(&values[SQL_USER], note->user);
	sql_set(&values[SQL_LOCAL_PART], note->local_part);
	sql_set(&values[SQL_DOMAIN], note->domain);
	sql_set(&values[SQL_REMOTE_IP], note->remote_ip);
	sql_set(&values[SQL_MECHANISM], note->mechanism);
	sql_set(&values[SQL_APP_PREFIX], note->app_prefix);
	sql_set_number(&values[SQL_AT], &num->at, seconds_of(note->at));
	sql_set_number(&values[SQL_RETRIEVED], &num->retrieved, note->retrieved);
	sql_set_number(&values[SQL_DELETED], &num->deleted, note->deleted);
	sql_set_number(&values[SQL_OCTETS], &num->octets, note->octets);
	sql_set_number(&values[SQL_SECONDS], &num->seconds, note->seconds);
}

static enum sql_result
write_one(struct sql *s, enum sql_id id, const struct sql_value *values, struct pst_err *err)
{
	enum sql_result result = SQL_OK;

	if (sql_has(s, id))
		result = sql_run(s, id, values, NULL, NULL, NULL, err);
	return result == SQL_CONFLICT ? SQL_OK : result;
}

static enum sql_result
write_note(struct sql *s, const struct pst_auth_note *note, struct pst_err *err)
{
	struct sql_value values[SQL_PARAMS];
	struct numbers num;
	enum sql_result result;

	set_note(values, &num, note);
	if (note->event == PST_AUTH_SESSION)
		return write_one(s, SQL_ID_SESSION_NOTE, values, err);
	result = write_one(s, SQL_ID_LOGIN_NOTE, values, err);
	if (result == SQL_OK && note->app_prefix.n > 0)
		result = write_one(s, SQL_ID_APP_NOTE, values, err);
	return result;
}

/* One try at all notes that are not skipped, as one transaction. SQL_REFUSED: *at_out broke a rule of
 * the schema. */
static enum sql_result
write_all(struct sql *s, const struct pst_auth_note *notes, size_t n, const bool *skip,
          size_t *at_out, struct pst_err *err)
{
	enum sql_result result = SQL_OK;
	size_t i;

	if (s->driver->begin(s->db, err) != 0)
		return SQL_FAILED;
	for (i = 0; i < n && result == SQL_OK; i++) {
		*at_out = i;
		if (!skip[i])
			result = write_note(s, &notes[i], err);
	}
	if (result == SQL_OK && s->driver->commit(s->db, err) != 0)
		result = SQL_FAILED;
	if (result != SQL_OK)
		s->driver->rollback(s->db);
	return result;
}

/* Whether any of the notes would be written: else the database need not hear of them. */
static int
has_notes(struct sql *s, bool *has_out, struct pst_err *err)
{
	static const enum sql_id ids[] = { SQL_ID_LOGIN_NOTE, SQL_ID_APP_NOTE,
		                           SQL_ID_SESSION_NOTE };
	size_t i;

	*has_out = false;
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		enum sql_id id = ids[i];

		if (!sql_has(s, id))
			continue;
		if (sql_adapt(s, &id, err) != 0)
			return -1;
		*has_out = *has_out || id != SQL_IDS;
	}
	return 0;
}

int
sql_notes(void *self, const struct pst_auth_note *notes, size_t n, struct pst_err *err)
{
	struct sql *s = self;
	enum sql_result result;
	bool *skip;
	bool has;
	size_t at;

	if (has_notes(s, &has, err) != 0)
		return -1;
	if (!has || n == 0)
		return 0;
	skip = calloc(n, sizeof(*skip));
	if (skip == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	/* A note that breaks a rule (its user is gone by now, say) is told of and left out: else it
	 * would keep all others from being written for ever. */
	while ((result = write_all(s, notes, n, skip, &at, err)) == SQL_REFUSED) {
		skip[at] = true;
		s->host->log(s->host, PST_LOG_WARN, "sql.note_refused", "user=%.*s reason=\"%s\"",
		             PST_ARG(notes[at].user), err->text);
	}
	free(skip);
	err->kind = PST_E_TEMP;
	return result == SQL_OK ? 0 : -1;
}

enum pst_auth_result
sql_rehash(void *self, struct pst_str name, struct pst_str old_credential,
           struct pst_str new_credential, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	uint64_t changed;

	if (!sql_has(s, SQL_ID_REHASH))
		return PST_AUTH_UNKNOWN;
	sql_no_values(values);
	sql_set_name(values, name);
	sql_set(&values[SQL_PASSWORD], new_credential);
	sql_set(&values[SQL_OLD_PASSWORD], old_credential);
	if (sql_run(s, SQL_ID_REHASH, values, NULL, NULL, &changed, err) != SQL_OK) {
		err->kind = PST_E_TEMP;
		return PST_AUTH_TEMP;
	}
	return changed > 0 ? PST_AUTH_OK : PST_AUTH_UNKNOWN;
}
