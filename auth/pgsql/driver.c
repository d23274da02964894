/* SPDX-License-Identifier: MIT */
/* PostgreSQL under the SQL core: one connection to read, one to write, each made at its first use.
 * A query whose connection is lost is asked once more on another one, unless it changes something
 * and may have done so already. */
#include <libpq-fe.h>
#include <stdlib.h>

#include "auth/pgsql/link.h"
#include "auth/pgsql/pgsql.h"
#include "auth/pgsql/values.h"
#include "auth/pgsql/watch.h"

/* A connection and the queries that were prepared on it. */
struct side {
	struct pg_link *link;
	uint64_t serial; /* of the connection that prepared is about */
	bool prepared[SQL_IDS];
};

struct sql_db {
	const struct pst_host *host;
	const struct pgsql_conf *conf;
	struct side read, write;
	struct pg_watch *watch;
	bool in_transaction;
};

/* What one call gives to and takes from its query. */
struct job {
	struct side *side;
	const struct sql_query *q;
	const char *const *values;
	sql_on_row *each;
	void *arg;
	bool gave_row;
	bool was_sent; /* the query itself: it may have been run */
	uint64_t changed;
};

/* ---- Life ---- */

static struct pg_link *
make_link(const struct pst_host *host, const char *side, const char *text, const char *attrs,
          struct pst_err *err)
{
	struct pg_target target;
	struct pg_link *l;

	if (pg_target_read(&target, text, attrs, err) != 0)
		return NULL;
	l = pg_link_create(host, side, &target);
	if (l == NULL) {
		pg_target_clear(&target);
		(void)pst_err_set(err, PST_E_TEMP, "no memory");
	}
	return l;
}

static int
make_watch(struct sql_db *db, struct pst_err *err)
{
	const char *text = pgsql_listen_text(db->conf);
	struct pg_link *l = NULL;

	if (text != NULL)
		l = make_link(db->host, "listen", text, "read-write", err);
	if (text != NULL && l == NULL)
		return -1;
	db->watch = pg_watch_create(l);
	return db->watch != NULL ? 0 : pst_err_set(err, PST_E_TEMP, "no memory");
}

static void
close_db(struct sql_db *db)
{
	pg_link_destroy(db->read.link);
	pg_link_destroy(db->write.link);
	pg_watch_destroy(db->watch);
	free(db);
}

struct sql_db *
pgsql_db_create(const struct pst_host *host, struct pst_err *err)
{
	struct sql_db *db = calloc(1, sizeof(*db));
	const struct pgsql_conf *c = host->conf;

	if (db == NULL) {
		(void)pst_err_set(err, PST_E_TEMP, "no memory");
		return NULL;
	}
	db->host = host;
	db->conf = c;
	db->read.link = make_link(host, "read", c->read, "any", err);
	if (db->read.link != NULL)
		db->write.link = make_link(host, "write", pgsql_write_text(c), "read-write", err);
	if (db->write.link == NULL || make_watch(db, err) != 0) {
		close_db(db);
		return NULL;
	}
	return db;
}

/* ---- One query ---- */

static void
statement_name(const struct sql_query *q, char name[24])
{
	(void)snprintf(name, 24, "postern_%d", (int)q->id);
}

static int
give_row(struct job *j, const PGresult *r, int row, bool names_only, struct pst_err *err)
{
	struct sql_value values[SQL_COLUMNS];
	const char *names[SQL_COLUMNS];
	const int n = PQnfields(r);
	int i;

	if (n > SQL_COLUMNS)
		return pst_err_set(err, PST_E_TEMP, "more than %d columns", SQL_COLUMNS);
	for (i = 0; i < n; i++) {
		names[i] = PQfname(r, i);
		values[i].is_null = names_only || PQgetisnull(r, row, i) == 1;
		values[i].text = values[i].is_null
		                         ? PST_LIT("")
		                         : (struct pst_str){ PQgetvalue(r, row, i),
			                                     (size_t)PQgetlength(r, row, i) };
	}
	j->gave_row = true;
	return j->each(j->arg, &(struct sql_row){ (size_t)n, names, values }, err);
}

static int
on_result(void *arg, const PGresult *r, struct pst_err *err)
{
	struct job *j = arg;
	PGresult *taking_no_const; /* libpq's count of changed rows takes none */
	const int rows = PQntuples(r);
	int row;

	memcpy(&taking_no_const, &r, sizeof(r));
	j->changed += strtoull(PQcmdTuples(taking_no_const), NULL, 10);
	for (row = 0; row < rows && j->each != NULL; row++)
		if (give_row(j, r, row, false, err) != 0)
			return -1;
	return 0;
}

static struct pg_answer
prepare(struct side *s, const struct sql_query *q, struct pst_err *err)
{
	struct pg_answer a = { .outcome = PG_OK };
	char name[24];

	if (s->serial != pg_link_serial(s->link)) {
		memset(s->prepared, 0, sizeof(s->prepared));
		s->serial = pg_link_serial(s->link);
	}
	if (s->prepared[q->id])
		return a;
	statement_name(q, name);
	a = pg_link_ask(s->link,
	                &(struct pg_request){ .verb = PG_PREPARE, .text = q->text, .name = name },
	                NULL, NULL, err);
	s->prepared[q->id] = a.outcome == PG_OK;
	return a;
}

static struct pg_answer
run_once(struct sql_db *db, struct job *j, struct pst_err *err)
{
	struct pg_request r = {
		.verb = PG_PARAMS,
		.text = j->q->text,
		.count = j->q->param_count,
		.values = j->values,
		.by_row = j->q->id == SQL_ID_USER_LIST, /* of any length */
	};
	struct pg_answer a;
	char name[24];

	if (db->conf->prepared) {
		a = prepare(j->side, j->q, err);
		if (a.outcome != PG_OK)
			return a;
		statement_name(j->q, name);
		r.verb = PG_EXECUTE;
		r.text = name;
	}
	j->changed = 0;
	j->was_sent = true;
	a = pg_link_ask(j->side->link, &r, on_result, j, err);
	if (a.outcome == PG_SAID_NO && strcmp(a.state, "26000") == 0)
		j->side->prepared[j->q->id] = false;
	return a;
}

static enum sql_result
result_of(const struct pg_answer *a, struct pst_err *err)
{
	if (a->outcome == PG_OK)
		return SQL_OK;
	if (a->outcome != PG_SAID_NO)
		return SQL_FAILED;
	if (strcmp(a->state, "23505") == 0)
		return SQL_CONFLICT;
	if (strncmp(a->state, "23", 2) != 0)
		return SQL_FAILED;
	err->kind = PST_E_CLIENT;
	return SQL_REFUSED;
}

/* A read may be asked again, and so may a write that was not sent yet. */
static struct pg_answer
run_alone(struct sql_db *db, struct job *j, struct pst_err *err)
{
	struct pg_answer a = { .outcome = PG_LOST };
	int left;

	for (left = 2; left > 0 && a.outcome == PG_LOST; left--) {
		if (j->gave_row || (j->was_sent && j->q->on_write))
			break;
		if (pg_link_open(j->side->link, err) != 0)
			break;
		a = run_once(db, j, err);
	}
	if (a.outcome == PG_OK || a.outcome == PG_SAID_NO || a.outcome == PG_STOPPED)
		pg_link_served(j->side->link);
	return a;
}

static struct pg_answer
command(struct side *s, const char *text, struct pst_err *err)
{
	return pg_link_ask(s->link, &(struct pg_request){ .verb = PG_SIMPLE, .text = text }, NULL,
	                   NULL, err);
}

/* The domain of a new user may be there already; that must not end the transaction. */
static struct pg_answer
run_inside(struct sql_db *db, struct job *j, struct pst_err *err)
{
	const bool may_fail = j->q->id == SQL_ID_DOMAIN_INSERT;
	struct pg_answer a = { .outcome = PG_LOST };
	struct pst_err ignored;

	if (!pg_link_is_open(j->side->link)) {
		(void)pst_err_set(err, PST_E_TEMP, "the connection was lost");
		return a;
	}
	if (may_fail)
		a = command(j->side, "SAVEPOINT postern", err);
	if (!may_fail || a.outcome == PG_OK)
		a = run_once(db, j, err);
	if (may_fail && a.outcome == PG_SAID_NO)
		(void)command(j->side, "ROLLBACK TO SAVEPOINT postern", &ignored);
	return a;
}

static enum sql_result
run(struct sql_db *db, const struct sql_query *q, const struct sql_value *values, sql_on_row *each,
    void *arg, uint64_t *changed_out, struct pst_err *err)
{
	const bool is_inside = db->in_transaction;
	struct job j = {
		.side = q->on_write || is_inside ? &db->write : &db->read,
		.q = q,
		.each = each,
		.arg = arg,
	};
	struct pg_values *v = NULL;
	struct pg_answer a;

	if (!pg_values_can_be(q, values)) {
		if (changed_out != NULL)
			*changed_out = 0;
		return SQL_OK; /* nothing in the database can be so */
	}
	v = pg_values_create(q, values);
	if (v == NULL) {
		(void)pst_err_set(err, PST_E_TEMP, "no memory");
		return SQL_FAILED;
	}
	j.values = pg_values_list(v);
	pg_link_start(j.side->link);
	a = is_inside ? run_inside(db, &j, err) : run_alone(db, &j, err);
	pg_values_destroy(v);
	if (a.outcome == PG_OK && changed_out != NULL)
		*changed_out = j.changed;
	return result_of(&a, err);
}

/* ---- Are the queries right? ---- */

static int
on_described(void *arg, const PGresult *r, struct pst_err *err)
{
	struct job *j = arg;

	return j->each == NULL ? 0 : give_row(j, r, 0, true, err);
}

/* Planning tells what preparing does not: whether we may touch these tables. */
static struct pg_answer
plan(struct job *j, struct pst_err *err)
{
	static const char *const planned[] = { "select", "insert", "update",
		                               "delete", "with",   "values" };
	const char *const none[SQL_PARAMS] = { NULL };
	const char *start = j->q->text + strspn(j->q->text, " \t\r\n(");
	struct pg_answer a = { .outcome = PG_OK };
	bool is_planned = false;
	char *text;
	size_t i;

	for (i = 0; i < sizeof(planned) / sizeof(planned[0]); i++)
		if (pst_str_ieq((struct pst_str){ start, strnlen(start, strlen(planned[i])) },
		                pst_str_c(planned[i])))
			is_planned = true;
	if (!is_planned)
		return a;
	if (asprintf(&text, "EXPLAIN %s", j->q->text) < 0) {
		(void)pst_err_set(err, PST_E_TEMP, "no memory");
		return (struct pg_answer){ .outcome = PG_STOPPED };
	}
	a = pg_link_ask(j->side->link,
	                &(struct pg_request){ .verb = PG_PARAMS,
	                                      .text = text,
	                                      .count = j->q->param_count,
	                                      .values = none },
	                NULL, NULL, err);
	free(text);
	return a;
}

/* In one transaction, so that a pooler keeps to one server. */
static int
describe(struct sql_db *db, const struct sql_query *q, sql_on_row *each, void *arg,
         struct pst_err *err)
{
	struct side *s = q->on_write ? &db->write : &db->read;
	struct job j = { .side = s, .q = q, .each = each, .arg = arg };
	struct pst_err ignored;
	struct pg_answer a;

	pg_link_start(s->link);
	if (pg_link_open(s->link, err) != 0)
		return -1;
	a = command(s, "BEGIN", err);
	if (a.outcome == PG_OK)
		a = pg_link_ask(
			s->link,
			&(struct pg_request){ .verb = PG_PREPARE, .text = q->text, .name = "" },
			NULL, NULL, err);
	if (a.outcome == PG_OK)
		a = pg_link_ask(s->link, &(struct pg_request){ .verb = PG_DESCRIBE, .text = "" },
		                on_described, &j, err);
	if (a.outcome == PG_OK)
		a = plan(&j, err);
	if (pg_link_is_open(s->link))
		(void)command(s, "ROLLBACK", &ignored);
	return a.outcome == PG_OK ? 0 : -1;
}

/* ---- Transactions ---- */

static int
begin(struct sql_db *db, struct pst_err *err)
{
	struct pg_answer a = { .outcome = PG_LOST };
	int left;

	pg_link_start(db->write.link);
	for (left = 2; left > 0 && a.outcome == PG_LOST; left--) {
		if (pg_link_open(db->write.link, err) != 0)
			return -1;
		a = command(&db->write, "BEGIN", err);
	}
	db->in_transaction = a.outcome == PG_OK;
	return db->in_transaction ? 0 : -1;
}

static int
commit(struct sql_db *db, struct pst_err *err)
{
	struct pg_answer a;

	if (!pg_link_is_open(db->write.link))
		return pst_err_set(err, PST_E_TEMP, "the connection was lost");
	pg_link_start(db->write.link);
	a = command(&db->write, "COMMIT", err);
	if (a.outcome != PG_OK)
		return -1;
	db->in_transaction = false;
	pg_link_served(db->write.link);
	return 0;
}

static void
rollback(struct sql_db *db)
{
	struct pst_err ignored;

	db->in_transaction = false;
	if (!pg_link_is_open(db->write.link))
		return;
	pg_link_start(db->write.link);
	if (command(&db->write, "ROLLBACK", &ignored).outcome != PG_OK)
		pg_link_lose(db->write.link, "ROLLBACK failed");
}

/* ---- Changes ---- */

static int
watch_fd(struct sql_db *db, struct pst_err *err)
{
	return pg_watch_fd(db->watch, err);
}

static int
watch_read(struct sql_db *db, void (*changed)(void *arg, const struct pst_auth_change *change),
           void *arg, struct pst_err *err)
{
	return pg_watch_read(db->watch, changed, arg, err);
}

const struct sql_driver pgsql_driver = {
	.name = "pgsql",
	.mark = '$',
	.run = run,
	.describe = describe,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.close = close_db,
	.watch_fd = watch_fd,
	.watch_read = watch_read,
	.lease = PGSQL_LEASE,
	.lease_end = PGSQL_LEASE_END,
};
