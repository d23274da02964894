/* SPDX-License-Identifier: MIT */
/* auth/passwdfile/file.h - the table of a file that others write: looked at at each use, read again
 * when it is another one and whole. */
#ifndef AUTH_PASSWDFILE_FILE_H
#define AUTH_PASSWDFILE_FILE_H

#include <postern/plugin.h>

#include "auth/passwdfile/table.h"

struct passwd_file;

/* path and host are borrowed. NULL: no memory. */
struct passwd_file *passwd_file_create(const struct pst_host *host, const char *path,
                                       int64_t max_octets);
void passwd_file_destroy(struct passwd_file *f); /* accepts NULL */

/* The table that is in force, borrowed until the next call. A file that is gone, cannot be read or is
 * being written leaves the one before in force, and the log says so once. NULL with err (PST_E_TEMP)
 * only where there was never one. */
const struct passwd_table *passwd_file_table(struct passwd_file *f, struct pst_err *err);

/* Reads it now, as it is. -1: err names the line. */
int passwd_file_read(struct passwd_file *f, struct pst_err *err);

#endif
