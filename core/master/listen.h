/* SPDX-License-Identifier: MIT */
/* master/listen.h - listening sockets: made before any fork, kept over reloads.
 *
 * Each listener has one SO_REUSEPORT socket for each login slot, so that the kernel spreads
 * connections and wakes one. Sockets are never moved between addresses: a reload keeps those of
 * an address and port that stay, adds what is missing, and closes the others only when nobody
 * accepts from them any more. Where there are more sockets than login slots (a reload made the
 * slots fewer), a slot has several: closing one would lose the connections that wait in it. */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "ipc/env.h"

struct listen_set;

struct listen_set *listen_create(void);
void listen_destroy(struct listen_set *l); /* closes all; accepts NULL */

/* Takes the sockets that systemd gives (LISTEN_PID, LISTEN_FDS), before anything else is opened;
 * they are used where a listener's address and port are theirs. */
void listen_adopt(struct listen_set *l);

/* Binds what the listeners of s need for so many login slots; nobody can connect to what is new
 * yet. -1 with err, which names listener, address and port and says what to do; what was made is
 * closed again. */
int listen_open(struct listen_set *l, const struct settings *s, uint32_t slots,
                struct pst_err *err);

/* From now on connections come: when everything behind them is ready. -1 as above, nothing undone. */
int listen_start(struct listen_set *l, const struct settings *s, struct pst_err *err);

/* What was opened since the last commit stays, or is closed again: a socket that no worker polls
 * would swallow its share of the connections. */
void listen_commit(struct listen_set *l);
void listen_rollback(struct listen_set *l);

/* Which sockets login slot idx of slots polls; out is as long as settings need: at most cap.
 * Returns how many. */
size_t listen_of_slot(const struct listen_set *l, const struct settings *s, uint32_t idx,
                      uint32_t slots, struct env_listener *out, size_t cap);

/* Closes the sockets of addresses that s does not name (NULL: all of them). Connections that wait
 * in them are refused from now on, also in a worker that still holds one. Sockets of systemd's
 * stay open for the next start. */
void listen_close_others(struct listen_set *l, const struct settings *s);

/* "pop3=0.0.0.0:110 pop3s=[::]:995", for the log. */
void listen_describe(const struct settings *s, char *out, size_t cap);

#endif
