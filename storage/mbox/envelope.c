/* SPDX-License-Identifier: MIT */
/* What an mbox tells of a message beside its octets: the From_ line and the Status header. */
#include <stdlib.h>
#include <string.h>

#include "storage/mbox/mbox.h"

/* The From_ line and the header of message idx, where they are still what was listed. malloc'ed text;
 * NULL with err. */
static char *
read_front(struct pst_maildrop *d, uint32_t idx, struct mbox_message *m, size_t *n_out,
           struct pst_err *err)
{
	const size_t max = MBOX_FROM_MAX + MBOX_HEADER_MAX;
	struct index_message im;
	struct index_place now;
	char *text;

	mbox_at(&d->index, idx, &im, m);
	*n_out = m->from + m->content < max ? (size_t)(m->from + m->content) : max;
	if (index_place_look(d->fd, "", &now, err) != 0)
		return NULL;
	text = mem_new(*n_out + 1);
	if ((index_place_same(&now, &d->seen) ||
	     mbox_is_there(d, d->fd, &d->index, idx, now.octets, false) == 1) &&
	    mbox_read(d->fd, text, *n_out, m->offset, false))
		return text;
	pst_err_set(err, PST_E_TEMP, "%s: message %u is not where it was", d->path, idx + 1);
	free(text);
	return NULL;
}

int
mbox_received(struct pst_maildrop *d, uint32_t idx, int64_t *received_s_out, struct pst_err *err)
{
	struct mbox_message m;
	struct pst_str sender;
	size_t n;
	char *text = read_front(d, idx, &m, &n, err);

	if (text == NULL)
		return -1;
	mbox_from_parts((struct pst_str){ text, n }, &sender, received_s_out);
	if (*received_s_out < 0)
		*received_s_out = 0;
	free(text);
	return 0;
}

int
mbox_envelope(struct pst_maildrop *d, uint32_t idx, struct pst_envelope *out, struct pst_err *err)
{
	struct mbox_header *h;
	struct mbox_message m;
	int64_t when_s;
	size_t n;
	char *text = read_front(d, idx, &m, &n, err);

	if (text == NULL)
		return -1;
	free(d->envelope);
	d->envelope = text;
	h = mem_new(sizeof(*h));
	mbox_header((struct pst_str){ text, n }, false, h);
	(void)mbox_header_settle(h, m.content);
	out->is_seen = h->status.n > 0 && memchr(h->status.p, 'R', h->status.n) != NULL;
	mbox_from_parts((struct pst_str){ text, n }, &out->sender, &when_s);
	free(h);
	return 0;
}
