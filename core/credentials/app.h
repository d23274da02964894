/* SPDX-License-Identifier: MIT */
/* credentials/app.h - the form of an app password: "k7mw-abcd-efgh-ijkl".
 *
 * Four groups of 4 to 8 lower-case letters (a to z) and digits, joined by '-', and nothing else. The first
 * group is its prefix: a handle to find its row with, and no secret; the other three are. What has
 * another form is never looked up as one; what has this form may still be a user's own password. */
#ifndef CREDENTIALS_APP_H
#define CREDENTIALS_APP_H

#include <postern/str.h>

#define APP_GROUPS 4
#define APP_GROUP_MIN 4 /* octets */
#define APP_GROUP_MAX 8

/* The prefix, within password; empty where the password has not that form. */
struct pst_str app_prefix(struct pst_str password);

#endif
