/* SPDX-License-Identifier: MIT */
/* Prints of messages, in the tail of an index file; see index.h. The tail bears the sum of the octets
 * before it, so that what an older writing left there is not taken. */
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storage/index/hash.h"
#include "storage/index/index.h"

enum { AT_BODY_SUM = 8, AT_COUNT = 16, AT_SUM = 24, HEAD_OCTETS = 32 };
#define MAGIC "PSTPRNTS"
#define SUM_SEED 5

uint64_t
index_print(struct pst_str first, uint64_t stored_octets, int64_t mtime_ns)
{
	uint64_t print;

	if (stored_octets < INDEX_PRINT_LEAST)
		return 0;
	if (first.n > INDEX_PRINT_OCTETS)
		first.n = INDEX_PRINT_OCTETS;
	print = index_hash(first.p, first.n, stored_octets) & ~INDEX_PRINT_TIME;
	print |= index_hash(&mtime_ns, sizeof(mtime_ns), SUM_SEED) & INDEX_PRINT_TIME;
	return print == 0 ? 1 : print;
}

static uint32_t
count(const struct index *ix)
{
	return ix->listed + ix->kept;
}

static void
put_head(const struct index *ix, const void *prints, char out[HEAD_OCTETS])
{
	memcpy(out, MAGIC, 8);
	index_put64(out + AT_BODY_SUM, index_body_sum(ix));
	index_put64(out + AT_COUNT, count(ix));
	index_put64(out + AT_SUM, index_hash(prints, (size_t)count(ix) * 8, SUM_SEED));
}

static bool
load_from(struct index *ix, const struct index_file *file, const char *name)
{
	int fd = openat(file->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t n = (size_t)count(ix) * 8;
	struct mem mem = { NULL, 0 };
	char head[HEAD_OCTETS], want[HEAD_OCTETS];
	struct iovec iov[2] = { { head, sizeof(head) }, { NULL, n } };
	bool is_good = false;

	if (fd < 0)
		return false;
	if (mem_get(&mem, n) == 0) {
		iov[1].iov_base = mem.p;
		if (preadv(fd, iov, 2, (off_t)ix->octets) == (ssize_t)(sizeof(head) + n)) {
			put_head(ix, mem.p, want);
			is_good = memcmp(head, want, sizeof(head)) == 0;
		}
	}
	close(fd);
	if (!is_good) {
		mem_drop(&mem);
		return false;
	}
	ix->prints = mem;
	ix->has_prints = true;
	return true;
}

void
index_load_prints(struct index *ix, const struct index_file *file)
{
	if (count(ix) == 0 || ix->prints.p != NULL)
		return;
	if (!load_from(ix, file, file->name))
		(void)load_from(ix, file, file->spare);
}

void
index_drop_prints(struct index *ix)
{
	mem_drop(&ix->prints);
	ix->has_prints = false;
}

size_t
index_write_prints(const struct index *ix, int fd)
{
	size_t n = (size_t)count(ix) * 8;
	char head[HEAD_OCTETS];
	const struct iovec iov[2] = { { head, sizeof(head) }, { ix->prints.p, n } };

	if (!ix->has_prints)
		return 0;
	put_head(ix, ix->prints.p, head);
	if (pwritev(fd, iov, 2, (off_t)ix->octets) != (ssize_t)(sizeof(head) + n))
		return 0;
	return sizeof(head) + n;
}
