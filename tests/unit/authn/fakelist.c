/* SPDX-License-Identifier: MIT */
/* An auth backend for tests whose users stand in its section, one behind the other:
 *
 *	users = "alice ok {PLAIN}secret min_tls=13; bob disabled {PLAIN}secret; carol temp -"
 *
 * a name, a result, a credential (or -), and members of the record. */
#include <stdlib.h>
#include <string.h>

#include <postern/auth.h>

struct list_conf {
	const char *users;
};

static const struct pst_conf_key keys[] = {
	{ "users", PST_CONF_TEXT(struct list_conf, users), "", 0, 4000, NULL, "For tests." },
	{ .key = NULL },
};

static const struct {
	const char *name;
	size_t offset;
} texts[] = {
	{ "user", offsetof(struct pst_auth_record, user) },
	{ "alias", offsetof(struct pst_auth_record, alias) },
	{ "proxy", offsetof(struct pst_auth_record, proxy) },
	{ "location", offsetof(struct pst_auth_record, location) },
	{ "reason", offsetof(struct pst_auth_record, reason) },
	{ "allow_nets", offsetof(struct pst_auth_record, allow_nets) },
};

/* Takes what stands before the separator off *s; false at its end. */
static bool
take(struct pst_str *s, char separator, struct pst_str *out)
{
	const char *end;

	while (s->n > 0 && s->p[0] == ' ')
		*s = (struct pst_str){ s->p + 1, s->n - 1 };
	end = s->n == 0 ? NULL : memchr(s->p, separator, s->n);
	*out = (struct pst_str){ s->p, end == NULL ? s->n : (size_t)(end - s->p) };
	*s = (struct pst_str){ s->p + out->n, s->n - out->n };
	if (s->n > 0)
		*s = (struct pst_str){ s->p + 1, s->n - 1 };
	return out->n > 0;
}

static void
set_member(const struct pst_host *host, struct pst_auth_record *record, struct pst_str key,
           struct pst_str value)
{
	const struct pst_str copy = { host->copy(record->arena, value), value.n };
	size_t i;

	if (pst_str_eq(key, PST_LIT("min_tls")))
		record->min_tls = (uint32_t)strtoul(copy.p, NULL, 10);
	if (pst_str_eq(key, PST_LIT("max_sessions")))
		record->max_sessions = (uint32_t)strtoul(copy.p, NULL, 10);
	if (pst_str_eq(key, PST_LIT("min_poll_ms")))
		record->min_poll_ms = strtol(copy.p, NULL, 10);
	if (pst_str_eq(key, PST_LIT("read_only")))
		record->read_only = true;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (pst_str_eq(key, pst_str_c(texts[i].name)))
			*(struct pst_str *)((char *)record + texts[i].offset) = copy;
}

static enum pst_auth_result
result_of(struct pst_str word)
{
	if (pst_str_eq(word, PST_LIT("disabled")))
		return PST_AUTH_DISABLED;
	return pst_str_eq(word, PST_LIT("ok")) ? PST_AUTH_OK : PST_AUTH_TEMP;
}

static enum pst_auth_result
lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
       struct pst_err *err)
{
	const struct pst_host *host = self;
	struct pst_str users = pst_str_c(((const struct list_conf *)host->conf)->users);
	struct pst_str one, name, result, credential, pair, key;

	while (take(&users, ';', &one)) {
		if (!take(&one, ' ', &name) || !pst_str_eq(name, query->user))
			continue;
		(void)take(&one, ' ', &result);
		if (take(&one, ' ', &credential) && credential.p[0] != '-')
			record->credential =
				(struct pst_str){ host->copy(record->arena, credential),
				                  credential.n };
		while (take(&one, ' ', &pair) && take(&pair, '=', &key))
			set_member(host, record, key, pair);
		pst_err_set(err, PST_E_TEMP, "the list is away");
		return result_of(result);
	}
	return PST_AUTH_UNKNOWN;
}

static int
start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)err;
	*self_out = (void *)(uintptr_t)host;
	return 0;
}

static const struct pst_auth auth = { .size = sizeof(struct pst_auth), .lookup = lookup };

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_AUTH,
	.name = "fakelist",
	.keys = keys,
	.conf_size = sizeof(struct list_conf),
	.start = start,
	.auth = &auth,
};
