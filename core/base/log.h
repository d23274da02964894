/* SPDX-License-Identifier: MIT */
/* base/log.h - one event, one line, one write.
 *
 *	2026-11-22T01:23:45.123Z info login.ok pid=12 worker=login sid=9f2c user=a@b.test mech=PLAIN
 *
 * The sink is opened by the master and inherited, for workers cannot open files: standard error,
 * a file (O_APPEND: a line is one write) or the system's log socket. Control characters and
 * backslashes are escaped as \xNN, so that a line is always one line; so are the spaces in sid, peer
 * and user, so that a user name cannot look like another pair. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include <postern/attr.h>
#include <postern/err.h>
#include <postern/plugin.h>
#include <postern/str.h>

/* What the lines of one thing share. A zeroed one adds nothing. Borrowed by each call. */
struct pst_log {
	const char *sid;     /* session id, or NULL */
	const char *peer;    /* the client's address, or NULL */
	struct pst_str user; /* once known */
};

/* destination: "stderr", "syslog", or the path of a file. Takes the place of the sink before, which
 * stays where this fails. Only the master calls it. */
int pst_log_open(const char *destination, struct pst_err *err);
void pst_log_set_level(enum pst_log_level level);

/* Whose lines these are: "login", "auth", … A string that stays. Called once after fork. */
void pst_log_set_worker(const char *worker);

/* The sink's descriptor, so that a worker that closes all others keeps it. */
int pst_log_fd(void);

bool pst_log_wants(enum pst_log_level level);

/* ctx may be NULL. fmt gives the key=value pairs; values from outside go through PST_ARG and are
 * escaped here. Never a password, a challenge or the text of a message. */
void pst_log_write(enum pst_log_level level, const struct pst_log *ctx, const char *event,
                   const char *fmt, ...) PST_PRINTF(4, 5);
void pst_log_vwrite(enum pst_log_level level, const struct pst_log *ctx, const char *event,
                    const char *fmt, va_list ap) PST_PRINTF(4, 0);

/* error: someone must act. warn: served, but degraded. info: three lines a session at most. */
#define pst_log_error(ctx, event, ...) pst_log_write(PST_LOG_ERROR, ctx, event, __VA_ARGS__)
#define pst_log_warn(ctx, event, ...) pst_log_write(PST_LOG_WARN, ctx, event, __VA_ARGS__)
#define pst_log_info(ctx, event, ...) pst_log_write(PST_LOG_INFO, ctx, event, __VA_ARGS__)
#define pst_log_debug(ctx, event, ...)                                                             \
	do {                                                                                       \
		if (pst_log_wants(PST_LOG_DEBUG))                                                  \
			pst_log_write(PST_LOG_DEBUG, ctx, event, __VA_ARGS__);                     \
	} while (0)

#endif
