/* SPDX-License-Identifier: MIT */
/* auth/pam/pam.h - one login by PAM: authenticate, account, and a session if wanted. */
#ifndef AUTH_PAM_PAM_H
#define AUTH_PAM_PAM_H

#include <postern/auth.h>

#define PAM_NAME_MAX 256

struct pam_attempt {
	const char *service;
	struct pst_str user, password, remote_ip;
	bool with_session;

	char name[PAM_NAME_MAX]; /* out, with OK: the user's, which a module may have changed */
	char reason[128];        /* out, with DISABLED: for the log */
	bool is_right;           /* out: the authentication phase was passed */
	char stray_prompt[64];   /* out: a question other than the password's, or empty */
};

/* OK; WRONG; UNKNOWN, where a module says so (most say WRONG); DISABLED: the password is right and the account has expired or
 * is closed; TEMP with err. */
enum pst_auth_result pam_attempt(struct pam_attempt *attempt, struct pst_err *err);

#endif
