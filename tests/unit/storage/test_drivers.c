/* SPDX-License-Identifier: MIT */
/* One life for every driver: what a maildrop must do, by one table, beside one model of it.
 *
 * Random steps of delivery agents, mail readers, sessions and admins; between any two of them, and
 * while deliveries go on in another process, the listing is what the model says: each message once,
 * octet by octet, with the one UIDL that was ever shown for it; no UIDL comes back on another message.
 * The plugins are loaded as the server loads them.
 *
 *	test_drivers [SEEDS [FIRST]]		with POSTERN_TRACE set it tells each step */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <postern/storage.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/texts.h"
#include "plugin/loader.h"
#include "pop3/body.h"

#define DEFAULT_SEEDS 200
#define STEPS 24
#define MESSAGES 96
#define OCTETS 700
#define UIDLS 4096

struct message {
	unsigned serial; /* stands in its text */
	bool is_there;
	bool is_held;
	char text[OCTETS];
	size_t n;
	char uidl[PST_UIDL_MAX + 1]; /* that was shown; empty: not yet */
};

struct driver;

struct world {
	const struct driver *driver;
	const struct pst_storage *storage;
	void *self;
	unsigned long seed;
	int step;
	const char *doing;
	uint64_t random;
	char root[128], path[160];
	unsigned serials;
	struct message messages[MESSAGES]; /* in the order of the listing */
	uint32_t count;
	char (*shown)[PST_UIDL_MAX + 1]; /* all that ever were */
	unsigned shown_by[UIDLS];        /* serials */
	uint32_t shown_count;
	struct pst_maildrop *open; /* for fail */
	bool has_moved;            /* messages came back in between others */
};

/* What other programs do, by the form of the maildrop. */
struct driver {
	const char *name;
	void (*make)(struct world *w);
	void (*deliver)(const struct world *w, const struct message *m);
	void (*take_away)(struct world *w, unsigned serial); /* by another program */
	void (*flag)(struct world *w, unsigned serial);      /* likewise: it was read there */
	void (*lose_index)(struct world *w);
	bool has_order; /* the mail's own: rearrange changes UIDLs alone */
};

/* What is told of a failure: the model's listing and the plugin's. */
static void
dump(const struct world *w)
{
	const struct pst_maildrop_spec spec = { .path = w->path, .user = PST_LIT("u@test") };
	struct pst_maildrop *d = NULL;
	struct pst_err err;
	uint32_t i;

	for (i = 0; i < w->count; i++)
		if (w->messages[i].is_there)
			fprintf(stderr, "  model: %u %s\n", w->messages[i].serial,
			        w->messages[i].uidl);
	if (w->storage->open(w->self, &spec, &d, &err) != 0) {
		fprintf(stderr, "  %s\n", err.text);
		return;
	}
	for (i = 0; i < w->storage->count(d); i++) {
		struct pst_message m = { .size_octets = 0 };

		w->storage->message(d, i, &m);
		fprintf(stderr, "  listed: %.*s, %llu octets\n", PST_ARG(m.uidl),
		        (unsigned long long)m.size_octets);
	}
}

static PST_NORETURN void
fail(const struct world *w, const char *what, const char *detail)
{
	fprintf(stderr, "%s, seed %lu, step %d, %s: %s: %s\n", w->driver->name, w->seed, w->step,
	        w->doing, what, detail);
	if (w->open != NULL)
		w->storage->close(w->open);
	dump(w);
	fprintf(stderr, "kept: %s\n", w->root);
	exit(1);
}

static void
must(const struct world *w, bool is_so, const char *what)
{
	if (!is_so)
		fail(w, what, strerror(errno));
}

static uint32_t
pick(struct world *w, uint32_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 33) % n;
}

/* ---- Files ---- */

static char *
slurp(const char *path, size_t *n_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p = NULL;

	*n_out = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		p = pst_realloc(NULL, (size_t)st.st_size + 1);
		*n_out = (size_t)pread(fd, p, (size_t)st.st_size, 0);
		p[*n_out] = '\0';
	}
	close(fd);
	return p;
}

static void
spew(const struct world *w, const char *path, const char *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(w, fd >= 0 && write(fd, p, n) == (ssize_t)n, path);
	close(fd);
}

/* ---- A Maildir ---- */

static void
maildir_make(struct world *w)
{
	static const char *const subs[] = { "", "/new", "/cur", "/tmp" };
	char path[200];
	size_t i;

	for (i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", w->path, subs[i]);
		must(w, mkdir(path, 0700) == 0, path);
	}
}

static void
maildir_deliver(const struct world *w, const struct message *m)
{
	char from[260], to[260];

	(void)snprintf(from, sizeof(from), "%s/tmp/%u", w->path, m->serial);
	(void)snprintf(to, sizeof(to), "%s/new/%u.M%uP1.host", w->path, 2000000000 + m->serial,
	               m->serial);
	spew(w, from, m->text, m->n);
	must(w, rename(from, to) == 0, to);
}

/* Its path now; false: it is nowhere. */
static bool
maildir_find(const struct world *w, unsigned serial, char path[260], bool *is_new)
{
	static const char *const subs[] = { "new", "cur" };
	char mark[40];
	int i;

	(void)snprintf(mark, sizeof(mark), "Serial: %u\n", serial);
	for (i = 0; i < 2; i++) {
		char folder[200];
		struct dirent *e;
		DIR *dir;

		(void)snprintf(folder, sizeof(folder), "%s/%s", w->path, subs[i]);
		dir = opendir(folder);
		must(w, dir != NULL, folder);
		while ((e = readdir(dir)) != NULL) {
			bool is_it;
			char *text;
			size_t n;

			(void)snprintf(path, 260, "%s/%.*s", folder, 50, e->d_name);
			text = e->d_name[0] == '.' ? NULL : slurp(path, &n);
			is_it = text != NULL && strncmp(text, mark, strlen(mark)) == 0;
			free(text);
			if (is_it) {
				*is_new = i == 0;
				closedir(dir);
				return true;
			}
		}
		closedir(dir);
	}
	return false;
}

static void
maildir_take_away(struct world *w, unsigned serial)
{
	char path[260];
	bool is_new;

	must(w, maildir_find(w, serial, path, &is_new) && unlink(path) == 0, "take away");
}

static void
maildir_flag(struct world *w, unsigned serial)
{
	static const char *const flags[] = { "", "S", "RS", "FS", "ST" };
	char path[260], to[300];
	const char *base;
	bool is_new;

	must(w, maildir_find(w, serial, path, &is_new), "flag");
	base = strrchr(path, '/') + 1;
	(void)snprintf(to, sizeof(to), "%s/cur/%.*s:2,%s", w->path, (int)strcspn(base, ":"), base,
	               flags[pick(w, 5)]);
	must(w, rename(path, to) == 0, to);
}

static void
lose(struct world *w, const char *name)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", w->path, name);
	(void)unlink(path);
}

static void
maildir_lose_index(struct world *w)
{
	lose(w, "postern.index");
	lose(w, "postern.index.spare");
}

/* ---- An mbox ---- */

static void
mbox_make(struct world *w)
{
	spew(w, w->path, "", 0);
}

/* As Debian's policy has it: fcntl, then a dotlock. */
static int
mbox_lock(const struct world *w)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(w->path, O_RDWR | O_CLOEXEC);
	char lock[200];
	int dot;

	must(w, fd >= 0 && fcntl(fd, F_SETLKW, &all) == 0, "fcntl");
	(void)snprintf(lock, sizeof(lock), "%s.lock", w->path);
	while ((dot = open(lock, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)) < 0)
		must(w, errno == EEXIST && usleep(1000) == 0, lock);
	must(w, dprintf(dot, "%d", (int)getpid()) > 0, lock);
	close(dot);
	return fd;
}

static void
mbox_unlock(const struct world *w, int fd)
{
	char lock[200];

	(void)snprintf(lock, sizeof(lock), "%s.lock", w->path);
	(void)unlink(lock);
	close(fd);
}

static void
mbox_deliver(const struct world *w, const struct message *m)
{
	static const char from[] = "From ann@example.test Thu Jan  1 00:00:00 1970\n";
	char text[sizeof(from) + OCTETS + 1];
	int fd = mbox_lock(w);

	memcpy(text, from, sizeof(from) - 1);
	memcpy(text + sizeof(from) - 1, m->text, m->n);
	text[sizeof(from) - 1 + m->n] = '\n';
	must(w,
	     lseek(fd, 0, SEEK_END) >= 0 &&
	             write(fd, text, sizeof(from) + m->n) == (ssize_t)(sizeof(from) + m->n),
	     "append");
	mbox_unlock(w, fd);
}

/* Where the message begins (its From_ line) and ends. Only for texts of this test: no "\n\nFrom " in
 * them. */
static void
mbox_find(const struct world *w, const char *all, size_t n, unsigned serial, size_t *from,
          size_t *to)
{
	char mark[40];
	const char *at, *end;

	(void)snprintf(mark, sizeof(mark), "\nSerial: %u\n", serial);
	at = memmem(all, n, mark, strlen(mark));
	must(w, at != NULL, "the message is in the mbox");
	*from = (size_t)(at - all);
	while (*from > 0 && all[*from - 1] != '\n')
		(*from)--;
	/* The line before "Serial:" may be a private header that an earlier step put there. */
	while (*from > 0 && strncmp(all + *from, "From ", 5) != 0) {
		(*from)--;
		while (*from > 0 && all[*from - 1] != '\n')
			(*from)--;
	}
	end = memmem(at, n - (size_t)(at - all), "\n\nFrom ", 7);
	*to = end == NULL ? n : (size_t)(end - all) + 2;
}

/* Into the same file, as mail readers do. */
static void
mbox_replace(struct world *w, int fd, const char *p, size_t n)
{
	must(w, pwrite(fd, p, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0, "rewrite");
}

static void
mbox_take_away(struct world *w, unsigned serial)
{
	int fd = mbox_lock(w);
	size_t n, from, to;
	char *all = slurp(w->path, &n);

	mbox_find(w, all, n, serial, &from, &to);
	memmove(all + from, all + to, n - to);
	mbox_replace(w, fd, all, n - (to - from));
	mbox_unlock(w, fd);
	free(all);
}

static void
mbox_flag(struct world *w, unsigned serial)
{
	static const char *const headers[] = { "Status: RO\n", "X-Status: AF\n",
		                               "X-Keywords: work\n" };
	const char *header = headers[pick(w, 3)];
	int fd = mbox_lock(w);
	size_t n, from, to, at;
	char *all = slurp(w->path, &n), *made;

	mbox_find(w, all, n, serial, &from, &to);
	at = from + (size_t)(strchr(all + from, '\n') + 1 - (all + from));
	made = pst_realloc(NULL, n + 100);
	memcpy(made, all, at);
	memcpy(made + at, header, strlen(header));
	memcpy(made + at + strlen(header), all + at, n - at);
	mbox_replace(w, fd, made, n + strlen(header));
	mbox_unlock(w, fd);
	free(made);
	free(all);
}

/* Beside the mbox: a name of the plugin's that begins with a dot. */
static void
mbox_lose_index(struct world *w)
{
	DIR *dir = opendir(w->root);
	struct dirent *e;

	must(w, dir != NULL, w->root);
	while ((e = readdir(dir)) != NULL)
		if (strstr(e->d_name, "index") != NULL)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
}

static const struct driver drivers[] = {
	{ "maildir", maildir_make, maildir_deliver, maildir_take_away, maildir_flag,
	  maildir_lose_index, false },
	{ "mbox", mbox_make, mbox_deliver, mbox_take_away, mbox_flag, mbox_lose_index, true },
};

/* ---- Messages ---- */

/* Ends with a line end, and has a header: else an mbox could not hold it as it is. */
static void
make_text(struct world *w, struct message *m)
{
	static const char *const parts[] = { "\n",     "\r\n",      ".\n", "text\n",
		                             "\xff\n", ">From x\n", "\t" };
	uint32_t n = pick(w, 40);

	m->n = (size_t)snprintf(m->text, sizeof(m->text),
	                        "Serial: %u\nMessage-ID: <%u.%lu@test>\nSubject: %u\n\n", m->serial,
	                        m->serial, w->seed, pick(w, 3));
	for (; n > 0; n--) {
		const char *part = parts[pick(w, 7)];

		memcpy(m->text + m->n, part, strlen(part));
		m->n += strlen(part);
		if (pick(w, 9) == 0)
			m->text[m->n++] = '\0';
	}
	m->text[m->n++] = 'x';
	m->text[m->n++] = '\n';
}

static struct message *
new_message(struct world *w)
{
	struct message *m = &w->messages[w->count++];

	*m = (struct message){ .serial = ++w->serials, .is_there = true };
	make_text(w, m);
	return m;
}

static struct message *
any_there(struct world *w)
{
	uint32_t i, n = 0, k;

	for (i = 0; i < w->count; i++)
		n += w->messages[i].is_there;
	if (n == 0)
		return NULL;
	k = pick(w, n);
	for (i = 0;; i++)
		if (w->messages[i].is_there && k-- == 0)
			return &w->messages[i];
}

/* ---- A session ---- */

static struct pst_maildrop *
open_drop(struct world *w)
{
	const struct pst_maildrop_spec spec = { .path = w->path, .user = PST_LIT("u@test") };
	struct pst_maildrop *d = NULL;
	struct pst_err err;

	if (w->storage->open_now != NULL && pick(w, 2) == 0) {
		switch (w->storage->open_now(w->self, &spec, &d, &err)) {
		case PST_FETCH_OK:
			return d;
		case PST_FETCH_ERROR:
			fail(w, "open_now", err.text);
		case PST_FETCH_WAIT:
			break;
		}
	}
	if (w->storage->open(w->self, &spec, &d, &err) != 0)
		fail(w, "open", err.text);
	return d;
}

static size_t
as_sent(const char *p, size_t n, char *out, size_t cap)
{
	struct pst_str in = { p, n };
	struct pop3_body tx;
	size_t k;

	pop3_body_retr(&tx);
	k = pop3_body_feed(&tx, &in, out, cap - 8);
	return k + pop3_body_end(&tx, out + k);
}

static size_t
read_pieces(const struct pst_body *body, char *out, size_t cap)
{
	uint64_t at = 0, left = body->length;
	size_t n = 0;
	uint32_t i;

	for (i = 0; i <= body->gap_count && left > 0; i++) {
		uint64_t piece = i < body->gap_count ? body->gaps[i].at - at : left;

		if (piece > left)
			piece = left;
		if (n + piece > cap || pread(body->fd, out + n, (size_t)piece,
		                             (off_t)(body->offset + at)) != (ssize_t)piece)
			return SIZE_MAX;
		n += (size_t)piece;
		left -= piece;
		if (i < body->gap_count)
			at = body->gaps[i].at + body->gaps[i].length;
	}
	return n;
}

static void
check_octets(struct world *w, struct pst_maildrop *d, uint32_t idx, const struct message *m,
             uint64_t size)
{
	char stored[OCTETS * 2], sent[OCTETS * 5], want[OCTETS * 5];
	struct pst_body body = { .fd = -1 };
	struct pst_err err;
	size_t n, sent_n, want_n;

	if (w->storage->fetch(d, idx, 0, &body, &err) != PST_FETCH_OK)
		fail(w, "fetch", err.text);
	n = read_pieces(&body, stored, sizeof(stored));
	must(w, n != SIZE_MAX, "the octets of a message");
	sent_n = as_sent(stored, n, sent, sizeof(sent));
	want_n = as_sent(m->text, m->n, want, sizeof(want));
	if (sent_n != want_n || memcmp(sent, want, want_n) != 0)
		fail(w, "the octets are others", m->uidl);
	for (n = 0; n + 1 < want_n; n++) /* stuffed dots do not count, nor does ".CRLF" */
		size += want[n] == '.' && want[n + 1] == '.' && (n == 0 || want[n - 1] == '\n');
	if (size + 3 != want_n)
		fail(w, "size_octets is not what is sent", m->uidl);
	close(body.fd);
	if (body.done != NULL)
		body.done(body.arg);
}

static void
note_uidl(struct world *w, struct message *m, struct pst_str uidl)
{
	uint32_t i;

	if (m->uidl[0] != '\0') {
		if (!pst_str_eq(uidl, pst_str_c(m->uidl)))
			fail(w, "another UIDL than was shown", m->uidl);
		return;
	}
	must(w, uidl.n >= 1 && uidl.n <= PST_UIDL_MAX && w->shown_count < UIDLS, "a UIDL");
	memcpy(m->uidl, uidl.p, uidl.n);
	m->uidl[uidl.n] = '\0';
	for (i = 0; i < w->shown_count; i++)
		if (strcmp(w->shown[i], m->uidl) == 0)
			fail(w, "a UIDL that another message had", m->uidl);
	memcpy(w->shown[w->shown_count], m->uidl, sizeof(m->uidl));
	w->shown_by[w->shown_count++] = m->serial;
}

/* The listing is the model's, in its order. */
static void
check_listing(struct world *w, struct pst_maildrop *d)
{
	uint32_t n = w->storage->count(d), i, at = 0;
	char detail[64];

	for (i = 0; i < w->count; i++) {
		struct message *m = &w->messages[i];
		struct pst_message got = { .size_octets = 0 };

		if (!m->is_there)
			continue;
		if (at == n) {
			(void)snprintf(detail, sizeof(detail), "serial %u", m->serial);
			fail(w, "a message is missing", detail);
		}
		w->storage->message(d, at, &got);
		check_octets(w, d, at, m, got.size_octets);
		note_uidl(w, m, got.uidl);
		at++;
	}
	(void)snprintf(detail, sizeof(detail), "%u of %u", at, n);
	if (at != n)
		fail(w, "more messages than there are", detail);
}

static void
check(struct world *w)
{
	struct pst_maildrop *d = open_drop(w);

	w->open = d;
	check_listing(w, d);
	w->open = NULL;
	w->storage->close(d);
}

/* Some of the n, ascending. */
static uint32_t
choose(struct world *w, uint32_t n, uint32_t *idx)
{
	uint32_t i, k = 0;

	for (i = 0; i < n; i++)
		if (pick(w, 3) == 0)
			idx[k++] = i;
	return k;
}

/* The message at a place of the listing. */
static struct message *
at_place(struct world *w, uint32_t idx)
{
	uint32_t i;

	for (i = 0;; i++)
		if (w->messages[i].is_there && idx-- == 0)
			return &w->messages[i];
}

/* ---- Steps ---- */

static void
step_deliver(struct world *w)
{
	uint32_t n = 1 + pick(w, 4);

	for (; n > 0 && w->count < MESSAGES; n--)
		w->driver->deliver(w, new_message(w));
}

static void
step_session(struct world *w)
{
	check(w);
}

static void
step_remove(struct world *w)
{
	struct pst_maildrop *d = open_drop(w);
	uint32_t idx[MESSAGES], k, i, removed = 0;
	struct pst_err err;

	check_listing(w, d);
	k = choose(w, w->storage->count(d), idx);
	if (k > 0 && pick(w, 4) == 0 && w->count < MESSAGES)
		w->driver->deliver(w, new_message(w)); /* while the session runs */
	if (k > 0 && (w->storage->commit(d, idx, k, &removed, &err) != 0 || removed != k))
		fail(w, "commit", err.text);
	for (i = k; i > 0; i--)
		at_place(w, idx[i - 1])->is_there = false;
	w->storage->close(d);
}

static void
step_take_away(struct world *w)
{
	struct message *m = any_there(w);

	if (m == NULL)
		return;
	w->driver->take_away(w, m->serial);
	m->is_there = false;
}

static void
step_flag(struct world *w)
{
	struct message *m = any_there(w);

	if (m != NULL)
		w->driver->flag(w, m->serial);
}

/* Deliveries that nobody waits for, and sessions that list and remove meanwhile. */
static void
step_race(struct world *w)
{
	uint32_t from = w->count, n = 1 + pick(w, 12), i;
	uint32_t before = 0;
	int status, rounds = 2 + (int)pick(w, 3);
	pid_t pid;

	check(w);
	for (i = 0; i < from; i++)
		before += w->messages[i].is_there;
	for (i = 0; i < n && w->count < MESSAGES; i++)
		(void)new_message(w);
	pid = fork();
	must(w, pid >= 0, "fork");
	if (pid == 0) {
		for (i = from; i < w->count; i++)
			w->driver->deliver(w, &w->messages[i]);
		_exit(0);
	}
	for (; rounds > 0; rounds--) {
		struct pst_maildrop *d = open_drop(w);
		uint32_t idx = 0, removed = 0;
		struct pst_err err;

		must(w, w->storage->count(d) >= before, "known messages while others come");
		if (before > 0 && pick(w, 2) == 0) {
			if (w->storage->commit(d, &idx, 1, &removed, &err) != 0 || removed != 1)
				fail(w, "commit while mail comes", err.text);
			at_place(w, 0)->is_there = false;
			before--;
		}
		w->storage->close(d);
	}
	must(w, waitpid(pid, &status, 0) == pid && status == 0, "the delivery agent");
}

static int
open_text(void *arg, struct pst_body *body_out, struct pst_err *err)
{
	const struct message *m = arg;
	int fd = memfd_create("message", MFD_CLOEXEC);

	if (fd < 0 || write(fd, m->text, m->n) != (ssize_t)m->n)
		return pst_err_sys(err, PST_E_TEMP, "memfd");
	*body_out = (struct pst_body){ .fd = fd, .length = m->n };
	return 0;
}

static void
step_add(struct world *w)
{
	struct pst_maildrop *d = open_drop(w);
	struct pst_new_message msgs[4];
	char uidls[4][40];
	uint32_t n = 0, first = w->count;
	struct pst_err err;

	check_listing(w, d);
	for (; n < 4 && w->count < MESSAGES; n++) {
		struct message *m = new_message(w);

		(void)snprintf(uidls[n], sizeof(uidls[n]), "elsewhere!%u", m->serial);
		msgs[n] = (struct pst_new_message){
			.open = open_text,
			.arg = m,
			.uidl = pick(w, 4) == 0 ? PST_LIT("") : pst_str_c(uidls[n]),
			.received_s = 1700000000 + m->serial,
			.is_seen = pick(w, 2) == 0,
		};
	}
	if (n > 0 && w->storage->add(d, msgs, n, &err) != 0)
		fail(w, "add", err.text);
	w->storage->close(d);
	d = open_drop(w);
	check_listing(w, d);
	while (n-- > 0)
		if (msgs[n].uidl.n > 0 &&
		    !pst_str_eq(msgs[n].uidl, pst_str_c(w->messages[first + n].uidl)))
			fail(w, "an added message has another UIDL", w->messages[first + n].uidl);
	w->storage->close(d);
}

static void
step_seen(struct world *w)
{
	struct pst_maildrop *d;
	uint32_t idx[MESSAGES], k;
	struct pst_err err;

	if (w->storage->mark_seen == NULL)
		return;
	d = open_drop(w);
	k = choose(w, w->storage->count(d), idx);
	if (k > 0 && w->storage->mark_seen(d, idx, k, &err) != 0)
		fail(w, "mark_seen", err.text);
	w->storage->close(d);
}

/* The order after that is whatever it is, and stays. */
static void
learn_order(struct world *w)
{
	struct pst_maildrop *d = open_drop(w);
	uint32_t n = w->storage->count(d), i, k;
	struct message *made = pst_new_array(struct message, MESSAGES);
	uint32_t count = 0;

	for (i = 0; i < n; i++) {
		struct pst_message got = { .size_octets = 0 };

		w->storage->message(d, i, &got);
		for (k = 0; k < w->count; k++)
			if (w->messages[k].is_there &&
			    pst_str_eq(got.uidl, pst_str_c(w->messages[k].uidl)))
				break;
		if (k == w->count)
			fail(w, "a UIDL that was not shown before", "after bring_back");
		made[count++] = w->messages[k];
		w->messages[k].is_there = false;
	}
	for (k = 0; k < w->count; k++)
		if (w->messages[k].is_there)
			fail(w, "it was not brought back", w->messages[k].uidl);
		else if (w->messages[k].is_held)
			made[count++] = w->messages[k];
	memcpy(w->messages, made, count * sizeof(*made));
	w->count = count;
	free(made);
	w->storage->close(d);
}

/* UIDLs are told by the mail or the ledger; so is the order, but for what came in between others
 * that had been there before. */
static void
step_lose_index(struct world *w)
{
	check(w); /* all that came has its UIDL */
	w->driver->lose_index(w);
	if (w->has_moved)
		learn_order(w);
}

static void
step_hold(struct world *w)
{
	const struct pst_hold how = { .now_s = 1800000000 + w->step, .session = PST_LIT("s1") };
	struct pst_maildrop *d;
	uint32_t idx[MESSAGES], k, i, removed = 0;
	struct pst_err err;

	if (w->storage->hold == NULL)
		return;
	d = open_drop(w);
	check_listing(w, d);
	k = choose(w, w->storage->count(d), idx);
	if (k > 0 && (w->storage->hold(d, idx, k, &how, &removed, &err) != 0 || removed != k))
		fail(w, "hold", err.text);
	for (i = k; i > 0; i--) {
		struct message *m = at_place(w, idx[i - 1]);

		m->is_there = false;
		m->is_held = true;
	}
	w->storage->close(d);
}

static void
step_bring_back(struct world *w)
{
	const struct pst_held all = { .since_s = 0 };
	struct pst_maildrop *d;
	uint32_t n = 0, held = 0, i;
	struct pst_err err;

	if (w->storage->bring_back == NULL)
		return;
	check(w); /* all that came has its UIDL */
	d = open_drop(w);
	for (i = 0; i < w->count; i++)
		held += w->messages[i].is_held;
	if (pick(w, 3) == 0) {
		if (w->storage->let_go(d, &all, &n, &err) != 0 || n != held)
			fail(w, "let_go", err.text);
	} else if (w->storage->bring_back(d, &all, &n, &err) != 0 || n != held) {
		fail(w, "bring_back", err.text);
	} else {
		for (i = 0; i < w->count; i++)
			w->messages[i].is_there |= w->messages[i].is_held;
	}
	for (i = 0; i < w->count; i++)
		w->messages[i].is_held = false;
	w->storage->close(d);
	learn_order(w);
	w->has_moved = true;
}

/* Another order, and another UIDL for some. */
static void
step_rearrange(struct world *w)
{
	struct pst_place places[MESSAGES];
	struct message *made;
	struct pst_maildrop *d;
	uint32_t n, i, k, count = 0;
	struct pst_err err;

	if (w->storage->rearrange == NULL)
		return;
	d = open_drop(w);
	check_listing(w, d);
	n = w->storage->count(d);
	made = pst_new_array(struct message, MESSAGES);
	for (i = 0; i < n; i++)
		places[i].idx = i;
	for (i = w->driver->has_order ? 0 : n; i > 1; i--) {
		k = pick(w, i);
		count = places[i - 1].idx;
		places[i - 1].idx = places[k].idx;
		places[k].idx = count;
	}
	for (i = 0; i < n; i++) {
		made[i] = *at_place(w, places[i].idx);
		if (pick(w, 3) == 0) {
			(void)snprintf(made[i].uidl, sizeof(made[i].uidl), "moved?%u.%d",
			               made[i].serial, w->step);
			memcpy(w->shown[w->shown_count], made[i].uidl, sizeof(made[i].uidl));
			w->shown_by[w->shown_count++] = made[i].serial;
		}
		places[i].uidl = pst_str_c(made[i].uidl);
	}
	if (n > 0 && w->storage->rearrange(d, places, n, &err) != 0)
		fail(w, "rearrange", err.text);
	count = n;
	for (k = 0; k < w->count; k++)
		if (w->messages[k].is_held)
			made[count++] = w->messages[k];
	memcpy(w->messages, made, count * sizeof(*made));
	w->count = count;
	free(made);
	w->storage->close(d);
}

/* The table: every driver, every step. */
static const struct {
	const char *name;
	void (*run)(struct world *w);
	unsigned weight;
} steps[] = {
	{ "deliver", step_deliver, 6 },
	{ "session", step_session, 3 },
	{ "remove", step_remove, 4 },
	{ "taken away", step_take_away, 2 },
	{ "flagged", step_flag, 2 },
	{ "index lost", step_lose_index, 2 },
	{ "race", step_race, 1 },
	{ "add", step_add, 1 },
	{ "mark seen", step_seen, 1 },
	{ "hold", step_hold, 2 },
	{ "bring back", step_bring_back, 1 },
	{ "rearrange", step_rearrange, 1 },
};

#define STEP_KINDS (sizeof(steps) / sizeof(steps[0]))

/* Messages that are no more make room. */
static void
forget_gone(struct world *w)
{
	uint32_t i, n = 0;

	for (i = 0; i < w->count; i++)
		if (w->messages[i].is_there || w->messages[i].is_held)
			w->messages[n++] = w->messages[i];
	w->count = n;
}

static void
run_step(struct world *w)
{
	unsigned all = 0, at;
	size_t i;

	for (i = 0; i < STEP_KINDS; i++)
		all += steps[i].weight;
	at = pick(w, all);
	for (i = 0; at >= steps[i].weight; i++)
		at -= steps[i].weight;
	w->doing = steps[i].name;
	if (getenv("POSTERN_TRACE") != NULL)
		fprintf(stderr, "step %d: %s\n", w->step, w->doing);
	forget_gone(w);
	steps[i].run(w);
	if (pick(w, 2) == 0) {
		w->doing = "the session after it";
		check(w);
	}
}

static void
remove_tree(const char *path)
{
	char command[200];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", path);
	if (system(command) != 0)
		fprintf(stderr, "%s stays\n", path);
}

static void
run_life(struct world *w, unsigned long seed)
{
	w->seed = seed;
	w->random = seed * 2654435761u + 88172645463325252u;
	w->count = w->serials = 0;
	w->shown_count = 0;
	w->has_moved = false;
	/* Every tenth on a disk, whose locks, times and syncs are real but slow. */
	(void)snprintf(w->root, sizeof(w->root), "%s/postern-drivers-XXXXXX",
	               seed % 10 != 0 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(w, mkdtemp(w->root) != NULL, w->root);
	(void)snprintf(w->path, sizeof(w->path), "%s/drop", w->root);
	w->driver->make(w);
	for (w->step = 0; w->step < STEPS; w->step++)
		run_step(w);
	w->doing = "the end";
	check(w);
	remove_tree(w->root);
}

/* ---- The plugins ---- */

static struct plugin *
load(const char *name, struct pst_arena *arena)
{
	struct conf_problems problems;
	struct conf_texts texts;
	struct plugin *p;
	struct pst_err err;
	char prefix[64];

	p = plugin_load("plugins.d", name, NULL, PST_STORAGE, &err);
	if (p == NULL) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	(void)snprintf(prefix, sizeof(prefix), "storage.%s", name);
	conf_texts_init(&texts, arena);
	conf_problems_init(&problems, arena);
	plugin_configure(p, pst_arena_printf(arena, "%s", prefix), &texts, &problems);
	if (problems.n > 0 || plugin_start(p, "mail", &err) != 0) {
		fprintf(stderr, "%s\n", problems.n > 0 ? problems.v[0] : err.text);
		exit(1);
	}
	return p;
}

int
main(int argc, char **argv)
{
	const unsigned long seeds = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_SEEDS;
	const unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	struct pst_arena *arena = pst_arena_create();
	struct world *w = pst_new(struct world);
	unsigned long seed;
	size_t i;

	pst_log_set_level(PST_LOG_ERROR); /* lost indexes are told, rightly */
	w->shown = pst_realloc(NULL, sizeof(*w->shown) * UIDLS);
	for (i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		struct plugin *p = load(drivers[i].name, arena);

		w->driver = &drivers[i];
		w->storage = plugin_descriptor(p)->storage;
		w->self = plugin_self(p);
		for (seed = first; seed < first + seeds; seed++)
			run_life(w, seed);
		plugin_unload(p);
		printf("ok: %s: %lu lives of %d steps\n", drivers[i].name, seeds, STEPS);
	}
	free(w->shown);
	free(w);
	pst_arena_destroy(arena);
	return 0;
}
