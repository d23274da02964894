/* SPDX-License-Identifier: MIT */
/* From stored octets to those of the wire; see wirebody.h. */
#include "ctl/wirebody.h"

#include "base/mem.h"
#include "pop3/body.h"
#include "pop3/stored.h"

#define CHUNK ((size_t)128 * 1024)

int
wirebody_read(const struct pst_body *body, uint64_t at, char *out, size_t n, size_t *n_out,
              struct pst_err *err)
{
	if (n > body->length - at)
		n = (size_t)(body->length - at);
	if (pop3_stored_read(body, at, out, n, n_out, err) != 0)
		return -1;
	if (*n_out < n)
		return pst_err_set(err, PST_E_TEMP, "a message ends before its end");
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
	pop3_stored_release(&body);
	return rc;
}
