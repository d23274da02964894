/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage/kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "pop3/body.h"
#include "pop3/surrogate.h"
#include "pop3/survey.h"

static struct kit *
kit_of(const struct pst_host *host)
{
	return (struct kit *)((char *)(uintptr_t)host - offsetof(struct kit, host));
}

static void host_log(const struct pst_host *host, enum pst_log_level level, const char *event,
                     const char *fmt, ...) PST_PRINTF(4, 5);

static void
host_log(const struct pst_host *host, enum pst_log_level level, const char *event, const char *fmt,
         ...)
{
	struct kit *k = kit_of(host);
	va_list ap;

	k->logged++;
	if (level <= PST_LOG_WARN)
		k->warned++;
	(void)snprintf(k->last_event, sizeof(k->last_event), "%s", event);
	va_start(ap, fmt);
	(void)vsnprintf(k->last_text, sizeof(k->last_text), fmt, ap);
	va_end(ap);
}

static void
host_md5(const void *data, size_t n, uint8_t out[16])
{
	pst_digest(PST_MD5, (struct pst_str){ data, n }, (struct pst_str){ NULL, 0 }, out);
}

/* Which kit counts: measure is not told the host. */
static _Thread_local struct kit *measuring;

/* 0, or what the test wants to happen instead of reading. */
static int
on_survey(struct pst_err *err)
{
	void (*hook)(struct kit *);

	if (measuring == NULL)
		return 0;
	hook = measuring->on_measure;
	measuring->measured++;
	measuring->on_measure = NULL;
	if (hook != NULL)
		hook(measuring);
	errno = measuring->measure_errno;
	return errno == 0 ? 0 : pst_err_sys(err, PST_E_TEMP, "read");
}

static int
host_survey(const struct pst_body *body, struct pst_measured *out, struct pst_err *err)
{
	return on_survey(err) != 0 ? -1 : pop3_survey(body, out, err);
}

static int
host_survey_in(const struct pst_body *body, char *room, size_t octets, struct pst_measured *out,
               struct pst_err *err)
{
	return on_survey(err) != 0 ? -1 : pop3_survey_in(body, room, octets, out, err);
}

static int
host_measure(int fd, uint64_t offset, uint64_t length, uint64_t *octets_out, bool *crlf_out,
             struct pst_err *err)
{
	const struct pst_body body = { .fd = fd, .offset = offset, .length = length };
	struct pst_measured measured;

	if (host_survey(&body, &measured, err) != 0)
		return -1;
	*octets_out = measured.size_octets;
	*crlf_out = measured.crlf;
	return 0;
}

void
kit_policy(struct kit *k, const char *uidl)
{
	struct pst_err err;

	k->conf.uidl = uidl;
	pst_assert(uidl_policy_parse(&k->self.policy, uidl, UIDL_FOR_MAILDIR, &err) == 0);
}

void
kit_init(struct kit *k)
{
	char path[512];

	memset(k, 0, sizeof(*k));
	k->host = (struct pst_host){
		.size = sizeof(k->host),
		.worker = "mail",
		.conf = &k->conf,
		.log = host_log,
		.random = pst_random,
		.sha256 = pst_sha256,
		.md5 = host_md5,
		.now_ms = pst_now_ms,
		.measure = host_measure,
		.survey = host_survey,
		.survey_in = host_survey_in,
		.surrogate_rules = POP3_SURROGATE_RULES,
	};
	k->conf = (struct maildir_conf){ .index_dir = "",
		                         .ledger_dir = "",
		                         .uidl = "basename",
		                         .guard_share = 20,
		                         .guard_min = 10,
		                         .max_messages = 1000000,
		                         .old_server_write = true,
		                         .dovecot_control = "",
		                         .dovecot_uidl_format = "%08Xu%08Xv" };
	k->self = (struct maildir){
		.host = &k->host, .conf = &k->conf, .seed = 42, .margin_ns = -KIT_TRUST_NS
	};
	kit_policy(k, "basename");
	(void)snprintf(k->root, sizeof(k->root), "%s/postern-XXXXXX",
	               getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	pst_assert(mkdtemp(k->root) != NULL);
	(void)snprintf(k->maildir, sizeof(k->maildir), "%s/Maildir", k->root);
	pst_assert(mkdir(k->maildir, 0700) == 0);
	kit_path(k, "new", path);
	pst_assert(mkdir(path, 0700) == 0);
	kit_path(k, "cur", path);
	pst_assert(mkdir(path, 0700) == 0);
}

void
kit_remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char inner[1024];

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
		if (unlink(inner) != 0)
			kit_remove_tree(inner);
	}
	if (dir != NULL)
		closedir(dir);
	(void)rmdir(path);
}

void
kit_clear(struct kit *k)
{
	measuring = NULL;
	kit_remove_tree(k->root);
}

void
kit_path(const struct kit *k, const char *path, char out[512])
{
	(void)snprintf(out, 512, "%s/%s", k->maildir, path);
}

void
kit_spew(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	pst_assert(fd >= 0);
	pst_assert(write(fd, p, n) == (ssize_t)n);
	close(fd);
}

size_t
kit_slurp(const char *path, char **out)
{
	int fd = open(path, O_RDONLY);
	struct stat st;

	pst_assert(fd >= 0 && fstat(fd, &st) == 0);
	*out = calloc(1, (size_t)st.st_size + 1);
	pst_assert(read(fd, *out, (size_t)st.st_size) == st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

void
kit_put(const struct kit *k, const char *sub, const char *name, const void *text, size_t n)
{
	char temp[512], to[512];

	(void)snprintf(temp, sizeof(temp), "%s/delivery", k->root);
	(void)snprintf(to, sizeof(to), "%s/%s/%s", k->maildir, sub, name);
	kit_spew(temp, text, n);
	pst_assert(rename(temp, to) == 0);
}

void
kit_puts(const struct kit *k, const char *sub, const char *name, const char *text)
{
	kit_put(k, sub, name, text, strlen(text));
}

void
kit_rename(const struct kit *k, const char *from, const char *to)
{
	char a[512], b[512];

	kit_path(k, from, a);
	kit_path(k, to, b);
	pst_assert(rename(a, b) == 0);
}

void
kit_unlink(const struct kit *k, const char *path)
{
	char a[512];

	kit_path(k, path, a);
	pst_assert(unlink(a) == 0);
}

bool
kit_exists(const struct kit *k, const char *path)
{
	char a[512];
	struct stat st;

	kit_path(k, path, a);
	return lstat(a, &st) == 0;
}

int
kit_try_open(struct kit *k, struct pst_maildrop **drop_out, struct pst_err *err)
{
	struct pst_maildrop_spec spec = { .path = k->maildir,
		                          .user = PST_LIT("test"),
		                          .flags = k->open_flags };

	measuring = k;
	return drop_open(&k->self, &spec, drop_out, err);
}

struct pst_maildrop *
kit_open(struct kit *k)
{
	struct pst_maildrop *d = NULL;
	struct pst_err err;

	if (kit_try_open(k, &d, &err) != 0) {
		fprintf(stderr, "open: %s\n", err.text);
		abort();
	}
	return d;
}

struct pst_message
kit_message(const struct pst_maildrop *d, uint32_t idx)
{
	struct pst_message m = { .size_octets = 0 };

	drop_message(d, idx, &m);
	return m;
}

char *
kit_listing(const struct pst_maildrop *d)
{
	size_t room = (size_t)drop_count(d) * 96 + 1, n = 0;
	char *out = calloc(1, room);
	uint32_t i;

	for (i = 0; i < drop_count(d); i++) {
		struct pst_message m = kit_message(d, i);

		n += (size_t)snprintf(out + n, room - n, "%.*s %llu\n", PST_ARG(m.uidl),
		                      (unsigned long long)m.size_octets);
	}
	return out;
}

char *
kit_fetch(struct pst_maildrop *d, uint32_t idx, size_t *n_out, struct pst_err *err)
{
	struct pst_body body;
	struct pop3_body b;
	struct pst_str in;
	char *stored, *wire;
	size_t room, n;

	if (drop_fetch(d, idx, 0, &body, err) != PST_FETCH_OK)
		return NULL;
	stored = malloc(body.length + 1);
	pst_assert(pread(body.fd, stored, body.length, (off_t)body.offset) == (ssize_t)body.length);
	close(body.fd);
	room = body.length * 2 + 16;
	wire = malloc(room);
	pop3_body_retr(&b);
	in = (struct pst_str){ stored, body.length };
	n = pop3_body_feed(&b, &in, wire, room);
	pst_assert(in.n == 0);
	n += pop3_body_end(&b, wire + n);
	pst_assert(!body.crlf || b.octets == body.length);
	pst_assert(b.octets == kit_message(d, idx).size_octets);
	pst_assert(kit_message(d, idx).has_no_header_end ==
	           (pop3_header_octets((struct pst_str){ stored, body.length }) == 0));
	free(stored);
	*n_out = n;
	return wire;
}

static struct index_file
index_file_of(const struct kit *k, char name[512], char spare[512])
{
	kit_path(k, DROP_INDEX_NAME, name);
	kit_path(k, DROP_INDEX_SPARE, spare);
	return (struct index_file){ AT_FDCWD, name, spare, false };
}

bool
kit_load_index(const struct kit *k, struct index *ix)
{
	char name[512], spare[512];
	struct index_file file = index_file_of(k, name, spare);
	const char *why = NULL;

	*ix = (struct index){ .octets = 0 };
	return index_load(ix, &file, (size_t)1 << 30, &why) == INDEX_LOADED && why == NULL;
}

void
kit_save_index(const struct kit *k, struct index *ix)
{
	char name[512], spare[512];
	struct index_file file = index_file_of(k, name, spare);
	struct index_writer w;
	struct pst_err err;

	pst_assert(index_write_begin(&w, &file, ix, &err) == 0);
	pst_assert(index_write_end(&w, ix, &err) == 0);
}

#define NOBODY 65534

static void
set_modes(const struct kit *k, mode_t mode)
{
	static const char *const places[] = { "", "new", "cur" };
	char path[512];
	size_t i;

	pst_assert(chmod(k->root, 0755) == 0);
	for (i = 0; i < 3; i++) {
		kit_path(k, places[i], path);
		pst_assert(chmod(path, mode) == 0);
	}
}

bool
kit_run_read_only(struct kit *k, void (*test)(struct kit *k))
{
	int status;
	pid_t pid;

	set_modes(k, 0555);
	pid = fork();
	pst_assert(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0)
			pst_assert(setgroups(0, NULL) == 0 &&
			           setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
			           setresuid(NOBODY, NOBODY, NOBODY) == 0);
		test(k);
		_exit(77);
	}
	pst_assert(waitpid(pid, &status, 0) == pid);
	set_modes(k, 0755);
	return WIFEXITED(status) && WEXITSTATUS(status) == 77;
}

int
kit_set_up(void **state)
{
	struct kit *k = malloc(sizeof(*k));

	kit_init(k);
	*state = k;
	return 0;
}

int
kit_tear_down(void **state)
{
	kit_clear(*state);
	free(*state);
	return 0;
}
