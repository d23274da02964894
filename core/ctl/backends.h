/* SPDX-License-Identifier: MIT */
/* ctl/backends.h - auth plugins in posternctl's own process, with the settings that the server's auth
 * workers have. */
#ifndef CTL_BACKENDS_H
#define CTL_BACKENDS_H

#include "ctl/ctl.h"
#include "plugin/registry.h"

/* Loads and starts the instances (names separated by spaces). The configuration is read and good.
 * NULL with err. The caller destroys the registry. */
struct registry *ctl_backends_start(struct ctl *c, const char *instances, struct pst_err *err);

/* Text from a database, safe for a terminal: control characters are shown as '?'. */
void ctl_print(struct pst_str text);

#endif
