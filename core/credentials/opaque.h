/* SPDX-License-Identifier: MIT */
/* credentials/opaque.h - one spelling for each password: RFC 8265's OpaqueString.
 *
 * Spaces of all kinds become U+0020, and what can be written in several ways (an "a" with dots over
 * it) is written in one (Unicode's NFC). Case and all else stay. */
#ifndef CREDENTIALS_OPAQUE_H
#define CREDENTIALS_OPAQUE_H

#include <postern/str.h>

#include "base/mem.h"

struct opaque {
	struct pst_secret text;
};

/* password in its one spelling: borrowed from o, or password itself where that is it already, or
 * where it has none (it is not UTF-8, holds what the RFC does not allow, or would be too long). o is to
 * be cleared in either case. */
struct pst_str opaque_open(struct pst_str password, struct opaque *o);
void opaque_clear(struct opaque *o);

#endif
