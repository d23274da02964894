/* SPDX-License-Identifier: MIT */
/* The folder of certificates; see store.h. */
#include "keys/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "tls/lru.h"
#include "tls/oracle.h"

#define MAX_FILE 131072 /* octets of a PEM file */
#define VERSION_BUCKETS 1024
#define MIN_ABSENT 4096
#define PATH_OCTETS 4096
#define NO_DEFAULT_LOG_MS 60000

/* What tells that a file is another than before. The change time shows a chmod, too. */
struct mark {
	int64_t mtime_ns, ctime_ns;
	uint64_t ino;
	int64_t size; /* -1: not there */
};

/* A pair of files. */
struct place {
	struct mark cert, key; /* of what was tried last */
	struct pair *now;      /* NULL: nothing that loads */
	struct pair *before;   /* what now has taken the place of */
	int64_t replaced_ms;
};

struct folder {
	struct lru_item item; /* first: an item is its folder */
	bool is_absent;       /* in the table of these */
	int64_t checked_ms;
	struct place places[2];
};

static const char *const file_names[2][2] = { { "fullchain.pem", "privkey.pem" },
	                                      { "fullchain-rsa.pem", "privkey-rsa.pem" } };

struct store {
	const struct tls_settings *settings;
	struct lru folders; /* with something in them */
	/* Names without: bounded apart, so that made-up names push nothing out. */
	struct lru absent;
	struct pair *by_version[VERSION_BUCKETS];
	int64_t no_default_logged_ms;
};

/* ---- Versions ---- */

static void
enter_version(struct store *s, struct pair *p)
{
	struct pair **b = &s->by_version[p->version % VERSION_BUCKETS];

	p->next = *b;
	*b = p;
}

static void
drop_pair(struct store *s, struct pair **p)
{
	struct pair **at;

	if (*p == NULL)
		return;
	for (at = &s->by_version[(*p)->version % VERSION_BUCKETS]; *at != *p; at = &(*at)->next)
		;
	*at = (*p)->next;
	pair_destroy(*p);
	*p = NULL;
}

const struct pair *
store_by_version(struct store *s, uint64_t version)
{
	const struct pair *p;

	for (p = s->by_version[version % VERSION_BUCKETS]; p != NULL; p = p->next)
		if (p->version == version)
			return p;
	return NULL;
}

/* ---- Files ---- */

static void
path_of(const struct store *s, const char *folder, const char *file, char out[PATH_OCTETS])
{
	(void)snprintf(out, PATH_OCTETS, "%s/%s/%s", s->settings->directory, folder, file);
}

static struct mark
mark_of(const struct stat *st)
{
	return (struct mark){
		.mtime_ns = st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
		.ctime_ns = st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
		.ino = (uint64_t)st->st_ino,
		.size = (int64_t)st->st_size,
	};
}

static bool
marks_differ(const struct mark *a, const struct mark *b)
{
	return a->mtime_ns != b->mtime_ns || a->ctime_ns != b->ctime_ns || a->ino != b->ino ||
	       a->size != b->size;
}

static struct mark
look(const struct store *s, const char *folder, const char *file)
{
	char path[PATH_OCTETS];
	struct stat st;

	path_of(s, folder, file, path);
	if (stat(path, &st) != 0)
		return (struct mark){ .size = -1 };
	return mark_of(&st);
}

/* A whole file into memory that the caller wipes and frees. The mark is that of what was read. */
static int
read_file(const struct store *s, const char *folder, const char *file, struct pst_str *text_out,
          struct mark *mark_out, struct pst_err *err)
{
	char path[PATH_OCTETS];
	char *data = NULL;
	struct stat st;
	size_t n = 0;
	int rc = -1;
	int fd;

	path_of(s, folder, file, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		pst_err_sys(err, PST_E_PERM, "%s", file);
		goto out;
	}
	*mark_out = mark_of(&st);
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > MAX_FILE) {
		pst_err_set(err, PST_E_PERM, "%s: not a file of 1 to %d octets", file, MAX_FILE);
		goto out;
	}
	data = pst_alloc((size_t)st.st_size);
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, data + n, (size_t)st.st_size - n);

		if (got <= 0) {
			pst_err_set(err, PST_E_PERM, "%s: cannot be read whole", file);
			pst_wipe(data, n);
			free(data);
			goto out;
		}
		n += (size_t)got;
	}
	*text_out = (struct pst_str){ data, n };
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

static void
wipe_text(struct pst_str *text)
{
	char *p = (char *)(uintptr_t)text->p; /* ours, from read_file */

	if (p != NULL)
		pst_wipe(p, text->n);
	free(p);
}

/* ---- One pair of files ---- */

/* The host name that the certificate of a folder should be good for. */
static void
host_of(const char *folder, char out[WIRE_NAME + 1])
{
	bool is_wildcard = strncmp(folder, "_.", 2) == 0;

	/* Any label will do where the certificate's is a star. */
	(void)snprintf(out, WIRE_NAME + 1, "%s%s", is_wildcard ? "any" : "",
	               is_wildcard ? folder + 1 : folder);
}

static int
load(struct store *s, const char *folder, size_t which, struct place *place, struct pair **pair_out,
     bool *fits_out, struct pst_err *err)
{
	struct pst_str certs = { NULL, 0 };
	struct pst_str key = { NULL, 0 };
	char host[WIRE_NAME + 1];
	int rc = -1;

	host_of(folder, host);
	if (read_file(s, folder, file_names[which][0], &certs, &place->cert, err) == 0 &&
	    read_file(s, folder, file_names[which][1], &key, &place->key, err) == 0)
		rc = pair_create(certs, key, host, pair_out, fits_out, err);
	wipe_text(&certs);
	wipe_text(&key);
	if (rc == 0 && which == 1 && (*pair_out)->type != TLS_TYPE_RSA) {
		pair_destroy(*pair_out);
		return pst_err_set(err, PST_E_PERM, "%s: not an RSA certificate", file_names[1][0]);
	}
	return rc;
}

static void
log_loaded(const struct store *s, const char *folder, const struct place *place, bool fits)
{
	const struct pair *p = place->now;

	pst_log_write(place->before != NULL ? PST_LOG_INFO : PST_LOG_DEBUG, NULL, "keys.loaded",
	              "folder=%s/%s type=%s bits=%" PRIu32, s->settings->directory, folder,
	              p->type == TLS_TYPE_RSA ? "rsa" : "ec", p->bits);
	if (p->expires < pst_wall_ms() / 1000)
		pst_log_warn(NULL, "keys.expired",
		             "folder=%s/%s reason=\"the certificate's time is over: renew it\"",
		             s->settings->directory, folder);
	if (!fits)
		pst_log_warn(
			NULL, "keys.wrong_name",
			"folder=%s/%s reason=\"the certificate is not for the name of its folder\"",
			s->settings->directory, folder);
}

/* A new pair takes its place; the same certificate again (only touched) just does. */
static void
install(struct store *s, struct place *place, struct pair *p, int64_t now_ms)
{
	if (place->now != NULL && place->now->version == p->version) {
		drop_pair(s, &place->now);
	} else {
		drop_pair(s, &place->before);
		place->before = place->now;
		place->replaced_ms = now_ms;
	}
	place->now = p;
	enter_version(s, p);
}

/* login believes what it was told for one interval, and may have asked just before the change. */
static void
forget_replaced(struct store *s, struct place *place, int64_t now_ms)
{
	if (now_ms - place->replaced_ms > 2 * s->settings->check_interval + 2000)
		drop_pair(s, &place->before);
}

static void
refresh_place(struct store *s, const char *folder, size_t which, struct place *place,
              int64_t now_ms)
{
	const struct mark cert = look(s, folder, file_names[which][0]);
	const struct mark key = look(s, folder, file_names[which][1]);
	struct pair *p = NULL;
	struct pst_err err;
	bool fits = true;

	forget_replaced(s, place, now_ms);
	if (!marks_differ(&cert, &place->cert) && !marks_differ(&key, &place->key))
		return;
	place->cert = cert;
	place->key = key;
	if (cert.size < 0 && key.size < 0) { /* taken away on purpose */
		drop_pair(s, &place->now);
		return;
	}
	if (load(s, folder, which, place, &p, &fits, &err) == 0) {
		install(s, place, p, now_ms);
		log_loaded(s, folder, place, fits);
		return;
	}
	pst_log_error(NULL, "keys.broken", "folder=%s/%s reason=\"%s; %s\"", s->settings->directory,
	              folder, err.text,
	              place->now != NULL ? "the certificate loaded before stays in use"
	                                 : "its name gets the default certificate");
}

/* ---- Folders ---- */

static void
on_drop(void *arg, struct lru_item *item)
{
	struct folder *f = (struct folder *)item;
	size_t i;

	for (i = 0; i < 2; i++) {
		drop_pair(arg, &f->places[i].now);
		drop_pair(arg, &f->places[i].before);
	}
	free(f);
}

static bool
has_nothing(const struct folder *f)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (f->places[i].cert.size >= 0 || f->places[i].key.size >= 0 ||
		    f->places[i].before != NULL)
			return false;
	return true;
}

static void
refresh(struct store *s, struct folder *f, const char *name, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < 2; i++)
		refresh_place(s, name, i, &f->places[i], now_ms);
	f->checked_ms = now_ms;
}

static struct folder *
new_folder(void)
{
	struct folder *f = pst_new(struct folder);
	size_t i;

	for (i = 0; i < 2; i++)
		f->places[i].cert.size = f->places[i].key.size = -1;
	return f;
}

/* A folder as it is now, in the table where it belongs. */
static struct folder *
visit(struct store *s, struct pst_str name, int64_t now_ms)
{
	struct folder *f = (struct folder *)lru_find(&s->folders, name);
	char text[WIRE_NAME + 3];

	if (f == NULL)
		f = (struct folder *)lru_find(&s->absent, name);
	if (f != NULL && now_ms - f->checked_ms < s->settings->check_interval)
		return f;
	(void)snprintf(text, sizeof(text), "%.*s", PST_ARG(name));
	if (f != NULL) {
		refresh(s, f, text, now_ms);
		if (f->is_absent == has_nothing(f))
			return f;
		lru_remove(f->is_absent ? &s->absent : &s->folders, &f->item);
	}
	f = new_folder();
	refresh(s, f, text, now_ms);
	f->is_absent = has_nothing(f);
	lru_add(f->is_absent ? &s->absent : &s->folders, &f->item, name);
	return f;
}

static const struct pair *
pick(const struct folder *f, uint8_t type)
{
	const struct pair *first = f->places[0].now;
	const struct pair *second = f->places[1].now;

	if (first == NULL ||
	    (type == TLS_TYPE_RSA && first->type != TLS_TYPE_RSA && second != NULL))
		return second;
	return first;
}

static const struct pair *
find_in(struct store *s, struct pst_str folder, uint8_t type, int64_t now_ms)
{
	return pick(visit(s, folder, now_ms), type);
}

/* "_.example.org" for "mail.example.org"; empty where there is no parent. */
static struct pst_str
wildcard_of(struct pst_str name, char out[WIRE_NAME + 3])
{
	const char *dot = memchr(name.p, '.', name.n);
	size_t n;

	if (dot == NULL)
		return (struct pst_str){ out, 0 };
	n = name.n - (size_t)(dot - name.p);
	out[0] = '_';
	memcpy(out + 1, dot, n);
	return (struct pst_str){ out, n + 1 };
}

bool
store_name_is_good(struct pst_str name)
{
	size_t i;

	if (name.n == 0 || name.n > 253 || name.p[name.n - 1] == '.')
		return false;
	for (i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '.' && (i == 0 || name.p[i - 1] == '.'))
			return false;
		if (c != '.' && c != '-' && !pst_is_digit(c) && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

const struct pair *
store_find(struct store *s, struct pst_str name, uint8_t type, int64_t now_ms, bool *is_default_out)
{
	const struct pair *p = NULL;
	char wildcard[WIRE_NAME + 3];
	struct pst_str parent;

	*is_default_out = false;
	if (store_name_is_good(name)) {
		p = find_in(s, name, type, now_ms);
		parent = wildcard_of(name, wildcard);
		if (p == NULL && parent.n > 0)
			p = find_in(s, parent, type, now_ms);
	}
	if (p != NULL)
		return p;
	*is_default_out = true;
	p = find_in(s, pst_str_c(s->settings->default_name), type, now_ms);
	if (p == NULL && now_ms - s->no_default_logged_ms >= NO_DEFAULT_LOG_MS) {
		s->no_default_logged_ms = now_ms;
		pst_log_error(NULL, "keys.no_default",
		              "folder=%s/%s reason=\"no certificate that loads; clients that name "
		              "no known server cannot use TLS\"",
		              s->settings->directory, s->settings->default_name);
	}
	return p;
}

struct store *
store_create(const struct tls_settings *settings)
{
	struct store *s = pst_new(struct store);
	size_t max = (size_t)settings->cache;

	s->settings = settings;
	s->no_default_logged_ms = -NO_DEFAULT_LOG_MS;
	lru_init(&s->folders, max, on_drop, s);
	lru_init(&s->absent, max < MIN_ABSENT ? MIN_ABSENT : max, on_drop, s);
	return s;
}

void
store_destroy(struct store *s)
{
	if (s == NULL)
		return;
	lru_clear(&s->folders);
	lru_clear(&s->absent);
	free(s);
}
