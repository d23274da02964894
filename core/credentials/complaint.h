/* SPDX-License-Identifier: MIT */
/* credentials/complaint.h - whom the log has already been told of.
 *
 * A fixed table of marks: where two users share a place, one may be told of again. */
#ifndef CREDENTIALS_COMPLAINT_H
#define CREDENTIALS_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/str.h>

#define COMPLAINT_PLACES 4096

struct complaints {
	uint64_t mark[COMPLAINT_PLACES]; /* 0: nobody */
};

/* Whether this user was not told of; then it counts as told. */
bool complaint_is_new(struct complaints *c, struct pst_str user);

#endif
