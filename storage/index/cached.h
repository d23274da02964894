/* SPDX-License-Identifier: MIT */
/* storage/index/cached.h - what can be had from the kernel's caches alone, on the caller's event loop.
 *
 * For the poll that finds nothing new. Only the index is opened in a way that fails rather than wait.
 * The places are then looked at by a plain stat: their names are looked up after the index's at every
 * poll, so the kernel forgets the index first. */
#ifndef STORAGE_INDEX_CACHED_H
#define STORAGE_INDEX_CACHED_H

#include <sys/types.h>

#include "storage/index/index.h"

#define CACHED_LISTED_MAX 4096u /* messages; the listing of more is freed in the pool */

/* openat2 with RESOLVE_CACHED; -1 also where it would have to wait. */
int cached_open(int dirfd, const char *path, uint64_t flags);

/* Whether a lock on fd, which lies on dev, asks no other host. */
bool cached_is_local(int fd, uint64_t dev);

/* index_load_cached of the file; where file->check_owner, only if it is uid's. */
bool cached_load(struct index *ix, const struct index_file *file, uid_t uid);

#endif
