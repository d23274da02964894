/* SPDX-License-Identifier: MIT */
/* auth/passwdfile/line.h - one line of a password file:
 *
 *	user:password:uid:gid:gecos:home:shell:extra fields
 *
 * What is missing at the end is empty. The extra fields are the rest of the line: colons in them
 * (IPv6 networks, mail locations) are their own. */
#ifndef AUTH_PASSWDFILE_LINE_H
#define AUTH_PASSWDFILE_LINE_H

#include <postern/err.h>
#include <postern/str.h>

#define PASSWD_LINE_MAX 16384 /* octets */

enum passwd_line_kind {
	PASSWD_USER = 1,
	PASSWD_NOTHING, /* empty, a comment, or without a name */
	PASSWD_BAD,     /* err is filled: a file with such a line is not believed at all */
};

/* Borrowed from the text. */
struct passwd_line {
	struct pst_str name, password, uid, gid, home, extra;
};

/* Takes the next line, without its line end, off *rest, which is not empty. */
struct pst_str passwd_next_line(struct pst_str *rest);

enum passwd_line_kind passwd_line_parse(struct pst_str text, struct passwd_line *out,
                                        struct pst_err *err);

#endif
