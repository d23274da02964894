/* SPDX-License-Identifier: MIT */
/* master/control.h - the control socket, RUNTIME_DIR/control, for posternctl.
 *
 * One request line, one reply, end of file:
 *
 *	status [json]   who [json]   reload   stop   kick SID
 *
 * The reply's first line is "ok" or "failed", the rest is for the reader. Only root and the user
 * who started the server may connect. A client that is slow keeps nobody waiting: everything is
 * non-blocking, bounded and has an end. This is the one thing that the master reads besides its
 * configuration and its children. */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <postern/err.h>

struct master;
struct control;

#define CONTROL_SOCKET "control"

/* Listens in the folder m->runtime_fd, which is locked: a socket that is there is a dead one's. */
struct control *control_open(struct master *m, struct pst_err *err);
void control_close(struct control *c); /* removes the socket; accepts NULL */

/* The reload of that serial has ended: those who wait for it are told. problems: lines, or NULL. */
void control_reload_done(struct control *c, uint32_t serial, bool ok, const char *text);

/* Closes clients that take too long; returns when it is to be called next, or INT64_MAX. */
int64_t control_tick(struct control *c, int64_t now_ms);

/* Sends what is still to be sent, for at most a second: before the server ends. */
void control_flush(struct control *c);

#endif
