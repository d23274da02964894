/* SPDX-License-Identifier: MIT */
/* ctl/maildrop.h - the commands on maildrops. */
#ifndef CTL_MAILDROP_H
#define CTL_MAILDROP_H

#include "ctl/ctl.h"

int ctl_maildrop_index(struct ctl *c, int argc, char **argv);

#endif
