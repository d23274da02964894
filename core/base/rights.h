/* SPDX-License-Identifier: MIT */
/* base/rights.h - a process of root's becomes somebody else's, for good. */
#ifndef BASE_RIGHTS_H
#define BASE_RIGHTS_H

#include <stdint.h>
#include <sys/types.h>

#include <postern/err.h>

/* Gives up all capabilities but those of the mask, all of which are below 32. */
int rights_keep(uint32_t keep, struct pst_err *err);

/* No program that is run from here on gets a capability. */
void rights_empty_bounding_set(void);

/* Becomes uid and gid, with no other group and no capability, and makes sure that there is no way
 * back. Never root: -1 (PST_E_PERM). After a failure nothing is known about what holds: the process is
 * to end. */
int rights_become(uid_t uid, gid_t gid, struct pst_err *err);

#endif
