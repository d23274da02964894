/* SPDX-License-Identifier: MIT */
/* ctl/create.h - makes what an auth plugin needs on disk before users can be added. */
#ifndef CTL_CREATE_H
#define CTL_CREATE_H

#include "ctl/ctl.h"
#include "plugin/loader.h"

/* Where a file that the started plugin's settings let it write is missing or empty: makes its folder,
 * lets the plugin make the file, and gives both to the auth workers' user. Says what it made. The
 * exit status of the command. */
int ctl_create_missing(struct ctl *c, struct plugin *p);

#endif
