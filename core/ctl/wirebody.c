/* SPDX-License-Identifier: MIT */
/* From stored octets to those of the wire; see wirebody.h. */
#include "ctl/wirebody.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "pop3/body.h"

#define CHUNK ((size_t)128 * 1024)

void
wirebody_release(struct pst_body *body)
{
	if (body->fd < 0)
		return;
	close(body->fd);
	body->fd = -1;
	if (body->done != NULL)
		body->done(body->arg);
}

/* Where octet at of the message lies, and how many of *n lie there together. */
static off_t
find_octets(const struct pst_body *body, uint64_t at, size_t *n)
{
	uint64_t place = at;
	uint32_t i;

	for (i = 0; i < body->gap_count && body->gaps[i].at <= place; i++)
		place += body->gaps[i].length;
	if (i < body->gap_count && body->gaps[i].at - place < *n)
		*n = (size_t)(body->gaps[i].at - place);
	return (off_t)(body->offset + place);
}

int
wirebody_read(const struct pst_body *body, uint64_t at, char *out, size_t n, size_t *n_out,
              struct pst_err *err)
{
	size_t have = 0;

	if (n > body->length - at)
		n = (size_t)(body->length - at);
	while (have < n) {
		size_t piece = n - have;
		off_t from = find_octets(body, at + have, &piece);
		ssize_t got = pread(body->fd, out + have, piece, from);

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

static int
digest(const struct pst_body *body, char *in, char *out, struct octets *o, struct pst_err *err)
{
	struct pop3_body b;
	uint64_t at;
	size_t n;

	pop3_body_retr(&b);
	for (at = 0; at < body->length; at += n) {
		struct pst_str piece = { in, 0 };

		if (wirebody_read(body, at, in, CHUNK, &n, err) != 0)
			return -1;
		for (piece.n = n; piece.n > 0;) {
			size_t put = pop3_body_feed(&b, &piece, out, CHUNK);

			octets_feed(o, (struct pst_str){ out, put });
		}
	}
	n = pop3_body_end(&b, out);
	octets_feed(o, (struct pst_str){ out, n });
	return 0;
}

int
wirebody_digest(const struct pst_storage *storage, struct pst_maildrop *drop, uint32_t idx,
                struct octets_digest *out, struct pst_err *err)
{
	struct pst_body body = { .fd = -1 };
	char *room;
	struct octets *o;
	int rc;

	if (storage->fetch(drop, idx, 0, &body, err) != PST_FETCH_OK)
		return -1;
	room = pst_realloc(NULL, 2 * CHUNK);
	o = octets_begin();
	rc = digest(&body, room, room + CHUNK, o, err);
	octets_end(o, out);
	free(room);
	wirebody_release(&body);
	return rc;
}
