/* SPDX-License-Identifier: MIT */
/* An auth backend for tests: what it answers is in the name that is asked for. */
#include <string.h>
#include <unistd.h>

#include <postern/auth.h>

struct fake_conf {
	int64_t gate; /* a descriptor: "slow" waits until 8 octets can be read from it */
	bool is_away;
};

static const struct pst_conf_key keys[] = {
	{ "gate", PST_CONF_INT(struct fake_conf, gate), "-1", -1, 1000000, NULL, "For tests." },
	{ "is_away", PST_CONF_BOOL(struct fake_conf, is_away), "false", 0, 0, NULL, "For tests." },
	{ .key = NULL },
};

struct fake {
	const struct pst_host *host;
	bool is_away; /* turned by the names "go" and "come" */
};

#define ARGON                                                                                      \
	"$argon2id$v=19$m=256,t=2,p=1$c2FsdHNhbHRzYWx0$pwZ7sGME81TL89Hs/ia4qXIxzecJdXvdtALit/lGF0w"

/* result 0: temporary failure without a reason. */
static const struct {
	const char *local;
	enum pst_auth_result result;
	struct pst_str credential;
	const char *user, *location, *reason;
	uint32_t uid, gid;
} answers[] = {
	{ "ok", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "", "", "", 0, 0 },
	{ "slow", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "", "", "", 0, 0 },
	{ "argon", PST_AUTH_OK, { ARGON, sizeof(ARGON) - 1 }, "", "", "", 0, 0 },
	{ "sha", PST_AUTH_OK, { "{SSHA}d9OQCuB7puui5BKQpJjCrafS0YAA/2Fi", 38 }, "", "", "", 0, 0 },
	{ "alias", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "Real@Other.test", "", "", 0, 0 },
	{ "badalias", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "../x", "", "", 0, 0 },
	{ "moved", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "", "mbox:/m/%{local}", "", 7, 8 },
	{ "lost", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "", "nowhere", "", 0, 0 },
	{ "up", PST_AUTH_OK, { "{PLAIN}secret", 13 }, "", "maildir:/m/../%{local}", "", 0, 0 },
	{ "off", PST_AUTH_DISABLED, { "{PLAIN}secret", 13 }, "", "", "did not pay", 0, 0 },
	{ "offbare", PST_AUTH_DISABLED, { "", 0 }, "", "", "did not pay", 0, 0 },
	{ "offbroken", PST_AUTH_DISABLED, { "{MD5}x", 6 }, "", "", "", 0, 0 },
	{ "temp", PST_AUTH_TEMP, { "", 0 }, "", "", "", 0, 0 },
	{ "bare", PST_AUTH_OK, { "", 0 }, "", "", "", 0, 0 },
	{ "weak", PST_AUTH_OK, { "{MD5}x", 6 }, "", "", "", 0, 0 },
	{ "dear", PST_AUTH_OK, { "{CRYPT}$2y$31$x", 15 }, "", "", "", 0, 0 },
	{ "nul", PST_AUTH_OK, { "{PLAIN}sec\0ret", 14 }, "", "", "", 0, 0 },
	{ "null", PST_AUTH_OK, { NULL, 13 }, "", "", "", 0, 0 },
	{ "long", PST_AUTH_OK, { ARGON, 1000000 }, "", "", "", 0, 0 },
	{ "wrong", PST_AUTH_WRONG, { "", 0 }, "", "", "", 0, 0 }, /* not lookup's to say */
	{ "garbage", (enum pst_auth_result)77, { "", 0 }, "", "", "", 0, 0 },
	{ "zero", (enum pst_auth_result)0, { "", 0 }, "", "", "", 0, 0 },
};

static struct pst_str
copy(const struct fake *f, struct pst_auth_record *record, struct pst_str s)
{
	/* Broken on purpose: what has no memory behind it cannot be copied. */
	if (s.p == NULL || s.n > 200)
		return s;
	return (struct pst_str){ f->host->copy(record->arena, s), s.n };
}

static void
wait_at_gate(const struct fake *f)
{
	const struct fake_conf *conf = f->host->conf;
	uint64_t ticket;

	if (read((int)conf->gate, &ticket, sizeof(ticket)) != sizeof(ticket))
		_exit(99);
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	struct fake *f = self;
	size_t i;

	if (pst_str_eq(query->local_part, PST_LIT("go")) ||
	    pst_str_eq(query->local_part, PST_LIT("come"))) {
		f->is_away = query->local_part.n == 2;
		return PST_AUTH_UNKNOWN;
	}
	if (f->is_away) {
		pst_err_set(err, PST_E_AUTH, "the fake is away"); /* a wrong kind: never [AUTH] */
		return PST_AUTH_TEMP;
	}
	if (pst_str_eq(query->local_part, PST_LIT("slow")))
		wait_at_gate(f);
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (!pst_str_eq(query->local_part, pst_str_c(answers[i].local)))
			continue;
		record->credential = copy(f, record, answers[i].credential);
		record->user = copy(f, record, pst_str_c(answers[i].user));
		record->location = copy(f, record, pst_str_c(answers[i].location));
		record->reason = copy(f, record, pst_str_c(answers[i].reason));
		record->uid = answers[i].uid;
		record->gid = answers[i].gid;
		return answers[i].result; /* PST_AUTH_TEMP: err is forgotten */
	}
	return PST_AUTH_UNKNOWN;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	static struct fake fakes[64]; /* one a worker; the test is over before they are used up */
	static size_t used;

	if (used == sizeof(fakes) / sizeof(fakes[0]))
		return pst_err_set(err, PST_E_TEMP, "too many fakes");
	fakes[used].host = host;
	fakes[used].is_away = ((const struct fake_conf *)host->conf)->is_away;
	*self_out = &fakes[used++];
	return 0;
}

/* The clerk's, which these tests have none of: that they are there is what counts. */
static enum pst_auth_result
rehash(void *self, struct pst_str name, struct pst_str old_credential,
       struct pst_str new_credential, struct pst_err *err)
{
	(void)self, (void)name, (void)old_credential, (void)new_credential, (void)err;
	return PST_AUTH_OK;
}

static int
notes(void *self, const struct pst_auth_note *v, size_t n, struct pst_err *err)
{
	(void)self, (void)v, (void)n, (void)err;
	return 0;
}

static const struct pst_auth auth = {
	.size = sizeof(struct pst_auth), .lookup = lookup, .rehash = rehash, .notes = notes
};

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "fakeauth",
	.keys = keys,
	.conf_size = sizeof(struct fake_conf),
	.start = start,
	.auth = &auth,
};
