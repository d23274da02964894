/* SPDX-License-Identifier: MIT */
/* A small auth plugin, built several times: as it should be, and with one thing wrong in each. */
#include <unistd.h>

#include <postern/auth.h>

struct plug_conf {
	int64_t number;
	const char *database;
	const char *certificate;
	const char *secret;
};

static const struct pst_conf_key plug_keys[] = {
	{ "number", PST_CONF_INT(struct plug_conf, number), "1", -1, 100, NULL,
	  "Where stop writes its word: a descriptor, or -1." },
	{ "database", PST_CONF_WRITE_PATH(struct plug_conf, database), "", 0, 0, NULL, "Written." },
	{ "certificate", PST_CONF_READ_PATH(struct plug_conf, certificate), "/c", 0, 0, NULL,
	  "Read." },
	{ "secret", PST_CONF_SECRET(struct plug_conf, secret), "", 0, 0, NULL, "Not shown." },
	{ .key = NULL },
};

static const struct pst_host *host;

static int
plug_check(const void *conf, struct pst_err *err)
{
	const struct plug_conf *c = conf;

	if (c->number == 13)
		return pst_err_set(err, PST_E_CLIENT, "number: 13 does not go with anything");
	return 0;
}

static int
plug_start(const struct pst_host *h, void **self_out, struct pst_err *err)
{
	const struct plug_conf *c = h->conf;

	if (c->number == 99)
		return pst_err_set(err, PST_E_TEMP, "told not to");
	host = h;
	host->log(host, PST_LOG_INFO, "plug.start", "number=%d worker=%s", (int)c->number,
	          h->worker);
	*self_out = &host;
	return 0;
}

static void
plug_stop(void *self)
{
	const struct plug_conf *c = (*(const struct pst_host **)self)->conf;

	if (c->number >= 0 && write((int)c->number, "stopped", 7) != 7)
		_exit(1);
}

static enum pst_auth_result
plug_lookup(void *self, const struct pst_auth_query *query, struct pst_auth_record *record,
            struct pst_err *err)
{
	(void)self, (void)err;
	record->user = (struct pst_str){ host->copy(record->arena, query->user), query->user.n };
	return PST_AUTH_OK;
}

static const struct pst_auth plug_auth = { .size = sizeof(struct pst_auth), .lookup = plug_lookup };

#if defined PLUG_NO_SYMBOL
#define EXPORT static __attribute__((used))
#else
#define EXPORT PST_EXPORT
#endif

#if defined PLUG_ABI
#define ABI (PST_ABI + 1)
#else
#define ABI PST_ABI
#endif

#if defined PLUG_LARGER
#define SIZE (sizeof(struct pst_plugin) + sizeof(void *))
#elif defined PLUG_OLDER /* made before auth and what follows it was appended */
#define SIZE offsetof(struct pst_plugin, storage)
#else
#define SIZE sizeof(struct pst_plugin)
#endif

#if !defined PLUG_NAME
#define PLUG_NAME "plug"
#endif

#if defined PLUG_FUNCTION
PST_EXPORT int postern_plugin(void);
int
postern_plugin(void)
{
	return 0;
}
#elif defined PLUG_LIAR
/* Says that it is whole, but only its head is there. */
PST_EXPORT const struct {
	uint32_t abi, size;
	enum pst_kind kind;
	const char *name;
	const struct pst_conf_key *keys;
	size_t conf_size;
	void *rest;
} postern_plugin = { ABI, SIZE, PST_AUTH, PLUG_NAME, plug_keys, sizeof(struct plug_conf), NULL };
#endif

#if defined PLUG_FUNCTION || defined PLUG_LIAR
static const struct pst_plugin whole PST_UNUSED = {
#else
EXPORT const struct pst_plugin postern_plugin = {
#endif
	.abi = ABI,
	.size = SIZE,
	.kind = PST_AUTH,
	.name = PLUG_NAME,
	.keys = plug_keys,
	.conf_size = sizeof(struct plug_conf),
	.check = plug_check,
	.start = plug_start,
	.stop = plug_stop,
	.auth = &plug_auth,
#if defined PLUG_OLDER
	.policy = (const struct pst_policy *)1, /* beyond its size: must not be seen */
#endif
};
