/* SPDX-License-Identifier: MIT */
/* One round of reading new/ and cur/, and what it proves; see scan.h. */
#include <dirent.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "storage/maildir/name.h"
#include "storage/maildir/scan.h"

#define SMALL_READ ((size_t)16 * 1024)
#define LARGE_READ ((size_t)256 * 1024)

const char *const maildir_places[PLACE_BOTH] = { "new", "cur" };

static int
on_entries(struct scan *s, unsigned place, const char *buf, size_t n, struct pst_err *err)
{
	const size_t head = offsetof(struct dirent64, d_name);
	size_t at;

	for (at = 0; at + head < n;) {
		const struct dirent64 *e = (const void *)(buf + at); /* the kernel aligns them */
		struct pst_str name = { e->d_name, strnlen(e->d_name, e->d_reclen - head) };

		if ((e->d_type == DT_REG || e->d_type == DT_UNKNOWN) && maildir_is_message(name) &&
		    scan_on_name(s, place, name, e->d_ino, err) != 0)
			return -1;
		at += e->d_reclen;
	}
	return 0;
}

static int
read_directory(struct scan *s, unsigned place, struct pst_err *err)
{
	_Alignas(struct dirent64) char small[SMALL_READ];
	struct mem large = { NULL, 0 };
	char *buf = small;
	size_t size = sizeof(small);
	int fd = s->dirfd[place];
	int rc = -1;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0) {
		pst_err_sys(err, PST_E_TEMP, "read %s/", maildir_places[place]);
		goto out;
	}
	while ((n = getdents64(fd, buf, size)) > 0) {
		if (on_entries(s, place, buf, (size_t)n, err) != 0)
			goto out;
		if (buf == small && (size_t)n > sizeof(small) / 2 &&
		    mem_get(&large, LARGE_READ) == 0) {
			buf = large.p;
			size = LARGE_READ;
		}
	}
	if (n < 0) {
		pst_err_sys(err, PST_E_TEMP, "read %s/", maildir_places[place]);
		goto out;
	}
	rc = 0;
out:
	mem_drop(&large);
	return rc;
}

int64_t
maildir_wall_ns(void)
{
	struct timespec ts = { 0, 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
count_as_seen(struct scan *s, unsigned mask)
{
	struct index_message m;
	uint32_t i;

	for (i = 0; i < s->known->listed; i++) {
		index_at(s->known, i, &m);
		if ((mask & 1u << (m.flags & INDEX_PLACE_MASK)) == 0)
			s->marks[i].round = s->round;
	}
}

int
scan_round(struct scan *s, unsigned mask, struct pst_err *err)
{
	unsigned place;

	s->round++;
	s->twin_count = 0;
	if (mask != (1u << PLACE_BOTH) - 1)
		count_as_seen(s, mask);
	/* new/ first: what goes to cur/ meanwhile is seen there. */
	for (place = PLACE_NEW; place < PLACE_BOTH; place++) {
		if ((mask & 1u << place) == 0)
			continue;
		s->before[place] = (struct index_place){ .is_there = false };
		s->started_ns[place] = maildir_wall_ns();
		if (s->dirfd[place] < 0)
			continue;
		if (index_place_look(s->dirfd[place], "", &s->before[place], err) != 0 ||
		    read_directory(s, place, err) != 0)
			return -1;
	}
	return 0;
}

bool
scan_is_conclusive(const struct scan *s)
{
	struct index_place now;
	struct pst_err err;
	unsigned place;

	for (place = PLACE_NEW; place < PLACE_BOTH; place++) {
		if (s->dirfd[place] < 0)
			continue;
		if (index_place_look(s->dirfd[place], "", &now, &err) != 0 ||
		    !index_place_is_settled(&now, s->started_ns[place], s->self->margin_ns))
			return false;
	}
	return true;
}

bool
scan_misses_listed(const struct scan *s)
{
	uint32_t i;

	for (i = 0; i < s->known->listed; i++)
		if (s->marks[i].round == 0)
			return true;
	return false;
}
