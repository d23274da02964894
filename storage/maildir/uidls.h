/* SPDX-License-Identifier: MIT */
/* storage/maildir/uidls.h - a UIDL for each message that has none yet.
 *
 * What the index remembers as shown stays; then counts what an old server's list says, then the base
 * name. No UIDL is given that another message has, or that the list gives to another, be that one
 * still there or not. */
#ifndef STORAGE_MAILDIR_UIDLS_H
#define STORAGE_MAILDIR_UIDLS_H

#include "storage/maildir/foreign.h"
#include "storage/maildir/scan.h"

struct uidls {
	uint32_t taken_over; /* from the list */
	uint32_t refused;    /* of the list's: another message has it */

	/* private */
	const struct scan *s;
	const struct foreign *f;
	struct pst_str *chosen; /* by fresh message; NULL: base names can do no harm */
	struct taken *taken;
	size_t mask;
	char *text;
	struct mem mem_chosen, mem_taken, mem_text;
};

/* All are borrowed until uidls_clear. -1 (PST_E_TEMP): no memory. */
int uidls_choose(struct uidls *u, const struct scan *s, const struct foreign *f,
                 struct pst_err *err);
void uidls_clear(struct uidls *u); /* accepts a zeroed one */

/* That of a fresh message that is not a known one measured again. Borrowed from u, the name or buf. */
struct pst_str uidls_of(const struct uidls *u, uint32_t fresh, char buf[MAILDIR_UIDL_ROOM]);

#endif
