/* SPDX-License-Identifier: MIT */
/* renameat2, and what does the same where the file system has it not; see rename.h. */
#include "storage/maildir/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int
rename_to_free(int from_dir, const char *from, int to_dir, const char *to)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
		return -1;
	if (linkat(from_dir, from, to_dir, to, 0) != 0)
		return -1;
	return unlinkat(from_dir, from, 0);
}
