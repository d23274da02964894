/* SPDX-License-Identifier: MIT */
/* storage/mbox/uidls.h - a UIDL for each message of an mbox that has none yet, what of them goes into the
 * ledger, and the guard. */
#ifndef STORAGE_MBOX_UIDLS_H
#define STORAGE_MBOX_UIDLS_H

#include "storage/index/ledger.h"
#include "storage/mbox/mbox.h"

#define MBOX_NEW UINT32_MAX

/* What was found, and what is known of it. */
struct mbox_uidls {
	struct pst_maildrop *d;
	int fd;
	const struct index *known;
	uint32_t prefix; /* so many known ones are taken as they are */
	struct mbox_message *messages;
	uint32_t count;
	uint32_t *of; /* which known one each message is; MBOX_NEW: none */

	/* Filled by mbox_uidls_choose. */
	struct index_head head; /* the numbers, and the policy, for the index */
	uint32_t left_out;      /* messages, whose UIDL could not be written down */

	/* private */
	struct ledger ledger;
	struct mem mem_known, mem_entries;
	uint8_t *fates; /* by known one */
};

/* Gives every new message its UIDL, in own_uidl, and takes those that cannot be shown out of messages and
 * of. -1: too many UIDLs would change (PST_E_TEMP), or there is no memory. */
int mbox_uidls_choose(struct mbox_uidls *u, struct pst_err *err);
void mbox_uidls_clear(struct mbox_uidls *u);

/* *l must be zeroed. A ledger that tells nothing is -1, or where the admin accepts that an empty one. */
int mbox_uidls_load(struct pst_maildrop *d, struct ledger *l, struct pst_err *err);

/* Where the ledger of d is: d->ledger_name. */
void mbox_uidls_locate(struct pst_maildrop *d);

/* Flags of a known message for the next index. */
unsigned mbox_uidls_flags(const struct mbox_uidls *u, uint32_t known, unsigned flags);

/* These messages of ix, ascending, are gone for good: what the ledger says of them is nobody's. */
void mbox_uidls_removed(struct pst_maildrop *d, const struct index *ix, const uint32_t *idx,
                        uint32_t n);

#endif
