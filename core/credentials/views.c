/* SPDX-License-Identifier: MIT */
/* What mechanisms see of a plain password and of CRAM-MD5's state; see views.h. scram.c has the rest. */
#include "credentials/views.h"

#include "credentials/kinds.h"
#include "credentials/opaque.h"

enum scheme_view
scheme_plain(struct pst_str stored, const char *default_scheme, struct pst_secret *out,
             struct pst_err *err)
{
	enum scheme_view view = SCHEME_BROKEN;
	struct scheme_stored s;

	if (scheme_open(stored, default_scheme, &s, err) != 0)
		goto out;
	view = SCHEME_HAS_NOT;
	if (s.row->verify != plain_match)
		goto out;
	view = SCHEME_BROKEN;
	if (s.data.n == 0)
		(void)pst_err_set(err, PST_E_PERM, "%s: nothing is stored", s.row->names[0]);
	else if (pst_str_has_nul(s.data) || !pst_secret_set(out, s.data))
		(void)pst_err_set(err, PST_E_PERM, "%s: no client can send what is stored",
		                  s.row->names[0]);
	else
		view = SCHEME_HAS;
out:
	scheme_clear(&s);
	return view;
}

static enum scheme_view
take_cram(const struct scheme_stored *s, const struct scheme_cost *cost, uint8_t *out,
          struct pst_err *err)
{
	const struct scheme_input in = { .data = s->data, .is_octets = s->is_octets };

	if (scheme_refuse_weak(s, cost, err) != 0)
		return SCHEME_BROKEN;
	if (s->data.n > 0 && cram_take_state(&in, out))
		return SCHEME_HAS;
	(void)pst_err_set(err, PST_E_PERM, "%s: not %d octets in hex or base64", s->row->names[0],
	                  CRAM_STATE_OCTETS);
	return SCHEME_BROKEN;
}

enum scheme_view
scheme_cram(struct pst_str stored, const char *default_scheme, const struct scheme_cost *cost,
            uint8_t out[CRAM_STATE_OCTETS], struct pst_err *err)
{
	enum scheme_view view = SCHEME_BROKEN;
	struct pst_secret plain = { 0 };
	struct scheme_stored s;

	if (scheme_open(stored, default_scheme, &s, err) != 0)
		goto out;
	if (s.row->verify == cram_match) {
		view = take_cram(&s, cost, out, err);
		goto out;
	}
	view = scheme_plain(stored, default_scheme, &plain, err);
	if (view == SCHEME_HAS)
		cram_make(pst_secret_view(&plain), out);
	pst_secret_clear(&plain);
out:
	scheme_clear(&s);
	return view;
}
