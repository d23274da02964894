/* SPDX-License-Identifier: MIT */
/* A storage plugin that the checks let pass; no maildrop is ever opened with it. */
#include <postern/storage.h>

static int
fake_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
          struct pst_err *err)
{
	(void)self, (void)spec, (void)drop_out;
	return pst_err_set(err, PST_E_TEMP, "a test plugin");
}

static uint32_t
fake_count(const struct pst_maildrop *drop)
{
	(void)drop;
	return 0;
}

static void
fake_message(const struct pst_maildrop *drop, uint32_t idx, struct pst_message *msg_out)
{
	(void)drop, (void)idx, (void)msg_out;
}

static enum pst_fetch_result
fake_fetch(struct pst_maildrop *drop, uint32_t idx, unsigned flags, struct pst_body *body_out,
           struct pst_err *err)
{
	(void)drop, (void)idx, (void)flags, (void)body_out, (void)err;
	return PST_FETCH_ERROR;
}

static int
fake_commit(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
            struct pst_err *err)
{
	(void)drop, (void)idx, (void)n, (void)err;
	*removed_out = 0;
	return 0;
}

static void
fake_close(struct pst_maildrop *drop)
{
	(void)drop;
}

static const struct pst_storage fake_storage = {
	.size = sizeof(struct pst_storage),
	.open = fake_open,
	.count = fake_count,
	.message = fake_message,
	.fetch = fake_fetch,
	.commit = fake_commit,
	.close = fake_close,
};

static int
fake_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "fakestore",
	.start = fake_start,
	.storage = &fake_storage,
};
