/* SPDX-License-Identifier: MIT */
/* ctl/user.h - inside this folder: a `posternctl user` command on its way. */
#ifndef CTL_USER_H
#define CTL_USER_H

#include <getopt.h>

#include <postern/auth.h>

#include "credentials/location.h"
#include "ctl/ctl.h"
#include "ctl/password.h"
#include "plugin/registry.h"

/* What a command was told. */
struct user_request {
	struct ctl *c;
	const char *backend; /* the instance; NULL: the first of auth.backends */
	const char *scheme;
	const char *maildrop;
	const char *reason;
	uint64_t uid, gid;
	struct ctl_password_source password;
	struct pst_auth_user contract; /* only what it says of the account */
	uint32_t set, unset;           /* bits of enum pst_auth_field: none is in both */
	const char *word;              /* the argument: a user or a domain; NULL: none */

	struct username user;
	struct registry *registry;
	struct plugin *plugin;
	const struct pst_auth *auth;
	struct pst_err err;
};

enum user_option {
	O_BACKEND = 1,
	O_SCHEME,
	O_MAILDROP,
	O_REASON,
	O_UID,
	O_GID,
	O_FILE,
	O_STDIN,
	O_UNSET,
};

#define OPT_BACKEND                                                                                \
	{                                                                                          \
		"backend", required_argument, NULL, O_BACKEND                                      \
	}
#define OPT_END                                                                                    \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}
#define OPT_MAX 32

/* The start of every command on one user: reads the arguments, starts the backend, folds the name. An
 * exit status. user_close follows in any case. */
int user_begin(struct user_request *r, struct ctl *c, int argc, char **argv,
               const struct option *options);
void user_close(struct user_request *r);

/* --maildrop holds nothing that a location may not. An exit status. */
int user_check_maildrop(struct user_request *r);

/* What is said of the account, with its name. */
struct pst_auth_user user_said(const struct user_request *r);

/* The plugin's function can be NULL: then it cannot do that. CTL_FAILED. */
int user_refuse(const struct user_request *r);

/* The end of it: says what was done, or why rc is not 0. An exit status. */
int user_finish(struct user_request *r, int rc, const char *done);

#endif
