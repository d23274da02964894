/* SPDX-License-Identifier: MIT */
/* The host table: the base library as plugins see it; see postern/plugin.h. */
#include "plugin/host.h"

#include <stdarg.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "pop3/surrogate.h"
#include "pop3/survey.h"

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
host_measure(int fd, uint64_t offset, uint64_t length, uint64_t *octets_out, bool *crlf_out,
             struct pst_err *err)
{
	const struct pst_body body = { .fd = fd, .offset = offset, .length = length };
	struct pst_measured measured;

	if (pop3_survey(&body, &measured, err) != 0)
		return -1;
	*octets_out = measured.size_octets;
	*crlf_out = measured.crlf;
	return 0;
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
		.survey = pop3_survey,
		.survey_in = pop3_survey_in,
		.surrogate_rules = POP3_SURROGATE_RULES,
	};
}
