/* SPDX-License-Identifier: MIT */
/* The host table: the base library as plugins see it; see postern/plugin.h. */
#include "plugin/host.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "pop3/body.h"

#define MEASURE_OCTETS 65536

static void host_log(const struct pst_host *host, enum pst_log_level level, const char *event,
                     const char *fmt, ...) PST_PRINTF(4, 5);

static void
host_log(const struct pst_host *host, enum pst_log_level level, const char *event, const char *fmt,
         ...)
{
	const struct plugin_host *h = (const struct plugin_host *)host;
	char text[1024];
	va_list ap;

	if (!pst_log_wants(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* the sink cuts long lines too */
	va_end(ap);
	pst_log_write(level, NULL, event, "plugin=%s%s%s", h->instance, text[0] == '\0' ? "" : " ",
	              text);
}

static int
read_some(int fd, char *to, size_t n, uint64_t offset, size_t *n_out, struct pst_err *err)
{
	ssize_t got;

	do {
		got = pread(fd, to, n, (off_t)offset);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return pst_err_sys(err, PST_E_TEMP, "read");
	if (got == 0)
		return pst_err_set(err, PST_E_TEMP, "the file ends before the message does");
	*n_out = (size_t)got;
	return 0;
}

static int
host_measure(int fd, uint64_t offset, uint64_t length, uint64_t *octets_out, bool *crlf_out,
             struct pst_err *err)
{
	/* Not zeroed: that would cost as much as the reading of a small message. */
	char *room = pst_realloc(NULL, length < MEASURE_OCTETS ? (size_t)length : MEASURE_OCTETS);
	struct pop3_size size;
	uint64_t left = length;
	int rc = -1;

	pop3_size_init(&size);
	if (offset > INT64_MAX || length > INT64_MAX - offset) {
		pst_err_set(err, PST_E_PERM, "a message beyond the end of any file");
		goto out;
	}
	while (left > 0) {
		size_t n = left < MEASURE_OCTETS ? (size_t)left : MEASURE_OCTETS;

		if (read_some(fd, room, n, offset, &n, err) != 0)
			goto out;
		pop3_size_feed(&size, (struct pst_str){ room, n });
		offset += n;
		left -= n;
	}
	*octets_out = pop3_size_end(&size);
	/* Any line end that is not CRLF, and a missing last one, adds octets on the wire. */
	*crlf_out = length > 0 && *octets_out == length;
	rc = 0;
out:
	free(room);
	return rc;
}

static void
host_retire(const struct pst_host *host)
{
	const struct plugin_host *h = (const struct plugin_host *)host;

	if (h->is_retiring != NULL)
		*h->is_retiring = true;
}

static void
host_md5(const void *data, size_t n, uint8_t out[16])
{
	pst_digest(PST_MD5, (struct pst_str){ data, n }, (struct pst_str){ NULL, 0 }, out);
}

void
plugin_host_init(struct plugin_host *h, const char *instance, const char *worker, const void *conf)
{
	h->instance = instance;
	h->is_retiring = NULL;
	h->host = (struct pst_host){
		.size = sizeof(struct pst_host),
		.worker = worker,
		.conf = conf,
		.log = host_log,
		.copy = pst_arena_copy,
		.alloc = pst_arena_alloc,
		.random = pst_random,
		.sha256 = pst_sha256,
		.equal = pst_secret_equal,
		.now_ms = pst_now_ms,
		.measure = host_measure,
		.retire = host_retire,
		.md5 = host_md5,
	};
}
