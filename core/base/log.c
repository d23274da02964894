/* SPDX-License-Identifier: MIT */
/* The log sink; see log.h. */
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#define LINE_MAX_OCTETS 2048

static struct {
	int fd;
	bool is_syslog;
	enum pst_log_level level;
	const char *worker;
} sink = { STDERR_FILENO, false, PST_LOG_INFO, NULL };

static const char *const level_names[] = { "error", "warn", "info", "debug" };

/* Facility mail (2), severities of RFC 5424. */
static const int syslog_priorities[] = { 2 * 8 + 3, 2 * 8 + 4, 2 * 8 + 6, 2 * 8 + 7 };

static int
open_syslog(struct pst_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return pst_err_sys(err, PST_E_PERM, "log.destination: socket");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0) {
		pst_err_sys(err, PST_E_PERM, "log.destination: /dev/log");
		close(fd);
		return -1;
	}
	return fd;
}

int
pst_log_open(const char *destination, struct pst_err *err)
{
	bool is_syslog = strcmp(destination, "syslog") == 0;
	int fd;

	if (is_syslog) {
		fd = open_syslog(err);
	} else if (strcmp(destination, "stderr") == 0) {
		fd = STDERR_FILENO;
	} else {
		fd = open(destination, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		          0640);
		if (fd < 0)
			return pst_err_sys(err, PST_E_PERM, "log.destination: %s", destination);
	}
	if (fd < 0)
		return -1;
	if (sink.fd > STDERR_FILENO)
		close(sink.fd);
	sink.fd = fd;
	sink.is_syslog = is_syslog;
	return 0;
}

void
pst_log_set_level(enum pst_log_level level)
{
	sink.level = level;
}

void
pst_log_set_worker(const char *worker)
{
	sink.worker = worker;
}

int
pst_log_fd(void)
{
	return sink.fd;
}

bool
pst_log_wants(enum pst_log_level level)
{
	return level <= sink.level;
}

/* Appends what would not break the line, the rest as \xNN; the text after limit is cut. also: one
 * more character that is not let through, or NUL. */
static size_t
escape(char *line, size_t n, size_t limit, const char *raw, char also)
{
	for (; *raw != '\0' && n + 4 < limit; raw++) {
		unsigned char c = (unsigned char)*raw;

		if (c < 0x20 || c == 0x7f || c == '\\' || *raw == also)
			n += (size_t)snprintf(line + n, limit - n, "\\x%02x", c);
		else
			line[n++] = (char)c;
	}
	return n;
}

static size_t
begin_line(char *line, size_t limit, enum pst_log_level level, const char *event)
{
	struct timespec ts = { 0, 0 };
	struct tm tm;
	int n;

	if (sink.is_syslog) {
		n = snprintf(line, limit, "<%d>postern[%d]: %s %s", syslog_priorities[level],
		             (int)getpid(), level_names[level], event);
		return (size_t)n;
	}
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	n = snprintf(line, limit, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %s pid=%d",
	             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	             ts.tv_nsec / 1000000, level_names[level], event, (int)getpid());
	return (size_t)n;
}

/* A space in the value would begin another pair: a user name must not look like a peer. */
static size_t
add_pair(char *line, size_t n, size_t limit, const char *key, struct pst_str value)
{
	char text[300];

	if (value.n == 0)
		return n;
	(void)snprintf(text, sizeof(text), " %s=", key);
	n = escape(line, n, limit, text, '\0');
	(void)snprintf(text, sizeof(text), "%.*s", PST_ARG(value));
	return escape(line, n, limit, text, ' ');
}

void
pst_log_vwrite(enum pst_log_level level, const struct pst_log *ctx, const char *event,
               const char *fmt, va_list ap)
{
	char line[LINE_MAX_OCTETS] PST_UNINITIALIZED;
	char text[1024] PST_UNINITIALIZED;
	const size_t limit = sizeof(line) - 1; /* the last octet is the line feed's */
	size_t n;

	if (!pst_log_wants(level))
		return;
	n = begin_line(line, limit, level, event);
	n = add_pair(line, n, limit, "worker", pst_str_c(sink.worker));
	if (ctx != NULL) {
		n = add_pair(line, n, limit, "sid", pst_str_c(ctx->sid));
		n = add_pair(line, n, limit, "peer", pst_str_c(ctx->peer));
		n = add_pair(line, n, limit, "user", ctx->user);
	}
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	if (text[0] != '\0') {
		n = escape(line, n, limit, " ", '\0');
		n = escape(line, n, limit, text, '\0');
	}
	if (sink.is_syslog) {
		if (send(sink.fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return; /* the system's log is away: nowhere to say so */
		return;
	}
	line[n++] = '\n';
	if (write(sink.fd, line, n) < 0)
		return; /* a full disk must not stop the mail */
}

void
pst_log_write(enum pst_log_level level, const struct pst_log *ctx, const char *event,
              const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pst_log_vwrite(level, ctx, event, fmt, ap);
	va_end(ap);
}
