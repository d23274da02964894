/* SPDX-License-Identifier: MIT */
/* storage/maildir/rename.h - renaming a file to a name that no other has. */
#ifndef STORAGE_MAILDIR_RENAME_H
#define STORAGE_MAILDIR_RENAME_H

/* As renameat; -1 and EEXIST where there is a file with the new name. */
int rename_to_free(int from_dir, const char *from, int to_dir, const char *to);

#endif
