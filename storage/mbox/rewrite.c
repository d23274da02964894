/* SPDX-License-Identifier: MIT */
/* Removing messages so that none is lost, whatever is killed or full; see rewrite.h. */
#include "storage/mbox/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/hash.h"
#include "storage/index/mem.h"
#include "storage/mbox/scan.h"

#define CHUNK ((size_t)512 * 1024)
#define MARK_ROOM 192
#define NONCE 16

enum state {
	STATE_NONE,
	STATE_COPYING, /* what was there is as it was */
	STATE_MOVING,  /* the copy is whole */
	STATE_ADDING,  /* len octets behind size are not whole yet */
};

/* As it lies in the note's file; read only by the host that wrote it, or one like it. */
struct note {
	char magic[8];
	uint64_t seq; /* one more at each writing: the higher of the two counts */
	uint64_t state;
	uint64_t dev, ino;
	uint64_t size; /* of the mbox before: where the first mark begins */
	uint64_t cut;  /* the first octet that changes */
	uint64_t len;  /* of what stays behind it: it comes to cut */
	uint64_t junk; /* not 0: from cut to here lies nothing of worth; whatever comes, it goes */
	uint64_t head, tail; /* octets of the marks */
	uint64_t sum;        /* of the copy, from STATE_MOVING on */
	uint8_t nonce[NONCE];
	uint64_t own_sum;
};

#define MAGIC "PSTMBOX1"

/* Two places, written in turn, so that a torn note leaves the one before it. */
#define SLOT_OCTETS 512

static bool
write_all(int fd, const void *p, size_t n, uint64_t at)
{
	const char *from = p;

	while (n > 0) {
		ssize_t got = pwrite(fd, from, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		from += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

/* ---- The note ---- */

static uint64_t
note_sum(const struct note *note)
{
	return index_hash(note, offsetof(struct note, own_sum), 7);
}

static int
put_note(const struct rewrite *rw, struct note *note, enum state state, struct pst_err *err)
{
	memcpy(note->magic, MAGIC, sizeof(note->magic));
	note->state = state;
	note->seq++;
	note->own_sum = note_sum(note);
	if (!write_all(rw->note_fd, note, sizeof(*note), note->seq % 2 * SLOT_OCTETS) ||
	    fdatasync(rw->note_fd) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: write the note of what is removed",
		                   rw->path);
	return 0;
}

static bool
wipe_note(const struct rewrite *rw)
{
	static const char none[2 * SLOT_OCTETS];

	return write_all(rw->note_fd, none, sizeof(none), 0);
}

static void
drop_note(const struct rewrite *rw)
{
	(void)wipe_note(rw); /* one that stays finds nothing to do */
}

static bool
get_slot(int fd, unsigned slot, struct note *note)
{
	return mbox_read(fd, note, sizeof(*note), slot * SLOT_OCTETS, false) &&
	       memcmp(note->magic, MAGIC, sizeof(note->magic)) == 0 &&
	       note->own_sum == note_sum(note) && note->state != STATE_NONE;
}

static bool
get_note(int fd, struct note *note)
{
	struct note other;
	bool has_one, has_other;

	if (fd < 0)
		return false;
	has_one = get_slot(fd, 0, note);
	has_other = get_slot(fd, 1, &other);
	if (has_other && (!has_one || other.seq > note->seq))
		*note = other;
	return has_one || has_other;
}

bool
rewrite_is_pending(int note_fd)
{
	struct note note;

	return get_note(note_fd, &note);
}

/* ---- Marks ---- */

static size_t
make_mark(const struct note *note, bool is_head, unsigned newlines, char out[MARK_ROOM])
{
	char hex[2 * NONCE + 1];
	size_t i;

	for (i = 0; i < NONCE; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", note->nonce[i]);
	return (size_t)snprintf(out, MARK_ROOM,
	                        "%sFrom MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
	                        "Subject: messages are being removed (%s)\nX-Postern: %s\n\n",
	                        &"\n\n"[2 - newlines], is_head ? "begin" : "end", hex);
}

/* How many line ends are wanted before a mark so that it begins after an empty line. */
static bool
newlines_wanted(const struct rewrite *rw, uint64_t size, unsigned *out)
{
	char end[3] = { '\n', '\n', '\n' };
	size_t n = size < 3 ? (size_t)size : 3;

	if (!mbox_read(rw->fd, end + 3 - n, n, size - n, false))
		return false;
	if (end[2] != '\n')
		*out = 2;
	else
		*out = end[1] == '\n' || (end[1] == '\r' && end[0] == '\n') ? 0 : 1;
	return true;
}

/* The mark as it was written. */
static void
recall_mark(const struct note *note, bool is_head, char out[MARK_ROOM])
{
	unsigned newlines = 0;

	while (make_mark(note, is_head, newlines, out) != (is_head ? note->head : note->tail) &&
	       newlines < 2)
		newlines++;
}

/* Where the mark at at ends: it may be torn, and mail may have come right behind it. at where there is
 * none. */
static uint64_t
find_mark_end(const struct rewrite *rw, const struct note *note, bool is_head, uint64_t size)
{
	uint64_t at = is_head ? note->size : note->size + note->head + note->len;
	size_t octets = (size_t)(is_head ? note->head : note->tail), same = 0, n;
	char want[MARK_ROOM], found[MARK_ROOM + MBOX_FROM_MAX];

	if (size <= at || octets >= MARK_ROOM)
		return at;
	n = size - at < sizeof(found) ? (size_t)(size - at) : sizeof(found);
	if (!mbox_read(rw->fd, found, n, at, false))
		return at;
	recall_mark(note, is_head, want);
	while (same < octets && same < n && found[same] == want[same])
		same++;
	if (same == octets || at + same == size)
		return at + same;
	for (; same > 2; same--) /* the mark itself begins with its line ends, two at most */
		if (mbox_from_line((struct pst_str){ found + same, n - same }) > 0)
			return at + same;
	return at;
}

static bool
is_mark_there(const struct rewrite *rw, const struct note *note, bool is_head, uint64_t size)
{
	uint64_t end = is_head ? note->size + note->head
	                       : note->size + note->head + note->len + note->tail;

	return find_mark_end(rw, note, is_head, size) == end;
}

/* ---- Copying ---- */

struct copy {
	const struct rewrite *rw;
	char *buf;     /* CHUNK */
	size_t have;   /* octets in it */
	uint64_t to;   /* where they go */
	uint64_t sum;  /* of all that went */
	bool is_check; /* nothing is written */
};

static bool
flush(struct copy *c)
{
	c->sum = index_hash(c->buf, c->have, c->sum);
	if (!c->is_check && !write_all(c->rw->fd, c->buf, c->have, c->to))
		return false;
	if (c->rw->lock != NULL)
		lock_keep(c->rw->lock);
	c->to += c->have;
	c->have = 0;
	return true;
}

/* Always whole chunks, so that the sum does not depend on where pieces end. */
static bool
copy_range(struct copy *c, uint64_t at, uint64_t end)
{
	while (at < end) {
		size_t n = end - at < CHUNK - c->have ? (size_t)(end - at) : CHUNK - c->have;

		if (!mbox_read(c->rw->fd, c->buf + c->have, n, at, false))
			return false;
		c->have += n;
		at += n;
		if (c->have == CHUNK && !flush(c))
			return false;
	}
	return true;
}

/* ---- Removing ---- */

static bool
copy_behind(struct copy *c, struct note *note, const struct rewrite_range *stay, uint32_t n)
{
	char mark[MARK_ROOM];
	unsigned newlines;
	uint32_t i;

	if (!newlines_wanted(c->rw, note->size, &newlines))
		return false;
	if (!write_all(c->rw->fd, mark, make_mark(note, true, newlines, mark), note->size) ||
	    !write_all(c->rw->fd, mark, make_mark(note, false, newlines, mark),
	               note->size + note->head + note->len))
		return false;
	c->to = note->size + note->head;
	for (i = 0; i < n; i++)
		if (!copy_range(c, stay[i].at, stay[i].end))
			return false;
	if (c->have > 0 && !flush(c))
		return false;
	note->sum = c->sum;
	return fdatasync(c->rw->fd) == 0;
}

/* The copy comes to its place. */
static bool
move_down(struct copy *c, const struct note *note)
{
	uint64_t from = note->size + note->head;

	*c = (struct copy){ .rw = c->rw, .buf = c->buf, .to = note->cut };
	return copy_range(c, from, from + note->len) && (c->have == 0 || flush(c)) &&
	       fdatasync(c->rw->fd) == 0;
}

static int
prepare(const struct rewrite *rw, uint64_t cut, const struct rewrite_range *stay, uint32_t n,
        struct note *note, struct pst_err *err)
{
	char mark[MARK_ROOM];
	unsigned newlines;
	struct stat st;
	uint32_t i;

	if (fstat(rw->fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: stat", rw->path);
	*note = (struct note){ .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size };
	note->cut = cut;
	for (i = 0; i < n; i++) {
		if (stay[i].end > note->size)
			return pst_err_set(err, PST_E_TEMP, "%s: shorter than it was", rw->path);
		note->len += stay[i].end - stay[i].at;
	}
	rw->host->random(note->nonce, sizeof(note->nonce));
	if (!newlines_wanted(rw, note->size, &newlines))
		return pst_err_sys(err, PST_E_TEMP, "%s: read", rw->path);
	note->head = make_mark(note, true, newlines, mark);
	note->tail = make_mark(note, false, newlines, mark);
	return 0;
}

static int
take_back(const struct rewrite *rw, const struct note *note, struct pst_err *err)
{
	pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
	/* a note of junk stays: the junk does, too */
	if (ftruncate(rw->fd, (off_t)note->size) == 0 && note->junk == 0)
		drop_note(rw);
	return -1;
}

/* From cut on the file holds what stay names, in this order, and nothing else. junk_end: the end of the
 * junk, if that is what goes. */
static int
replace_tail(const struct rewrite *rw, uint64_t cut, const struct rewrite_range *stay, uint32_t n,
             const struct note *junk_of, uint64_t junk_end, struct pst_err *err)
{
	struct copy c = { .rw = rw };
	struct mem mem = { NULL, 0 };
	struct note note;
	int rc = -1;

	if (prepare(rw, cut, stay, n, &note, err) != 0)
		return -1;
	if (note.len == 0) {
		if (ftruncate(rw->fd, (off_t)note.cut) != 0)
			return pst_err_sys(err, PST_E_TEMP, "%s: cut", rw->path);
		return 0;
	}
	if (rw->note_fd < 0)
		return pst_err_set(err, PST_E_PERM,
		                   "%s: its folder lets us make no file beside it: set "
		                   "storage.mbox.index_dir",
		                   rw->path);
	if (mem_get(&mem, CHUNK) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to remove messages");
	c.buf = mem.p;
	if (junk_of != NULL) { /* the number by which its end is known again */
		memcpy(note.nonce, junk_of->nonce, sizeof(note.nonce));
		note.seq = junk_of->seq;
		note.junk = junk_end;
	}
	if (put_note(rw, &note, STATE_COPYING, err) != 0) {
		if (junk_of == NULL)
			drop_note(rw);
		goto out;
	}
	if (!copy_behind(&c, &note, stay, n) || put_note(rw, &note, STATE_MOVING, err) != 0) {
		(void)take_back(rw, &note, err);
		goto out;
	}
	if (!move_down(&c, &note)) {
		pst_err_sys(err, PST_E_TEMP, "%s: write; the next session finishes it", rw->path);
		goto out;
	}
	if (ftruncate(rw->fd, (off_t)(note.cut + note.len)) != 0) {
		pst_err_sys(err, PST_E_TEMP, "%s: cut; the next session does it", rw->path);
		goto out;
	}
	drop_note(rw);
	rc = 0;
out:
	mem_drop(&mem);
	return rc;
}

static int
remove_ranges(const struct rewrite *rw, const struct rewrite_range *ranges, uint32_t n,
              const struct note *junk_of, struct pst_err *err)
{
	struct mem mem = { NULL, 0 };
	struct rewrite_range *stay;
	struct stat st;
	uint32_t i;
	int rc;

	if (fstat(rw->fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: stat", rw->path);
	if (ranges[n - 1].end > (uint64_t)st.st_size)
		return pst_err_set(err, PST_E_TEMP, "%s: shorter than it was", rw->path);
	if (mem_get(&mem, n * sizeof(*stay)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to remove messages");
	stay = mem.p;
	for (i = 0; i < n; i++)
		stay[i] = (struct rewrite_range){ ranges[i].end, i + 1 < n ? ranges[i + 1].at
			                                                   : (uint64_t)st.st_size };
	rc = replace_tail(rw, ranges[0].at, stay, n, junk_of, ranges[0].end, err);
	mem_drop(&mem);
	return rc;
}

int
rewrite_remove(const struct rewrite *rw, const struct rewrite_range *ranges, uint32_t n,
               struct pst_err *err)
{
	return n == 0 ? 0 : remove_ranges(rw, ranges, n, NULL, err);
}

int
rewrite_arrange(const struct rewrite *rw, const struct rewrite_range *pieces, uint32_t n,
                struct pst_err *err)
{
	uint64_t at = 0;
	uint32_t i;

	for (i = 0; i < n && pieces[i].at == at; i++)
		at = pieces[i].end;
	return i == n ? 0 : replace_tail(rw, at, pieces + i, n - i, NULL, 0, err);
}

/* ---- Adding ---- */

int
rewrite_newlines(const struct rewrite *rw, uint64_t size)
{
	unsigned n;

	return newlines_wanted(rw, size, &n) ? (int)n : -1;
}

/* The room is made by one call, so that whatever another program adds after a crash comes behind it. */
int
rewrite_add_begin(const struct rewrite *rw, uint64_t octets, uint64_t *at_out, struct pst_err *err)
{
	struct note note;
	struct stat st;

	if (rw->note_fd < 0)
		return pst_err_set(err, PST_E_PERM,
		                   "%s: its folder lets us make no file beside it: set "
		                   "storage.mbox.index_dir",
		                   rw->path);
	if (fstat(rw->fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: stat", rw->path);
	note = (struct note){ .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size };
	note.len = octets;
	if (octets > INT64_MAX - note.size)
		return pst_err_set(err, PST_E_PERM, "%s: larger than a file can be", rw->path);
	rw->host->random(note.nonce, sizeof(note.nonce));
	if (put_note(rw, &note, STATE_ADDING, err) != 0) {
		drop_note(rw);
		return -1;
	}
	if (ftruncate(rw->fd, (off_t)(note.size + octets)) != 0) {
		pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
		drop_note(rw);
		return -1;
	}
	*at_out = note.size;
	return 0;
}

void
rewrite_add_undo(const struct rewrite *rw)
{
	struct note note;

	if (get_note(rw->note_fd, &note) && note.state == STATE_ADDING &&
	    ftruncate(rw->fd, (off_t)note.size) == 0)
		drop_note(rw);
}

/* A note that stayed would take back what was said to be there. */
int
rewrite_add_end(const struct rewrite *rw, struct pst_err *err)
{
	struct note note;

	if (!get_note(rw->note_fd, &note) || note.state != STATE_ADDING)
		return pst_err_set(err, PST_E_TEMP, "%s: the note of what is added is gone",
		                   rw->path);
	if (fdatasync(rw->fd) == 0 && wipe_note(rw) && fdatasync(rw->note_fd) == 0)
		return 0;
	pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
	if (ftruncate(rw->fd, (off_t)note.size) == 0)
		drop_note(rw);
	return -1;
}

/* ---- Recovery ---- */

/* Whether one of the note's marks ends at end: whatever happened to the file since, it is ours up to
 * there. */
static bool
is_end_of_junk(const struct rewrite *rw, const struct note *note, uint64_t end)
{
	char want[MARK_ROOM], found[MARK_ROOM];
	size_t n;
	int is_head;

	for (is_head = 0; is_head < 2; is_head++) {
		n = make_mark(note, is_head == 1, 0, want);
		if (end >= n && mbox_read(rw->fd, found, n, end - n, false) &&
		    memcmp(want, found, n) == 0)
			return true;
	}
	return false;
}

static int
remove_junk(const struct rewrite *rw, const struct note *note, uint64_t at, uint64_t end,
            struct pst_err *err)
{
	const struct rewrite_range junk = { at, end };

	if (at >= end)
		return 0;
	return remove_ranges(rw, &junk, 1, note, err);
}

/* The tail mark is written while what lies before it is a hole yet. */
static bool
is_hole(const struct rewrite *rw, const struct note *note)
{
	char first;

	return mbox_read(rw->fd, &first, 1, note->size + note->head, false) && first == '\0';
}

/* The copy was not whole: what the file was before counts. */
static int
recover_copying(const struct rewrite *rw, const struct note *note, uint64_t size,
                struct pst_err *err)
{
	uint64_t end = find_mark_end(rw, note, true, size), tail_at, tail;

	if (end == note->size + note->head) {
		tail_at = end + note->len;
		tail = find_mark_end(rw, note, false, size);
		if (tail == tail_at + note->tail || (tail > tail_at && is_hole(rw, note)))
			end = tail;
	}
	if (remove_junk(rw, note, note->size, end, err) != 0)
		return -1;
	if (note->junk == 0 || !is_end_of_junk(rw, note, note->junk))
		return 0;
	return remove_junk(rw, note, note->cut, note->junk, err);
}

static int
recover_moving(const struct rewrite *rw, const struct note *note, uint64_t size,
               struct pst_err *err)
{
	uint64_t copy = note->size + note->head;
	struct mem mem = { NULL, 0 };
	struct copy c = { .rw = rw, .is_check = true };
	int rc = -1;

	if (!is_mark_there(rw, note, true, size))
		return 0; /* it had been cut */
	if (mem_get(&mem, CHUNK) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory to remove messages");
	c.buf = mem.p;
	if (!copy_range(&c, copy, copy + note->len) || (c.have > 0 && !flush(&c))) {
		pst_err_sys(err, PST_E_TEMP, "%s: read", rw->path);
	} else if (c.sum != note->sum) {
		rw->host->log(rw->host, PST_LOG_ERROR, "mbox.changed_after_crash",
		              "path=%s: another program changed it before an unfinished removal "
		              "was seen to; messages may be there twice",
		              rw->path);
		rc = 0;
	} else if (!move_down(&c, note)) {
		pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
	} else {
		rc = remove_junk(rw, note, note->cut + note->len, copy + note->len + note->tail,
		                 err);
	}
	mem_drop(&mem);
	return rc;
}

/* What was being added goes again, and what came behind it stays. The mark at its end is for the case
 * that this is broken off, too. */
static int
recover_adding(const struct rewrite *rw, const struct note *note, uint64_t size,
               struct pst_err *err)
{
	uint64_t end = note->size + note->len;
	char mark[MARK_ROOM];
	size_t n = make_mark(note, false, 0, mark);

	if (size < end) /* there was no room yet */
		return 0;
	if (size > end && note->len >= n &&
	    (!write_all(rw->fd, mark, n, end - n) || fdatasync(rw->fd) != 0))
		return pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
	return remove_junk(rw, note, note->size, end, err);
}

static int
recover_one(const struct rewrite *rw, const struct note *note, uint64_t size, struct pst_err *err)
{
	switch (note->state) {
	case STATE_COPYING:
		return recover_copying(rw, note, size, err);
	case STATE_ADDING:
		return recover_adding(rw, note, size, err);
	default:
		return recover_moving(rw, note, size, err);
	}
}

int
rewrite_recover(const struct rewrite *rw, struct pst_err *err)
{
	struct stat st;
	struct note note;
	int rc = 0;

	if (!get_note(rw->note_fd, &note))
		return 0;
	if (fstat(rw->fd, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: stat", rw->path);
	if (st.st_dev == note.dev && st.st_ino == note.ino && (uint64_t)st.st_size >= note.size)
		rc = recover_one(rw, &note, (uint64_t)st.st_size, err);
	if (rc != 0)
		return -1;
	drop_note(rw);
	rw->host->log(rw->host, PST_LOG_WARN, "mbox.recovered", "path=%s: an interrupted %s was %s",
	              rw->path, note.state == STATE_ADDING ? "addition" : "removal",
	              note.state == STATE_MOVING ? "finished" : "taken back");
	return 0;
}
