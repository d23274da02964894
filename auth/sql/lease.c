/* SPDX-License-Identifier: MIT */
/* Leases of maildrops, for servers that share the mail: rows with an end in time; see sql.h. */
#include "auth/sql/core.h"

static void
set_lease(struct sql_value values[SQL_PARAMS], struct sql_number *seconds,
          const struct pst_auth_lease *l)
{
	sql_no_values(values);
	sql_set(&values[SQL_MAILDROP], l->maildrop);
	sql_set(&values[SQL_HOLDER], l->holder);
	sql_set(&values[SQL_TAKER], l->taker);
	sql_set_number(&values[SQL_SECONDS], seconds, l->seconds > 0 ? (uint64_t)l->seconds : 0);
}

static int
has_query(struct sql *s, enum sql_id id, struct pst_err *err)
{
	if (sql_has(s, id))
		return 0;
	return pst_err_set(err, PST_E_PERM, "%s is empty: this database gives no leases",
	                   s->q[id].setting);
}

/* One after the other, each for itself: what one waits for must not hold up the others' end. */
int
sql_lease(void *self, struct pst_auth_lease *leases, size_t n, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	struct sql_number seconds;
	uint64_t changed;
	size_t i;

	if (has_query(s, SQL_ID_LEASE, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		set_lease(values, &seconds, &leases[i]);
		switch (sql_run(s, SQL_ID_LEASE, values, NULL, NULL, &changed, err)) {
		case SQL_OK:
			leases[i].is_ours = changed > 0;
			break;
		case SQL_CONFLICT: /* two at the same moment, and the other was first */
			leases[i].is_ours = false;
			break;
		case SQL_REFUSED:
		case SQL_FAILED:
			err->kind = PST_E_TEMP;
			return -1;
		}
	}
	return 0;
}

int
sql_lease_end(void *self, const struct pst_auth_lease *leases, size_t n, struct pst_err *err)
{
	struct sql *s = self;
	struct sql_value values[SQL_PARAMS];
	struct sql_number seconds;
	size_t i;

	if (has_query(s, SQL_ID_LEASE_END, err) != 0)
		return -1;
	for (i = 0; i < n; i++) {
		set_lease(values, &seconds, &leases[i]);
		if (sql_run(s, SQL_ID_LEASE_END, values, NULL, NULL, NULL, err) != SQL_OK) {
			err->kind = PST_E_TEMP;
			return -1;
		}
	}
	return 0;
}
