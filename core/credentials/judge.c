/* SPDX-License-Identifier: MIT */
/* What can be said of a stored password without the password; see scheme.h. */
#include <postern/str.h>

#include "credentials/kinds.h"

bool
scheme_is_usable(const char *scheme, const struct scheme_cost *cost)
{
	const struct scheme_row *row = scheme_find_row(pst_str_c(scheme));

	return row != NULL && row->make != NULL && (!row->is_weak || cost->allow_weak);
}

bool
scheme_is_slow(struct pst_str stored, const char *default_scheme)
{
	struct scheme_stored s;
	struct pst_err err;
	bool is_slow = false;

	if (scheme_open(stored, default_scheme, &s, &err) == 0 && s.row->slow != NULL)
		is_slow = s.row->slow(s.data);
	scheme_clear(&s);
	return is_slow;
}

/* By what they hold, not by their names: {CRYPT}$6$ is what SHA512-CRYPT makes, and {ARGON2I} may hold
 * an argon2id. */
static bool
is_same_kind(const struct scheme_row *a, const struct scheme_row *b)
{
	if (a->verify != b->verify &&
	    !(a->outdated == crypt_outdated && a->outdated == b->outdated))
		return false;
	return a->outdated == crypt_outdated || a->outdated == argon2_outdated ||
	       a->digest == b->digest;
}

bool
scheme_is_outdated(struct pst_str stored, const char *default_scheme,
                   const struct scheme_cost *cost)
{
	const struct scheme_row *wanted = scheme_find_row(pst_str_c(default_scheme));
	struct scheme_stored s;
	struct pst_err err;
	bool is_outdated = false;

	if (scheme_open(stored, default_scheme, &s, &err) != 0 || wanted == NULL || s.data.n == 0)
		goto out;
	if (!is_same_kind(s.row, wanted))
		is_outdated = true;
	else if (wanted->outdated != NULL)
		is_outdated = wanted->outdated(wanted, s.data, cost);
out:
	scheme_clear(&s);
	return is_outdated;
}

const char *
scheme_weak_name(struct pst_str stored, const char *default_scheme)
{
	struct scheme_stored s;
	struct pst_err err;
	const char *name = NULL;

	if (scheme_open(stored, default_scheme, &s, &err) == 0)
		name = scheme_weakness(&s);
	scheme_clear(&s);
	return name;
}

bool
scheme_at(size_t idx, struct scheme_info *out)
{
	const struct scheme_row *row = scheme_row_at(idx);

	if (row == NULL)
		return false;
	*out = (struct scheme_info){
		.name = row->names[0],
		.is_weak = row->is_weak,
		.is_slow = row->slow != NULL,
		.is_made = row->make != NULL,
	};
	return true;
}
