/* SPDX-License-Identifier: MIT */
/* storage/maildir/quota.h - the quota file of Maildir++, maildirsize, which others make and count anew;
 * here it is only kept right. */
#ifndef STORAGE_MAILDIR_QUOTA_H
#define STORAGE_MAILDIR_QUOTA_H

#include "storage/maildir/drop.h"

/* What Maildir++ counts for a file: what its name says, else its size. */
uint64_t quota_octets(struct pst_str base, uint64_t stored_octets);

/* So much more (less where negative) is in the Maildir: one line, appended by one write; only where
 * the file is. */
void quota_tell(const struct pst_maildrop *d, int64_t octets, int64_t files);

#endif
