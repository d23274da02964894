/* SPDX-License-Identifier: MIT */
/* ctl/contract.h - what `posternctl user add` and `user set` can say of an account, beside its name and
 * password. */
#ifndef CTL_CONTRACT_H
#define CTL_CONTRACT_H

#include <getopt.h>

#include <postern/auth.h>

struct pst_arena;

#define CONTRACT_ID 1000 /* options have this number and the next ones */

/* How many options there are; written to out, each with an argument. */
size_t ctl_contract_options(struct option *out, size_t max);

/* The value of the option with that number, into user; strings in the arena. The option's bit of enum
 * pst_auth_field; or 0 with err (PST_E_CLIENT). */
uint32_t ctl_contract_take(int id, const char *value, struct pst_auth_user *user,
                           struct pst_arena *arena, struct pst_err *err);

/* The bit of enum pst_auth_field for an option's name, "maildrop", "uid" and "gid" among them; 0:
 * there is no such field. */
uint32_t ctl_contract_field(const char *name);

#endif
