/* SPDX-License-Identifier: MIT */
/* Messages that come from elsewhere are put behind those that are there, or make a new mbox, all or none.
 *
 *	From SENDER Sat Nov 22 08:00:00 2026
 *	Content-Length: 1000		where there is a body; for other programs
 *	Status: RO			where the message was seen
 *	X-Postern-Octets: 1234 UIDL	see mbox_header_settle
 *	the message, octet by octet, with no "From " quoted
 *	and one or two line ends
 *
 * The UIDL lies in the mail, so that no index need remember it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "storage/index/body.h"
#include "storage/index/names.h"
#include "storage/index/uidl.h"
#include "storage/mbox/mbox.h"
#include "storage/mbox/rewrite.h"

#define HEAD_ROOM 1024
#define SENDER_MAX 320
#define DATE_MAX INT64_C(32503679999) /* the year has four digits, the first of them a 1 or 2 */

struct addition {
	struct pst_maildrop *d;
	const struct pst_new_message *msgs;
	uint32_t n;
	int64_t now_s;
	char *text; /* MBOX_HEADER_MAX octets of a message */
	struct mbox_header *header;
	struct names uidls;

	uint64_t octets; /* of all */
};

/* ---- What is written around a message ---- */

static size_t
put_sender(struct pst_str sender, char *out)
{
	static const struct pst_str nobody = { "MAILER-DAEMON", 13 };
	size_t i;

	for (i = 0; i < sender.n; i++)
		if (sender.p[i] < 0x21 || sender.p[i] == 0x7f)
			break;
	if (i < sender.n || sender.n == 0 || sender.n > SENDER_MAX)
		sender = nobody;
	memcpy(out, sender.p, sender.n);
	return sender.n;
}

static size_t
put_date(int64_t when_s, char *out, size_t cap)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(when_s < 0 ? 0 : when_s > DATE_MAX ? DATE_MAX : when_s);
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	return (size_t)snprintf(out, cap, "%.3s %.3s %2d %02d:%02d:%02d %d\n",
	                        days + (size_t)tm.tm_wday * 3, months + (size_t)tm.tm_mon * 3,
	                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}

/* How many octets the body has, by which other programs know its end; false: they cannot be told, or the
 * message has such a header of its own. */
static bool
find_body(struct addition *a, const struct pst_body *body, uint64_t *octets_out,
          struct pst_err *err)
{
	size_t n;

	*octets_out = 0;
	if (body_read(body, 0, a->text, MBOX_HEADER_MAX, &n, err) != 0)
		return false;
	mbox_header((struct pst_str){ a->text, n }, false, a->header);
	n = a->header->from_octets + a->header->header_octets;
	*octets_out = body->length - n;
	return a->header->is_complete && !a->header->has_length && a->header->from_octets == 0;
}

/* The lines before the message. */
static size_t
put_head(struct addition *a, const struct pst_new_message *msg, const struct pst_body *body,
         char out[HEAD_ROOM], struct pst_err *err)
{
	uint64_t octets;
	size_t n = 5;

	memcpy(out, "From ", 5);
	n += put_sender(msg->sender, out + n);
	out[n++] = ' ';
	n += put_date(msg->received_s == 0 ? a->now_s : msg->received_s, out + n, HEAD_ROOM - n);
	if (find_body(a, body, &octets, err))
		n += (size_t)snprintf(out + n, HEAD_ROOM - n, "Content-Length: %llu\n",
		                      (unsigned long long)octets);
	if (msg->is_seen)
		n += (size_t)snprintf(out + n, HEAD_ROOM - n, "Status: RO\n");
	n += (size_t)snprintf(out + n, HEAD_ROOM - n, MBOX_MARK ": %llu%s%.*s\n",
	                      (unsigned long long)body->length, msg->uidl.n > 0 ? " " : "",
	                      PST_ARG(msg->uidl));
	return n;
}

/* What parts it from what follows: an empty line, after a line's end. */
static int
put_tail(const struct pst_body *body, char out[2], size_t *n_out, struct pst_err *err)
{
	char last = '\n';
	size_t n;

	if (body->length > 0 && body_read(body, body->length - 1, &last, 1, &n, err) != 0)
		return -1;
	out[0] = out[1] = '\n';
	*n_out = last == '\n' ? 1 : 2;
	return 0;
}

/* One message, written to fd from *at on; fd -1: only counted. */
static int
put_message(struct addition *a, const struct pst_new_message *msg, int fd, uint64_t *at,
            struct pst_err *err)
{
	struct pst_body body;
	char head[HEAD_ROOM], tail[2];
	size_t head_n, tail_n = 0;
	int rc = -1;

	if (body_open(msg, &body, err) != 0)
		return -1;
	err->text[0] = '\0';
	head_n = put_head(a, msg, &body, head, err);
	if (err->text[0] != '\0' || put_tail(&body, tail, &tail_n, err) != 0)
		goto out;
	if (fd >= 0 && (!body_write(fd, head, head_n, *at) ||
	                !body_write(fd, tail, tail_n, *at + head_n + body.length))) {
		pst_err_sys(err, PST_E_TEMP, "%s: write", a->d->path);
		goto out;
	}
	if (fd >= 0 && body_copy(&body, fd, *at + head_n, err) != 0)
		goto out;
	*at += head_n + body.length + tail_n;
	rc = 0;
out:
	body_close(&body);
	return rc;
}

static int
put_all(struct addition *a, int fd, uint64_t *at, struct lock *lock, struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < a->n; i++) {
		if (put_message(a, &a->msgs[i], fd, at, err) != 0)
			return -1;
		if (lock != NULL)
			lock_keep(lock);
	}
	return 0;
}

/* ---- UIDLs ---- */

static int
check_uidls(struct addition *a, struct pst_err *err)
{
	const struct index *ix = &a->d->index;
	struct index_message im;
	uint32_t i;

	if (names_init(&a->uidls, (uint64_t)ix->listed + a->n, err) != 0)
		return -1;
	for (i = 0; i < ix->listed; i++) {
		index_at(ix, i, &im);
		(void)names_add(&a->uidls, im.uidl, i);
	}
	for (i = 0; i < a->n; i++) {
		if (a->msgs[i].uidl.n == 0)
			continue;
		if (!uidl_is_valid(a->msgs[i].uidl))
			return pst_err_set(err, PST_E_CLIENT, "message %u: \"%.*s\" is no UIDL",
			                   i + 1, PST_ARG(a->msgs[i].uidl));
		if (!names_add(&a->uidls, a->msgs[i].uidl, i))
			return pst_err_set(err, PST_E_CLIENT,
			                   "message %u: another one has the UIDL %.*s", i + 1,
			                   PST_ARG(a->msgs[i].uidl));
	}
	return 0;
}

/* ---- Into a file that is there ---- */

static int
append_locked(struct addition *a, const struct rewrite *rw, struct pst_err *err)
{
	static const char line_ends[2] = { '\n', '\n' };
	struct index_place now;
	uint64_t at = 0;
	int newlines;

	if (index_place_look(rw->fd, "", &now, err) != 0)
		return -1;
	newlines = rewrite_newlines(rw, now.octets);
	if (newlines < 0)
		return pst_err_sys(err, PST_E_TEMP, "%s: read", rw->path);
	if (rewrite_add_begin(rw, (uint64_t)newlines + a->octets, &at, err) != 0)
		return -1;
	if (!body_write(rw->fd, line_ends, (size_t)newlines, at)) {
		pst_err_sys(err, PST_E_TEMP, "%s: write", rw->path);
		goto undo;
	}
	at += (uint64_t)newlines;
	if (put_all(a, rw->fd, &at, rw->lock, err) != 0)
		goto undo;
	if (at != now.octets + (uint64_t)newlines + a->octets) {
		pst_err_set(err, PST_E_TEMP, "%s: a message changed while it was copied", rw->path);
		goto undo;
	}
	return rewrite_add_end(rw, err);
undo:
	rewrite_add_undo(rw);
	return -1;
}

static int
append(struct addition *a, struct pst_err *err)
{
	const struct mbox *self = a->d->self;
	struct lock lock = { .plan = NULL };
	int fd = mbox_open_file(a->d, O_RDWR);
	int rc = -1;

	if (fd < 0)
		return pst_err_sys(err, mbox_kind_of_errno(), "%s: add messages", a->d->path);
	if (lock_take(&lock, &self->plan, self->host, a->d->path, fd, a->d->session_fd, true,
	              err) == 0) {
		const struct rewrite rw = { self->host, a->d->path, fd, a->d->session_fd, &lock };

		if (mbox_is_at_path(a->d, fd))
			rc = append_locked(a, &rw, err);
		else
			pst_err_set(err, PST_E_TEMP, "%s: another file is there now", a->d->path);
	}
	lock_free(&lock);
	close(fd);
	return rc;
}

/* ---- A new file ---- */

/* The path of the file while it is written, beside its place, and of their folder. malloc'ed. */
static char *
hidden_path(const struct pst_maildrop *d, char **folder_out)
{
	const char *slash = strrchr(d->path, '/');
	const size_t n = slash == NULL ? 0 : (size_t)(slash - d->path) + 1;
	const size_t room = strlen(d->path) + sizeof("..postern.new") + 1;
	char *path = mem_new(room);

	(void)snprintf(path, room, "%.*s.%s.postern.new", (int)n, d->path, d->path + n);
	*folder_out = mem_new(n + 2);
	(void)snprintf(*folder_out, n + 2, "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : d->path);
	return path;
}

static int
sync_folder(const char *folder, struct pst_err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = pst_err_sys(err, PST_E_TEMP, "sync %s", folder);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
create(struct addition *a, struct pst_err *err)
{
	char *folder, *hidden = hidden_path(a->d, &folder);
	uint64_t at = 0;
	int rc = -1;
	int fd;

	(void)unlink(hidden); /* of one that was broken off */
	fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		pst_err_sys(err, mbox_kind_of_errno(), "create %s", hidden);
		goto out;
	}
	if (put_all(a, fd, &at, NULL, err) != 0)
		goto out;
	if (fsync(fd) != 0)
		pst_err_sys(err, PST_E_TEMP, "%s: write", a->d->path);
	else if (renameat2(AT_FDCWD, hidden, AT_FDCWD, a->d->path, RENAME_NOREPLACE) != 0)
		pst_err_sys(err, PST_E_TEMP, "make %s", a->d->path);
	else
		rc = sync_folder(folder, err);
out:
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		(void)unlink(hidden);
	free(hidden);
	free(folder);
	return rc;
}

int
mbox_add(struct pst_maildrop *d, const struct pst_new_message *msgs, uint32_t n,
         struct pst_err *err)
{
	struct addition a = { .d = d, .msgs = msgs, .n = n, .now_s = (int64_t)time(NULL) };
	int rc = -1;

	if (n == 0)
		return 0;
	a.text = mem_new(MBOX_HEADER_MAX);
	a.header = mem_new(sizeof(*a.header));
	if (check_uidls(&a, err) == 0 && put_all(&a, -1, &a.octets, NULL, err) == 0)
		rc = d->fd < 0 ? create(&a, err) : append(&a, err);
	names_clear(&a.uidls);
	free(a.header);
	free(a.text);
	return rc;
}
