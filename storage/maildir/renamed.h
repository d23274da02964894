/* SPDX-License-Identifier: MIT */
/* storage/maildir/renamed.h - messages that were shown under another file name. */
#ifndef STORAGE_MAILDIR_RENAMED_H
#define STORAGE_MAILDIR_RENAMED_H

#include "storage/maildir/uidls.h"

/* Finds them among the fresh ones without a UIDL, by their prints, and gives them theirs. Where no
 * more than a few changed, the file's time counts too: deliveries of equal octets are not the same
 * message. Where very many changed it does not, because somebody copied them all. */
int renamed_find(struct uidls *u, struct pst_err *err);

/* Listed ones that are missing and were not found so. */
uint32_t renamed_missing(const struct scan *s);

#endif
