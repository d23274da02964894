/* SPDX-License-Identifier: MIT */
/* One pass over an mbox: headers line by line, all else many octets at a time; see scan.h. */
#include "storage/mbox/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "storage/index/hash.h"
#include "storage/mbox/sweep.h"

#define BUFFER ((size_t)256 * 1024)
#define LOOK (MBOX_FROM_MAX + MBOX_HEADER_MAX + MBOX_SAMPLE) /* < BUFFER */
#define LOOK_FIRST                                                                                 \
	((size_t)8 * 1024) /* mostly enough for the header, and moves less of the buffer */
#define EMPTY_LINES_MAX 2  /* after a Content-Length, before the next From_ line */

struct reader {
	int fd;
	uint64_t size; /* of the file, as far as we read */
	uint64_t base; /* where in the file buf begins */
	size_t have;
	char *buf;
	struct pst_err *err;
};

/* What one message is found to be on the way. */
struct walk {
	struct mbox_header header;
	size_t next_from; /* octets of the next From_ line, where it was looked at; else 0 */
	size_t kept;      /* octets in first */
	char first[MBOX_HEADER_MAX + MBOX_SAMPLE];
	char essence[MBOX_HEADER_MAX + MBOX_SAMPLE];
	uint64_t content_at; /* where it begins, */
	uint64_t end_at;     /* and ends */
	uint64_t next_at;    /* the next From_ line, or the end of the file */
	uint64_t bare;       /* LFs without CR in it */
	char last;           /* its last octet */
};

bool
mbox_read(int fd, void *out, size_t n, uint64_t at, bool nowait)
{
	char *to = out;

	while (n > 0) {
		struct iovec iov = { to, n };
		ssize_t got = nowait ? preadv2(fd, &iov, 1, (off_t)at, RWF_NOWAIT)
		                     : pread(fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ENODATA;
		if (got <= 0)
			return false;
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static size_t
smaller(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

/* Makes n octets from at on lie in the buffer, or all up to the end. *out is what lies there. */
static int
look(struct reader *r, uint64_t at, size_t n, struct pst_str *out)
{
	size_t skip = (size_t)(at - r->base), fill;

	if (at + n > r->base + r->have && r->base + r->have < r->size) {
		memmove(r->buf, r->buf + skip, r->have - skip);
		r->base = at;
		r->have -= skip;
		skip = 0;
		fill = smaller(BUFFER - r->have, r->size - r->base - r->have);
		if (!mbox_read(r->fd, r->buf + r->have, fill, r->base + r->have, false))
			return pst_err_sys(r->err, PST_E_TEMP, "read");
		r->have += fill;
	}
	*out = (struct pst_str){ r->buf + skip, r->have - skip };
	return 0;
}

/* ---- The end of a message ---- */

/* LFs without CR in s, which begins a line. */
static uint64_t
count_bare(struct pst_str s)
{
	return s.n == 0 ? 0 : (s.p[0] == '\n') + sweep_bare(s.p + 1, s.n - 1);
}

/* Whether a message that is said to end at end does: there is the end of the file, or a From_ line, at
 * the begin of a line. */
static bool
is_end(const struct reader *r, uint64_t end, uint64_t *next_out)
{
	char text[1 + 2 * EMPTY_LINES_MAX + MBOX_FROM_MAX];
	uint64_t next = end;
	struct pst_str s;
	bool begins_line;
	unsigned i;
	size_t n;

	n = smaller(sizeof(text), r->size - end + 1);
	if (!mbox_read(r->fd, text, n, end - 1, false))
		return false;
	begins_line = text[0] == '\n';
	s = (struct pst_str){ text + 1, n - 1 };
	for (i = 0; i < EMPTY_LINES_MAX && (n = mbox_empty_line(s)) > 0; i++) {
		begins_line = true;
		s.p += n;
		s.n -= n;
		next += n;
	}
	if (next < r->size && (!begins_line || mbox_from_line(s) == 0))
		return false;
	*next_out = next;
	return true;
}

static bool
is_length_right(const struct reader *r, const struct walk *w, uint64_t *end_out, uint64_t *next_out)
{
	uint64_t body_at = w->content_at + w->header.header_octets;

	if (!w->header.has_length || !w->header.is_complete ||
	    w->header.content_length > r->size - body_at)
		return false;
	*end_out = body_at + w->header.content_length;
	return is_end(r, *end_out, next_out);
}

/* The same for a mark of ours; then the header is what that says. */
static bool
is_mark_right(const struct reader *r, struct walk *w)
{
	const struct mbox_header *h = &w->header;
	uint64_t at = w->content_at + h->mark_end;

	if (!h->has_mark || at > r->size || h->marked_octets > r->size - at)
		return false;
	w->end_at = at + h->marked_octets;
	return is_end(r, w->end_at, &w->next_at) &&
	       mbox_header_settle(&w->header, w->end_at - w->content_at);
}

/* Counts line ends from at, which is in the buffer with the octets before it, up to the known end. */
static int
walk_to_end(struct reader *r, struct walk *w, uint64_t at)
{
	struct pst_str s;
	size_t n;

	while (at < w->end_at) {
		if (look(r, at - SWEEP_BEFORE, SWEEP_BEFORE + 1, &s) != 0)
			return -1;
		n = smaller(s.n - SWEEP_BEFORE, w->end_at - at);
		w->bare += sweep_bare(s.p + SWEEP_BEFORE, n);
		w->last = s.p[SWEEP_BEFORE + n - 1];
		at += n;
	}
	return 0;
}

/* The octets of the empty line that ends before p and has room octets, at most, to begin in; 0: there is
 * none. */
static size_t
empty_before(const char *p, uint64_t room)
{
	if (room >= 1 && p[-1] == '\n' && p[-2] == '\n')
		return 1;
	return room >= 2 && p[-1] == '\n' && p[-2] == '\r' && p[-3] == '\n' ? 2 : 0;
}

/* The message ends before p, where the next one begins, or the file ends: an empty line of its body parts
 * it from that. */
static void
end_here(struct walk *w, const char *p, uint64_t body_at, uint64_t at)
{
	size_t empty = empty_before(p, at - body_at);

	w->next_at = at;
	w->end_at = at - empty;
	w->bare -= empty == 1;
	w->last = p[-1]; /* an empty line follows a line */
}

/* Whether a message begins with s, which lies at at: a From_ line after an empty one, be it the header's. */
static bool
is_next(struct walk *w, struct pst_str s, uint64_t body_at, uint64_t at)
{
	if (at == body_at ? !w->header.is_complete : empty_before(s.p, at - body_at) == 0)
		return false;
	w->next_from = mbox_from_line(s);
	return w->next_from > 0;
}

/* Looks for the next message from body_at on, which is in the buffer with the octets before it. */
static int
walk_to_next(struct reader *r, struct walk *w, uint64_t body_at)
{
	uint64_t at = body_at;
	struct pst_str s;
	size_t n;

	for (;;) {
		if (look(r, at - SWEEP_BEFORE, SWEEP_BEFORE + MBOX_FROM_MAX, &s) != 0)
			return -1;
		s.p += SWEEP_BEFORE;
		s.n -= SWEEP_BEFORE;
		n = sweep_to_from(s.p, s.n, &w->bare);
		at += n;
		s.p += n;
		s.n -= n;
		if (at == r->size)
			break;
		if (s.n < MBOX_FROM_MAX && at + s.n < r->size)
			continue; /* with all of the line */
		if (is_next(w, s, body_at, at))
			break;
		at++;
	}
	end_here(w, s.p, body_at, at);
	return 0;
}

/* ---- One message ---- */

static void
put_own(struct mbox_message *m, struct pst_str uidl)
{
	if (uidl.n > 0 && uidl.p != m->own_uidl)
		memcpy(m->own_uidl, uidl.p, uidl.n);
	m->own_uidl_octets = (uint8_t)uidl.n; /* <= UIDL_MAX */
}

/* By the policy's format, with the number that the header has, if that is right. */
static void
put_formatted(struct mbox_scan *s, const struct mbox_header *h, struct mbox_message *m)
{
	struct uidl_values v = { .validity = (uint32_t)s->uid_validity,
		                 .header_md5 = { m->header_md5, 32 },
		                 .md5 = s->host->md5 };
	struct pst_err err;
	uint64_t uid = 0;
	int n;

	if (s->policy->has_uid) {
		if (s->uid_validity == 0 || !pst_str_u64(h->x_uid, &uid) || uid <= s->highest_uid ||
		    uid > s->last_uid)
			return;
		s->highest_uid = uid;
		v.uid = (uint32_t)uid; /* <= last_uid */
	}
	n = uidl_render(s->policy->format, &v, m->own_uidl, UIDL_MAX, &err);
	put_own(m, (struct pst_str){ m->own_uidl, n < 0 ? 0 : (size_t)n });
	if (!uidl_is_valid((struct pst_str){ m->own_uidl, m->own_uidl_octets }))
		m->own_uidl_octets = 0;
}

#define TPOP3D_OCTETS 512 /* of an mbox's message, from its From_ line on */

/* begin: the message from its From_ line on, as far as it lies in the buffer. */
static void
own_uidl(struct mbox_scan *s, const struct mbox_header *h, bool is_marked, struct pst_str begin,
         struct mbox_message *m)
{
	const struct pst_str header = { begin.p + h->from_octets, h->header_octets };
	uint8_t sum[16];

	m->own_uidl_octets = 0;
	if (s->policy->kind == UIDL_TEMPLATE && s->policy->has_header)
		(void)uidl_header_md5(s->host->md5, header, m->header_md5);
	if (is_marked) {
		put_own(m, h->marked_uidl);
		return;
	}
	switch (s->policy->kind) {
	case UIDL_XUIDL:
		if (uidl_is_valid(h->x_uidl))
			put_own(m, h->x_uidl);
		break;
	case UIDL_POPA3D:
		put_own(m, uidl_popa3d(s->host->md5, header, m->own_uidl));
		break;
	case UIDL_TPOP3D:
		s->host->md5(begin.p, smaller(begin.n, TPOP3D_OCTETS), sum);
		put_own(m, uidl_hex(sum, sizeof(sum), m->own_uidl));
		break;
	case UIDL_TEMPLATE:
		put_formatted(s, h, m);
		break;
	case UIDL_NAME:
	case UIDL_DIGEST:
		break;
	}
}

static void
take_imapbase(struct mbox_scan *s, struct pst_str value)
{
	struct pst_str word = value;
	uint64_t validity, last;

	for (word.n = 0; word.n < value.n && pst_is_digit(value.p[word.n]); word.n++)
		;
	if (!pst_str_u64(word, &validity) || validity > UINT32_MAX || word.n == value.n)
		return;
	word.p += word.n + 1;
	value.n -= word.n + 1;
	for (word.n = 0; word.n < value.n && pst_is_digit(word.p[word.n]); word.n++)
		;
	if (!pst_str_u64(word, &last) || last > UINT32_MAX)
		return;
	s->uid_validity = validity;
	s->last_uid = last;
}

void
mbox_identify(const struct pst_host *host, char *essence, size_t n, uint64_t wire,
              char identity_out[MBOX_IDENTITY])
{
	static const char hex[] = "0123456789abcdef";
	char tail[24];
	uint8_t sum[32], both[64];
	size_t i;
	int len = snprintf(tail, sizeof(tail), "%llu", (unsigned long long)wire);

	host->sha256(essence, n, both);
	host->sha256(tail, (size_t)len, both + 32);
	host->sha256(both, sizeof(both), sum);
	for (i = 0; i < MBOX_IDENTITY / 2; i++) {
		identity_out[2 * i] = hex[sum[i] >> 4];
		identity_out[2 * i + 1] = hex[sum[i] & 15];
	}
}

static void
describe(const struct mbox_scan *s, struct walk *w, uint64_t at, struct mbox_message *m)
{
	const struct mbox_header *h = &w->header;
	uint64_t shown, hidden_bare = 0;
	bool ends_line = w->last == '\n';
	size_t n;
	uint32_t i;

	for (i = 0; i < h->gap_count; i++)
		hidden_bare += count_bare(
			(struct pst_str){ w->first + h->gaps[i].at, (size_t)h->gaps[i].length });
	m->offset = at;
	m->from = (uint16_t)h->from_octets; /* <= MBOX_FROM_MAX */
	m->content = w->end_at - w->content_at;
	m->between = (uint32_t)(w->next_at - w->end_at); /* two empty lines at most */
	shown = m->content - h->hidden_octets;
	if (i > 0 && h->gaps[i - 1].at + h->gaps[i - 1].length == m->content)
		ends_line = true; /* hidden ones begin a line */
	m->wire = shown + w->bare - hidden_bare + (shown > 0 && !ends_line ? 2 : 0);
	m->has_gaps = h->gap_count > 0;
	m->is_crlf = m->wire == shown;
	n = mbox_essence(h, (struct pst_str){ w->first, smaller(w->kept, m->content) }, w->essence);
	mbox_identify(s->host, w->essence, n, m->wire, m->identity);
}

/* Whether the message has a surrogate, and whether its header has an end: only one with octets beyond ASCII
 * in its header, or without an empty line, which is rare, is read again for that. */
static int
survey_header(const struct mbox_scan *s, const struct reader *r, const struct walk *w,
              struct mbox_message *m)
{
	const struct mbox_header *h = &w->header;
	const struct pst_body body = {
		.fd = r->fd,
		.offset = mbox_content_at(m),
		.length = m->content - h->hidden_octets,
		.gaps = h->gaps,
		.gap_count = h->gap_count,
	};
	struct pst_measured measured = { .surrogate_octets = 0 };
	struct pst_str header = { w->first, smaller(h->header_octets, w->kept) };

	if ((!h->is_complete || !sweep_is_ascii(header)) &&
	    s->host->survey(&body, &measured, r->err) != 0)
		return -1;
	m->surrogate = measured.surrogate_octets;
	m->has_no_header_end = measured.has_no_header_end;
	m->surrogate_rules = (uint8_t)s->host->surrogate_rules;
	return 0;
}

/* The message that begins at at: *view_out is it as far as w->header needs it, and what is looked at
 * besides. */
static int
look_at_header(struct reader *r, struct walk *w, uint64_t at, struct pst_str *view_out)
{
	const struct mbox_header *h = &w->header;
	size_t from = w->next_from, n;

	w->next_from = 0;
	for (n = LOOK_FIRST;; n = LOOK) {
		if (look(r, at, n, view_out) != 0)
			return -1;
		if (from == 0)
			from = mbox_from_line(*view_out);
		mbox_header_after(*view_out, from, at == 0, &w->header);
		if (n == LOOK || at + view_out->n == r->size)
			return 0;
		if (h->is_complete &&
		    view_out->n >= h->from_octets + h->header_octets + MBOX_SAMPLE)
			return 0;
	}
}

/* One that begins at at; *next_out is where the next one does. */
static int
scan_message(struct mbox_scan *s, struct reader *r, struct walk *w, uint64_t at, uint64_t *next_out)
{
	struct mbox_message *m;
	struct pst_str view, begin;
	uint64_t body_at;
	bool is_marked;
	int rc;

	if (look_at_header(r, w, at, &view) != 0)
		return -1;
	if (w->header.from_octets == 0)
		return pst_err_set(r->err, PST_E_PERM, "not an mbox: no From_ line at octet %llu",
		                   (unsigned long long)at);
	begin = view;
	view.p += w->header.from_octets;
	view.n -= w->header.from_octets;
	w->content_at = at + w->header.from_octets;
	is_marked = is_mark_right(r, w);
	w->kept = smaller(view.n, w->header.header_octets + MBOX_SAMPLE);
	if (w->kept > 0)
		memcpy(w->first, view.p, w->kept);
	body_at = w->content_at + w->header.header_octets;
	w->bare = count_bare((struct pst_str){ view.p, w->header.header_octets });
	w->last = w->header.header_octets == 0 ? '\n' : view.p[w->header.header_octets - 1];
	if (w->header.x_imapbase.n > 0 && at == 0)
		take_imapbase(s, w->header.x_imapbase);
	if (s->count == s->max_messages)
		return pst_err_set(r->err, PST_E_PERM,
		                   "more than storage.mbox.max_messages, %llu, messages",
		                   (unsigned long long)s->max_messages);
	if (mem_grow(&s->mem, (s->count + 1) * sizeof(*s->messages), SIZE_MAX / 8) != 0)
		return pst_err_set(r->err, PST_E_TEMP, "no memory to list the maildrop");
	s->messages = s->mem.p;
	m = &s->messages[s->count];
	*m = (struct mbox_message){ .offset = at };
	/* Now: the values lie in the buffer, which moves. */
	m->print = index_hash(begin.p, w->header.from_octets, 0);
	own_uidl(s, &w->header, is_marked, begin, m);
	if (is_marked || is_length_right(r, w, &w->end_at, &w->next_at))
		rc = walk_to_end(r, w, body_at);
	else
		rc = walk_to_next(r, w, body_at);
	if (rc != 0)
		return -1;
	describe(s, w, at, m);
	if (survey_header(s, r, w, m) != 0)
		return -1;
	if (!w->header.is_internal)
		s->count++;
	*next_out = w->next_at;
	return 0;
}

/* What the first message says of UIDs; for a reader that begins behind it. */
static int
read_imapbase(struct mbox_scan *s, struct reader *r, struct walk *w)
{
	size_t n = smaller(sizeof(w->first), r->size);

	if (!mbox_read(r->fd, w->first, n, 0, false))
		return pst_err_sys(r->err, PST_E_TEMP, "read");
	mbox_header((struct pst_str){ w->first, n }, true, &w->header);
	if (w->header.x_imapbase.n > 0)
		take_imapbase(s, w->header.x_imapbase);
	return 0;
}

/* Empty lines before the first From_ line. */
static int
skip_empty(struct reader *r, uint64_t *at)
{
	struct pst_str s;
	size_t n;

	while (*at < r->size) {
		if (look(r, *at, 2, &s) != 0)
			return -1;
		n = mbox_empty_line(s);
		if (n == 0)
			break;
		*at += n;
	}
	return 0;
}

int
mbox_scan(struct mbox_scan *s, int fd, uint64_t at, uint64_t size, struct pst_err *err)
{
	struct reader r = { .fd = fd, .size = size, .base = at, .err = err };
	struct walk *w = mem_new(sizeof(*w));
	struct mem mem = { NULL, 0 };
	int rc = -1;

	if (mem_get(&mem, BUFFER) != 0) {
		pst_err_set(err, PST_E_TEMP, "no memory to read the maildrop");
		goto out;
	}
	r.buf = mem.p;
	if (at == 0 && skip_empty(&r, &at) != 0)
		goto out;
	if (at > 0 && s->policy->has_uid && read_imapbase(s, &r, w) != 0)
		goto out;
	while (at < size)
		if (scan_message(s, &r, w, at, &at) != 0)
			goto out;
	rc = 0;
out:
	mem_drop(&mem);
	free(w);
	return rc;
}

void
mbox_scan_clear(struct mbox_scan *s)
{
	mem_drop(&s->mem);
	s->messages = NULL;
	s->count = 0;
}
