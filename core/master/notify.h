/* SPDX-License-Identifier: MIT */
/* master/notify.h - tells the service manager how things stand (sd_notify(3)'s protocol). */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

/* "READY=1", "STOPPING=1", …; nothing happens where nobody listens (no NOTIFY_SOCKET). */
void notify_state(const char *state);

#endif
