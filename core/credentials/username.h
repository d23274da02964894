/* SPDX-License-Identifier: MIT */
/* credentials/username.h - one spelling for each user name, safe to stand in a path. */
#ifndef CREDENTIALS_USERNAME_H
#define CREDENTIALS_USERNAME_H

#include <postern/err.h>
#include <postern/str.h>

#define USERNAME_MAX 255 /* octets, with the domain */

/* The strings borrow from text: not to be copied by assignment. */
struct username {
	struct pst_str whole;  /* "local@domain", or "local" */
	struct pst_str local;  /* before the last '@', or all of it */
	struct pst_str domain; /* after it, or empty */
	struct pst_str home;   /* for %{home}; left empty here, borrows from who sets it */
	char text[USERNAME_MAX + 1];
};

/* Folds ASCII letters to lower case and adds default_domain where the name has no '@' (and it is not
 * ""). -1 (PST_E_AUTH, to be answered as an unknown user is) where the name is empty, too long, or
 * could lead out of a folder or is no name: an empty part, '/', control characters, a part that begins
 * with '.', octets that are not UTF-8. */
int username_fold(struct pst_str asked, const char *default_domain, struct username *out,
                  struct pst_err *err);

#endif
