/* SPDX-License-Identifier: MIT */
/* A storage plugin that does what no plugin should: one fault at a time, chosen by a setting. Without a
 * fault it is the example, which it is made of, and removes what it is told to. */
#include <signal.h>
#include <stdio.h>

#define postern_plugin example_plugin
#include "contrib/example-plugin/example_folder.c"
#undef postern_plugin

enum fault {
	NONE,
	CRASH,
	HANG,
	NO_REASON,    /* open fails and does not say why */
	ABSENT_FAILS, /* what is not there is an error */
	NO_LOCK,
	LOCK_STAYS,   /* a file is the lock: it outlives its holder */
	LOCK_IS_TEMP, /* in use, said as another error */
	BAD_UIDL,
	LONG_UIDL,
	SAME_UIDL,
	NEW_UIDL,    /* another one in each session */
	WORKER_UIDL, /* another one in each worker */
	NEW_ORDER,
	WRONG_SIZE,
	CRLF_LIE,
	SHORT_FILE,
	WAITS,
	NO_FILE,
	BAD_GAPS,
	REMOVES_MORE,
	REMOVES_NOTHING,
	REMOVES_AND_FAILS,
	COUNTS_WRONG,
	CLOSE_REMOVES,
	ONE_AT_A_TIME, /* keeps the open maildrop where all threads find it */
	KEEPS_MEMORY,
	KEEPS_DESCRIPTORS,
};

#define FAULTS                                                                                     \
	"none|crash|hang|no_reason|absent_fails|no_lock|lock_stays|lock_is_temp|bad_uidl|"         \
	"long_uidl|same_uidl|new_uidl|worker_uidl|new_order|wrong_size|crlf_lie|short_file|waits|" \
	"no_file|bad_gaps|removes_more|removes_nothing|removes_and_fails|counts_wrong|"            \
	"close_removes|one_at_a_time|keeps_memory|keeps_descriptors"

struct conf {
	struct folder_conf folder; /* first: the example looks for it there */
	int64_t fault;
};

static const struct pst_conf_key keys[] = {
	{ "max_messages", PST_CONF_INT(struct conf, folder.max_messages), "10000", 1, 1000000,
	  "messages", "As the example's." },
	{ "fault", PST_CONF_CHOICE(struct conf, fault), "none", 0, 0, FAULTS, "What goes wrong." },
	{ .key = NULL },
};

static unsigned sessions; /* of this worker */
static unsigned worker;
static struct pst_maildrop *only;

static bool
is(const struct pst_host *host, enum fault f)
{
	return ((const struct conf *)host->conf)->fault == (int64_t)f;
}

static int
rogue_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	worker++;
	return folder_start(host, self_out, err);
}

static int
take_lock_file(const char *path, struct pst_err *err)
{
	char name[4096];
	int fd;

	(void)snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return pst_err_set(err, PST_E_IN_USE, "%s is there", name);
	close(fd);
	return 0;
}

static char lock_of[4096]; /* LOCK_STAYS: of the one that is open */

static void
change_uidls(struct pst_maildrop *d)
{
	uint32_t i;

	for (i = 0; i < d->n; i++) {
		struct message *m = &d->v[i];

		if (is(d->host, BAD_UIDL))
			m->uidl[3] = ' ';
		if (is(d->host, SAME_UIDL))
			memset(m->uidl, 'x', UIDL_OCTETS);
		if (is(d->host, NEW_UIDL))
			m->uidl[0] = (char)('A' + sessions % 26);
		if (is(d->host, WORKER_UIDL))
			m->uidl[0] = (char)('A' + worker % 26);
		if (is(d->host, WRONG_SIZE) && i == 1)
			m->size++;
		if (is(d->host, CRLF_LIE))
			m->crlf = true;
		if (is(d->host, SHORT_FILE) && i == 2) {
			m->size += 2;
			m->length += 2;
		}
	}
	if (is(d->host, NEW_ORDER) && sessions % 2 == 0 && d->n > 1) {
		struct message first = d->v[0];

		d->v[0] = d->v[1];
		d->v[1] = first;
	}
}

static int
rogue_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
           struct pst_err *err)
{
	const struct pst_host *host = self;
	struct stat st;

	sessions++;
	if (is(host, CRASH))
		(void)raise(SIGSEGV);
	while (is(host, HANG))
		(void)pause();
	if (is(host, NO_REASON))
		return -1;
	if (is(host, ABSENT_FAILS) && stat(spec->path, &st) != 0)
		return pst_err_sys(err, PST_E_TEMP, "%s", spec->path);
	if (is(host, KEEPS_MEMORY) && malloc(1000) == NULL)
		abort();
	if (is(host, KEEPS_DESCRIPTORS))
		(void)open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (is(host, LOCK_STAYS) && take_lock_file(spec->path, err) != 0)
		return -1;
	(void)snprintf(lock_of, sizeof(lock_of), "%s.lock", spec->path);
	if (folder_open(self, spec, drop_out, err) != 0) {
		if (is(host, LOCK_IS_TEMP) && err->kind == PST_E_IN_USE)
			err->kind = PST_E_TEMP;
		return -1;
	}
	if (is(host, NO_LOCK) && (*drop_out)->fd >= 0)
		(void)flock((*drop_out)->fd, LOCK_UN);
	change_uidls(*drop_out);
	only = *drop_out;
	return 0;
}

static uint32_t
rogue_count(const struct pst_maildrop *d)
{
	return is(d->host, ONE_AT_A_TIME) && only != d ? 0 : d->n;
}

static void
rogue_message(const struct pst_maildrop *d, uint32_t idx, struct pst_message *msg_out)
{
	static const char longest[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789x";

	folder_message(d, idx, msg_out);
	if (is(d->host, LONG_UIDL))
		msg_out->uidl = PST_LIT(longest);
}

static enum pst_fetch_result
rogue_fetch(struct pst_maildrop *d, uint32_t idx, unsigned flags, struct pst_body *body_out,
            struct pst_err *err)
{
	static const struct pst_gap touching[] = { { 1, 1 }, { 2, 1 } };
	enum pst_fetch_result got;

	if (is(d->host, WAITS))
		return PST_FETCH_WAIT;
	if (is(d->host, SHORT_FILE) && idx == 2)
		d->v[idx].length -= 2;
	got = folder_fetch(d, idx, flags, body_out, err);
	if (is(d->host, SHORT_FILE) && idx == 2) {
		d->v[idx].length += 2;
		body_out->length += 2;
	}
	if (got == PST_FETCH_OK && is(d->host, NO_FILE)) {
		close(body_out->fd);
		body_out->fd = -1;
	}
	if (is(d->host, BAD_GAPS)) {
		body_out->gaps = touching;
		body_out->gap_count = 2;
	}
	return got;
}

static void
remove_message(struct pst_maildrop *d, uint32_t idx)
{
	(void)unlinkat(d->fd, d->v[idx].name, 0);
}

static int
rogue_commit(struct pst_maildrop *d, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
             struct pst_err *err)
{
	uint32_t i;

	for (i = 0; i < n && !is(d->host, REMOVES_NOTHING); i++)
		remove_message(d, idx[i]);
	if (is(d->host, REMOVES_MORE) && d->n > 1)
		remove_message(d, 1);
	*removed_out = is(d->host, COUNTS_WRONG) ? n + 1 : n;
	if (is(d->host, REMOVES_AND_FAILS))
		return pst_err_set(err, PST_E_TEMP, "it says");
	return 0;
}

static void
rogue_close(struct pst_maildrop *d)
{
	if (is(d->host, CLOSE_REMOVES) && d->n > 0)
		remove_message(d, 0);
	if (is(d->host, LOCK_STAYS))
		(void)unlink(lock_of);
	if (only == d)
		only = NULL;
	folder_close(d);
}

static const struct pst_storage rogue_storage = {
	.size = sizeof(struct pst_storage),
	.open = rogue_open,
	.count = rogue_count,
	.message = rogue_message,
	.fetch = rogue_fetch,
	.commit = rogue_commit,
	.close = rogue_close,
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "rogue_store",
	.keys = keys,
	.conf_size = sizeof(struct conf),
	.start = rogue_start,
	.storage = &rogue_storage,
};
