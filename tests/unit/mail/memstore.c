/* SPDX-License-Identifier: MIT */
/* A storage plugin for the test of the mail worker: "memstore:/3" is a maildrop of three messages of
 * ten octets, in memory. */
#include <postern/storage.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct pst_maildrop {
	uint32_t count;
	char uidl[16];
};

static int
mem_open(void *self, const struct pst_maildrop_spec *spec, struct pst_maildrop **drop_out,
         struct pst_err *err)
{
	struct pst_maildrop *drop;

	(void)self;
	if (spec->path[0] != '/')
		return pst_err_set(err, PST_E_PERM, "not a path: %s", spec->path);
	drop = calloc(1, sizeof(*drop));
	if (drop == NULL)
		return pst_err_set(err, PST_E_TEMP, "no memory");
	drop->count = (uint32_t)strtoul(spec->path + 1, NULL, 10);
	*drop_out = drop;
	return 0;
}

static uint32_t
mem_count(const struct pst_maildrop *drop)
{
	return drop->count;
}

static void
mem_message(const struct pst_maildrop *drop, uint32_t idx, struct pst_message *msg_out)
{
	(void)drop, (void)idx;
	msg_out->size_octets = 10;
	msg_out->uidl = PST_LIT("same");
}

static enum pst_fetch_result
mem_fetch(struct pst_maildrop *drop, uint32_t idx, unsigned flags, struct pst_body *body_out,
          struct pst_err *err)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	(void)drop, (void)idx, (void)flags;
	if (fd < 0 || write(fd, "\n123456\n", 8) != 8) {
		pst_err_sys(err, PST_E_TEMP, "memfd");
		return PST_FETCH_ERROR;
	}
	*body_out = (struct pst_body){ .fd = fd, .length = 8 };
	return PST_FETCH_OK;
}

static int
mem_commit(struct pst_maildrop *drop, const uint32_t *idx, uint32_t n, uint32_t *removed_out,
           struct pst_err *err)
{
	(void)drop, (void)idx, (void)err;
	*removed_out = n;
	return 0;
}

static void
mem_close(struct pst_maildrop *drop)
{
	free(drop);
}

static const struct pst_storage mem_storage = {
	.size = sizeof(struct pst_storage),
	.open = mem_open,
	.count = mem_count,
	.message = mem_message,
	.fetch = mem_fetch,
	.commit = mem_commit,
	.close = mem_close,
};

static int
mem_start(const struct pst_host *host, void **self_out, struct pst_err *err)
{
	(void)host, (void)err;
	*self_out = NULL;
	return 0;
}

PST_EXPORT const struct pst_plugin postern_plugin = {
	.abi = PST_ABI,
	.size = sizeof(struct pst_plugin),
	.kind = PST_STORAGE,
	.name = "memstore",
	.start = mem_start,
	.storage = &mem_storage,
};
