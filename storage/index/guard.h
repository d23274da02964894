/* SPDX-License-Identifier: MIT */
/* storage/index/guard.h - when so many UIDLs change that every client would fetch all mail again.
 *
 * That is never what a user did. Then the maildrop is refused, nothing is written, and an admin is told,
 * until the admin says that it is right. */
#ifndef STORAGE_INDEX_GUARD_H
#define STORAGE_INDEX_GUARD_H

#include <postern/storage.h>

struct guard {
	const struct pst_host *host;
	const char *event; /* of the log's line */
	const char *path;
	struct pst_str user;
	unsigned flags;     /* that it is opened with */
	int64_t share, min; /* more than this percentage, and at least so many: too many */
};

/* Of the known UIDLs changed ones are replaced by new ones. 0, or -1 (PST_E_TEMP): too many. */
int guard_check(const struct guard *g, uint32_t known, uint32_t changed, struct pst_err *err);

/* The ledger is there and tells nothing (why), or is damaged. Always -1, unless the admin accepts. */
int guard_ledger(const struct guard *g, const char *why, struct pst_err *err);

#endif
