/* SPDX-License-Identifier: MIT */
/* One message. No lock is held: other programs may have delivered since, which moves nothing, or
 * changed the file, which does. So where the file no longer looks as it did, what lies at the place
 * is compared with what was listed before it is given. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/index/cached.h"
#include "storage/index/stale.h"
#include "storage/mbox/mbox.h"

static enum pst_fetch_result
fail(struct pst_maildrop *d, uint32_t idx, struct pst_err *err)
{
	if (errno == ESTALE) {
		pst_err_sys(err, PST_E_TEMP, "%s: read message %u", d->path, idx + 1);
		return PST_FETCH_ERROR;
	}
	d->is_doubtful = true;
	pst_err_set(err, PST_E_TEMP,
	            "%s: message %u is not where it was; another program changed the file", d->path,
	            idx + 1);
	return PST_FETCH_ERROR;
}

/* The hidden headers of message m. malloc'ed; NULL: they could not be read at once. */
static struct pst_gap *
read_gaps(const struct pst_maildrop *d, const struct mbox_message *m, bool nowait,
          uint32_t *count_out, uint64_t *hidden_out)
{
	size_t max = MBOX_FROM_MAX + MBOX_HEADER_MAX;
	size_t n = m->from + m->content < max ? (size_t)(m->from + m->content) : max;
	struct mbox_header *h = mem_new(sizeof(*h));
	char *text = mem_new(n);
	struct pst_gap *gaps = NULL;

	if (mbox_read(d->fd, text, n, m->offset, nowait)) {
		mbox_header((struct pst_str){ text, n }, false, h);
		(void)mbox_header_settle(h, m->content);
		gaps = mem_new((h->gap_count + 1) * sizeof(*gaps));
		memcpy(gaps, h->gaps, h->gap_count * sizeof(*gaps));
		*count_out = h->gap_count;
		*hidden_out = h->hidden_octets;
	}
	free(text);
	free(h);
	return gaps;
}

static enum pst_fetch_result
give(struct pst_maildrop *d, uint32_t idx, const struct mbox_message *m, bool nowait,
     struct pst_body *out, struct pst_err *err)
{
	struct pst_gap *gaps = NULL;
	uint32_t count = 0;
	uint64_t hidden = 0;
	int fd;

	if (m->has_gaps) {
		gaps = read_gaps(d, m, nowait, &count, &hidden);
		if (gaps == NULL)
			return nowait ? PST_FETCH_WAIT : fail(d, idx, err);
	}
	fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		free(gaps);
		pst_err_sys(err, PST_E_TEMP, "%s: open", d->path);
		return PST_FETCH_ERROR;
	}
	*out = (struct pst_body){
		.fd = fd,
		.offset = mbox_content_at(m),
		.length = m->content - hidden,
		.crlf = m->is_crlf,
		.done = gaps == NULL ? NULL : free,
		.arg = gaps,
		.gaps = gaps,
		.gap_count = count,
	};
	return PST_FETCH_OK;
}

/* A drop of mbox_open_now has not opened the file yet. */
static enum pst_fetch_result
open_late(struct pst_maildrop *d, uint32_t idx, bool nowait, struct pst_err *err)
{
	if (!nowait) {
		d->fd = mbox_open_file(d, O_RDONLY);
		return d->fd < 0 ? fail(d, idx, err) : PST_FETCH_OK;
	}
	d->fd = cached_open(AT_FDCWD, d->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	return d->fd < 0 ? PST_FETCH_WAIT : PST_FETCH_OK;
}

static enum pst_fetch_result
fetch_once(struct pst_maildrop *d, uint32_t idx, bool nowait, struct pst_body *body_out,
           struct pst_err *err)
{
	struct index_message im;
	struct index_place now;
	struct mbox_message m;
	enum pst_fetch_result result;
	int there;

	mbox_at(&d->index, idx, &im, &m);
	if (d->fd < 0 && (result = open_late(d, idx, nowait, err)) != PST_FETCH_OK)
		return result;
	if (index_place_look(d->fd, "", &now, err) != 0)
		return PST_FETCH_ERROR;
	if (!index_place_same(&now, &d->seen)) {
		there = mbox_is_there(d, d->fd, &d->index, idx, now.octets, nowait);
		if (there < 0)
			return PST_FETCH_WAIT;
		if (there == 0)
			return fail(d, idx, err);
	}
	return give(d, idx, &m, nowait, body_out, err);
}

enum pst_fetch_result
mbox_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags, struct pst_body *body_out,
           struct pst_err *err)
{
	const bool nowait = (flags & PST_FETCH_NOWAIT) != 0;
	enum pst_fetch_result result = PST_FETCH_ERROR;
	unsigned attempt;

	for (attempt = 0; attempt < STALE_ATTEMPTS; attempt++) {
		errno = 0;
		result = fetch_once(d, idx, nowait, body_out, err);
		/* Without a file of our own it is this descriptor that bears the session's lock. */
		if (result != PST_FETCH_ERROR || !stale_is(err) || d->session_fd < 0)
			break;
		if (d->fd >= 0)
			close(d->fd);
		d->fd = -1; /* it is opened late */
	}
	return result;
}
