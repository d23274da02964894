/* SPDX-License-Identifier: MIT */
/* ipc/channel.h - SEQPACKET socket pairs, made by the master before it forks.
 *
 * All ends are non-blocking: O_NONBLOCK belongs to the open file, which the processes share. One
 * message is one packet, and may carry one descriptor. */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <postern/err.h>

/* ends[0] reads, ends[1] writes (both can do both). send_octets: the room for messages that wait. */
int channel_create(int ends[2], int send_octets, struct pst_err *err);

/* fd: a descriptor to go with it, or -1. The caller keeps its own copy. -1: PST_E_TEMP where the
 * queue is full, PST_E_PERM else. */
int channel_send(int end, const void *data, size_t n, int fd, struct pst_err *err);

/* Octets read; 0 where nothing waits; -1 with err: PST_E_CLOSED where nobody holds the other end any
 * more, PST_E_PERM else (a message that was too long for cap is read away and reported). *fd_out: a
 * descriptor that came along, now the caller's (close-on-exec), or -1, also where this process has
 * too many open to take it; fd_out may be NULL, then descriptors are closed. */
ssize_t channel_recv(int end, void *data, size_t cap, int *fd_out, struct pst_err *err);

#endif
