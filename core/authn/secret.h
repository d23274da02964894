/* SPDX-License-Identifier: MIT */
/* authn/secret.h - what is stored of a user, for a mechanism that never sees the password. A user that is
 * not there, or whose password is not stored in a form that tells, has a secret too, which nobody knows. */
#ifndef AUTHN_SECRET_H
#define AUTHN_SECRET_H

#include "authn/answer.h"
#include "credentials/views.h"

/* Each is of the user in r->answer (PROOF_KEEP). 0, and the caller wipes *out; *is_real_out: it is not
 * invented. -1: what is stored is broken, and r->answer is CHAIN_ERROR now. */

/* with_keys: else only salt and iterations are wanted, which takes no time. */
int secret_scram(struct request *r, bool with_keys, struct scram_keys *out, bool *is_real_out);
int secret_plain(struct request *r, struct pst_secret *out, bool *is_real_out);
int secret_cram(struct request *r, uint8_t out[CRAM_STATE_OCTETS], bool *is_real_out);

/* Wipes the credential that PROOF_KEEP has left, for which nobody has a use any more. */
void secret_forget(struct request *r);

#endif
