/* SPDX-License-Identifier: MIT */
/* The ledger's file: reading it, appending to it, putting another in its place; see ledger.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/hash.h"
#include "storage/index/index.h"
#include "storage/index/ledger_octets.h"
#include "storage/index/stale.h"

#define OCTETS_MAX ((uint64_t)1 << 31) /* of a file: 20 million messages */

/* Another one for another file, and for a copy: its number may be given again at once where a file
 * is removed, the time of its making not. Not every file system has that time. 0: cannot be told. */
static uint64_t
identity_of(int fd)
{
	struct statx st;
	uint64_t parts[3];

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st) != 0)
		return 0;
	if ((st.stx_mask & STATX_BTIME) == 0)
		st.stx_btime.tv_sec = st.stx_btime.tv_nsec = 0;
	parts[0] = st.stx_ino;
	parts[1] = (uint64_t)st.stx_btime.tv_sec;
	parts[2] = st.stx_btime.tv_nsec;
	return index_hash(parts, sizeof(parts), 0);
}

/* ---- Reading ---- */

static int
read_all(int fd, char *to, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, to, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ENODATA;
		if (got <= 0)
			return -1;
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

static bool
is_ours(const struct ledger_file *file, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (!file->check_owner || st->st_uid == geteuid());
}

static int
load(struct ledger *l, int fd, size_t max, bool *is_bad_out, struct pst_err *err)
{
	const char *name = l->file->name;
	struct stat st;

	*is_bad_out = true;
	if (fstat(fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "open %s", name);
	if (!is_ours(l->file, &st))
		return pst_err_set(err, PST_E_TEMP, "%s: no file, or somebody else's", name);
	if ((uint64_t)st.st_size > max || (uint64_t)st.st_size > OCTETS_MAX)
		return pst_err_set(err, PST_E_TEMP, "%s: larger than any of ours", name);
	*is_bad_out = false;
	if (mem_get(&l->mem_text, (size_t)st.st_size + 1) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for %s", name);
	*is_bad_out = true;
	if (read_all(fd, l->mem_text.p, (size_t)st.st_size) != 0)
		return pst_err_sys(err, PST_E_TEMP, "read %s", name);
	if (ledger_parse(l, l->mem_text.p, (uint64_t)st.st_size, identity_of(fd), is_bad_out) != 0)
		return pst_err_set(
			err, PST_E_TEMP,
			*is_bad_out ? "%s: no ledger of this version" : "no memory for %s", name);
	l->is_there = true;
	return 0;
}

static int
load_once(struct ledger *l, const struct ledger_file *file, size_t max, bool *is_bad_out,
          struct pst_err *err)
{
	int fd = openat(file->dirfd, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int rc;

	l->file = file;
	*is_bad_out = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	*is_bad_out = true;
	if (fd < 0)
		return pst_err_sys(err, PST_E_TEMP, "open %s", file->name);
	rc = load(l, fd, max, is_bad_out, err);
	close(fd);
	if (rc != 0) {
		ledger_clear(l);
		l->file = file;
	}
	return rc;
}

int
ledger_load(struct ledger *l, const struct ledger_file *file, size_t max, bool *is_bad_out,
            struct pst_err *err)
{
	unsigned attempt = 1;
	int rc;

	while ((rc = load_once(l, file, max, is_bad_out, err)) != 0 && stale_is(err) &&
	       attempt < STALE_ATTEMPTS)
		attempt++;
	return rc;
}

/* ---- Writing ---- */

static int
pwrite_all(int fd, const char *p, size_t n, off_t at)
{
	while (n > 0) {
		ssize_t put = pwrite(fd, p, n, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		n -= (size_t)put;
		at += put;
	}
	return 0;
}

/* Records of entries, from octet at of the file on. */
static char *
put_records(char *p, const struct ledger_entry *entries, uint32_t n, uint64_t seed, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		size_t octets = ledger_record_octets(&entries[i]);

		ledger_put_record(p, &entries[i], seed, at);
		p += octets;
		at += octets;
	}
	return p;
}

static uint64_t
octets_of(const struct ledger_entry *entries, uint32_t n)
{
	uint64_t octets = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		octets += ledger_record_octets(&entries[i]);
	return octets;
}

static int
too_large(const struct ledger *l, struct pst_err *err)
{
	return pst_err_set(err, PST_E_TEMP, "%s: too large, or no memory", l->file->name);
}

static int
fill_spare(int fd, const struct ledger *l, struct mem *mem, const struct ledger_entry *entries,
           uint32_t n, struct ledger_head *h)
{
	const char *end;

	*h = (struct ledger_head){ .validity = l->validity, .next_uid = l->next_uid };
	if (getrandom(&h->seed, sizeof(h->seed), 0) != sizeof(h->seed))
		return -1;
	h->file = identity_of(fd);
	ledger_put_head(mem->p, h);
	end = put_records((char *)mem->p + HEAD_OCTETS, entries, n, h->seed, HEAD_OCTETS);
	if (pwrite_all(fd, mem->p, (size_t)(end - (const char *)mem->p), 0) != 0)
		return -1;
	return fdatasync(fd);
}

int
ledger_rewrite(struct ledger *l, const struct ledger_entry *entries, uint32_t n,
               struct pst_err *err)
{
	const struct ledger_file *file = l->file;
	uint64_t octets = HEAD_OCTETS + octets_of(entries, n);
	struct mem mem = { NULL, 0 };
	struct ledger_head h;
	int fd = -1, rc = -1;

	if (octets > OCTETS_MAX || mem_get(&mem, (size_t)octets) != 0)
		return too_large(l, err);
	(void)unlinkat(file->dirfd, file->spare, 0);
	fd = openat(file->dirfd, file->spare, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0) {
		pst_err_sys(err, PST_E_TEMP, "create %s", file->spare);
		goto out;
	}
	if (fill_spare(fd, l, &mem, entries, n, &h) != 0) {
		pst_err_sys(err, PST_E_TEMP, "write %s", file->spare);
		goto out;
	}
	if (renameat(file->dirfd, file->spare, file->dirfd, file->name) != 0 ||
	    file_sync_directory(file->dirfd, file->name) != 0) {
		pst_err_sys(err, PST_E_TEMP, "rename %s to %s", file->spare, file->name);
		goto out;
	}
	l->is_there = true;
	l->wants_head = false;
	l->seed = h.seed;
	l->octets = octets;
	rc = 0;
out:
	if (fd >= 0) {
		close(fd);
		if (rc != 0)
			(void)unlinkat(file->dirfd, file->spare, 0);
	}
	mem_drop(&mem);
	return rc;
}

/* Those that it has, and n more. */
static int
rewrite_with(struct ledger *l, const struct ledger_entry *entries, uint32_t n, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	struct ledger_entry *all;
	int rc;

	if (mem_get(&mem, ((size_t)l->count + n) * sizeof(*all)) != 0)
		return too_large(l, err);
	all = mem.p;
	if (l->count > 0)
		memcpy(all, l->entries, l->count * sizeof(*all));
	memcpy(all + l->count, entries, n * sizeof(*all));
	rc = ledger_rewrite(l, all, l->count + n, err);
	mem_drop(&mem);
	return rc;
}

static int
append_to(struct ledger *l, int fd, const char *p, size_t n, bool must_sync, struct pst_err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !is_ours(l->file, &st) || st.st_nlink != 1 ||
	    (uint64_t)st.st_size < l->octets)
		return pst_err_set(err, PST_E_TEMP, "%s: not what it was", l->file->name);
	if (pwrite_all(fd, p, n, (off_t)l->octets) != 0 || (must_sync && fdatasync(fd) != 0)) {
		pst_err_sys(err, PST_E_TEMP, "write %s", l->file->name);
		if (ftruncate(fd, (off_t)l->octets) != 0)
			return -1; /* nobody was shown what may stand there: it does no harm */
		return -1;
	}
	l->octets += n;
	return 0;
}

int
ledger_append(struct ledger *l, const struct ledger_entry *entries, uint32_t n, bool must_sync,
              struct pst_err *err)
{
	uint64_t octets = octets_of(entries, n);
	struct mem mem = { NULL, 0 };
	int fd, rc;

	if (n == 0)
		return 0;
	if (!l->is_there || l->wants_head)
		return rewrite_with(l, entries, n, err);
	if (l->octets + octets > OCTETS_MAX || mem_get(&mem, (size_t)octets) != 0)
		return too_large(l, err);
	put_records(mem.p, entries, n, l->seed, l->octets);
	fd = openat(l->file->dirfd, l->file->name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		rc = pst_err_sys(err, PST_E_TEMP, "open %s", l->file->name);
	else
		rc = append_to(l, fd, mem.p, (size_t)octets, must_sync, err);
	if (fd >= 0)
		close(fd);
	mem_drop(&mem);
	return rc;
}

int
ledger_compact(struct ledger *l, const uint8_t *live, const struct ledger_entry *entries,
               uint32_t n, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	struct ledger_entry *all;
	uint32_t i, dead = 0, passed = 0, count = 0;
	int rc;

	if (mem_get(&mem, ((size_t)l->count + n) * sizeof(*all)) != 0)
		return too_large(l, err);
	all = mem.p;
	for (i = 0; i < l->count; i++)
		dead += !live[i];
	for (i = 0; i < l->count; i++) {
		if (!live[i] && passed++ < dead / 2)
			continue;
		all[count++] = l->entries[i];
	}
	if (n > 0)
		memcpy(all + count, entries, n * sizeof(*all));
	rc = ledger_rewrite(l, all, count + n, err);
	mem_drop(&mem);
	return rc;
}
