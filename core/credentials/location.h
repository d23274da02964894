/* SPDX-License-Identifier: MIT */
/* credentials/location.h - where a user's mail is: a template and a user name make
 * "maildir:/srv/mail/example.org/alice". */
#ifndef CREDENTIALS_LOCATION_H
#define CREDENTIALS_LOCATION_H

#include <postern/err.h>
#include <postern/str.h>

struct pst_arena;
struct username;

#define LOCATION_MAX 4096 /* octets */

/* Whether the template could be filled for some user: "STORAGE:/absolute/path" with %{user},
 * %{local}, %{domain}, %{home} and %% in the path, which may begin with %{home}. -1: PST_E_CLIENT. */
int location_check(struct pst_str template, struct pst_err *err);

/* In the arena, with a NUL after it. -1 (PST_E_PERM): a template that location_check refuses, a name
 * without a domain or home where one is asked for, a home that is not absolute, or a path that would be too long or hold "..". */
int location_fill(struct pst_str template, const struct username *user, struct pst_arena *arena,
                  struct pst_str *out, struct pst_err *err);

#endif
