/* SPDX-License-Identifier: MIT */
/* ctl/undo.h - the commands about what sessions did to a maildrop. */
#ifndef CTL_UNDO_H
#define CTL_UNDO_H

#include "ctl/ctl.h"

int ctl_undelete(struct ctl *c, int argc, char **argv);
int ctl_history(struct ctl *c, int argc, char **argv);

#endif
