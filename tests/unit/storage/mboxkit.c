/* SPDX-License-Identifier: MIT */
#include "tests/unit/storage/mboxkit.h"

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

static void host_log(const struct pst_host *host, enum pst_log_level level, const char *event,
                     const char *fmt, ...) PST_PRINTF(4, 5);

static void
host_log(const struct pst_host *host, enum pst_log_level level, const char *event, const char *fmt,
         ...)
{
	struct mboxkit *k =
		(struct mboxkit *)((char *)(uintptr_t)host - offsetof(struct mboxkit, host));

	(void)level, (void)fmt;
	(void)snprintf(k->last_event, sizeof(k->last_event), "%s", event);
}

static void
host_md5(const void *data, size_t n, uint8_t out[16])
{
	pst_digest(PST_MD5, (struct pst_str){ data, n }, (struct pst_str){ NULL, 0 }, out);
}

void
mboxkit_policy(struct mboxkit *k, const char *uidl)
{
	struct pst_err err;

	k->conf.uidl = uidl;
	pst_assert(uidl_policy_parse(&k->self.policy, uidl, UIDL_FOR_MBOX, &err) == 0);
}

int
mboxkit_set_up(void **state)
{
	struct mboxkit *k = calloc(1, sizeof(*k));

	k->host = (struct pst_host){
		.size = sizeof(k->host),
		.worker = "mail",
		.conf = &k->conf,
		.log = host_log,
		.random = pst_random,
		.sha256 = pst_sha256,
		.md5 = host_md5,
		.now_ms = pst_now_ms,
		.survey = pop3_survey,
		.survey_in = pop3_survey_in,
		.surrogate_rules = POP3_SURROGATE_RULES,
	};
	(void)snprintf(k->root, sizeof(k->root), "%s/postern-XXXXXX",
	               getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	pst_assert(mkdtemp(k->root) != NULL && chmod(k->root, 0755) == 0);
	k->conf = (struct mbox_conf){ .index_dir = "",
		                      .ledger_dir = "",
		                      .locks = "",
		                      .guard_share = 20,
		                      .guard_min = 10,
		                      .max_messages = 1000000 };
	k->self = (struct mbox){ .host = &k->host, .conf = &k->conf, .margin_ns = -TRUST_NS };
	mboxkit_policy(k, "digest");
	mboxkit_plan(k, "fcntl dotlock_try");
	k->self.plan.timeout_ms = 50;
	k->self.plan.stale_ms = 300000;
	(void)snprintf(k->path, sizeof(k->path), "%s/mbox", k->root);
	*state = k;
	return 0;
}

void
mboxkit_clear(const struct mboxkit *k)
{
	DIR *dir = opendir(k->root);
	struct dirent *e;

	while ((e = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
}

int
mboxkit_tear_down(void **state)
{
	struct mboxkit *k = *state;

	mboxkit_clear(k);
	(void)rmdir(k->root);
	free(k);
	return 0;
}

void
mboxkit_plan(struct mboxkit *k, const char *locks)
{
	struct pst_err err;

	pst_assert(lock_parse(locks, &k->self.plan, &err) == 0);
}

void
mboxkit_spew(const char *path, const void *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	pst_assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

void
mboxkit_write(const struct mboxkit *k, const void *text, size_t n)
{
	mboxkit_spew(k->path, text, n);
}

void
mboxkit_append(const struct mboxkit *k, const void *text, size_t n)
{
	int fd = open(k->path, O_WRONLY | O_APPEND | O_CREAT, 0600);

	pst_assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

void
mboxkit_puts(const struct mboxkit *k, const char *text)
{
	mboxkit_write(k, text, strlen(text));
}

void
mboxkit_adds(const struct mboxkit *k, const char *text)
{
	mboxkit_append(k, text, strlen(text));
}

char *
mboxkit_text(const struct mboxkit *k)
{
	int fd = open(k->path, O_RDONLY);
	struct stat st;
	char *out;

	pst_assert(fd >= 0 && fstat(fd, &st) == 0);
	out = calloc(1, (size_t)st.st_size + 1);
	pst_assert(read(fd, out, (size_t)st.st_size) == st.st_size);
	close(fd);
	return out;
}

int
mboxkit_try_open(struct mboxkit *k, struct pst_maildrop **d, struct pst_err *err)
{
	struct pst_maildrop_spec spec = { .path = k->path,
		                          .user = PST_LIT("test"),
		                          .flags = k->open_flags };

	return mbox_open(&k->self, &spec, d, err);
}

struct pst_maildrop *
mboxkit_open(struct mboxkit *k)
{
	struct pst_maildrop *d = NULL;
	struct pst_err err;

	if (mboxkit_try_open(k, &d, &err) != 0) {
		fprintf(stderr, "open: %s\n", err.text);
		abort();
	}
	return d;
}

/* What is between the gaps. */
static char *
read_body(const struct pst_body *b)
{
	char *out = calloc(1, b->length + 1);
	uint64_t from = b->offset, done = 0;
	uint32_t i;

	for (i = 0; i <= b->gap_count; i++) {
		uint64_t upto =
			i < b->gap_count ? b->offset + b->gaps[i].at : from + b->length - done;
		ssize_t got = pread(b->fd, out + done, upto - from, (off_t)from);

		pst_assert(got == (ssize_t)(upto - from));
		done += upto - from;
		if (i < b->gap_count)
			from = upto + b->gaps[i].length;
	}
	pst_assert(done == b->length);
	return out;
}

char *
mboxkit_fetch(struct pst_maildrop *d, uint32_t idx, size_t *n_out, struct pst_err *err)
{
	struct pst_message m = { .size_octets = 0 };
	struct pst_body body;
	struct pop3_size size;
	char *stored, *wire;
	size_t i, n = 0;

	if (mbox_fetch(d, idx, 0, &body, err) != PST_FETCH_OK)
		return NULL;
	stored = read_body(&body);
	mbox_message_of(d, idx, &m);
	pop3_size_init(&size);
	pop3_size_feed(&size, (struct pst_str){ stored, body.length });
	pst_assert(pop3_size_end(&size) == m.size_octets);
	pst_assert(!body.crlf || body.length == m.size_octets);
	pst_assert(m.has_no_header_end ==
	           (pop3_header_octets((struct pst_str){ stored, body.length }) == 0));
	wire = calloc(1, m.size_octets + 1);
	for (i = 0; i < body.length; i++) {
		if (stored[i] == '\n' && (i == 0 || stored[i - 1] != '\r'))
			wire[n++] = '\r';
		wire[n++] = stored[i];
	}
	if (n > 0 && wire[n - 1] != '\n') {
		wire[n++] = '\r';
		wire[n++] = '\n';
	}
	pst_assert(n == m.size_octets);
	free(stored);
	close(body.fd);
	if (body.done != NULL)
		body.done(body.arg);
	*n_out = n;
	return wire;
}

char *
mboxkit_listing_of(const struct pst_maildrop *d)
{
	size_t room = (size_t)mbox_count(d) * 96 + 1, n = 0;
	char *out = calloc(1, room);
	struct pst_message m;
	uint32_t i;

	for (i = 0; i < mbox_count(d); i++) {
		mbox_message_of(d, i, &m);
		n += (size_t)snprintf(out + n, room - n, "%.*s %llu\n", PST_ARG(m.uidl),
		                      (unsigned long long)m.size_octets);
	}
	return out;
}

char *
mboxkit_listing(struct mboxkit *k)
{
	struct pst_maildrop *d = mboxkit_open(k);
	char *out = mboxkit_listing_of(d);

	mbox_close(d);
	return out;
}

int
mboxkit_remove(struct mboxkit *k, const uint32_t *idx, uint32_t n, struct pst_err *err)
{
	struct pst_maildrop *d;
	uint32_t removed;
	int rc;

	if (mboxkit_try_open(k, &d, err) != 0)
		return -1;
	rc = mbox_commit(d, idx, n, &removed, err);
	pst_assert(removed == (rc == 0 ? n : 0));
	mbox_close(d);
	return rc;
}

#define NOBODY 65534

bool
mboxkit_run_read_only(struct mboxkit *k, void (*test)(struct mboxkit *k))
{
	int status;
	pid_t pid;

	pst_assert(chmod(k->root, 0555) == 0);
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
	pst_assert(chmod(k->root, 0755) == 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 77;
}
