/* SPDX-License-Identifier: MIT */
/* Maildrops to try storage plugins with; see trial_drop.h. */
#include "ctl/trial_drop.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "ctl/wirebody.h"
#include "pop3/body.h"
#include "pop3/stored.h"

#define NOT_FILLED "(nothing was written here)"
#define COPY_FDS 16
#define READ_OCTETS 65536
#define LENGTH_MAX (UINT64_C(1) << 30)

/* ---- A copy ---- */

static struct {
	const char *from, *to;
	size_t from_octets;
	int failed_errno;
	char failed[300];
} copying; /* nftw has no argument for it */

static int
copy_file(const char *from, const char *to, const struct stat *st)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0777);
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char *room = pst_realloc(NULL, READ_OCTETS);
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, room, READ_OCTETS)) > 0)
		if (write(out, room, (size_t)n) != n) {
			n = -1;
			break;
		}
	if (n == 0 && futimens(out, times) != 0)
		n = -1;
	free(room);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return n == 0 ? 0 : -1;
}

static int
copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char to[4096];
	char target[4096];
	ssize_t n;
	int rc = -1;

	(void)at;
	if (snprintf(to, sizeof(to), "%s%s", copying.to, path + copying.from_octets) >=
	    (int)sizeof(to))
		errno = ENAMETOOLONG;
	else if (type == FTW_D)
		rc = mkdir(to, (st->st_mode & 0777) | 0700);
	else if (type == FTW_SL && (n = readlink(path, target, sizeof(target) - 1)) > 0) {
		target[n] = '\0';
		rc = symlink(target, to);
	} else if (type == FTW_F && S_ISREG(st->st_mode))
		rc = copy_file(path, to, st);
	else if (type == FTW_F)
		return 0; /* sockets and the like are nobody's mail */
	if (rc != 0) {
		copying.failed_errno = errno;
		(void)snprintf(copying.failed, sizeof(copying.failed), "%s", path);
	}
	return rc;
}

/* nftw changes what it shows while it walks only below; a folder's times are set by its files. */
static bool
copy_maildrop(struct trial *t, const char *from, const char *to)
{
	copying.from = from;
	copying.from_octets = strlen(from);
	copying.to = to;
	if (nftw(from, copy_one, COPY_FDS, FTW_PHYS) == 0)
		return true;
	trial_fail(t, "the maildrop cannot be copied: %s: %s", copying.failed,
	           strerror(copying.failed_errno));
	return false;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static char *
make_folder(struct trial *t)
{
	const char *tmp = getenv("TMPDIR");
	char *folder = pst_arena_printf(t->arena, "%s/postern-trial-XXXXXX",
	                                tmp != NULL && *tmp == '/' ? tmp : "/tmp");

	if (mkdtemp(folder) != NULL)
		return folder;
	trial_fail(t, "%s: %s", folder, strerror(errno));
	return NULL;
}

static bool
begin(struct trial *t, struct trial_drop *d, const char *name)
{
	const char *folder = make_folder(t);
	struct pst_str path;

	if (folder == NULL)
		return false;
	path = pst_str_c(pst_arena_printf(t->arena, "%s/%s", folder, name));
	path.n++; /* with its NUL */
	*d = (struct trial_drop){ .t = t,
		                  .storage = plugin_descriptor(t->plugin)->storage,
		                  .self = plugin_self(t->plugin),
		                  .path = trial_guarded(path).p,
		                  .is_copy = true };
	return true;
}

bool
trial_drop_begin_absent(struct trial *t, struct trial_drop *d)
{
	return begin(t, d, "nothing");
}

bool
trial_drop_begin(struct trial *t, struct trial_drop *d)
{
	const char *from = t->subject->maildrop;

	if (from == NULL) {
		trial_skip(t, "give it a maildrop with some messages: --maildrop PATH");
		return false;
	}
	if (!begin(t, d, "maildrop"))
		return false;
	if (copy_maildrop(t, from, d->path))
		return true;
	trial_drop_end(d);
	return false;
}

void
trial_drop_end(struct trial_drop *d)
{
	char *folder = pst_arena_printf(d->t->arena, "%.*s", (int)(strrchr(d->path, '/') - d->path),
	                                d->path);

	trial_drop_close(d);
	(void)nftw(folder, remove_one, COPY_FDS, FTW_PHYS | FTW_DEPTH);
}

/* ---- Opening ---- */

struct pst_maildrop_spec
trial_drop_spec(const struct trial_drop *d)
{
	return (struct pst_maildrop_spec){ .path = d->path,
		                           .user = trial_guarded(PST_LIT("ann@example.test")) };
}

void
trial_drop_forget_reason(struct trial_drop *d)
{
	(void)pst_err_set(&d->err, PST_E_CLIENT, NOT_FILLED);
}

bool
trial_drop_has_reason(struct trial_drop *d, const char *call)
{
	if (strcmp(d->err.text, NOT_FILLED) == 0 || d->err.text[0] == '\0')
		trial_fail(d->t, "%s failed and err is not filled", call);
	else if (memchr(d->err.text, '\0', sizeof(d->err.text)) == NULL)
		trial_fail(d->t, "%s failed and err->text has no end", call);
	else
		return true;
	return false;
}

bool
trial_drop_open(struct trial_drop *d)
{
	struct pst_maildrop_spec spec = trial_drop_spec(d);

	trial_drop_forget_reason(d);
	d->open = NULL;
	if (d->storage->open(d->self, &spec, &d->open, &d->err) == 0) {
		if (d->open != NULL)
			return true;
		trial_fail(d->t, "open returned 0 and gave no maildrop");
	} else if (trial_drop_has_reason(d, "open")) {
		trial_fail(d->t, "open: %s", d->err.text);
	}
	d->open = NULL;
	return false;
}

void
trial_drop_close(struct trial_drop *d)
{
	if (d->open != NULL)
		d->storage->close(d->open);
	d->open = NULL;
}

bool
trial_drop_is_in_use(struct trial_drop *d, const char *what)
{
	struct pst_maildrop_spec spec = trial_drop_spec(d);
	struct pst_maildrop *other = NULL;

	trial_drop_forget_reason(d);
	if (d->storage->open(d->self, &spec, &other, &d->err) == 0) {
		d->storage->close(other);
		trial_fail(d->t, "opened though %s has it: two sessions would delete at once",
		           what);
	} else if (!trial_drop_has_reason(d, "open")) {
		return false;
	} else if (d->err.kind != PST_E_IN_USE) {
		trial_fail(d->t, "while %s has it the error is not PST_E_IN_USE: %s", what,
		           d->err.text);
	} else {
		return true;
	}
	return false;
}

/* ---- Reading ---- */

static bool
is_uidl(struct pst_str s)
{
	size_t i;

	if (s.n < 1 || s.n > PST_UIDL_MAX || s.p == NULL)
		return false;
	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return true;
}

static bool
check_gaps(struct trial *t, uint32_t msg, const struct pst_body *body)
{
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < body->gap_count; i++) {
		const struct pst_gap *g = &body->gaps[i];

		if (g->length == 0 || (i > 0 && g->at <= end)) {
			trial_fail(t, "message %u: gap %u is empty, or touches the one before", msg,
			           i);
			return false;
		}
		end = g->at + g->length;
	}
	return true;
}

/* What RETR would send for these octets, by the server's own rules: a sum of it, and how many. */
static uint64_t
make_reply(struct pst_str stored, uint8_t sum_out[32])
{
	char *out = pst_realloc(NULL, stored.n * 2 + 16);
	struct pop3_body tx;
	size_t n;

	pop3_body_retr(&tx);
	n = pop3_body_feed(&tx, &stored, out, stored.n * 2 + 8);
	n += pop3_body_end(&tx, out + n);
	pst_sha256(out, n, sum_out);
	free(out);
	return tx.octets;
}

static bool
read_body(struct trial_drop *d, uint32_t idx, const struct pst_body *body, uint64_t size,
          uint8_t sum_out[32])
{
	char *stored;
	uint64_t octets;
	struct pst_err err;
	size_t n;

	if (!check_gaps(d->t, idx, body))
		return false;
	if (body->length > LENGTH_MAX) {
		trial_fail(d->t, "message %u: a length of %llu octets is more than is tried here",
		           idx, (unsigned long long)body->length);
		return false;
	}
	stored = pst_realloc(NULL, (size_t)body->length + 1);
	if (wirebody_read(body, 0, stored, (size_t)body->length, &n, &err) != 0) {
		trial_fail(d->t, "message %u: its file ends before its length of %llu octets", idx,
		           (unsigned long long)body->length);
	} else {
		octets = make_reply((struct pst_str){ stored, (size_t)body->length }, sum_out);
		if (octets != size)
			trial_fail(d->t, "message %u: size_octets is %llu, RETR would send %llu",
			           idx, (unsigned long long)size, (unsigned long long)octets);
		else if (body->crlf && (octets != body->length || octets == 0))
			trial_fail(d->t, "message %u: crlf is set, but a line ends otherwise", idx);
	}
	free(stored);
	return d->t->why[0] == '\0';
}

static bool
fetch(struct trial_drop *d, uint32_t idx, uint64_t size, uint8_t sum_out[32])
{
	struct pst_body body = { .fd = -1 };
	enum pst_fetch_result got;
	bool ok;

	trial_drop_forget_reason(d);
	got = d->storage->fetch(d->open, idx, 0, &body, &d->err);
	if (got == PST_FETCH_WAIT) {
		trial_fail(d->t, "message %u: fetch says PST_FETCH_WAIT though it may block", idx);
		return false;
	}
	if (got != PST_FETCH_OK) {
		if (trial_drop_has_reason(d, "fetch"))
			trial_fail(d->t, "message %u: fetch: %s", idx, d->err.text);
		return false;
	}
	if (body.fd < 0) {
		trial_fail(d->t, "message %u: fetch gave no descriptor", idx);
		return false;
	}
	ok = read_body(d, idx, &body, size, sum_out);
	pop3_stored_release(&body);
	return ok;
}

static int
compare_uidls(const void *a, const void *b)
{
	const struct trial_message *const *x = a, *const *y = b;
	size_t n = (*x)->uidl.n < (*y)->uidl.n ? (*x)->uidl.n : (*y)->uidl.n;
	int c = memcmp((*x)->uidl.p, (*y)->uidl.p, n);

	return c != 0 ? c : ((*x)->uidl.n > (*y)->uidl.n) - ((*x)->uidl.n < (*y)->uidl.n);
}

static bool
are_unique(struct trial_drop *d, const struct trial_listing *l)
{
	const struct trial_message **by_uidl =
		pst_new_array(const struct trial_message *, l->n + 1);
	uint32_t i;

	for (i = 0; i < l->n; i++)
		by_uidl[i] = &l->v[i];
	qsort(by_uidl, l->n, sizeof(*by_uidl), compare_uidls);
	for (i = 1; i < l->n; i++)
		if (compare_uidls(&by_uidl[i - 1], &by_uidl[i]) == 0)
			trial_fail(d->t, "messages %u and %u have the same UIDL",
			           (unsigned)(by_uidl[i - 1] - l->v),
			           (unsigned)(by_uidl[i] - l->v));
	free(by_uidl);
	return d->t->why[0] == '\0';
}

bool
trial_drop_read(struct trial_drop *d, bool with_sums, struct trial_listing *out)
{
	uint32_t i;

	out->n = d->storage->count(d->open);
	out->v = pst_arena_alloc(d->t->arena, ((size_t)out->n + 1) * sizeof(*out->v));
	for (i = 0; i < out->n; i++) {
		struct pst_message m = { .size_octets = 0 };

		d->storage->message(d->open, i, &m);
		if (!is_uidl(m.uidl)) {
			trial_fail(d->t,
			           "message %u: its UIDL is not 1 to %d octets of 0x21 to 0x7e", i,
			           PST_UIDL_MAX);
			return false;
		}
		out->v[i].uidl = (struct pst_str){ pst_arena_copy(d->t->arena, m.uidl), m.uidl.n };
		out->v[i].size_octets = m.size_octets;
		if (with_sums && !fetch(d, i, m.size_octets, out->v[i].sum))
			return false;
	}
	return are_unique(d, out);
}

bool
trial_drop_list(struct trial_drop *d, struct trial_listing *out)
{
	bool ok = trial_drop_open(d) && trial_drop_read(d, true, out);

	trial_drop_close(d);
	return ok;
}

bool
trial_is_message(const struct trial_message *m, struct pst_str stored)
{
	uint8_t sum[32];

	return make_reply(stored, sum) == m->size_octets && memcmp(sum, m->sum, sizeof(sum)) == 0;
}

bool
trial_listing_is(struct trial *t, const struct trial_listing *now,
                 const struct trial_listing *before, const bool *gone, const char *when)
{
	uint32_t i, at = 0;

	for (i = 0; i < before->n; i++) {
		const struct trial_message *want = &before->v[i], *is = &now->v[at];

		if (gone != NULL && gone[i])
			continue;
		if (at == now->n) {
			trial_fail(t, "%s: %u messages are listed, no longer message %u", when,
			           now->n, i);
			return false;
		}
		if (!pst_str_eq(want->uidl, is->uidl))
			trial_fail(t, "%s: message %u is %.*s, not %.*s as before", when, at,
			           PST_ARG(is->uidl), PST_ARG(want->uidl));
		else if (want->size_octets != is->size_octets ||
		         memcmp(want->sum, is->sum, sizeof(is->sum)) != 0)
			trial_fail(t, "%s: message %u, %.*s, has other octets than before", when,
			           at, PST_ARG(is->uidl));
		at++;
	}
	if (at != now->n)
		trial_fail(t, "%s: %u messages are listed, %u should be", when, now->n, at);
	return t->why[0] == '\0';
}
