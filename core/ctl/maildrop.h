/* SPDX-License-Identifier: MIT */
/* ctl/maildrop.h - the commands on maildrops. */
#ifndef CTL_MAILDROP_H
#define CTL_MAILDROP_H

#include "ctl/ctl.h"

int ctl_maildrop_index(struct ctl *c, int argc, char **argv);
int ctl_maildrop_watch(struct ctl *c, int argc, char **argv);
int ctl_maildrop_show(struct ctl *c, int argc, char **argv);
int ctl_maildrop_convert(struct ctl *c, int argc, char **argv);
int ctl_maildrop_expire(struct ctl *c, int argc, char **argv);
int ctl_uidl_list(struct ctl *c, int argc, char **argv);
int ctl_uidl_accept(struct ctl *c, int argc, char **argv);

#endif
