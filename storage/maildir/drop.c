/* SPDX-License-Identifier: MIT */
/* Opening a Maildir: lock, look at the directories, take the listing from the index where nothing
 * changed; see drop.h.
 *
 * The lock is flock on the Maildir directory itself: it needs no file, works where nothing may be
 * written, and is gone with its holder. All else goes through that descriptor, so that the session
 * works on the directory that it locked, whatever becomes of the path. */
#include "storage/index/stale.h"
#include "storage/maildir/drop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ATTEMPTS 3

enum pst_err_kind
drop_kind_of_errno(void)
{
	switch (errno) {
	case EACCES:
	case EPERM:
	case EROFS:
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
		return PST_E_PERM;
	default:
		return PST_E_TEMP;
	}
}

bool
drop_is_at_path(const struct pst_maildrop *d)
{
	struct stat locked, there;

	return fstat(d->root, &locked) == 0 && stat(d->path, &there) == 0 &&
	       locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

static int
lock_root(const struct pst_maildrop *d, struct pst_err *err)
{
	if (flock(d->root, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return pst_err_set(err, PST_E_IN_USE, "%s: another session has the lock", d->path);
	return pst_err_sys(err, PST_E_TEMP, "lock %s", d->path);
}

/* root -1 and 0: there is no such directory. Whoever puts another Maildir in this one's place holds
 * its lock meanwhile: so the path is looked at again once we have it. */
static int
open_root(struct pst_maildrop *d, struct pst_err *err)
{
	int attempt;

	for (attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		d->root = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (d->root < 0)
			return errno == ENOENT
			               ? 0
			               : pst_err_sys(err, drop_kind_of_errno(), "open %s", d->path);
		if (lock_root(d, err) != 0)
			return -1;
		if (drop_is_at_path(d))
			return 0;
		close(d->root);
		d->root = -1;
	}
	return pst_err_set(err, PST_E_TEMP, "%s: replaced again and again", d->path);
}

static int
look_at_places(const struct pst_maildrop *d, struct index_place now[PLACE_BOTH],
               struct pst_err *err)
{
	unsigned place;

	for (place = PLACE_NEW; place < PLACE_BOTH; place++)
		if (index_place_look(d->root, maildir_places[place], &now[place], err) != 0)
			return -1;
	return 0;
}

bool
drop_is_unchanged(const struct maildir *self, const struct index *ix,
                  const struct index_place now[PLACE_BOTH])
{
	uint32_t policy = ix->head.uidl_policy;
	unsigned place;

	/* An index of before there were policies is right under the plain one as it ever was. */
	if (policy != self->policy.id && (policy != 0 || self->policy.id != UIDL_PLAIN_ID))
		return false;
	for (place = PLACE_NEW; place < PLACE_BOTH; place++)
		if (!ix->head.places[place].is_trusted ||
		    !index_place_same(&ix->head.places[place], &now[place]))
			return false;
	return true;
}

static int
check_limit(const struct pst_maildrop *d, struct pst_err *err)
{
	int64_t max = d->self->conf->max_messages;

	if (d->index.listed <= max)
		return 0;
	return pst_err_set(err, PST_E_PERM,
	                   "%s: %u messages are more than storage.maildir.max_messages, %lld",
	                   d->path, d->index.listed, (long long)max);
}

struct pst_maildrop *
drop_create(void *self, const char *path)
{
	struct pst_maildrop *d = mem_new(sizeof(*d));

	d->self = self;
	d->root = -1;
	d->path = strdup(path);
	if (d->path == NULL)
		abort();
	return d;
}

static int
open_once(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	struct pst_maildrop *d = drop_create(self, spec->path);
	const char *control = d->self->conf->dovecot_control;
	struct index_place now[PLACE_BOTH];
	enum index_load load;

	d->open_flags = spec->flags;
	d->user = spec->user;
	if (*control != '\0' && drop_control(control, spec->user, &d->control, err) != 0)
		goto fail;
	if (open_root(d, err) != 0)
		goto fail;
	if (d->root >= 0) {
		drop_locate_index(d);
		if (look_at_places(d, now, err) != 0)
			goto fail;
		load = drop_load_index(d, &d->index);
		if ((load != INDEX_LOADED || !drop_is_unchanged(d->self, &d->index, now)) &&
		    drop_list(d, now, err) != 0)
			goto fail;
		if (check_limit(d, err) != 0)
			goto fail;
	}
	d->user = (struct pst_str){ NULL, 0 };
	*drop_out = d;
	return 0;
fail:
	drop_close(d);
	return -1;
}

int
drop_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	unsigned attempt = 1;
	int rc;

	while ((rc = open_once(self, spec, drop_out, err)) != 0 && stale_is(err) &&
	       attempt < STALE_ATTEMPTS)
		attempt++;
	return rc;
}

void
drop_close(struct pst_maildrop *d)
{
	if (d->stale_count > 0)
		drop_write_back(d);
	index_clear(&d->index);
	mem_drop(&d->control);
	mem_drop(&d->mem_moved);
	mem_drop(&d->mem_moved_text);
	free(d->gone);
	free(d->removed);
	free(d->stale);
	if (d->root >= 0)
		close(d->root); /* and with it the lock */
	free(d->index_name);
	free(d->index_spare);
	free(d->ledger_name);
	free(d->ledger_spare);
	free(d->path);
	free(d);
}

uint32_t
drop_count(const struct pst_maildrop *d)
{
	return d->index.listed;
}

void
drop_message(const struct pst_maildrop *d, uint32_t idx, struct pst_message *out)
{
	index_show(&d->index, idx, d->self->host->surrogate_rules, out);
}

int
drop_open_places(const struct pst_maildrop *d, int dirfd[PLACE_BOTH], struct pst_err *err)
{
	unsigned place;

	for (place = PLACE_NEW; place < PLACE_BOTH; place++)
		dirfd[place] = -1;
	for (place = PLACE_NEW; place < PLACE_BOTH; place++) {
		dirfd[place] = openat(d->root, maildir_places[place],
		                      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dirfd[place] < 0 && errno != ENOENT) {
			pst_err_sys(err, drop_kind_of_errno(), "open %s/%s", d->path,
			            maildir_places[place]);
			drop_close_places(dirfd);
			return -1;
		}
	}
	return 0;
}

void
drop_close_places(int dirfd[PLACE_BOTH])
{
	unsigned place;

	for (place = PLACE_NEW; place < PLACE_BOTH; place++) {
		if (dirfd[place] >= 0)
			close(dirfd[place]);
		dirfd[place] = -1;
	}
}

bool
drop_bit(const uint8_t *bits, uint32_t idx)
{
	return bits != NULL && (bits[idx / 8] & 1u << idx % 8) != 0;
}

void
drop_set_bit(const struct pst_maildrop *d, uint8_t **bits, uint32_t idx)
{
	if (*bits == NULL)
		*bits = mem_new(d->index.listed / 8 + 1);
	(*bits)[idx / 8] |= (uint8_t)(1u << idx % 8);
}
