/* SPDX-License-Identifier: MIT */
/* Reading stored messages; see stored.h. */
#include "pop3/stored.h"

#include <errno.h>
#include <unistd.h>

off_t
pop3_stored_find(const struct pst_body *body, uint64_t at, size_t *want)
{
	uint64_t place = at; /* counted from the body's offset */
	uint32_t i;

	for (i = 0; i < body->gap_count; i++) {
		const struct pst_gap *gap = &body->gaps[i];

		if (place < gap->at) {
			if (gap->at - place < *want)
				*want = (size_t)(gap->at - place);
			break;
		}
		place += gap->length;
	}
	return (off_t)(body->offset + place);
}

int
pop3_stored_read(const struct pst_body *body, uint64_t at, char *out, size_t n, size_t *n_out,
                 struct pst_err *err)
{
	size_t have = 0;

	while (have < n) {
		size_t want = n - have;
		off_t from = pop3_stored_find(body, at + have, &want);
		ssize_t got = pread(body->fd, out + have, want, from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return pst_err_sys(err, PST_E_TEMP, "read a message");
		if (got == 0)
			break;
		have += (size_t)got;
	}
	*n_out = have;
	return 0;
}

void
pop3_stored_release(struct pst_body *body)
{
	if (body->fd < 0)
		return;
	close(body->fd);
	body->fd = -1;
	if (body->done != NULL)
		body->done(body->arg);
}
