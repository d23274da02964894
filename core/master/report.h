/* SPDX-License-Identifier: MIT */
/* master/report.h - how the server stands, out of shared memory, as text or JSON. */
#ifndef MASTER_REPORT_H
#define MASTER_REPORT_H

#include <stdbool.h>

#include "base/buf.h"

struct master;

#define REPORT_MAX (64u << 20)

/* Both append to out; what is over its ceiling is cut (and says so). */
void report_status(const struct master *m, bool as_json, struct pst_buf *out);
void report_who(const struct master *m, bool as_json, struct pst_buf *out);

#endif
