/* SPDX-License-Identifier: MIT */
/* An auth plugin that does what no plugin should: one fault at a time, chosen by a setting. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/auth.h>

enum fault {
	NONE,
	CRASH,
	ABORT,
	HANG,
	SPIN,
	LEAVE,      /* exit(0) */
	LEAVE_FAST, /* _exit(7) */
	START_FAILS,
	START_CRASHES,
	START_LEAVES,
	PRINTS,
	SIGNALS,
	UMASK,
	FOLDER,
	ENVIRONMENT,
	NO_REASON,
	NO_RESULT,
	WRONG_FROM_LOOKUP,
	NO_CREDENTIAL,
	NUL_IN_RECORD,
	LONG_RECORD,
	NULL_RECORD,
	STATIC_RECORD,
	ARENA_GONE,
	READS_ON,
	WRITES_QUERY,
	KEEPS_MEMORY,
	KEEPS_DESCRIPTORS,
	OPEN_DOOR, /* verify that lets anybody in */
};

#define FAULTS                                                                                     \
	"none|crash|abort|hang|spin|leave|leave_fast|start_fails|start_crashes|start_leaves|"      \
	"prints|signals|umask|folder|environment|no_reason|no_result|wrong_from_lookup|"           \
	"no_credential|nul_in_record|long_record|null_record|static_record|arena_gone|reads_on|"   \
	"writes_query|keeps_memory|keeps_descriptors|open_door"

struct conf {
	int64_t fault;
	const char *when; /* only for names that begin so */
	const char *credential;
	const char *marker; /* START_…: only while this file is there */
};

static const struct pst_conf_key keys[] = {
	{ "fault", PST_CONF_CHOICE(struct conf, fault), "none", 0, 0, FAULTS, "What goes wrong." },
	{ "when", PST_CONF_TEXT(struct conf, when), "", 0, 100, NULL, "For which names." },
	{ "credential", PST_CONF_TEXT(struct conf, credential), "{PLAIN}secret", 0, 200, NULL,
	  "What is stored for each user \"good…\"." },
	{ "marker", PST_CONF_READ_PATH(struct conf, marker), "", 0, 4000, NULL,
	  "A start goes wrong only while this file is there." },
	{ .key = NULL },
};

struct rogue {
	const struct pst_host *host;
	const struct conf *conf;
};

static volatile int *volatile nowhere = (int *)64; /* not NULL, which UBSan would catch before */

static void
go_wrong(int64_t fault)
{
	switch ((enum fault)fault) {
	case CRASH:
		*nowhere = 1;
		break;
	case ABORT:
		abort();
	case HANG:
		for (;;)
			(void)pause();
	case SPIN:
		for (;;)
			;
	case LEAVE:
		exit(0);
	case LEAVE_FAST:
		_exit(7);
	default:
		break;
	}
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	const struct conf *c = host->conf;
	struct rogue *r = calloc(1, sizeof(*r));
	bool is_on = c->marker[0] == '\0' || access(c->marker, F_OK) == 0;

	if (r == NULL)
		return pst_err_sys(err, PST_E_TEMP, "calloc");
	r->host = host;
	r->conf = c;
	*self_out = r;
	if (c->fault == START_FAILS && is_on) {
		free(r);
		return pst_err_set(err, PST_E_TEMP, "the test wants it so");
	}
	if (c->fault == START_CRASHES && is_on)
		go_wrong(CRASH);
	if (c->fault == START_LEAVES && is_on)
		go_wrong(LEAVE_FAST);
	if (c->fault == PRINTS)
		(void)puts("here I am");
	if (c->fault == SIGNALS)
		(void)signal(SIGTERM, SIG_IGN);
	if (c->fault == UMASK)
		(void)umask(0);
	if (c->fault == FOLDER)
		(void)!chdir("/");
	if (c->fault == ENVIRONMENT)
		(void)setenv("ROGUE", "was here", 1);
	return 0;
}

static void
stop(void *self)
{
	free(self);
}

static bool
is_meant(const struct rogue *r, const struct pst_auth_query *q)
{
	const size_t n = strlen(r->conf->when);

	return n <= q->user.n && (n == 0 || memcmp(q->user.p, r->conf->when, n) == 0);
}

#ifndef ROGUE_VERIFY
static void
give(const struct rogue *r, const struct pst_auth_query *q, struct pst_auth_record *record)
{
	static char shared[256];
	static char longer[8192];

	record->credential =
		pst_str_c(r->host->copy(record->arena, pst_str_c(r->conf->credential)));
	switch ((enum fault)r->conf->fault) {
	case NO_CREDENTIAL:
		record->credential = PST_LIT("");
		break;
	case NUL_IN_RECORD:
		record->credential = PST_LIT("{PLAIN}a\0b");
		break;
	case LONG_RECORD:
		memset(longer, 'x', sizeof(longer));
		record->credential = (struct pst_str){ longer, sizeof(longer) };
		break;
	case NULL_RECORD:
		record->location = (struct pst_str){ NULL, 5 };
		break;
	case STATIC_RECORD:
		record->credential.n =
			(size_t)snprintf(shared, sizeof(shared), "{PLAIN}%.*s",
		                         (int)(q->user.n > 100 ? 100 : q->user.n), q->user.p);
		record->credential.p = shared;
		break;
	case ARENA_GONE:
		record->arena = NULL;
		break;
	default:
		break;
	}
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *q, struct pst_auth_record *record,
       struct pst_err *err)
{
	const struct rogue *r = self;
	union {
		const char *in;
		char *out;
	} text = { q->user.p };

	(void)err;
	if (is_meant(r, q)) {
		go_wrong(r->conf->fault);
		switch ((enum fault)r->conf->fault) {
		case NO_REASON:
			return PST_AUTH_TEMP;
		case NO_RESULT:
			return (enum pst_auth_result)77;
		case WRONG_FROM_LOOKUP:
			return PST_AUTH_WRONG;
		case READS_ON:
			if (q->user.p != NULL && strlen(q->user.p) == 12345)
				return PST_AUTH_UNKNOWN;
			break;
		case WRITES_QUERY:
			if (q->user.n > 0)
				text.out[0] = 'X';
			break;
		case KEEPS_MEMORY:
			if (malloc(100) == NULL)
				return PST_AUTH_TEMP;
			break;
		case KEEPS_DESCRIPTORS:
			(void)open("/dev/null", O_RDONLY | O_CLOEXEC);
			break;
		default:
			break;
		}
		if (r->conf->fault >= NO_CREDENTIAL && r->conf->fault <= ARENA_GONE) {
			give(r, q, record);
			return PST_AUTH_OK;
		}
	}
	if (q->user.n < 4 || memcmp(q->user.p, "good", 4) != 0)
		return PST_AUTH_UNKNOWN;
	give(r, q, record);
	return PST_AUTH_OK;
}

#else
static enum pst_auth_result
verify(void *self, const struct pst_auth_query *q, struct pst_str password,
       struct pst_auth_record *record, struct pst_err *err)
{
	const struct rogue *r = self;

	(void)record, (void)err;
	if (is_meant(r, q))
		go_wrong(r->conf->fault);
	if (r->conf->fault == OPEN_DOOR)
		return PST_AUTH_OK;
	if (q->user.n < 4 || memcmp(q->user.p, "good", 4) != 0)
		return PST_AUTH_UNKNOWN;
	return pst_str_eq(password, PST_LIT("secret")) ? PST_AUTH_OK : PST_AUTH_WRONG;
}
#endif

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth),
#ifdef ROGUE_VERIFY
	.verify = verify,
#else
	.lookup = lookup,
#endif
};

#ifndef ROGUE_NAME
#define ROGUE_NAME "rogue"
#endif

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = ROGUE_NAME,
	.keys = keys,
	.conf_size = sizeof(struct conf),
	.start = start,
	.stop = stop,
	.auth = &auth,
};
