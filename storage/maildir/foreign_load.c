/* SPDX-License-Identifier: MIT */
/* Reading an old server's list from the Maildir, and what is done about a bad one; see foreign.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/index/stale.h"
#include "storage/maildir/drop.h"
#include "storage/maildir/foreign.h"

#define LIST_MAX ((size_t)256 * 1024 * 1024) /* octets: two million messages with long names */

static int
slurp_once(int dirfd, const char *name, struct mem *mem, size_t *n_out, struct stat *seen_out,
           struct pst_err *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	size_t got = 0;
	ssize_t n = 1;
	int rc = -1;

	*n_out = 0;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return pst_err_sys(err, drop_kind_of_errno(), "open %s", name);
	if (fstat(fd, &st) != 0) {
		pst_err_sys(err, drop_kind_of_errno(), "open %s", name);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > LIST_MAX) {
		pst_err_set(err, PST_E_PERM, "%s: no file, or larger than any list", name);
		goto out;
	}
	if (mem_get(mem, (size_t)st.st_size) != 0) {
		pst_err_set(err, PST_E_TEMP, "no memory for %s", name);
		goto out;
	}
	while (got < (size_t)st.st_size && n > 0) {
		n = read(fd, (char *)mem->p + got, (size_t)st.st_size - got);
		if (n < 0 && errno != EINTR) {
			pst_err_sys(err, PST_E_TEMP, "read %s", name);
			goto out;
		}
		got += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	*n_out = got;
	*seen_out = st;
	rc = 0;
out:
	close(fd);
	return rc;
}

/* 0 and *n_out 0 with mem->p NULL: there is no such file. */
static int
slurp(int dirfd, const char *name, struct mem *mem, size_t *n_out, struct stat *seen_out,
      struct pst_err *err)
{
	unsigned attempt = 1;
	int rc;

	while ((rc = slurp_once(dirfd, name, mem, n_out, seen_out, err)) != 0 && stale_is(err) &&
	       attempt++ < STALE_ATTEMPTS)
		mem_drop(mem);
	return rc;
}

/* What dovecot-uidvalidity says: eight hexadecimal digits; 0: nothing. */
static uint32_t
read_validity(int dirfd)
{
	struct mem mem = { NULL, 0 };
	struct pst_err err;
	uint32_t value = 0;
	struct stat st;
	size_t n, i;

	if (slurp(dirfd, FOREIGN_DOVECOT_VALIDITY, &mem, &n, &st, &err) != 0 || n < 8)
		n = 0;
	for (i = 0; i < 8 && i < n; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *at = memchr(digits, pst_lower(((const char *)mem.p)[i]), 16);

		if (at == NULL) {
			value = 0;
			break;
		}
		value = value << 4 | (uint32_t)(at - digits);
	}
	mem_drop(&mem);
	return value;
}

/* Where Dovecot has a control folder the list of the inbox lies in .INBOX in it, and the file with the
 * UIDVALIDITY in itself. -1 in *dirfd_out: it is not there. */
static int
open_control(const struct pst_maildrop *d, const char *sub, int *dirfd_out, struct pst_err *err)
{
	size_t room = strlen(d->control.p) + strlen(sub) + 1;
	char *path = mem_new(room);

	(void)snprintf(path, room, "%s%s", (const char *)d->control.p, sub);
	*dirfd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd_out < 0 && errno != ENOENT)
		pst_err_sys(err, drop_kind_of_errno(), "open %s", path);
	free(path);
	return *dirfd_out < 0 && errno != ENOENT ? -1 : 0;
}

static int
parse_dovecot(struct foreign *f, const struct pst_maildrop *d, struct pst_str octets,
              struct pst_err *err)
{
	const char *format = d->self->conf->dovecot_uidl_format;
	struct pst_err first;
	uint32_t validity;
	int root = d->root;

	if (foreign_parse_dovecot(f, octets, format, 0, &first) == 0)
		return 0;
	if (d->control.p != NULL && open_control(d, "", &root, err) != 0)
		return -1;
	validity = root < 0 ? 0 : read_validity(root);
	if (root >= 0 && root != d->root)
		close(root);
	if (validity == 0) {
		*err = first;
		return -1;
	}
	f->count = 0;
	f->text_used = 0;
	f->bad_lines = 0;
	return foreign_parse_dovecot(f, octets, format, validity, err);
}

static int
load_one(struct foreign *f, const struct pst_maildrop *d, const char *name, struct pst_err *err)
{
	bool is_dovecot = name[0] == 'd';
	struct pst_str octets;

	f->dirfd = d->root;
	if (is_dovecot && d->control.p != NULL) {
		if (open_control(d, "/.INBOX", &f->dirfd, err) != 0)
			return -1;
		if (f->dirfd < 0)
			return 0;
		f->owns_dirfd = true;
	}
	if (slurp(f->dirfd, name, &f->mem_octets, &octets.n, &f->seen, err) != 0)
		return -1;
	octets.p = f->mem_octets.p;
	if (octets.p == NULL)
		return 0;
	return is_dovecot ? parse_dovecot(f, d, octets, err)
	                  : foreign_parse_courier(f, octets, err);
}

static int
load(struct foreign *f, const struct pst_maildrop *d, const char **name_out, struct pst_err *err)
{
	static const struct {
		const char *name;
		enum maildir_old_server only;
	} lists[] = {
		/* Where both are, Courier's is mostly what was left behind in a move to Dovecot. */
		{ FOREIGN_DOVECOT_LIST, MAILDIR_OLD_DOVECOT },
		{ FOREIGN_COURIER_LIST, MAILDIR_OLD_COURIER },
	};
	int64_t old = d->self->conf->old_server;
	size_t i;

	for (i = 0; i < 2 && f->kind == FOREIGN_NONE; i++) {
		*name_out = lists[i].name;
		if (old != MAILDIR_OLD_AUTO && old != (int64_t)lists[i].only)
			continue;
		foreign_clear(f); /* the other kind's folder */
		f->md5 = d->self->host->md5;
		if (load_one(f, d, lists[i].name, err) != 0)
			return -1;
	}
	if (f->kind == FOREIGN_NONE)
		return 0;
	if (f->count == 0 && f->bad_lines > 0)
		return pst_err_set(err, PST_E_TEMP, "%s:%u: %s, and no line is right", *name_out,
		                   f->first_bad_line, f->first_bad);
	return foreign_make_findable(f, d->self->seed, err);
}

int
foreign_load(struct foreign *f, const struct pst_maildrop *d, bool is_first, struct pst_err *err)
{
	const struct pst_host *host = d->self->host;
	const char *name = "";
	struct pst_err why;

	*f = (struct foreign){ .kind = FOREIGN_NONE, .md5 = host->md5 };
	if (d->self->conf->old_server == MAILDIR_OLD_NONE)
		return 0;
	if (load(f, d, &name, &why) == 0) {
		if (f->bad_lines > 0)
			host->log(
				host, PST_LOG_WARN, "maildir.list_damaged",
				"path=%s file=%s line=%u lines=%u reason=\"%s\": the other lines count",
				d->path, name, f->first_bad_line, f->bad_lines, f->first_bad);
		return 0;
	}
	foreign_clear(f);
	if (is_first)
		return pst_err_set(err, why.kind,
		                   "%s: %.80s; its UIDLs would be lost: mend or remove the list",
		                   d->path, why.text);
	host->log(host, PST_LOG_WARN, "maildir.list_damaged",
	          "path=%s file=%s reason=\"%.100s\": new messages get UIDLs of ours", d->path,
	          name, why.text);
	return 0;
}
