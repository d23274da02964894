/* SPDX-License-Identifier: MIT */
/* auth/sql/core.h - inside of the SQL core: what its files share. */
#ifndef AUTH_SQL_CORE_H
#define AUTH_SQL_CORE_H

#include "auth/sql/driver.h"
#include "auth/sql/sql.h"

struct sql {
	const struct pst_host *host;
	const struct sql_driver *driver;
	struct sql_db *db; /* owned */
	bool told_old;     /* that the tables are of an older version */
	struct sql_query q[SQL_IDS];
	bool has_own_leases;     /* a query for them is not the driver's default */
	bool wants_new[SQL_IDS]; /* the query is for tables that the first version did not have */
};

/* ---- sql.c ---- */

bool sql_has(const struct sql *s, enum sql_id id); /* whether there is such a query */

/* The form of the query for the tables that are there: *id becomes another, or SQL_IDS where they
 * cannot have what it asks for. -1: it cannot be told now. */
int sql_adapt(struct sql *s, enum sql_id *id, struct pst_err *err);

/* Runs the query in that form; what they cannot have is as if it found nothing, and changed nothing.
 * Errors name the setting. */
enum sql_result sql_run(struct sql *s, enum sql_id id, const struct sql_value *values,
                        sql_on_row *each, void *arg, uint64_t *changed_out, struct pst_err *err);

/* Puts the setting's name before the reason; -1. */
int sql_blame(const struct sql *s, enum sql_id id, struct pst_err *err);

/* Values: none is NULL at first. */
struct sql_number {
	char text[24];
};
void sql_no_values(struct sql_value values[SQL_PARAMS]);
void sql_set(struct sql_value *v, struct pst_str text);
void sql_set_said(struct sql_value *v, struct pst_str text); /* an empty one is NULL */
void sql_set_number(struct sql_value *v, struct sql_number *at, uint64_t num);
void sql_set_name(struct sql_value values[SQL_PARAMS], struct pst_str name);

/* ---- probe.c ---- */
int sql_probe(void *self, struct pst_err *err);

/* ---- lookup.c ---- */
enum pst_auth_result sql_lookup(void *self, const struct pst_auth_query *query,
                                struct pst_auth_record *record, struct pst_err *err);

/* ---- admin.c ---- */

/* One query that is meant to change exactly one user. PST_E_CLIENT: there is none. */
int sql_change_user(struct sql *s, enum sql_id id, const struct sql_value *values,
                    struct pst_err *err);

/* What the values of an account are written in. */
struct sql_account {
	struct sql_number uid, gid, max_sessions, min_poll, max_listed, expire_days, hold_days;
};

/* What is said of an account, its name and location with it; credential and enabled are left out. */
void sql_set_account(struct sql_value values[SQL_PARAMS], struct sql_account *num,
                     const struct pst_auth_user *user);

/* -1, PST_E_CLIENT: the tables are of an older version, which has no place for what the query is about. */
int sql_check_tables(struct sql *s, enum sql_id id, const struct sql_value values[SQL_PARAMS],
                     struct pst_err *err);

int sql_user_add(void *self, const struct pst_auth_user *user, struct pst_err *err);
int sql_user_passwd(void *self, struct pst_str name, struct pst_str credential,
                    struct pst_err *err);
int sql_user_enable(void *self, struct pst_str name, bool enabled, struct pst_str reason,
                    struct pst_err *err);
int sql_user_delete(void *self, struct pst_str name, struct pst_err *err);
int sql_user_list(void *self, struct pst_str domain,
                  void (*each)(void *arg, const struct pst_auth_user *), void *arg,
                  struct pst_err *err);
int sql_create(void *self, struct pst_err *err);

/* ---- account.c ---- */
int sql_user_show(void *self, struct pst_str name,
                  void (*each)(void *arg, const struct pst_auth_user *stored, bool is_domain),
                  void *arg, struct pst_err *err);
int sql_user_set(void *self, const struct pst_auth_user *user, uint32_t unset, struct pst_err *err);

/* ---- notes.c ---- */
int sql_notes(void *self, const struct pst_auth_note *notes, size_t n, struct pst_err *err);
enum pst_auth_result sql_rehash(void *self, struct pst_str name, struct pst_str old_credential,
                                struct pst_str new_credential, struct pst_err *err);

/* ---- lease.c ---- */
int sql_lease(void *self, struct pst_auth_lease *leases, size_t n, struct pst_err *err);
int sql_lease_end(void *self, const struct pst_auth_lease *leases, size_t n, struct pst_err *err);

#endif
