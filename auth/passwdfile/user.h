/* SPDX-License-Identifier: MIT */
/* auth/passwdfile/user.h - what a line says of its user: every name of an extra field is used,
 * ignored on purpose, or a reason not to let that user in. */
#ifndef AUTH_PASSWDFILE_USER_H
#define AUTH_PASSWDFILE_USER_H

#include <postern/err.h>
#include <postern/str.h>

#include "auth/passwdfile/line.h"

#define PASSWD_LOCATION_MAX 4096 /* octets of a location, with its NUL */

/* Borrowed from the line. Empty or 0: not said. */
struct passwd_user {
	struct pst_str password, home;
	struct pst_str name;   /* the session's, where it is another */
	struct pst_str driver; /* "maildir" */
	struct pst_str path;   /* of the mail: still with ~ and %-variables */
	struct pst_str inbox;  /* instead of path, for the one folder that POP3 knows */
	struct pst_str allow_nets;
	struct pst_str reason;
	struct pst_str host, port; /* with is_proxied */
	uint32_t uid, gid;
	bool is_locked; /* nologin */
	bool is_proxied;
};

/* -1 (PST_E_PERM): this user must not log in; err says for which field. */
int passwd_user_read(const struct passwd_line *line, struct passwd_user *out, struct pst_err *err);

/* The mail's place as a location of ours ("maildir:%{home}/Maildir"), with a NUL after it; empty where
 * the line says nothing of it. -1: as above, also where it does not fit. */
int passwd_user_location(const struct passwd_user *user, char *out, size_t cap,
                         struct pst_err *err);

#endif
