/* SPDX-License-Identifier: MIT */
/* Copying messages; see body.h. */
#include "storage/index/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/index/mem.h"

#define CHUNK ((size_t)256 * 1024)

int
body_open(const struct pst_new_message *msg, struct pst_body *out, struct pst_err *err)
{
	*out = (struct pst_body){ .fd = -1 };
	if (msg->open(msg->arg, out, err) == 0)
		return 0;
	out->fd = -1;
	return -1;
}

void
body_close(struct pst_body *body)
{
	if (body->fd < 0)
		return;
	close(body->fd);
	body->fd = -1;
	if (body->done != NULL)
		body->done(body->arg);
}

/* Where octet at of the message lies, and how many of the *n from there on lie together. */
static off_t
find_octets(const struct pst_body *body, uint64_t at, size_t *n)
{
	uint64_t place = at;
	uint32_t i;

	for (i = 0; i < body->gap_count; i++) {
		const struct pst_gap *gap = &body->gaps[i];

		if (place < gap->at) {
			if (gap->at - place < *n)
				*n = (size_t)(gap->at - place);
			break;
		}
		place += gap->length;
	}
	return (off_t)(body->offset + place);
}

int
body_read(const struct pst_body *body, uint64_t at, void *out, size_t n, size_t *n_out,
          struct pst_err *err)
{
	char *to = out;
	size_t have = 0;

	if (n > body->length - at)
		n = (size_t)(body->length - at);
	while (have < n) {
		size_t piece = n - have;
		off_t from = find_octets(body, at + have, &piece);
		ssize_t got = pread(body->fd, to + have, piece, from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return pst_err_sys(err, PST_E_TEMP, "read a message");
		if (got == 0)
			return pst_err_set(err, PST_E_TEMP, "a message ends before its end");
		have += (size_t)got;
	}
	*n_out = n;
	return 0;
}

bool
body_write(int fd, const void *octets, size_t n, uint64_t at)
{
	const char *from = octets;

	while (n > 0) {
		ssize_t got = pwrite(fd, from, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ENOSPC;
		if (got <= 0)
			return false;
		from += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

int
body_copy(const struct pst_body *body, int fd, uint64_t at, struct pst_err *err)
{
	char *room = mem_new(body->length < CHUNK ? (size_t)body->length + 1 : CHUNK);
	uint64_t done = 0;
	size_t n;
	int rc = -1;

	while (done < body->length) {
		if (body_read(body, done, room, CHUNK, &n, err) != 0)
			goto out;
		if (!body_write(fd, room, n, at + done)) {
			pst_err_sys(err, PST_E_TEMP, "write a message");
			goto out;
		}
		done += n;
	}
	rc = 0;
out:
	free(room);
	return rc;
}
