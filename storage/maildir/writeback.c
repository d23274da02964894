/* SPDX-License-Identifier: MIT */
/* When the old server's list is written, and what becomes of a failure; see writeback.h. */
#include "storage/maildir/writeback.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread of the pool waits so long, and other sessions may need it. */
#define WAIT_MS 2000

/* Lines of messages that are gone are left out where there are so many. */
#define DEAD_LEAST 256

/* ---- What the formats need ---- */

struct pst_str
writeback_uidl(const struct writeback *w, uint32_t id, char buf[MAILDIR_UIDL_ROOM])
{
	struct index_message m;

	if (id >= w->s->known_count)
		return uidls_of(w->u, id - w->s->known_count, buf);
	index_at(w->s->known, id, &m);
	return m.uidl;
}

static int
make_room(struct writeback *w, size_t octets, struct pst_err *err)
{
	if (mem_grow(&w->mem_text, w->text_used + octets, SIZE_MAX / 8) == 0)
		return 0;
	return pst_err_set(err, PST_E_TEMP, "no memory for the old server's list");
}

int
writeback_octets(struct writeback *w, struct pst_str s, struct pst_err *err)
{
	if (make_room(w, s.n, err) != 0)
		return -1;
	if (s.n > 0)
		memcpy((char *)w->mem_text.p + w->text_used, s.p, s.n);
	w->text_used += s.n;
	return 0;
}

int
writeback_text(struct writeback *w, struct pst_err *err, const char *fmt, ...)
{
	char line[2 * INDEX_NAME_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line))
		return pst_err_set(err, PST_E_PERM, "too long a line for the old server's list");
	return writeback_octets(w, (struct pst_str){ line, (size_t)n }, err);
}

int
writeback_lines(struct writeback *w, unsigned head_lines, writeback_line *put, struct pst_err *err)
{
	struct pst_str rest = w->f->octets, line;
	uint32_t i = 0;

	while (foreign_next_line(&rest, &line)) {
		const char *base = i < w->file_count ? w->f->records[i].base : NULL;

		if (head_lines > 0) {
			head_lines--;
			continue;
		}
		if (base == NULL || base < line.p || base >= line.p + line.n)
			continue; /* no line of a message: it would harm the old server */
		if (w->fates[i] != WRITEBACK_DROP && put(w, line, i, err) != 0)
			return -1;
		i++;
	}
	return 0;
}

/* ---- What there is to do ---- */

static struct pst_str
base_of(const struct scan *s, uint32_t id)
{
	uint32_t place;

	return maildir_base(scan_name(s, id, &place));
}

/* Whether the message is there, and none of those that are only measured again. */
static bool
is_there(const struct scan *s, uint32_t id)
{
	const struct scan_fresh *fresh;

	if (id < s->known_count)
		return s->marks[id].round != 0;
	fresh = &s->fresh[id - s->known_count];
	return fresh->known == SCAN_NONE && fresh->state == FRESH_MEASURED;
}

/* Whether the list says another UIDL than we show, and can say ours. */
static bool
is_unlike(const struct writeback *w, const struct foreign_record *r, uint32_t id)
{
	char buf[MAILDIR_UIDL_ROOM];
	struct pst_str shown = writeback_uidl(w, id, buf);
	uint64_t uid, validity;

	if (pst_str_eq(foreign_uidl(w->f, r), shown))
		return false;
	return w->f->kind == FOREIGN_DOVECOT ||
	       writeback_courier_numbers(base_of(w->s, id), shown, &uid, &validity);
}

static bool
has_work(const struct writeback *w)
{
	uint32_t id;

	for (id = 0; id < w->s->known_count + w->s->fresh_count; id++) {
		const struct foreign_record *r;

		if (!is_there(w->s, id))
			continue;
		r = foreign_find(w->f, base_of(w->s, id));
		if (r == NULL || is_unlike(w, r, id))
			return true;
	}
	return false;
}

/* ---- Which messages the list lacks ---- */

struct lacking {
	struct foreign_key key;
	uint32_t id;
};

/* Those that we have listed already come first, in their order; then the new ones in the order in
 * which the old server numbers. */
static int
compare_lacking(const void *a, const void *b)
{
	const struct lacking *x = a, *y = b;

	return foreign_key_compare(&x->key, &y->key);
}

static int
collect(struct writeback *w, struct pst_err *err)
{
	uint32_t id, known = w->s->known_count, all = known + w->s->fresh_count, n = 0;
	struct lacking *fresh;

	if (mem_get(&w->mem_ids, (size_t)all * sizeof(*w->ids)) != 0 ||
	    mem_get(&w->mem_keys, (size_t)w->s->fresh_count * sizeof(*fresh)) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for the old server's list");
	w->ids = w->mem_ids.p;
	fresh = w->mem_keys.p;
	for (id = 0; id < all; id++) {
		struct pst_str base;

		if (!is_there(w->s, id))
			continue;
		base = base_of(w->s, id);
		if (foreign_find(w->f, base) != NULL)
			continue;
		if (id < known) {
			w->ids[w->id_count++] = id;
			continue;
		}
		foreign_key(w->f, base, &fresh[n].key);
		fresh[n++].id = id;
	}
	qsort(fresh, n, sizeof(*fresh), compare_lacking);
	for (id = 0; id < n; id++)
		w->ids[w->id_count++] = fresh[id].id;
	return 0;
}

/* ---- What becomes of the lines that are there ---- */

/* Whether all that the list names was there before the directories were read: then what was not seen
 * is gone. Dovecot puts files in their place first and writes their lines then, so a line that is
 * younger than our look may be of a file that came after it. */
static bool
is_older_than_scan(const struct writeback *w)
{
	const struct timespec *t = &w->f->seen.st_mtim;
	int64_t written_ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
	unsigned place;

	for (place = PLACE_NEW; place < PLACE_BOTH; place++)
		if (w->s->started_ns[place] == 0 ||
		    written_ns + w->d->self->margin_ns >= w->s->started_ns[place])
			return false;
	return true;
}

static int
judge_lines(struct writeback *w, struct pst_err *err)
{
	bool may_drop = scan_is_conclusive(w->s) && is_older_than_scan(w);
	uint32_t i, dead = 0;

	if (mem_get(&w->mem_fates, w->file_count) != 0)
		return pst_err_set(err, PST_E_TEMP, "no memory for the old server's list");
	w->fates = w->mem_fates.p;
	for (i = 0; i < w->file_count; i++) {
		const struct foreign_record *r = &w->f->records[i];
		uint32_t id = scan_find(w->s, (struct pst_str){ r->base, r->base_octets });

		if ((r->flags & FOREIGN_REPLACED) != 0 || (id == SCAN_NONE && may_drop)) {
			w->fates[i] = WRITEBACK_DROP;
			dead++;
		} else if (id != SCAN_NONE && is_there(w->s, id) && is_unlike(w, r, id)) {
			w->fates[i] = WRITEBACK_SET;
			w->must_rewrite = true;
		}
	}
	if (dead >= DEAD_LEAST && dead > w->file_count / 2)
		w->must_rewrite = true;
	return 0;
}

/* ---- The writing ---- */

/* The same file as when it was read? */
static bool
is_unchanged(const struct foreign *f, int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == f->seen.st_dev &&
	       st.st_ino == f->seen.st_ino && st.st_size == f->seen.st_size &&
	       st.st_mtim.tv_sec == f->seen.st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec;
}

static int
load_again(struct writeback *w, struct pst_err *err)
{
	uidls_clear(w->u);
	foreign_clear(w->f);
	if (foreign_load(w->f, w->d, w->d->index.listed == 0, err) != 0)
		return -1;
	return uidls_choose(w->u, w->s, w->f, w->ledger, err);
}

/* Gives the numbers, and the UIDLs that follow from them. */
static int
number(struct writeback *w, struct pst_err *err)
{
	int rc = w->f->kind == FOREIGN_DOVECOT ? writeback_number_dovecot(w, err)
	                                       : writeback_number_courier(w, err);

	if (rc != 0 || foreign_make_findable(w->f, w->d->self->seed, err) != 0)
		return -1;
	uidls_clear(w->u);
	return uidls_choose(w->u, w->s, w->f, w->ledger, err);
}

static int
write_list(struct writeback *w, const struct dotlock *lock, struct pst_err *err)
{
	if (judge_lines(w, err) != 0)
		return -1;
	if (w->id_count == 0 && !w->must_rewrite)
		return 0; /* another has written it meanwhile */
	if (w->f->kind == FOREIGN_COURIER) {
		if (writeback_courier(w, err) != 0)
			return -1;
		if (!is_unchanged(w->f, w->f->dirfd, FOREIGN_COURIER_LIST))
			return pst_err_set(err, PST_E_TEMP, "Courier has changed it meanwhile");
		return writeback_replace(w, FOREIGN_COURIER_LIST, NULL, err);
	}
	if (writeback_dovecot(w, err) != 0)
		return -1;
	if (!dotlock_holds(lock))
		return pst_err_set(err, PST_E_TEMP, "the lock was lost");
	return w->must_rewrite ? writeback_replace(w, FOREIGN_DOVECOT_LIST, lock, err)
	                       : writeback_append(w, FOREIGN_DOVECOT_LIST, err);
}

/* 0: the list has all. 1 with err: it could not be written, and f and u hold what was not. -1. */
static int
attempt(struct writeback *w, struct dotlock *lock, int dirfd, struct pst_err *err)
{
	const char *name =
		w->f->kind == FOREIGN_DOVECOT ? FOREIGN_DOVECOT_LIST : FOREIGN_COURIER_LIST;
	enum foreign_kind kind = w->f->kind;

	if (kind == FOREIGN_DOVECOT &&
	    dotlock_take(lock, w->d->self->host, dirfd, WAIT_MS, err) != 0)
		return 1;
	if (!is_unchanged(w->f, dirfd, name) && load_again(w, err) != 0)
		return -1;
	if (w->f->kind != kind)
		return 0; /* it was removed */
	w->file_count = w->f->count;
	if (collect(w, err) != 0 || number(w, err) != 0 || write_list(w, lock, err) != 0)
		return 1;
	return 0;
}

/* What the list does not have would get a number of the list the next time: unless what is shown now
 * is on record. */
static void
must_be_recorded(const struct writeback *w)
{
	uint32_t i;

	for (i = 0; i < w->s->fresh_count; i++) {
		struct uidl_choice *c = uidls_choice(w->u, i);

		if (c != NULL && is_there(w->s, w->s->known_count + i) &&
		    c->origin == UIDL_FROM_MAIL &&
		    foreign_find(w->f, base_of(w->s, w->s->known_count + i)) == NULL)
			c->origin = UIDL_GIVEN;
	}
}

static void
clear(struct writeback *w)
{
	mem_drop(&w->mem_ids);
	mem_drop(&w->mem_keys);
	mem_drop(&w->mem_fates);
	mem_drop(&w->mem_text);
}

static void
tell(const struct writeback *w, const struct pst_err *why)
{
	const struct pst_host *host = w->d->self->host;

	if (why == NULL)
		host->log(host, PST_LOG_DEBUG, "maildir.list_written", "path=%s messages=%u",
		          w->d->path, w->id_count);
	else
		host->log(host, why->kind == PST_E_IN_USE ? PST_LOG_INFO : PST_LOG_WARN,
		          "maildir.list_unwritten",
		          "path=%s reason=\"%.120s\": the old server would not know new mail by "
		          "our UIDLs",
		          w->d->path, why->text);
}

int
writeback_run(const struct pst_maildrop *d, struct scan *s, struct foreign *f, struct uidls *u,
              bool *owes_out, struct pst_err *err)
{
	struct writeback w = { .d = d, .s = s, .f = f, .u = u, .ledger = u->ledger };
	struct dotlock lock = { .is_held = false };
	struct pst_err why;
	int rc, dirfd;

	*owes_out = false;
	if (!d->self->conf->old_server_write || f->kind == FOREIGN_NONE || !has_work(&w))
		return 0;
	dirfd = fcntl(f->dirfd, F_DUPFD_CLOEXEC, 3); /* f may be loaded again */
	if (dirfd < 0)
		return pst_err_sys(err, PST_E_TEMP, "%s", d->path);
	rc = attempt(&w, &lock, dirfd, &why);
	dotlock_free(&lock);
	close(dirfd);
	tell(&w, rc == 0 ? NULL : &why);
	clear(&w);
	if (rc < 0)
		*err = why;
	if (rc > 0) {
		*owes_out = why.kind != PST_E_PERM;
		rc = load_again(&w, err);
	}
	if (rc == 0 && *owes_out)
		must_be_recorded(&w);
	return rc;
}
