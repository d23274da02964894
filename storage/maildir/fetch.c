/* SPDX-License-Identifier: MIT */
/* One message: its file is opened under the name it was last seen with, or looked for again by its
 * base name, because flags and new/ → cur/ rename it at any time. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/index/stale.h"
#include "storage/maildir/drop.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
#define MAX_ATTEMPTS 3

static const struct drop_moved *
find_moved(const struct pst_maildrop *d, uint32_t idx)
{
	uint32_t low = 0, high = d->moved_count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (d->moved[mid].idx == idx)
			return &d->moved[mid];
		if (d->moved[mid].idx < idx)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void
drop_file(const struct pst_maildrop *d, uint32_t idx, struct drop_file *out)
{
	const struct drop_moved *moved = find_moved(d, idx);
	struct index_message m;

	index_at(&d->index, idx, &m);
	out->place = m.flags & INDEX_PLACE_MASK;
	if (moved != NULL) {
		out->place = moved->place;
		m.name.p = (const char *)d->mem_moved_text.p + moved->text;
		m.name.n = moved->octets;
	}
	memcpy(out->name, m.name.p,
	       m.name.n); /* <= INDEX_NAME_MAX: index_parse, maildir_is_message */
	out->name[m.name.n] = '\0';
}

/* ---- Looking again ---- */

/* Takes over from a scan what it found under other names, and what it did not find. */
static int
take_names(struct pst_maildrop *d, const struct scan *s, struct pst_err *err)
{
	uint32_t i, n = 0;

	mem_drop(&d->mem_moved);
	mem_drop(&d->mem_moved_text);
	d->moved_count = 0;
	free(d->gone);
	d->gone = NULL;
	for (i = 0; i < d->index.listed; i++)
		n += s->marks[i].file != SCAN_NONE;
	if (mem_get(&d->mem_moved, n * sizeof(*d->moved)) != 0 ||
	    mem_get(&d->mem_moved_text, s->text_used) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to look for renamed messages");
	d->moved = d->mem_moved.p;
	if (s->text_used > 0)
		memcpy(d->mem_moved_text.p, s->text, s->text_used);
	for (i = 0; i < d->index.listed; i++) {
		const struct scan_known *k = &s->marks[i];

		if (k->round == 0)
			drop_set_bit(d, &d->gone, i);
		if (k->file != SCAN_NONE)
			d->moved[d->moved_count++] = (struct drop_moved){
				i,
				s->files[k->file].text,
				s->files[k->file].octets,
				(uint8_t)s->files[k->file].place,
			};
	}
	return 0;
}

int
drop_look_again(struct pst_maildrop *d, struct pst_err *err)
{
	struct scan s;
	int dirfd[PLACE_BOTH];
	int rc = -1;

	if (drop_open_places(d, dirfd, err) != 0)
		return -1;
	if (scan_init(&s, d->self, &d->index, dirfd, err) == 0) {
		s.known_only = true;
		do {
			rc = scan_round(&s, (1u << PLACE_BOTH) - 1, err);
			if (rc == 0)
				scan_settle_twins(&s);
		} while (rc == 0 && s.round < MAX_ATTEMPTS && scan_misses_listed(&s) &&
		         !scan_is_conclusive(&s));
	}
	if (rc == 0)
		rc = take_names(d, &s, err);
	scan_clear(&s);
	drop_close_places(dirfd);
	return rc;
}

/* ---- Opening ---- */

/* As open_plain, for kernels and sandboxes without openat2. */
static int
open_in_two_steps(const struct pst_maildrop *d, const struct drop_file *f)
{
	int dirfd = openat(d->root, maildir_places[f->place],
	                   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int fd, saved;

	if (dirfd < 0)
		return -1;
	fd = openat(dirfd, f->name, OPEN_FLAGS);
	saved = errno;
	close(dirfd);
	errno = saved;
	return fd;
}

/* Neither new/ or cur/ nor the file may be a symbolic link. cached: only if that needs no waiting for
 * a disk, else EAGAIN. */
static int
open_file(struct pst_maildrop *d, const struct drop_file *f, bool cached)
{
	struct open_how how = {
		.flags = OPEN_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | (cached ? RESOLVE_CACHED : 0u),
	};
	char path[sizeof("new/") + INDEX_NAME_MAX];
	int fd, tries;

	if (strchr(f->name, '/') != NULL) { /* a damaged index that has a right sum */
		errno = ENOENT;
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", maildir_places[f->place], f->name);
	for (tries = 0; tries < MAX_ATTEMPTS && !d->no_openat2; tries++) {
		fd = (int)syscall(SYS_openat2, d->root, path, &how, sizeof(how));
		if (fd >= 0 || cached || errno != EAGAIN) { /* EAGAIN: renamed while it looked */
			if (fd < 0 && (errno == ENOSYS || errno == EPERM))
				d->no_openat2 = true;
			else
				return fd;
		}
	}
	if (!cached)
		return open_in_two_steps(d, f);
	errno = EAGAIN;
	return -1;
}

static enum pst_fetch_result
fail(struct pst_err *err, enum pst_err_kind kind, const struct pst_maildrop *d,
     const struct drop_file *f, const char *what)
{
	pst_err_set(err, kind, "%s/%s/%.100s: %s", d->path, maildir_places[f->place], f->name,
	            what);
	return PST_FETCH_ERROR;
}

/* Takes fd. PST_FETCH_WAIT: the file was replaced on another host, and is to be opened anew. */
static enum pst_fetch_result
give_body(struct pst_maildrop *d, uint32_t idx, const struct drop_file *f, int fd,
          struct pst_body *out, struct pst_err *err)
{
	struct index_message m;
	struct stat st;
	bool is_replaced;

	index_at(&d->index, idx, &m);
	errno = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m.stored_octets) {
		*out = (struct pst_body){
			.fd = fd,
			.offset = 0,
			.length = m.stored_octets,
			.crlf = (m.flags & INDEX_CRLF) != 0,
		};
		return PST_FETCH_OK;
	}
	is_replaced = errno == ESTALE;
	close(fd);
	if (is_replaced)
		return PST_FETCH_WAIT;
	if (!drop_bit(d->stale, idx)) {
		drop_set_bit(d, &d->stale, idx);
		d->stale_count++;
		d->is_doubtful = true;
	}
	return fail(err, PST_E_TEMP, d, f,
	            "its size changed; it is counted again at the next login");
}

enum pst_fetch_result
drop_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags, struct pst_body *body_out,
           struct pst_err *err)
{
	bool nowait = (flags & PST_FETCH_NOWAIT) != 0;
	struct drop_file f;
	int attempt, fd;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		drop_file(d, idx, &f);
		if (drop_bit(d->gone, idx))
			return fail(err, PST_E_PERM, d, &f, "the message is gone");
		fd = open_file(d, &f, nowait);
		if (fd >= 0) {
			enum pst_fetch_result result = give_body(d, idx, &f, fd, body_out, err);

			if (nowait || result != PST_FETCH_WAIT)
				return result;
			continue;
		}
		if (nowait)
			return PST_FETCH_WAIT;
		if (errno != ENOENT && errno != ESTALE) {
			pst_err_sys(err, drop_kind_of_errno(), "open %s/%s/%.100s", d->path,
			            maildir_places[f.place], f.name);
			return PST_FETCH_ERROR;
		}
		if (drop_look_again(d, err) != 0 && !stale_is(err))
			return PST_FETCH_ERROR;
	}
	return fail(err, PST_E_TEMP, d, &f, "renamed again and again");
}
