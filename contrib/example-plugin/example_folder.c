/* SPDX-License-Identifier: MIT */
/* example_folder - a folder of *.eml files as a maildrop that can only be read: a storage plugin.
 *
 * "example_folder:/srv/archive/ann" is such a folder. A message's UIDL is a hash of its file's name,
 * so a file must not change once it is there. Copy this file to begin a plugin of your own; the
 * manual is <postern/storage.h>. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/storage.h>

#define UIDL_OCTETS 32

struct folder_conf {
	int64_t max_messages;
};

static const struct pst_conf_key folder_keys[] = {
	{ "max_messages", PST_CONF_INT(struct folder_conf, max_messages), "10000", 1, 1000000,
	  "messages", "A folder with more is refused." },
	{ .key = NULL },
};

/* start makes no state of its own: the host's functions and the settings are all that is needed, and
 * they do not change, so that many threads may use them. */
static int
folder_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)err;
	*self_out = (void *)(uintptr_t)host;
	return 0;
}

struct message {
	char *name;
	uint64_t size; /* octets on the wire */
	uint64_t length;
	bool crlf;
	char uidl[UIDL_OCTETS + 1];
};

struct pst_maildrop {
	const struct pst_host *host;
	int fd; /* the folder; bears the lock; -1: it is not there */
	struct message *v;
	uint32_t n;
};

static bool
is_mail(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".eml") == 0;
}

static void
make_uidl(const struct pst_host *host, struct message *m)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[32];
	size_t i;

	host->sha256(m->name, strlen(m->name), sum);
	for (i = 0; i < UIDL_OCTETS / 2; i++) {
		m->uidl[2 * i] = digits[sum[i] >> 4];
		m->uidl[2 * i + 1] = digits[sum[i] & 15];
	}
}

/* How long it is on the wire: the server counts, so that CRLF and a missing last line end are right. */
static int
measure(const struct pst_maildrop *d, struct message *m, struct pst_err *err)
{
	int fd = openat(d->fd, m->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int rc = -1;

	if (fd < 0 || fstat(fd, &st) != 0)
		pst_err_sys(err, PST_E_TEMP, "%s", m->name);
	else if (!S_ISREG(st.st_mode))
		pst_err_set(err, PST_E_PERM, "%s is no file", m->name);
	else {
		m->length = (uint64_t)st.st_size;
		rc = d->host->measure(fd, 0, m->length, &m->size, &m->crlf, err);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
add_name(struct pst_maildrop *d, const char *name, struct pst_err *err)
{
	const struct folder_conf *conf = d->host->conf;
	struct message *v;

	if (d->n >= conf->max_messages)
		return pst_err_set(err, PST_E_PERM, "more than max_messages, %lld",
		                   (long long)conf->max_messages);
	v = realloc(d->v, (d->n + 1) * sizeof(*v));
	if (v == NULL)
		return pst_err_sys(err, PST_E_TEMP, "realloc");
	d->v = v;
	v[d->n] = (struct message){ .name = strdup(name) };
	if (v[d->n].name == NULL)
		return pst_err_sys(err, PST_E_TEMP, "strdup");
	d->n++;
	return 0;
}

static int
read_names(struct pst_maildrop *d, struct pst_err *err)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	int rc = 0;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return pst_err_sys(err, PST_E_TEMP, "read the folder");
	}
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (is_mail(e->d_name))
			rc = add_name(d, e->d_name, err);
	closedir(dir);
	return rc;
}

static int
compare_names(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int
make_listing(struct pst_maildrop *d, struct pst_err *err)
{
	uint32_t i;

	if (read_names(d, err) != 0)
		return -1;
	if (d->n > 0)
		qsort(d->v, d->n, sizeof(*d->v), compare_names);
	for (i = 0; i < d->n; i++) {
		make_uidl(d->host, &d->v[i]);
		if (measure(d, &d->v[i], err) != 0)
			return -1;
	}
	return 0;
}

static void
folder_close(struct pst_maildrop *d)
{
	uint32_t i;

	for (i = 0; i < d->n; i++)
		free(d->v[i].name);
	free(d->v);
	if (d->fd >= 0)
		close(d->fd); /* and the lock is gone */
	free(d);
}

/* A session may only be one at a time; flock is gone when the process dies. */
static int
lock_folder(struct pst_maildrop *d, const char *path, struct pst_err *err)
{
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0 && errno == ENOENT)
		return 0; /* an empty maildrop */
	if (d->fd < 0)
		return pst_err_sys(err, errno == EACCES ? PST_E_PERM : PST_E_TEMP, "%s", path);
	if (flock(d->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return pst_err_set(err, PST_E_IN_USE, "%s: another session has it", path);
	return pst_err_sys(err, PST_E_TEMP, "lock %s", path);
}

static int
folder_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
            struct pst_err *err)
{
	struct pst_maildrop *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return pst_err_sys(err, PST_E_TEMP, "calloc");
	d->host = self;
	d->fd = -1;
	if (lock_folder(d, spec->path, err) != 0 || (d->fd >= 0 && make_listing(d, err) != 0)) {
		folder_close(d);
		return -1;
	}
	*drop_out = d;
	return 0;
}

static uint32_t
folder_count(const struct pst_maildrop *d)
{
	return d->n;
}

static void
folder_message(const struct pst_maildrop *d, uint32_t idx, struct pst_message *msg_out)
{
	msg_out->size_octets = d->v[idx].size;
	msg_out->uidl = pst_str_c(d->v[idx].uidl);
}

/* Opening a file may block, so on the loop the answer is to wait. */
static enum pst_fetch_result
folder_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags, struct pst_body *body_out,
             struct pst_err *err)
{
	const struct message *m = &d->v[idx];
	struct stat st;
	int fd;

	if ((flags & PST_FETCH_NOWAIT) != 0)
		return PST_FETCH_WAIT;
	fd = openat(d->fd, m->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		pst_err_sys(err, PST_E_TEMP, "%s", m->name);
		return PST_FETCH_ERROR;
	}
	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != m->length) {
		close(fd);
		pst_err_set(err, PST_E_TEMP, "%s has changed", m->name);
		return PST_FETCH_ERROR;
	}
	*body_out = (struct pst_body){ .fd = fd, .length = m->length, .crlf = m->crlf };
	return PST_FETCH_OK;
}

/* The client's QUIT is answered with -ERR, and every message is still there. */
static int
folder_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
              struct pst_err *err)
{
	(void)d, (void)idx, (void)n;
	*removed_out = 0;
	return pst_err_set(err, PST_E_PERM, "this maildrop can only be read");
}

static const struct pst_storage folder_storage = {
	.size = sizeof(struct pst_storage),
	.open = folder_open,
	.count = folder_count,
	.message = folder_message,
	.fetch = folder_fetch,
	.commit = folder_commit,
	.close = folder_close,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "example_folder",
	.keys = folder_keys,
	.conf_size = sizeof(struct folder_conf),
	.start = folder_start,
	.storage = &folder_storage,
};
