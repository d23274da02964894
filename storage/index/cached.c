/* SPDX-License-Identifier: MIT */
/* See cached.h. */
#include "storage/index/cached.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ZFS_SUPER_MAGIC 0x2fc12fc1

int
cached_open(int dirfd, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_CACHED,
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/* A file system with a block device of its own is this host's; one without (major 0) may be a
 * network's, unless it is known. */
bool
cached_is_local(int fd, uint64_t dev)
{
	static const unsigned long local[] = { BTRFS_SUPER_MAGIC, TMPFS_MAGIC, ZFS_SUPER_MAGIC,
		                               OVERLAYFS_SUPER_MAGIC };
	struct statfs fs;
	size_t i;

	if (major(dev) != 0)
		return true;
	if (fstatfs(fd, &fs) != 0)
		return false;
	for (i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if ((unsigned long)fs.f_type == local[i])
			return true;
	return false;
}

bool
cached_load(struct index *ix, const struct index_file *file, uid_t uid)
{
	int fd = cached_open(file->dirfd, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool is_there;

	if (fd < 0)
		return false;
	is_there = (!file->check_owner || (fstat(fd, &st) == 0 && st.st_uid == uid)) &&
	           index_load_cached(ix, fd);
	close(fd);
	return is_there;
}
