/* SPDX-License-Identifier: MIT */
/* Attempts to log in; see attempt.h. */
#include "login/attempt.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"

static void
copy_cut(char *out, size_t cap, size_t *n_out, struct pst_str from)
{
	*n_out = from.n < cap ? from.n : cap;
	if (*n_out > 0)
		memcpy(out, from.p, *n_out);
}

void
attempt_set(struct attempt *a, enum mechanism_id mechanism, struct pst_str user,
            struct pst_str password)
{
	a->mechanism = mechanism;
	copy_cut(a->user, sizeof(a->user), &a->user_n, user);
	copy_cut(a->password, sizeof(a->password), &a->password_n, password);
	a->is_hopeless = user.n == 0 || password.n == 0 || user.n > WIRE_USER ||
	                 password.n > WIRE_PASSWORD || pst_str_has_nul(user) ||
	                 pst_str_has_nul(password);
}

void
attempt_set_response(struct attempt *a, enum mechanism_id mechanism, struct pst_str user,
                     struct pst_str response)
{
	a->mechanism = mechanism;
	copy_cut(a->user, sizeof(a->user), &a->user_n, user);
	a->response = (struct pst_str){ pst_str_dup(response), response.n };
	a->is_hopeless = user.n > WIRE_USER || response.n > WIRE_RESPONSE || pst_str_has_nul(user);
}

void
attempt_wipe_str(struct pst_str *s)
{
	union {
		const char *in;
		char *out;
	} p = { s->p };

	if (s->p != NULL)
		pst_wipe(p.out, s->n);
	free(p.out);
	*s = (struct pst_str){ NULL, 0 };
}

void
attempt_destroy(struct attempt *a)
{
	if (a == NULL)
		return;
	attempt_wipe_str(&a->response);
	pst_wipe(a, sizeof(*a));
	free(a);
}

void
attempt_make_challenge(char out[ATTEMPT_CHALLENGE])
{
	uint64_t octets[3];

	pst_random(octets, sizeof(octets));
	(void)snprintf(out, ATTEMPT_CHALLENGE, "<%016llx%016llx.%016llx@postern>",
	               (unsigned long long)octets[0], (unsigned long long)octets[1],
	               (unsigned long long)octets[2]);
}
